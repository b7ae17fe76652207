//! The permission model as plain Rust values, and the one function that decides.
//!
//! Nothing in here knows PostgreSQL: no connection, no type of pgrx, no `unsafe`. Read in this order:
//!
//! 1. [`model`]: doctypes with their link fields, rules, roles, users and their user permissions.
//! 2. [`roles`]: which roles a user has, explicit ones and automatic ones.
//! 3. [`grants`]: what those roles' rules grant, freely or to owners only.
//! 4. [`levels`]: which groups of columns they may read or write.
//! 5. [`user_permissions`] and [`tree`]: to which documents a user is restricted; [`facts`]: what is shared with a user.
//! 6. [`decide`]: these put together, as a [`Decision`] and its [`Predicate`].
//! 7. [`predicate`]: what a row must satisfy, and whether one row does.
//! 8. [`tell`]: the same decision in sentences.
//! 9. [`lifecycle`]: what may become of documents that are submitted.
//!
//! The rule, for user u, right p and row r of doctype D:
//!
//! ```text
//! free(p)       some level-0 rule of D for one of u's roles grants p without if_owner
//! owner_only(p) some such rule grants p, but only with if_owner; never for create
//! right(p, r) =   free(p)       and up_ok(r)
//!              or owner_only(p) and r.owner = u
//!              or r is shared with u for p
//!              and never if D's module is blocked for u while enforce_module_access is on
//! create      =   any(create)   and up_ok(new row)
//! up_ok(r)    =   r's own name is allowed, if u has user permissions for D applicable to D
//!                 and for every link column of r and of its child rows that does not ignore user permissions:
//!                   u has no entry for the target applicable to D, or its value is allowed,
//!                   or it is blank and strict mode is off
//! A row of a child table follows the document that it belongs to.
//! level(p) = the levels of all rules of D for one of u's roles that grant p, if_owner or not; 0 as well by a share
//! ```

pub mod admission;
pub mod decide;
pub mod facts;
pub mod grants;
pub mod levels;
pub mod lifecycle;
pub mod model;
pub mod predicate;
pub mod roles;
pub mod tell;
pub mod tell_state;
pub mod tree;
pub mod user_permissions;

#[cfg(test)]
mod closed_form_test;

pub use admission::{Admission, Network, NotAdmitted};
pub use decide::{Asking, Decision, Question, Standing};
pub use facts::{Facts, Shares};
pub use levels::{ClosedColumn, Levels};
pub use model::{
    Doctype, Field, FieldLevelWrite, LinkField, Model, Parentage, Role, Rule, Stamps, StrictMode, User,
    UserPermission,
};
pub use predicate::{ChildLink, ParentLink, Predicate, Row};
pub use tree::{Tree, TreeError};
pub use user_permissions::ValueSet;

/// Why no decision could be reached. The caller must treat every one of them as a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undecidable {
    /// The doctype is not registered.
    UnknownDoctype(String),
    /// A tree that the decision depends on is not a tree, or could not be had.
    Tree(TreeError),
}

impl From<TreeError> for Undecidable {
    fn from(error: TreeError) -> Self {
        Undecidable::Tree(error)
    }
}
