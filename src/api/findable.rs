//! What a user finds in a menu: roles that count, and rights without a document.

use pgrx::iter::TableIterator;
use pgrx::name;

use super::authority_asked_about;
use crate::fault::{Fault, OrRaise};
use crate::rules::roles::roles_of;

/// The roles that count for a user, automatic ones included. Who is disabled has none.
#[pgrx::pg_extern(sql = false)]
fn docperm_roles_of(user_name: Option<&str>) -> Vec<String> {
    let authority = authority_asked_about(user_name);
    let counting = authority.record().filter(|user| user.enabled || user.is_administrator());
    let roles = counting.map(|user| roles_of(&authority.site.model, user)).unwrap_or_default();
    roles.into_iter().map(str::to_owned).collect()
}

/// The doctypes on which a user has a right without a document, and which rights.
#[pgrx::pg_extern(sql = false)]
fn docperm_doctype_rights(
    user_name: Option<&str>,
) -> TableIterator<'static, (name!(doctype, String), name!(rights, Vec<String>))> {
    let authority = authority_asked_about(user_name);
    let has = |doctype: &str, right: &str| {
        authority.ruling(doctype, right).map_err(Fault::from).or_raise().at_doctype_level
    };
    let mut found: Vec<(String, Vec<String>)> = vec![];
    for doctype in authority.site.model.doctypes.keys() {
        let rights = authority.site.rights.iter().filter(|right| has(doctype, right));
        let rights: Vec<String> = rights.cloned().collect();
        if !rights.is_empty() {
            found.push((doctype.clone(), rights));
        }
    }
    found.sort();
    TableIterator::new(found)
}
