//! docperm.document_history(): what happened to a document, for those who may see it.

use pgrx::datum::{JsonB, TimestampWithTimeZone};
use pgrx::iter::TableIterator;
use pgrx::{name, pg_sys};

use super::{access, administers, is_column_granted, require_grant, required};
use crate::catalog::cache::{self, Authority};
use crate::catalog::document;
use crate::catalog::scan::{Key, NewestSnapshot, RowView, Table};
use crate::catalog::settings::Fixed;
use crate::fault::{Fault, OrRaise, SqlState};
use crate::identity::{acting, is_database_superuser};
use crate::rules::{Levels, Undecidable};

/// A row of docperm.document_changes, as far as it is told.
pub(super) struct Change {
    pub id: i64,
    pub at: i64,
    pub action: String,
    pub child_doctype: Option<String>,
    pub child_name: Option<String>,
    pub changes: Option<JsonB>,
    pub changed_by: String,
    pub impersonated_by: Option<String>,
    pub gone: bool,
    pub transaction_id: u64,
}

/// What happened to a document, the latest first.
#[pgrx::pg_extern(sql = false)]
#[allow(clippy::type_complexity, reason = "pgrx reads the columns from the type")]
fn docperm_document_history(
    doctype: Option<&str>,
    document: Option<&str>,
    max_rows: Option<i32>,
) -> TableIterator<
    'static,
    (
        name!(id, i64),
        name!(at, TimestampWithTimeZone),
        name!(action, String),
        name!(child_doctype, Option<String>),
        name!(child_name, Option<String>),
        name!(changes, Option<JsonB>),
        name!(changed_by, String),
        name!(impersonated_by, Option<String>),
        name!(gone, bool),
    ),
> {
    let (doctype, document) = (required(doctype, "doctype"), required(document, "document"));
    let limit = max_rows.map_or(usize::MAX, |rows| rows.max(0) as usize);
    let identity = acting();
    let authority = cache::authority(&identity.user);
    let is_administrator = administers(&identity);
    let is_known = authority.site.model.doctypes.contains_key(doctype);
    if !is_known && (!is_administrator || !is_recorded(doctype)) {
        Fault::from(Undecidable::UnknownDoctype(doctype.to_owned())).raise();
    }
    require_grant(&authority, doctype);

    let reader = Reader::new(&authority, doctype, is_database_superuser(&identity), true);
    let name = reader.name_of(document);
    let may_read =
        name.is_some() && (reader.sees_all || access::is_permitted(&authority, doctype, "read", document));
    let is_told = |change: &Change| if change.gone { is_administrator } else { may_read };
    let mut changes = changes_of(doctype, name.as_deref().unwrap_or(document), is_told);
    changes.sort_by_key(|change| std::cmp::Reverse(change.id));
    let visible: Vec<_> =
        changes.into_iter().filter_map(|change| reader.visible(change)).take(limit).collect();
    TableIterator::new(visible.into_iter().map(|change| {
        (
            change.id,
            timestamp(change.at),
            change.action,
            change.child_doctype,
            change.child_name,
            change.changes,
            change.changed_by,
            change.impersonated_by,
            change.gone,
        )
    }))
}

/// What is wanted of the history of a document, and of earlier ones of its name, in no order, as far as the statement sees it.
///
/// Whether somebody may read the document is asked of the row that the statement sees. In a transaction whose snapshot is old,
/// he might read more of the history than that row's: what happened since the document is not his any more.
pub(super) fn changes_of(doctype: &str, document: &str, is_wanted: impl Fn(&Change) -> bool) -> Vec<Change> {
    let mut changes = vec![];
    let keys = [Key::Text("doctype", doctype), Key::Text("document", document)];
    Table::own("document_changes").scan_where_as_of(&keys, document::active_snapshot(), |row| {
        if let Some(change) = without_changes(row).filter(&is_wanted) {
            changes.push(Change { changes: row.get("changes"), ..change });
        }
    });
    changes
}

fn without_changes(row: &RowView) -> Option<Change> {
    Some(Change {
        id: row.get("id")?,
        at: row.get("at")?,
        action: row.text("action")?,
        child_doctype: row.text("child_doctype"),
        child_name: row.text("child_name"),
        changes: None,
        changed_by: row.text("changed_by")?,
        impersonated_by: row.text("impersonated_by"),
        gone: row.get("gone")?,
        transaction_id: transaction_id(row)?,
    })
}

fn transaction_id(row: &RowView) -> Option<u64> {
    let attribute = row.table().registered_attribute("transaction_id", "docperm");
    // A type of eight bytes that is passed by value.
    row.datum(attribute).map(|datum| datum.value() as u64)
}

/// A point in time, as functions return it.
pub(super) fn timestamp(at: i64) -> TimestampWithTimeZone {
    TimestampWithTimeZone::try_from(at).unwrap_or_else(|_| {
        Fault::new(SqlState::ERRCODE_DATETIME_FIELD_OVERFLOW, "a point in time is out of range")
            .hint("Times in docperm.document_changes are written by docperm.")
            .raise()
    })
}

/// Something of a doctype that is registered no more has been recorded.
fn is_recorded(doctype: &str) -> bool {
    Table::own("document_changes").any_where(&[Key::Text("doctype", doctype)], &NewestSnapshot::take())
}

/// Somebody who may see some columns of a doctype's documents, and of their rows in child tables.
pub(super) struct Reader<'a> {
    authority: &'a Authority,
    doctype: &'a str,
    /// The Administrator, or a database superuser who has not become anybody.
    sees_all: bool,
    /// Asks from a database connection of his own, whose role must have been granted what it is told.
    asks_himself: bool,
    levels: Levels,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        authority: &'a Authority,
        doctype: &'a str,
        is_superuser: bool,
        asks_himself: bool,
    ) -> Self {
        let sees_all = is_superuser || authority.record().is_some_and(|user| user.is_administrator());
        let is_registered = authority.site.model.doctypes.contains_key(doctype);
        let levels = match is_registered && !sees_all {
            true => authority.levels(doctype, "read").map_err(Fault::from).or_raise(),
            false => Levels::Every,
        };
        Reader { authority, doctype, sees_all, asks_himself, levels }
    }

    /// A document's name as its key column writes it, if there is one.
    pub(super) fn name_of(&self, document: &str) -> Option<String> {
        let site = &self.authority.site;
        let column = &site.model.doctypes.get(self.doctype)?.name_column;
        if column.is_empty() || !site.relations.contains_key(self.doctype) {
            return None;
        }
        let (mut name, _settings) = (None, Fixed::for_names());
        document::find(site, self.doctype, document, |row| {
            name = row.text_form(row.table().registered_attribute(column, self.doctype));
        });
        name
    }

    /// The change without the columns that he may not see; `None` if nothing is left of it.
    pub(super) fn visible(&self, mut change: Change) -> Option<Change> {
        if let Some(child) = &change.child_doctype
            && !self.may_see_names(child)
        {
            change.child_name = None;
        }
        let table_doctype = change.child_doctype.as_deref().unwrap_or(self.doctype);
        let Some(JsonB(serde_json::Value::Object(columns))) = &mut change.changes else {
            return Some(change);
        };
        columns.retain(|column, values| {
            let level = values.get("permlevel").and_then(serde_json::Value::as_i64).unwrap_or(0);
            self.may_see(table_doctype, column, level as i16)
        });
        let is_left = !columns.is_empty() || change.action == "delete";
        for values in columns.values_mut().filter_map(serde_json::Value::as_object_mut) {
            values.remove("permlevel");
        }
        is_left.then_some(change)
    }

    /// What rows of a child table are called is in a column like others.
    fn may_see_names(&self, child: &str) -> bool {
        match self.authority.site.model.doctypes.get(child).map(|definition| &*definition.name_column) {
            Some("") => true,
            Some(column) => self.may_see(child, column, 0),
            None => self.sees_all,
        }
    }

    /// Its level as it was and as it is must be open to him. A column that is there no more has none, and may have been another
    /// before: what it held is for those who may see everything.
    fn may_see(&self, table_doctype: &str, column: &str, level_then: i16) -> bool {
        let site = &self.authority.site;
        let relation = site.relations.get(table_doctype).copied().unwrap_or(pg_sys::InvalidOid);
        let is_there = Table::open(relation).is_some_and(|table| table.attribute(column).is_some());
        let Some(definition) = site.model.doctypes.get(table_doctype).filter(|_| is_there) else {
            return self.sees_all;
        };
        self.levels.include(level_then)
            && self.levels.include(definition.permlevel(column))
            && (!self.asks_himself || is_column_granted(self.authority, table_doctype, column))
    }
}
