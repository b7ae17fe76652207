//! docperm.amend(): a new draft of a cancelled document, with its rows in child tables.
//!
//! It is made of INSERTs that run as the caller: his privileges, the policies and the row trigger decide.

use std::collections::HashSet;

use pgrx::pg_sys;

use super::lifecycle::Target;
use crate::catalog::document::{self, Name};
use crate::catalog::scan::{NewestSnapshot, Table, attribute_name};
use crate::catalog::statement::{Argument, holds, run_as_caller};
use crate::catalog::values;
use crate::fault::{Fault, OrRaise};
use crate::rules::lifecycle::{State, amendment_names};
use crate::rules::{Doctype, Parentage};

/// `docperm.amend(text, text) returns text`
#[pgrx::pg_extern(sql = false)]
fn docperm_amend(doctype: Option<&str>, document: Option<&str>) -> String {
    let target = Target::of("amend", doctype, document);
    if target.definition().amended_from_column.is_none() {
        Fault::bad_argument(format!("documents of doctype {} are not amended", target.doctype))
            .detail("The doctype has no amended_from_column.")
            .hint("docperm.protect(..., amended_from_column => '...') names the column that holds the original's name.")
            .raise();
    }
    let Some(key) = target.key() else { target.deny() };
    if is_filtered(&target.table) && !target.may("read") {
        target.deny();
    }
    if let Some(state) = target.state().filter(|state| *state != State::Cancelled) {
        target.refuse_state(state, "amended", "Only cancelled documents are amended.");
    }
    let name = copy_document(&target, &key);
    copy_rows(&target, &key, &name);
    name
}

fn is_filtered(table: &Table) -> bool {
    crate::guard::is_bound_by_policies(table.oid())
}

/// Copies the document; the new one's name.
fn copy_document(target: &Target, key: &str) -> String {
    let (definition, table) = (target.definition(), &target.table);
    let key_column = table.registered_attribute(&definition.name_column, &target.doctype);
    let stamps = &definition.stamps;
    let written = [
        Some(&definition.name_column),
        definition.owner_column.as_ref(),
        definition.docstatus_column.as_ref(),
        definition.amended_from_column.as_ref(),
        stamps.creation.as_ref(),
        stamps.modified.as_ref(),
        stamps.modified_by.as_ref(),
    ];
    let mut columns = copied_columns(target, table, &target.doctype, &written);
    let mut values: Vec<String> = columns.iter().map(|column| format!("t.{column}")).collect();
    let mut add = |column: &str, value: String| {
        columns.push(values::quoted(column));
        values.push(value);
    };
    add(target.docstatus_column(), "0".to_owned());
    let amended_from = definition.amended_from_column.as_deref().unwrap_or_default();
    add(amended_from, format!("t.{}", values::quoted(&definition.name_column)));

    let given = values::can_be_empty(key_column.atttypid).then(|| free_name(target, amended_from, key));
    match &given {
        Some(_) => add(&definition.name_column, cast("$2", key_column)),
        None if has_default(key_column) => {}
        None => {
            Fault::bad_argument(format!("there is no name for a new document of doctype {}", target.doctype))
                .detail(format!("Its key \"{}\" holds no text, and has no default.", definition.name_column))
                .hint("Give the column a default, or insert the new draft with a name of its own.")
                .raise()
        }
    }
    // What a default has made has to be read.
    let returning = match given {
        Some(_) => String::new(),
        None => format!(" RETURNING {}", values::quoted(&definition.name_column)),
    };
    let relation = table.qualified_name();
    let sql = format!(
        "INSERT INTO {relation} ({}) SELECT {} FROM {relation} AS t WHERE {}{returning}",
        columns.join(", "),
        values.join(", "),
        holds(table, &definition.name_column, "$1")
    );
    let arguments = [Argument::Text(key), Argument::Text(given.as_deref().unwrap_or_default())];
    let used = if given.is_some() { 2 } else { 1 };
    let done = run_as_caller(&sql, &arguments[..used]);
    if done.touched == 0 {
        target.deny();
    }
    given.or_else(|| done.rows.into_iter().flatten().flatten().next()).unwrap_or_default()
}

/// The first name that no document has, whoever may see it.
fn free_name(target: &Target, amended_from: &str, key: &str) -> String {
    let site = &target.authority.site;
    let (snapshot, mut is_amendment) = (NewestSnapshot::take(), false);
    document::find_as_of(site, &target.doctype, key, snapshot.as_raw(), |row| {
        let attribute = row.table().registered_attribute(amended_from, &target.doctype);
        is_amendment = row.text_form(attribute).is_some_and(|original| !original.is_empty());
    });
    let is_free = |name: &String| {
        let mut is_free = true;
        document::find_as_of(site, &target.doctype, name, snapshot.as_raw(), |_| is_free = false);
        is_free
    };
    amendment_names(key, is_amendment).find(is_free).unwrap_or_default()
}

/// Copies the rows that belong to the document.
fn copy_rows(target: &Target, key: &str, name: &str) {
    let site = &target.authority.site;
    let children = site.model.doctypes.values().filter_map(|child| Some((child, child.parentage.as_ref()?)));
    let mut children: Vec<_> = children
        .filter(|(child, parentage)| {
            parentage.admits(target.definition()) && site.relations.contains_key(&child.name)
        })
        .collect();
    children.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    for (child, parentage) in children {
        copy_rows_of(target, child, parentage, key, name);
    }
}

fn copy_rows_of(target: &Target, child: &Doctype, parentage: &Parentage, key: &str, name: &str) {
    let site = &target.authority.site;
    let table = document::table_of(site, &child.name);
    let parent =
        Name { text: key.to_owned(), is_text: is_text(&target.table, &target.definition().name_column) };
    let (snapshot, mut is_any) = (NewestSnapshot::take(), false);
    document::find_by(site, &child.name, &parentage.column, &parent, snapshot.as_raw(), |_| is_any = true);
    if !is_any {
        return;
    }
    let stamps = &child.stamps;
    let written = [
        Some(&child.name_column),
        Some(&parentage.column),
        stamps.creation.as_ref(),
        stamps.modified.as_ref(),
        stamps.modified_by.as_ref(),
    ];
    let mut columns = copied_columns(target, &table, &child.name, &written);
    let mut values: Vec<String> = columns.iter().map(|column| format!("t.{column}")).collect();
    columns.push(values::quoted(&parentage.column));
    values.push(cast("$2", table.registered_attribute(&parentage.column, &child.name)));
    let mut order = String::new();
    if let Some(key_column) = table.attribute(&child.name_column) {
        order = format!(" ORDER BY t.{}", values::quoted(&child.name_column));
        if !has_default(key_column) {
            if !values::can_be_empty(key_column.atttypid) {
                Fault::bad_argument(format!("there are no names for new rows of doctype {}", child.name))
                    .detail(format!("Its key \"{}\" holds no text, and has no default.", child.name_column))
                    .hint("Give the column a default.")
                    .raise();
            }
            columns.push(values::quoted(&child.name_column));
            values.push(cast("pg_catalog.gen_random_uuid()", key_column));
        }
    }
    let of_type = parentage.type_column.as_ref().map_or_else(String::new, |column| {
        format!(" AND {}", holds(&table, column, &values::literal(&target.doctype)))
    });
    let relation = table.qualified_name();
    let sql = format!(
        "INSERT INTO {relation} ({}) SELECT {} FROM {relation} AS t WHERE {}{of_type}{order}",
        columns.join(", "),
        values.join(", "),
        holds(&table, &parentage.column, "$1")
    );
    run_as_caller(&sql, &[Argument::Text(key), Argument::Text(name)]);
}

fn is_text(table: &Table, column: &str) -> bool {
    table.attribute(column).is_some_and(|attribute| values::can_be_empty(attribute.atttypid))
}

/// A text as a value of the column's type.
fn cast(text: &str, attribute: &pg_sys::FormData_pg_attribute) -> String {
    format!("{text}::pg_catalog.text::{}", values::type_name(attribute.atttypid))
}

fn has_default(attribute: &pg_sys::FormData_pg_attribute) -> bool {
    attribute.atthasdef || attribute.attidentity != 0
}

/// Holds what an INSERT may say: it is not dropped, generated, or an identity.
fn is_stored(attribute: &pg_sys::FormData_pg_attribute) -> bool {
    !attribute.attisdropped && attribute.attgenerated == 0 && attribute.attidentity == 0
}

/// The columns that are copied as they are, quoted: all that are stored, but for those that are written anew and those that are
/// closed to the acting user.
fn copied_columns(target: &Target, table: &Table, doctype: &str, written: &[Option<&String>]) -> Vec<String> {
    let closed = closed(target, table, doctype);
    let copied = table.attributes().iter().filter(|attribute| {
        is_stored(attribute)
            && !written.iter().flatten().any(|column| *column == attribute_name(attribute))
            && !closed.contains(attribute_name(attribute))
    });
    copied.map(|attribute| values::quoted(attribute_name(attribute))).collect()
}

/// The columns of the table that the acting user may not both read and write: what he cannot see is not copied for him.
fn closed(target: &Target, table: &Table, doctype: &str) -> HashSet<String> {
    if !is_filtered(table) {
        return HashSet::new();
    }
    let closed = |ptype| target.authority.closed_columns(doctype, ptype).map_err(Fault::from).or_raise();
    let (read, create) = (closed("read"), closed("create"));
    read.iter().chain(create.iter()).map(|closed| closed.column.clone()).collect()
}
