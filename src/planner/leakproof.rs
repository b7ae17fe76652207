//! Conditions of the query's own that may be tested before the policy's.
//!
//! Under row-level security an index serves a condition of the user's only if its function is leakproof. sql/leakproof.sql
//! explains which functions are, although PostgreSQL does not call them so, and gives them a name under which it does. Here
//! they are put in place of the operators' own before the query is planned. The operator stays, and by it the planner finds
//! indexes, estimates and proofs, and EXPLAIN shows it.

use std::ffi::c_void;

use pgrx::pg_sys;

use super::like;
use super::walk::{walk_expression, walk_query};
use crate::catalog::load::Site;
use crate::catalog::values;

/// Puts leakproof functions in place of operators' own in the query and the queries within it.
///
/// # Safety
/// `query` is a query tree that is about to be planned.
pub unsafe fn promote(query: *mut pg_sys::Query, site: &Site) {
    let mut site = site;
    // SAFETY: the walker gets nodes of the tree and the site, which outlives the walk.
    unsafe {
        walker(query.cast(), (&raw mut site).cast());
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn walker(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    // SAFETY: PostgreSQL passes NULL or a node of the tree, and back the context that `promote` passed.
    unsafe {
        if node.is_null() {
            return false;
        }
        match (*node).type_ {
            pg_sys::NodeTag::T_OpExpr => {
                promote_operator(node.cast(), *context.cast::<&Site>());
                walk_expression(node, walker, context)
            }
            pg_sys::NodeTag::T_Query => walk_query(node.cast(), walker, context, 0),
            _ => walk_expression(node, walker, context),
        }
    }
}

unsafe fn promote_operator(operation: *mut pg_sys::OpExpr, site: &Site) {
    // SAFETY: an operator expression with its arguments.
    unsafe {
        pg_sys::set_opfuncid(operation);
        let Some(leakproof) = site.leakproof.get(&(*operation).opfuncid) else { return };
        if (*operation).opfuncid == pg_sys::Oid::from(pg_sys::F_TEXTLIKE) && !is_harmless_like(operation) {
            return;
        }
        (*operation).opfuncid = *leakproof;
    }
}

/// A constant pattern for which LIKE and docperm's own give the same answer, without an error.
unsafe fn is_harmless_like(operation: *mut pg_sys::OpExpr) -> bool {
    // SAFETY: LIKE has two arguments of type text.
    unsafe {
        let arguments = pgrx::PgList::<pg_sys::Node>::from_pg((*operation).args);
        let Some(pattern) = arguments.get_ptr(1) else { return false };
        if (*pattern).type_ != pg_sys::NodeTag::T_Const || !values::is_deterministic((*operation).inputcollid)
        {
            return false;
        }
        let pattern = pattern.cast::<pg_sys::Const>();
        let text: Option<&[u8]> = pgrx::FromDatum::from_datum((*pattern).constvalue, (*pattern).constisnull);
        text.is_some_and(|text| !like::ends_in_escape(text))
    }
}
