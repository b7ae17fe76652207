//! How a policy becomes a plan.
//!
//! A policy calls `docperm.permits(row, doctype, ptype)`. When a query is planned, [`support`] replaces that call with
//! what it comes to for whoever acts, in terms of the table's own columns ([`lower`]) and of related rows ([`related`]).
//! [`membership`] is what tests rows against sets too large to be constants. Such a plan is right for one identity and one state of the permissions: it
//! bears a [`stamp`], which [`guard`] checks before it runs; [`replan`] gives a prepared statement another. [`selectable`] does for link
//! pickers what [`support`] does for policies.

mod guard;
mod leakproof;
mod like;
mod lower;
mod membership;
mod nodes;
mod parallel;
mod related;
mod replan;
mod selectable;
mod stamp;
mod support;

/// Installs the hooks.
pub fn init() {
    guard::install();
}
