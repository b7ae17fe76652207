//! One document as the rules see a row.

use std::rc::Rc;

use pgrx::pg_sys;

use super::cache::Authority;
use super::load::Site;
use super::scan::{RowView, Table};
use super::values::{self, Equality};
use crate::fault::{Fault, SqlState};
use crate::rules::{ChildLink, ParentLink, Predicate, Row, ValueSet};

/// A value of a column, with what is needed to compare it.
#[derive(Clone, Copy)]
pub struct ColumnValue {
    /// The column's type.
    pub type_oid: pg_sys::Oid,
    /// The column's collation.
    pub collation: pg_sys::Oid,
    /// The value, unless it is NULL.
    pub datum: Option<pg_sys::Datum>,
}

/// A row whose values compare as their types do: the same way in which a policy compares them.
pub struct TypedRow<'a, F: Fn(&str) -> ColumnValue> {
    authority: &'a Authority,
    doctype: &'a str,
    column: F,
}

impl<'a, F: Fn(&str) -> ColumnValue> TypedRow<'a, F> {
    /// A row of `doctype` whose columns `column` reads.
    pub fn new(authority: &'a Authority, doctype: &'a str, column: F) -> Self {
        TypedRow { authority, doctype, column }
    }

    fn name_column(&self) -> String {
        self.authority.site.model.doctypes[self.doctype].name_column.clone()
    }

    /// The name that a column holds, unless it is NULL.
    fn name_in(&self, column: &str) -> Option<Name> {
        let value = (self.column)(column);
        value.datum.map(|datum| Name {
            text: values::text_of(datum, value.type_oid),
            is_text: values::can_be_empty(value.type_oid),
        })
    }
}

impl<F: Fn(&str) -> ColumnValue> Row for TypedRow<'_, F> {
    type Error = Fault;

    fn is_one_of(&mut self, column: &str, _target: &str, names: &Rc<ValueSet>) -> Result<bool, Fault> {
        let value = (self.column)(column);
        let Some(datum) = value.datum else { return Ok(false) };
        let operand = Equality::of_type(value.type_oid).operand;
        Ok(self.authority.typed_set(names, operand, value.collation).contains(datum))
    }

    fn is_blank(&mut self, column: &str) -> Result<bool, Fault> {
        let value = (self.column)(column);
        Ok(value.datum.is_none() || values::can_be_empty(value.type_oid) && equals_text(value, ""))
    }

    fn equals(&mut self, column: &str, text: &str) -> Result<bool, Fault> {
        Ok(equals_text((self.column)(column), text))
    }

    fn parent_satisfies(&mut self, link: &ParentLink, predicate: &Predicate) -> Result<bool, Fault> {
        let Some(name) = self.name_in(&link.column).filter(|name| !name.text.is_empty()) else {
            return Ok(false);
        };
        // Should several documents have the name, as partitions may, all of them must satisfy it.
        let (authority, mut found) = (self.authority, None);
        if authority.site.relations.contains_key(&link.doctype) {
            let column = &authority.site.model.doctypes[&link.doctype].name_column;
            find_by(&authority.site, &link.doctype, column, &name, active_snapshot(), |row| {
                let counts = !link.created_now || row.is_of_this_transaction();
                if !matches!(found, Some(Ok(false) | Err(_))) {
                    let satisfies = || predicate.matches(&mut typed_row(authority, &link.doctype, row));
                    found = Some(if counts { satisfies() } else { Ok(false) });
                }
            });
        }
        found.unwrap_or(Ok(false))
    }

    fn every_child_satisfies(&mut self, link: &ChildLink, predicate: &Predicate) -> Result<bool, Fault> {
        let (authority, mut every) = (self.authority, Ok(true));
        let name = self.name_in(&self.name_column());
        let Some(name) = name.filter(|_| authority.site.relations.contains_key(&link.doctype)) else {
            return Ok(true);
        };
        find_by(&authority.site, &link.doctype, &link.parent_column, &name, active_snapshot(), |row| {
            let mut row = typed_row(authority, &link.doctype, row);
            let mut passes = || match &link.parent_type {
                Some((column, doctype)) if !row.equals(column, doctype)? => Ok(true),
                _ => predicate.matches(&mut row),
            };
            if matches!(every, Ok(true)) {
                every = passes();
            }
        });
        every
    }

    fn text(&mut self, column: &str) -> Result<Option<String>, Fault> {
        let value = (self.column)(column);
        Ok(value.datum.map(|datum| values::text_of(datum, value.type_oid)))
    }
}

/// A name, as the column that it comes from writes it.
pub struct Name {
    /// The name.
    pub text: String,
    /// The column holds texts.
    pub is_text: bool,
}

impl Name {
    /// The value of a column that is to be compared with it; `None` if the column cannot hold it.
    fn value_in(&self, attribute: &pg_sys::FormData_pg_attribute) -> Option<pg_sys::Datum> {
        let operand = Equality::of_type(attribute.atttypid).operand;
        let is_integer = matches!(operand, pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID);
        // Numbers are equal as numbers: 1.00 is 1.
        let whole = self.text.split_once('.').filter(|(_, rest)| rest.bytes().all(|digit| digit == b'0'));
        match whole.filter(|_| is_integer && !self.is_text) {
            Some((whole, _)) => values::name_value_of(whole, operand),
            None => values::name_value_of(&self.text, operand),
        }
    }

    /// The row has it in this column.
    pub fn is_that_of(&self, row: &RowView, attribute: &pg_sys::FormData_pg_attribute) -> bool {
        let equality = Equality::of_type(attribute.atttypid);
        let Some((datum, wanted)) = row.datum(attribute).zip(self.value_in(attribute)) else { return false };
        // SAFETY: the equality function of the column's type, on two values of it.
        let is_equal =
            unsafe { pg_sys::OidFunctionCall2Coll(equality.function, attribute.attcollation, datum, wanted) };
        is_equal.value() != 0 && self.is_written_as(row, attribute)
    }

    /// A text is the name of what is no text only in the form in which that is written: '01' is not 1.
    fn is_written_as(&self, row: &RowView, attribute: &pg_sys::FormData_pg_attribute) -> bool {
        !self.is_text
            || values::can_be_empty(attribute.atttypid)
            || row.text_form(attribute).as_deref() == Some(&self.text)
    }
}

fn equals_text(value: ColumnValue, text: &str) -> bool {
    let equality = Equality::of_type(value.type_oid);
    let Some((datum, wanted)) = value.datum.zip(values::value_of(text, equality.operand)) else {
        return false;
    };
    // SAFETY: the equality function of the column's type, on two values of it.
    unsafe { pg_sys::OidFunctionCall2Coll(equality.function, value.collation, datum, wanted) }.value() != 0
}

/// The table that holds documents of a doctype, open; an error if there is none.
pub fn table_of(site: &Site, doctype: &str) -> Table {
    site.relations.get(doctype).and_then(|relation| Table::open(*relation)).unwrap_or_else(|| {
        Fault::new(SqlState::ERRCODE_UNDEFINED_OBJECT, format!("doctype \"{doctype}\" has no table"))
            .hint("Its table was dropped, or it was registered without one: docperm.protect() gives it one.")
            .raise()
    })
}

/// A scanned row as the rules see it.
pub fn typed_row<'a>(
    authority: &'a Authority,
    doctype: &'a str,
    row: &'a RowView,
) -> TypedRow<'a, impl Fn(&str) -> ColumnValue + 'a> {
    TypedRow::new(authority, doctype, move |column| {
        let attribute = row.table().registered_attribute(column, doctype);
        ColumnValue {
            type_oid: attribute.atttypid,
            collation: attribute.attcollation,
            datum: row.datum(attribute),
        }
    })
}

/// Calls `found` with the document of that name, if the current statement's snapshot sees one.
pub fn find(site: &Site, doctype: &str, name: &str, found: impl FnMut(&RowView)) {
    find_as_of(site, doctype, name, active_snapshot(), found);
}

/// As [`find`], with any snapshot.
pub fn find_as_of(
    site: &Site,
    doctype: &str,
    name: &str,
    snapshot: pg_sys::Snapshot,
    found: impl FnMut(&RowView),
) {
    // As a parameter is written: what the key takes for the name.
    let name = Name { text: name.to_owned(), is_text: false };
    find_by(site, doctype, &site.model.doctypes[doctype].name_column, &name, snapshot, found);
}

/// What the current statement sees.
pub fn active_snapshot() -> pg_sys::Snapshot {
    // SAFETY: functions and policies run with an active snapshot.
    unsafe { pg_sys::GetActiveSnapshot() }
}

/// Calls `found` with the rows that have this name in this column, as far as the snapshot sees them.
pub fn find_by(
    site: &Site,
    doctype: &str,
    column: &str,
    name: &Name,
    snapshot: pg_sys::Snapshot,
    mut found: impl FnMut(&RowView),
) {
    let table = table_of(site, doctype);
    let Some(key) = name.value_in(table.registered_attribute(column, doctype)) else { return };
    table.find(column, key, snapshot, |row| {
        if name.is_written_as(row, row.table().registered_attribute(column, doctype)) {
            found(row);
        }
    });
}

/// Calls `visit` with every document that the current statement's snapshot sees.
pub fn each(site: &Site, doctype: &str, mut visit: impl FnMut(&RowView)) {
    table_of(site, doctype).scan_as_of(active_snapshot(), |row| visit(row));
}
