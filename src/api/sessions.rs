//! docperm.resume(), docperm.session_info() and what the SQL functions about sessions ask.

use pgrx::datum::TimestampWithTimeZone;
use pgrx::iter::TableIterator;
use pgrx::{Inet, name, pg_sys};

use crate::auth::ask;
use crate::auth::token;
use crate::catalog::cache;
use crate::catalog::session::Session;
use crate::concealment::conceal_statement;
use crate::identity::address::ClientAddress;
use crate::identity::session::statement_start;
use crate::identity::{self, Source};

/// How old the note that a session is in use may become, in microseconds.
const ACTIVITY_NOTED_EVERY: i64 = 60_000_000;

/// Takes up the session that the token opens.
#[pgrx::pg_extern(sql = false)]
fn docperm_resume(token: Option<&str>, is_local: Option<bool>, client_address: Option<Inet>) -> String {
    conceal_statement();
    let token = super::required(token, "token");
    let session =
        identity::resume(token, ClientAddress::of_client(client_address), is_local.unwrap_or(false));
    note_activity(token, &session);
    session.user.clone()
}

/// Has it written down, once a minute at most, that a session is in use.
fn note_activity(token: &str, session: &Session) {
    let now = statement_start();
    let Some(id) = session.id else { return };
    let noted_every =
        session.idle_timeout.map_or(ACTIVITY_NOTED_EVERY, |rest| (rest / 4).min(ACTIVITY_NOTED_EVERY));
    let is_noted = |session: &Session| now.saturating_sub(session.last_active.get()) < noted_every;
    // SAFETY: reads shared memory.
    if is_noted(session) || unsafe { pg_sys::RecoveryInProgress() } {
        return;
    }
    // Another connection may have had it done since it was read.
    let Some(session) = cache::reread_session(token).filter(|session| !is_noted(session)) else { return };
    ask::note_activity(id, noted_every as f64 / 1e6);
    session.last_active.set(now);
}

/// Who acts, and how that is known.
#[pgrx::pg_extern(sql = false)]
#[allow(clippy::type_complexity, reason = "pgrx reads the columns from the type")]
fn docperm_session_info() -> TableIterator<
    'static,
    (
        name!(user_name, String),
        name!(source, String),
        name!(actor, String),
        name!(session_id, Option<i64>),
        name!(created_at, Option<TimestampWithTimeZone>),
        name!(expires_at, Option<TimestampWithTimeZone>),
        name!(client_address, Option<Inet>),
    ),
> {
    let acting = identity::acting();
    let session = identity::acting_session();
    let session = session.as_deref();
    let source = match (acting.source, session) {
        (Source::ActingUser, _) => "acting user",
        (Source::Session, Some(Session { id: None, .. })) => "API key",
        (Source::Session, _) => "session",
        (Source::DatabaseRole, _) => "database role",
        (Source::Nobody, _) => "nobody",
    };
    let time = |time: i64| TimestampWithTimeZone::try_from(time).ok();
    TableIterator::once((
        acting.user,
        source.to_owned(),
        actor(),
        session.and_then(|session| session.id),
        session.and_then(|session| time(session.created_at)),
        session.and_then(|session| session.expires_at).and_then(time),
        session.and_then(|session| session.address).map(|address| Inet(address.to_string())),
    ))
}

/// The id of the session that acts.
#[pgrx::pg_extern(sql = false)]
fn docperm_session_id() -> Option<i64> {
    identity::acting_session().and_then(|session| session.id)
}

/// Who acts as somebody else.
#[pgrx::pg_extern(sql = false)]
fn docperm_impersonator() -> Option<String> {
    identity::acting_session().and_then(|session| session.impersonated_by.clone())
}

/// Who acts in truth.
#[pgrx::pg_extern(sql = false)]
fn docperm_actor() -> String {
    actor()
}

/// The impersonator, the acting user, or the database role where nobody else is known.
pub(super) fn actor() -> String {
    let impersonator = identity::acting_session().and_then(|session| session.impersonated_by.clone());
    let acting = identity::acting();
    match (impersonator, acting.source) {
        (Some(impersonator), _) => impersonator,
        (None, Source::Nobody) => format!("database role {}", identity::outer_role_name()),
        (None, _) => acting.user,
    }
}

/// Who changes something, for the permission log.
#[pgrx::pg_extern(sql = false)]
#[allow(clippy::type_complexity, reason = "pgrx reads the columns from the type")]
fn docperm_author() -> TableIterator<
    'static,
    (
        name!(changed_by, String),
        name!(impersonated_by, Option<String>),
        name!(db_role, String),
        name!(is_superuser, bool),
    ),
> {
    let author = identity::author();
    TableIterator::once((author.user, author.impersonated_by, author.db_role, author.is_superuser))
}

/// 256 random bits.
#[pgrx::pg_extern(sql = false)]
fn docperm_random_token() -> String {
    token::new_token().to_string()
}
