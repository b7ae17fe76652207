//! What docperm.doctor() cannot see in SQL.

use pgrx::iter::TableIterator;
use pgrx::name;

use crate::auth::key_file;
use crate::catalog::cache;
use crate::guard::orphans;

/// How many rows of a child table belong to no document, and the name that one of them gives.
#[pgrx::pg_extern(sql = false)]
fn docperm_count_orphans(
    doctype: &str,
) -> TableIterator<'static, (name!(orphans, i64), name!(example, Option<String>))> {
    let site = cache::site();
    let child = site.model.doctypes.get(doctype).filter(|_| site.relations.contains_key(doctype));
    let counted = child.and_then(|child| Some(orphans::count(&site, child, child.parentage.as_ref()?)));
    TableIterator::once(counted.unwrap_or_default())
}

/// Why the file with the keys of second factors cannot be used, without its path or what is in it.
#[pgrx::pg_extern(sql = false)]
fn docperm_key_file_problem() -> Option<String> {
    let (_, message, detail, _) = key_file::keys().err()?.into_parts();
    Some(detail.unwrap_or(message))
}
