//! Passwords: hashed, judged, imported, set, reset by token, due to be changed; and where they must not show.

use std::thread;

use docperm_testkit::{ServerError, server};
use postgres::Client;

use crate::support::{World, attempt, literal, one, refused, refused_with, run, set_user, table};

const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";
const KIM: &str = "kim@erp.test";

/// Good enough for everybody.
const STRONG: &str = "violet tractor seventeen ovens";
const OTHER: &str = "plumage of nine grey herons";

/// Of `correct horse`, as Frappe stores it.
const FRAPPE: &str =
    "$pbkdf2-sha256$29000$AAECAwQFBgcICQoLDA0ODw$ZvLORN3Wu1.2s6Mb0kBKZ43bylSsC/t0Vz5rE9nJPNg";

/// Ann and Bob have no role, Kim is a System Manager. Hashing is quick: what it costs is tested elsewhere.
fn world() -> World {
    let mut w = World::new(
        "UPDATE docperm.settings SET argon2_memory_kib = 64, argon2_iterations = 1, logout_on_password_reset = false",
    );
    w.user(ANN, &[]);
    w.user(BOB, &[]);
    w.user(KIM, &["System Manager"]);
    w
}

fn set_password(user: &str, password: &str) -> String {
    format!("SELECT docperm.set_password({}, {}, logout_sessions => false)", literal(user), literal(password))
}

/// Whether it is the user's password, asked as superuser.
fn is_password(w: &mut World, user: &str, password: &str) -> bool {
    let found = format!(
        "SELECT docperm.verify_password({}, password_hash) FROM docperm.passwords WHERE user_name = {}",
        literal(password),
        literal(user)
    );
    table(&mut w.admin, &found) == [["t"]]
}

fn request(client: &mut Client, login_id: &str) -> String {
    one(client, &format!("SELECT docperm.request_password_reset({})", literal(login_id)))
}

fn reset(token: &str, password: &str) -> String {
    format!("SELECT docperm.reset_password({}, {})", literal(token), literal(password))
}

/// What is wrong, with everything that the client is told.
fn told(error: &ServerError) -> String {
    format!("{error:?}")
}

#[test]
fn a_hash_is_made_at_the_cost_in_the_settings_with_a_salt_of_its_own() {
    let mut w = World::new("");
    let hash = |w: &mut World| one(&mut w.admin, "SELECT docperm.hash_password('hunter2')");
    let (first, second) = (hash(&mut w), hash(&mut w));
    assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
    assert_ne!(first, second);
    w.sql(
        "UPDATE docperm.settings SET argon2_memory_kib = 128, argon2_iterations = 3, argon2_parallelism = 2",
    );
    let other = hash(&mut w);
    assert!(other.starts_with("$argon2id$v=19$m=128,t=3,p=2$"), "{other}");
    for hash in [first, second, other] {
        let verify = |password: &str| format!("SELECT docperm.verify_password('{password}', '{hash}')");
        assert_eq!(one(&mut w.admin, &verify("hunter2")), "t");
        assert_eq!(one(&mut w.admin, &verify("Hunter2")), "f");
    }
    assert_eq!(one(&mut w.admin, "SELECT docperm.hash_password(NULL) IS NULL"), "t");
}

#[test]
fn costs_that_could_take_the_server_down_are_refused() {
    let mut w = World::new("");
    for setting in [
        "argon2_memory_kib = 262145",
        "argon2_memory_kib = 7",
        "argon2_memory_kib = 262144, argon2_iterations = 5",
        "argon2_iterations = 0",
        "argon2_iterations = 2147483647",
        "argon2_parallelism = 0",
        "argon2_parallelism = 17",
        "argon2_memory_kib = 15, argon2_parallelism = 2",
    ] {
        let update = format!("UPDATE docperm.settings SET {setting}");
        assert_eq!(refused_with(&mut w.admin, &update), "23514", "{setting}");
    }
    // What the settings allow, the library does.
    for setting in [
        "argon2_memory_kib = 8, argon2_iterations = 1",
        "argon2_memory_kib = 128, argon2_parallelism = 16",
        "argon2_memory_kib = 64, argon2_iterations = 16384, argon2_parallelism = 1",
    ] {
        w.sql(&format!("UPDATE docperm.settings SET {setting}"));
        assert_eq!(one(&mut w.admin, "SELECT docperm.verify_password('x', docperm.hash_password('x'))"), "t");
    }
    for stored in [
        "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
        "$pbkdf2-sha256$4294967295$AAECAwQFBgcICQoLDA0ODw$ZvLORN3Wu1.2s6Mb0kBKZ43bylSsC/t0Vz5rE9nJPNg",
    ] {
        let verify = format!("SELECT docperm.verify_password('x', '{stored}')");
        let error = refused(&mut w.admin, &verify);
        assert_eq!(error.sqlstate, "22023");
        let insert = format!(
            "INSERT INTO docperm.passwords (user_name, password_hash) VALUES ('Administrator', '{stored}')"
        );
        assert_eq!(refused_with(&mut w.admin, &insert), "22023");
    }
}

#[test]
fn strength_is_told_with_what_is_wrong() {
    let w = World::new("");
    // Anybody may ask.
    let stranger = w.db.login_role("stranger");
    let mut c = w.db.connect_as(&stranger);
    let found = table(&mut c, "SELECT * FROM docperm.password_strength('password')");
    assert_eq!(
        found[0][2..],
        ["This is a top-10 common password.", "{\"Add another word or two. Uncommon words are better.\"}"]
    );
    let score = |c: &mut Client, arguments: &str| {
        one(c, &format!("SELECT score FROM docperm.password_strength({arguments})"))
    };
    assert_eq!(score(&mut c, "'zxcvbn'"), "0");
    assert_eq!(score(&mut c, "'bee2ve'"), "1");
    assert_eq!(score(&mut c, "'Eastern_43A1W'"), "3");
    assert_eq!(score(&mut c, "'zwirbelwerke'"), "4");
    assert_eq!(score(&mut c, "'zwirbelwerke', ARRAY[NULL, 'ann@zwirbelwerke.example']"), "0");
    assert_eq!(score(&mut c, "user_inputs => '{}', password => ''"), "0");
    assert_eq!(table(&mut c, "SELECT * FROM docperm.password_strength(NULL)").len(), 0);
    let long = table(
        &mut c,
        "SELECT score FROM docperm.password_strength(repeat('4@8({[<369!1|70$5+7%2z', 50000), '{4,@,x}')",
    );
    assert_eq!(long, [["4"]]);
}

#[test]
fn strangers_can_neither_hash_nor_verify_nor_read() {
    let w = world();
    let stranger = w.db.login_role("stranger");
    let mut c = w.db.connect_as(&stranger);
    for statement in [
        "SELECT docperm.hash_password('x')",
        "SELECT docperm._hash_password('x', 262144, 4, 1)",
        "SELECT docperm.verify_password('x', 'y')",
        "SELECT docperm._store_password('ann@erp.test', 'x')",
        "SELECT docperm._check_new_password('ann@erp.test', 'x')",
        "SELECT docperm._known_about('ann@erp.test')",
        "SELECT docperm._must_change_password('ann@erp.test')",
        "SELECT docperm.request_password_reset('ann@erp.test')",
        "SELECT docperm.password_reset_recipient('x')",
        "SELECT docperm._reset_token()",
        "SELECT * FROM docperm.passwords",
        "SELECT * FROM docperm.password_resets",
        "INSERT INTO docperm.passwords VALUES ('ann@erp.test', 'x')",
        "UPDATE docperm.passwords SET must_change = false",
        "DELETE FROM docperm.password_resets",
        "UPDATE docperm.settings SET enable_password_policy = false",
    ] {
        assert_eq!(refused_with(&mut c, statement), "42501", "{statement}");
    }
}

#[test]
fn only_administrators_set_passwords() {
    let mut w = world();
    for user in [ANN, "Guest"] {
        let mut c = w.acting(user);
        for holder in [ANN, BOB, "Administrator", "nobody@erp.test"] {
            let error = refused(&mut c, &set_password(holder, STRONG));
            assert_eq!(error.sqlstate, "42501", "{user} {holder}");
            assert!(!told(&error).contains(STRONG));
            let import =
                format!("SELECT docperm.import_password_hash({}, {})", literal(holder), literal(FRAPPE));
            assert_eq!(refused_with(&mut c, &import), "42501", "{user} {holder}");
        }
    }
    let mut kim = w.acting(KIM);
    table(&mut kim, &set_password(" Ann@ERP.test ", STRONG));
    assert!(is_password(&mut w, ANN, STRONG));
    table(&mut kim, &set_password(KIM, STRONG));
    assert_eq!(refused_with(&mut kim, &set_password("nobody@erp.test", STRONG)), "42704");
    assert_eq!(refused_with(&mut kim, &set_password("Guest", STRONG)), "22023");
    for nothing in
        ["docperm.set_password(NULL, 'x', false)", "docperm.set_password('ann@erp.test', NULL, false)"]
    {
        assert_eq!(refused_with(&mut kim, &format!("SELECT {nothing}")), "22023", "{nothing}");
    }
    assert!(is_password(&mut w, ANN, STRONG));
}

#[test]
fn the_administrators_password_is_for_the_administrator() {
    let mut w = world();
    let import = format!("SELECT docperm.import_password_hash('administrator', {})", literal(FRAPPE));
    let mut kim = w.acting(KIM);
    assert_eq!(refused_with(&mut kim, &set_password("administrator", STRONG)), "42501");
    assert_eq!(refused_with(&mut kim, &import), "42501");
    table(&mut w.acting("Administrator"), &set_password("Administrator", STRONG));
    assert!(is_password(&mut w, "Administrator", STRONG));
    // A superuser who has become somebody else is that one.
    set_user(&mut w.admin, KIM);
    assert_eq!(refused_with(&mut w.admin, &set_password("Administrator", OTHER)), "42501");
    w.sql("SELECT docperm.set_user(NULL, false)");
    w.sql(&set_password("Administrator", OTHER));
    assert!(is_password(&mut w, "Administrator", OTHER));
    w.sql(&import);
    assert!(is_password(&mut w, "Administrator", "correct horse"));
}

#[test]
fn a_database_role_sets_passwords_as_the_user_it_is_mapped_to() {
    let mut w = world();
    let (manager, stranger) = (w.db.login_role("manager"), w.db.login_role("stranger"));
    w.sql(&format!(
        "UPDATE docperm.users SET db_role = '{manager}' WHERE name = '{KIM}';
         UPDATE docperm.users SET db_role = '{stranger}' WHERE name = '{ANN}'"
    ));
    let mut c = w.db.connect_as(&stranger);
    for way in [
        set_password(ANN, OTHER),
        format!("PREPARE p AS {}; EXECUTE p", set_password(ANN, OTHER)),
        format!("DO $do$ BEGIN PERFORM {}; END $do$", &set_password(ANN, OTHER)["SELECT ".len()..]),
        format!(
            "CREATE FUNCTION pg_temp._administers() RETURNS boolean LANGUAGE sql AS 'SELECT true';
             SET search_path = pg_temp, docperm; {}",
            set_password(ANN, OTHER)
        ),
    ] {
        assert_eq!(refused_with(&mut c, &way), "42501", "{way}");
    }
    assert_eq!(table(&mut w.admin, "SELECT FROM docperm.passwords").len(), 0);
    table(&mut w.db.connect_as(&manager), &set_password(ANN, STRONG));
    assert!(is_password(&mut w, ANN, STRONG));
}

#[test]
fn weak_passwords_are_refused_with_the_reason_and_without_the_password() {
    let mut w = world();
    w.sql(
        "UPDATE docperm.users SET first_name = 'Wilhelmina', last_name = 'Quastenberg', username = 'minaqua',
                mobile_no = '+49 171 5550123' WHERE name = 'ann@erp.test'",
    );
    let weak = ["passw0rd", "Wilhelmina1", "quastenberg", "minaqua99", "491715550123", "k7#Q"];
    for password in weak {
        let error = refused(&mut w.admin, &set_password(ANN, password));
        assert_eq!(error.sqlstate, "22023");
        assert_eq!(error.message, "the new password of \"ann@erp.test\" is too easy to guess");
        assert!(error.detail.as_deref().is_some_and(|detail| detail.len() > 20), "{error:?}");
        assert!(!told(&error).contains(password), "{error:?}");
    }
    // They are somebody else's words.
    for password in ["quastenberg", "minaqua99", "491715550123"] {
        w.sql(&set_password(BOB, password));
    }
    for password in ["", "x".repeat(4097).as_str()] {
        let error = refused(&mut w.admin, &set_password(ANN, password));
        assert_eq!(error.sqlstate, "22023");
        assert!(password.is_empty() || !told(&error).contains(password));
    }
    assert_eq!(
        table(&mut w.admin, "SELECT FROM docperm.passwords WHERE user_name = 'ann@erp.test'").len(),
        0
    );

    w.sql("UPDATE docperm.settings SET minimum_password_score = 1, minimum_password_length = 0");
    assert_eq!(refused_with(&mut w.admin, &set_password(ANN, "zxcvbn")), "22023");
    w.sql(&set_password(ANN, "bee2ve"));
    w.sql(&set_password(ANN, "Eastern_43A1W"));
    w.sql("UPDATE docperm.settings SET minimum_password_score = 4");
    assert_eq!(refused_with(&mut w.admin, &set_password(ANN, "Eastern_43A1W")), "22023");
    w.sql(&set_password(ANN, STRONG));
    w.sql("UPDATE docperm.settings SET enable_password_policy = false");
    w.sql(&set_password(ANN, "password"));
    assert_eq!(refused_with(&mut w.admin, &set_password(ANN, "")), "22023");
}

#[test]
fn the_birth_date_counts_once_users_have_one() {
    let mut w = world();
    w.sql(
        "ALTER TABLE docperm.users ADD COLUMN IF NOT EXISTS birth_date date;
         UPDATE docperm.users SET birth_date = '1990-05-21' WHERE name = 'ann@erp.test'",
    );
    let known = one(&mut w.admin, "SELECT array_to_string(docperm._known_about('ann@erp.test'), ' ')");
    assert!(known.ends_with(" 1990-05-21"), "{known}");
}

#[test]
fn the_old_password_is_not_taken_for_a_new_one_by_whoever_knows_it() {
    let mut w = world();
    let check =
        |old: &str| format!("SELECT docperm._check_new_password('{ANN}', 'violet träctor ovens', {old})");
    table(&mut w.admin, &check("NULL"));
    table(&mut w.admin, &check("'violet tractor ovens'"));
    for old in ["violet träctor ovens", "violet tra\u{308}ctor ovens", "ｖiolet träctor ovens"] {
        let error = refused(&mut w.admin, &check(&literal(old)));
        assert_eq!(error.sqlstate, "22023");
        assert!(error.message.ends_with("is the old one"), "{error:?}");
    }
    // Nobody learns by setting a password what it was.
    w.sql(&set_password(ANN, STRONG));
    w.sql(&set_password(ANN, STRONG));
}

#[test]
fn long_passwords_and_all_keyboards() {
    let mut w = world();
    let long = "violet tractor ".repeat(40);
    assert_eq!(long.len(), 600);
    w.sql(&set_password(ANN, &long));
    assert!(is_password(&mut w, ANN, &long));
    assert!(!is_password(&mut w, ANN, &long[..599]));
    w.sql(&set_password(ANN, "grüne Äpfel ﬁnden ①"));
    assert!(is_password(&mut w, ANN, "gru\u{308}ne A\u{308}pfel finden 1"));
    assert!(!is_password(&mut w, ANN, "grune Apfel finden 1"));
}

#[test]
fn hashes_of_frappe_are_imported() {
    let mut w = world();
    w.sql(&format!(
        "INSERT INTO docperm.passwords (user_name, password_hash, changed_at)
         VALUES (' Ann@ERP.test', '{FRAPPE}', '2020-01-01')"
    ));
    assert!(is_password(&mut w, ANN, "correct horse"));
    assert!(!is_password(&mut w, ANN, "correct horse "));
    let mut kim = w.acting(KIM);
    table(&mut kim, &format!("SELECT docperm.import_password_hash('{BOB}', '{FRAPPE}', '2021-01-01')"));
    table(&mut kim, &format!("SELECT docperm.import_password_hash('{BOB}', '{FRAPPE}')"));
    assert!(is_password(&mut w, BOB, "correct horse"));
    let age = format!("SELECT now() - changed_at < '1 min' FROM docperm.passwords WHERE user_name = '{BOB}'");
    assert_eq!(one(&mut w.admin, &age), "t");
    for hash in
        ["hunter2", "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234", "$argon2id$v=19$x", ""]
    {
        for statement in [
            format!("SELECT docperm.import_password_hash('{BOB}', '{hash}')"),
            format!("INSERT INTO docperm.passwords (user_name, password_hash) VALUES ('{KIM}', '{hash}')"),
            format!("UPDATE docperm.passwords SET password_hash = '{hash}'"),
        ] {
            let error = refused(&mut w.admin, &statement);
            assert_eq!(error.sqlstate, "22023", "{statement}");
            assert!(hash.is_empty() || !told(&error).contains(hash), "{error:?}");
        }
    }
    let unknown =
        format!("INSERT INTO docperm.passwords (user_name, password_hash) VALUES ('x@y.test', '{FRAPPE}')");
    assert_eq!(refused_with(&mut w.admin, &unknown), "42704");
}

#[test]
fn a_password_goes_with_its_user() {
    let mut w = world();
    w.sql(&set_password(ANN, STRONG));
    let token = request(&mut w.admin, ANN);
    w.sql(&format!("UPDATE docperm.users SET name = 'anna@erp.test' WHERE name = '{ANN}'"));
    assert!(is_password(&mut w, "anna@erp.test", STRONG));
    assert_eq!(one(&mut w.admin, &reset(&token, OTHER)), "anna@erp.test");
    w.sql("DELETE FROM docperm.users WHERE name = 'anna@erp.test'");
    assert_eq!(table(&mut w.admin, "SELECT FROM docperm.passwords").len(), 0);
    assert_eq!(table(&mut w.admin, "SELECT FROM docperm.password_resets").len(), 0);
}

#[test]
fn passwords_come_due() {
    let mut w = world();
    for user in [ANN, BOB, "Administrator"] {
        w.sql(&set_password(user, STRONG));
    }
    w.sql(&format!(
        "UPDATE docperm.passwords SET changed_at = now() - interval '30 days 1 hour' WHERE user_name <> '{BOB}'"
    ));
    let due = |w: &mut World| {
        table(
            &mut w.admin,
            "SELECT name FROM docperm.users WHERE docperm._must_change_password(name) ORDER BY 1",
        )
        .concat()
    };
    assert_eq!(due(&mut w), Vec::<String>::new(), "never, by default");
    w.sql("UPDATE docperm.settings SET force_user_to_reset_password = 31");
    assert_eq!(due(&mut w), Vec::<String>::new());
    w.sql("UPDATE docperm.settings SET force_user_to_reset_password = 30");
    assert_eq!(due(&mut w), [ANN], "neither the Administrator nor who has no password");
    w.sql(&set_password(ANN, OTHER));
    assert_eq!(due(&mut w), Vec::<String>::new());
    w.sql("UPDATE docperm.settings SET force_user_to_reset_password = 0");
    for user in [BOB, "Administrator"] {
        w.sql(&format!("SELECT docperm.set_password('{user}', '{STRONG}', false, must_change => true)"));
    }
    assert_eq!(due(&mut w), [BOB]);
    w.sql(&set_password(BOB, OTHER));
    assert_eq!(due(&mut w), Vec::<String>::new());
}

#[test]
fn a_reset_token_is_good_once() {
    let mut w = world();
    w.sql(&set_password(ANN, STRONG));
    let token = request(&mut w.admin, " Ann@ERP.test");
    assert_eq!(token.len(), 64);
    let stored = table(&mut w.admin, "SELECT encode(token_hash, 'hex') FROM docperm.password_resets");
    assert_ne!(stored, [[token.clone()]]);
    let stranger = w.db.login_role("stranger");
    let mut c = w.db.connect_as(&stranger);

    let weak = refused(&mut c, &reset(&token, "password"));
    assert_eq!(weak.sqlstate, "22023");
    assert_eq!(refused_with(&mut c, &format!("SELECT docperm.reset_password('{token}', NULL)")), "22023");
    // A transaction that does not end well leaves everything as it was.
    table(&mut c, &format!("BEGIN; {}; ROLLBACK", reset(&token, OTHER)));
    assert!(is_password(&mut w, ANN, STRONG));

    assert_eq!(one(&mut c, &reset(&token, OTHER)), ANN);
    assert!(is_password(&mut w, ANN, OTHER) && !is_password(&mut w, ANN, STRONG));
    let again = refused(&mut c, &reset(&token, STRONG));
    assert_eq!(again.sqlstate, "28000");
    assert!(again.detail.as_deref().is_some_and(|detail| detail.contains("used")), "{again:?}");
    assert!(is_password(&mut w, ANN, OTHER));

    let zeros = "0".repeat(64);
    for wrong in [zeros.as_str(), "", stored[0][0].as_str(), "'' OR true"] {
        let error = refused(&mut c, &reset(wrong, STRONG));
        assert_eq!((error.sqlstate.as_str(), error.detail.as_deref()), ("28000", Some("It is not valid.")));
        assert!(wrong.is_empty() || !told(&error).contains(wrong));
    }
    assert_eq!(refused_with(&mut c, &format!("SELECT docperm.reset_password(NULL, '{STRONG}')")), "28000");
}

#[test]
fn a_reset_token_expires() {
    let mut w = world();
    w.sql("UPDATE docperm.settings SET reset_password_link_expiry = '1 second'");
    let token = request(&mut w.admin, ANN);
    assert_eq!(one(&mut w.admin, &format!("SELECT docperm.password_reset_recipient('{token}')")), ANN);
    w.sql("UPDATE docperm.password_resets SET expires_at = expires_at - interval '1 second'");
    let error = refused(&mut w.admin, &reset(&token, STRONG));
    assert_eq!((error.sqlstate.as_str(), error.detail.as_deref()), ("28000", Some("It has expired.")));
    assert_eq!(
        one(&mut w.admin, &format!("SELECT docperm.password_reset_recipient('{token}') IS NULL")),
        "t"
    );
    assert_eq!(
        refused_with(&mut w.admin, "UPDATE docperm.settings SET reset_password_link_expiry = '0'"),
        "23514"
    );
    // What is a day old goes at the next request, whoever asks.
    w.sql("UPDATE docperm.password_resets SET expires_at = now() - interval '25 hours', requested_at = now() - interval '26 hours'");
    request(&mut w.admin, "nobody");
    assert_eq!(table(&mut w.admin, "SELECT FROM docperm.password_resets").len(), 0);
}

#[test]
fn who_is_unknown_gets_the_same_answer() {
    let mut w = world();
    w.user("gone@erp.test", &[]);
    w.sql("UPDATE docperm.users SET enabled = false WHERE name = 'gone@erp.test'");
    let app = w.app_role.clone();
    w.sql(&format!(
        "GRANT EXECUTE ON FUNCTION docperm.request_password_reset(text), docperm.password_reset_recipient(text) TO {app}"
    ));
    let mut c = w.app();
    let recipient = |c: &mut Client, token: &str| {
        one(c, &format!("SELECT coalesce(docperm.password_reset_recipient('{token}'), '-')"))
    };
    let known = request(&mut c, ANN);
    assert_eq!(recipient(&mut c, &known), ANN);
    for nobody in ["nobody@erp.test", "gone@erp.test", "Administrator", "guest", "", "ann@erp.test'--"] {
        let token = request(&mut c, nobody);
        assert_eq!(token.len(), 64);
        assert!(token.bytes().all(|b| b.is_ascii_hexdigit()));
        assert_eq!(recipient(&mut c, &token), "-", "{nobody}");
        let error = refused(&mut c, &reset(&token, STRONG));
        assert_eq!((error.sqlstate.as_str(), error.detail.as_deref()), ("28000", Some("It is not valid.")));
    }
    assert_eq!(one(&mut c, "SELECT docperm.request_password_reset(NULL) IS NOT NULL"), "t");
    assert_eq!(table(&mut w.admin, "SELECT FROM docperm.password_resets").len(), 1);
    // Who is disabled since has no use for it.
    w.sql(&format!("UPDATE docperm.users SET enabled = false WHERE name = '{ANN}'"));
    assert_eq!(recipient(&mut c, &known), "-");
    assert_eq!(refused_with(&mut c, &reset(&known, STRONG)), "28000");
    let one_statement = format!(
        "SELECT coalesce(docperm.password_reset_recipient(docperm.request_password_reset('{BOB}')), '-')"
    );
    assert_eq!(one(&mut c, &one_statement), BOB);
}

#[test]
fn a_user_is_sent_so_many_tokens_an_hour() {
    let mut w = world();
    let made = |w: &mut World, user: &str| {
        one(&mut w.admin, &format!("SELECT count(*) FROM docperm.password_resets WHERE user_name = '{user}'"))
    };
    for _ in 0..5 {
        assert_eq!(request(&mut w.admin, ANN).len(), 64);
    }
    assert_eq!(made(&mut w, ANN), "3");
    request(&mut w.admin, BOB);
    assert_eq!(made(&mut w, BOB), "1");
    w.sql("UPDATE docperm.password_resets SET requested_at = requested_at - interval '61 minutes'");
    request(&mut w.admin, ANN);
    assert_eq!(made(&mut w, ANN), "4");
    w.sql("UPDATE docperm.settings SET password_reset_limit = 0");
    for _ in 0..5 {
        request(&mut w.admin, ANN);
    }
    assert_eq!(made(&mut w, ANN), "9");

    // Side by side, they count each other.
    w.sql("UPDATE docperm.settings SET password_reset_limit = 2; DELETE FROM docperm.password_resets");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| request(&mut w.db.admin(), ANN));
        }
    });
    assert_eq!(made(&mut w, ANN), "2");
}

#[test]
fn of_many_who_come_with_one_token_one_wins() {
    let mut w = world();
    for isolation in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        w.sql("DELETE FROM docperm.password_resets");
        let token = request(&mut w.admin, ANN);
        let outcomes: Vec<Result<_, ServerError>> = thread::scope(|scope| {
            let redeem = |n: usize| {
                let mut c = w.db.admin();
                c.batch_execute(&format!("SET default_transaction_isolation = '{isolation}'")).unwrap();
                attempt(&mut c, &reset(&token, &format!("{STRONG} {n}"))).map(|_| n)
            };
            let threads: Vec<_> = (0..6).map(|n| scope.spawn(move || redeem(n))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winners: Vec<usize> =
            outcomes.iter().filter_map(|outcome| outcome.as_ref().ok().copied()).collect();
        assert_eq!(winners.len(), 1, "{isolation}: {outcomes:?}");
        for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert!(["28000", "40001"].contains(&error.sqlstate.as_str()), "{isolation}: {error:?}");
        }
        assert!(is_password(&mut w, ANN, &format!("{STRONG} {}", winners[0])));
    }
}

#[test]
fn the_second_waits_for_the_first_and_wins_if_that_one_gives_up() {
    let mut w = world();
    let token = request(&mut w.admin, ANN);
    let mut first = w.db.admin();
    first.batch_execute(&format!("BEGIN; {}", reset(&token, STRONG))).unwrap();
    thread::scope(|scope| {
        let second = scope.spawn(|| attempt(&mut w.db.admin(), &reset(&token, OTHER)).map(|_| ()));
        let mut watcher = w.db.admin();
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted
                        AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())";
        while one(&mut watcher, waits) != "1" {
            thread::yield_now();
        }
        first.batch_execute("ROLLBACK").unwrap();
        second.join().unwrap().unwrap();
    });
    assert!(is_password(&mut w, ANN, OTHER));
}

#[test]
fn another_password_ends_the_tokens_of_before() {
    let mut w = world();
    let (first, second) = (request(&mut w.admin, ANN), request(&mut w.admin, ANN));
    let bobs = request(&mut w.admin, BOB);
    assert_eq!(one(&mut w.admin, &reset(&second, STRONG)), ANN);
    assert_eq!(refused_with(&mut w.admin, &reset(&first, OTHER)), "28000");
    let third = request(&mut w.admin, ANN);
    w.sql(&set_password(ANN, OTHER));
    assert_eq!(refused_with(&mut w.admin, &reset(&third, STRONG)), "28000");
    assert_eq!(one(&mut w.admin, &reset(&bobs, STRONG)), BOB);
}

/// What the server has logged so far.
fn log() -> String {
    let log = std::fs::read(server().socket_dir().join("server.log")).expect("the server's log");
    String::from_utf8_lossy(&log).into_owned()
}

#[test]
fn no_password_is_logged_whatever_goes_wrong() {
    let mut w = world();
    let secret = |n: usize| format!("gh9-secret{n}-zoo lamp-{}", std::process::id());
    // As by default: statements are logged when they fail, and not otherwise.
    w.sql(
        "SET log_statement = 'none'; SET log_min_error_statement = 'error'; SET log_min_messages = 'warning'",
    );
    let token = request(&mut w.admin, ANN);
    let hash = one(&mut w.admin, &format!("SELECT docperm.hash_password({})", literal(&secret(0))));
    let s: Vec<String> = (0..20).map(|n| literal(&secret(n))).collect();
    let failing = [
        format!("SELECT docperm.set_password('nobody', {})", s[1]),
        format!("SELECT docperm.set_password('Guest', {}, false)", s[2]),
        format!("SELECT docperm.set_password('{ANN}', {} || repeat('x', 4096), false)", s[3]),
        format!("SELECT docperm.reset_password('0000', {})", s[4]),
        format!("SELECT 1 / (length(docperm.hash_password({})) * 0)", s[5]),
        format!("SELECT 1 / (docperm.verify_password({}, '{hash}')::int)", s[6]),
        format!("SELECT docperm.verify_password({}, 'nonsense')", s[7]),
        format!("SELECT 1 / (score - 4) FROM docperm.password_strength({})", s[8]),
        format!(
            "DO $do$ BEGIN PERFORM docperm.set_password('{ANN}', {}, false); RAISE EXCEPTION 'over'; END $do$",
            s[9]
        ),
        format!("DO $do$ BEGIN EXECUTE $x$SELECT docperm.set_password('nobody', {})$x$; END $do$", s[10]),
        format!("PREPARE p AS SELECT docperm.set_password('nobody', {}); EXECUTE p", s[11]),
        format!("EXPLAIN ANALYZE SELECT docperm.set_password('nobody', {})", s[12]),
        format!("INSERT INTO docperm.passwords (user_name, password_hash) VALUES ('{BOB}', {})", s[13]),
        format!("SELECT docperm.import_password_hash('{BOB}', {})", s[14]),
        format!("SELECT 1; SELECT docperm.set_password('{ANN}', {}, false), 1 / (random() * 0)::int", s[15]),
        format!("SELECT docperm.import_password_hash('nobody', {})", s[17]),
        format!("INSERT INTO docperm.passwords (user_name, password_hash) VALUES ('Guest', {})", s[18]),
        format!("SELECT docperm._check_new_password('{ANN}', {} || repeat('x', 4096))", s[19]),
        format!("SELECT 1 / (docperm.password_reset_recipient({}) IS NULL)::int", literal(&token)),
    ];
    for statement in &failing {
        assert!(attempt(&mut w.admin, statement).is_err(), "{statement}");
    }
    // Cancelled while it hashes: PostgreSQL's own error.
    w.sql("UPDATE docperm.settings SET argon2_memory_kib = 65536, argon2_iterations = 16; SET statement_timeout = '100 ms'");
    let slow = format!("SELECT docperm.hash_password({}) FROM generate_series(1, 100)", s[16]);
    assert_eq!(refused_with(&mut w.admin, &slow), "57014");
    w.sql("RESET statement_timeout");
    // Nobody else's statement is concealed by that.
    assert!(attempt(&mut w.admin, "SELECT 1 / 0 AS plain_statement_of_passwords_test").is_err());

    let log = log();
    assert!(log.contains("plain_statement_of_passwords_test"), "the log is read and statements are in it");
    assert!(log.contains("division by zero"));
    for n in 0..20 {
        if let Some(at) = log.find(&secret(n)) {
            panic!("secret {n} is in the log: {}", &log[at.saturating_sub(300)..at + 60]);
        }
    }
    assert!(!log.contains(&hash) && !log.contains(&token));
}

#[test]
fn nothing_of_it_shows_in_errors() {
    let mut w = world();
    let secret = "gh9-zoo lamp";
    for statement in [
        format!("SELECT docperm.set_password('nobody', '{secret}')"),
        format!("SELECT docperm.reset_password('0000', '{secret}')"),
        format!("SELECT docperm.verify_password('{secret}', 'nonsense')"),
        format!("SELECT docperm.verify_password('x', '{secret}')"),
        format!(
            "SELECT docperm.set_password('{ANN}', 'ab{secret}', false), docperm.set_password('{ANN}', 'password', false)"
        ),
    ] {
        let error = refused(&mut w.admin, &statement);
        assert!(!told(&error).contains(secret), "{error:?}");
    }
}

#[test]
fn a_dump_brings_passwords_back_and_no_tokens() {
    let mut w = world();
    w.sql(&set_password(ANN, STRONG));
    w.sql(
        "UPDATE docperm.passwords SET must_change = true;
         UPDATE docperm.settings SET minimum_password_score = 3, reset_password_link_expiry = '1 hour',
                check_child_links = false",
    );
    request(&mut w.admin, ANN);
    let contents =
        "SELECT 's', s::text FROM docperm.settings s UNION ALL SELECT 'p', p::text FROM docperm.passwords p
                    ORDER BY 1";
    let before = table(&mut w.admin, contents);
    let file = std::env::temp_dir().join(format!("docperm-passwords-{}.dump", std::process::id()));
    let path = file.to_str().unwrap();
    run("pg_dump", "postgres", w.db.name(), &["-Fc", "-f", path]).unwrap();
    for jobs in ["--jobs=1", "--jobs=4"] {
        let restored = server().empty_database();
        run("pg_restore", "postgres", restored.name(), &[jobs, "--exit-on-error", path]).unwrap();
        let mut admin = restored.admin();
        assert_eq!(table(&mut admin, contents), before);
        assert_eq!(table(&mut admin, "SELECT FROM docperm.password_resets").len(), 0);
    }
    std::fs::remove_file(file).unwrap();
}
