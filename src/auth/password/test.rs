//! Known answers, and what must not pass.

use argon2::{Algorithm, Argon2, AssociatedData, ParamsBuilder, Version};

use super::*;

/// Made by the reference implementation (libargon2, through argon2-cffi), and two of its test suite.
const ARGON2: [(&str, &str); 9] = [
    ("password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"),
    ("password", "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"),
    ("password", "$argon2i$v=16$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY"),
    // Without a version it is the first one.
    ("password", "$argon2i$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY"),
    ("password", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"),
    ("password", "$argon2d$v=19$m=256,t=2,p=2$c29tZXNhbHQ$e2nJLXw4iarRKB28i678Esw3yA8cdeM+8sLUDCjrxXM"),
    (
        "differentpassword",
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$gJ7nvBcFxQh1IVKFS/MiEpoKAD5/Dtz7d04b9qEdSeU",
    ),
    ("password", "$argon2id$v=19$m=256,t=3,p=4$c29tZXNhbHQ$gnktR/nN4iue/y0pIDOKVULnu6asBp/M"),
    (
        "päss",
        "$argon2id$v=19$m=64,t=1,p=1$ZGlmZnNhbHQxMjM0NTY3OA$mzXFLaU3PZv8BaY2jDDby/LFlP8Cy0HuzKr8IBGsCTw",
    ),
];

/// Made by passlib 1.7.4; the first is of a real Frappe's making.
const PASSLIB: [(&str, &str); 5] = [
    (
        "correct horse",
        "$pbkdf2-sha256$29000$AAECAwQFBgcICQoLDA0ODw$ZvLORN3Wu1.2s6Mb0kBKZ43bylSsC/t0Vz5rE9nJPNg",
    ),
    ("pässwörd", "$pbkdf2-sha256$29000$/////////////////////w$SgaNlzw4WG.gjGb/J5kQdU7nR/MaoqbhmCCO0kqMEKE"),
    ("pässwörd", "$pbkdf2-sha256$1000$....................eA$dDnOJTIXVLrULu1/wmtKiB8OcGSI3Tep0FVcaP7qUWA"),
    ("Ｐａｓｓ", "$pbkdf2-sha256$29000$EBESExQVFhcYGRobHB0eHw$L6HeIS8SIklyrPoBvQvMHcuU80yvwd47bv20lcld3Tw"),
    ("pa\u{308}ss", "$pbkdf2-sha256$1500$AAECAwQFBgcICQoLDA0ODw$GKrqgMDWbItKotv5pap45Ny83hJjdNb4rB.ZJkOCWh0"),
];

/// passlib's, of 200 times the letter x.
const PASSLIB_LONG: &str =
    "$pbkdf2-sha256$600$c2FsdHNhbHRzYWx0c2FsdA$ypY4tx36Z510Ds8t3wEmfaF66B2dZI8t24bQNBNQt9U";

const QUICK: Cost = Cost { memory_kib: 64, iterations: 1, parallelism: 1 };

fn made(password: &str) -> String {
    hash(password, [7; 16], QUICK).unwrap()
}

/// RFC 9106, section 5.3. docperm uses neither secret nor associated data: this is about the library.
#[test]
fn the_library_computes_the_vector_of_the_rfc() {
    let mut params = ParamsBuilder::new();
    params.m_cost(32).t_cost(3).p_cost(4).data(AssociatedData::new(&[4; 12]).unwrap());
    let params = params.build().unwrap();
    let argon2 = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).unwrap();
    let mut tag = [0; 32];
    argon2.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
    let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
}

#[test]
fn hashes_of_other_makers_verify() {
    for (password, stored) in ARGON2.iter().chain(&PASSLIB) {
        assert_eq!(verify(password, stored), Ok(Verdict::Right), "{stored}");
        assert_eq!(verify(&format!("{password} "), stored), Ok(Verdict::Wrong), "{stored}");
        assert_eq!(verify("", stored), Ok(Verdict::Wrong), "{stored}");
    }
    assert_eq!(verify(&"x".repeat(200), PASSLIB_LONG), Ok(Verdict::Right));
    assert_eq!(verify(&"x".repeat(199), PASSLIB_LONG), Ok(Verdict::Wrong));
}

#[test]
fn what_is_made_is_what_the_reference_implementation_makes() {
    let cost = Cost { memory_kib: 64, iterations: 1, parallelism: 1 };
    assert_eq!(hash("päss", *b"diffsalt12345678", cost).unwrap(), ARGON2[8].1);
    let default = hash("päss", [0; 16], Cost::default()).unwrap();
    assert!(default.starts_with("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$"), "{default}");
    assert_eq!(default.len(), 97);
}

#[test]
fn one_password_whatever_the_keyboard() {
    let composed = made("päss①ﬁ");
    for typed in ["pa\u{308}ss1fi", "ｐäｓｓ１ﬁ", "päss1fi"] {
        assert_eq!(made(typed), composed);
        assert_eq!(verify(typed, &composed), Ok(Verdict::Right));
    }
    assert_eq!(verify("pass1fi", &composed), Ok(Verdict::Wrong));
    assert_eq!(verify("PÄSS1FI", &composed), Ok(Verdict::Wrong));
}

#[test]
fn what_others_hashed_as_it_was_typed_verifies() {
    // Made by libargon2 of the decomposed text.
    let decomposed =
        "$argon2id$v=19$m=64,t=1,p=1$ZGlmZnNhbHQxMjM0NTY3OA$0PBAGDWQInhicMvzYfAqFCqZdNuJeiQ8OBOzIIHHQ+k";
    assert_eq!(verify("pa\u{308}ss", decomposed), Ok(Verdict::Right));
    assert_eq!(verify("päss", decomposed), Ok(Verdict::Wrong));
    // Typed decomposed, hashed by Frappe composed.
    assert_eq!(verify("pa\u{308}sswo\u{308}rd", PASSLIB[1].1), Ok(Verdict::Right));
}

#[test]
fn no_password_is_cut_short() {
    for length in [56, 64, 72, 128, 512, 4095] {
        let (long, longer) = ("x".repeat(length), "x".repeat(length + 1));
        assert_ne!(made(&long), made(&longer), "{length}");
        assert_eq!(verify(&longer, &made(&long)), Ok(Verdict::Wrong), "{length}");
    }
    let longest = "x".repeat(MAX_PASSWORD_BYTES);
    assert_eq!(verify(&longest, &made(&longest)), Ok(Verdict::Right));
    assert_ne!(made("nul\0byte"), made("nul\0bite"));
    assert_ne!(made("blank "), made("blank"));
}

#[test]
fn what_cannot_be_hashed_is_refused() {
    assert_eq!(hash("", [0; 16], QUICK), Err(Trouble::Empty));
    assert_eq!(hash(&"x".repeat(MAX_PASSWORD_BYTES + 1), [0; 16], QUICK), Err(Trouble::TooLong));
    assert_eq!(verify(&"x".repeat(MAX_PASSWORD_BYTES + 1), &made("x")), Ok(Verdict::Wrong));
}

#[test]
fn the_salt_counts() {
    assert_ne!(hash("x", [1; 16], QUICK), hash("x", [2; 16], QUICK));
}

#[test]
fn what_is_no_hash_is_refused_and_not_shown() {
    let unknown = |scheme: &str| Trouble::UnknownScheme(Some(scheme.to_owned()));
    for (stored, trouble) in [
        ("", Trouble::UnknownScheme(None)),
        ("hunter2", Trouble::UnknownScheme(None)),
        ("$", Trouble::UnknownScheme(None)),
        ("$Hunter 2$x", Trouble::UnknownScheme(None)),
        ("$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234", unknown("2b")),
        ("$frappel$x", unknown("frappel")),
        ("$argon2$v=19$m=64,t=1,p=1$c29tZXNhbHQ$x", unknown("argon2")),
        ("$pbkdf2$29000$a$b", unknown("pbkdf2")),
    ] {
        assert_eq!(verify("x", stored), Err(trouble.clone()), "{stored}");
        assert!(stored.is_empty() || !trouble.to_string().contains(stored));
    }
}

#[test]
fn malformed_hashes_are_refused() {
    let (salt, tag) = ("c29tZXNhbHQ", "bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc");
    for rest in [
        String::new(),
        "v=19".to_owned(),
        format!("v=20$m=64,t=1,p=1${salt}${tag}"),
        format!("v=19$m=64,t=1${salt}${tag}"),
        format!("v=19$t=1,m=64,p=1${salt}${tag}"),
        format!("v=19$m=64,t=1,p=1,keyid=AAAA${salt}${tag}"),
        format!("v=19$m=064,t=1,p=1${salt}${tag}"),
        format!("v=19$m=+64,t=1,p=1${salt}${tag}"),
        format!("v=19$m=,t=1,p=1${salt}${tag}"),
        format!("v=19$m=4294967296,t=1,p=1${salt}${tag}"),
        format!("v=19$m=64,t=1,p=1${salt}"),
        format!("v=19$m=64,t=1,p=1${salt}$"),
        format!("v=19$m=64,t=1,p=1${salt}$AAAA"),
        format!("v=19$m=64,t=1,p=1$AAAA${tag}"),
        format!("v=19$m=64,t=1,p=1${salt}${tag}="),
        format!("v=19$m=64,t=1,p=1${salt}${tag}$"),
        format!("v=19$m=64,t=1,p=1${salt}$ {tag}"),
        format!("v=19$m=64,t=1,p=1${}${tag}", "A".repeat(2000)),
    ] {
        let stored = format!("$argon2id${rest}");
        assert_eq!(verify("x", &stored), Err(Trouble::Malformed("argon2id")), "{stored}");
        assert_eq!(require_hash(&stored), Err(Trouble::Malformed("argon2id")), "{stored}");
    }
    let (salt, key) = ("AAECAwQFBgcICQoLDA0ODw", "ZvLORN3Wu1.2s6Mb0kBKZ43bylSsC/t0Vz5rE9nJPNg");
    for rest in [
        String::new(),
        format!("0${salt}${key}"),
        format!("-1${salt}${key}"),
        format!("029000${salt}${key}"),
        format!("29000${salt}"),
        format!("29000${salt}$ZvLO"),
        format!("29000${salt}${key}AAAA"),
        format!("29000${salt}${key}$"),
        format!("29000$!${key}"),
        format!("29000${}${key}", "A".repeat(2000)),
    ] {
        let stored = format!("$pbkdf2-sha256${rest}");
        assert_eq!(verify("x", &stored), Err(Trouble::Malformed("pbkdf2-sha256")), "{stored}");
    }
}

#[test]
fn a_planted_hash_does_not_take_the_server_down() {
    let (salt, tag) = ("c29tZXNhbHQ", "bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc");
    for cost in [
        "m=4294967295,t=1,p=1",
        "m=262145,t=1,p=1",
        "m=262144,t=5,p=1",
        "m=64,t=4294967295,p=1",
        "m=64,t=16385,p=1",
        "m=4096,t=1,p=17",
        "m=64,t=1,p=0",
        "m=64,t=0,p=1",
        "m=0,t=1,p=1",
        "m=7,t=1,p=1",
        "m=15,t=1,p=2",
    ] {
        let stored = format!("$argon2id$v=19${cost}${salt}${tag}");
        assert_eq!(verify("x", &stored), Err(Trouble::CostOutOfBounds), "{stored}");
        assert_eq!(require_hash(&stored), Err(Trouble::CostOutOfBounds), "{stored}");
    }
    for rounds in ["4000001", "4294967295"] {
        let (salt, key) = ("AAECAwQFBgcICQoLDA0ODw", "ZvLORN3Wu1.2s6Mb0kBKZ43bylSsC/t0Vz5rE9nJPNg");
        let stored = format!("$pbkdf2-sha256${rounds}${salt}${key}");
        assert_eq!(verify("x", &stored), Err(Trouble::CostOutOfBounds));
    }
    let least = Cost { memory_kib: 8, iterations: 1, parallelism: 1 };
    assert_eq!(verify("x", &hash("x", [0; 16], least).unwrap()), Ok(Verdict::Right));
    assert_eq!(hash("x", [0; 16], Cost { memory_kib: 7, ..least }), Err(Trouble::CostOutOfBounds));
    assert_eq!(hash("x", [0; 16], Cost { memory_kib: 262_145, ..least }), Err(Trouble::CostOutOfBounds));
}

#[test]
fn what_is_not_of_today_is_hashed_anew() {
    assert!(!needs_rehash(&made("x"), QUICK));
    for other in [
        Cost { memory_kib: 72, ..QUICK },
        Cost { memory_kib: 56, ..QUICK },
        Cost { iterations: 2, ..QUICK },
        Cost { parallelism: 2, ..QUICK },
    ] {
        assert!(needs_rehash(&made("x"), other), "{other:?}");
    }
    for (_, stored) in PASSLIB.iter().chain(&ARGON2[1..4]).chain(&ARGON2[5..6]) {
        assert!(needs_rehash(stored, QUICK), "{stored}");
    }
    let short_tag = made("x")[..made("x").len() - 11].to_owned();
    for other in [
        made("x").replace("argon2id", "argon2i"),
        made("x").replace("v=19", "v=16"),
        made("x").replace("$v=19", ""),
        hash("x", [7; 16], QUICK).unwrap().replace("BwcHBwcHBwcHBwcHBwcHBw", "BwcHBwcHBwc"),
        short_tag,
    ] {
        assert_eq!(require_hash(&other), Ok(()), "{other}");
        assert!(needs_rehash(&other, QUICK), "{other}");
    }
    assert!(!needs_rehash(ARGON2[8].1, QUICK));
    assert!(needs_rehash("nonsense", QUICK));
}

#[test]
fn time_is_spent_within_the_bounds() {
    assert_eq!(spend("x", QUICK), Ok(()));
    assert_eq!(spend("", QUICK), Ok(()));
    assert_eq!(spend("x", Cost { memory_kib: u32::MAX, ..QUICK }), Err(Trouble::CostOutOfBounds));
}

#[test]
fn the_normal_form_leaves_no_copies() {
    for password in ["x".repeat(4096), "ﷺ".repeat(1365), "ﬃ".repeat(100)] {
        let normal = normal_form(&password);
        assert_eq!(normal.capacity(), normal.len());
    }
}
