//! docperm.link_options(): what a link picker may offer.

use pgrx::iter::TableIterator;
use pgrx::name;

use super::{require_grant, required};
use crate::catalog::cache::{self, Authority};
use crate::catalog::document;
use crate::fault::{Fault, OrRaise};
use crate::identity::acting;
use crate::rules::{Asking, Predicate};

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

fn require_ignoring_link(authority: &Authority, doctype: &str, for_doctype: Option<&str>) {
    let form = for_doctype.and_then(|form| authority.site.model.doctypes.get(form));
    let has_link = form.is_some_and(|form| {
        form.links.iter().any(|link| link.target == doctype && link.ignore_user_permissions)
    });
    if !has_link {
        Fault::denied(format!("user permissions cannot be ignored when picking {doctype} here"))
            .detail(match for_doctype {
                Some(form) => format!("{form} has no link to {doctype} that ignores user permissions."),
                None => "Without for_doctype it is not known which link is picked.".to_owned(),
            })
            .hint(
                "Leave ignore_user_permissions out, or let an administrator set it with docperm.set_field().",
            )
            .raise();
    }
}
