//! What a backend asks of its login worker, and what it is told.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::identity::address::ClientAddress;
use crate::rules::NotAdmitted;

/// Text that is wiped when it is no longer needed.
pub type Secret = Zeroizing<String>;

/// Something that must have happened, and be written down, whatever becomes of the transaction that asked for it.
#[derive(Serialize, Deserialize)]
pub enum Request {
    /// Open a session to whoever knows the password.
    Login {
        /// As typed.
        login_id: String,
        /// As typed.
        password: Secret,
        /// The one-time code, where one was given.
        code: Option<Secret>,
        /// From where.
        from: ClientAddress,
    },
    /// Say whether this is the user's password. It counts as an attempt to log in.
    VerifyPassword {
        /// The user's name.
        user: String,
        /// As typed.
        password: Secret,
        /// From where.
        from: ClientAddress,
    },
    /// Open a session to whom a login provider's ID token is about.
    IdToken {
        /// The provider's name.
        provider: String,
        /// The token.
        token: Secret,
        /// The nonce that the token must bear.
        nonce: Option<String>,
        /// From where.
        from: ClientAddress,
    },
    /// Open a session as somebody else. Whether that is allowed has been decided.
    Impersonate {
        /// As whom.
        user: String,
        /// Who acts in truth.
        actor: String,
        /// The session that it returns to.
        returns_to: Option<i64>,
        /// Why.
        reason: String,
        /// From where.
        from: ClientAddress,
    },
}

/// What came of a request.
#[derive(Serialize, Deserialize)]
pub enum Answer {
    /// A session is open.
    Opened {
        /// Its token: the only copy.
        token: Secret,
    },
    /// The password is right.
    Verified,
    /// Too many attempts have failed. Nothing was verified.
    Locked {
        /// Seconds until the next attempt.
        seconds: f64,
    },
    /// No.
    Refused(Refusal),
    /// Something about the installation is wrong.
    Trouble(Trouble),
}

/// An error that only who runs the installation can do something about.
#[derive(Serialize, Deserialize)]
pub struct Trouble {
    /// SQLSTATE, as PostgreSQL packs it.
    pub sqlstate: i32,
    /// The primary message.
    pub message: String,
    /// DETAIL.
    pub detail: Option<String>,
    /// HINT.
    pub hint: Option<String>,
}

/// Why no session was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// No such user, a wrong password, a wrong code, a disabled user: the client is not told which.
    WrongCredentials,
    /// The password is right, and a one-time code is wanted, too.
    CodeRequired,
    /// The password is right, and the user has to enrol for one-time codes first.
    NotEnrolled,
    /// The password is right, and too old.
    PasswordExpired,
    /// The password is right, and the user may not be here now.
    NotAdmitted(NotAdmitted),
    /// The login provider's token is not good.
    IdToken(String),
}

impl Refusal {
    /// For the log.
    pub fn detail(&self) -> String {
        match self {
            Refusal::WrongCredentials => "wrong credentials".to_owned(),
            Refusal::CodeRequired => "one-time code missing".to_owned(),
            Refusal::NotEnrolled => "not enrolled for one-time codes".to_owned(),
            Refusal::PasswordExpired => "password too old".to_owned(),
            Refusal::NotAdmitted(why) => why.to_string(),
            Refusal::IdToken(why) => why.clone(),
        }
    }
}
