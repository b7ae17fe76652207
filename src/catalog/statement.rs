//! Statements that the library runs itself, with the privileges of a table's owner.
//!
//! A plan may run code of the owner of a table that it reads: what an index expression or a CHECK constraint calls is called
//! while the query is planned. So a query on somebody's table runs as its owner, as PostgreSQL's own checks of foreign keys
//! do, and never as the superuser who made the extension. The table's policies do not apply to it.

use std::ffi::{CStr, CString};

use pgrx::{IntoDatum, pg_sys};

use super::scan::Table;
use super::settings;
use crate::fault::{Fault, SqlState};

/// An argument of a statement: `$1`, `$2` and so on.
pub enum Argument<'a> {
    /// A text.
    Text(&'a str),
    /// An array of texts.
    Texts(&'a [String]),
}

impl Argument<'_> {
    fn type_oid(&self) -> pg_sys::Oid {
        match self {
            Argument::Text(_) => pg_sys::TEXTOID,
            Argument::Texts(_) => pg_sys::TEXTARRAYOID,
        }
    }

    fn datum(&self) -> Option<pg_sys::Datum> {
        match self {
            Argument::Text(text) => text.into_datum(),
            Argument::Texts(texts) => texts.iter().map(String::as_str).collect::<Vec<_>>().into_datum(),
        }
    }
}

/// What a statement sees.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sees {
    /// What the statement around it sees; it writes nothing.
    SameAsCaller,
    /// What any statement sees that a client sends now.
    SameAsNext,
    /// Everything that is committed by now, also in a transaction whose snapshot is older.
    Newest,
}

/// What any statement sees that a client sends now, with what the present one has done so far: the active snapshot as long as
/// it lives.
pub struct NextSnapshot(());

impl NextSnapshot {
    /// Takes it.
    pub fn take() -> Self {
        // SAFETY: triggers run in a transaction that may write, outside parallel workers; popped by Drop, or by the end of a
        // transaction that fails.
        unsafe {
            pg_sys::CommandCounterIncrement();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        NextSnapshot(())
    }

    /// As PostgreSQL passes it around.
    pub fn as_raw(&self) -> pg_sys::Snapshot {
        // SAFETY: pushed by `take`.
        unsafe { pg_sys::GetActiveSnapshot() }
    }
}

impl Drop for NextSnapshot {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: pushed by `take`.
            unsafe { pg_sys::PopActiveSnapshot() }
        }
    }
}

/// Everything that is committed by now, also in a transaction whose snapshot is older: the active snapshot as long as it lives.
pub struct LatestSnapshot(());

impl LatestSnapshot {
    /// Takes it.
    pub fn take() -> Self {
        // SAFETY: functions run in a transaction; pushing copies it; popped by Drop, or by the end of a transaction that fails.
        unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) }
        LatestSnapshot(())
    }
}

impl Drop for LatestSnapshot {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: pushed by `take`.
            unsafe { pg_sys::PopActiveSnapshot() }
        }
    }
}

/// Runs a statement as the owner of `table`, and returns its rows as texts. Dates and the like are written as docperm stores
/// them.
pub fn run_as_owner(
    table: &Table,
    sees: Sees,
    sql: &str,
    arguments: &[Argument],
) -> Vec<Vec<Option<String>>> {
    let c_sql = CString::new(sql).expect("statements have no NUL");
    let mut types: Vec<_> = arguments.iter().map(Argument::type_oid).collect();
    // SAFETY: the connection is closed at the end, or by the end of a transaction that fails; arguments live in its memory
    // and are of the types that the statement is prepared with.
    unsafe {
        let _settings = settings::Fixed::for_statements();
        let _owner = OtherPrivileges::of_owner(table);
        succeed(pg_sys::SPI_connect());
        let plan = pg_sys::SPI_prepare(c_sql.as_ptr(), types.len() as _, types.as_mut_ptr());
        if plan.is_null() {
            succeed(pg_sys::SPI_result);
        }
        let mut values: Vec<_> =
            arguments.iter().map(|argument| argument.datum().unwrap_or(pg_sys::Datum::from(0))).collect();
        let snapshot = match sees {
            Sees::SameAsCaller => pg_sys::GetActiveSnapshot(),
            Sees::SameAsNext => std::ptr::null_mut(),
            Sees::Newest => pg_sys::GetLatestSnapshot(),
        };
        succeed(pg_sys::SPI_execute_snapshot(
            plan,
            values.as_mut_ptr(),
            std::ptr::null(),
            snapshot,
            // Rows that the transaction's own snapshot does not see are no conflict.
            std::ptr::null_mut(),
            sees == Sees::SameAsCaller,
            true,
            0,
        ));
        let rows = result();
        succeed(pg_sys::SPI_finish());
        rows
    }
}

/// As [`run_as_owner`], and while it runs nobody acts: what hangs on the table, as the owner's triggers and domains do, does
/// nothing in the name of who has asked for the statement.
pub fn run_as_owner_alone(table: &Table, sees: Sees, sql: &str, arguments: &[Argument]) {
    let _nobody_acts = OtherPrivileges::restricted();
    run_as_owner(table, sees, sql, arguments);
}

/// What a statement has come to.
pub struct Done {
    /// How many rows it has written.
    pub touched: u64,
    /// The rows that it returns.
    pub rows: Vec<Vec<Option<String>>>,
}

/// Runs a statement that the caller could send himself: as the current role, with the session's settings.
pub fn run_as_caller(sql: &str, arguments: &[Argument]) -> Done {
    let c_sql = CString::new(sql).expect("statements have no NUL");
    let mut types: Vec<_> = arguments.iter().map(Argument::type_oid).collect();
    // SAFETY: the connection is closed at the end, or by the end of a transaction that fails; arguments live in its memory
    // and are of the types that are named.
    unsafe {
        succeed(pg_sys::SPI_connect());
        let mut values: Vec<_> =
            arguments.iter().map(|argument| argument.datum().unwrap_or(pg_sys::Datum::from(0))).collect();
        succeed(pg_sys::SPI_execute_with_args(
            c_sql.as_ptr(),
            types.len() as _,
            types.as_mut_ptr(),
            values.as_mut_ptr(),
            std::ptr::null(),
            false,
            0,
        ));
        let done = Done { touched: pg_sys::SPI_processed, rows: result() };
        succeed(pg_sys::SPI_finish());
        done
    }
}

/// The condition that the column of the table `t` holds the value that a text stands for. Whatever the session's search path
/// is, values compare as those of the column's type do.
pub fn holds(table: &Table, column: &str, text: &str) -> String {
    let attribute = table.registered_attribute(column, &table.name());
    let equality = super::values::Equality::of_type(attribute.atttypid);
    format!(
        "t.{} {} {text}::pg_catalog.text::{}",
        super::values::quoted(column),
        super::values::qualified_operator(equality.operator),
        super::values::type_name(equality.operand)
    )
}

/// The rows of the statement that was run last.
unsafe fn result() -> Vec<Vec<Option<String>>> {
    // SAFETY: within the connection that ran it; a statement that returns nothing has no table of rows.
    unsafe {
        let table = pg_sys::SPI_tuptable;
        if table.is_null() {
            return vec![];
        }
        let (tuples, descriptor) = ((*table).vals, (*table).tupdesc);
        let text = |tuple, column| {
            let text = pg_sys::SPI_getvalue(tuple, descriptor, column);
            (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
        };
        let columns = (*descriptor).natts;
        (0..pg_sys::SPI_processed as usize)
            .map(|row| (1..=columns).map(|column| text(*tuples.add(row), column)).collect())
            .collect()
    }
}

fn succeed(code: i32) {
    if code < 0 {
        // SAFETY: a constant string for any code.
        let why = unsafe { CStr::from_ptr(pg_sys::SPI_result_code_string(code)) }.to_string_lossy();
        Fault::new(SqlState::ERRCODE_INTERNAL_ERROR, format!("a statement of docperm failed: {why}"))
            .hint("This is a defect of docperm.")
            .raise();
    }
}

/// The current role, and what it may, are others until this is dropped; an error that ends the transaction sets them back as
/// well.
struct OtherPrivileges {
    role: pg_sys::Oid,
    context: i32,
}

impl OtherPrivileges {
    /// Those of the table's owner.
    fn of_owner(table: &Table) -> Self {
        let before = Self::present();
        // SAFETY: the relation is open. The owner's code cannot become another role.
        unsafe {
            let owner = (*(*table.as_raw()).rd_rel).relowner;
            let flags = pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_NOFORCE_RLS;
            pg_sys::SetUserIdAndSecContext(owner, before.context | flags as i32);
        }
        before
    }

    /// Of the current role, as in maintenance commands: nobody acts, see [`acting`](crate::identity::acting).
    fn restricted() -> Self {
        let before = Self::present();
        let flags = pg_sys::SECURITY_RESTRICTED_OPERATION;
        // SAFETY: the role stays.
        unsafe { pg_sys::SetUserIdAndSecContext(before.role, before.context | flags as i32) }
        before
    }

    fn present() -> Self {
        let mut present = OtherPrivileges { role: pg_sys::InvalidOid, context: 0 };
        // SAFETY: reads variables of the backend.
        unsafe { pg_sys::GetUserIdAndSecContext(&mut present.role, &mut present.context) }
        present
    }
}

impl Drop for OtherPrivileges {
    fn drop(&mut self) {
        // SAFETY: what was set before.
        unsafe { pg_sys::SetUserIdAndSecContext(self.role, self.context) }
    }
}
