//! The hashes that Frappe stores, by Python's passlib: `$pbkdf2-sha256$rounds$salt$key`, base64 without padding and with
//! `.` for `+`.

use base64ct::{Base64Unpadded, Encoding};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Trouble;
use super::argon2_phc::number;

/// What these hashes begin with, between dollar signs.
pub const SCHEME: &str = "pbkdf2-sha256";

/// Bytes of the derived key.
const KEY_BYTES: usize = 32;

/// Most rounds: about half a second. Frappe makes 29,000, OWASP asks for 600,000.
pub const MAX_ROUNDS: u32 = 4_000_000;

/// A stored hash, read.
pub struct Pbkdf2Hash {
    rounds: u32,
    salt: Vec<u8>,
    key: [u8; KEY_BYTES],
}

impl Pbkdf2Hash {
    /// Reads what passlib writes.
    pub fn read(stored: &str) -> Option<Pbkdf2Hash> {
        let mut parts = stored.strip_prefix('$')?.split('$').skip(1);
        let rounds = number(parts.next()?).filter(|rounds| *rounds >= 1)?;
        let mut bytes = || Base64Unpadded::decode_vec(&parts.next()?.replace('.', "+")).ok();
        let (salt, key) = (bytes()?, bytes()?.try_into().ok()?);
        parts.next().is_none().then_some(Pbkdf2Hash { rounds, salt, key })
    }

    /// Refuses what would take a backend's time.
    pub fn require_bounds(&self) -> Result<(), Trouble> {
        if self.rounds <= MAX_ROUNDS { Ok(()) } else { Err(Trouble::CostOutOfBounds) }
    }

    /// Whether it was made of this very text.
    pub fn is_of(&self, password: &str) -> bool {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &self.salt, self.rounds, key.as_mut());
        key.ct_eq(&self.key).into()
    }
}
