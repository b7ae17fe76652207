//! What of a row goes into the history: its columns, as JSON.

use pgrx::pg_sys;

use crate::catalog::scan::attribute_name;
use crate::catalog::transition::Values;
use crate::catalog::values;
use crate::rules::Doctype;

/// How much of a value is kept, in characters.
const KEPT: usize = 8_192;

/// The columns of a doctype's table whose changes are kept. Not those that docperm or a nested set keep up themselves: when and
/// by whom a document was changed stands beside every change, and where its children lie is no statement about it. Nor what
/// says to which document a child row belongs: the change is among those of that document. Nor generated columns: what they are
/// made of is kept, and they would tell it to readers whose level ends below that.
pub struct Columns<'a>(Vec<Column<'a>>);

struct Column<'a> {
    attribute: &'a pg_sys::FormData_pg_attribute,
    permlevel: i16,
}

impl<'a> Columns<'a> {
    /// Those of `attributes`.
    pub fn of(attributes: &'a [pg_sys::FormData_pg_attribute], doctype: &Doctype) -> Self {
        let stamps = &doctype.stamps;
        let mut kept_up: Vec<&str> =
            [&stamps.modified, &stamps.modified_by].into_iter().flatten().map(|name| &**name).collect();
        kept_up.extend(doctype.nested_set.iter().flat_map(|(left, right)| [&**left, &**right]));
        if let Some(parentage) = &doctype.parentage {
            kept_up.push(&parentage.column);
            kept_up.extend(parentage.type_column.as_deref());
        }
        let is_kept = |attribute: &&pg_sys::FormData_pg_attribute| {
            let is_generated = attribute.attgenerated != 0;
            !attribute.attisdropped && !is_generated && !kept_up.contains(&attribute_name(attribute))
        };
        let column =
            |attribute| Column { attribute, permlevel: doctype.permlevel(attribute_name(attribute)) };
        Columns(attributes.iter().filter(is_kept).map(column).collect())
    }

    /// What a row brought.
    pub fn brought(&self, row: &dyn Values) -> String {
        self.object(|column| Some((None, Some(column.json(row)?))))
    }

    /// What there was in a row that went.
    pub fn taken(&self, row: &dyn Values) -> String {
        self.object(|column| Some((Some(column.json(row)?), None)))
    }

    /// What differs; `None` if nothing does.
    pub fn changed(&self, old: &dyn Values, new: &dyn Values) -> Option<String> {
        let null = || "null".to_owned();
        let object = self.object(|column| {
            let (before, after) = (old.value(column.attribute), new.value(column.attribute));
            let differ = !values::is_same(before, after, column.attribute);
            differ.then(|| {
                (Some(column.json(old).unwrap_or_else(null)), Some(column.json(new).unwrap_or_else(null)))
            })
        });
        (object != "{}").then_some(object)
    }

    /// An object of the old and the new value of the columns for which there is one.
    fn object(&self, values: impl Fn(&Column) -> Option<(Option<String>, Option<String>)>) -> String {
        let mut object = String::from("{");
        for column in &self.0 {
            let Some((old, new)) = values(column) else { continue };
            if object.len() > 1 {
                object.push(',');
            }
            object.push_str(&quoted(attribute_name(column.attribute)));
            object.push_str(":{");
            let level = (column.permlevel != 0).then(|| column.permlevel.to_string());
            let parts = [("old", old), ("new", new), ("permlevel", level)];
            let parts = parts.into_iter().filter_map(|(name, part)| Some(format!("\"{name}\":{}", part?)));
            object.push_str(&parts.collect::<Vec<_>>().join(","));
            object.push('}');
        }
        object.push('}');
        object
    }
}

impl Column<'_> {
    /// The row's value as JSON: truth values and integers as such, everything else as the text that PostgreSQL writes it as, so
    /// that no digit is lost on the way; `None` for NULL. Of bytes only their number is kept, of long texts the beginning.
    fn json(&self, row: &dyn Values) -> Option<String> {
        let datum = row.value(self.attribute)?;
        Some(match values::base_type(self.attribute.atttypid) {
            pg_sys::BOOLOID => (datum.value() != 0).to_string(),
            pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => {
                values::text_of(datum, self.attribute.atttypid)
            }
            // SAFETY: a value of a type of variable length, which may be stored elsewhere; its size includes a header of four bytes.
            pg_sys::BYTEAOID => unsafe {
                let size = pg_sys::toast_raw_datum_size(datum) - size_of::<i32>();
                quoted(&format!("({size} bytes)"))
            },
            _ => {
                let text = values::text_of(datum, self.attribute.atttypid);
                match text.char_indices().nth(KEPT) {
                    Some((end, _)) => {
                        quoted(&format!("{}… ({} characters)", &text[..end], text.chars().count()))
                    }
                    None => quoted(&text),
                }
            }
        })
    }
}

/// A text as JSON writes it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
