//! Triggers on tables of documents.
//!
//! What is written into a document, and what may become of it:
//! - [`document`] is the row trigger; [`row`] are its rows, [`table`] what it has to know of the table, [`writing`] who writes.
//! - [`stamps`] are columns that docperm writes: the owner, times, who changed it last.
//! - [`lifecycle`] holds documents to their state, [`child_rows`] the rows that belong to them; [`amendment`] is about documents
//!   that amend a cancelled one.
//! - [`moving`] tells rows that go to another partition from those that are deleted and inserted.
//!
//! What stands beside documents, kept in step with them when they come, go, or get another name:
//! - [`shares`] go with their documents and follow them; [`unshared`] doctypes have none.
//! - [`orphans`], rows of child tables that a document left behind, do not become another's.
//! - [`history`] tells what happened to them; [`follows`] are of users who want to hear of it.
//! - [`links`] lead to documents only that whoever sets them may select; [`foreign_key`] tells what may have changed them.
//! - [`triggers`] tell them, but for those that [`idle`] finds to have nothing to do; [`execution`] knows what is being run, and
//!   [`merging`] where a trigger's rows are not all there.

mod amendment;
mod child_rows;
mod document;
mod execution;
mod follows;
mod foreign_key;
mod history;
mod idle;
pub mod lifecycle;
mod links;
mod merging;
mod moving;
pub mod orphans;
mod row;
mod shares;
mod stamps;
mod table;
mod triggers;
mod unshared;
mod writing;

/// Begins to watch statements.
pub fn init() {
    execution::watch();
}

/// Whether policies of the table hold for the current role: not for one that loads or maintains data past them.
pub fn is_bound_by_policies(relation: pgrx::pg_sys::Oid) -> bool {
    // SAFETY: a look-up for the current role.
    let policies = unsafe { pgrx::pg_sys::check_enable_rls(relation, pgrx::pg_sys::InvalidOid, true) };
    policies == pgrx::pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32
}
