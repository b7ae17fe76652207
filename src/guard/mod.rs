//! What stands beside documents, kept in step with them when they come, go, or get another name.
//!
//! - [`shares`] go with their documents and follow them.
//! - [`orphans`], rows of child tables that a document left behind, do not become another's.
//! - [`links`] lead to documents only that whoever sets them may select.
//! - [`triggers`] tell them; [`merging`] tells where a trigger's rows are not all there.

mod links;
mod merging;
pub mod orphans;
mod shares;
mod triggers;

/// Begins to watch statements.
pub fn init() {
    merging::watch();
}

/// Whether policies of the table hold for the current role: not for one that loads or maintains data past them.
fn is_bound_by_policies(relation: pgrx::pg_sys::Oid) -> bool {
    // SAFETY: a look-up for the current role.
    let policies = unsafe { pgrx::pg_sys::check_enable_rls(relation, pgrx::pg_sys::InvalidOid, true) };
    policies == pgrx::pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32
}
