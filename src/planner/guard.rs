//! The check before every execution, and looking for news where PostgreSQL would not.
//!
//! A plan that became stale is seldom met here: the plan cache drops it when it hears of the change. It hears when it takes
//! a lock that the transaction does not hold yet. A statement that is executed again within a transaction takes none, so
//! this listens, too: before and after every execution, and before EXECUTE looks into the plan cache. A change that comes
//! while a statement is being planned lets it be planned once more.

use std::cell::Cell;

use pgrx::pg_sys;

use super::next::{self, Next, next};
use super::stamp::{self, Standing};
use super::{parallel, policies, replan, walk};
use crate::catalog::scan::is_installed;
use crate::catalog::{cache, invalidation};
use crate::entry_point::guarded;
use crate::fault::{Fault, SqlState};
use crate::identity;

/// Installs the hooks.
pub fn install() {
    next::install(Next { planner: plan, executor_start, executor_end, process_utility });
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

unsafe extern "C-unwind" fn plan(
    query: *mut pg_sys::Query,
    text: *const ::core::ffi::c_char,
    options: ::core::ffi::c_int,
    parameters: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    // SAFETY: called with a query that is to be planned. This frame holds nothing to be dropped.
    unsafe {
        let mut planning = guarded(|| Planning::begin(query, options));
        loop {
            let planned = (next().planner)(planning.query, text, planning.options, parameters);
            if guarded(|| planning.ends_with(planned)) {
                return planned;
            }
        }
    }
}

/// A statement that is being planned, as often as permissions change meanwhile.
#[derive(Clone, Copy)]
struct Planning {
    /// What is planned now.
    query: *mut pg_sys::Query,
    /// With which options.
    options: i32,
    asked_options: i32,
    /// A copy to plan again, because the planner spoils what it plans; NULL if policies are none of its business.
    original: *mut pg_sys::Query,
    settled: Option<policies::Settled>,
    attempts: usize,
}

impl Planning {
    unsafe fn begin(query: *mut pg_sys::Query, options: i32) -> Self {
        IS_IN_CHARGE.set(true);
        let mut planning = Planning {
            query,
            options,
            asked_options: options,
            original: std::ptr::null_mut(),
            settled: None,
            attempts: 0,
        };
        // SAFETY: as in `plan`.
        unsafe {
            if (*query).hasRowSecurity && !is_parallel_worker() && is_installed() {
                planning.original = pg_sys::copyObjectImpl(query.cast()).cast();
                planning.settle();
            }
        }
        planning
    }

    /// Puts what policies come to in their place.
    unsafe fn settle(&mut self) {
        self.attempts += 1;
        let site = cache::site();
        // SAFETY: as in `plan`.
        unsafe {
            let queries = walk::queries(self.query);
            self.settled = policies::settle(self.query, &queries, self.asked_options, &site);
        }
        let settled = self.settled.as_ref();
        self.options = settled.map_or(self.asked_options, |settled| settled.options(self.asked_options));
    }

    /// Whether this is the plan; otherwise there is another query to plan.
    unsafe fn ends_with(&mut self, planned: *mut pg_sys::PlannedStmt) -> bool {
        if self.original.is_null() {
            return true;
        }
        // SAFETY: a finished plan; the copy is planned no more than once.
        unsafe {
            if let Some(settled) = &self.settled {
                settled.mark(planned);
            }
            if self.attempts == ATTEMPTS || !matches!(stamp::standing(planned), Standing::Stale) {
                return true;
            }
            self.query = pg_sys::copyObjectImpl(self.original.cast()).cast();
            self.settle();
        }
        false
    }
}

unsafe extern "C-unwind" fn executor_start(query: *mut pg_sys::QueryDesc, flags: ::core::ffi::c_int) {
    // SAFETY: called by the executor with a query that is about to start. This frame holds nothing to be dropped.
    unsafe {
        let held = guarded(|| before_execution(query));
        (next().executor_start)(query, flags);
        if !held.is_null() {
            // With the query, and not with what was current when it started.
            pg_sys::MemoryContextSetParent(held, (*(*query).estate).es_query_cxt);
        }
    }
}

/// Checks and prepares. What must live as long as the query is in the memory that is returned, unless it is NULL.
unsafe fn before_execution(query: *mut pg_sys::QueryDesc) -> pg_sys::MemoryContext {
    // SAFETY: as in `executor_start`.
    unsafe {
        let made_from = if is_parallel_worker() { None } else { check(query) };
        if CAME_LATE.replace(false) {
            invalidation::forget_identity();
        }
        let Some(authority) = made_from else { return std::ptr::null_mut() };
        // Here, because the check may have exchanged it.
        let plan = (*query).plannedstmt;
        let is_tested = |set| stamp::tested(plan).any(|tested| tested == set);
        if stamp::is_joined(plan) {
            fetch_parameters((*query).params);
        }
        if (*plan).parallelModeNeeded && parallel::share_sets(&authority, is_tested).is_err() {
            (*query).plannedstmt = without_workers(plan);
        }
        if stamp::tested(plan).next().is_none() {
            return std::ptr::null_mut();
        }
        // The sets that the plan names stay, whatever changes while the query runs.
        let held = pg_sys::AllocSetContextCreateInternal(
            pg_sys::CurrentMemoryContext,
            c"docperm sets".as_ptr(),
            0,
            1024,
            1024,
        );
        pgrx::PgMemoryContexts::For(held).leak_and_drop_on_delete(authority);
        held
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

unsafe extern "C-unwind" fn executor_end(query: *mut pg_sys::QueryDesc) {
    // SAFETY: called by the executor with a query that has ended. This frame holds nothing to be dropped.
    unsafe {
        (next().executor_end)(query);
        guarded(|| {
            if !is_parallel_worker() && pg_sys::IsTransactionState() {
                pg_sys::AcceptInvalidationMessages();
            }
        });
    }
}

// The hook's signature is PostgreSQL's.
#[allow(clippy::too_many_arguments)]
unsafe extern "C-unwind" fn process_utility(
    statement: *mut pg_sys::PlannedStmt,
    text: *const ::core::ffi::c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    parameters: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    destination: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: called with a utility statement that is about to run; the arguments are passed on as they are. This frame holds
    // nothing to be dropped.
    unsafe {
        guarded(|| before_utility(statement));
        (next().process_utility)(
            statement,
            text,
            read_only_tree,
            context,
            parameters,
            environment,
            destination,
            completion,
        );
    }
}

/// Listens before the plan cache is asked for a plan.
unsafe fn before_utility(statement: *mut pg_sys::PlannedStmt) {
    use pg_sys::NodeTag::{T_CreateTableAsStmt, T_ExecuteStmt, T_ExplainStmt};
    // SAFETY: as in `process_utility`.
    unsafe {
        let tag = (*(*statement).utilityStmt).type_;
        if matches!(tag, T_ExecuteStmt | T_ExplainStmt | T_CreateTableAsStmt) && pg_sys::IsTransactionState()
        {
            pg_sys::AcceptInvalidationMessages();
        }
    }
}
