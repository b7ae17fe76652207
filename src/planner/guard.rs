//! The check before every execution, and looking for news where PostgreSQL would not.
//!
//! A plan that became stale is seldom met here: the plan cache drops it when it hears of the change. It hears when it takes
//! a lock that the transaction does not hold yet. A statement that is executed again within a transaction takes none, so
//! this listens, too: before and after every execution, and before EXECUTE looks into the plan cache. A change that comes
//! while a statement is being planned lets it be planned once more.

use std::cell::Cell;

use pgrx::pg_sys;

use super::stamp::{self, Standing};
use super::{leakproof, parallel, policies, replan};
use crate::catalog::{cache, invalidation};
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

thread_local! {
    /// Statements are planned by way of [`plan`].
    static IS_IN_CHARGE: Cell<bool> = const { Cell::new(false) };
    /// A policy came up in the planning of a statement that had begun before the library was loaded.
    static CAME_LATE: Cell<bool> = const { Cell::new(false) };
}

/// Notes that a policy comes up in the middle of planning. The statement whose policy made PostgreSQL load the library cannot
/// be given the plan that it would get now; if it is prepared, it gets it next time.
pub fn note_policy_in_planning() {
    if !IS_IN_CHARGE.get() {
        CAME_LATE.set(true);
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
        let next = |query, options| match NEXT_PLANNER {
            Some(next) => next(query, text, options, parameters),
            None => pg_sys::standard_planner(query, text, options, parameters),
        };
        IS_IN_CHARGE.set(true);
        if !(*query).hasRowSecurity || is_parallel_worker() {
            return next(query, options);
        }
        let original = pg_sys::copyObjectImpl(query.cast());
        let attempt = |query: *mut pg_sys::Query| {
            let site = cache::site();
            let queries = leakproof::promote(query, &site);
            let settled = policies::settle(query, &queries, options, &site);
            let options = settled.as_ref().map_or(options, |settled| settled.options(options));
            let planned = next(query, options);
            if let Some(settled) = settled {
                settled.mark(planned);
            }
            planned
        };
        let mut planned = attempt(query);
        for _ in 1..ATTEMPTS {
            if !matches!(stamp::standing(planned), Standing::Stale) {
                break;
            }
            planned = attempt(pg_sys::copyObjectImpl(original).cast());
        }
        planned
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn executor_start(query: *mut pg_sys::QueryDesc, flags: ::core::ffi::c_int) {
    // SAFETY: called by the executor with a query that is about to start.
    unsafe {
        let made_from = if is_parallel_worker() { None } else { check(query) };
        if CAME_LATE.replace(false) {
            invalidation::forget_identity();
        }
        // Here, because the check may have exchanged it.
        let plan = (*query).plannedstmt;
        let is_tested = |set| stamp::tested(plan).any(|tested| tested == set);
        if made_from.is_some() && stamp::is_joined(plan) {
            fetch_parameters((*query).params);
        }
        if let Some(authority) = &made_from
            && (*plan).parallelModeNeeded
            && parallel::share_sets(authority, is_tested).is_err()
        {
            (*query).plannedstmt = without_workers(plan);
        }
        match NEXT_EXECUTOR_START {
            Some(next) => next(query, flags),
            None => pg_sys::standard_ExecutorStart(query, flags),
        }
        if let Some(authority) = made_from
            && stamp::tested(plan).next().is_some()
        {
            // The sets that the plan names stay, whatever changes while the query runs.
            pgrx::PgMemoryContexts::For((*(*query).estate).es_query_cxt).leak_and_drop_on_delete(authority);
        }
    }
}

/// Fetches the values that PL/pgSQL has for a statement's parameters. Fetching one may fail, for instance a field of a record
/// that has not been assigned, and fails now if it does: later it would depend on rows that a join has not let through yet.
unsafe fn fetch_parameters(parameters: pg_sys::ParamListInfo) {
    // SAFETY: NULL, or a list with the function to fetch its values by if it does not hold them.
    unsafe {
        if let Some(parameters) = parameters.as_mut()
            && let Some(fetch) = parameters.paramFetch
        {
            for number in 1..=parameters.numParams {
                pg_sys::ffi::pg_guard_ffi_boundary(|| {
                    let mut workspace = pg_sys::ParamExternData::default();
                    fetch(parameters, number, false, &mut workspace);
                });
            }
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
        match stamp::standing((*query).plannedstmt) {
            Standing::Unmarked => return None,
            Standing::Current(authority) => return Some(authority),
            Standing::Stale => {}
        }
        // Whatever let this plan through: the next one is a new one.
        invalidation::forget_identity();
        replan::replan_prepared(query);
        match stamp::standing((*query).plannedstmt) {
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
