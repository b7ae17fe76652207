//! PostgreSQL's walkers of trees.
//!
//! Declared here because they are macros from PostgreSQL 16 on. A walker returns true to end the walk.

use std::ffi::{c_int, c_void};

use pgrx::pg_sys;

/// What is called with a node, or NULL, and the walk's context.
pub type Walker = unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut c_void) -> bool;

// nodes/nodeFuncs.h
unsafe extern "C-unwind" {
    /// Walks over the expressions of a query, its range table's and the queries' within it.
    #[cfg_attr(any(feature = "pg14", feature = "pg15"), link_name = "query_tree_walker")]
    #[cfg_attr(not(any(feature = "pg14", feature = "pg15")), link_name = "query_tree_walker_impl")]
    pub fn walk_query(query: *mut pg_sys::Query, walker: Walker, context: *mut c_void, flags: c_int) -> bool;
    /// Walks over the parts of an expression or of a join tree.
    #[cfg_attr(any(feature = "pg14", feature = "pg15"), link_name = "expression_tree_walker")]
    #[cfg_attr(not(any(feature = "pg14", feature = "pg15")), link_name = "expression_tree_walker_impl")]
    pub fn walk_expression(node: *mut pg_sys::Node, walker: Walker, context: *mut c_void) -> bool;
}

/// The items of a list of nodes of one kind.
///
/// # Safety
/// A list of such nodes, or NIL.
pub unsafe fn items<T>(list: *mut pg_sys::List) -> impl Iterator<Item = *mut T> {
    // SAFETY: as demanded of the caller; cells are read within the list's length.
    unsafe {
        let length = if list.is_null() { 0 } else { (*list).length as usize };
        (0..length).map(move |index| (*(*list).elements.add(index)).ptr_value.cast())
    }
}

/// The query and the queries within it.
///
/// # Safety
/// A query tree.
pub unsafe fn queries(query: *mut pg_sys::Query) -> Vec<*mut pg_sys::Query> {
    let mut found: Vec<*mut pg_sys::Query> = vec![];
    // SAFETY: the walker gets nodes of the tree and the list, which outlives the walk.
    unsafe {
        collect_queries(query.cast(), (&raw mut found).cast());
    }
    found
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn collect_queries(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    // SAFETY: PostgreSQL passes NULL or a node of the tree, and back the context that `queries` passed.
    unsafe {
        if node.is_null() {
            return false;
        }
        if (*node).type_ != pg_sys::NodeTag::T_Query {
            return walk_expression(node, collect_queries, context);
        }
        (*context.cast::<Vec<*mut pg_sys::Query>>()).push(node.cast());
        walk_query(node.cast(), collect_queries, context, 0)
    }
}
