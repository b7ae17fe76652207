//! Secrets that have to be read again, such as those of one-time codes, encrypted at rest.
//!
//! The key is outside the database: who steals a dump, or a backup, or reads the table, has nothing. A sealed secret names
//! the key it was sealed with, so that keys can be changed: the first key of the file seals, all of them open.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of a nonce: so many that random ones do not meet.
pub const NONCE_LENGTH: usize = 24;

const KEY_LENGTH: usize = 32;

/// What a sealed secret begins with: the format.
const FORMAT: &str = "docperm1";

/// The keys of a key file.
pub struct Keys(Vec<Key>);

struct Key {
    name: String,
    cipher: XChaCha20Poly1305,
}

/// Where a secret belongs: sealed for one place, it opens in no other.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The table.
    pub table: &'static str,
    /// The user whose secret it is.
    pub user: &'a str,
}

/// Why a key file is no key file.
#[derive(Debug, PartialEq, Eq)]
pub enum BadKeys {
    /// It has no line with a key.
    Empty,
    /// This line, counted from 1, is no key.
    Line(usize),
}

/// Why a secret does not open.
#[derive(Debug, PartialEq, Eq)]
pub enum CannotOpen {
    /// It is no sealed secret.
    Malformed,
    /// The key of this name is missing.
    UnknownKey(String),
    /// It was sealed for another place, or changed since.
    Tampered,
}

impl Keys {
    /// Reads keys: 32 bytes in base64 a line. Empty lines, and those that begin with `#`, do not count.
    ///
    /// # Errors
    /// The first line that is no key; never what is in it.
    pub fn parse(text: &str) -> Result<Keys, BadKeys> {
        let mut keys = vec![];
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bytes = Zeroizing::new(STANDARD.decode(line).map_err(|_| BadKeys::Line(index + 1))?);
            keys.push(Key::new(&bytes).ok_or(BadKeys::Line(index + 1))?);
        }
        if keys.is_empty() { Err(BadKeys::Empty) } else { Ok(Keys(keys)) }
    }

    /// Seals with the first key. The nonce is random and never used again.
    #[must_use]
    pub fn seal(&self, secret: &[u8], place: Place<'_>, nonce: [u8; NONCE_LENGTH]) -> String {
        let key = &self.0[0];
        let aad = place.as_associated_data();
        let sealed = key.cipher.encrypt(&XNonce::from(nonce), Payload { msg: secret, aad: &aad });
        let mut bytes = nonce.to_vec();
        bytes.extend(sealed.expect("a secret is shorter than what the cipher can seal"));
        format!("{FORMAT}.{}.{}", key.name, URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Opens what was sealed for this place with one of the keys.
    ///
    /// # Errors
    /// When it was not, or was changed since.
    pub fn open(&self, sealed: &str, place: Place<'_>) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        let (name, encoded) = parts(sealed).ok_or(CannotOpen::Malformed)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| CannotOpen::Malformed)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LENGTH>().ok_or(CannotOpen::Malformed)?;
        let key = self.0.iter().find(|key| key.name == name);
        let key = key.ok_or_else(|| CannotOpen::UnknownKey(name.to_owned()))?;
        let aad = place.as_associated_data();
        let opened = key.cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &aad });
        opened.map(Zeroizing::new).map_err(|_| CannotOpen::Tampered)
    }

    /// Whether another key than the first sealed it, so that it should be sealed again.
    #[must_use]
    pub fn is_outdated(&self, sealed: &str) -> bool {
        parts(sealed).is_none_or(|(name, _)| name != self.0[0].name)
    }
}

/// Names of the keys, never the keys.
impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.0.iter().map(|key| &key.name)).finish()
    }
}

impl Key {
    fn new(bytes: &[u8]) -> Option<Key> {
        let bytes: &[u8; KEY_LENGTH] = bytes.try_into().ok()?;
        // Tells keys apart and says nothing about them: they are random.
        let digest = Sha256::new().chain_update(b"docperm key name").chain_update(bytes).finalize();
        let name = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Key { name, cipher: XChaCha20Poly1305::new(bytes.into()) })
    }
}

impl Place<'_> {
    /// A NUL is in no name.
    fn as_associated_data(&self) -> Vec<u8> {
        [FORMAT, self.table, self.user].join("\0").into_bytes()
    }
}

/// The key's name, and nonce and ciphertext.
fn parts(sealed: &str) -> Option<(&str, &str)> {
    sealed.strip_prefix(FORMAT)?.strip_prefix('.')?.split_once('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const NEW: &str = "//////////////////////////////////////////8=";
    const ANN: Place<'_> = Place { table: "two_factor", user: "ann@erp.test" };

    fn keys(lines: &[&str]) -> Keys {
        Keys::parse(&lines.join("\n")).unwrap()
    }

    fn bad(text: &str) -> BadKeys {
        Keys::parse(text).unwrap_err()
    }

    #[test]
    fn what_is_sealed_opens_and_is_not_readable() {
        let keys = keys(&[OLD]);
        let sealed = keys.seal(b"a secret of the user", ANN, [7; 24]);
        assert_eq!(*keys.open(&sealed, ANN).unwrap(), b"a secret of the user");
        assert!(sealed.starts_with("docperm1."));
        let bytes = URL_SAFE_NO_PAD.decode(sealed.rsplit('.').next().unwrap()).unwrap();
        assert_eq!(bytes.len(), 24 + 20 + 16);
        assert!(!bytes.windows(4).any(|window| window == b"secr"));
        assert_ne!(sealed, keys.seal(b"a secret of the user", ANN, [8; 24]));
    }

    /// The cipher itself: draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    #[test]
    fn the_cipher_is_the_one_of_its_draft() {
        let key: [u8; 32] = std::array::from_fn(|index| 0x80 + index as u8);
        let nonce: [u8; 24] = std::array::from_fn(|index| 0x40 + index as u8);
        let aad = [0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7];
        let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
        let cipher = XChaCha20Poly1305::new(&key.into());
        let sealed = cipher.encrypt(&XNonce::from(nonce), Payload { msg: text, aad: &aad }).unwrap();
        assert_eq!(sealed[..8], [0xbd, 0x6d, 0x17, 0x9d, 0x3e, 0x83, 0xd4, 0x3b]);
        let tag =
            [0xc0, 0x87, 0x59, 0x24, 0xc1, 0xc7, 0x98, 0x79, 0x47, 0xde, 0xaf, 0xd8, 0x78, 0x0a, 0xcf, 0x49];
        assert_eq!(sealed[sealed.len() - 16..], tag);
    }

    #[test]
    fn it_opens_nowhere_else() {
        let keys = keys(&[OLD]);
        let sealed = keys.seal(b"secret", ANN, [7; 24]);
        let bob = Place { user: "bob@erp.test", ..ANN };
        let elsewhere = Place { table: "api_keys", ..ANN };
        assert_eq!(keys.open(&sealed, bob), Err(CannotOpen::Tampered));
        assert_eq!(keys.open(&sealed, elsewhere), Err(CannotOpen::Tampered));
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let keys = keys(&[OLD]);
        let sealed = keys.seal(b"secret", ANN, [7; 24]);
        for index in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            assert!(keys.open(std::str::from_utf8(&changed).unwrap(), ANN).is_err(), "{index}");
        }
        for text in [
            "",
            "docperm1",
            "docperm1..",
            "docperm1.x.AAAA",
            "docperm2.x.y",
            "v1",
            &sealed[..sealed.len() - 4],
        ] {
            assert!(keys.open(text, ANN).is_err(), "{text}");
        }
    }

    #[test]
    fn keys_are_changed_by_writing_the_new_one_before_the_old() {
        let sealed = keys(&[OLD]).seal(b"secret", ANN, [7; 24]);
        let both = keys(&["# since 2026", NEW, "", OLD]);
        assert_eq!(*both.open(&sealed, ANN).unwrap(), b"secret");
        assert!(both.is_outdated(&sealed));
        let again = both.seal(b"secret", ANN, [8; 24]);
        assert!(!both.is_outdated(&again));
        let new = keys(&[NEW]);
        assert_eq!(*new.open(&again, ANN).unwrap(), b"secret");
        let name = sealed.split('.').nth(1).unwrap().to_owned();
        assert_eq!(new.open(&sealed, ANN), Err(CannotOpen::UnknownKey(name)));
    }

    #[test]
    fn a_key_is_32_bytes_in_base64() {
        assert_eq!(bad(""), BadKeys::Empty);
        assert_eq!(bad("\n# a comment\n"), BadKeys::Empty);
        assert_eq!(bad("AAECAwQFBgcICQoLDA0ODw=="), BadKeys::Line(1));
        assert_eq!(bad(&format!("{OLD}\n{OLD}x")), BadKeys::Line(2));
        assert_eq!(bad("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"), BadKeys::Line(1));
        assert!(Keys::parse(&format!("  {OLD} \r\n")).is_ok());
    }

    #[test]
    fn nobody_prints_a_key() {
        assert!(!format!("{:?}", keys(&[OLD, NEW])).contains("AAEC"));
    }
}
