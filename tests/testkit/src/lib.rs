//! A throwaway PostgreSQL server for tests and benchmarks over real connections.
//!
//! ```ignore
//! let database = docperm_testkit::server().database();
//! let mut admin = database.admin();
//! run(&mut admin, "CREATE TABLE note (id int PRIMARY KEY); SELECT docperm.protect('note', 'Note')");
//!
//! let clerk = database.login_role("clerk");
//! assert_eq!(sqlstate_of(&mut database.connect_as(&clerk), "SELECT docperm.set_user('Administrator')"), "42501");
//! ```
//!
//! The extension has to be installed; `bin/test` and `bin/bench` see to that.

mod database;
mod query;
mod server;

pub use database::Database;
pub use query::{ServerError, db_error, refused, run, sqlstate, sqlstate_of, texts};
pub use server::{Server, server};
