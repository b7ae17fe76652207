//! The columns of a table that are closed to a user, by their levels.
//!
//! A generated column is closed with any column that it is made of: otherwise it would tell what that holds.

use pgrx::pg_sys;

use super::cache::Authority;
use super::scan::{Table, attribute_name};
use crate::rules::Undecidable;

/// A column of a table that is closed to a user.
#[derive(Debug)]
pub struct ClosedAttribute {
    /// Its number in this table.
    pub number: pg_sys::AttrNumber,
    /// Its name.
    pub column: String,
    /// Its level, or that of the column that it is made of.
    pub level: i16,
    /// The closed column that it is made of, if it is open but for that.
    pub made_of: Option<String>,
}

/// In their order, the columns of `table`, which holds documents of `doctype` or a part of them, that are closed to the user for `ptype`.
///
/// A column that is declared to be above level 0 and has been renamed would be open under its new name, so a table without
/// it is an error.
pub fn closed_attributes(
    authority: &Authority,
    table: &Table,
    doctype: &str,
    ptype: &str,
) -> Result<Vec<ClosedAttribute>, Undecidable> {
    let Some(definition) = authority.site.model.doctypes.get(doctype).filter(|doctype| doctype.has_levels())
    else {
        return Ok(vec![]);
    };
    for (column, field) in &definition.fields {
        if field.permlevel > 0 {
            table.registered_attribute(column, doctype);
        }
    }
    let closed = authority.closed_columns(doctype, ptype)?;
    let named = closed.iter().map(|closed| ClosedAttribute {
        number: table.registered_attribute(&closed.column, doctype).attnum,
        column: closed.column.clone(),
        level: closed.level,
        made_of: None,
    });
    let mut attributes: Vec<ClosedAttribute> = named.collect();
    if !attributes.is_empty() {
        let made: Vec<ClosedAttribute> = made_of(table, &attributes);
        attributes.extend(made);
    }
    attributes.sort_by_key(|closed| closed.number);
    Ok(attributes)
}

/// The generated columns that are made of these.
fn made_of(table: &Table, closed: &[ClosedAttribute]) -> Vec<ClosedAttribute> {
    let is_open = |number| closed.iter().all(|closed| closed.number != number);
    let generated = table.generated_columns().into_iter().filter(|(attribute, _)| is_open(attribute.attnum));
    generated
        .filter_map(|(attribute, made_of)| {
            let source = closed.iter().find(|closed| made_of.contains(&closed.number))?;
            Some(ClosedAttribute {
                number: attribute.attnum,
                column: attribute_name(attribute).to_owned(),
                level: source.level,
                made_of: Some(source.column.clone()),
            })
        })
        .collect()
}
