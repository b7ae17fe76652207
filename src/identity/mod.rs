//! Who is acting.
//!
//! In this order: the user that a trusted application named with docperm.set_user(); the user that the outer database role
//! acts as; Guest. The outer role is the one that SET ROLE and SET SESSION AUTHORIZATION change and that SECURITY DEFINER
//! functions do not.

pub mod settings;
mod switch;

use pgrx::pg_sys;

use crate::catalog::{cache, invalidation};
use crate::rules::model::GUEST;

pub use switch::{become_user, stored_name};

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
    let role = if is_restricted { current_role() } else { outer_role() };
    match role_name(role).and_then(|role| cache::user_of_database_role(&role)) {
        Some(user) => Identity { user: user.to_string(), source: Source::DatabaseRole },
        None => Identity { user: GUEST.to_owned(), source: Source::Nobody },
    }
}

/// What tells that whoever acted still does: as long as it is the same, so is [`acting`]'s answer. The acting user, the
/// database role, its name and its user all make [`news`](invalidation::news) when they change. Whatever else an answer comes
/// to depend on, and be it the time, belongs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footing {
    news: u64,
    role: pg_sys::Oid,
}

/// See [`Footing`]; `None` where nothing tells.
pub fn footing() -> Option<Footing> {
    // SAFETY: reads a variable of the backend.
    let is_restricted = unsafe { pg_sys::InSecurityRestrictedOperation() };
    (!is_restricted).then(|| Footing { news: invalidation::news(), role: outer_role() })
}

/// Not where the owner runs the command himself.
fn is_restricted_operation() -> bool {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::InSecurityRestrictedOperation() && current_role() != outer_role() }
}

/// The database role that SET ROLE last named, or that logged in.
fn outer_role() -> pg_sys::Oid {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::GetOuterUserId() }
}

/// The database role with whose privileges statements run at the moment.
pub fn current_role() -> pg_sys::Oid {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::GetUserId() }
}

/// A role's name; `None` if it has been dropped.
fn role_name(role: pg_sys::Oid) -> Option<String> {
    // SAFETY: a look-up that gives NULL for an unknown role.
    unsafe {
        let name = pg_sys::GetUserNameFromId(role, true);
        (!name.is_null()).then(|| std::ffi::CStr::from_ptr(name).to_string_lossy().into_owned())
    }
}

/// Nobody acts but a database superuser, who may do everything anyway. Not the superuser who has become somebody else, nor
/// whose code runs in a superuser's session.
pub fn is_database_superuser(identity: &Identity) -> bool {
    // SAFETY: look-ups.
    let is_superuser = |role| unsafe { pg_sys::superuser_arg(role) };
    identity.source != Source::ActingUser && is_superuser(outer_role()) && is_superuser(current_role())
}
