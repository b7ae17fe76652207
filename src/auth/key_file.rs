//! The file with the keys that secrets are sealed with.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

use zeroize::Zeroizing;

use super::sealed::{BadKeys, CannotOpen, Keys};
use crate::fault::{Fault, SqlState};
use crate::identity::settings;

/// Many more keys than anybody has.
const MAX_LENGTH: u64 = 64 * 1024;

const HOW_TO_MAKE_ONE: &str = "Make a key with: head -c 32 /dev/urandom | base64. Put it into a file that only the server's user may read, outside the data directory and its backups.";

/// The keys that are in the file now. It is read each time, so a new key needs no restart.
///
/// # Errors
/// When there is no such file, or others may read it. Errors name neither its path nor what is in it: both are for superusers.
pub fn keys() -> Result<Keys, Fault> {
    let path = settings::secret_key_file().ok_or_else(|| {
        Fault::new(SqlState::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "there is no key to seal secrets with")
            .detail("The setting docperm.secret_key_file names no file.")
            .hint(format!("{HOW_TO_MAKE_ONE} Then name the file in docperm.secret_key_file, in postgresql.conf or with ALTER DATABASE."))
    })?;
    let text = read(&path).map_err(|error| unreadable(&error))??;
    Keys::parse(&text).map_err(|bad| match bad {
        BadKeys::Empty => unusable("It holds no key.").hint(HOW_TO_MAKE_ONE),
        BadKeys::Line(number) => {
            unusable(format!("Line {number} is not 32 bytes in base64.")).hint(HOW_TO_MAKE_ONE)
        }
    })
}

fn read(path: &str) -> io::Result<Result<Zeroizing<String>, Fault>> {
    // Before it is opened: opening a pipe would wait.
    if !fs::metadata(path)?.is_file() {
        return Ok(Err(unusable("It is not a regular file.").hint("Name a file.")));
    }
    let file = File::open(path)?;
    if let Some(fault) = too_open(&file.metadata()?) {
        return Ok(Err(fault));
    }
    // As large as it gets at once: growing would leave copies.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LENGTH as usize + 1));
    file.take(MAX_LENGTH + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_LENGTH {
        return Ok(Err(unusable("It is too long.").hint("One key a line.")));
    }
    let text = std::str::from_utf8(&bytes).map(|text| Zeroizing::new(text.to_owned()));
    Ok(text.map_err(|_| unusable("It is not text.").hint(HOW_TO_MAKE_ONE)))
}

/// What PostgreSQL demands of the key of its certificate.
fn too_open(file: &Metadata) -> Option<Fault> {
    // SAFETY: cannot fail.
    let own = unsafe { libc::geteuid() };
    if file.uid() != own && file.uid() != 0 {
        return Some(
            unusable("It belongs to another user of the operating system.")
                .hint("It must belong to the server's user or to root."),
        );
    }
    let forbidden = if file.uid() == own { 0o077 } else { 0o037 };
    (file.mode() & forbidden != 0).then(|| {
        unusable("Others than the server may read or change it.").hint(
            "Its permissions must be u=rw (0600) or less if it belongs to the server's user, or u=rw,g=r (0640) or less if it belongs to root.",
        )
    })
}

fn unusable(detail: impl Into<String>) -> Fault {
    Fault::new(
        SqlState::ERRCODE_CONFIG_FILE_ERROR,
        "the file that docperm.secret_key_file names cannot be used",
    )
    .detail(detail)
}

fn unreadable(error: &io::Error) -> Fault {
    unusable(format!("It cannot be read: {}.", error.kind()))
        .hint("Look whether it exists, and whether the server's user may read it and enter its directory.")
}

/// The error for a secret that does not open.
#[must_use]
pub fn cannot_open(why: CannotOpen, whose: &str) -> Fault {
    match why {
        CannotOpen::UnknownKey(name) => Fault::new(
            SqlState::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("the key \"{name}\" is missing"),
        )
        .detail(format!("The secret of user \"{whose}\" was sealed with it."))
        .hint("Put it back into the file that docperm.secret_key_file names, below the one in use."),
        CannotOpen::Malformed | CannotOpen::Tampered => Fault::new(
            SqlState::ERRCODE_DATA_CORRUPTED,
            format!("the sealed secret of user \"{whose}\" does not open"),
        )
        .detail("It was changed, or is another user's.")
        .hint("Let the user enrol anew, after docperm.reset_two_factor()."),
    }
}
