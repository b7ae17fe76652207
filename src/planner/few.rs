//! Whether a query will want few of a table's rows.
//!
//! Where a policy on related rows is a sub-query, PostgreSQL chooses between looking them up one by one and reading all of
//! them into a hash table. It chooses by how many rows the table would give, whatever a LIMIT leaves of them.

use std::ffi::c_int;

use pgrx::pg_sys;

use super::discreet::is_extreme;
use super::support::PolicyCall;
use super::walk::{items, walk_expression};
use crate::catalog::scan::Table;

/// More rows than these are many.
const FEW: i64 = 1000;

/// Whether the query stops after few rows of the table, because of a LIMIT in the order of one of its indexes or in none, or
/// because it asks for the first or last value.
///
/// # Safety
/// A query tree that is about to be planned, in which `call` is about `table`.
pub unsafe fn wants_few(query: *mut pg_sys::Query, call: &PolicyCall, table: &Table) -> bool {
    // SAFETY: as demanded of the caller.
    unsafe { seeks_extremes(query) || is_limited(&*query) && comes_in_order(query, call, table) }
}

/// Nothing but min() and max() of one table, for which PostgreSQL reads one row if there is an index for them.
///
/// # Safety
/// A query tree that is about to be planned.
pub unsafe fn seeks_extremes(query: *mut pg_sys::Query) -> bool {
    // SAFETY: as demanded of the caller.
    unsafe {
        (*query).hasAggs
            && (*query).groupClause.is_null()
            && (*query).groupingSets.is_null()
            && !(*query).hasWindowFuncs
            && only_table(query).is_some()
            && !holds_other_aggregate((*query).targetList.cast(), std::ptr::null_mut())
            && !holds_other_aggregate((*query).havingQual, std::ptr::null_mut())
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn holds_other_aggregate(
    node: *mut pg_sys::Node,
    context: *mut std::ffi::c_void,
) -> bool {
    // SAFETY: NULL or a node; the context is not used.
    unsafe {
        if node.is_null() {
            return false;
        }
        match (*node).type_ {
            pg_sys::NodeTag::T_Aggref => !is_extreme((*node.cast::<pg_sys::Aggref>()).aggfnoid),
            pg_sys::NodeTag::T_Query => false,
            _ => walk_expression(node, holds_other_aggregate, context),
        }
    }
}

/// The number of the query's table if it is from that alone.
///
/// # Safety
/// A query tree that is about to be planned.
pub unsafe fn only_table(query: *mut pg_sys::Query) -> Option<c_int> {
    // SAFETY: as demanded of the caller.
    unsafe {
        let from = (*(*query).jointree).fromlist;
        let mut references = items::<pg_sys::Node>(from);
        match (references.next(), references.next()) {
            (Some(only), None) if (*only).type_ == pg_sys::NodeTag::T_RangeTblRef => {
                Some((*only.cast::<pg_sys::RangeTblRef>()).rtindex)
            }
            _ => None,
        }
    }
}

/// It returns rows as it reads them, up to a small number or one that is not known yet.
unsafe fn is_limited(query: &pg_sys::Query) -> bool {
    !query.limitCount.is_null()
        && !query.hasAggs
        && !query.hasWindowFuncs
        && query.groupClause.is_null()
        && query.groupingSets.is_null()
        && query.distinctClause.is_null()
        && query.setOperations.is_null()
        // SAFETY: an expression of type bigint.
        && unsafe { constant(query.limitCount) }.is_none_or(|limit| limit <= FEW)
}

/// The value of a bigint that was written as a number; `None` if it is not known. NULL is no limit.
unsafe fn constant(node: *mut pg_sys::Node) -> Option<i64> {
    // SAFETY: the tags tell what the nodes are.
    unsafe {
        match (*node).type_ {
            pg_sys::NodeTag::T_Const => {
                let constant = &*node.cast::<pg_sys::Const>();
                let value = constant.constvalue.value();
                let is_short = constant.consttype == pg_sys::INT4OID;
                let value = if is_short { i64::from(value as i32) } else { value as i64 };
                Some(if constant.constisnull { i64::MAX } else { value })
            }
            pg_sys::NodeTag::T_FuncExpr
                if (*node.cast::<pg_sys::FuncExpr>()).funcid.to_u32() == pg_sys::F_INT8_INT4 =>
            {
                constant(items::<pg_sys::Node>((*node.cast::<pg_sys::FuncExpr>()).args).next()?)
            }
            _ => None,
        }
    }
}

/// The rows that the query wants first are the first that are read, for lack of an order or by an index.
unsafe fn comes_in_order(query: *mut pg_sys::Query, call: &PolicyCall, table: &Table) -> bool {
    // SAFETY: sort clauses refer to entries of the target list.
    unsafe {
        let Some(first) = items::<pg_sys::SortGroupClause>((*query).sortClause).next() else {
            return only_table(query).is_some();
        };
        let entry = pg_sys::get_sortgroupref_tle((*first).tleSortGroupRef, (*query).targetList);
        let key = (*entry).expr.cast::<pg_sys::Node>();
        if (*key).type_ != pg_sys::NodeTag::T_Var {
            return false;
        }
        let key = &*key.cast::<pg_sys::Var>();
        key.varno == (*call.row).varno && key.varlevelsup == 0 && leads_an_index(key.varattno, table)
    }
}

/// An index begins with the column.
unsafe fn leads_an_index(column: i16, table: &Table) -> bool {
    // SAFETY: an open table; the tuples of the cache are let go of.
    unsafe {
        let indexes = pg_sys::RelationGetIndexList(table.as_raw());
        let count = if indexes.is_null() { 0 } else { (*indexes).length as usize };
        (0..count).any(|index| {
            let oid = (*(*indexes).elements.add(index)).oid_value;
            let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::INDEXRELID as _, oid.into());
            if tuple.is_null() {
                return false;
            }
            let form = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_index>();
            let first = *(*form).indkey.values.as_ptr();
            pg_sys::ReleaseSysCache(tuple);
            first == column
        })
    }
}
