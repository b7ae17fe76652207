//! One attempt to prove who one is, in a login worker: counted before anything is verified, judged, written down.

use pgrx::spi::Spi;
use pgrx::{Inet, pg_sys};

use super::password::{self, Cost};
use super::random;
use super::request::Answer;
use super::turn::Turn;
use super::worker::transaction;
use crate::identity::address::ClientAddress;

/// An attempt that has been counted. Nobody else makes one on the same account, or from the same counted address, until
/// this one is dropped.
pub struct Attempt {
    id: i64,
    keys: Vec<String>,
    /// Whom it is about, if there is such a user.
    pub user: Option<String>,
    stored_password: Option<String>,
    cost: Cost,
    _turns: Vec<Turn>,
}

/// How an attempt counts in the end. It has been counted as a failure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was a failure.
    Wrong,
    /// It proved something and not all: as if it had not been.
    Neither,
    /// It was none: failures are counted from nothing again.
    Right,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Outcome::Wrong => "wrong",
            Outcome::Neither => "neither",
            Outcome::Right => "right",
        }
    }
}

impl Attempt {
    /// Counts and writes down an attempt, and commits that. What is locked is answered at once.
    ///
    /// # Errors
    /// The answer, if too many attempts have failed.
    pub fn begin(operation: &str, login_id: &str, from: ClientAddress) -> Result<Self, Answer> {
        let address = from.address.map(|address| Inet(address.to_string()));
        let (user, keys) = transaction(|| {
            let arguments = [login_id.into(), address.clone().into(), from.is_stated.into()];
            let sql = "SELECT a.user_name, a.keys FROM docperm._attempt_keys($1, $2, $3) AS a";
            let (user, keys) =
                Spi::get_two_with_args::<String, Vec<String>>(sql, &arguments).unwrap_or_default();
            (user, keys.unwrap_or_default())
        });
        // The user's before the address's, so that two attempts never wait for each other.
        let turns = transaction(|| keys.iter().map(|key| Turn::wait_for(key)).collect());
        let (id, locked_for) = transaction(|| {
            let arguments = [operation.into(), user.clone().into(), keys.clone().into(), address.into()];
            let sql = "SELECT a.attempt, a.locked_seconds FROM docperm._begin_attempt($1, $2, $3, $4) AS a";
            expect(Spi::get_two_with_args::<i64, f64>(sql, &arguments))
        });
        if let Some(seconds) = locked_for {
            return Err(Answer::Locked { seconds });
        }
        let (stored_password, cost) = transaction(|| (stored_password(user.as_deref()), cost()));
        let id = id.unwrap_or_default();
        Ok(Attempt { id, keys, user, stored_password, cost, _turns: turns })
    }

    /// Whether the password is right. It takes its time whether there is such a user or not.
    pub fn is_right(&self, password: &str) -> bool {
        let _turn = transaction(Turn::wait_to_hash);
        match &self.stored_password {
            Some(stored) => matches!(password::verify(password, stored), Ok(password::Verdict::Right)),
            None => {
                // What comes of it does not matter, only the time.
                let _ = password::spend(password, self.cost);
                false
            }
        }
    }

    /// Exchanges the stored hash for one of today's cost, if it is another's.
    pub fn upgrade_password(&self, password: &str) {
        let (Some(stored), Some(user)) = (&self.stored_password, &self.user) else { return };
        if !password::needs_rehash(stored, self.cost) {
            return;
        }
        let Ok(salt) = random::bytes() else { return };
        if let Ok(hash) = password::hash(password, salt, self.cost) {
            // Not if it was changed meanwhile.
            let arguments = [hash.into(), user.as_str().into(), stored.as_str().into()];
            let sql =
                "UPDATE docperm.passwords SET password_hash = $1 WHERE user_name = $2 AND password_hash = $3";
            expect(Spi::run_with_args(sql, &arguments));
        }
    }

    /// Writes down how it ended. In the transaction of what follows from it.
    pub fn settle(&self, outcome: Outcome, succeeded: bool, detail: Option<&str>) {
        let arguments = [
            self.id.into(),
            self.keys.clone().into(),
            outcome.name().into(),
            succeeded.into(),
            detail.into(),
        ];
        expect(Spi::run_with_args("SELECT docperm._settle_attempt($1, $2, $3, $4, $5)", &arguments));
    }
}

fn stored_password(user: Option<&str>) -> Option<String> {
    let sql = "SELECT p.password_hash FROM docperm.passwords AS p WHERE p.user_name = $1";
    let found = Spi::connect(|client| {
        let rows = client.select(sql, Some(1), &[user.into()])?;
        let hashes = rows.map(|row| row.get::<String>(1));
        hashes.collect::<Result<Vec<_>, _>>()
    });
    expect(found).pop().flatten()
}

fn cost() -> Cost {
    let sql =
        "SELECT s.argon2_memory_kib, s.argon2_iterations, s.argon2_parallelism FROM docperm.settings AS s";
    let (memory, iterations, parallelism) = expect(Spi::get_three::<i32, i32, i32>(sql));
    let number =
        |value: Option<i32>, default| value.and_then(|value| u32::try_from(value).ok()).unwrap_or(default);
    let usual = Cost::default();
    Cost {
        memory_kib: number(memory, usual.memory_kib),
        iterations: number(iterations, usual.iterations),
        parallelism: number(parallelism, usual.parallelism),
    }
}

/// What SPI gives, or the end of the worker: then the attempt stays counted, and nobody is let in.
pub fn expect<T>(result: Result<T, pgrx::spi::Error>) -> T {
    result.unwrap_or_else(|error| {
        crate::fault::Fault::new(
            crate::fault::SqlState::ERRCODE_INTERNAL_ERROR,
            format!("docperm login: {error}"),
        )
        .hint("This is a fault of docperm's installation.")
        .raise()
    })
}

/// Now, not when the transaction began.
pub fn now() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}
