//! For whom a plan was made, and the refusal to run it for anybody else.
//!
//! A specialised plan names
//! - among the relations that it depends on, the channels of everything that it follows from, so that the plan cache drops
//!   it when one of them changes;
//! - among the other things that it depends on, its stamp: the number of the authority that it was made from, under a cache
//!   identifier that no cache of PostgreSQL has, so that the plan cache carries it along and does nothing with it.
//!
//! The plan cache so never offers a plan that has become wrong. Should one be offered all the same, because who acts
//! changed while it was being planned, or by a way that nobody thought of, [`guard`](super::guard) refuses it.

use std::rc::Rc;

use pgrx::{PgList, pg_sys};

use super::nodes;
use crate::catalog::cache::{self, Authority};
use crate::catalog::channel::Channel;
use crate::identity::{Identity, Source};

/// Marks the plan in the making as made from `authority`.
///
/// # Safety
/// `glob` is that of the planner at work.
pub unsafe fn mark(glob: *mut pg_sys::PlannerGlobal, identity: &Identity, authority: &Authority) {
    let is_role = matches!(identity.source, Source::DatabaseRole | Source::Nobody);
    let by_role = is_role.then(|| Channel::Mapping.oid());
    let marks = authority.dependencies().into_iter().chain(by_role).chain([Channel::Identity.oid()]);
    // SAFETY: lists in the planner's memory; the node is what its tag says.
    unsafe {
        for mark in marks {
            (*glob).relationOids = pg_sys::list_append_unique_oid((*glob).relationOids, mark);
        }
        if !stamps((*glob).invalItems).contains(&authority.stamp) {
            let item = nodes::alloc::<pg_sys::PlanInvalItem>(pg_sys::NodeTag::T_PlanInvalItem);
            (*item).cacheId = STAMP;
            (*item).hashValue = authority.stamp;
            (*glob).invalItems = pg_sys::lappend((*glob).invalItems, item.cast());
        }
    }
}

/// The cache identifier of stamps.
const STAMP: i32 = i32::from_be_bytes(*b"dprm");

/// The stamps among the things that a plan depends on.
unsafe fn stamps(items: *mut pg_sys::List) -> Vec<u32> {
    // SAFETY: a list of PlanInvalItem nodes.
    unsafe {
        let items = PgList::<pg_sys::PlanInvalItem>::from_pg(items);
        items.iter_ptr().filter(|item| (**item).cacheId == STAMP).map(|item| (*item).hashValue).collect()
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
    // SAFETY: as demanded of the caller.
    let stamps = unsafe { stamps((*plan).invalItems) };
    if stamps.is_empty() {
        return Standing::Unmarked;
    }
    let authority = cache::valid_authority(&identity().user);
    let is_own = |authority: &Rc<Authority>| stamps.iter().all(|stamp| *stamp == authority.stamp);
    authority.filter(is_own).map_or(Standing::Stale, Standing::Current)
}
