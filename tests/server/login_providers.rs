//! Logging in by a provider: which user a token is about, and which tokens open nothing.

use std::time::{SystemTime, UNIX_EPOCH};

use docperm_testkit::refused;
use postgres::Client;
use serde_json::{Value, json};

use crate::support::{World, literal, names, one, refused_with, table};

#[allow(dead_code, reason = "shared with the tests of the library")]
#[path = "../../src/auth/id_token/test_keys.rs"]
mod test_keys;

pub use test_keys::token;
use test_keys::{EC_JWK, ED_JWK, RSA_JWK, set, signed};

const ANN: &str = "ann@erp.test";
pub const NONCE: &str = "n-0S6_WzA2Mj";

fn world() -> World {
    let mut w = World::new("");
    w.user(ANN, &[]);
    register_providers(&mut w);
    w
}

/// Two, with the same keys.
pub fn register_providers(w: &mut World) {
    w.sql(&format!(
        "INSERT INTO docperm.login_providers (name, issuer, client_id, jwks)
         VALUES ('Example', 'https://id.test', 'erp', {keys}), ('Other', 'https://other.test', 'erp', {keys})",
        keys = literal(&set(&[RSA_JWK, EC_JWK, ED_JWK]))
    ));
}

pub fn claims(subject: &str, email: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({"iss": "https://id.test", "aud": "erp", "sub": subject, "iat": now, "exp": now + 300, "nonce": NONCE,
           "email": email, "email_verified": true, "given_name": "Nora", "family_name": "Lund"})
}

pub fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

/// User, whether he is new, and why not: one of them NULL.
fn resolve(client: &mut Client, provider: &str, token: &str) -> Vec<String> {
    let sql = format!("SELECT * FROM docperm._resolve_id_token('{provider}', {}, '{NONCE}')", literal(token));
    table(client, &sql).remove(0)
}

fn resolved(client: &mut Client, claims: &Value) -> Vec<String> {
    resolve(client, "Example", &token(claims))
}

fn old(user: &str) -> [&str; 3] {
    [user, "f", "NULL"]
}

fn new(user: &str) -> [&str; 3] {
    [user, "t", "NULL"]
}

fn not(why: &str) -> [&str; 3] {
    ["NULL", "NULL", why]
}

#[test]
fn a_known_address_is_linked_and_the_link_stays() {
    let mut w = world();
    assert_eq!(resolved(&mut w.admin, &claims("s1", "Ann@ERP.test")), old(ANN));
    let links = "SELECT provider, subject, user_name FROM docperm.user_identities";
    assert_eq!(table(&mut w.admin, links), [["Example", "s1", ANN]]);
    // From now on the subject counts, whatever the address is, and whether it is verified.
    let moved = with(claims("s1", "new@elsewhere.test"), "email_verified", json!(false));
    assert_eq!(resolved(&mut w.admin, &moved), old(ANN));
    // Whoever gets the address after him is not him.
    assert_eq!(resolved(&mut w.admin, &claims("s2", ANN)), not("user_has_another_subject"));
    // What another provider says is its own affair.
    let other = token(&with(claims("s2", ANN), "iss", json!("https://other.test")));
    assert_eq!(resolve(&mut w.admin, "Other", &other), old(ANN));
    assert_eq!(resolve(&mut w.admin, "Example", &other), not("wrong_issuer"));

    w.sql(&format!("UPDATE docperm.users SET name = 'lee@erp.test' WHERE name = '{ANN}'"));
    assert_eq!(resolved(&mut w.admin, &claims("s1", "x@y.test")), old("lee@erp.test"));
    w.sql("UPDATE docperm.users SET enabled = false WHERE name = 'lee@erp.test'");
    assert_eq!(resolved(&mut w.admin, &claims("s1", "x@y.test")), not("user_disabled"));
    w.sql("DELETE FROM docperm.users WHERE name = 'lee@erp.test'");
    assert_eq!(table(&mut w.admin, links), [[""; 0]; 0]);
}

#[test]
fn only_an_address_that_is_verified_and_clear_finds_a_user() {
    let mut w = world();
    for value in [json!(false), json!(null), json!("false")] {
        let unverified = with(claims("s1", ANN), "email_verified", value);
        assert_eq!(resolved(&mut w.admin, &unverified), not("email_not_verified"));
    }
    w.sql("INSERT INTO docperm.users (name, email) VALUES ('kim', 'team@erp.test'), ('tom', 'team@erp.test'), ('eve', 'ann@erp.test'),
               ('kim@erp.test', NULL), ('off@erp.test', NULL);
           UPDATE docperm.users SET enabled = false WHERE name = 'off@erp.test';
           UPDATE docperm.users SET email = 'boss@erp.test' WHERE name = 'Administrator';
           UPDATE docperm.users SET email = 'guest@erp.test' WHERE name = 'Guest'");
    w.sql("UPDATE docperm.login_providers SET allow_signup = true");
    for (address, why) in [
        ("", "no_usable_email"),
        ("Administrator", "no_usable_email"),
        ("ann@erp.test ", "no_usable_email"),
        // The Kelvin sign, which is a k in lower case.
        ("\u{212a}im@erp.test", "no_usable_email"),
        ("team@erp.test", "several_users_with_that_email"),
        ("boss@erp.test", "reserved_user"),
        ("guest@erp.test", "reserved_user"),
        ("off@erp.test", "user_disabled"),
    ] {
        assert_eq!(resolved(&mut w.admin, &claims("s1", address)), not(why), "{address}");
    }
    assert_eq!(resolved(&mut w.admin, &claims("s1", ANN)), old(ANN), "a name comes before an address");
    w.sql("DELETE FROM docperm.users WHERE name = 'tom'");
    assert_eq!(resolved(&mut w.admin, &claims("s2", "team@erp.test")), old("kim"));
    let nameless = with(claims("s3", ""), "email", json!(null));
    assert_eq!(resolved(&mut w.admin, &nameless), not("no_usable_email"));
}

#[test]
fn new_users_come_in_where_the_provider_lets_them() {
    let mut w = world();
    let nora = claims("s9", "Nora@new.test");
    assert_eq!(resolved(&mut w.admin, &nora), not("no_such_user"));
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.users"), "3");
    w.sql("UPDATE docperm.login_providers SET allow_signup = true WHERE name = 'Example'");
    assert_eq!(resolved(&mut w.admin, &nora), new("nora@new.test"));
    assert_eq!(resolved(&mut w.admin, &nora), old("nora@new.test"));
    let row = "SELECT email, full_name, enabled, user_type, (SELECT count(*) FROM docperm.user_roles) FROM docperm.users
                WHERE name = 'nora@new.test'";
    assert_eq!(table(&mut w.admin, row), [["nora@new.test", "Nora Lund", "t", "Website User", "0"]]);
    let long = with(claims("s10", "long@new.test"), "given_name", json!("é".repeat(1000)));
    assert_eq!(resolved(&mut w.admin, &long), new("long@new.test"));
    let evil = with(claims("s11", "evil@new.test"), "given_name", json!("a\u{0}b"));
    assert_eq!(resolved(&mut w.admin, &evil), new("evil@new.test"));
    let lengths = "SELECT name, length(first_name) FROM docperm.users WHERE name IN ('long@new.test', 'evil@new.test') ORDER BY 1";
    assert_eq!(table(&mut w.admin, lengths), [["evil@new.test", "NULL"], ["long@new.test", "140"]]);
}

#[test]
fn many_first_logins_at_the_same_time_make_one_user() {
    let mut w = world();
    w.sql("UPDATE docperm.login_providers SET allow_signup = true");
    let token = token(&claims("s1", "nora@new.test"));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (mut client, token) = (w.db.admin(), token.clone());
            std::thread::spawn(move || resolve(&mut client, "Example", &token))
        })
        .collect();
    let answers: Vec<Vec<String>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(answers.iter().all(|answer| answer[0] == "nora@new.test"), "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer[1] == "t").count(), 1);
    assert_eq!(names(&mut w.admin, "SELECT subject FROM docperm.user_identities"), ["s1"]);
}

#[test]
fn forged_tokens_open_nothing() {
    let mut w = world();
    let good = claims("s1", ANN);
    for (changed, why) in [
        (with(good.clone(), "aud", json!("another")), "wrong_audience"),
        (with(good.clone(), "iss", json!("https://evil.test")), "wrong_issuer"),
        (with(good.clone(), "exp", json!(1_300_819_380)), "token_expired"),
        (with(good.clone(), "nbf", json!(20_000_000_000_u64)), "token_not_yet_valid"),
        (with(good.clone(), "nonce", json!("another")), "wrong_nonce"),
        (with(good.clone(), "nonce", json!(null)), "wrong_nonce"),
        (with(good.clone(), "sub", json!("")), "no_subject"),
    ] {
        assert_eq!(resolved(&mut w.admin, &changed), not(why), "{changed}");
    }
    let payload = good.to_string();
    let unsigned = format!("{}.", test_keys::message(r#"{"alg":"none","kid":"ed"}"#, &payload));
    assert_eq!(resolve(&mut w.admin, "Example", &unsigned), not("algorithm_not_allowed"));
    let unknown = signed("EdDSA", r#"{"alg":"EdDSA","kid":"x"}"#, &payload);
    assert_eq!(resolve(&mut w.admin, "Example", &unknown), not("unknown_key"));
    let confused = signed("EdDSA", r#"{"alg":"RS256","kid":"rsa"}"#, &payload);
    assert_eq!(resolve(&mut w.admin, "Example", &confused), not("wrong_signature"));
    assert_eq!(resolve(&mut w.admin, "Example", "garbage"), not("token_malformed"));
    assert_eq!(resolve(&mut w.admin, "Nobody", &token(&good)), not("provider_unknown_or_disabled"));
    let by = |algorithm: &str, id: &str| {
        signed(algorithm, &json!({"alg": algorithm, "kid": id}).to_string(), &payload)
    };
    for (algorithm, id) in [("RS256", "rsa"), ("PS512", "rsa"), ("ES256", "ec"), ("EdDSA", "ed")] {
        assert_eq!(resolve(&mut w.admin, "Example", &by(algorithm, id)), old(ANN), "{algorithm}");
    }
    w.sql("UPDATE docperm.login_providers SET enabled = false");
    assert_eq!(resolve(&mut w.admin, "Example", &token(&good)), not("provider_unknown_or_disabled"));
    assert_eq!(names(&mut w.admin, "SELECT subject FROM docperm.user_identities"), ["s1"]);
}

#[test]
fn the_nonce_is_demanded_unless_the_provider_has_none() {
    let mut w = world();
    let given = |claims: &Value, nonce: &str| {
        format!(
            "SELECT refusal FROM docperm._resolve_id_token('Example', {}, {nonce})",
            literal(&token(claims))
        )
    };
    let with_nonce = claims("s1", ANN);
    let without = with(with_nonce.clone(), "nonce", json!(null));
    for nonce in ["NULL", "''"] {
        assert_eq!(one(&mut w.admin, &given(&with_nonce, nonce)), "wrong_nonce");
        assert_eq!(one(&mut w.admin, &given(&without, nonce)), "wrong_nonce");
    }
    w.sql("UPDATE docperm.login_providers SET require_nonce = false");
    assert_eq!(one(&mut w.admin, &given(&without, "NULL")), "NULL");
    assert_eq!(
        one(&mut w.admin, &given(&with_nonce, "'another'")),
        "wrong_nonce",
        "one that is given counts"
    );
}

#[test]
fn a_provider_that_becomes_another_forgets_who_came() {
    let mut w = world();
    resolved(&mut w.admin, &claims("s1", ANN));
    let count = "SELECT count(*) FROM docperm.user_identities";
    w.sql("UPDATE docperm.login_providers SET name = 'Renamed', client_id = 'erp2' WHERE name = 'Example'");
    assert_eq!(
        table(&mut w.admin, "SELECT provider, user_name FROM docperm.user_identities"),
        [["Renamed", ANN]]
    );
    w.sql("UPDATE docperm.login_providers SET issuer = 'https://third.test' WHERE name = 'Renamed'");
    assert_eq!(one(&mut w.admin, count), "0");
    w.sql(&format!("INSERT INTO docperm.user_identities VALUES ('Renamed', 's1', '{ANN}')"));
    w.sql("DELETE FROM docperm.login_providers WHERE name = 'Renamed'");
    assert_eq!(one(&mut w.admin, count), "0");
}

#[test]
fn bad_providers_and_identities_are_refused() {
    let mut w = world();
    let set_keys = |keys: &str| format!("UPDATE docperm.login_providers SET jwks = {}", literal(keys));
    for (keys, detail) in [
        ("{}", "It is no object with an array \"keys\"."),
        ("{\"keys\": []}", "No key is for signatures by RSA, by ECDSA with P-256 or P-384, or by Ed25519."),
        (
            &set(&[RSA_JWK, r#"{"kty": "oct", "k": "c2VjcmV0"}"#]),
            "Key 2 is secret: a private key, or one that both sides share.",
        ),
        (&set(&[r#"{"kty": "RSA", "n": "x", "e": "AQAB"}"#]), "Key 1 is malformed."),
        (
            &set(&[r#"{"kty": "RSA", "n": "AQAB", "e": "AQAB"}"#]),
            "Key 1 is an RSA key of another length than 2048 to 4096 bits.",
        ),
    ] {
        let error = refused(&mut w.admin, &set_keys(keys));
        assert_eq!((&*error.sqlstate, error.detail.as_deref()), ("22023", Some(detail)));
        assert!(error.hint.is_some() && !format!("{error:?}").contains("c2VjcmV0"), "{error:?}");
    }
    let provider = |values: &str| {
        format!("INSERT INTO docperm.login_providers (name, issuer, client_id, jwks) VALUES ({values})")
    };
    let keys = literal(&set(&[RSA_JWK]));
    for values in [
        "'x', NULL, 'erp', {}",
        "'x', '', 'erp', {}",
        "'x', 'i', NULL, {}",
        "'x', 'i', '', {}",
        "'', 'i', 'erp', {}",
        "' x', 'i', 'erp', {}",
        "'x', 'i', 'erp', NULL",
    ] {
        assert_eq!(refused_with(&mut w.admin, &provider(&values.replace("{}", &keys))), "23514", "{values}");
    }
    let identity = |provider: &str, user: &str| {
        format!(
            "INSERT INTO docperm.user_identities (provider, subject, user_name) VALUES ('{provider}', 's', '{user}')"
        )
    };
    assert_eq!(refused_with(&mut w.admin, &identity("Example", "administrator")), "22023");
    assert_eq!(refused_with(&mut w.admin, &identity("Example", "Guest")), "22023");
    assert_eq!(refused_with(&mut w.admin, &identity("Example", "nobody")), "42704");
    assert_eq!(refused_with(&mut w.admin, &identity("Nobody", ANN)), "42704");
    w.sql(&identity("Example", " Ann@ERP.test"));
}

#[test]
fn a_stranger_gets_nowhere() {
    let w = world();
    let mut c = w.acting(ANN);
    for sql in [
        "TABLE docperm.login_providers",
        "TABLE docperm.user_identities",
        "SELECT * FROM docperm._resolve_id_token('Example', 'x', NULL)",
        "SELECT docperm._require_jwks('{}')",
        "INSERT INTO docperm.user_identities VALUES ('Example', 'me', 'ann@erp.test')",
    ] {
        assert_eq!(refused_with(&mut c, sql), "42501", "{sql}");
    }
}
