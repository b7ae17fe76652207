//! What foreign keys do to the rows that have them.

use std::ffi::CStr;

use pgrx::{PgList, pg_sys};

use super::table::Column;
use crate::catalog::load::Site;
use crate::catalog::scan::Table;

/// The catalog of constraints, whose number is the same in all versions.
const PG_CONSTRAINT: u32 = 2606;

/// A foreign key has set the column to its default, if a foreign key has set it to this value: one of the doctype's table does
/// that, and the value is the default.
pub fn sets_default(site: &Site, doctype: &str, column: &Column, value: pg_sys::Datum) -> bool {
    let Some(table) = site.relations.get(doctype).and_then(|oid| Table::open(*oid)) else { return false };
    // In a partition it may have another number.
    let Some(number) = table.attribute(&column.name).map(|attribute| attribute.attnum) else { return false };
    let sets_default = |key: &pg_sys::ForeignKeyCacheInfo| {
        key.conkey[..key.nkeys as usize].contains(&number)
            && [c"confdeltype", c"confupdtype"].into_iter().any(|action| {
                let action = constraint_column(key.conoid, action).map(|action| action.value() as u8);
                action == Some(pg_sys::FKCONSTR_ACTION_SETDEFAULT)
            })
    };
    of(&table).iter().any(sets_default) && is_default(&table, number, column, value)
}

/// The foreign keys of a table. Copies, because any look into the catalogs may free those of an open relation.
pub fn of(table: &Table) -> Vec<pg_sys::ForeignKeyCacheInfo> {
    // SAFETY: the list of an open relation; the nodes in it are of that type.
    unsafe {
        let keys =
            PgList::<pg_sys::ForeignKeyCacheInfo>::from_pg(pg_sys::RelationGetFKeyList(table.as_raw()));
        keys.iter_ptr().map(|key| *key).collect()
    }
}

/// All rows satisfy it, after every statement. One that may be deferred leaves rows alone between statements where it does nothing
/// to them; an action is never deferred.
pub fn always_holds(constraint: pg_sys::Oid) -> bool {
    let byte = |column| constraint_column(constraint, column).map(|datum| datum.value() as u8);
    let does_nothing = |action| byte(action) == Some(pg_sys::FKCONSTR_ACTION_NOACTION);
    let waits = || does_nothing(c"confdeltype") || does_nothing(c"confupdtype");
    byte(c"convalidated") == Some(1) && (byte(c"condeferrable") == Some(0) || !waits())
}

/// A column of the catalog, of a type that is passed by value.
fn constraint_column(constraint: pg_sys::Oid, column: &CStr) -> Option<pg_sys::Datum> {
    // SAFETY: a look-up, let go of when it has been read. The column is asked for by name, because its number depends on the
    // version.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::CONSTROID as _;
        let tuple = pg_sys::SearchSysCache1(cache, constraint.into());
        if tuple.is_null() {
            return None;
        }
        let column = pg_sys::get_attnum(PG_CONSTRAINT.into(), column.as_ptr());
        let mut is_null = false;
        let datum = pg_sys::SysCacheGetAttr(cache, tuple, column, &mut is_null);
        pg_sys::ReleaseSysCache(tuple);
        (!is_null).then_some(datum)
    }
}

/// The value is what the column of a new row is set to. What a volatile function would return now tells nothing.
fn is_default(table: &Table, number: pg_sys::AttrNumber, column: &Column, value: pg_sys::Datum) -> bool {
    // SAFETY: an open relation and a column of it; the expression is evaluated as ExecEvalExpr does, without a row, and what
    // comes of it is looked at before its memory is freed.
    unsafe {
        let default = pg_sys::build_column_default(table.as_raw(), number.into());
        if default.is_null() || pg_sys::contain_volatile_functions(default) {
            return false;
        }
        let executor = pg_sys::CreateExecutorState();
        let expression = pg_sys::ExecPrepareExpr(default.cast(), executor);
        let context = pg_sys::MakePerTupleExprContext(executor);
        let mut is_null = false;
        let evaluated = (*expression).evalfunc.map(|evaluate| {
            pg_sys::ffi::pg_guard_ffi_boundary(|| evaluate(expression, context, &mut is_null))
        });
        let is_same = evaluated.is_some_and(|default| !is_null && column.are_same(default, value));
        pg_sys::FreeExecutorState(executor);
        is_same
    }
}
