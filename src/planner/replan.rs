//! A fresh plan for a prepared statement whose plan became stale on the way to its execution.
//!
//! The protocol's Bind message takes a plan from the plan cache without an occasion to look for news first. Inside a
//! transaction that has used the statement's tables before, it gets a plan that a committed change has made stale. Now that
//! the plan cache has heard of the change, it gives another.

use std::ffi::CStr;

use pgrx::{PgList, pg_sys};

/// A plan that the plan cache keeps until this is dropped.
struct HeldPlan(*mut pg_sys::CachedPlan);

impl Drop for HeldPlan {
    fn drop(&mut self) {
        // SAFETY: got from the plan cache without a resource owner.
        unsafe { pg_sys::ReleaseCachedPlan(self.0, std::ptr::null_mut()) }
    }
}

/// Exchanges the plan of `query` if it is that of a prepared statement executed through the protocol.
///
/// # Safety
/// `query` is about to start: nothing refers to its plan but the portal that it is run by.
pub unsafe fn replan_prepared(query: *mut pg_sys::QueryDesc) {
    // SAFETY: as demanded of the caller. The new plan lives as long as the portal.
    unsafe {
        let Some((portal, prepared)) = prepared_statement(query) else { return };
        let plan = pg_sys::GetCachedPlan(
            (*prepared).plansource,
            (*query).params,
            std::ptr::null_mut(),
            (*query).queryEnv,
        );
        let held =
            pgrx::PgMemoryContexts::For((*portal).portalContext).leak_and_drop_on_delete(HeldPlan(plan));
        let statements = PgList::<pg_sys::PlannedStmt>::from_pg((*(*held).0).stmt_list);
        if let Some(fresh) = statements.get_ptr(0)
            && statements.len() == 1
            && (*fresh).commandType == (*(*query).plannedstmt).commandType
        {
            (*query).plannedstmt = fresh;
        }
    }
}

/// The portal that runs `query`, and the prepared statement that it was bound to.
unsafe fn prepared_statement(
    query: *mut pg_sys::QueryDesc,
) -> Option<(pg_sys::Portal, *mut pg_sys::PreparedStatement)> {
    // SAFETY: as in `replan_prepared`.
    unsafe {
        let portal = pg_sys::ActivePortal;
        // A SELECT starts when it is bound. Anything else starts later, when the name may stand for another statement.
        let starts_when_bound =
            !portal.is_null() && (*portal).strategy == pg_sys::PortalStrategy::PORTAL_ONE_SELECT;
        if !starts_when_bound || (*portal).prepStmtName.is_null() {
            return None;
        }
        let statements = PgList::<pg_sys::PlannedStmt>::from_pg((*portal).stmts);
        if statements.len() != 1 || statements.get_ptr(0) != Some((*query).plannedstmt) {
            return None;
        }
        let prepared = pg_sys::FetchPreparedStatement((*portal).prepStmtName, false);
        if prepared.is_null() {
            return None;
        }
        // The name may stand for another statement by now.
        let text = CStr::from_ptr((*(*prepared).plansource).query_string);
        (text == CStr::from_ptr((*query).sourceText)).then_some((portal, prepared))
    }
}
