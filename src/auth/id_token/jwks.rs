//! The public keys of a provider (RFC 7517), and which signature algorithms each of them is for.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::{Map, Value};

/// The usable keys of a set.
#[derive(Debug)]
pub struct Keys(Vec<Key>);

/// A public key.
#[derive(Debug)]
pub struct Key {
    /// Its name in the set, if it has one.
    pub id: Option<String>,
    key: DecodingKey,
    algorithms: Vec<Algorithm>,
}

/// Why a set of keys is no use. The number of a key counts from 1.
#[derive(Debug, PartialEq, Eq)]
pub enum BadKeys {
    /// It is no object with an array `keys`.
    NoSet,
    /// More than anybody has.
    TooMany,
    /// A key is secret: part of a key pair that only the provider may know, or one for both sides.
    Secret(usize),
    /// A key lacks a member, or holds what no key of its type is.
    Malformed(usize),
    /// An RSA key that is too short to be safe.
    Weak(usize),
    /// No key is for signatures of a kind that is known here.
    NoneUsable,
}

const MAX_KEYS: usize = 100;

/// In bits: the least that RFC 7518 allows, and the most that the library computes with.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

const RSA_ALGORITHMS: [(&str, Algorithm); 6] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
];

/// Members that only secret keys have: those of RSA and elliptic curves, and of symmetric keys.
const SECRET_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

impl Keys {
    /// Reads a set. Keys that are not for signatures, or of a kind that is not known, are left out, for providers add new
    /// kinds to their sets.
    ///
    /// # Errors
    /// When nothing is left, and when a key is there that should not be: a secret one, a broken one.
    pub fn parse(jwks: &str) -> Result<Keys, BadKeys> {
        let set: Value = serde_json::from_str(jwks).map_err(|_| BadKeys::NoSet)?;
        let listed = set.get("keys").and_then(Value::as_array).ok_or(BadKeys::NoSet)?;
        if listed.len() > MAX_KEYS {
            return Err(BadKeys::TooMany);
        }
        let mut keys = vec![];
        for (index, listed) in listed.iter().enumerate() {
            let number = index + 1;
            let members = listed.as_object().ok_or(BadKeys::Malformed(number))?;
            keys.extend(read(members, number)?);
        }
        if keys.is_empty() { Err(BadKeys::NoneUsable) } else { Ok(Keys(keys)) }
    }

    /// The keys with which a token may be signed whose header says this.
    ///
    /// It is the key that tells which algorithms are allowed, and not the token: so a public key is never taken for the
    /// secret of an HMAC.
    pub fn named<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        self.0.iter().filter(move |key| id.is_none() || key.id.as_deref() == id)
    }
}

impl Key {
    /// The algorithm of that name, if the key is for it.
    #[must_use]
    pub fn algorithm(&self, name: &str) -> Option<Algorithm> {
        self.algorithms.iter().copied().find(|algorithm| name_of(*algorithm) == Some(name))
    }

    /// Whether the key's owner signed that. The signature is in base64url, as it is in a token.
    #[must_use]
    pub fn has_signed(&self, message: &str, signature: &str, algorithm: Algorithm) -> bool {
        crypto::verify(signature, message.as_bytes(), &self.key, algorithm).unwrap_or(false)
    }
}

fn name_of(algorithm: Algorithm) -> Option<&'static str> {
    match algorithm {
        Algorithm::ES256 => Some("ES256"),
        Algorithm::ES384 => Some("ES384"),
        Algorithm::EdDSA => Some("EdDSA"),
        _ => RSA_ALGORITHMS.iter().find(|(_, known)| *known == algorithm).map(|(name, _)| *name),
    }
}

fn read(members: &Map<String, Value>, number: usize) -> Result<Option<Key>, BadKeys> {
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let kind = text("kty").ok_or(BadKeys::Malformed(number))?;
    if kind == "oct" || SECRET_MEMBERS.iter().any(|name| members.contains_key(*name)) {
        return Err(BadKeys::Secret(number));
    }
    if !is_for_verifying(members) {
        return Ok(None);
    }
    let bytes = |name: &str| {
        text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).ok_or(BadKeys::Malformed(number))
    };
    let coordinate = |name: &str, length: usize| {
        bytes(name)
            .and_then(|bytes| (bytes.len() == length).then_some(bytes).ok_or(BadKeys::Malformed(number)))
    };
    let point = |length: usize| {
        // The uncompressed form of SEC 1, which is how the library takes a point.
        Ok([vec![4], coordinate("x", length)?, coordinate("y", length)?].concat())
    };
    let (key, mut algorithms) = match (kind, text("crv")) {
        ("RSA", _) => {
            let (modulus, exponent) = (bytes("n")?, bytes("e")?);
            check_rsa(&modulus, &exponent, number)?;
            let key = DecodingKey::from_rsa_raw_components(&modulus, &exponent);
            (key, RSA_ALGORITHMS.map(|(_, algorithm)| algorithm).to_vec())
        }
        ("EC", Some("P-256")) => (DecodingKey::from_ec_der(&point(32)?), vec![Algorithm::ES256]),
        ("EC", Some("P-384")) => (DecodingKey::from_ec_der(&point(48)?), vec![Algorithm::ES384]),
        ("OKP", Some("Ed25519")) => (DecodingKey::from_ed_der(&coordinate("x", 32)?), vec![Algorithm::EdDSA]),
        _ => return Ok(None),
    };
    // What the library cannot make a key of, such as a point that is not on its curve, fails at any signature.
    if crypto::verify("", b"", &key, algorithms[0]).is_err() {
        return Err(BadKeys::Malformed(number));
    }
    if let Some(only) = members.get("alg") {
        algorithms.retain(|algorithm| name_of(*algorithm) == only.as_str());
    }
    let id = text("kid").map(str::to_owned);
    Ok((!algorithms.is_empty()).then_some(Key { id, key, algorithms }))
}

/// Not one to encrypt with.
fn is_for_verifying(members: &Map<String, Value>) -> bool {
    let operations = members.get("key_ops").map(Value::as_array);
    members.get("use").is_none_or(|purpose| purpose.as_str() == Some("sig"))
        && operations
            .is_none_or(|known| known.is_some_and(|all| all.iter().any(|one| one.as_str() == Some("verify"))))
}

fn check_rsa(modulus: &[u8], exponent: &[u8], number: usize) -> Result<(), BadKeys> {
    let is_plain =
        |bytes: &[u8]| bytes.first().is_some_and(|first| *first != 0) && bytes[bytes.len() - 1] & 1 == 1;
    // All that is in use is 65537 or smaller, and nothing is signed if it is 1.
    if !is_plain(modulus) || !is_plain(exponent) || exponent.len() > 4 || exponent == [1] {
        return Err(BadKeys::Malformed(number));
    }
    let bits = modulus.len() * 8 - modulus[0].leading_zeros() as usize;
    if RSA_BITS.contains(&bits) { Ok(()) } else { Err(BadKeys::Weak(number)) }
}

#[cfg(test)]
mod tests {
    use super::super::test_keys::{EC_JWK, ED_JWK, RSA_JWK, RSA_N, set};
    use super::*;

    fn why(jwk: &str) -> BadKeys {
        Keys::parse(&set(&[jwk])).unwrap_err()
    }

    fn algorithms(jwk: &str) -> Vec<Algorithm> {
        Keys::parse(&set(&[jwk])).unwrap().0.remove(0).algorithms
    }

    /// The JWK with other members.
    fn with(jwk: &str, members: &str) -> String {
        format!("{}, {members}}}", jwk.strip_suffix('}').unwrap())
    }

    #[test]
    fn the_type_of_a_key_tells_its_algorithms() {
        assert_eq!(algorithms(EC_JWK), [Algorithm::ES256]);
        assert_eq!(algorithms(ED_JWK), [Algorithm::EdDSA]);
        assert_eq!(algorithms(RSA_JWK), RSA_ALGORITHMS.map(|(_, algorithm)| algorithm));
        assert_eq!(algorithms(&with(RSA_JWK, r#""alg": "PS256""#)), [Algorithm::PS256]);
        assert_eq!(algorithms(&with(EC_JWK, r#""use": "sig", "key_ops": ["verify"]"#)), [Algorithm::ES256]);
    }

    #[test]
    fn secret_keys_are_refused() {
        assert_eq!(why(r#"{"kty": "oct", "k": "AAAA"}"#), BadKeys::Secret(1));
        assert_eq!(why(r#"{"kty": "oct"}"#), BadKeys::Secret(1));
        for jwk in [RSA_JWK, EC_JWK, ED_JWK] {
            for member in SECRET_MEMBERS {
                assert_eq!(
                    why(&with(jwk, &format!("\"{member}\": \"AQAB\""))),
                    BadKeys::Secret(1),
                    "{member}"
                );
            }
        }
        let second = set(&[RSA_JWK, &with(EC_JWK, r#""use": "enc", "d": "x""#)]);
        assert_eq!(Keys::parse(&second).unwrap_err(), BadKeys::Secret(2));
    }

    #[test]
    fn what_is_not_for_signatures_is_left_out() {
        for members in [
            r#""use": "enc""#,
            r#""use": 1"#,
            r#""key_ops": ["encrypt"]"#,
            r#""key_ops": "verify""#,
            r#""alg": "RSA-OAEP""#,
            r#""alg": "HS256""#,
            r#""alg": "none""#,
            r#""alg": "ES256""#,
            r#""alg": null"#,
        ] {
            let jwk = with(RSA_JWK, members);
            assert_eq!(why(&jwk), BadKeys::NoneUsable, "{members}");
            assert_eq!(Keys::parse(&set(&[&jwk, EC_JWK])).unwrap().0.len(), 1, "{members}");
        }
        for jwk in [
            r#"{"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}"#,
            r#"{"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}"#,
            r#"{"kty": "EC"}"#,
            r#"{"kty": "OKP", "crv": "X25519", "x": "AA"}"#,
            r#"{"kty": "new"}"#,
        ] {
            assert_eq!(why(jwk), BadKeys::NoneUsable, "{jwk}");
        }
    }

    #[test]
    fn broken_keys_are_refused() {
        for jwk in [
            r#"{}"#.to_owned(),
            r#"{"kty": 1}"#.to_owned(),
            r#"{"kty": "RSA"}"#.to_owned(),
            r#"{"kty": "RSA", "n": "", "e": "AQAB"}"#.to_owned(),
            r#"{"kty": "RSA", "n": "not base64!", "e": "AQAB"}"#.to_owned(),
            format!(r#"{{"kty": "RSA", "n": "{RSA_N}", "e": ""}}"#),
            format!(r#"{{"kty": "RSA", "n": "{RSA_N}", "e": "AQ"}}"#),
            format!(r#"{{"kty": "RSA", "n": "{RSA_N}", "e": "Ag"}}"#),
            format!(r#"{{"kty": "RSA", "n": "{RSA_N}", "e": "AQAAAAAB"}}"#),
            r#"{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}"#.to_owned(),
            r#"{"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}"#.to_owned(),
            // A point beside the curve.
            EC_JWK.replace("f83OJ", "f83OK"),
        ] {
            assert_eq!(why(&jwk), BadKeys::Malformed(1), "{jwk}");
        }
        for jwks in ["", "null", "[]", "{}", r#"{"keys": {}}"#, RSA_JWK] {
            assert_eq!(Keys::parse(jwks).unwrap_err(), BadKeys::NoSet, "{jwks}");
        }
        assert_eq!(Keys::parse(r#"{"keys": [1]}"#).unwrap_err(), BadKeys::Malformed(1));
        assert_eq!(Keys::parse(r#"{"keys": []}"#).unwrap_err(), BadKeys::NoneUsable);
        assert_eq!(Keys::parse(&set(&[RSA_JWK; 101])).unwrap_err(), BadKeys::TooMany);
    }

    #[test]
    fn short_rsa_keys_are_refused() {
        let short = "9xmcLrbLGkGNyib8XOoLzNkQzzirA1zm4rzBZ-_KjYk1eMlLktyWHBJaseub3KccuFyLJiL7Lqkrz-sZQA4d21k3xCl62MiUaRzvnGeVEbmQeZXmJsWDA7xAtpJX9za0AoRD74nrJI3xETeeUnF5e40KnVAzurVGUli0_CzEB0M";
        assert_eq!(why(&format!(r#"{{"kty": "RSA", "n": "{short}", "e": "AQAB"}}"#)), BadKeys::Weak(1));
    }
}
