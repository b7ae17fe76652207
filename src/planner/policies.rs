//! The policies of a whole statement, before it is planned.
//!
//! What [`support`](super::support) does with one call of docperm.permits() in the middle of planning, this does with all of
//! them beforehand, because some of it is too late then:
//! - a policy that lets nothing pass becomes part of the query's WHERE, where PostgreSQL sees that nothing need be read;
//! - one on related rows becomes a part of the join tree, where PostgreSQL makes semi-joins and anti-joins of it, if nothing
//!   in the statement needs the barrier that a policy has before it ([`discreet`]).
//!
//! Before that, a statement that touches columns above the user's level is refused ([`columns`]), and readable views are
//! taken apart ([`readable`](super::readable)).
//!
//! Both leave `true` where the policy was, not nothing: a table with a policy is one of whose statistics PostgreSQL tells only
//! leakproof functions.

use std::rc::Rc;

use pgrx::pg_sys;

use super::columns;
use super::discreet::{self, is_permits};
use super::few::{self, Wanted};
use super::join_tree::Place;
use super::leakproof;
use super::lower::Lowering;
use super::nodes;
use super::readable;
use super::stamp;
use super::support::PolicyCall;
use super::walk::items;
use crate::catalog::cache::{self, Authority, Ruling};
use crate::catalog::load::Site;
use crate::catalog::scan::Table;
use crate::fault::{Fault, OrRaise};
use crate::identity;
use crate::rules::Predicate;

/// What was put into a statement, for the plan that is made of it.
#[derive(Clone, Copy)]
pub struct Settled {
    marks: *mut pg_sys::PlannerGlobal,
}

/// A policy of docperm's on a table of a query.
struct Policy {
    query: *mut pg_sys::Query,
    entry: *mut pg_sys::RangeTblEntry,
    /// The call, which stands in a list of the entry's.
    node: *mut pg_sys::Node,
    call: PolicyCall,
    table: Table,
    ruling: Rc<Ruling>,
    wanted: Wanted,
}

impl Policy {
    /// Puts something else where the call is.
    unsafe fn replace(&self, with: *mut pg_sys::Node) {
        // SAFETY: the entry is alive as long as the query is being planned.
        unsafe {
            if let Some(slot) = slots((*self.entry).securityQuals).find(|slot| **slot == self.node) {
                *slot = with;
            }
        }
    }

    /// Takes the call away.
    unsafe fn drop(&self) {
        // SAFETY: likewise; the list is of this query alone, which is about to be planned.
        unsafe {
            (*self.entry).securityQuals =
                pg_sys::list_delete_ptr((*self.entry).securityQuals, self.node.cast());
        }
    }

    fn is_for_join(&self) -> bool {
        is_join(&self.ruling.predicate) && self.wanted.is_for_joins()
    }
}

/// Puts what they come to for whoever acts in place of the policies in `statement`, whose queries are `queries`.
///
/// # Safety
/// A query tree that is about to be planned with `options`; the plan must be [marked](Settled::mark).
pub unsafe fn settle(
    statement: *mut pg_sys::Query,
    queries: &[*mut pg_sys::Query],
    options: i32,
    site: &Site,
) -> Option<Settled> {
    // SAFETY: as demanded of the caller.
    unsafe {
        let views = readable::views(queries, site);
        let leveled = columns::leveled(queries, site);
        let find_calls = || queries.iter().flat_map(|query| calls(*query, site)).collect::<Vec<_>>();
        let mut calls = find_calls();
        if calls.is_empty() && views.is_empty() && leveled.is_empty() {
            return None;
        }
        let identity = identity::acting();
        let authority = cache::authority(&identity.user);
        if !views.is_empty() {
            views.into_iter().for_each(|view| view.open(&authority));
            calls = find_calls();
        }
        for table in &leveled {
            table.require_open(&authority);
        }
        let policies = calls.into_iter().filter_map(|(query, entry, node, call)| {
            if authority.site.doctypes.get(&call.relation) != Some(&call.doctype) {
                return None;
            }
            let ruling = authority.ruling(&call.doctype, &call.ptype).map_err(Fault::from).or_raise();
            let table = Table::open(call.relation)?;
            let wanted = few::wanted(query, &call, &table, &ruling.predicate);
            Some(Policy { query, entry, node, call, table, ruling, wanted })
        });
        let policies = without_repetitions(policies.collect());
        queries.iter().for_each(|query| drop_repeated_checks(*query, &authority));
        if policies.iter().any(|policy| !matches!(policy.ruling.predicate, Predicate::Always)) {
            leakproof::promote(statement, site);
        }
        let marks = nodes::alloc::<pg_sys::PlannerGlobal>(pg_sys::NodeTag::T_PlannerGlobal);
        (*marks).parallelModeOK = true;
        let may_join = policies.iter().any(Policy::is_for_join)
            && !is_updatable_cursor(statement, options)
            && discreet::is_discreet(statement, &authority.site);
        for policy in &policies {
            let joins = may_join && policy.is_for_join();
            let lowering = Lowering {
                glob: marks,
                query: policy.query,
                row: policy.call.row,
                table: &policy.table,
                doctype: &policy.call.doctype,
                authority: &authority,
                probes: !joins && policy.wanted != Wanted::Many,
                inline_values: policy.wanted.inline_values(),
            };
            let predicate = &policy.ruling.predicate;
            let place = Place::find(policy.query, (*policy.call.row).varno);
            match (predicate, place) {
                (Predicate::Never, Some(place)) if can_be_empty(policy.query) => {
                    policy.replace(pg_sys::makeBoolConst(true, false));
                    place.close();
                }
                // Nothing is hidden: PostgreSQL may use its statistics and the user's conditions as without a policy.
                (Predicate::Always, _) if is_only_one(policy.entry) => {
                    (*policy.entry).securityQuals = std::ptr::null_mut();
                }
                (_, Some(place)) if joins => {
                    policy.replace(pg_sys::makeBoolConst(true, false));
                    place.filter(lowering.lower(predicate));
                    stamp::mark_joined(marks);
                }
                _ => policy.replace(lowering.lower(predicate)),
            }
        }
        stamp::mark(marks, &identity, &authority);
        Some(Settled { marks })
    }
}

impl Settled {
    /// The options with which the statement may be planned now.
    pub fn options(&self, options: i32) -> i32 {
        // SAFETY: alive as long as the statement that is being planned.
        let may_be_parallel = unsafe { (*self.marks).parallelModeOK };
        if may_be_parallel { options } else { options & !(pg_sys::CURSOR_OPT_PARALLEL_OK as i32) }
    }

    /// Marks the plan that was made of the statement.
    ///
    /// # Safety
    /// A finished plan, in the memory context of the statement.
    pub unsafe fn mark(&self, plan: *mut pg_sys::PlannedStmt) {
        // SAFETY: lists of OIDs, and lists of nodes.
        unsafe {
            (*plan).relationOids =
                pg_sys::list_concat_unique_oid((*plan).relationOids, (*self.marks).relationOids);
            (*plan).invalItems = pg_sys::list_concat((*plan).invalItems, (*self.marks).invalItems);
        }
    }
}

/// The table has one policy.
unsafe fn is_only_one(entry: *mut pg_sys::RangeTblEntry) -> bool {
    // SAFETY: an entry of a query's range table.
    unsafe { items::<pg_sys::Node>((*entry).securityQuals).count() == 1 }
}

/// A write is bound by the policy for reading, too, and mostly both come to the same: then one is enough.
unsafe fn without_repetitions(policies: Vec<Policy>) -> Vec<Policy> {
    let mut kept: Vec<Policy> = vec![];
    for policy in policies {
        let is_same =
            |other: &Policy| other.entry == policy.entry && other.ruling.predicate == policy.ruling.predicate;
        if kept.iter().any(is_same) {
            // SAFETY: a policy of the statement that is about to be planned; another one of its entry stays.
            unsafe { policy.drop() }
        } else {
            kept.push(policy);
        }
    }
    kept
}

/// The same of what new rows are checked against.
unsafe fn drop_repeated_checks(query: *mut pg_sys::Query, authority: &Authority) {
    // SAFETY: a query tree; the list of its checks is its alone.
    unsafe {
        // Only policies that somebody wrote as restrictive have names here, and refusals tell them.
        let options = items::<pg_sys::WithCheckOption>((*query).withCheckOptions)
            .filter(|option| (**option).polname.is_null());
        let mut kept: Vec<(pg_sys::WCOKind::Type, pg_sys::Oid, Rc<Ruling>)> = vec![];
        for option in options.collect::<Vec<_>>() {
            let Some((relation, ruling)) = ruling_of((*option).qual, query, authority) else { continue };
            let kind = (*option).kind;
            if kept
                .iter()
                .any(|known| (known.0, known.1) == (kind, relation) && known.2.predicate == ruling.predicate)
            {
                (*query).withCheckOptions = pg_sys::list_delete_ptr((*query).withCheckOptions, option.cast());
            } else {
                kept.push((kind, relation, ruling));
            }
        }
    }
}

/// The table that a call of docperm.permits() is about, and what the call comes to.
unsafe fn ruling_of(
    node: *mut pg_sys::Node,
    query: *mut pg_sys::Query,
    authority: &Authority,
) -> Option<(pg_sys::Oid, Rc<Ruling>)> {
    // SAFETY: an expression of the query, or NULL: the check of a view without a condition, for those of views below it.
    unsafe {
        if node.is_null() || !is_permits(node, &authority.site) {
            return None;
        }
        let call = PolicyCall::read(query, (*node.cast::<pg_sys::FuncExpr>()).args)?;
        if authority.site.doctypes.get(&call.relation) != Some(&call.doctype) {
            return None;
        }
        let ruling = authority.ruling(&call.doctype, &call.ptype).map_err(Fault::from).or_raise();
        Some((call.relation, ruling))
    }
}

/// docperm's policies on the tables of one query.
unsafe fn calls(
    query: *mut pg_sys::Query,
    site: &Site,
) -> Vec<(*mut pg_sys::Query, *mut pg_sys::RangeTblEntry, *mut pg_sys::Node, PolicyCall)> {
    // SAFETY: a query tree; a policy is an item of a list of expressions.
    unsafe {
        let policies = items::<pg_sys::RangeTblEntry>((*query).rtable)
            .flat_map(|entry| slots((*entry).securityQuals).map(move |slot| (entry, *slot)));
        let calls = policies.filter_map(|(entry, node)| {
            if !is_permits(node, site) {
                return None;
            }
            let call = node.cast::<pg_sys::FuncExpr>();
            Some((query, entry, node, PolicyCall::read(query, (*call).args)?))
        });
        calls.collect()
    }
}

/// Where a list's items are kept.
unsafe fn slots(list: *mut pg_sys::List) -> impl Iterator<Item = *mut *mut pg_sys::Node> {
    // SAFETY: cells are within the list's length.
    unsafe {
        let length = if list.is_null() { 0 } else { (*list).length as usize };
        (0..length).map(move |index| (&raw mut (*(*list).elements.add(index)).ptr_value).cast())
    }
}

/// A condition on related rows that PostgreSQL can make a join of: one that has to hold whatever else does.
fn is_join(predicate: &Predicate) -> bool {
    match predicate {
        Predicate::Parent(..) | Predicate::EveryChild(..) => true,
        Predicate::All(parts) => parts.iter().any(is_join),
        _ => false,
    }
}

/// A query that may be given a condition that is never true.
unsafe fn can_be_empty(query: *mut pg_sys::Query) -> bool {
    use pg_sys::CmdType::{CMD_DELETE, CMD_SELECT, CMD_UPDATE};
    // SAFETY: a query tree.
    unsafe { [CMD_SELECT, CMD_UPDATE, CMD_DELETE].contains(&(*query).commandType) }
}

/// A cursor on one table, whose row UPDATE and DELETE ... WHERE CURRENT OF may want: they find it in no join.
unsafe fn is_updatable_cursor(statement: *mut pg_sys::Query, options: i32) -> bool {
    // SAFETY: a query tree.
    unsafe { options & pg_sys::CURSOR_OPT_FAST_PLAN as i32 != 0 && few::only_table(statement).is_some() }
}
