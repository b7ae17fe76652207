//! Acting as somebody else, in a login worker: written down before it begins.

use pgrx::Inet;
use pgrx::spi::Spi;

use super::attempt::{expect, now};
use super::new_session::{self, Impersonation};
use super::request::{Answer, Refusal};
use super::worker::transaction;
use crate::catalog::session;
use crate::identity::address::ClientAddress;
use crate::identity::session::server_hour;

/// Opens a session as `user` for `actor`. The user's own hours and addresses apply to it.
pub fn begin(user: &str, actor: &str, returns_to: Option<i64>, reason: &str, from: ClientAddress) -> Answer {
    transaction(|| {
        let (hour, _) = server_hour(now());
        let refused = session::admission_of(user).check(hour, from.address).err();
        let detail = match refused {
            None => format!("by {actor}: {reason}"),
            Some(why) => format!("by {actor}, refused ({why}): {reason}"),
        };
        let arguments = [
            user.into(),
            refused.is_none().into(),
            from.address.map(|address| Inet(address.to_string())).into(),
            detail.into(),
        ];
        expect(Spi::run_with_args("SELECT docperm._log_activity('Impersonate', $1, $2, $3, $4)", &arguments));
        match refused {
            Some(why) => Answer::Refused(Refusal::NotAdmitted(why)),
            None => {
                let impersonation = Impersonation { actor, returns_to };
                Answer::Opened { token: new_session::open(user, from, Some(&impersonation)) }
            }
        }
    })
}
