//! One-time codes as authenticator apps show them: TOTP (RFC 6238) with SHA-1, six digits, a new one every thirty seconds.
//!
//! Other parameters are in the standard, but several apps ignore them silently and show wrong codes.

use totp_rs::{Builder, Secret, Totp};
use zeroize::Zeroizing;

/// Bytes of a secret: as many as SHA-1 has, which is what RFC 4226 recommends.
pub const SECRET_LENGTH: usize = 20;

/// How long a code is shown, in seconds.
const STEP: i64 = 30;

const DIGITS: usize = 6;

/// What a typed code is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// It is right, and belongs to this step. Whoever accepts it remembers the step.
    Right(i64),
    /// It was right, but has been used, or one after it.
    Used,
    /// It is not right.
    Wrong,
}

/// Checks a typed code at the time `now`, in seconds since 1970.
///
/// The code of the step before is right as well, for whoever types slowly, and that of the step after, for whoever's clock
/// is fast: a code is good for ninety seconds at most. A code is good once: none is accepted that belongs to the last used
/// step or to one before it. Blanks between the digits do not matter, apps show them.
#[must_use]
pub fn check(secret: &[u8], typed: &str, now: i64, last_used: Option<i64>) -> Check {
    let typed: Zeroizing<String> = Zeroizing::new(typed.chars().filter(|c| !c.is_whitespace()).collect());
    let generator = generator(secret);
    let step = now.div_euclid(STEP);
    let mut check = Check::Wrong;
    // All of them, whichever is the right one: how long it takes says nothing.
    for step in [step - 1, step, step + 1] {
        let Ok(time) = u64::try_from(step * STEP) else { continue };
        let is_right = generator.check(&typed, time).is_some();
        let is_used = last_used.is_some_and(|last| step <= last);
        check = match (is_right, is_used, check) {
            (true, false, Check::Wrong | Check::Used) => Check::Right(step),
            (true, true, Check::Wrong) => Check::Used,
            _ => check,
        };
    }
    check
}

/// Compares with the code of one step alone, in constant time.
fn generator(secret: &[u8]) -> Totp {
    Builder::new()
        .with_digits(DIGITS as u8)
        .with_step_duration(STEP as u64)
        .with_skew(0)
        .with_secret(Secret::new(secret.into()))
        .build_noncompliant()
}

/// The address that an authenticator app takes the secret from, mostly as a QR code.
///
/// The defaults are written out, too: there are apps that have others.
#[must_use]
pub fn enrolment_uri(secret: &[u8], issuer: &str, account: &str) -> Zeroizing<String> {
    let (issuer, account) = (percent_encoded(issuer), percent_encoded(account));
    let secret = Zeroizing::new(Secret::new(secret.into()).to_base32());
    Zeroizing::new(format!(
        "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP}",
        *secret
    ))
}

/// All but what RFC 3986 calls unreserved; a space is `%20`, since apps do not agree on `+`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use totp_rs::Algorithm;

    use super::*;

    const SECRET: &[u8; SECRET_LENGTH] = b"12345678901234567890";

    /// RFC 6238, appendix B: time, and the codes by SHA-1, SHA-256, SHA-512.
    const VECTORS: [(u64, &str, &str, &str); 6] = [
        (59, "94287082", "46119246", "90693936"),
        (1_111_111_109, "07081804", "68084774", "25091201"),
        (1_111_111_111, "14050471", "67062674", "99943326"),
        (1_234_567_890, "89005924", "91819424", "93441116"),
        (2_000_000_000, "69279037", "90698825", "38618901"),
        (20_000_000_000, "65353130", "77737706", "47863826"),
    ];

    #[test]
    fn the_codes_of_rfc_6238() {
        let digits = b"1234567890123456789012345678901234567890123456789012345678901234";
        let code = |algorithm, length: usize, time| {
            let secret = Secret::new(digits[..length].into());
            let builder = Builder::new().with_algorithm(algorithm).with_digits(8).with_secret(secret);
            builder.build_noncompliant().generate(time).to_string()
        };
        for (time, sha1, sha256, sha512) in VECTORS {
            assert_eq!(code(Algorithm::SHA1, 20, time), sha1);
            assert_eq!(code(Algorithm::SHA256, 32, time), sha256);
            assert_eq!(code(Algorithm::SHA512, 64, time), sha512);
        }
    }

    #[test]
    fn the_codes_of_rfc_6238_with_six_digits_are_right_at_their_time() {
        for (time, code, _, _) in VECTORS {
            let time = time as i64;
            // A code of six digits is the end of one of eight.
            assert_eq!(check(SECRET, &code[2..], time, None), Check::Right(time / 30), "{time}");
            assert_eq!(check(b"another secret of 20", &code[2..], time, None), Check::Wrong);
        }
    }

    fn code_of(step: i64) -> String {
        generator(SECRET).generate((step * STEP) as u64).to_string()
    }

    #[test]
    fn one_step_early_and_one_step_late_and_no_more() {
        let now = 1_700_000_010;
        let step = now / STEP;
        for (offset, expected) in [
            (-2, Check::Wrong),
            (-1, Check::Right(step - 1)),
            (0, Check::Right(step)),
            (1, Check::Right(step + 1)),
            (2, Check::Wrong),
        ] {
            assert_eq!(check(SECRET, &code_of(step + offset), now, None), expected, "{offset}");
        }
    }

    #[test]
    fn a_code_is_good_once_and_none_before_it_is_good_after_it() {
        let now = 1_700_000_010;
        let step = now / STEP;
        assert_eq!(check(SECRET, &code_of(step), now, Some(step - 1)), Check::Right(step));
        assert_eq!(check(SECRET, &code_of(step), now, Some(step)), Check::Used);
        assert_eq!(check(SECRET, &code_of(step - 1), now, Some(step)), Check::Used);
        assert_eq!(check(SECRET, &code_of(step + 1), now, Some(step)), Check::Right(step + 1));
        assert_eq!(check(SECRET, "000000", now, Some(step)), Check::Wrong);
    }

    #[test]
    fn blanks_do_not_matter_and_nothing_else_is_let_through() {
        let at = |typed: &str| check(SECRET, typed, 59, None);
        for typed in ["287082", "287 082", " 287082\n", "2 8 7 0 8 2", "287\u{a0}082"] {
            assert_eq!(at(typed), Check::Right(1), "{typed:?}");
        }
        for typed in [
            "",
            " ",
            "28708",
            "2870822",
            "94287082",
            "+87082",
            "-287082",
            "287-082",
            "28708x",
            "２８７０８２",
        ] {
            assert_eq!(at(typed), Check::Wrong, "{typed:?}");
        }
    }

    #[test]
    fn times_at_the_ends_do_no_harm() {
        for now in [i64::MIN / 64, -1, 0, 29, i64::MAX / 64] {
            assert_eq!(check(SECRET, "no code", now, Some(i64::MAX)), Check::Wrong);
        }
        assert_eq!(check(SECRET, &code_of(0), 0, None), Check::Right(0));
    }

    #[test]
    fn base32_as_in_rfc_4648() {
        let vectors = [
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ];
        for (bytes, text) in vectors {
            assert_eq!(Secret::new(bytes.as_bytes().into()).to_base32(), text);
        }
    }

    #[test]
    fn the_address_names_everything_and_lets_nothing_through() {
        assert_eq!(
            *enrolment_uri(SECRET, "Acme & Söhne", "ann+test@erp.test"),
            "otpauth://totp/Acme%20%26%20S%C3%B6hne:ann%2Btest%40erp.test\
             ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Acme%20%26%20S%C3%B6hne&algorithm=SHA1&digits=6&period=30"
        );
        let uri = enrolment_uri(SECRET, "i", "x?secret=AAAA&issuer=evil#:/");
        assert!(
            uri.starts_with("otpauth://totp/i:x%3Fsecret%3DAAAA%26issuer%3Devil%23%3A%2F?secret=GEZD"),
            "{}",
            *uri
        );
    }
}
