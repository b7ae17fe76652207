//! PostgreSQL's sets of columns.
//!
//! They hold the numbers of columns, shifted so that those of system columns are not negative. 0 stands for the whole row.

use pgrx::pg_sys;

const SHIFT: i32 = pg_sys::FirstLowInvalidHeapAttributeNumber;

/// The numbers in a set.
///
/// # Safety
/// A set of columns, or NULL, which is the empty one.
pub unsafe fn numbers(set: *const pg_sys::Bitmapset) -> Vec<pg_sys::AttrNumber> {
    let mut numbers = vec![];
    let mut member = -1;
    loop {
        // SAFETY: as demanded of the caller; the search begins after the last member that was found.
        member = unsafe { pg_sys::bms_next_member(set, member) };
        if member < 0 {
            return numbers;
        }
        numbers.push((member + SHIFT) as pg_sys::AttrNumber);
    }
}

/// The columns of one table of a query that an expression, without queries in it, is made of.
///
/// # Safety
/// NULL, an expression, or a list of expressions.
pub unsafe fn of_expression(expression: *mut pg_sys::Node, table: u32) -> *mut pg_sys::Bitmapset {
    let mut set = std::ptr::null_mut();
    // SAFETY: as demanded of the caller.
    unsafe { pg_sys::pull_varattnos(expression, table, &mut set) };
    set
}

/// The set with one column more.
///
/// # Safety
/// A set of columns, or NULL, that nobody else uses.
pub unsafe fn with(set: *mut pg_sys::Bitmapset, number: pg_sys::AttrNumber) -> *mut pg_sys::Bitmapset {
    // SAFETY: as demanded of the caller.
    unsafe { pg_sys::bms_add_member(set, i32::from(number) - SHIFT) }
}
