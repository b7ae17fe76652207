//! Who is acting.
//!
//! In this order: the user that a trusted application named with docperm.set_user(); the user that the outer database role
//! acts as; Guest. The outer role is the one that SET ROLE and SET SESSION AUTHORIZATION change and that SECURITY DEFINER
//! functions do not.

pub mod settings;
mod switch;

use pgrx::pg_sys;

use crate::catalog::cache;
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
pub fn acting() -> Identity {
    if let Some(user) = settings::acting_user() {
        return Identity { user: user.to_owned(), source: Source::ActingUser };
    }
    match outer_role().and_then(|role| cache::user_of_database_role(&role)) {
        Some(user) => Identity { user: user.to_string(), source: Source::DatabaseRole },
        None => Identity { user: GUEST.to_owned(), source: Source::Nobody },
    }
}

/// The database role that SET ROLE last named, or that logged in.
fn outer_role() -> Option<String> {
    // SAFETY: a look-up that gives NULL for a role that has been dropped.
    unsafe {
        let name = pg_sys::GetUserNameFromId(pg_sys::GetOuterUserId(), true);
        (!name.is_null()).then(|| std::ffi::CStr::from_ptr(name).to_string_lossy().into_owned())
    }
}

/// The outer database role is a superuser, which may do everything anyway.
pub fn is_database_superuser() -> bool {
    // SAFETY: a look-up.
    unsafe { pg_sys::superuser_arg(pg_sys::GetOuterUserId()) }
}
