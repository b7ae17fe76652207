//! PostgreSQL's hooks, and what comes after docperm in each.
//!
//! What comes next is called as C would call it, through frames that hold nothing to be dropped, so that an error passes by as
//! PostgreSQL raised it. If it were caught and raised again, it would lose its context and the names of the constraint, the
//! table and the column that it is about. Only docperm's own part of a hook runs under [`guarded`](crate::entry_point::guarded).

use pgrx::pg_sys;

type Planner = unsafe extern "C-unwind" fn(
    *mut pg_sys::Query,
    *const ::core::ffi::c_char,
    ::core::ffi::c_int,
    pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt;
type ExecutorStart = unsafe extern "C-unwind" fn(*mut pg_sys::QueryDesc, ::core::ffi::c_int);
type ExecutorEnd = unsafe extern "C-unwind" fn(*mut pg_sys::QueryDesc);
type ProcessUtility = unsafe extern "C-unwind" fn(
    *mut pg_sys::PlannedStmt,
    *const ::core::ffi::c_char,
    bool,
    pg_sys::ProcessUtilityContext::Type,
    pg_sys::ParamListInfo,
    *mut pg_sys::QueryEnvironment,
    *mut pg_sys::DestReceiver,
    *mut pg_sys::QueryCompletion,
);

unsafe extern "C-unwind" {
    // optimizer/planner.h, executor/executor.h, tcop/utility.h
    fn standard_planner(
        query: *mut pg_sys::Query,
        text: *const ::core::ffi::c_char,
        options: ::core::ffi::c_int,
        parameters: pg_sys::ParamListInfo,
    ) -> *mut pg_sys::PlannedStmt;
    fn standard_ExecutorStart(query: *mut pg_sys::QueryDesc, flags: ::core::ffi::c_int);
    fn standard_ExecutorEnd(query: *mut pg_sys::QueryDesc);
    fn standard_ProcessUtility(
        statement: *mut pg_sys::PlannedStmt,
        text: *const ::core::ffi::c_char,
        read_only_tree: bool,
        context: pg_sys::ProcessUtilityContext::Type,
        parameters: pg_sys::ParamListInfo,
        environment: *mut pg_sys::QueryEnvironment,
        destination: *mut pg_sys::DestReceiver,
        completion: *mut pg_sys::QueryCompletion,
    );
}

/// What comes next in each hook.
#[derive(Clone, Copy)]
pub struct Next {
    /// Plans.
    pub planner: Planner,
    /// Starts an execution.
    pub executor_start: ExecutorStart,
    /// Ends an execution.
    pub executor_end: ExecutorEnd,
    /// Runs a utility statement.
    pub process_utility: ProcessUtility,
}

static mut NEXT: Next = Next {
    planner: standard_planner,
    executor_start: standard_ExecutorStart,
    executor_end: standard_ExecutorEnd,
    process_utility: standard_ProcessUtility,
};

/// What comes next in each hook.
pub fn next() -> Next {
    // SAFETY: written once, when the library is loaded, by the only thread.
    unsafe { NEXT }
}

/// Puts docperm first in each hook.
pub fn install(own: Next) {
    // SAFETY: called once, when the library is loaded, by the only thread.
    unsafe {
        NEXT = Next {
            planner: pg_sys::planner_hook.unwrap_or(standard_planner),
            executor_start: pg_sys::ExecutorStart_hook.unwrap_or(standard_ExecutorStart),
            executor_end: pg_sys::ExecutorEnd_hook.unwrap_or(standard_ExecutorEnd),
            process_utility: pg_sys::ProcessUtility_hook.unwrap_or(standard_ProcessUtility),
        };
        pg_sys::planner_hook = Some(own.planner);
        pg_sys::ExecutorStart_hook = Some(own.executor_start);
        pg_sys::ExecutorEnd_hook = Some(own.executor_end);
        pg_sys::ProcessUtility_hook = Some(own.process_utility);
    }
}
