//! A predicate as expression nodes on the columns of a table.
//!
//! What comes out is what an expert would have written by hand, so that the planner can do with it what it can do with
//! that: use indexes, estimate rows, prune partitions, run in parallel, hash a long list.

use std::rc::Rc;

use pgrx::{PgList, pg_sys};

use super::{membership, nodes};
use crate::catalog::cache::Authority;
use crate::catalog::scan::Table;
use crate::catalog::values::{self, Equality};
use crate::rules::{Predicate, ValueSet};

/// Where the nodes go.
pub struct Lowering<'a> {
    /// The planner's state for the whole statement.
    pub glob: *mut pg_sys::PlannerGlobal,
    /// The query that the nodes become part of.
    pub query: *mut pg_sys::Query,
    /// The whole row of the table in that query.
    pub row: *mut pg_sys::Var,
    /// The table.
    pub table: &'a Table,
    /// The doctype that it holds.
    pub doctype: &'a str,
    /// Whose predicate it is.
    pub authority: &'a Authority,
    /// Related rows are to be looked up one by one, because few rows of the table are wanted.
    pub probes: bool,
    /// Up to how many permitted values become constants.
    pub inline_values: usize,
}

/// A column as an operand of its type's equality.
pub(super) struct Operand {
    pub node: *mut pg_sys::Node,
    pub equality: Equality,
    pub collation: pg_sys::Oid,
    not_null: bool,
    can_be_empty: bool,
}

impl Lowering<'_> {
    /// The nodes, in the current memory context.
    ///
    /// # Safety
    /// While the planner plans `query`, of which `row` is a Var.
    pub unsafe fn lower(&self, predicate: &Predicate) -> *mut pg_sys::Node {
        // SAFETY: as demanded of the caller; nodes are made by PostgreSQL's own functions from valid parts.
        unsafe {
            match predicate {
                Predicate::Always => pg_sys::makeBoolConst(true, false),
                Predicate::Never => pg_sys::makeBoolConst(false, false),
                Predicate::All(parts) => {
                    let parts = parts.iter().map(|part| self.lower(part));
                    nodes::boolean(pg_sys::BoolExprType::AND_EXPR, parts.collect())
                }
                Predicate::Any(parts) => nodes::boolean(pg_sys::BoolExprType::OR_EXPR, self.lower_any(parts)),
                Predicate::OneOf { column, values, .. } => self.one_of(column, values, false),
                Predicate::Blank { column } => {
                    nodes::boolean(pg_sys::BoolExprType::OR_EXPR, self.blank(column, true))
                }
                Predicate::Is { column, text } => self.equals(column, text),
                Predicate::Parent(link, predicate) => self.parent(link, predicate),
                Predicate::EveryChild(link, predicate) => self.every_child(link, predicate),
            }
        }
    }

    /// A link that may be blank is so common that it gets its own form: the empty string joins the permitted values.
    unsafe fn lower_any(&self, parts: &[Predicate]) -> Vec<*mut pg_sys::Node> {
        let may_be_blank = |wanted: &str| {
            parts.iter().any(|part| matches!(part, Predicate::Blank { column } if column == wanted))
        };
        let is_listed = |wanted: &str| {
            parts.iter().any(|part| {
                matches!(part, Predicate::OneOf { column, values, .. } if column == wanted && self.is_inline(values))
            })
        };
        // SAFETY: as in `lower`.
        unsafe {
            let lowered = parts.iter().map(|part| match part {
                Predicate::OneOf { column, values, .. } if may_be_blank(column) && self.is_inline(values) => {
                    vec![self.one_of(column, values, true)]
                }
                Predicate::Blank { column } => self.blank(column, !is_listed(column)),
                other => vec![self.lower(other)],
            });
            lowered.flatten().collect()
        }
    }

    fn is_inline(&self, values: &ValueSet) -> bool {
        values.len() <= self.inline_values
    }

    unsafe fn one_of(&self, column: &str, names: &Rc<ValueSet>, or_empty: bool) -> *mut pg_sys::Node {
        // SAFETY: as in `lower`.
        unsafe {
            let operand = self.operand(column);
            let set = self.authority.typed_set(names, operand.equality.operand, operand.collation);
            if !self.is_inline(names) {
                return membership::test(self.glob, operand.node, &set);
            }
            let or_empty = or_empty && operand.can_be_empty;
            match (names.iter().next(), names.len()) {
                (Some(only), 1) if !or_empty => self.equals(column, only),
                _ => any_of(&operand, set.array(or_empty)),
            }
        }
    }

    unsafe fn blank(&self, column: &str, or_empty: bool) -> Vec<*mut pg_sys::Node> {
        // SAFETY: as in `lower`.
        unsafe {
            let operand = self.operand(column);
            let mut blanks = vec![];
            if !operand.not_null {
                blanks.push(nodes::is_null(self.variable(column).cast()));
            }
            if or_empty && operand.can_be_empty {
                blanks.push(self.equals(column, ""));
            }
            blanks
        }
    }

    pub(super) unsafe fn equals(&self, column: &str, text: &str) -> *mut pg_sys::Node {
        // SAFETY: as in `lower`.
        unsafe {
            let operand = self.operand(column);
            let Some(datum) = values::value_of(text, operand.equality.operand) else {
                return pg_sys::makeBoolConst(false, false);
            };
            let type_oid = operand.equality.operand;
            let (mut len, mut by_value) = (0, false);
            pg_sys::get_typlenbyval(type_oid, &mut len, &mut by_value);
            let constant =
                pg_sys::makeConst(type_oid, -1, operand.collation, len.into(), datum, false, by_value);
            let expression = pg_sys::make_opclause(
                operand.equality.operator,
                pg_sys::BOOLOID,
                false,
                operand.node.cast(),
                constant.cast(),
                pg_sys::InvalidOid,
                operand.collation,
            );
            pg_sys::set_opfuncid(expression.cast());
            expression.cast()
        }
    }

    pub(super) unsafe fn operand(&self, column: &str) -> Operand {
        let attribute = self.table.registered_attribute(column, self.doctype);
        let equality = Equality::of_type(attribute.atttypid);
        // SAFETY: as in `lower`.
        unsafe {
            let variable = self.variable(column);
            let relabelled = attribute.atttypid != equality.operand;
            let node = if relabelled {
                let cast = pg_sys::CoercionForm::COERCE_IMPLICIT_CAST;
                pg_sys::makeRelabelType(variable.cast(), equality.operand, -1, attribute.attcollation, cast)
                    .cast()
            } else {
                variable.cast()
            };
            Operand {
                node,
                equality,
                collation: attribute.attcollation,
                not_null: attribute.attnotnull,
                can_be_empty: values::can_be_empty(attribute.atttypid),
            }
        }
    }

    /// The column in place of the whole row.
    pub(super) unsafe fn variable(&self, column: &str) -> *mut pg_sys::Var {
        let attribute = self.table.registered_attribute(column, self.doctype);
        // SAFETY: a copy of a Var is a Var; its new attribute is one of the same table.
        unsafe {
            let variable = pg_sys::copyObjectImpl(self.row.cast()).cast::<pg_sys::Var>();
            (*variable).varattno = attribute.attnum;
            (*variable).vartype = attribute.atttypid;
            (*variable).vartypmod = attribute.atttypmod;
            (*variable).varcollid = attribute.attcollation;
            if (*variable).varnosyn != 0 {
                (*variable).varattnosyn = attribute.attnum;
            }
            variable
        }
    }
}

/// `operand = ANY (array)`. The array is copied, because the set that holds it may be dropped before the plan is.
unsafe fn any_of(operand: &Operand, array: pg_sys::Datum) -> *mut pg_sys::Node {
    // SAFETY: the array is of the operand's type.
    unsafe {
        let array_type = pg_sys::get_array_type(operand.equality.operand);
        let copy = pg_sys::pg_detoast_datum_copy(array.cast_mut_ptr());
        let constant = pg_sys::makeConst(array_type, -1, operand.collation, -1, copy.into(), false, false);
        let mut arguments = PgList::<pg_sys::Node>::new();
        arguments.push(operand.node);
        arguments.push(constant.cast());
        let expression = nodes::alloc::<pg_sys::ScalarArrayOpExpr>(pg_sys::NodeTag::T_ScalarArrayOpExpr);
        (*expression).opno = operand.equality.operator;
        (*expression).opfuncid = operand.equality.function;
        (*expression).useOr = true;
        (*expression).inputcollid = operand.collation;
        (*expression).args = arguments.into_pg();
        (*expression).location = -1;
        expression.cast()
    }
}
