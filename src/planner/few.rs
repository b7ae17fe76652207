//! Whether a query will want few of a table's rows, or one.
//!
//! Where a policy on related rows is a sub-query, PostgreSQL chooses between looking them up one by one and reading all of
//! them into a hash table. It chooses by how many rows the table would give, whatever a LIMIT leaves of them. A list of
//! permitted values is estimated value by value when it is planned and hashed each time it is executed, which for one row is
//! more work than all the rest.

use std::ffi::c_int;

use pgrx::pg_sys;

use super::discreet::is_extreme;
use super::support::PolicyCall;
use super::walk::{items, walk_expression};
use crate::catalog::scan::Table;
use crate::identity::settings;
use crate::rules::Predicate;

/// More rows than these are many.
const FEW: i64 = 1000;

/// How many of a table's rows a query wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// One, found by a unique key or inserted.
    One,
    /// The first or the last by a column, for which PostgreSQL reads one row if there is an index.
    Extreme,
    /// The first few in the order of one of its indexes, or in none.
    Few,
    /// Any number.
    Many,
}

/// How many rows of `table` the query wants, as far as it matters for the predicate.
///
/// # Safety
/// A query tree that is about to be planned, in which `call` is about `table`.
pub unsafe fn wanted(
    query: *mut pg_sys::Query,
    call: &PolicyCall,
    table: &Table,
    predicate: &Predicate,
) -> Wanted {
    let is_related = matters(predicate, false);
    // SAFETY: as demanded of the caller.
    unsafe {
        if matters(predicate, true) && finds_one(query, call, table) {
            Wanted::One
        } else if is_related && seeks_extremes(query) {
            Wanted::Extreme
        } else if is_related && is_limited(&*query) && comes_in_order(query, call, table) {
            Wanted::Few
        } else {
            Wanted::Many
        }
    }
}

/// The predicate is about related rows, or holds a list that is long for one row.
fn matters(predicate: &Predicate, by_list: bool) -> bool {
    match predicate {
        Predicate::OneOf { values, .. } => by_list && values.len() > FOR_ONE_ROW,
        Predicate::All(parts) | Predicate::Any(parts) => parts.iter().any(|part| matters(part, by_list)),
        Predicate::Parent(..) | Predicate::EveryChild(..) => true,
        Predicate::Always | Predicate::Never | Predicate::Blank { .. } | Predicate::Is { .. } => false,
    }
}

impl Wanted {
    /// Up to how many permitted values become constants.
    pub fn inline_values(self) -> usize {
        let most = settings::max_inline_values();
        if self == Wanted::One { most.min(FOR_ONE_ROW) } else { most }
    }

    /// A join with related rows is worth planning.
    pub fn is_for_joins(self) -> bool {
        matches!(self, Wanted::Few | Wanted::Many)
    }
}

/// Up to so many constants PostgreSQL compares one after another.
const FOR_ONE_ROW: usize = 8;

/// Whether the query looks one row up by a unique key, or inserts one.
unsafe fn finds_one(query: *mut pg_sys::Query, call: &PolicyCall, table: &Table) -> bool {
    // SAFETY: a query tree; conditions are expressions.
    unsafe {
        let join_tree = &*(*query).jointree;
        if (*query).commandType == pg_sys::CmdType::CMD_INSERT {
            return join_tree.fromlist.is_null();
        }
        let is_key = |condition| {
            compared_column(condition, (*call.row).varno)
                .is_some_and(|column| has_index(table, |index| index.is_unique && index.columns == [column]))
        };
        match join_tree.quals.as_ref().map(|quals| quals.type_) {
            None => false,
            Some(pg_sys::NodeTag::T_List) => items(join_tree.quals.cast()).any(is_key),
            Some(pg_sys::NodeTag::T_BoolExpr) => {
                let conditions = &*join_tree.quals.cast::<pg_sys::BoolExpr>();
                conditions.boolop == pg_sys::BoolExprType::AND_EXPR && items(conditions.args).any(is_key)
            }
            Some(_) => is_key(join_tree.quals),
        }
    }
}

/// The column of the table that the condition says to be equal to a constant or parameter.
unsafe fn compared_column(condition: *mut pg_sys::Node, table: c_int) -> Option<i16> {
    // SAFETY: the tags tell what the nodes are.
    unsafe {
        if (*condition).type_ != pg_sys::NodeTag::T_OpExpr {
            return None;
        }
        let comparison = &*condition.cast::<pg_sys::OpExpr>();
        let mut arguments = items::<pg_sys::Node>(comparison.args).map(|node| without_relabelling(node));
        let (left, right) = (arguments.next()?, arguments.next()?);
        let column = |node: *mut pg_sys::Node| {
            if (*node).type_ != pg_sys::NodeTag::T_Var {
                return None;
            }
            let variable = &*node.cast::<pg_sys::Var>();
            (variable.varno == table && variable.varlevelsup == 0).then_some(variable.varattno)
        };
        let found = match (column(left), column(right)) {
            (Some(found), None) if is_value(right) => found,
            (None, Some(found)) if is_value(left) => found,
            _ => return None,
        };
        let mut meanings =
            items::<pg_sys::OpBtreeInterpretation>(pg_sys::get_op_btree_interpretation(comparison.opno));
        meanings.any(|meaning| (*meaning).strategy == pg_sys::BTEqualStrategyNumber as c_int).then_some(found)
    }
}

/// A constant or parameter, or what it is converted to.
unsafe fn is_value(node: *mut pg_sys::Node) -> bool {
    // SAFETY: the tags tell what the nodes are.
    unsafe {
        let node = without_relabelling(node);
        match (*node).type_ {
            pg_sys::NodeTag::T_Const | pg_sys::NodeTag::T_Param => true,
            pg_sys::NodeTag::T_FuncExpr => {
                let mut arguments = items::<pg_sys::Node>((*node.cast::<pg_sys::FuncExpr>()).args);
                arguments.all(|argument| is_value(argument))
            }
            _ => false,
        }
    }
}

unsafe fn without_relabelling(node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: the tag tells what the node is.
    unsafe {
        let is_relabelled = (*node).type_ == pg_sys::NodeTag::T_RelabelType;
        if is_relabelled { (*node.cast::<pg_sys::RelabelType>()).arg.cast() } else { node }
    }
}

/// Nothing but min() and max() of one table.
unsafe fn seeks_extremes(query: *mut pg_sys::Query) -> bool {
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
    // SAFETY: as in `has_index`.
    unsafe { has_index(table, |index| index.columns[0] == column) }
}

/// What is known of an index.
struct Index<'a> {
    columns: &'a [i16],
    is_unique: bool,
}

/// The table has an index of that kind.
unsafe fn has_index(table: &Table, is_wanted: impl Fn(&Index) -> bool) -> bool {
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
            let form = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_index>();
            let is_partial =
                !pg_sys::heap_attisnull(tuple, pg_sys::Anum_pg_index_indpred as _, std::ptr::null_mut());
            let index = Index {
                columns: form.indkey.values.as_slice(form.indnkeyatts as usize),
                is_unique: form.indisunique && form.indisvalid,
            };
            let found = !is_partial && is_wanted(&index);
            pg_sys::ReleaseSysCache(tuple);
            found
        })
    }
}
