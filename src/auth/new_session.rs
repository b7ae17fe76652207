//! Opening sessions, in a login worker.

use pgrx::Inet;
use pgrx::spi::Spi;

use crate::identity::address::ClientAddress;
use super::attempt::expect;
use super::request::Secret;
use super::token::new_token;
use crate::catalog::session::hash_of;

/// Who acts in truth in a session as somebody else.
pub struct Impersonation<'a> {
    /// The user's name.
    pub actor: &'a str,
    /// The session that it returns to, if it was begun in one.
    pub returns_to: Option<i64>,
}

/// Opens a session and gives its token, of which only the hash is kept.
pub fn open(user: &str, from: ClientAddress, impersonation: Option<&Impersonation>) -> Secret {
    let token = new_token();
    let arguments = [
        user.into(),
        hash_of(&token).into(),
        from.address.map(|address| Inet(address.to_string())).into(),
        impersonation.map(|impersonation| impersonation.actor.to_owned()).into(),
        impersonation.and_then(|impersonation| impersonation.returns_to).into(),
    ];
    expect(Spi::run_with_args("SELECT docperm._open_session($1, $2, $3, $4, $5)", &arguments));
    token
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
