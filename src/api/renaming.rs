//! What docperm.rename_user() writes into tables of others; the rest is in sql/user_administration.sql.

use pgrx::pg_sys;

use crate::catalog::scan::Table;
use crate::catalog::statement::{Argument, Sees, run_as_owner_alone};

/// Runs a statement on a table with two names for its arguments, as the table's owner: what hangs on the table is his
/// code, and acts for nobody.
#[pgrx::pg_extern(sql = false)]
fn docperm_write_as_owner(relation: pg_sys::Oid, statement: &str, old_name: &str, new_name: &str) {
    let Some(table) = Table::open(relation) else { return };
    run_as_owner_alone(
        &table,
        Sees::SameAsNext,
        statement,
        &[Argument::Text(old_name), Argument::Text(new_name)],
    );
}
