//! Random numbers for secrets.

use pgrx::pg_sys;

use crate::fault::{Fault, SqlState};

/// Random bytes that nobody can guess, from where PostgreSQL takes them.
///
/// # Errors
/// When the operating system has none.
pub fn bytes<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    // SAFETY: fills that many bytes.
    if unsafe { pg_sys::pg_strong_random(bytes.as_mut_ptr().cast(), N) } {
        Ok(bytes)
    } else {
        Err(Fault::new(SqlState::ERRCODE_INTERNAL_ERROR, "could not generate random values")
            .hint("The operating system's source of random numbers does not answer."))
    }
}
