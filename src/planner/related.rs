//! Conditions on related rows: sub-queries that PostgreSQL plans like any EXISTS. Where [`policies`](super::policies) puts
//! them into the join tree they become semi-joins and anti-joins; elsewhere they are hashed for scans, probed for single rows.
//!
//! The sub-query is added when the policies of the outer query have been expanded already, so no policy is expanded in it:
//! what it may see is decided by the predicate that it carries. It needs no privilege on the related table, which so may
//! stay closed to the user, and policies of parent and child may depend on each other without recursion.

use pgrx::{PgList, pg_sys};

use super::lower::{Lowering, Operand};
use super::nodes;
use crate::catalog::scan::Table;
use crate::catalog::values;
use crate::entry_point::entry_point;
use crate::rules::{ChildLink, ParentLink, Predicate};

impl Lowering<'_> {
    /// `EXISTS (SELECT FROM parent WHERE its name = this column AND it satisfies the predicate)`.
    pub(super) unsafe fn parent(&self, link: &ParentLink, predicate: &Predicate) -> *mut pg_sys::Node {
        let Some(relation) = self.authority.site.relations.get(&link.doctype) else {
            // SAFETY: a constant.
            return unsafe { pg_sys::makeBoolConst(false, false) };
        };
        let name_column = &self.authority.site.model.doctypes[&link.doctype].name_column;
        // SAFETY: as in `lower`.
        unsafe {
            let satisfies = |related: &Lowering| {
                let mut conditions = vec![related.lower(predicate)];
                if link.created_now {
                    conditions.push(related.is_of_this_transaction());
                }
                nodes::boolean(pg_sys::BoolExprType::AND_EXPR, conditions)
            };
            let one = self.exists(*relation, &link.doctype, |related| {
                vec![related.names(name_column, self, &link.column), satisfies(related)]
            });
            // Blank is no name, should a document have it.
            let column = self.table.registered_attribute(&link.column, self.doctype);
            let one = if values::can_be_empty(column.atttypid) {
                let not_blank = nodes::not(self.equals(&link.column, ""));
                nodes::boolean(pg_sys::BoolExprType::AND_EXPR, vec![not_blank, one])
            } else {
                one
            };
            if !Table::open(*relation).is_some_and(|table| table.has_children()) {
                return one;
            }
            // No index keeps a name to one row of all partitions: every row of that name must satisfy it.
            let other = self.exists(*relation, &link.doctype, |related| {
                let fails = nodes::is_not_true(satisfies(related));
                vec![related.names(name_column, self, &link.column), fails]
            });
            nodes::boolean(pg_sys::BoolExprType::AND_EXPR, vec![one, nodes::not(other)])
        }
    }

    /// `NOT EXISTS (SELECT FROM child WHERE its parent = this name AND it does not satisfy the predicate)`.
    pub(super) unsafe fn every_child(&self, link: &ChildLink, predicate: &Predicate) -> *mut pg_sys::Node {
        let Some(relation) = self.authority.site.relations.get(&link.doctype) else {
            // SAFETY: a constant.
            return unsafe { pg_sys::makeBoolConst(true, false) };
        };
        let name_column = &self.authority.site.model.doctypes[self.doctype].name_column;
        // SAFETY: as in `lower`.
        unsafe {
            let exists = self.exists(*relation, &link.doctype, |related| {
                let mut conditions = vec![related.names(&link.parent_column, self, name_column)];
                if let Some((column, doctype)) = &link.parent_type {
                    conditions.push(related.equals(column, doctype));
                }
                conditions.push(nodes::is_not_true(related.lower(predicate)));
                conditions
            });
            nodes::not(exists)
        }
    }

    /// A sub-query on one table whose conditions are built by `conditions`.
    unsafe fn exists(
        &self,
        relation: pg_sys::Oid,
        doctype: &str,
        conditions: impl FnOnce(&Lowering) -> Vec<*mut pg_sys::Node>,
    ) -> *mut pg_sys::Node {
        // SAFETY: as in `lower`; the nodes are those that the parser would have made. The lock is kept until the end of the
        // transaction, as the parser would have kept it.
        unsafe {
            pg_sys::LockRelationOid(relation, pg_sys::AccessShareLock as _);
            let Some(table) = Table::open(relation) else { return pg_sys::makeBoolConst(false, false) };
            let query = nodes::alloc::<pg_sys::Query>(pg_sys::NodeTag::T_Query);
            let row = add_table(query, &table);
            let related = Lowering { query, row, table: &table, doctype, ..*self };
            let conditions = nodes::boolean(pg_sys::BoolExprType::AND_EXPR, conditions(&related));
            (*(*query).jointree).quals = conditions;
            let link = nodes::alloc::<pg_sys::SubLink>(pg_sys::NodeTag::T_SubLink);
            (*link).subLinkType = pg_sys::SubLinkType::EXISTS_SUBLINK;
            (*link).subselect = query.cast();
            (*link).location = -1;
            (*self.query).hasSubLinks = true;
            link.cast()
        }
    }

    /// `column = outer_column`, where the latter is one of the query around this one.
    unsafe fn names(&self, column: &str, outer: &Lowering, outer_column: &str) -> *mut pg_sys::Node {
        // SAFETY: as in `lower`; the outer column is one level up.
        unsafe {
            let equality = self.equality(column, outer, outer_column);
            if !outer.probes {
                return equality;
            }
            // It follows from the equality, but keeps PostgreSQL from reading the whole related table into a hash table:
            // it does so where it counts on many rows, and it counts those that a LIMIT leaves out.
            let outer_name = outer.variable(outer_column).cast();
            pg_sys::IncrementVarSublevelsUp(outer_name, 1, 0);
            nodes::boolean(pg_sys::BoolExprType::AND_EXPR, vec![equality, nodes::is_not_null(outer_name)])
        }
    }

    unsafe fn equality(&self, column: &str, outer: &Lowering, outer_column: &str) -> *mut pg_sys::Node {
        // SAFETY: as in `lower`; the outer column is one level up.
        unsafe {
            let inner: Operand = self.operand(column);
            let outer: Operand = outer.operand(outer_column);
            pg_sys::IncrementVarSublevelsUp(outer.node, 1, 0);
            if inner.equality.operator == outer.equality.operator {
                let operator = inner.equality.operator;
                let expression = pg_sys::make_opclause(
                    operator,
                    pg_sys::BOOLOID,
                    false,
                    inner.node.cast(),
                    outer.node.cast(),
                    pg_sys::InvalidOid,
                    inner.collation,
                );
                pg_sys::set_opfuncid(expression.cast());
                return expression.cast();
            }
            // Keys of different types, such as integers of different length: an operator of PostgreSQL's own, by name, so
            // that no search_path can put another in its place. If there is none, their texts are compared.
            let mut name = PgList::<pg_sys::Node>::new();
            name.push(pg_sys::makeString(pg_sys::pstrdup(c"pg_catalog".as_ptr())).cast());
            name.push(pg_sys::makeString(pg_sys::pstrdup(c"=".as_ptr())).cast());
            let name = name.into_pg();
            let state = pg_sys::make_parsestate(std::ptr::null_mut());
            let type_of = |node| pg_sys::exprType(node);
            let operator = pg_sys::oper(state, name, type_of(inner.node), type_of(outer.node), true, -1);
            let as_text = |node| {
                let conversion = nodes::alloc::<pg_sys::CoerceViaIO>(pg_sys::NodeTag::T_CoerceViaIO);
                (*conversion).arg = node;
                (*conversion).resulttype = pg_sys::TEXTOID;
                (*conversion).resultcollid = pg_sys::DEFAULT_COLLATION_OID;
                (*conversion).coerceformat = pg_sys::CoercionForm::COERCE_EXPLICIT_CAST;
                (*conversion).location = -1;
                conversion.cast::<pg_sys::Node>()
            };
            let (left, right) = if operator.is_null() {
                (as_text(inner.node.cast()), as_text(outer.node.cast()))
            } else {
                pg_sys::ReleaseSysCache(operator);
                (inner.node, outer.node)
            };
            let expression = pg_sys::make_op(state, name, left, right, std::ptr::null_mut(), -1);
            pg_sys::assign_expr_collations(state, expression.cast());
            pg_sys::free_parsestate(state);
            expression.cast()
        }
    }

    /// The row was inserted by this transaction.
    unsafe fn is_of_this_transaction(&self) -> *mut pg_sys::Node {
        // SAFETY: every table has the system column, which needs no more than its number and type.
        unsafe {
            let variable = pg_sys::copyObjectImpl(self.row.cast()).cast::<pg_sys::Var>();
            (*variable).varattno = pg_sys::MinTransactionIdAttributeNumber as _;
            (*variable).vartype = pg_sys::XIDOID;
            (*variable).vartypmod = -1;
            (*variable).varcollid = pg_sys::InvalidOid;
            (*variable).varattnosyn = (*variable).varattno;
            let mut arguments = PgList::<pg_sys::Node>::new();
            arguments.push(variable.cast());
            nodes::call(c"_is_of_this_transaction", &mut [pg_sys::XIDOID], arguments)
        }
    }
}

entry_point! {
    /// `docperm._is_of_this_transaction(xid)`, strict: whether this transaction wrote the row with that xmin.
    fn docperm_is_of_this_transaction / pg_finfo_docperm_is_of_this_transaction (fcinfo) {
        // SAFETY: declared strict with one argument of type xid.
        unsafe {
            let inserted_by = pgrx::pg_getarg_datum_raw(fcinfo, 0).value() as u32;
            pg_sys::Datum::from(pg_sys::TransactionIdIsCurrentTransactionId(inserted_by.into()))
        }
    }
}

/// Makes `query` a SELECT of nothing from the table, and returns the table's whole row.
unsafe fn add_table(query: *mut pg_sys::Query, table: &Table) -> *mut pg_sys::Var {
    // SAFETY: an empty query and an open table.
    unsafe {
        let state = pg_sys::make_parsestate(std::ptr::null_mut());
        let item = pg_sys::addRangeTableEntryForRelation(
            state,
            table.as_raw(),
            pg_sys::AccessShareLock as _,
            std::ptr::null_mut(),
            true,
            true,
        );
        // Nobody's privileges are asked for.
        (*(*item).p_rte).requiredPerms = 0;
        let reference = nodes::alloc::<pg_sys::RangeTblRef>(pg_sys::NodeTag::T_RangeTblRef);
        (*reference).rtindex = (*item).p_rtindex;
        let mut from = PgList::<pg_sys::RangeTblRef>::new();
        from.push(reference);
        (*query).commandType = pg_sys::CmdType::CMD_SELECT;
        (*query).querySource = pg_sys::QuerySource::QSRC_ORIGINAL;
        (*query).canSetTag = true;
        (*query).rtable = (*state).p_rtable;
        (*query).jointree = pg_sys::makeFromExpr(from.into_pg(), std::ptr::null_mut());
        (*query).stmt_location = -1;
        let row = pg_sys::makeVar(1, 0, pg_sys::RECORDOID, -1, pg_sys::InvalidOid, 0);
        pg_sys::free_parsestate(state);
        row
    }
}
