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

use std::cell::RefCell;
use std::rc::Rc;

use pgrx::pg_sys;

use super::nodes;
use super::walk::items;
use crate::catalog::cache::{self, Authority};
use crate::catalog::channel::Channel;
use crate::identity::{self, Footing, Identity, Source};

/// Marks the plan in the making as made from `authority`.
///
/// # Safety
/// `glob` is that of the planner at work.
pub unsafe fn mark(glob: *mut pg_sys::PlannerGlobal, identity: &Identity, authority: &Authority) {
    let is_role = matches!(identity.source, Source::DatabaseRole | Source::Nobody);
    let by_role = is_role.then(|| Channel::Mapping.oid());
    let marks = authority.dependencies().into_iter().chain(by_role).chain([Channel::Identity.oid()]);
    // SAFETY: lists in the planner's memory.
    unsafe {
        for mark in marks {
            (*glob).relationOids = pg_sys::list_append_unique_oid((*glob).relationOids, mark);
        }
        if !numbers((*glob).invalItems, STAMP).any(|stamp| stamp == authority.stamp) {
            add(glob, STAMP, authority.stamp);
        }
    }
}

/// Marks the plan in the making as one in which a policy has become a join.
///
/// # Safety
/// As of [`mark`].
pub unsafe fn mark_joined(glob: *mut pg_sys::PlannerGlobal) {
    // SAFETY: as demanded of the caller.
    unsafe { add(glob, JOINED, 0) }
}

/// Marks the plan in the making as one that tests rows against the set of that number.
///
/// # Safety
/// As of [`mark`].
pub unsafe fn mark_tested(glob: *mut pg_sys::PlannerGlobal, set: u32) {
    // SAFETY: as demanded of the caller.
    unsafe {
        if !numbers((*glob).invalItems, TESTED).any(|known| known == set) {
            add(glob, TESTED, set);
        }
    }
}

/// The numbers of the sets that the plan tests rows against.
///
/// # Safety
/// A finished plan.
pub unsafe fn tested(plan: *mut pg_sys::PlannedStmt) -> impl Iterator<Item = u32> {
    // SAFETY: as demanded of the caller.
    unsafe { numbers((*plan).invalItems, TESTED) }
}

/// Whether a policy has become a join in the plan.
///
/// # Safety
/// A finished plan.
pub unsafe fn is_joined(plan: *mut pg_sys::PlannedStmt) -> bool {
    // SAFETY: as demanded of the caller.
    unsafe { numbers((*plan).invalItems, JOINED).next().is_some() }
}

/// The cache identifier of stamps.
const STAMP: i32 = i32::from_be_bytes(*b"dprm");
/// That of the mark of joined policies.
const JOINED: i32 = i32::from_be_bytes(*b"dprj");
/// That of the numbers of sets.
const TESTED: i32 = i32::from_be_bytes(*b"dprt");

unsafe fn add(glob: *mut pg_sys::PlannerGlobal, kind: i32, number: u32) {
    // SAFETY: a list in the planner's memory; the node is what its tag says.
    unsafe {
        let item = nodes::alloc::<pg_sys::PlanInvalItem>(pg_sys::NodeTag::T_PlanInvalItem);
        (*item).cacheId = kind;
        (*item).hashValue = number;
        (*glob).invalItems = pg_sys::lappend((*glob).invalItems, item.cast());
    }
}

/// The numbers of one kind among the things that a plan depends on.
unsafe fn numbers(things: *mut pg_sys::List, kind: i32) -> impl Iterator<Item = u32> {
    // SAFETY: a list of PlanInvalItem nodes.
    unsafe {
        items::<pg_sys::PlanInvalItem>(things)
            .filter(move |item| (**item).cacheId == kind)
            .map(|item| (*item).hashValue)
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

thread_local! {
    /// The authority that was last found to be that of who acts, and what must not have changed since. Leaked, because it
    /// must not be torn down after PostgreSQL's memory.
    static LATEST: &'static RefCell<Option<(Footing, Rc<Authority>)>> = Box::leak(Box::default());
}

/// Tells how a plan stands to whoever acts.
///
/// # Safety
/// `plan` is a finished plan.
pub unsafe fn standing(plan: *mut pg_sys::PlannedStmt) -> Standing {
    // SAFETY: as demanded of the caller.
    let mut stamps = unsafe { numbers((*plan).invalItems, STAMP) };
    let Some(stamp) = stamps.next() else { return Standing::Unmarked };
    if stamps.any(|other| other != stamp) {
        return Standing::Stale;
    }
    match authority().filter(|authority| authority.stamp == stamp) {
        Some(authority) => Standing::Current(authority),
        None => Standing::Stale,
    }
}

/// The authority of who acts, if it is known and true as of now.
fn authority() -> Option<Rc<Authority>> {
    let footing = identity::footing();
    let known = LATEST.with(|latest| {
        let latest = latest.borrow();
        latest.as_ref().filter(|(of, _)| Some(*of) == footing).map(|(_, known)| known.clone())
    });
    if known.is_some() {
        return known;
    }
    let authority = cache::valid_authority(&identity::acting().user)?;
    // News that came meanwhile may be about who acts.
    if let Some(of) = footing
        && identity::footing() == Some(of)
    {
        let replaced = LATEST.with(|latest| latest.borrow_mut().replace((of, authority.clone())));
        drop(replaced);
    }
    Some(authority)
}
