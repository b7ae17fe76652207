//! Who is acting.
//!
//! In this order: the user that a trusted application named with docperm.set_user(); the user of the session whose token
//! is set; the user that the outer database role acts as; Guest. The outer role is the one that SET ROLE and SET SESSION AUTHORIZATION change and that SECURITY DEFINER
//! functions do not.

pub mod address;
pub mod session;
pub mod settings;
mod switch;

use pgrx::pg_sys;

use crate::catalog::{cache, invalidation};
use crate::rules::model::GUEST;

pub use switch::{become_user, resume, stored_name};

/// Registers settings and the hooks that notice a change of identity.
pub fn init() {
    settings::define();
    switch::watch_database_role();
}

/// Who acts, and how that is known.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's name.
    pub user: String,
    /// How it is known.
    pub source: Source,
}

/// How it is known who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// docperm.set_user().
    ActingUser,
    /// A token: docperm.login(), docperm.resume(), or the setting docperm.session.
    Session,
    /// users.db_role.
    DatabaseRole,
    /// Nobody is known.
    Nobody,
}

/// Resolves who acts now.
///
/// While PostgreSQL runs somebody's code in a maintenance command of another (an index expression in ANALYZE, the query of a
/// materialized view), as the owner of the table and restricted to what harms nobody, it is the owner who acts.
pub fn acting() -> Identity {
    let is_restricted = is_restricted_operation();
    if let Some(user) = settings::acting_user().filter(|_| !is_restricted) {
        return Identity { user: user.to_owned(), source: Source::ActingUser };
    }
    if let Some(token) = settings::session_token().filter(|_| !is_restricted) {
        return Identity { user: session::valid(token).user.clone(), source: Source::Session };
    }
    let role = match restriction() {
        Restriction::None => outer_role(),
        Restriction::Owner => current_role(),
        Restriction::Unknown => pg_sys::InvalidOid,
    };
    match role_name(role).and_then(|role| cache::user_of_database_role(&role)) {
        Some(user) => Identity { user: user.to_string(), source: Source::DatabaseRole },
        None => Identity { user: GUEST.to_owned(), source: Source::Nobody },
    }
}

/// What tells that whoever acted still does: as long as it is the same, so is [`acting`]'s answer. The acting user, the
/// session, the database role, its name and its user all make [`news`](invalidation::news) when they change; until when a
/// session is good is asked of the clock. Whatever else an answer comes to depend on belongs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footing {
    news: u64,
    role: pg_sys::Oid,
}

/// See [`Footing`]; `None` where nothing tells.
pub fn footing() -> Option<Footing> {
    let may_have_ended = settings::session_token().is_some() && !session::is_good_for_now();
    // SAFETY: reads a variable of the backend.
    let is_restricted = unsafe { pg_sys::InSecurityRestrictedOperation() };
    (!is_restricted && !may_have_ended).then(|| Footing { news: invalidation::news(), role: outer_role() })
}

/// Whether PostgreSQL runs code of a table's owner in a maintenance command of somebody else.
#[derive(PartialEq, Eq)]
enum Restriction {
    /// No, or the owner runs the command himself.
    None,
    /// Yes, and the owner is the current role.
    Owner,
    /// Yes, and who the owner is cannot be seen, because his code has called a SECURITY DEFINER function: nobody acts.
    Unknown,
}

fn restriction() -> Restriction {
    // SAFETY: reads variables of the backend.
    unsafe {
        if !pg_sys::InSecurityRestrictedOperation() {
            Restriction::None
        } else if pg_sys::InLocalUserIdChange() {
            Restriction::Unknown
        } else if current_role() == outer_role() {
            Restriction::None
        } else {
            Restriction::Owner
        }
    }
}

fn is_restricted_operation() -> bool {
    restriction() != Restriction::None
}

/// The database role that SET ROLE last named, or that logged in.
pub fn outer_role() -> pg_sys::Oid {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::GetOuterUserId() }
}

/// The database role with whose privileges statements run at the moment.
pub fn current_role() -> pg_sys::Oid {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::GetUserId() }
}

/// The outer database role's name, for the logs.
pub fn outer_role_name() -> String {
    role_name(outer_role()).unwrap_or_default()
}

/// A role's name; `None` if it has been dropped.
fn role_name(role: pg_sys::Oid) -> Option<String> {
    // SAFETY: a look-up that gives NULL for an unknown role.
    unsafe {
        let name = pg_sys::GetUserNameFromId(role, true);
        (!name.is_null()).then(|| std::ffi::CStr::from_ptr(name).to_string_lossy().into_owned())
    }
}

/// The session that acts, if one does.
pub fn acting_session() -> Option<std::rc::Rc<crate::catalog::session::Session>> {
    let is_other = settings::acting_user().is_some() || is_restricted_operation();
    settings::session_token().filter(|_| !is_other).map(session::valid)
}

/// Who changes something, for the permission log.
#[derive(Debug)]
pub struct Author {
    /// The acting user; "database role ..." where nobody acts.
    pub user: String,
    /// Who acts as him.
    pub impersonated_by: Option<String>,
    /// The outer database role.
    pub db_role: String,
    /// That role is a superuser, or the one that logged in and may become itself again.
    pub is_superuser: bool,
}

/// Resolves who changes something in the statement that runs, also where the change itself ends his session.
pub fn author() -> Author {
    let is_other = settings::acting_user().is_some() || is_restricted_operation();
    let session =
        settings::session_token().filter(|_| !is_other).map(session::valid_when_the_statement_began);
    let user = match &session {
        Some(session) => session.user.clone(),
        None => match acting() {
            Identity { source: Source::Nobody, .. } => format!("database role {}", outer_role_name()),
            Identity { user, .. } => user,
        },
    };
    // SAFETY: look-ups.
    let is_superuser =
        unsafe { pg_sys::superuser_arg(outer_role()) || pg_sys::superuser_arg(pg_sys::GetSessionUserId()) };
    Author {
        user,
        impersonated_by: session.and_then(|session| session.impersonated_by.clone()),
        db_role: outer_role_name(),
        is_superuser,
    }
}

/// Nobody acts but a database superuser, who may do everything anyway. Not the superuser who has become somebody else, nor
/// whose code runs in a superuser's session.
pub fn is_database_superuser(identity: &Identity) -> bool {
    // SAFETY: look-ups.
    let is_superuser = |role| unsafe { pg_sys::superuser_arg(role) };
    let is_himself = !matches!(identity.source, Source::ActingUser | Source::Session);
    is_himself
        && restriction() != Restriction::Unknown
        && is_superuser(outer_role())
        && is_superuser(current_role())
}
