//! Logging in with a password, in a login worker, in Frappe's order (section 8.1 of its behaviour): locked, password,
//! enabled, age of the password, one-time code, address, hour, session.

use super::attempt::{Attempt, Outcome, now};
use super::new_session;
use super::request::{Answer, Refusal, Secret, Trouble};
use super::two_factor;
use super::worker::transaction;
use crate::catalog::session;
use crate::identity::address::ClientAddress;
use crate::identity::session::server_hour;

/// Opens a session to whoever knows the password.
pub fn log_in(login_id: &str, password: &str, code: Option<Secret>, from: ClientAddress) -> Answer {
    let attempt = match Attempt::begin("Login", login_id, from) {
        Ok(attempt) => attempt,
        Err(locked) => return locked,
    };
    let is_right = attempt.is_right(password);
    transaction(|| match judge(&attempt, is_right, code.as_ref().map(|code| code.as_str()), from) {
        Ok(user) => {
            attempt.settle(Outcome::Right, true, None);
            attempt.upgrade_password(password);
            Answer::Opened { token: new_session::open(user, from, None) }
        }
        Err(No { outcome, detail, answer }) => {
            attempt.settle(outcome, false, Some(&detail));
            answer
        }
    })
}

/// Says whether this is the user's password; it counts like an attempt to log in.
pub fn verify_password(user: &str, password: &str, from: ClientAddress) -> Answer {
    let attempt = match Attempt::begin("Password Change", user, from) {
        Ok(attempt) => attempt,
        Err(locked) => return locked,
    };
    let is_right = attempt.is_right(password);
    transaction(|| {
        if is_right {
            // Nor does it prove here what it does not prove at a login.
            let is_enough = !new_session::requires_code(user);
            attempt.settle(if is_enough { Outcome::Right } else { Outcome::Neither }, true, None);
            Answer::Verified
        } else {
            attempt.settle(Outcome::Wrong, false, Some("wrong password"));
            Answer::Refused(Refusal::WrongCredentials)
        }
    })
}

/// How it counts, what the log says, and what is answered.
struct No {
    outcome: Outcome,
    detail: String,
    answer: Answer,
}

fn judge<'a>(
    attempt: &'a Attempt,
    is_right: bool,
    code: Option<&str>,
    from: ClientAddress,
) -> Result<&'a str, No> {
    let wrong = |detail: &str| No {
        outcome: Outcome::Wrong,
        detail: detail.to_owned(),
        answer: Answer::Refused(Refusal::WrongCredentials),
    };
    // Nothing is proved that would set the count to nothing: whoever has the password alone could otherwise guess codes
    // without end, with a right password between every two of them.
    let neither = |refusal: Refusal| No {
        outcome: Outcome::Neither,
        detail: refusal.detail(),
        answer: Answer::Refused(refusal),
    };

    let Some(user) = attempt.user.as_deref() else { return Err(wrong("unknown user")) };
    if !is_right {
        return Err(wrong("wrong password"));
    }
    let admission = session::admission_of(user);
    if !admission.enabled {
        return Err(wrong("the user is disabled"));
    }
    if new_session::must_change_password(user) {
        return Err(neither(Refusal::PasswordExpired));
    }
    if new_session::requires_code(user) {
        let Some(code) = code else {
            let is_enrolled =
                two_factor::enrolment(user).is_ok_and(|state| state != two_factor::Enrolment::None);
            return Err(neither(if is_enrolled { Refusal::CodeRequired } else { Refusal::NotEnrolled }));
        };
        let checked = two_factor::verify(user, code).map_err(|fault| {
            let (sqlstate, message, detail, hint) = fault.into_parts();
            let log = format!("one-time code not verified: {message}");
            let answer = Answer::Trouble(Trouble { sqlstate, message, detail, hint });
            No { outcome: Outcome::Neither, detail: log, answer }
        })?;
        match checked {
            two_factor::Outcome::Right => {}
            two_factor::Outcome::NotEnrolled => return Err(neither(Refusal::NotEnrolled)),
            two_factor::Outcome::Wrong => return Err(wrong("wrong one-time code")),
            two_factor::Outcome::AlreadyUsed => return Err(wrong("one-time code used before")),
        }
    }
    let (hour, _) = server_hour(now());
    admission.check(hour, from.address).map_err(|why| No {
        outcome: Outcome::Right,
        detail: why.to_string(),
        answer: Answer::Refused(Refusal::NotAdmitted(why)),
    })?;
    Ok(user)
}
