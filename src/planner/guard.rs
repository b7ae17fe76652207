//! The check before every execution, and looking for news where PostgreSQL would not.
//!
//! A plan that became stale is seldom met here: the plan cache drops it when it hears of the change. It hears when it takes
//! a lock that the transaction does not hold yet. A statement that is executed again within a transaction takes none, so
//! this listens, too: before and after every execution, and before EXECUTE looks into the plan cache. A change that comes
//! while a statement is being planned lets it be planned once more.

use pgrx::pg_sys;

use super::stamp::{self, Standing};
use super::{leakproof, parallel, replan};
use crate::catalog::invalidation;
use crate::fault::{Fault, SqlState};
use crate::identity;

static mut NEXT_PLANNER: pg_sys::planner_hook_type = None;
static mut NEXT_EXECUTOR_START: pg_sys::ExecutorStart_hook_type = None;
static mut NEXT_EXECUTOR_END: pg_sys::ExecutorEnd_hook_type = None;
static mut NEXT_PROCESS_UTILITY: pg_sys::ProcessUtility_hook_type = None;

/// Installs the hooks.
pub fn install() {
    // SAFETY: called once, when the library is loaded, by the only thread.
    unsafe {
        NEXT_PLANNER = pg_sys::planner_hook;
        pg_sys::planner_hook = Some(plan);
        NEXT_EXECUTOR_START = pg_sys::ExecutorStart_hook;
        pg_sys::ExecutorStart_hook = Some(executor_start);
        NEXT_EXECUTOR_END = pg_sys::ExecutorEnd_hook;
        pg_sys::ExecutorEnd_hook = Some(executor_end);
        NEXT_PROCESS_UTILITY = pg_sys::ProcessUtility_hook;
        pg_sys::ProcessUtility_hook = Some(process_utility);
    }
}

/// A parallel worker runs what its leader has checked, with what its leader knows.
fn is_parallel_worker() -> bool {
    // SAFETY: a plain variable of the backend.
    unsafe { pg_sys::ParallelWorkerNumber >= 0 }
}

/// How often a statement is planned while permissions change.
const ATTEMPTS: usize = 4;

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn plan(
    query: *mut pg_sys::Query,
    text: *const ::core::ffi::c_char,
    options: ::core::ffi::c_int,
    parameters: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    // SAFETY: called with a query that is to be planned; the planner spoils it, so that another attempt needs a copy.
    unsafe {
        let next = |query| match NEXT_PLANNER {
            Some(next) => next(query, text, options, parameters),
            None => pg_sys::standard_planner(query, text, options, parameters),
        };
        if !(*query).hasRowSecurity || is_parallel_worker() {
            return next(query);
        }
        leakproof::promote(query);
        let original = pg_sys::copyObjectImpl(query.cast());
        let mut planned = next(query);
        for _ in 1..ATTEMPTS {
            if !matches!(stamp::standing(planned, identity::acting), Standing::Stale) {
                break;
            }
            planned = next(pg_sys::copyObjectImpl(original).cast());
        }
        planned
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn executor_start(query: *mut pg_sys::QueryDesc, flags: ::core::ffi::c_int) {
    // SAFETY: called by the executor with a query that is about to start.
    unsafe {
        let made_from = if is_parallel_worker() { None } else { check(query) };
        if let Some(authority) = &made_from
            && (*(*query).plannedstmt).parallelModeNeeded
            && parallel::share_sets(authority).is_err()
        {
            (*query).plannedstmt = without_workers((*query).plannedstmt);
        }
        match NEXT_EXECUTOR_START {
            Some(next) => next(query, flags),
            None => pg_sys::standard_ExecutorStart(query, flags),
        }
        if let Some(authority) = made_from
            && authority.has_tested_sets()
        {
            // The sets that the plan names stay, whatever changes while the query runs.
            pgrx::PgMemoryContexts::For((*(*query).estate).es_query_cxt).leak_and_drop_on_delete(authority);
        }
    }
}

/// The same plan, run by the leader alone. A copy, because the plan cache may hold the plan.
unsafe fn without_workers(plan: *mut pg_sys::PlannedStmt) -> *mut pg_sys::PlannedStmt {
    // SAFETY: a shallow copy in the memory of the query.
    unsafe {
        let copy = pg_sys::palloc(size_of::<pg_sys::PlannedStmt>()).cast::<pg_sys::PlannedStmt>();
        std::ptr::copy_nonoverlapping(plan, copy, 1);
        (*copy).parallelModeNeeded = false;
        copy
    }
}

unsafe fn check(query: *mut pg_sys::QueryDesc) -> Option<std::rc::Rc<crate::catalog::cache::Authority>> {
    // SAFETY: as in `executor_start`.
    unsafe {
        pg_sys::AcceptInvalidationMessages();
        match stamp::standing((*query).plannedstmt, identity::acting) {
            Standing::Unmarked => return None,
            Standing::Current(authority) => return Some(authority),
            Standing::Stale => {}
        }
        // Whatever let this plan through: the next one is a new one.
        invalidation::forget_identity();
        replan::replan_prepared(query);
        match stamp::standing((*query).plannedstmt, identity::acting) {
            Standing::Unmarked => None,
            Standing::Current(authority) => Some(authority),
            Standing::Stale => refuse(),
        }
    }
}

fn refuse() -> ! {
    let user = identity::acting().user;
    Fault::new(
        SqlState::ERRCODE_T_R_SERIALIZATION_FAILURE,
        format!("the permissions of \"{user}\" have changed since this statement was planned"),
    )
    .detail("A plan holds for one user and one state of the permissions.")
    .hint("Run the transaction again.")
    .raise()
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn executor_end(query: *mut pg_sys::QueryDesc) {
    // SAFETY: called by the executor with a query that has ended.
    unsafe {
        match NEXT_EXECUTOR_END {
            Some(next) => next(query),
            None => pg_sys::standard_ExecutorEnd(query),
        }
        if !is_parallel_worker() && pg_sys::IsTransactionState() {
            pg_sys::AcceptInvalidationMessages();
        }
    }
}

#[pgrx::pg_guard]
// The hook's signature is PostgreSQL's.
#[allow(clippy::too_many_arguments)]
unsafe extern "C-unwind" fn process_utility(
    statement: *mut pg_sys::PlannedStmt,
    query_string: *const ::core::ffi::c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    parameters: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    destination: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: called with a utility statement that is about to run; the arguments are passed on as they are.
    unsafe {
        use pg_sys::NodeTag::{T_CreateTableAsStmt, T_ExecuteStmt, T_ExplainStmt};
        let tag = (*(*statement).utilityStmt).type_;
        if matches!(tag, T_ExecuteStmt | T_ExplainStmt | T_CreateTableAsStmt) && pg_sys::IsTransactionState()
        {
            pg_sys::AcceptInvalidationMessages();
        }
        match NEXT_PROCESS_UTILITY {
            Some(next) => next(
                statement,
                query_string,
                read_only_tree,
                context,
                parameters,
                environment,
                destination,
                completion,
            ),
            None => pg_sys::standard_ProcessUtility(
                statement,
                query_string,
                read_only_tree,
                context,
                parameters,
                environment,
                destination,
                completion,
            ),
        }
    }
}
