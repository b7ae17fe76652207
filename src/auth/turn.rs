//! Turns: attempts on one account are made one after another, requests for reset tokens of one user as well, and only so
//! many passwords are hashed at a time.
//!
//! They are locks of a kind that no SQL function can take, so that nobody can keep others from logging in by holding one.
//! (PostgreSQL's own functions for advisory locks use 1 and 2 in the last field: lockfuncs.c.)

use sha2::{Digest, Sha256};

use pgrx::pg_sys;

/// Tells these locks from those that SQL can take.
const OURS: u16 = 0x6470;

/// How many passwords are hashed at a time. Each takes the memory that `settings.argon2_memory_kib` says.
const HASHES_AT_A_TIME: u32 = 4;

/// A turn that is taken; given back when it is dropped, and when the process ends.
pub struct Turn(pg_sys::LOCKTAG);

impl Turn {
    /// Waits for the turn of whom or what `key` names.
    pub fn wait_for(key: &str) -> Self {
        let (first, second) = numbers(key);
        Self::take(first, second, false).expect("waiting ends with the lock or with an error")
    }

    /// Waits until a password may be hashed.
    pub fn wait_to_hash() -> Self {
        let any = (0..HASHES_AT_A_TIME).find_map(|place| Self::take(place, u32::MAX, true));
        // SAFETY: a plain variable of the process.
        let own_place = unsafe { pg_sys::MyProcPid } as u32 % HASHES_AT_A_TIME;
        any.or_else(|| Self::take(own_place, u32::MAX, false))
            .expect("waiting ends with the lock or with an error")
    }

    /// Waits for the turn of whom or what `key` names, and keeps it to the end of the transaction.
    pub fn keep_to_the_end(key: &str) {
        let (first, second) = numbers(key);
        // SAFETY: a transaction's lock, which PostgreSQL releases with it.
        unsafe { pg_sys::LockAcquire(&tag(first, second), pg_sys::ExclusiveLock as _, false, false) };
    }

    fn take(first: u32, second: u32, at_once: bool) -> Option<Self> {
        let tag = tag(first, second);
        // SAFETY: a session lock: it outlives transactions and is released by Drop or at the end of the process.
        let result = unsafe { pg_sys::LockAcquire(&tag, pg_sys::ExclusiveLock as _, true, at_once) };
        (result != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL).then(|| Turn(tag))
    }
}

fn numbers(key: &str) -> (u32, u32) {
    let digest = Sha256::digest(key);
    let number = |from: usize| {
        u32::from_be_bytes([digest[from], digest[from + 1], digest[from + 2], digest[from + 3]])
    };
    (number(0), number(4))
}

fn tag(first: u32, second: u32) -> pg_sys::LOCKTAG {
    // SAFETY: a plain variable of the process.
    let database = unsafe { pg_sys::MyDatabaseId };
    pg_sys::LOCKTAG {
        locktag_field1: database.to_u32(),
        locktag_field2: first,
        locktag_field3: second,
        locktag_field4: OURS,
        locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
        locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // On an error the process ends, and PostgreSQL releases its locks.
        if !std::thread::panicking() {
            // SAFETY: acquired by `take` in the same mode.
            unsafe { pg_sys::LockRelease(&self.0, pg_sys::ExclusiveLock as _, true) };
        }
    }
}
