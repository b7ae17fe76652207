//! What stands beside documents, kept in step with them when they come, go, or get another name.
//!
//! - [`shares`] go with their documents and follow them.
//! - [`orphans`], rows of child tables that a document left behind, do not become another's.
//! - [`triggers`] tell both; [`merging`] tells where a trigger's rows are not all there.

mod merging;
mod orphans;
mod shares;
mod triggers;

/// Begins to watch statements.
pub fn init() {
    merging::watch();
}
