//! For whom a plan was made, and the refusal to run it for anybody else.
//!
//! A specialised plan names in its list of relations, beside those that it reads:
//! - the channels of everything that it follows from, so that the plan cache drops it when one of them changes;
//! - its stamp: the number of the authority that it was made from.
//!
//! The plan cache so never offers a plan that has become wrong. Should one be offered all the same, because who acts
//! changed while it was being planned, or by a way that nobody thought of, the check before execution refuses it.

use pgrx::{PgList, pg_sys};

use crate::catalog::cache::{self, Authority};
use crate::catalog::channel::{self, Channel};
use crate::catalog::invalidation;
use crate::fault::{Fault, SqlState};
use crate::identity::{self, Identity, Source};

/// Marks the plan in the making as made from `authority`.
///
/// # Safety
/// `glob` is that of the planner at work.
pub unsafe fn mark(glob: *mut pg_sys::PlannerGlobal, identity: &Identity, authority: &Authority) {
    let by_role = (identity.source != Source::ActingUser).then(|| Channel::Mapping.oid());
    let stamp = channel::stamp_oid(authority.stamp);
    let marks = authority.channels().into_iter().chain(by_role).chain([Channel::Identity.oid(), stamp]);
    // SAFETY: a list of OIDs in the planner's memory.
    unsafe {
        for mark in marks {
            (*glob).relationOids = pg_sys::list_append_unique_oid((*glob).relationOids, mark);
        }
    }
}

/// Puts the check before every execution.
pub fn install_hooks() {
    // SAFETY: called once, when the library is loaded, before anything is executed by it.
    unsafe {
        NEXT_EXECUTOR_START = pg_sys::ExecutorStart_hook;
        pg_sys::ExecutorStart_hook = Some(executor_start);
        NEXT_PROCESS_UTILITY = pg_sys::ProcessUtility_hook;
        pg_sys::ProcessUtility_hook = Some(process_utility);
    }
}

static mut NEXT_EXECUTOR_START: pg_sys::ExecutorStart_hook_type = None;
static mut NEXT_PROCESS_UTILITY: pg_sys::ProcessUtility_hook_type = None;

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn executor_start(query: *mut pg_sys::QueryDesc, flags: ::core::ffi::c_int) {
    // SAFETY: called by the executor with a query that is about to start. The leader has checked for its workers.
    unsafe {
        let is_worker = pg_sys::ParallelWorkerNumber >= 0;
        let made_from = if is_worker { None } else { check((*query).plannedstmt) };
        match NEXT_EXECUTOR_START {
            Some(next) => next(query, flags),
            None => pg_sys::standard_ExecutorStart(query, flags),
        }
        if let Some(authority) = made_from {
            // Its sets stay, whatever changes while the query runs.
            pgrx::PgMemoryContexts::For((*(*query).estate).es_query_cxt).leak_and_drop_on_delete(authority);
        }
    }
}

/// Refuses a plan that was not made for who acts now and from permissions as they are now.
unsafe fn check(plan: *mut pg_sys::PlannedStmt) -> Option<std::rc::Rc<Authority>> {
    // SAFETY: a plan's list of OIDs.
    let stamps: Vec<pg_sys::Oid> = unsafe {
        let relations = PgList::<pg_sys::Oid>::from_pg((*plan).relationOids);
        relations.iter_oid().filter(|oid| channel::is_stamp(*oid)).collect()
    };
    if stamps.is_empty() {
        return None;
    }
    let identity = identity::acting();
    let authority = cache::valid_authority(&identity.user);
    let is_current =
        |authority: &Authority| stamps.iter().all(|stamp| *stamp == channel::stamp_oid(authority.stamp));
    if let Some(authority) = authority
        && is_current(&authority)
    {
        return Some(authority);
    }
    // Whatever let this plan through: the next attempt plans anew.
    invalidation::forget_identity();
    Fault::new(
        SqlState::ERRCODE_T_R_SERIALIZATION_FAILURE,
        format!("the permissions of \"{}\" have changed since this statement was planned", identity.user),
    )
    .detail("A plan holds for one user and one state of the permissions.")
    .hint("Run the transaction again.")
    .raise()
}

/// Looks for news before a prepared statement is executed: inside a transaction that has used its tables before,
/// PostgreSQL would not.
#[pgrx::pg_guard]
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
