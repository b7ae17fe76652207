//! Sets of permitted values for parallel workers.
//!
//! Before a parallel plan runs, the leader copies the large sets of whoever acts into shared memory and writes where they
//! are into a setting, because workers get their leader's settings. Only plans that do run in parallel cost a segment of
//! shared memory, of which a server has not so many, and a backend keeps few.

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use crate::catalog::cache::Authority;
use crate::catalog::shared_set::SharedSet;
use crate::identity::settings;

/// Segments that a backend keeps.
const KEPT_SEGMENTS: usize = 4;

thread_local! {
    /// What this backend shares, by the numbers of the sets, the latest last. Leaked, as everything that must not be torn
    /// down after PostgreSQL has been.
    static SHARED: &'static RefCell<VecDeque<(u32, SharedSet)>> = Box::leak(Box::default());
    /// Segments that this parallel worker has taken up, until it ends.
    static ATTACHED: &'static RefCell<HashMap<u32, SharedSet>> = Box::leak(Box::default());
}

/// Shares the sets of `authority` that a parallel plan tests against. If there is no room, the plan must not run in parallel.
pub fn share_sets(authority: &Authority, is_tested: impl Fn(u32) -> bool) -> Result<(), NoRoom> {
    let sets = authority.sets(is_tested);
    if sets.is_empty() {
        return Ok(());
    }
    let directory = SHARED.with(|shared| {
        let mut shared = shared.borrow_mut();
        for set in &sets {
            match shared.iter().position(|(id, _)| *id == set.id) {
                Some(position) => {
                    let known = shared.remove(position);
                    shared.extend(known);
                }
                None => shared.push_back((set.id, set.share().ok_or(NoRoom)?)),
            }
        }
        while shared.len() > KEPT_SEGMENTS.max(sets.len()) {
            shared.pop_front();
        }
        let entries = shared.iter().map(|(id, set)| format!("{id}:{}", set.handle()));
        Ok(entries.collect::<Vec<_>>().join(","))
    })?;
    if settings::shared_sets() != Some(directory.as_str()) {
        settings::assign_shared_sets(&directory);
    }
    Ok(())
}

/// The server has no segment left.
pub struct NoRoom;

/// In a parallel worker: the words of the leader's set of that number, mapped until the worker ends.
pub fn words_of_leader(id: u32) -> Option<*const [u64]> {
    let wanted = id.to_string();
    let directory = settings::shared_sets()?;
    let entry =
        directory.split(',').filter_map(|entry| entry.split_once(':')).find(|(id, _)| *id == wanted)?;
    let handle: u32 = entry.1.parse().ok()?;
    ATTACHED.with(|attached| {
        let mut attached = attached.borrow_mut();
        let set = match attached.entry(handle) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(SharedSet::attach(handle)?),
        };
        Some(std::ptr::from_ref(set.words()))
    })
}
