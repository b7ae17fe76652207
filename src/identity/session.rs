//! Whether a session is still one.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

use pgrx::pg_sys;

use super::{address, settings};

use crate::catalog::cache;
use crate::catalog::session::Session;
use crate::fault::{Fault, SqlState};
use crate::rules::NotAdmitted;

/// Why a token opens nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// It never did, or the session was ended.
    Unknown,
    /// It was open for as long as a session may be.
    Expired,
    /// It was not used for as long as a session may not be.
    Idle,
    /// Its user may not be here.
    NotAdmitted(NotAdmitted),
}

/// The session that `token` opens, or the end of the statement: never is somebody taken for Guest instead.
pub fn valid(token: &str) -> Rc<Session> {
    let session = find(token, statement_start()).unwrap_or_else(|why| fault(why).raise());
    GOOD_UNTIL.set(session.valid_until.get());
    note(token, &session);
    session
}

thread_local! {
    /// Until when the session that was last found valid is; it is the one whose token is set.
    static GOOD_UNTIL: Cell<i64> = const { Cell::new(i64::MIN) };
    /// The session that was last found valid, its token, and when the statement began in which it was.
    static LAST_VALID: RefCell<Option<(String, i64, Rc<Session>)>> = const { RefCell::new(None) };
}

fn note(token: &str, session: &Rc<Session>) {
    let now = statement_start();
    LAST_VALID.with_borrow_mut(|last| {
        let is_noted = last
            .as_ref()
            .is_some_and(|(of, at, noted)| *at == now && Rc::ptr_eq(noted, session) && of == token);
        if !is_noted {
            *last = Some((token.to_owned(), now, session.clone()));
        }
    });
}

/// As [`valid`], for the logs: the session may have ended in this very statement, in which its user disables or renames
/// himself. Who that was is written down; he may do nothing more by it.
pub fn valid_when_the_statement_began(token: &str) -> Rc<Session> {
    find(token, statement_start()).unwrap_or_else(|why| {
        let was_valid = LAST_VALID.with_borrow(|last| {
            let this = last.as_ref().filter(|(of, at, _)| *at == statement_start() && of == token);
            this.map(|(_, _, session)| session.clone())
        });
        was_valid.unwrap_or_else(|| fault(why).raise())
    })
}

/// The session that was found valid still is, unless there has been news of it.
pub fn is_good_for_now() -> bool {
    statement_start() < GOOD_UNTIL.get()
}

fn find(token: &str, now: i64) -> Result<Rc<Session>, Ended> {
    let session = cache::session(token).ok_or(Ended::Unknown)?;
    if now < session.valid_until.get() {
        return Ok(session);
    }
    let session = match judge(&session, now) {
        // Another connection may have taken it up since it was read.
        Err(Ended::Idle) => {
            let session = cache::reread_session(token).ok_or(Ended::Unknown)?;
            judge(&session, now)?;
            session
        }
        verdict => verdict.map(|()| session)?,
    };
    Ok(session)
}

fn judge(session: &Session, now: i64) -> Result<(), Ended> {
    if session.expires_at.is_some_and(|end| now >= end) {
        return Err(Ended::Expired);
    }
    let idle_end = session.idle_timeout.map(|timeout| session.last_active.get().saturating_add(timeout));
    if idle_end.is_some_and(|end| now >= end) {
        return Err(Ended::Idle);
    }
    let (hour, next_hour) = server_hour(now);
    session.admission.check(hour, client_address(session)).map_err(Ended::NotAdmitted)?;
    // The address may be another the next time.
    let address_end = (!session.admission.restrict_ip.is_empty()).then_some(now);
    let hour_end = session.admission.depends_on_hour().then_some(next_hour);
    let ends = [session.expires_at, idle_end, hour_end, address_end];
    session.valid_until.set(ends.into_iter().flatten().min().unwrap_or(i64::MAX));
    Ok(())
}

/// The address that an application has stated, otherwise the one from which the session was opened, otherwise, for keys,
/// that of the connection.
fn client_address(session: &Session) -> Option<IpAddr> {
    let stated = settings::client_address().and_then(address::parse);
    stated.or(session.address).or_else(|| if session.id.is_none() { address::of_connection() } else { None })
}

fn fault(why: Ended) -> Fault {
    let (message, detail) = match why {
        Ended::Unknown => {
            ("the session is not valid", "It was ended, or there never was one with this token.")
        }
        Ended::Expired => ("the session has expired", "It was open for as long as a session may be."),
        Ended::Idle => ("the session has expired", "It was not used for as long as a session may rest."),
        Ended::NotAdmitted(NotAdmitted::Disabled) => ("the session is not valid", "Its user is disabled."),
        Ended::NotAdmitted(NotAdmitted::Address) => {
            ("the session is not valid from here", "Its user may not come from this address.")
        }
        Ended::NotAdmitted(NotAdmitted::Hour) => {
            ("the session is not valid now", "Its user may not work at this hour.")
        }
    };
    Fault::new(SqlState::ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, message)
        .detail(detail)
        .hint("Log in again, or RESET docperm.session to act without a session.")
}

/// When the client sent the statement.
pub fn statement_start() -> i64 {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::GetCurrentStatementStartTimestamp() }
}

/// The hour of the day in the server's time zone (`log_timezone`: the user's own is for the user to choose), and when the
/// next one begins.
pub fn server_hour(at: i64) -> (u8, i64) {
    let mut broken_down = pg_sys::pg_tm::default();
    let (mut zone, mut fraction) = (0, 0);
    // SAFETY: the time zone is set when the server starts; out of range, the function says so and leaves zeros.
    unsafe {
        pg_sys::timestamp2tm(
            at,
            &mut zone,
            &mut broken_down,
            &mut fraction,
            std::ptr::null_mut(),
            pg_sys::log_timezone,
        );
    }
    let into_hour = i64::from(broken_down.tm_min * 60 + broken_down.tm_sec) * 1_000_000 + i64::from(fraction);
    (broken_down.tm_hour as u8, at + 3_600_000_000 - into_hour)
}
