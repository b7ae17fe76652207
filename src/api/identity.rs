//! docperm.whoami(), docperm.set_user(), docperm._administers().

use crate::identity::{acting, become_user};

/// The acting user.
#[pgrx::pg_extern(sql = false)]
fn docperm_whoami() -> String {
    acting().user
}

/// Become that user. Who may execute it is trusted: it asks for nothing.
#[pgrx::pg_extern(sql = false)]
fn docperm_set_user(user_name: Option<&str>, is_local: Option<bool>) {
    become_user(user_name, is_local.unwrap_or(true));
}

/// Whether who acts administers.
#[pgrx::pg_extern(sql = false)]
fn docperm_administers() -> bool {
    super::administers(&acting())
}
