//! The second factor of a user: whether there is one, and whether a code is right.
//!
//! All of it reads and writes docperm.two_factor, which nobody has privileges on: within [`as_owner`](super::owner::as_owner),
//! or in a process that acts for docperm itself.

use std::time::{SystemTime, UNIX_EPOCH};

use pgrx::datum::DatumWithOid;
use pgrx::spi::{self, Spi, SpiClient};
use zeroize::Zeroizing;

use super::one_time_code::{self, Check};
use super::sealed::{Keys, Place};
use super::{key_file, random};
use crate::fault::{Fault, SqlState};

/// What a code that somebody typed to log in is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The user has no second factor.
    NotEnrolled,
    /// Right, and used up by now.
    Right,
    /// Wrong.
    Wrong,
    /// It was right, but has been used. To whoever typed it that is no different from wrong.
    AlreadyUsed,
}

/// How far a user has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enrolment {
    /// There is no secret, or one that nobody has proved to have in time.
    None,
    /// There is a secret; the first right code puts it in force.
    Pending,
    /// In force.
    Confirmed,
}

/// A row of docperm.two_factor, locked until the end of the transaction.
struct Row {
    sealed: String,
    is_confirmed: bool,
    last_used_step: Option<i64>,
}

/// How far a user has come.
///
/// # Errors
/// When the table cannot be read.
pub fn enrolment(user: &str) -> Result<Enrolment, Fault> {
    let sql = "SELECT t.confirmed_at IS NOT NULL
                 FROM docperm.two_factor AS t
                WHERE t.user_name = $1 AND docperm._is_enrolment_good(t.confirmed_at, t.started_at)";
    let found = Spi::connect_mut(|client| first::<bool>(client, sql, &[user.into()]))?;
    Ok(match found {
        None => Enrolment::None,
        Some(false) => Enrolment::Pending,
        Some(true) => Enrolment::Confirmed,
    })
}

/// Checks a code with which somebody logs in, and uses it up. The first right code of a new secret puts it in force: it
/// proves that the user has it, who has proved by his password who he is.
///
/// Of several transactions that check the same code at the same time, one finds it right: the others wait for the first. It
/// is used up once the transaction commits.
///
/// # Errors
/// When the secret cannot be opened.
pub fn verify(user: &str, code: &str) -> Result<Outcome, Fault> {
    Spi::connect_mut(|client| {
        let Some(row) = locked_row(client, user)? else { return Ok(Outcome::NotEnrolled) };
        let keys = key_file::keys()?;
        match check(&keys, user, &row, code)? {
            Check::Wrong => Ok(Outcome::Wrong),
            Check::Used => Ok(Outcome::AlreadyUsed),
            Check::Right(step) => {
                use_up(client, &keys, user, &row, step)?;
                Ok(Outcome::Right)
            }
        }
    })
}

/// Makes a new secret for a user who has none in force, and returns the address for the authenticator app. The secret is
/// never told again.
///
/// # Errors
/// When the user has one in force, or no key can be had.
pub fn enroll(user: &str) -> Result<Zeroizing<String>, Fault> {
    if enrolment(user)? == Enrolment::Confirmed {
        return Err(already_in_force(user));
    }
    let secret = Zeroizing::new(random::bytes::<{ one_time_code::SECRET_LENGTH }>()?);
    let sealed = key_file::keys()?.seal(&*secret, place(user), random::bytes()?);
    let issuer = Spi::connect_mut(|client| {
        let sql = "INSERT INTO docperm.two_factor AS t (user_name, sealed_secret)
                   VALUES ($1, $2)
                   ON CONFLICT (user_name) DO UPDATE
                      SET sealed_secret  = EXCLUDED.sealed_secret,
                          started_at     = EXCLUDED.started_at,
                          last_used_step = NULL
                    WHERE t.confirmed_at IS NULL
                   RETURNING true";
        first::<bool>(client, sql, &[user.into(), sealed.into()])?.ok_or_else(|| already_in_force(user))?;
        Ok::<_, Fault>(first::<String>(client, "SELECT s.otp_issuer_name FROM docperm.settings AS s", &[])?)
    })?;
    Ok(one_time_code::enrolment_uri(&*secret, issuer.as_deref().unwrap_or("docperm"), user))
}

/// Puts a new secret in force with a first right code.
///
/// # Errors
/// When there is none to put in force, or the code is not right.
pub fn confirm(user: &str, code: &str) -> Result<(), Fault> {
    Spi::connect_mut(|client| {
        let row = locked_row(client, user)?.ok_or_else(|| {
            Fault::new(
                SqlState::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("user \"{user}\" has no second factor to confirm"),
            )
            .hint("docperm.enroll_two_factor() makes one; it has to be confirmed within a day.")
        })?;
        // Codes of a factor in force are checked by the login alone, which counts attempts.
        if row.is_confirmed {
            return Err(already_in_force(user));
        }
        let keys = key_file::keys()?;
        let Check::Right(step) = check(&keys, user, &row, code)? else {
            return Err(Fault::new(SqlState::ERRCODE_INVALID_PASSWORD, "the code is not right")
                .hint("Type the code that the authenticator app shows now. Its clock must be right."));
        };
        use_up(client, &keys, user, &row, step)
    })
}

/// Takes a user's second factor away; whether there was one.
///
/// # Errors
/// When the table cannot be written.
pub fn reset(user: &str) -> Result<bool, Fault> {
    let sql = "DELETE FROM docperm.two_factor AS t WHERE t.user_name = $1 RETURNING true";
    Ok(Spi::connect_mut(|client| first::<bool>(client, sql, &[user.into()]))?.is_some())
}

/// Seals for one user's name what was sealed for another: the user has been renamed.
///
/// # Errors
/// When the secret cannot be opened.
pub fn reseal(sealed: &str, from: &str, to: &str) -> Result<String, Fault> {
    let keys = key_file::keys()?;
    let secret = keys.open(sealed, place(from)).map_err(|why| key_file::cannot_open(why, from))?;
    Ok(keys.seal(&secret, place(to), random::bytes()?))
}

/// Seals all secrets with the first key that were sealed with another; how many that were.
///
/// # Errors
/// When one of them cannot be opened; then none is sealed anew.
pub fn reseal_all() -> Result<i32, Fault> {
    let keys = key_file::keys()?;
    Spi::connect_mut(|client| {
        let sql = "SELECT t.user_name, t.sealed_secret FROM docperm.two_factor AS t ORDER BY t.user_name FOR UPDATE";
        let mut outdated = vec![];
        for row in client.update(sql, None, &[])? {
            let (user, sealed): (Option<String>, Option<String>) = (row.get(1)?, row.get(2)?);
            outdated.extend(user.zip(sealed).filter(|(_, sealed)| keys.is_outdated(sealed)));
        }
        for (user, sealed) in &outdated {
            let sealed = reseal(sealed, user, user)?;
            let sql = "UPDATE docperm.two_factor AS t SET sealed_secret = $2 WHERE t.user_name = $1";
            client.update(sql, None, &[user.as_str().into(), sealed.into()])?;
        }
        Ok(outdated.len() as i32)
    })
}

fn place(user: &str) -> Place<'_> {
    Place { table: "two_factor", user }
}

fn locked_row(client: &mut SpiClient<'_>, user: &str) -> Result<Option<Row>, Fault> {
    let sql = "SELECT t.sealed_secret, t.confirmed_at IS NOT NULL, t.last_used_step
                 FROM docperm.two_factor AS t
                WHERE t.user_name = $1 AND docperm._is_enrolment_good(t.confirmed_at, t.started_at)
                  FOR UPDATE";
    let found = client.update(sql, None, &[user.into()])?;
    if found.is_empty() {
        return Ok(None);
    }
    let (sealed, is_confirmed, last_used_step) = found.first().get_three::<String, bool, i64>()?;
    Ok(Some(Row {
        sealed: sealed.unwrap_or_default(),
        is_confirmed: is_confirmed.unwrap_or(false),
        last_used_step,
    }))
}

fn check(keys: &Keys, user: &str, row: &Row, code: &str) -> Result<Check, Fault> {
    let secret = keys.open(&row.sealed, place(user)).map_err(|why| key_file::cannot_open(why, user))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    Ok(one_time_code::check(&secret, code, now, row.last_used_step))
}

/// Remembers the step, and while at it seals the secret with the key in use.
fn use_up(client: &mut SpiClient<'_>, keys: &Keys, user: &str, row: &Row, step: i64) -> Result<(), Fault> {
    let sealed =
        if keys.is_outdated(&row.sealed) { reseal(&row.sealed, user, user)? } else { row.sealed.clone() };
    let sql = "UPDATE docperm.two_factor AS t
                  SET last_used_step = $2,
                      sealed_secret  = $3,
                      confirmed_at   = coalesce(t.confirmed_at, now())
                WHERE t.user_name = $1";
    client.update(sql, None, &[user.into(), step.into(), sealed.into()])?;
    Ok(())
}

fn already_in_force(user: &str) -> Fault {
    Fault::new(
        SqlState::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("user \"{user}\" has a second factor already"),
    )
    .hint("docperm.reset_two_factor() takes it away; then a new one can be made.")
}

/// The first column of the first row.
fn first<T: pgrx::FromDatum + pgrx::IntoDatum>(
    client: &mut SpiClient<'_>,
    sql: &str,
    arguments: &[DatumWithOid<'_>],
) -> Result<Option<T>, spi::Error> {
    let found = client.update(sql, None, arguments)?;
    if found.is_empty() { Ok(None) } else { found.first().get_one() }
}
