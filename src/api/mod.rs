//! The functions that sql/ declares for users: thin, one file a subject.

mod access;
mod amend;
mod doctor;
mod document_follow;
mod explain;
mod findable;
mod history;
mod identity;
mod lifecycle;
mod link_options;
mod login;
mod login_providers;
#[cfg(feature = "pg_test")]
mod null_test;
mod one_time_codes;
mod passwords;
mod permits;
mod refusing;
mod renaming;
mod report;
mod restricting;
mod sessions;
mod sharing;
mod version;
mod who_can;

use std::rc::Rc;

use pgrx::pg_sys;

use crate::catalog::cache::{self, Authority};
use crate::catalog::closed::closed_attributes;
use crate::catalog::scan::Table;
use crate::fault::{Fault, OrRaise};
use crate::identity::{Identity, acting, current_role, is_database_superuser};
use crate::rules::roles;

/// The authority of whom a function asks about: the acting user, or another one for those who administer.
fn authority_asked_about(user_name: Option<&str>) -> Rc<Authority> {
    let identity = acting();
    let asked = user_name.map(crate::identity::stored_name).unwrap_or_else(|| identity.user.clone());
    if asked == identity.user {
        return cache::authority(&asked);
    }
    if !administers(&identity) {
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

/// Refuses who does not administer what only administrators may do.
fn require_administrator(what: &str) {
    let identity = acting();
    let user = &identity.user;
    if !administers(&identity) {
        Fault::denied(format!("user \"{user}\" may not {what}"))
            .detail("Only the Administrator and System Managers may.")
            .hint("Ask an administrator.")
            .raise();
    }
}

/// Refuses to whoever acts as somebody else, and to programs that act by an API key, what would outlast it.
fn require_oneself(what: &str) {
    let Some(session) = crate::identity::acting_session() else { return };
    if let Some(impersonator) = &session.impersonated_by {
        Fault::denied(format!("user \"{impersonator}\" may not {what} of somebody else"))
            .detail("Whoever acts as somebody else leaves the other's keys and secrets alone.")
            .hint("docperm.end_impersonation() comes first.")
            .raise();
    }
    if session.id.is_none() {
        Fault::denied(format!("an API key may not {what} of its user"))
            .detail("Whoever comes by a key must not come by what outlasts it.")
            .hint("Log in as the user.")
            .raise();
    }
}

/// Whether who acts administers: the acting user, and so does whoever acts as him. A database role that does is a superuser's.
fn administers(identity: &Identity) -> bool {
    let by_role = |user: &str| {
        let authority = cache::authority(user);
        authority.record().is_some_and(|record| roles::administers(&authority.site.model, record))
    };
    let session = crate::identity::acting_session();
    let impersonator = session.as_ref().and_then(|session| session.impersonated_by.as_deref());
    let in_truth = impersonator.is_none_or(|actor| actor.starts_with("database role ") || by_role(actor));
    in_truth && by_role(&identity.user) || is_database_superuser(identity)
}

/// Whether the current database role has been granted anything to read of a doctype's table. What documents hold is told
/// to nobody who could not read it himself.
fn is_table_granted(authority: &Authority, doctype: &str) -> bool {
    let Some(relation) = authority.site.relations.get(doctype) else { return false };
    // SAFETY: a look-up of privileges.
    let of_any_column = || unsafe {
        let any = pg_sys::AclMaskHow::ACLMASK_ANY;
        pg_sys::pg_attribute_aclcheck_all(*relation, current_role(), SELECT, any)
    };
    is_granted_whole(*relation) || of_any_column() == pg_sys::AclResult::ACLCHECK_OK
}

/// Whether the current database role may SELECT a column of a doctype's table.
fn is_column_granted(authority: &Authority, doctype: &str, column: &str) -> bool {
    let Some(relation) = authority.site.relations.get(doctype) else { return false };
    let Ok(column) = std::ffi::CString::new(column) else { return false };
    // SAFETY: look-ups of a column's number and privileges.
    let of_column = || unsafe {
        let number = pg_sys::get_attnum(*relation, column.as_ptr());
        pg_sys::pg_attribute_aclcheck(*relation, number, current_role(), SELECT)
    };
    is_granted_whole(*relation) || of_column() == pg_sys::AclResult::ACLCHECK_OK
}

/// Whether whoever acts, as the current database role, may read a column of a doctype's table: PostgreSQL grants it, and its
/// level is open.
fn is_column_readable(authority: &Authority, doctype: &str, column: &str) -> bool {
    is_column_granted(authority, doctype, column) && is_column_open(authority, doctype, column)
}

/// Whether the level of a column is open to whoever acts. Where PostgreSQL filters no rows for the database role, docperm
/// hides no columns from it.
fn is_column_open(authority: &Authority, doctype: &str, column: &str) -> bool {
    let Some(relation) = authority.site.relations.get(doctype) else { return true };
    // SAFETY: a look-up.
    let status = unsafe { pg_sys::check_enable_rls(*relation, current_role(), true) };
    if status != pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32 {
        return true;
    }
    let Some(table) = Table::open(*relation) else { return true };
    let acting = cache::authority(&acting().user);
    let closed = closed_attributes(&acting, &table, doctype, "read").or_raise();
    closed.iter().all(|closed| closed.column != column)
}

const SELECT: pg_sys::AclMode = pg_sys::ACL_SELECT as pg_sys::AclMode;

fn is_granted_whole(relation: pg_sys::Oid) -> bool {
    // SAFETY: a look-up of privileges.
    let of_table = unsafe { pg_sys::pg_class_aclcheck(relation, current_role(), SELECT) };
    of_table == pg_sys::AclResult::ACLCHECK_OK
}

/// Refuses to deal with documents by name where the current database role, or whoever acts, may not read their names.
fn require_grant(authority: &Authority, doctype: &str) {
    if !authority.site.relations.contains_key(doctype) {
        return;
    }
    let name_column = authority.site.model.doctypes.get(doctype).map(|definition| &definition.name_column);
    let is_granted = match name_column.filter(|column| !column.is_empty()) {
        Some(column) => is_column_granted(authority, doctype, column),
        None => is_table_granted(authority, doctype),
    };
    if !is_granted {
        Fault::denied(format!("permission denied for the table of {doctype}"))
            .detail("The database role may not SELECT the names of its documents, whatever the acting user may read.")
            .hint("GRANT SELECT on the table to the role.")
            .raise();
    }
    if let Some(column) = name_column.filter(|column| !is_column_open(authority, doctype, column)) {
        Fault::denied(format!("user \"{}\" may not read the names of documents of {doctype}", acting().user))
            .detail(format!("They stand in {column}, which is above level 0."))
            .hint("Ask for a rule of that level, or let the column that names documents be of level 0.")
            .raise();
    }
}

/// Refuses a right that is not registered: a misspelt one would be denied to everybody, forever.
fn require_right(authority: &Authority, ptype: &str) {
    if !authority.site.rights.contains(ptype) {
        Fault::unknown(format!("unknown right \"{ptype}\""))
            .hint("Rights are rows of docperm.rights.")
            .raise();
    }
}

/// An argument that cannot be left out.
fn required<'a>(argument: Option<&'a str>, name: &str) -> &'a str {
    argument.unwrap_or_else(|| {
        Fault::bad_argument(format!("{name} must not be NULL"))
            .hint(format!("Name the {name} that is asked about."))
            .raise()
    })
}

/// Refuses to look for rows by name where they have none: those of a child table with a key of several columns.
fn require_name_column(authority: &Authority, doctype: &str) {
    let definition = authority.site.model.doctypes.get(doctype);
    if definition.is_some_and(|definition| definition.name_column.is_empty()) {
        Fault::bad_argument(format!("rows of \"{doctype}\" have no names"))
            .detail("It is a child table without a column of its own that tells its rows apart.")
            .hint("Ask about the documents that its rows belong to.")
            .raise();
    }
}
