//! Opening sessions, in a login worker.

use std::cell::RefCell;
use std::mem::ManuallyDrop;

use pgrx::Inet;
use pgrx::spi::Spi;

use super::attempt::expect;
use super::request::Secret;
use super::token::new_token;
use super::turn::Turn;
use super::worker::transaction;
use crate::catalog::session::hash_of;
use crate::identity::address::ClientAddress;

/// Who acts in truth in a session as somebody else.
pub struct Impersonation<'a> {
    /// The user's name.
    pub actor: &'a str,
    /// The session that it returns to, if it was begun in one.
    pub returns_to: Option<i64>,
}

/// Opens a session and gives its token, of which only the hash is kept.
pub fn open(user: &str, from: ClientAddress, impersonation: Option<&Impersonation>) -> Secret {
    // Until it is committed: the next login counts this one's session.
    TURN.set(Some(ManuallyDrop::new(Turn::wait_for(&format!("sessions of {user}")))));
    let address = from.address.map(|address| Inet(address.to_string()));
    let token = new_token();
    let arguments = [
        user.into(),
        hash_of(&token).into(),
        address.clone().into(),
        impersonation.map(|impersonation| impersonation.actor.to_owned()).into(),
        impersonation.and_then(|impersonation| impersonation.returns_to).into(),
    ];
    expect(Spi::run_with_args("SELECT docperm._open_session($1, $2, $3, $4, $5)", &arguments));
    if impersonation.is_none() && !note_login(user, address.clone(), false) {
        UNNOTED.set(Some((user.to_owned(), address)));
    }
    token
}

thread_local! {
    /// That of the user to whom a session is being opened. Not dropped at exit, after PostgreSQL's memory is gone.
    static TURN: RefCell<Option<ManuallyDrop<Turn>>> = const { RefCell::new(None) };

    /// A login that could not be written into docperm.users at once, because somebody held the row.
    static UNNOTED: RefCell<Option<(String, Option<Inet>)>> = const { RefCell::new(None) };
}

/// Lets the user's next login go on, and writes down what could not be written down at once. The session is open, and nobody
/// waits for this.
pub fn note_later() {
    drop(TURN.take().map(ManuallyDrop::into_inner));
    if let Some((user, address)) = UNNOTED.take() {
        transaction(|| note_login(&user, address, true));
    }
}

fn note_login(user: &str, address: Option<Inet>, waits: bool) -> bool {
    let arguments = [user.into(), address.into(), waits.into()];
    expect(Spi::get_one_with_args("SELECT docperm._note_login($1, $2, $3)", &arguments)).unwrap_or(false)
}

/// Whether the user's password is too old, or was given to be changed.
pub fn must_change_password(user: &str) -> bool {
    let answer = Spi::get_one_with_args("SELECT docperm._must_change_password($1)", &[user.into()]);
    expect(answer).unwrap_or(true)
}

/// Whether the user's password alone is not enough.
pub fn requires_code(user: &str) -> bool {
    let answer = Spi::get_one_with_args("SELECT docperm._requires_two_factor($1)", &[user.into()]);
    expect(answer).unwrap_or(true)
}
