//! The functions that sql/ declares for users: thin, one file a subject.

mod access;
mod explain;
mod identity;
mod permits;
mod report;
mod version;

use std::rc::Rc;

use crate::catalog::cache::{self, Authority};
use crate::fault::Fault;
use crate::identity::{acting, is_database_superuser};
use crate::rules::roles;

/// The authority of whom a function asks about: the acting user, or another one for those who administer.
fn authority_asked_about(user_name: Option<&str>) -> Rc<Authority> {
    let identity = acting();
    let asked = user_name.map(crate::identity::stored_name).unwrap_or_else(|| identity.user.clone());
    if asked == identity.user {
        return cache::authority(&asked);
    }
    if !administers(&identity.user) {
        Fault::denied(format!("user \"{}\" may not ask about the permissions of others", identity.user))
            .detail("Only the Administrator and System Managers may.")
            .hint("Leave user_name out to ask about yourself.")
            .raise();
    }
    let authority = cache::authority(&asked);
    if authority.record().is_none() {
        Fault::unknown(format!("unknown user \"{asked}\"")).hint("Users are rows of docperm.users.").raise();
    }
    authority
}

/// Whether a user, or the database role behind him, administers.
fn administers(user: &str) -> bool {
    let authority = cache::authority(user);
    let by_role = authority.record().is_some_and(|record| roles::administers(&authority.site.model, record));
    by_role || is_database_superuser()
}

/// Refuses a right that is not registered: a misspelt one would be denied to everybody, forever.
fn require_right(authority: &Authority, ptype: &str) {
    if !authority.site.rights.contains(ptype) {
        Fault::unknown(format!("unknown right \"{ptype}\""))
            .hint("Rights are rows of docperm.rights.")
            .raise();
    }
}
