//! docperm's tables read into the model, and how long what was read stays true.
//!
//! - [`attribute_set`] reads PostgreSQL's sets of columns.
//! - [`scan`] reads tables below the level of SQL: with the newest snapshot, without privileges, policies or plans.
//! - [`load`] turns them into a [`Site`](load::Site), a user's record, a tree.
//! - [`cache`] keeps these for the backend, and each user's [`Authority`](cache::Authority).
//! - [`channel`] and [`invalidation`] tell every backend, transactionally, what a change makes untrue.
//! - [`session`] reads what a token opens.
//! - [`document`] reads one document as the rules see a row, [`row_lock`] keeps it as it is; [`values`] compares its values as its
//!   types do.
//! - [`closed`] tells which columns of a table are closed to a user, by their levels.
//! - [`statement`] runs statements of docperm's own, as a table's owner.
//! - [`trigger_call`] is what a trigger is told; [`transition`] are the rows that it is shown.

pub mod attribute_set;
pub mod cache;
pub mod channel;
pub mod closed;
pub mod document;
pub mod flat_set;
pub mod invalidation;
#[cfg(feature = "pg_test")]
pub mod key_column;
pub mod load;
pub mod memory;
pub mod remembered;
pub mod row_lock;
pub mod scan;
pub mod session;
pub mod settings;
pub mod shared_set;
pub mod statement;
pub mod transition;
pub mod tree;
pub mod trigger_call;
pub mod triggers;
pub mod typed_set;
#[cfg(feature = "pg_test")]
mod typed_set_test;
#[cfg(feature = "pg_test")]
mod typed_text_test;
pub mod values;
#[cfg(feature = "pg_test")]
mod values_test;

/// Begins to listen to changes.
pub fn init() {
    invalidation::listen();
}
