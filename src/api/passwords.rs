//! Passwords: docperm.verify_password(), docperm.password_strength(), and what the functions in sql/passwords.sql are made of.

use pgrx::iter::TableIterator;
use pgrx::name;

use crate::auth::password::{self, Cost, Trouble, Verdict};
use crate::auth::random;
use crate::auth::strength::{self, Policy};
use crate::auth::turn::Turn;
use crate::concealment::conceal_statement;
use crate::fault::{Fault, OrRaise, SqlState};
use crate::identity::{acting, is_database_superuser};

/// Bytes of a reset token.
const TOKEN_BYTES: usize = 32;

/// Keeps the text of the statement out of the server's log, should it fail.
#[pgrx::pg_extern(sql = false)]
fn docperm_conceal_statement() {
    conceal_statement();
}

/// The hash to store.
#[pgrx::pg_extern(sql = false)]
fn docperm_hash_password(password: &str, memory_kib: i32, iterations: i32, parallelism: i32) -> String {
    conceal_statement();
    let positive = |setting: i32| u32::try_from(setting).unwrap_or_default();
    let cost = Cost {
        memory_kib: positive(memory_kib),
        iterations: positive(iterations),
        parallelism: positive(parallelism),
    };
    password::hash(password, random::bytes().or_raise(), cost).or_raise()
}

/// Whether the password is that of the hash.
#[pgrx::pg_extern(sql = false)]
fn docperm_verify_password(password: &str, hash: &str) -> bool {
    conceal_statement();
    password::verify(password, hash).or_raise() == Verdict::Right
}

/// Refuses what no password could be verified against.
#[pgrx::pg_extern(sql = false)]
fn docperm_require_password_hash(hash: &str) {
    conceal_statement();
    password::require_hash(hash).or_raise();
}

/// How hard the password is to guess.
#[pgrx::pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn docperm_password_strength(
    password: &str,
    user_inputs: Vec<Option<String>>,
) -> TableIterator<
    'static,
    (
        name!(score, i32),
        name!(guesses_log10, f64),
        name!(warning, Option<String>),
        name!(suggestions, Vec<String>),
    ),
> {
    conceal_statement();
    let strength = strength::measure(password, &texts(&user_inputs));
    TableIterator::once((
        strength.score.into(),
        strength.guesses_log10,
        strength.warning,
        strength.suggestions,
    ))
}

/// What is wrong with a new password; NULL if nothing is.
#[pgrx::pg_extern(sql = false)]
fn docperm_password_weakness(
    password: &str,
    about_user: Vec<Option<String>>,
    minimum_score: i32,
    minimum_length: i32,
) -> Option<String> {
    conceal_statement();
    let policy = Policy {
        minimum_score: u8::try_from(minimum_score).unwrap_or_default(),
        minimum_length: u32::try_from(minimum_length).unwrap_or_default(),
    };
    let weakness = policy.check(password, &texts(&about_user)).err()?;
    Some(weakness.feedback())
}

/// A token that nobody guesses.
#[pgrx::pg_extern(sql = false)]
fn docperm_reset_token() -> String {
    random::bytes::<TOKEN_BYTES>().or_raise().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Waits for a turn, and keeps it to the end of the transaction.
#[pgrx::pg_extern(sql = false)]
fn docperm_wait_for_turn(key: &str) {
    Turn::keep_to_the_end(key);
}

/// Whether nobody acts but a database superuser.
#[pgrx::pg_extern(sql = false)]
fn docperm_is_database_superuser() -> bool {
    is_database_superuser(&acting())
}

fn texts(array: &[Option<String>]) -> Vec<&str> {
    array.iter().flatten().map(String::as_str).collect()
}

impl From<Trouble> for Fault {
    fn from(why: Trouble) -> Self {
        let message = why.to_string();
        match why {
            Trouble::Empty | Trouble::TooLong => {
                Fault::bad_argument(message).hint("Choose another password.")
            }
            Trouble::UnknownScheme(_) | Trouble::Malformed(_) => Fault::bad_argument(message)
                .hint("Known are $argon2id$, $argon2i$ and $argon2d$, and Frappe's $pbkdf2-sha256$."),
            Trouble::CostOutOfBounds => Fault::bad_argument(message)
                .detail(format!(
                    "At most {} KiB of memory, {} KiB times passes, {} lanes, or {} rounds of PBKDF2.",
                    Cost::MAX_MEMORY_KIB,
                    Cost::MAX_WORK_KIB,
                    Cost::MAX_PARALLELISM,
                    password::MAX_PBKDF2_ROUNDS
                ))
                .hint("Hash the password at a cost within the bounds."),
            Trouble::OutOfMemory => Fault::new(SqlState::ERRCODE_OUT_OF_MEMORY, message)
                .hint("Lower argon2_memory_kib in docperm.settings, or let fewer log in at a time."),
        }
    }
}
