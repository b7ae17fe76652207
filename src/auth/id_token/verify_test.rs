//! Tokens as they should be, examples of the standards, and forgeries.

use serde_json::{Value, json};

use super::Refusal;
use super::jwks::Keys;
use super::test_keys::*;
use super::verify::{Claims, Provider, signed_payload, verify};

const NOW: i64 = 1_800_000_000;
const RFC_PAYLOAD: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const ED_HEADER: &str = r#"{"alg":"EdDSA","kid":"ed"}"#;

fn provider() -> Provider {
    Provider {
        issuer: "https://id.test".to_owned(),
        client_id: "erp".to_owned(),
        keys: Keys::parse(&set(&[RSA_JWK, EC_JWK, ED_JWK])).unwrap(),
    }
}

fn claims() -> Value {
    json!({"iss": "https://id.test", "aud": "erp", "sub": "248289761001", "iat": NOW - 10, "exp": NOW + 300,
           "nonce": "n-0S6_WzA2Mj", "email": "Ann@erp.test", "email_verified": true, "given_name": "Ann"})
}

/// The claims with one of them changed; null takes it away.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn verified(token: &str) -> Result<Claims, Refusal> {
    verify(token, &provider(), Some("n-0S6_WzA2Mj"), NOW)
}

fn ed(header: &str) -> Result<Claims, Refusal> {
    verified(&signed("EdDSA", header, &claims().to_string()))
}

#[track_caller]
fn refused(claims: &Value, why: Refusal) {
    assert_eq!(verified(&token(claims)), Err(why), "{claims}");
}

#[test]
fn a_token_of_the_provider_tells_who_it_is() {
    let expected = Claims {
        subject: "248289761001".to_owned(),
        email: Some("Ann@erp.test".to_owned()),
        email_verified: true,
        given_name: Some("Ann".to_owned()),
        family_name: None,
        name: None,
    };
    assert_eq!(verified(&token(&claims())), Ok(expected.clone()));
    for (algorithm, id) in [("RS256", "rsa"), ("PS512", "rsa"), ("ES256", "ec"), ("EdDSA", "ed")] {
        let header = json!({"alg": algorithm, "kid": id, "typ": "JWT"}).to_string();
        assert_eq!(
            verified(&signed(algorithm, &header, &claims().to_string())),
            Ok(expected.clone()),
            "{algorithm}"
        );
    }
}

#[test]
fn the_examples_of_the_standards_verify() {
    let expected = b"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
    let payload = |token: &str, key: &str| signed_payload(token, &Keys::parse(&set(&[key])).unwrap());
    // RFC 7515, A.2
    let rs256 = format!(
        "eyJhbGciOiJSUzI1NiJ9.{RFC_PAYLOAD}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );
    assert_eq!(payload(&rs256, RSA_JWK).unwrap(), expected);
    // RFC 7515, A.3
    let es256 = format!(
        "eyJhbGciOiJFUzI1NiJ9.{RFC_PAYLOAD}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    assert_eq!(payload(&es256, EC_JWK).unwrap(), expected);
    // RFC 8037, A.4
    let eddsa = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(payload(eddsa, ED_JWK).unwrap(), b"Example of Ed25519 signing");
    // The same with the other keys: each is right with its own only.
    for (token, right) in [(&*rs256, RSA_JWK), (&*es256, EC_JWK), (eddsa, ED_JWK)] {
        for key in [RSA_JWK, EC_JWK, ED_JWK].into_iter().filter(|key| *key != right) {
            assert_eq!(payload(token, key), Err(Refusal::Algorithm));
        }
    }
}

#[test]
fn the_examples_with_what_is_not_allowed_are_refused() {
    let payload = |token: &str| signed_payload(token, &provider().keys);
    // RFC 7515, A.1, which is the example of RFC 7519, 3.1: an HMAC.
    let hs256 = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{RFC_PAYLOAD}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    assert_eq!(payload(&hs256), Err(Refusal::Algorithm));
    // RFC 7515, A.4: P-521 is not supported, by us as by most.
    let es512 = "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
    assert_eq!(payload(es512), Err(Refusal::Algorithm));
    // RFC 7515, A.5, which is the example of RFC 7519, 6.1: no signature at all.
    assert_eq!(payload(&format!("eyJhbGciOiJub25lIn0.{RFC_PAYLOAD}.")), Err(Refusal::Algorithm));
}

#[test]
fn a_token_without_a_signature_is_refused() {
    for algorithm in ["none", "None", "NONE", "nOnE", "", " none"] {
        for id in ["rsa", "ec", "ed"] {
            let header = json!({"alg": algorithm, "kid": id}).to_string();
            let unsigned = format!("{}.", message(&header, &claims().to_string()));
            assert_eq!(verified(&unsigned), Err(Refusal::Algorithm), "{header}");
        }
    }
    let unsigned = format!("{}.", message(ED_HEADER, &claims().to_string()));
    assert_eq!(verified(&unsigned), Err(Refusal::Signature));
    assert_eq!(verified(&message(ED_HEADER, &claims().to_string())), Err(Refusal::Malformed));
}

#[test]
fn a_public_key_is_nobodys_secret() {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use jsonwebtoken::{Algorithm, EncodingKey, crypto};
    let modulus = URL_SAFE_NO_PAD.decode(RSA_N).unwrap();
    // SubjectPublicKeyInfo of an RSA key with 2048 bits, around the modulus.
    let mut der = STANDARD.decode("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA").unwrap();
    der.extend(&modulus);
    der.extend([2, 3, 1, 0, 1]);
    let lines: Vec<String> = STANDARD
        .encode(&der)
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    let secrets = [
        modulus,
        der,
        pem.trim_end().as_bytes().to_vec(),
        pem.into_bytes(),
        RSA_N.as_bytes().to_vec(),
        RSA_JWK.as_bytes().to_vec(),
        vec![],
    ];
    for secret in &secrets {
        for (name, algorithm) in
            [("HS256", Algorithm::HS256), ("HS384", Algorithm::HS384), ("HS512", Algorithm::HS512)]
        {
            for id in [Some("rsa"), None] {
                let header = json!({"alg": name, "kid": id}).to_string();
                let message = message(&header, &claims().to_string());
                let signature =
                    crypto::sign(message.as_bytes(), &EncodingKey::from_secret(secret), algorithm).unwrap();
                assert_eq!(verified(&format!("{message}.{signature}")), Err(Refusal::Algorithm), "{header}");
            }
        }
    }
}

#[test]
fn keys_are_the_providers_alone() {
    assert_eq!(ed(r#"{"alg":"EdDSA","kid":"unknown"}"#), Err(Refusal::UnknownKey));
    assert_eq!(ed(r#"{"alg":"EdDSA","kid":""}"#), Err(Refusal::UnknownKey));
    // The key of that name is of another type.
    assert_eq!(ed(r#"{"alg":"EdDSA","kid":"rsa"}"#), Err(Refusal::Algorithm));
    assert_eq!(ed(r#"{"alg":"RS256","kid":"ed"}"#), Err(Refusal::Algorithm));
    assert_eq!(ed(r#"{"alg":"RS256","kid":"rsa"}"#), Err(Refusal::Signature));
    assert_eq!(ed(r#"{"alg":"ES256","kid":"ec"}"#), Err(Refusal::Signature));
    assert_eq!(ed(r#"{"alg":"EdDSA","kid":1}"#), Err(Refusal::Malformed));
    // A key that the token brings along opens nothing.
    let mut only_rsa = provider();
    only_rsa.keys = Keys::parse(&set(&[RSA_JWK])).unwrap();
    let own = format!(r#"{{"alg":"EdDSA","kid":"ed","jwk":{ED_JWK},"jku":"https://evil.test/keys"}}"#);
    let token = signed("EdDSA", &own, &claims().to_string());
    assert_eq!(verify(&token, &only_rsa, None, NOW), Err(Refusal::UnknownKey));
    // Nor one that is for encryption, or for another algorithm.
    for members in [r#""use":"enc""#, r#""key_ops":["encrypt"]"#] {
        let encrypting = ED_JWK.replace(r#""kid""#, &format!("{members}, \"kid\""));
        only_rsa.keys = Keys::parse(&set(&[RSA_JWK, &encrypting])).unwrap();
        assert_eq!(verify(&self::token(&claims()), &only_rsa, None, NOW), Err(Refusal::UnknownKey));
    }
    let pss_only = RSA_JWK.replace(r#""kid""#, r#""alg":"PS512", "kid""#);
    only_rsa.keys = Keys::parse(&set(&[&pss_only])).unwrap();
    let by = |algorithm: &str| {
        let header = json!({"alg": algorithm, "kid": "rsa"}).to_string();
        verify(&signed(algorithm, &header, &claims().to_string()), &only_rsa, None, NOW).map(|_| ())
    };
    assert_eq!((by("PS512"), by("RS256")), (Ok(()), Err(Refusal::Algorithm)));
}

#[test]
fn without_a_name_the_key_has_to_be_clear() {
    assert!(ed(r#"{"alg":"EdDSA"}"#).is_ok());
    let mut two = provider();
    let other = ED_JWK.replace(
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw",
    );
    two.keys = Keys::parse(&set(&[ED_JWK, &other.replace("\"ed\"", "\"ed2\"")])).unwrap();
    let nameless = signed("EdDSA", r#"{"alg":"EdDSA"}"#, &claims().to_string());
    assert_eq!(verify(&nameless, &two, None, NOW), Err(Refusal::UnknownKey));
    // Two keys of one name: while a provider changes keys, either will do.
    two.keys = Keys::parse(&set(&[&other, ED_JWK])).unwrap();
    assert!(verify(&token(&claims()), &two, None, NOW).is_ok());
}

#[test]
fn it_is_the_issuers() {
    for issuer in
        [json!("https://id.test/"), json!("https://ID.test"), json!("http://id.test"), json!(""), json!(null)]
    {
        refused(&with("iss", issuer), Refusal::Issuer);
    }
    refused(&with("iss", json!(["https://id.test"])), Refusal::Malformed);
    let mut nameless = provider();
    nameless.issuer.clear();
    assert_eq!(verify(&token(&with("iss", json!(""))), &nameless, None, NOW), Err(Refusal::Issuer));
}

#[test]
fn it_is_meant_for_us() {
    for audience in [
        json!("other"),
        json!("ERP"),
        json!("erp "),
        json!(["other"]),
        json!([]),
        json!([["erp"]]),
        json!({"erp": 1}),
        json!(null),
    ] {
        refused(&with("aud", audience), Refusal::Audience);
    }
    let several = |party: Value| {
        let mut claims = with("aud", json!(["other", "erp"]));
        claims["azp"] = party;
        verified(&token(&claims)).map(|_| ())
    };
    assert_eq!(several(json!("erp")), Ok(()));
    assert_eq!(several(json!(null)), Err(Refusal::Audience));
    assert_eq!(several(json!("other")), Err(Refusal::Audience));
    assert!(verified(&token(&with("aud", json!(["erp"])))).is_ok());
    refused(&with("azp", json!("other")), Refusal::Audience);
    let mut nameless = provider();
    nameless.client_id.clear();
    assert_eq!(verify(&token(&with("aud", json!(""))), &nameless, None, NOW), Err(Refusal::Audience));
}

#[test]
fn it_is_good_now() {
    let at = |name: &str, time: i64| verified(&token(&with(name, json!(time)))).map(|_| ());
    assert_eq!(at("exp", NOW - 59), Ok(()));
    assert_eq!(at("exp", NOW - 60), Err(Refusal::Expired));
    assert_eq!(at("exp", 0), Err(Refusal::Expired));
    assert_eq!(at("nbf", NOW + 60), Ok(()));
    assert_eq!(at("nbf", NOW + 61), Err(Refusal::NotYetValid));
    assert_eq!(at("iat", NOW + 60), Ok(()));
    assert_eq!(at("iat", NOW + 61), Err(Refusal::NotYetValid));
    assert!(verified(&token(&with("exp", json!(NOW as f64 + 0.5)))).is_ok());
    refused(&with("exp", json!(null)), Refusal::Expired);
    refused(&with("iat", json!(null)), Refusal::NotYetValid);
    for name in ["exp", "iat", "nbf"] {
        refused(&with(name, json!("1800000300")), Refusal::Malformed);
    }
}

#[test]
fn it_is_for_this_attempt() {
    refused(&with("nonce", json!("another")), Refusal::Nonce);
    refused(&with("nonce", json!(null)), Refusal::Nonce);
    refused(&with("nonce", json!(["n-0S6_WzA2Mj"])), Refusal::Nonce);
    assert_eq!(verify(&token(&with("nonce", json!(""))), &provider(), Some(""), NOW), Err(Refusal::Nonce));
    assert!(verify(&token(&with("nonce", json!(null))), &provider(), None, NOW).is_ok());
}

#[test]
fn it_says_who_it_is() {
    for subject in [json!(null), json!(""), json!("a\u{0}b"), json!("x".repeat(256))] {
        refused(&with("sub", subject), Refusal::Subject);
    }
    refused(&with("sub", json!(1)), Refusal::Malformed);
    let verified_email =
        |value: Value| verified(&token(&with("email_verified", value))).unwrap().email_verified;
    assert!(verified_email(json!(true)) && verified_email(json!("true")));
    for value in [json!(false), json!("false"), json!(1), json!("yes"), json!(null), json!([true])] {
        assert!(!verified_email(value));
    }
}

#[test]
fn another_kind_of_token_is_none() {
    assert!(ed(r#"{"alg":"EdDSA","kid":"ed","typ":"jwt"}"#).is_ok());
    for kind in ["at+jwt", "logout+jwt", "JOSE", ""] {
        assert_eq!(ed(&json!({"alg": "EdDSA", "kid": "ed", "typ": kind}).to_string()), Err(Refusal::Type));
    }
    refused(
        &with("events", json!({"http://schemas.openid.net/event/backchannel-logout": {}})),
        Refusal::Type,
    );
    assert_eq!(ed(r#"{"alg":"EdDSA","kid":"ed","crit":["exp"],"exp":1}"#), Err(Refusal::Critical));
    assert_eq!(ed(r#"{"alg":"EdDSA","kid":"ed","crit":["b64"],"b64":false}"#), Err(Refusal::Critical));
}

#[test]
fn nothing_comes_twice() {
    let twice = claims().to_string().replacen('{', r#"{"sub":"admin","#, 1);
    assert_eq!(verified(&signed("EdDSA", ED_HEADER, &twice)), Err(Refusal::Malformed));
    let twice = claims().to_string().replacen('{', r#"{"\u0061ud":"other","#, 1);
    assert_eq!(verified(&signed("EdDSA", ED_HEADER, &twice)), Err(Refusal::Malformed));
    assert_eq!(ed(r#"{"alg":"none","alg":"EdDSA","kid":"ed"}"#), Err(Refusal::Malformed));
    assert_eq!(ed(r#"{"alg":"EdDSA","kid":"rsa","kid":"ed"}"#), Err(Refusal::Malformed));
}

#[test]
fn a_changed_token_is_refused() {
    let token = token(&claims());
    let mut accepted = 0;
    for index in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        accepted += usize::from(verified(std::str::from_utf8(&changed).unwrap()).is_ok());
    }
    assert_eq!(accepted, 0);
    assert!(verified(&token).is_ok());
}

#[test]
fn garbage_is_refused() {
    let good = token(&claims());
    for garbage in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "null",
        "{}",
        "\u{0}",
        "ä.ö.ü",
        "e30.e30.",
        "e30.e30.e30",
        "bnVsbA.e30.e30",
    ] {
        assert!(verified(garbage).is_err(), "{garbage}");
    }
    for changed in [
        format!("{good}."),
        format!(".{good}"),
        format!("{good}="),
        format!("{good} "),
        format!(" {good}"),
        format!("Bearer {good}"),
        format!("{good}.x"),
    ] {
        assert_eq!(verified(&changed), Err(Refusal::Malformed), "{changed}");
    }
    assert_eq!(verified(&signed("EdDSA", ED_HEADER, "[]")), Err(Refusal::Malformed));
    assert_eq!(verified(&signed("EdDSA", ED_HEADER, "not json")), Err(Refusal::Malformed));
    assert_eq!(ed("{}"), Err(Refusal::Malformed));
}

#[test]
fn a_huge_token_is_not_even_looked_at() {
    assert_eq!(verified(&"a".repeat(16 * 1024 + 1)), Err(Refusal::TooLong));
    assert_eq!(verified(&token(&with("more", json!("x".repeat(20_000))))), Err(Refusal::TooLong));
    assert!(verified(&token(&with("more", json!("x".repeat(8_000))))).is_ok());
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(4_000), "]".repeat(4_000));
    assert_eq!(verified(&signed("EdDSA", ED_HEADER, &deep)), Err(Refusal::Malformed));
}
