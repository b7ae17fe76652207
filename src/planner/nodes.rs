//! Nodes that PostgreSQL has no function to make.

use std::ffi::CStr;

use pgrx::{PgList, pg_sys};

use crate::catalog::values;

/// The conjunction or disjunction of any number of nodes.
///
/// # Safety
/// The parts are expression nodes.
pub unsafe fn boolean(
    kind: pg_sys::BoolExprType::Type,
    mut parts: Vec<*mut pg_sys::Node>,
) -> *mut pg_sys::Node {
    // SAFETY: the parts are nodes.
    unsafe {
        match parts.len() {
            0 => pg_sys::makeBoolConst(kind == pg_sys::BoolExprType::AND_EXPR, false),
            1 => parts.remove(0),
            _ => {
                let mut list = PgList::<pg_sys::Node>::new();
                parts.into_iter().for_each(|part| list.push(part));
                pg_sys::makeBoolExpr(kind, list.into_pg(), -1).cast()
            }
        }
    }
}

/// `argument IS NOT TRUE`.
///
/// # Safety
/// The argument is a boolean expression.
pub unsafe fn is_not_true(argument: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: all fields of the node are set.
    unsafe {
        let test = alloc::<pg_sys::BooleanTest>(pg_sys::NodeTag::T_BooleanTest);
        (*test).arg = argument.cast();
        (*test).booltesttype = pg_sys::BoolTestType::IS_NOT_TRUE;
        (*test).location = -1;
        test.cast()
    }
}

/// `NOT argument`.
///
/// # Safety
/// The argument is a boolean expression.
pub unsafe fn not(argument: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: a node of valid parts.
    unsafe {
        let mut arguments = PgList::<pg_sys::Node>::new();
        arguments.push(argument);
        pg_sys::makeBoolExpr(pg_sys::BoolExprType::NOT_EXPR, arguments.into_pg(), -1).cast()
    }
}

/// `argument IS NULL`.
///
/// # Safety
/// The argument is an expression of a scalar type.
pub unsafe fn is_null(argument: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: as demanded of the caller.
    unsafe { null_test(argument, pg_sys::NullTestType::IS_NULL) }
}

/// `argument IS NOT NULL`.
///
/// # Safety
/// The argument is an expression of a scalar type.
pub unsafe fn is_not_null(argument: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: as demanded of the caller.
    unsafe { null_test(argument, pg_sys::NullTestType::IS_NOT_NULL) }
}

unsafe fn null_test(argument: *mut pg_sys::Node, test_type: pg_sys::NullTestType::Type) -> *mut pg_sys::Node {
    // SAFETY: all fields of the node are set.
    unsafe {
        let test = alloc::<pg_sys::NullTest>(pg_sys::NodeTag::T_NullTest);
        (*test).arg = argument.cast();
        (*test).nulltesttype = test_type;
        (*test).argisrow = false;
        (*test).location = -1;
        test.cast()
    }
}

/// `docperm.name(arguments)`, which returns boolean.
///
/// # Safety
/// The arguments are expressions that fit the function's types.
pub unsafe fn call(
    name: &CStr,
    types: &mut [pg_sys::Oid],
    arguments: PgList<pg_sys::Node>,
) -> *mut pg_sys::Node {
    // SAFETY: a node of valid parts; a function that is missing is an error when the node is executed.
    unsafe {
        let function = values::own_function(name, types);
        pg_sys::makeFuncExpr(
            function,
            pg_sys::BOOLOID,
            arguments.into_pg(),
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
        )
        .cast()
    }
}

/// A node of zeroes with its tag, as makeNode() makes it.
///
/// # Safety
/// `T` is the struct of nodes with that tag.
pub unsafe fn alloc<T>(tag: pg_sys::NodeTag) -> *mut T {
    // SAFETY: the size is that of the node's struct, which begins with its tag.
    unsafe {
        let node = pg_sys::palloc0(size_of::<T>()).cast::<pg_sys::Node>();
        (*node).type_ = tag;
        node.cast()
    }
}
