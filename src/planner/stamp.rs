//! For whom a plan was made, and the refusal to run it for anybody else.
//!
//! A specialised plan names in its list of relations, beside those that it reads:
//! - the channels of everything that it follows from, so that the plan cache drops it when one of them changes;
//! - its stamp: the number of the authority that it was made from.
//!
//! The plan cache so never offers a plan that has become wrong. Should one be offered all the same, because who acts
//! changed while it was being planned, or by a way that nobody thought of, [`guard`](super::guard) refuses it.

use std::rc::Rc;

use pgrx::{PgList, pg_sys};

use crate::catalog::cache::{self, Authority};
use crate::catalog::channel::{self, Channel};
use crate::identity::{Identity, Source};

/// Marks the plan in the making as made from `authority`.
///
/// # Safety
/// `glob` is that of the planner at work.
pub unsafe fn mark(glob: *mut pg_sys::PlannerGlobal, identity: &Identity, authority: &Authority) {
    let by_role = (identity.source != Source::ActingUser).then(|| Channel::Mapping.oid());
    let stamp = channel::stamp_oid(authority.stamp);
    let marks = authority.dependencies().into_iter().chain(by_role).chain([Channel::Identity.oid(), stamp]);
    // SAFETY: a list of OIDs in the planner's memory.
    unsafe {
        for mark in marks {
            (*glob).relationOids = pg_sys::list_append_unique_oid((*glob).relationOids, mark);
        }
    }
}

/// How a plan stands to who acts now and to the permissions as they are now.
pub enum Standing {
    /// It depends on neither.
    Unmarked,
    /// It was made from this authority, which is that of who acts now, and still true.
    Current(Rc<Authority>),
    /// It was made for somebody else, or from permissions that have changed.
    Stale,
}

/// Tells how a plan stands to `identity`.
///
/// # Safety
/// `plan` is a finished plan.
pub unsafe fn standing(plan: *mut pg_sys::PlannedStmt, identity: impl FnOnce() -> Identity) -> Standing {
    // SAFETY: a plan's list of OIDs.
    let stamps: Vec<pg_sys::Oid> = unsafe {
        let relations = PgList::<pg_sys::Oid>::from_pg((*plan).relationOids);
        relations.iter_oid().filter(|oid| channel::is_stamp(*oid)).collect()
    };
    if stamps.is_empty() {
        return Standing::Unmarked;
    }
    let authority = cache::valid_authority(&identity().user);
    let is_own = |authority: &Rc<Authority>| {
        let own = channel::stamp_oid(authority.stamp);
        stamps.iter().all(|stamp| *stamp == own)
    };
    authority.filter(is_own).map_or(Standing::Stale, Standing::Current)
}
