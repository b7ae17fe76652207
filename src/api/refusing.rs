//! docperm._refuse() and docperm._obeys_policies(), for the triggers of sql/delegation.sql.

use pgrx::pg_sys;

use crate::fault::Fault;
use crate::identity::current_role;

/// Refuses, with a message, a detail and a hint.
#[pgrx::pg_extern(sql = false)]
fn docperm_refuse(message: Option<&str>, detail: Option<&str>, hint: Option<&str>) {
    let fault = Fault::denied(message.unwrap_or("not permitted"));
    let fault = detail.into_iter().fold(fault, Fault::detail);
    hint.into_iter().fold(fault, Fault::hint).raise()
}

/// Whether the role with whose privileges a statement runs is no superuser. In a SECURITY DEFINER function that is its owner: what
/// docperm's own functions do is their business, and what they refuse.
#[pgrx::pg_extern(sql = false)]
fn docperm_obeys_policies() -> bool {
    // SAFETY: a look-up.
    !unsafe { pg_sys::superuser_arg(current_role()) }
}
