//! Whether a statement could tell anything about rows that no policy has let through yet.
//!
//! PostgreSQL tests a policy before it lets any function of the query's own see a row, unless the function is leakproof:
//! the *security barrier*. A join with related rows has no such barrier before it, so a policy may become one only where
//! none is needed: where all that is evaluated before the rows of a query are complete is leakproof.
//!
//! Leakproof is not enough. Behind a join, what is evaluated **at all** tells something: whether another table's filter
//! fails depends on whether a hidden row found a partner there. So before the rows are complete nothing may be able to
//! fail, whatever it is about. What cannot are comparisons by which PostgreSQL's own types are ordered, conversions between
//! them that lose nothing, and what the planner computes beforehand. What can are, among others, a sub-query that must not
//! return a second row, a LIMIT that might be negative, a sum that might overflow, a comparison of texts whose collation
//! is unclear; and a table on another server tells that server.
//!
//! Only the outermost query's results come after its rows are complete, and so may be anything: entries of the target list
//! by which the planner neither sorts nor groups. What is not known here is not discreet.

use std::ffi::{c_int, c_void};

use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag;

use super::walk::{items, walk_expression, walk_query};
use crate::catalog::load::Site;
use crate::catalog::scan::Table;

/// Whether nothing in the statement can tell of a row before the policies on it have been tested.
///
/// # Safety
/// `query` is a query tree that is about to be planned, with leakproof functions [put in place](super::leakproof).
pub unsafe fn is_discreet(query: *mut pg_sys::Query, site: &Site) -> bool {
    // SAFETY: as demanded of the caller.
    unsafe { is_discreet_query(&*query, Level { is_outermost: true, is_correlated: false }, site) }
}

/// Where a query stands.
#[derive(Clone, Copy)]
struct Level {
    /// Its results are computed only for rows that are complete.
    is_outermost: bool,
    /// What it computes depends on rows of a query around it.
    is_correlated: bool,
}

unsafe fn is_discreet_query(query: &pg_sys::Query, level: Level, site: &Site) -> bool {
    // SAFETY: the fields of a query tree are what their types say.
    unsafe {
        let early = Listener { site, level, is_late: false };
        let late = Listener { is_late: level.is_outermost, ..early };
        query.commandType == pg_sys::CmdType::CMD_SELECT
            && query.utilityStmt.is_null()
            && query.rowMarks.is_null()
            && query.withCheckOptions.is_null()
            && !query.hasForUpdate
            && !query.hasModifyingCTE
            && !query.hasRecursive
            && (level.is_outermost || !query.hasWindowFuncs && is_plain_union(query.setOperations))
            && [query.limitCount, query.limitOffset].iter().all(|limit| early.limit_is_discreet(*limit))
            && early.keys_are_discreet(query.targetList, query.groupClause)
            && early.keys_are_discreet(query.targetList, query.distinctClause)
            && early.keys_are_discreet(query.targetList, query.sortClause)
            && items::<pg_sys::WindowClause>(query.windowClause).all(|window| {
                early.keys_are_discreet(query.targetList, (*window).partitionClause)
                    && early.keys_are_discreet(query.targetList, (*window).orderClause)
                    && !early.hears((*window).startOffset)
                    && !early.hears((*window).endOffset)
            })
            && items::<pg_sys::TargetEntry>(query.targetList).all(|entry| {
                let is_key = (*entry).ressortgroupref != 0;
                let listener = if is_key { early } else { late };
                !listener.hears((*entry).expr.cast())
            })
            && !early.hears(query.havingQual)
            && !early.hears(query.jointree.cast())
            && items::<pg_sys::CommonTableExpr>(query.cteList)
                .all(|cte| early.query_is_discreet((*cte).ctequery.cast()))
            && items::<pg_sys::RangeTblEntry>(query.rtable).all(|entry| early.table_is_discreet(&*entry))
    }
}

/// No set operation but UNION ALL, which compares nothing.
unsafe fn is_plain_union(operation: *mut pg_sys::Node) -> bool {
    // SAFETY: NULL, or a tree of set operations, whose leaves refer to the range table.
    unsafe {
        if operation.is_null() || (*operation).type_ != NodeTag::T_SetOperationStmt {
            return true;
        }
        let operation = operation.cast::<pg_sys::SetOperationStmt>();
        (*operation).groupClauses.is_null()
            && is_plain_union((*operation).larg)
            && is_plain_union((*operation).rarg)
    }
}

/// Looks for what could tell.
#[derive(Clone, Copy)]
struct Listener<'a> {
    site: &'a Site,
    level: Level,
    /// What it hears is evaluated for complete rows only.
    is_late: bool,
}

impl Listener<'_> {
    /// Whether the expression or join tree could tell anything.
    unsafe fn hears(mut self, node: *mut pg_sys::Node) -> bool {
        // SAFETY: a node of the query.
        unsafe { listen(node, (&raw mut self).cast()) }
    }

    /// A query within the one at hand.
    unsafe fn query_is_discreet(&self, query: *mut pg_sys::Query) -> bool {
        // SAFETY: as in `is_discreet_query`.
        unsafe {
            let is_correlated = !self.is_late && (self.level.is_correlated || refers_outside(query));
            is_discreet_query(&*query, Level { is_outermost: self.is_late, is_correlated }, self.site)
        }
    }

    /// Counted out at the start of the outermost query; elsewhere, when the first row is wanted.
    unsafe fn limit_is_discreet(&self, limit: *mut pg_sys::Node) -> bool {
        // SAFETY: NULL or an expression of type bigint.
        unsafe {
            if limit.is_null() || self.level.is_outermost && (*limit).type_ == NodeTag::T_Param {
                return true;
            }
            if !is_computed_beforehand(limit) {
                return false;
            }
            let folded = pg_sys::eval_const_expressions(std::ptr::null_mut(), limit);
            let constant = folded.cast::<pg_sys::Const>();
            (*folded).type_ == NodeTag::T_Const
                && ((*constant).constisnull || (*constant).constvalue.value() as i64 >= 0)
        }
    }

    /// Sorting, grouping and telling apart by these keys cannot fail.
    unsafe fn keys_are_discreet(&self, targets: *mut pg_sys::List, keys: *mut pg_sys::List) -> bool {
        // SAFETY: sort and group clauses refer to entries of the target list.
        unsafe {
            items::<pg_sys::SortGroupClause>(keys).all(|key| {
                let function = pg_sys::get_opcode((*key).eqop);
                let entry = pg_sys::get_sortgroupref_tle((*key).tleSortGroupRef, targets);
                let expression = (*entry).expr.cast();
                (self.site.leakproof.contains_key(&function) || self.is_calm((*key).eqop, function))
                    && is_collated(pg_sys::exprCollation(expression), expression)
            })
        }
    }

    /// An operator that tells nothing but by its result, and always has one.
    unsafe fn is_calm(&self, operator: pg_sys::Oid, function: pg_sys::Oid) -> bool {
        // SAFETY: look-ups.
        unsafe {
            self.site.leakproof.values().any(|own| *own == function)
                || function.to_u32() < pg_sys::FirstNormalObjectId
                    && pg_sys::get_func_leakproof(function)
                    && !pg_sys::get_op_btree_interpretation(operator).is_null()
        }
    }

    /// A comparison that tells nothing but by its result, and always has one.
    unsafe fn comparison_is_discreet(&self, comparison: *mut pg_sys::OpExpr) -> bool {
        // SAFETY: an operator expression or one of those that share its struct.
        unsafe {
            pg_sys::set_opfuncid(comparison);
            let comparison = &*comparison;
            self.is_calm(comparison.opno, comparison.opfuncid)
                && items::<pg_sys::Node>(comparison.args)
                    .all(|argument| is_collated(comparison.inputcollid, argument))
        }
    }

    unsafe fn array_comparison_is_discreet(&self, comparison: *mut pg_sys::ScalarArrayOpExpr) -> bool {
        // SAFETY: a comparison with the items of an array.
        unsafe {
            pg_sys::set_sa_opfuncid(comparison);
            let comparison = &*comparison;
            self.is_calm(comparison.opno, comparison.opfuncid)
                && items::<pg_sys::Node>(comparison.args)
                    .all(|argument| is_collated(comparison.inputcollid, argument))
        }
    }

    unsafe fn row_comparison_is_discreet(&self, comparison: &pg_sys::RowCompareExpr) -> bool {
        // SAFETY: lists of the same length.
        unsafe {
            let arguments =
                items::<pg_sys::Node>(comparison.largs).zip(items::<pg_sys::Node>(comparison.rargs));
            arguments.enumerate().all(|(index, (left, right))| {
                let oid = |list: *mut pg_sys::List| (*(*list).elements.add(index)).oid_value;
                let (operator, collation) = (oid(comparison.opnos), oid(comparison.inputcollids));
                self.is_calm(operator, pg_sys::get_opcode(operator))
                    && is_collated(collation, left)
                    && is_collated(collation, right)
            })
        }
    }

    unsafe fn table_is_discreet(&self, entry: &pg_sys::RangeTblEntry) -> bool {
        // SAFETY: the fields of an entry are what its kind says.
        unsafe {
            match entry.rtekind {
                pg_sys::RTEKind::RTE_RELATION => {
                    entry.tablesample.is_null()
                        && self.relation_is_discreet(entry)
                        && items::<pg_sys::Node>(entry.securityQuals)
                            .all(|policy| is_permits(policy, self.site) || !self.hears(policy))
                }
                pg_sys::RTEKind::RTE_SUBQUERY => self.query_is_discreet(entry.subquery),
                pg_sys::RTEKind::RTE_JOIN => !self.hears(entry.joinaliasvars.cast()),
                pg_sys::RTEKind::RTE_VALUES => !self.hears(entry.values_lists.cast()),
                pg_sys::RTEKind::RTE_CTE | pg_sys::RTEKind::RTE_RESULT => true,
                _ => false,
            }
        }
    }

    /// The rows are on this server: another one could be told by what it is asked for.
    unsafe fn relation_is_discreet(&self, entry: &pg_sys::RangeTblEntry) -> bool {
        if self.site.doctypes.contains_key(&entry.relid) {
            return true;
        }
        let is_stored_here =
            [pg_sys::RELKIND_RELATION, pg_sys::RELKIND_MATVIEW].contains(&(entry.relkind as u8));
        let is_view = entry.relkind as u8 == pg_sys::RELKIND_VIEW;
        is_view
            || is_stored_here
                && (!entry.inh || Table::open(entry.relid).is_some_and(|table| !table.has_children()))
    }

    /// Aggregates are computed from complete rows, but those of an inner query for rows of one around it.
    unsafe fn aggregate_is_discreet(&self, aggregate: &pg_sys::Aggref) -> bool {
        // SAFETY: the fields of an aggregate call are what their types say.
        unsafe {
            let is_ordered = !aggregate.aggorder.is_null()
                || !aggregate.aggdistinct.is_null()
                || !aggregate.aggdirectargs.is_null();
            if aggregate.agglevelsup > 0 {
                return false;
            }
            if self.level.is_outermost {
                // min() and max() become a sort, which comes before the rows are complete, as that of arguments may.
                let is_late = self.is_late && !is_ordered && !is_extreme(aggregate.aggfnoid);
                let arguments = Listener { is_late, ..*self };
                let filter = Listener { is_late: self.is_late, ..*self };
                return !arguments.hears(aggregate.args.cast())
                    && !arguments.hears(aggregate.aggdirectargs.cast())
                    && !filter.hears(aggregate.aggfilter.cast());
            }
            !self.level.is_correlated
                && cannot_fail(aggregate)
                && !is_ordered
                && !self.hears(aggregate.args.cast())
                && !self.hears(aggregate.aggfilter.cast())
        }
    }
}

/// Whether the node, or one below it, could tell.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn listen(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    // SAFETY: NULL or a node, and the listener that the walk began with.
    unsafe {
        if node.is_null() {
            return false;
        }
        let listener = &*context.cast::<Listener>();
        match (*node).type_ {
            NodeTag::T_Query => return !listener.query_is_discreet(node.cast()),
            NodeTag::T_SubLink => {
                use pg_sys::SubLinkType::{ANY_SUBLINK, EXISTS_SUBLINK};
                let may_fail =
                    ![ANY_SUBLINK, EXISTS_SUBLINK].contains(&(*node.cast::<pg_sys::SubLink>()).subLinkType);
                if may_fail && !listener.is_late {
                    return true;
                }
            }
            NodeTag::T_Aggref => return !listener.aggregate_is_discreet(&*node.cast()),
            _ if listener.is_late => {}
            NodeTag::T_Var
            | NodeTag::T_Const
            | NodeTag::T_SQLValueFunction
            | NodeTag::T_GroupingFunc
            | NodeTag::T_RangeTblRef => return false,
            NodeTag::T_Param => {
                return (*node.cast::<pg_sys::Param>()).paramkind == pg_sys::ParamKind::PARAM_EXEC;
            }
            NodeTag::T_BoolExpr
            | NodeTag::T_BooleanTest
            | NodeTag::T_CaseExpr
            | NodeTag::T_CaseTestExpr
            | NodeTag::T_CaseWhen
            | NodeTag::T_CoalesceExpr
            | NodeTag::T_CollateExpr
            | NodeTag::T_FromExpr
            | NodeTag::T_JoinExpr
            | NodeTag::T_List
            | NodeTag::T_NullTest
            | NodeTag::T_RelabelType
            | NodeTag::T_RowExpr
            | NodeTag::T_TargetEntry => {}
            NodeTag::T_FuncExpr if is_lossless_conversion(&*node.cast()) => {}
            NodeTag::T_OpExpr | NodeTag::T_DistinctExpr | NodeTag::T_NullIfExpr
                if listener.comparison_is_discreet(node.cast()) => {}
            NodeTag::T_ScalarArrayOpExpr if listener.array_comparison_is_discreet(node.cast()) => {}
            NodeTag::T_RowCompareExpr if listener.row_comparison_is_discreet(&*node.cast()) => {}
            _ => return !is_computed_beforehand(node),
        }
        walk_expression(node, listen, context)
    }
}

/// docperm's own policy.
///
/// # Safety
/// A node.
pub unsafe fn is_permits(node: *mut pg_sys::Node, site: &Site) -> bool {
    // SAFETY: the tag tells what the node is.
    unsafe {
        (*node).type_ == NodeTag::T_FuncExpr && (*node.cast::<pg_sys::FuncExpr>()).funcid == site.permits
    }
}

/// A cast between PostgreSQL's own types that is leakproof. None of those can fail.
unsafe fn is_lossless_conversion(call: &pg_sys::FuncExpr) -> bool {
    use pg_sys::CoercionForm::{COERCE_EXPLICIT_CAST, COERCE_IMPLICIT_CAST};
    [COERCE_EXPLICIT_CAST, COERCE_IMPLICIT_CAST].contains(&call.funcformat)
        && call.funcid.to_u32() < pg_sys::FirstNormalObjectId
        // SAFETY: a look-up.
        && unsafe { pg_sys::get_func_leakproof(call.funcid) }
}

/// The collation is known if one matters.
unsafe fn is_collated(collation: pg_sys::Oid, argument: *mut pg_sys::Node) -> bool {
    // SAFETY: an expression.
    collation != pg_sys::InvalidOid
        || unsafe { pg_sys::get_typcollation(pg_sys::exprType(argument)) == pg_sys::InvalidOid }
}

/// Made of constants and immutable functions of PostgreSQL's own: the planner puts its value in its place, or fails.
unsafe fn is_computed_beforehand(node: *mut pg_sys::Node) -> bool {
    // SAFETY: an expression.
    unsafe { !is_open(node, std::ptr::null_mut()) }
}

/// Whether there is anything but constants and functions of PostgreSQL's own that the planner calls.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn is_open(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    // SAFETY: NULL or a node; the context is not used.
    unsafe {
        if node.is_null() {
            return false;
        }
        match (*node).type_ {
            NodeTag::T_Const | NodeTag::T_List | NodeTag::T_ArrayExpr | NodeTag::T_RelabelType => {}
            NodeTag::T_FuncExpr if (*node.cast::<pg_sys::FuncExpr>()).funcretset => return true,
            NodeTag::T_OpExpr if (*node.cast::<pg_sys::OpExpr>()).opretset => return true,
            NodeTag::T_FuncExpr | NodeTag::T_OpExpr | NodeTag::T_CoerceViaIO => {
                let returns_rows = pg_sys::type_is_rowtype(pg_sys::exprType(node));
                if returns_rows
                    || pg_sys::check_functions_in_node(node, Some(is_foreign), std::ptr::null_mut())
                {
                    return true;
                }
            }
            _ => return true,
        }
        walk_expression(node, is_open, context)
    }
}

unsafe extern "C-unwind" fn is_foreign(function: pg_sys::Oid, _context: *mut c_void) -> bool {
    // SAFETY: a look-up.
    function.to_u32() >= pg_sys::FirstNormalObjectId
        || unsafe { pg_sys::func_volatile(function) } as u8 != pg_sys::PROVOLATILE_IMMUTABLE
}

/// pg_aggregate.aggsortop (catalog/pg_aggregate.h).
const AGGREGATE_SORT_OPERATOR: i16 = 16;

/// An aggregate like min() and max(), whose value an index may give.
pub fn is_extreme(aggregate: pg_sys::Oid) -> bool {
    // SAFETY: a look-up; the tuple is let go of.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::AGGFNOID as _, aggregate.into());
        if tuple.is_null() {
            return true;
        }
        let mut is_null = false;
        let operator = pg_sys::SysCacheGetAttr(
            pg_sys::SysCacheIdentifier::AGGFNOID as _,
            tuple,
            AGGREGATE_SORT_OPERATOR,
            &mut is_null,
        );
        pg_sys::ReleaseSysCache(tuple);
        operator.value() != 0
    }
}

/// An aggregate that has a result for whatever it is given. Sums of numeric and float values overflow.
unsafe fn cannot_fail(aggregate: &pg_sys::Aggref) -> bool {
    use pg_sys::{
        F_BOOL_AND, F_BOOL_OR, F_COUNT_, F_COUNT_ANY, F_EVERY, F_MAX_DATE, F_MAX_INT2, F_MAX_INT4,
        F_MAX_INT8, F_MAX_NUMERIC, F_MAX_TEXT, F_MAX_TIMESTAMP, F_MAX_TIMESTAMPTZ, F_MIN_DATE, F_MIN_INT2,
        F_MIN_INT4, F_MIN_INT8, F_MIN_NUMERIC, F_MIN_TEXT, F_MIN_TIMESTAMP, F_MIN_TIMESTAMPTZ, F_SUM_INT2,
        F_SUM_INT4, F_SUM_INT8,
    };
    const CALM: [u32; 24] = [
        F_BOOL_AND,
        F_BOOL_OR,
        F_COUNT_,
        F_COUNT_ANY,
        F_EVERY,
        F_MAX_DATE,
        F_MAX_INT2,
        F_MAX_INT4,
        F_MAX_INT8,
        F_MAX_NUMERIC,
        F_MAX_TEXT,
        F_MAX_TIMESTAMP,
        F_MAX_TIMESTAMPTZ,
        F_MIN_DATE,
        F_MIN_INT2,
        F_MIN_INT4,
        F_MIN_INT8,
        F_MIN_NUMERIC,
        F_MIN_TEXT,
        F_MIN_TIMESTAMP,
        F_MIN_TIMESTAMPTZ,
        F_SUM_INT2,
        F_SUM_INT4,
        F_SUM_INT8,
    ];
    // SAFETY: a list of target entries.
    let is_collated = unsafe {
        items::<pg_sys::TargetEntry>(aggregate.args)
            .all(|argument| is_collated(aggregate.inputcollid, (*argument).expr.cast()))
    };
    CALM.contains(&aggregate.aggfnoid.to_u32()) && is_collated
}

/// Whether the query uses anything of queries around it.
unsafe fn refers_outside(query: *mut pg_sys::Query) -> bool {
    let mut depth: c_int = 0;
    // SAFETY: the walker gets nodes of the tree and the depth, which outlives the walk.
    unsafe { refers_beyond(query.cast(), (&raw mut depth).cast()) }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn refers_beyond(node: *mut pg_sys::Node, depth: *mut c_void) -> bool {
    // SAFETY: NULL or a node, and the number of queries that the walk is in.
    unsafe {
        if node.is_null() {
            return false;
        }
        let within = depth.cast::<c_int>();
        let levels_up = match (*node).type_ {
            NodeTag::T_Var => (*node.cast::<pg_sys::Var>()).varlevelsup,
            NodeTag::T_Aggref => (*node.cast::<pg_sys::Aggref>()).agglevelsup,
            NodeTag::T_GroupingFunc => (*node.cast::<pg_sys::GroupingFunc>()).agglevelsup,
            NodeTag::T_Query => {
                *within += 1;
                let found = walk_query(node.cast(), refers_beyond, depth, 0);
                *within -= 1;
                return found;
            }
            _ => 0,
        };
        levels_up as c_int >= (*within).max(1) || walk_expression(node, refers_beyond, depth)
    }
}
