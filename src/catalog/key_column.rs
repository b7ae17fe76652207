//! For tests in a backend: a key column, and whether a set of names finds in it what SQL's own `value = ANY (array)` finds.

use std::rc::Rc;

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::quote_literal;
use pgrx::{FromDatum, IntoDatum, pg_sys};

use super::typed_set::TypedSet;
use super::values;
use crate::rules::ValueSet;

/// A key column, and how SQL is asked about it.
#[derive(Clone, Copy)]
pub struct Key {
    /// The type and what else stands in the column's definition.
    pub declared: &'static str,
    /// The type to which SQL casts the names before it compares: that of the column, without its length.
    pub element: &'static str,
    /// How long values are stored, if not as the type prefers.
    pub storage: Option<&'static str>,
}

/// A key column of that definition.
pub fn key(declared: &'static str, element: &'static str) -> Key {
    Key { declared, element, storage: None }
}

impl Key {
    /// Stores the values in such a column, builds the set of `names` for it, asks both the set and SQL about each
    /// value, and returns the values that are members, as SQL writes them.
    pub fn members(self, names: &[&str], values: &[&str]) -> Vec<String> {
        self.store(values);
        let (type_oid, collation) = column();
        let set = TypedSet::build(&set_of(names), type_oid, collation);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let question =
            format!("SELECT v, v::text, v = ANY ($1::{}[]) FROM keys ORDER BY number", self.element);
        Spi::connect(|client| {
            let mut rows = client.select(question.as_str(), None, &[DatumWithOid::from(names)]).unwrap();
            assert_eq!(rows.len(), values.len());
            let mut members = vec![];
            while rows.next().is_some() {
                let stored = rows.get_datum_by_ordinal(1).unwrap().unwrap();
                let written: String = rows.get(2).unwrap().unwrap();
                let is_member = rows.get(3).unwrap() == Some(true);
                let shown = format!("{} {}", self.declared, written.chars().take(60).collect::<String>());
                assert_eq!(set.contains(stored), is_member, "{shown}, as stored");
                assert_eq!(values::text_of(stored, type_oid), written, "{shown}");

                let anew = values::value_of(&written, type_oid).unwrap();
                assert_eq!(set.contains(anew), is_member, "{shown}, read anew");
                assert_eq!(values::text_of(anew, type_oid), written, "{shown}, read anew");
                if is_member {
                    members.push(written);
                }
            }
            members
        })
    }

    fn store(self, values: &[&str]) {
        run("DROP TABLE IF EXISTS keys");
        run(&format!("CREATE TEMPORARY TABLE keys (number serial, v {})", self.declared));
        if let Some(storage) = self.storage {
            run(&format!("ALTER TABLE keys ALTER COLUMN v SET STORAGE {storage}"));
        }
        let rows: Vec<_> = values.iter().map(|value| format!("({})", quote_literal(value))).collect();
        for rows in rows.chunks(500) {
            run(&format!("INSERT INTO keys (v) VALUES {}", rows.join(", ")));
        }
    }
}

/// Type and collation of the column in use, the type below domains as the planner passes it on.
fn column() -> (pg_sys::Oid, pg_sys::Oid) {
    let (type_oid, collation) = Spi::get_two::<pg_sys::Oid, pg_sys::Oid>(
        "SELECT atttypid, attcollation FROM pg_attribute WHERE attrelid = 'keys'::regclass AND attname = 'v'",
    )
    .unwrap();
    (values::base_type(type_oid.unwrap()), collation.unwrap())
}

/// The set of these names.
pub fn set_of(names: &[&str]) -> Rc<ValueSet> {
    Rc::new(names.iter().copied().collect())
}

/// The type of that name.
pub fn type_named(name: &str) -> pg_sys::Oid {
    ask(&format!("SELECT {}::regtype::oid", quote_literal(name)))
}

/// Runs a statement.
pub fn run(sql: &str) {
    Spi::run(sql).unwrap();
}

/// The single value of a query.
pub fn ask<T: FromDatum + IntoDatum>(sql: &str) -> T {
    Spi::get_one(sql).unwrap().unwrap()
}
