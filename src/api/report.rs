//! docperm.permitted_documents(): the report "Permitted Documents For User".

use std::rc::Rc;

use pgrx::iter::TableIterator;
use pgrx::name;

use super::{authority_asked_about, require_grant, require_name_column, required};
use crate::catalog::cache::Ruling;
use crate::catalog::document;
use crate::fault::{Fault, OrRaise};

/// The documents of a doctype that a user may read, each with the rights that the user has on it.
#[pgrx::pg_extern(sql = false)]
fn docperm_permitted_documents(
    doctype: Option<&str>,
    user_name: Option<&str>,
) -> TableIterator<'static, (name!(document, String), name!(rights, Vec<String>))> {
    let doctype = required(doctype, "doctype");
    let authority = authority_asked_about(user_name);
    require_grant(&authority, doctype);
    require_name_column(&authority, doctype);
    let ruling = |right: &'_ str| authority.ruling(doctype, right).map_err(Fault::from).or_raise();
    let rulings: Vec<(&String, Rc<Ruling>)> =
        authority.site.rights.iter().map(|right| (right, ruling(right))).collect();
    let read = ruling("read");
    let name_column = &authority.site.model.doctypes[doctype].name_column;
    let mut permitted = vec![];
    document::each(&authority.site, doctype, |row| {
        let mut typed = document::typed_row(&authority, doctype, row);
        if !read.predicate.matches(&mut typed).or_raise() {
            return;
        }
        let had = rulings.iter().filter(|(_, ruling)| ruling.predicate.matches(&mut typed).or_raise());
        let had = had.map(|(right, _)| (*right).clone()).collect();
        let name = row.table().registered_attribute(name_column, doctype);
        permitted.push((row.text_form(name).unwrap_or_default(), had));
    });
    permitted.sort();
    TableIterator::new(permitted)
}
