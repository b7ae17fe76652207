//! docperm.has_permission().

use super::{authority_asked_about, require_name_column, require_right, required};
use crate::catalog::cache::Authority;
use crate::catalog::document;
use crate::fault::{Fault, OrRaise};
use crate::rules::Predicate;

/// Whether a user has a right: on a document, or without one at the level of the doctype.
#[pgrx::pg_extern(sql = false)]
fn docperm_has_permission(
    doctype: Option<&str>,
    ptype: Option<&str>,
    document: Option<&str>,
    user_name: Option<&str>,
) -> bool {
    let doctype = required(doctype, "doctype");
    let ptype = ptype.unwrap_or("read");
    let authority = authority_asked_about(user_name);
    require_right(&authority, ptype);
    match document {
        None => authority.ruling(doctype, ptype).map_err(Fault::from).or_raise().at_doctype_level,
        Some(name) => is_permitted(&authority, doctype, ptype, name),
    }
}

/// Whether the right is had on the document of that name. On one that does not exist nobody has a right: to a stranger it
/// looks like one that he may not see.
pub(super) fn is_permitted(authority: &Authority, doctype: &str, ptype: &str, name: &str) -> bool {
    let ruling = authority.ruling(doctype, ptype).map_err(Fault::from).or_raise();
    if matches!(ruling.predicate, Predicate::Never) {
        return false;
    }
    require_name_column(authority, doctype);
    // Should several documents have the name, as partitions may, the right is had on all of them or on none.
    let mut answer = None;
    document::find(&authority.site, doctype, name, |row| {
        let is_permitted =
            ruling.predicate.matches(&mut document::typed_row(authority, doctype, row)).or_raise();
        answer = Some(answer.unwrap_or(true) && is_permitted);
    });
    answer.unwrap_or(false)
}
