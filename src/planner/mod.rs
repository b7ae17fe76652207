//! How a policy becomes a plan.
//!
//! A policy calls `docperm.permits(row, doctype, ptype)`. Before a statement is planned, [`policies`] replaces these calls
//! with what they come to for whoever acts, in terms of the table's own columns ([`lower`]) and of related rows
//! ([`related`]); [`support`] does so with those that come up only during planning. Conditions on related rows go into the
//! [`join_tree`] where [`discreet`] finds nothing that could tell of a row before they are tested; elsewhere [`few`] tells
//! whether they are better tested one by one. [`membership`] is what tests rows against sets too large to be constants.
//! [`selectable`] does for link pickers what [`support`] does for policies, [`readable`] for views that hide columns.
//! [`columns`] refuses statements that touch columns above the user's level.
//!
//! Such a plan is right for one identity and one state of the permissions: it bears a [`stamp`], which [`guard`] checks
//! before it runs; [`replan`] gives a prepared statement another.

mod assigned;
mod columns;
mod discreet;
mod few;
mod guard;
mod join_tree;
mod leakproof;
mod like;
mod lower;
mod membership;
mod next;
mod nodes;
mod parallel;
mod policies;
mod readable;
mod related;
mod replan;
mod selectable;
mod stamp;
mod support;
mod walk;

/// Installs the hooks.
pub fn init() {
    guard::install();
}
