//! Passwords: hashed, verified, and hashed anew when the hash is no longer of today's kind.
//!
//! What is stored is a text that says how it was made: `$argon2id$v=19$m=..,t=..,p=..$salt$tag`, the only kind that docperm
//! makes, or one of those that come from elsewhere, `$argon2i$`, `$argon2d$` and the `$pbkdf2-sha256$` of Frappe.
//!
//! A password is hashed in its normal form NFKC, so that it is the same password on every keyboard; it is never cut short.
//! Hashes from elsewhere were made of what was typed, so that both forms are tried: the order differs, the answer does not.
//!
//! A stored hash says how much it costs to verify, and whoever writes it could ask for all of the server's memory. So
//! there are bounds, the same for hashes and for the settings: see [`Cost`].

mod argon2_phc;
mod normal_form;
mod passlib;
#[cfg(test)]
mod test;

use std::fmt;

use argon2_phc::Argon2Hash;
use passlib::Pbkdf2Hash;

pub use argon2_phc::Cost;
pub use normal_form::normal_form;
pub use passlib::MAX_ROUNDS as MAX_PBKDF2_ROUNDS;

/// Longest password in bytes of UTF-8. A limit for those who would send megabytes, far above what anybody types.
pub const MAX_PASSWORD_BYTES: usize = 4096;

/// Longest stored hash in bytes.
const MAX_HASH_BYTES: usize = 1024;

/// Whether a password is that of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It is.
    Right,
    /// It is not.
    Wrong,
}

/// Why there is no hash, or no verdict. Names neither password nor hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// A password of no characters.
    Empty,
    /// A password of more than [`MAX_PASSWORD_BYTES`].
    TooLong,
    /// A stored text of a scheme that docperm does not know; the scheme, where there is one.
    UnknownScheme(Option<String>),
    /// A stored text that is not what its scheme says.
    Malformed(&'static str),
    /// A cost, of a hash or of the settings, outside of the bounds.
    CostOutOfBounds,
    /// No memory for the cost.
    OutOfMemory,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Empty => write!(f, "the password is empty"),
            Trouble::TooLong => write!(f, "the password is longer than {MAX_PASSWORD_BYTES} bytes"),
            Trouble::UnknownScheme(Some(scheme)) => write!(f, "unknown password hash scheme \"{scheme}\""),
            Trouble::UnknownScheme(None) => write!(f, "not a password hash: it names no scheme"),
            Trouble::Malformed(scheme) => write!(f, "malformed password hash of scheme \"{scheme}\""),
            Trouble::CostOutOfBounds => write!(f, "password hashing cost out of bounds"),
            Trouble::OutOfMemory => write!(f, "out of memory while hashing a password"),
        }
    }
}

impl std::error::Error for Trouble {}

/// The hash to store for a password, made with Argon2id.
///
/// # Errors
/// An empty password, one that is too long, or a cost out of bounds.
pub fn hash(password: &str, salt: [u8; 16], cost: Cost) -> Result<String, Trouble> {
    require_usable(password)?;
    argon2_phc::make(&normal_form(password), &salt, cost)
}

/// Whether the password is that of the stored hash. One that could not have been hashed is wrong.
///
/// # Errors
/// A stored text that is no hash of a known scheme, or costs more than the bounds allow.
pub fn verify(password: &str, stored: &str) -> Result<Verdict, Trouble> {
    let stored = Stored::read(stored)?;
    if require_usable(password).is_err() {
        return Ok(Verdict::Wrong);
    }
    let normal = normal_form(password);
    let mut forms = vec![normal.as_str()];
    if *normal != password {
        forms.push(password);
    }
    if matches!(stored, Stored::Pbkdf2(_)) {
        forms.reverse();
    }
    for form in forms {
        if stored.is_of(form)? {
            return Ok(Verdict::Right);
        }
    }
    Ok(Verdict::Wrong)
}

/// Takes as long as [`verify`] takes for a wrong password and a hash of this cost: for users who do not exist.
///
/// # Errors
/// A cost out of bounds.
pub fn spend(password: &str, cost: Cost) -> Result<(), Trouble> {
    // The tag of no password: nobody knows one, and it would open nothing.
    let _ = verify(password, &argon2_phc::encode(cost, &[0; 16], &[0; argon2_phc::TAG_BYTES]))?;
    Ok(())
}

/// Whether the password should be hashed anew while it is at hand: the stored hash is not what [`hash`] makes at this cost.
#[must_use]
pub fn needs_rehash(stored: &str, cost: Cost) -> bool {
    !matches!(Stored::read(stored), Ok(Stored::Argon2(hash)) if hash.is_current(cost))
}

/// Refuses a text that [`verify`] could not verify against.
///
/// # Errors
/// Those of [`verify`].
pub fn require_hash(stored: &str) -> Result<(), Trouble> {
    Stored::read(stored).map(|_| ())
}

/// Refuses a password that cannot be hashed.
///
/// # Errors
/// An empty password or one that is too long.
pub fn require_usable(password: &str) -> Result<(), Trouble> {
    match password.len() {
        0 => Err(Trouble::Empty),
        1..=MAX_PASSWORD_BYTES => Ok(()),
        _ => Err(Trouble::TooLong),
    }
}

/// A stored text, read.
enum Stored {
    Argon2(Argon2Hash),
    Pbkdf2(Pbkdf2Hash),
}

impl Stored {
    fn read(stored: &str) -> Result<Stored, Trouble> {
        let scheme = stored.strip_prefix('$').and_then(|rest| rest.split('$').next());
        // What is no scheme may be a password in plain text, and is not shown.
        let is_name = |name: &&str| {
            (1..=32).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let Some(scheme) = scheme.filter(is_name) else { return Err(Trouble::UnknownScheme(None)) };
        if let Some(variant) = argon2_phc::variant(scheme) {
            let bounded = Some(stored).filter(|stored| stored.len() <= MAX_HASH_BYTES);
            let hash = bounded.and_then(|stored| Argon2Hash::read(stored, variant));
            return hash.ok_or(Trouble::Malformed(variant.as_str())).and_then(|hash| {
                hash.cost().require_bounds()?;
                Ok(Stored::Argon2(hash))
            });
        }
        if scheme == passlib::SCHEME {
            let bounded = Some(stored).filter(|stored| stored.len() <= MAX_HASH_BYTES);
            let hash = bounded.and_then(Pbkdf2Hash::read).ok_or(Trouble::Malformed(passlib::SCHEME))?;
            hash.require_bounds()?;
            return Ok(Stored::Pbkdf2(hash));
        }
        Err(Trouble::UnknownScheme(Some(scheme.to_owned())))
    }

    fn is_of(&self, password: &str) -> Result<bool, Trouble> {
        match self {
            Stored::Argon2(hash) => hash.is_of(password),
            Stored::Pbkdf2(hash) => Ok(hash.is_of(password)),
        }
    }
}
