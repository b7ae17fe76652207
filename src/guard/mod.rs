//! What stands beside documents, kept in step with them when they come, go, or get another name.
//!
//! - [`shares`] go with their documents and follow them.
//! - [`triggers`] tell them; [`merging`] tells where a trigger's rows are not all there.

mod merging;
mod shares;
mod triggers;

/// Begins to watch statements.
pub fn init() {
    merging::watch();
}
