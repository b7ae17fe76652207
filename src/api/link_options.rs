//! docperm.link_options(): what a link picker may offer.

use pgrx::iter::TableIterator;
use pgrx::{name, pg_sys};

use super::{is_column_readable, require_grant, require_name_column, required};
use crate::catalog::cache::{self, Authority};
use crate::catalog::scan::Table;
use crate::catalog::statement::{Sees, run_as_owner};
use crate::catalog::{document, values};
use crate::fault::{Fault, OrRaise};
use crate::identity::acting;
use crate::rules::{Doctype, Undecidable};

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
    if !authority.site.model.doctypes.contains_key(doctype) {
        Fault::from(Undecidable::UnknownDoctype(doctype.to_owned())).raise();
    }
    require_grant(&authority, doctype);
    require_name_column(&authority, doctype);
    if let Some(form) = for_doctype {
        require_form(&authority, doctype, form);
    }
    let ignores = ignore_user_permissions.unwrap_or(false);
    if ignores {
        require_ignoring_link(&authority, doctype, for_doctype);
    }
    let limit = max_rows.unwrap_or(20).max(0);
    let options = Options { authority: &authority, doctype, for_doctype, ignores };
    TableIterator::new(if limit == 0 { vec![] } else { options.find(search.unwrap_or_default(), limit) })
}

/// What to look for.
struct Options<'a> {
    authority: &'a Authority,
    doctype: &'a str,
    for_doctype: Option<&'a str>,
    ignores: bool,
}

impl Options<'_> {
    /// By a query, so that it stops when it has found enough, and uses indexes: that of the key for the order, those of links
    /// for what is permitted, and a trigram index for what is searched.
    fn find(&self, search: &str, limit: i32) -> Vec<(String, Option<String>)> {
        let table = document::table_of(&self.authority.site, self.doctype);
        let name =
            Column::of(&table, &self.authority.site.model.doctypes[self.doctype].name_column, self.doctype);
        let title = self.authority.site.titles.get(self.doctype);
        // A title that may not be read cannot be searched for either.
        let title = title.filter(|column| is_column_readable(self.authority, self.doctype, column));
        let title = title.map(|column| Column::of(&table, column, self.doctype));
        let texts = [Some(&name), title.as_ref()].into_iter().flatten();
        let fits: Vec<String> = texts.map(|column| column.contains(search)).collect();
        let fits = if search.is_empty() { "true".to_owned() } else { fits.join(" OR ") };
        let sql = format!(
            "SELECT {}, {} FROM {} AS t
              WHERE docperm._is_selectable(t.*, {}::text, {}::text, {}) AND ({fits})
              ORDER BY t.{} LIMIT {limit}",
            name.text(),
            title.as_ref().map_or("NULL".to_owned(), Column::text),
            table.qualified_name(),
            values::literal(self.doctype),
            self.for_doctype.map_or("NULL".to_owned(), values::literal),
            self.ignores,
            name.quoted,
        );
        let rows = run_as_owner(&table, Sees::SameAsCaller, &sql, &[]);
        rows.into_iter()
            .map(|row| {
                let mut values = row.into_iter();
                let name = values.next().flatten().unwrap_or_default();
                (name, values.next().flatten())
            })
            .collect()
    }
}

/// A column that is shown and searched.
struct Column {
    quoted: String,
    type_oid: pg_sys::Oid,
    has_plain_collation: bool,
}

impl Column {
    fn of(table: &Table, column: &str, doctype: &str) -> Self {
        let attribute = table.registered_attribute(column, doctype);
        Column {
            quoted: values::quoted(column),
            type_oid: values::base_type(attribute.atttypid),
            has_plain_collation: values::is_deterministic(attribute.attcollation),
        }
    }

    /// Its text form. Not by a cast, which could be somebody's own.
    fn text(&self) -> String {
        let column = format!("t.{}", self.quoted);
        let text = format!("CASE WHEN {column} IS NOT NULL THEN format('%s', {column}) END");
        // The blanks that fill it up are no part of it.
        if self.type_oid == pg_sys::BPCHAROID { format!("rtrim({text}, ' ')") } else { text }
    }

    /// The condition that it contains what is searched, in upper or lower case. On the column itself where that can be, for
    /// the sake of its index.
    fn contains(&self, search: &str) -> String {
        let mut pattern = String::from("%");
        for letter in search.chars() {
            if matches!(letter, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        pattern.push('%');
        let is_text = matches!(self.type_oid, pg_sys::TEXTOID | pg_sys::VARCHAROID);
        let operand = match is_text {
            true if self.has_plain_collation => format!("t.{}", self.quoted),
            true => format!("t.{} COLLATE \"default\"", self.quoted),
            false => format!("({})", self.text()),
        };
        format!("{operand} ILIKE {}", values::literal(&pattern))
    }
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
