//! docperm.who_can(): who has a right on a document, and by what.

use pgrx::iter::TableIterator;
use pgrx::name;

use super::{require_administrator, require_name_column, require_right};
use crate::catalog::cache::{self, Authority};
use crate::catalog::{document, load};
use crate::fault::{Fault, OrRaise};
use crate::identity::acting;
use crate::rules::Asking;
use crate::rules::tell::tell_grant;

/// The enabled users who have the right on the document, each with what gives it: a role, ownership, a share.
#[pgrx::pg_extern(sql = false)]
fn docperm_who_can(
    doctype: &str,
    document: &str,
    ptype: Option<&str>,
) -> TableIterator<'static, (name!(user_name, String), name!(via, String))> {
    let ptype = ptype.unwrap_or("read");
    require_administrator("ask who has rights on a document");
    let own = cache::authority(&acting().user);
    require_right(&own, ptype);
    require_name_column(&own, doctype);
    let mut holders = vec![];
    for user in load::user_names() {
        // Not kept: a backend serves few users, and this asks about all of them.
        let authority = cache::passing_authority(&user);
        holders.extend(granted_via(&authority, doctype, ptype, document).map(|via| (user, via)));
    }
    holders.sort();
    TableIterator::new(holders)
}

fn granted_via(authority: &Authority, doctype: &str, ptype: &str, name: &str) -> Option<String> {
    let decision = authority.decide(doctype, ptype, Asking::default()).map_err(Fault::from).or_raise();
    let mut via = None;
    document::find(&authority.site, doctype, name, |row| {
        via = tell_grant(&decision, &mut document::typed_row(authority, doctype, row)).or_raise();
    });
    via
}
