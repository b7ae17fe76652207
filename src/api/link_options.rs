//! docperm.link_options(): what a link picker may offer.

use pgrx::iter::TableIterator;
use pgrx::name;

use super::{require_grant, require_name_column, required};
use crate::catalog::cache::{self, Authority};
use crate::catalog::document;
use crate::fault::{Fault, OrRaise};
use crate::identity::acting;
use crate::rules::{Asking, Doctype, Predicate};

/// Name and title of documents that the acting user may select: by the right `select`, which opens nothing else, or by
/// `read`.
///
/// `for_doctype` is the doctype in whose form the link is picked: user permissions on the picked doctype itself count that
/// apply to it. With `ignore_user_permissions` they do not count at all, if `for_doctype` has such a link to `doctype`.
#[pgrx::pg_extern(sql = false)]
fn docperm_link_options(
    doctype: Option<&str>,
    search: Option<&str>,
    for_doctype: Option<&str>,
    max_rows: Option<i32>,
    ignore_user_permissions: Option<bool>,
) -> TableIterator<'static, (name!(name, String), name!(title, Option<String>))> {
    let doctype = required(doctype, "doctype");
    let authority = cache::authority(&acting().user);
    require_grant(&authority, doctype);
    require_name_column(&authority, doctype);
    if let Some(form) = for_doctype {
        require_form(&authority, doctype, form);
    }
    let ignores = ignore_user_permissions.unwrap_or(false);
    if ignores {
        require_ignoring_link(&authority, doctype, for_doctype);
    }
    let asking = Asking { for_doctype, ignore_user_permissions: ignores };
    let selectable =
        Predicate::any(["select", "read"].map(|ptype| {
            authority.decide(doctype, ptype, asking).map_err(Fault::from).or_raise().predicate()
        }));
    let limit = max_rows.unwrap_or(20).max(0) as usize;
    let wanted = search.map(str::to_lowercase).unwrap_or_default();
    let definition = &authority.site.model.doctypes[doctype];
    let title_column = authority.site.titles.get(doctype);
    let mut options = vec![];
    if !matches!(selectable, Predicate::Never) {
        document::each(&authority.site, doctype, |row| {
            let attribute = |column: &str| row.table().registered_attribute(column, doctype);
            let Some(name) = row.text_form(attribute(&definition.name_column)) else { return };
            let title = title_column.and_then(|column| row.text_form(attribute(column)));
            let fits = |text: &str| text.to_lowercase().contains(&wanted);
            if (fits(&name) || title.as_deref().is_some_and(fits))
                && selectable.matches(&mut document::typed_row(&authority, doctype, row)).or_raise()
            {
                options.push((name, title));
            }
        });
    }
    options.sort();
    options.truncate(limit);
    TableIterator::new(options)
}

/// Refuses a form that has no link to what is picked: user permissions that apply to it would be looked at, and others not,
/// for nothing but to see more.
fn require_form(authority: &Authority, doctype: &str, form: &str) {
    let Some(definition) = authority.site.model.doctypes.get(form) else {
        Fault::unknown(format!("unknown doctype \"{form}\""))
            .hint("for_doctype names a registered doctype.")
            .raise()
    };
    if form != doctype && !definition.links.iter().any(|link| link.target == doctype) {
        Fault::bad_argument(format!("{form} has no link to {doctype}"))
            .hint("Leave for_doctype out, or declare the link with docperm.set_field().")
            .raise();
    }
}

/// Whether the user fills in forms of this doctype at all.
fn fills_in(authority: &Authority, form: &str) -> bool {
    let may = |ptype| authority.ruling(form, ptype).map_err(Fault::from).or_raise().at_doctype_level;
    may("create") || may("write")
}

fn require_ignoring_link(authority: &Authority, doctype: &str, for_doctype: Option<&str>) {
    let form = for_doctype.and_then(|form| authority.site.model.doctypes.get(form));
    // That a tree's nodes name their parents is structure, and lets nobody see the whole tree.
    let is_structure = |form: &Doctype, column: &str| form.tree_parent_column.as_deref() == Some(column);
    let has_link = form.is_some_and(|form| {
        if !fills_in(authority, &form.name) {
            return false;
        }
        let mut links = form.links.iter().filter(|link| !is_structure(form, &link.column));
        links.any(|link| link.target == doctype && link.ignore_user_permissions)
    });
    if !has_link {
        Fault::denied(format!("user permissions cannot be ignored when picking {doctype} here"))
            .detail(match for_doctype {
                Some(form) => format!("{form} needs a link to {doctype} that ignores user permissions, and the user create or write on it."),
                None => "Without for_doctype it is not known which link is picked.".to_owned(),
            })
            .hint(
                "Leave ignore_user_permissions out, or let an administrator set it with docperm.set_field().",
            )
            .raise();
    }
}
