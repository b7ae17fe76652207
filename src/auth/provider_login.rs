//! Logging in with the ID token of a login provider, in a login worker.

use pgrx::Inet;
use pgrx::spi::Spi;

use super::attempt::{expect, now};
use super::id_token;
use super::new_session;
use super::request::{Answer, Refusal, Trouble};
use super::worker::transaction;
use crate::catalog::session;
use crate::identity::address::ClientAddress;
use crate::identity::session::server_hour;

/// Opens a session to whom the token is about. A token cannot be guessed, so nothing is counted; everything is written down.
pub fn log_in(provider: &str, token: &str, nonce: Option<&str>, from: ClientAddress) -> Answer {
    let resolved = match transaction(|| id_token::resolve(provider, token, nonce)) {
        Ok(resolved) => resolved,
        Err(fault) => {
            let (sqlstate, message, detail, hint) = fault.into_parts();
            transaction(|| log(None, from, format!("by {provider}: {message}")));
            return Answer::Trouble(Trouble { sqlstate, message, detail, hint });
        }
    };
    transaction(|| {
        let refused = |refusal: id_token::Refusal| Refusal::IdToken(refusal.code().to_owned());
        let verdict = resolved.map(|resolved| resolved.user).map_err(refused).and_then(|user| {
            let (hour, _) = server_hour(now());
            let admission = session::admission_of(&user).check(hour, from.address);
            admission.map(|()| user).map_err(Refusal::NotAdmitted)
        });
        let detail = match &verdict {
            Ok(_) => format!("by {provider}"),
            // What was typed is not kept.
            Err(refusal) if *refusal == refused(id_token::Refusal::Provider) => refusal.detail(),
            Err(refusal) => format!("by {provider}: {}", refusal.detail()),
        };
        log(verdict.as_ref().ok(), from, detail);
        match verdict {
            Ok(user) => Answer::Opened { token: new_session::open(&user, from, None) },
            Err(refusal) => Answer::Refused(refusal),
        }
    })
}

fn log(user: Option<&String>, from: ClientAddress, detail: String) {
    let arguments = [
        user.cloned().into(),
        user.is_some().into(),
        from.address.map(|address| Inet(address.to_string())).into(),
        detail.into(),
    ];
    expect(Spi::run_with_args("SELECT docperm._log_activity('Login', $1, $2, $3, $4)", &arguments));
}
