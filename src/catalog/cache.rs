//! What this backend has read, until a message says that it changed.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use pgrx::pg_sys;

use super::channel::Channel;
use super::invalidation::{self, Forget};
use super::load::{self, Site};
use super::typed_set::TypedSet;
use crate::fault::{Fault, SqlState};
use crate::rules::{self, Decision, Predicate, Tree, Trees, Undecidable, User, ValueSet};

/// Users whose authority a backend keeps. A pooled connection serves many users, and one may be permitted very much.
const KEPT_AUTHORITIES: usize = 64;
/// How often to read again what changed while it was read.
const ATTEMPTS: usize = 20;

/// What one user may do, as far as it has been asked. It is true as long as the cache hands it out.
pub struct Authority {
    /// The user's name.
    pub user: String,
    /// The user's record, if there is one.
    pub record: Option<Rc<User>>,
    /// The configuration that it follows from.
    pub site: Rc<Site>,
    /// A number that no other authority of this backend has: plans bear it.
    pub stamp: u32,
    last_used: Cell<u64>,
    trees: RefCell<HashSet<String>>,
    rulings: RefCell<HashMap<(String, String), Rc<Ruling>>>,
    sets: RefCell<HashMap<SetKey, Rc<TypedSet>>>,
}

/// A set of names, by where it is, and the type and collation that it is wanted in.
type SetKey = (*const ValueSet, pg_sys::Oid, pg_sys::Oid);

/// The part of a decision that is asked for again and again.
pub struct Ruling {
    /// What a row must satisfy.
    pub predicate: Predicate,
    /// The answer without a document.
    pub at_doctype_level: bool,
}

impl Authority {
    /// Decides, in full.
    pub fn decide<'a>(&'a self, doctype: &str, ptype: &'a str) -> Result<Decision<'a>, Undecidable> {
        rules::decide(&self.site.model, &self.user, self.record.as_deref(), doctype, ptype, self)
    }

    /// Decides, or remembers what was decided.
    pub fn ruling(&self, doctype: &str, ptype: &str) -> Result<Rc<Ruling>, Undecidable> {
        let key = (doctype.to_owned(), ptype.to_owned());
        if let Some(known) = self.rulings.borrow().get(&key) {
            return Ok(known.clone());
        }
        let decision = self.decide(doctype, ptype)?;
        let ruling = Rc::new(Ruling {
            predicate: decision.predicate(),
            at_doctype_level: decision.at_doctype_level(),
        });
        self.rulings.borrow_mut().insert(key, ruling.clone());
        Ok(ruling)
    }

    /// The set as values of a column's type and collation.
    pub fn typed_set(
        &self,
        names: &Rc<ValueSet>,
        type_oid: pg_sys::Oid,
        collation: pg_sys::Oid,
    ) -> Rc<TypedSet> {
        let key = (Rc::as_ptr(names), type_oid, collation);
        if let Some(known) = self.sets.borrow().get(&key) {
            return known.clone();
        }
        let set = TypedSet::build(names, type_oid, collation);
        self.sets.borrow_mut().insert(key, set.clone());
        set
    }

    /// The channels whose messages end it.
    pub fn channels(&self) -> Vec<pg_sys::Oid> {
        let trees = self.trees.borrow();
        let trees = trees.iter().map(|doctype| Channel::Tree(doctype).oid());
        [Channel::Site.oid(), Channel::User(&self.user).oid()].into_iter().chain(trees).collect()
    }
}

impl Trees for Authority {
    fn tree(&self, doctype: &str) -> Option<Rc<Tree>> {
        let definition = self.site.model.doctypes.get(doctype)?;
        let parent_column = definition.tree_parent_column.as_deref()?;
        let relation = *self.site.relations.get(doctype)?;
        // Before it is read: a message that comes meanwhile ends this authority.
        self.trees.borrow_mut().insert(doctype.to_owned());
        if let Some(known) = with_cache(|cache| cache.trees.get(doctype).cloned()) {
            return Some(known);
        }
        let tree = Rc::new(load::tree(relation, definition, parent_column));
        with_cache(|cache| cache.trees.insert(doctype.to_owned(), tree.clone()));
        Some(tree)
    }
}

#[derive(Default)]
struct Cache {
    site: Option<Rc<Site>>,
    authorities: HashMap<String, Rc<Authority>>,
    trees: HashMap<String, Rc<Tree>>,
    mapping: HashMap<String, Option<Rc<str>>>,
}

thread_local! {
    // Leaked, because it must not be torn down at exit, after PostgreSQL's memory and shared memory are gone.
    static CACHE: &'static RefCell<Cache> = Box::leak(Box::default());
    static NEXT_STAMP: Cell<u32> = const { Cell::new(1) };
    static CLOCK: Cell<u64> = const { Cell::new(0) };
}

/// Works on the cache. No function of PostgreSQL may be called meanwhile.
fn with_cache<R>(work: impl FnOnce(&mut Cache) -> R) -> R {
    CACHE.with(|cache| work(&mut cache.borrow_mut()))
}

/// Forgets what is known to have changed.
fn settle() {
    let dropped = match invalidation::receive() {
        Forget::Everything => with_cache(std::mem::take).into_graves(),
        Forget::These(oids) if oids.is_empty() => return,
        Forget::These(oids) => with_cache(|cache| cache.forget(&oids)),
    };
    drop(dropped);
}

/// What was dropped from the cache, to be freed when the cache is no longer borrowed.
type Graves = (Option<Rc<Site>>, Vec<Rc<Authority>>);

impl Cache {
    fn into_graves(self) -> Graves {
        (self.site, self.authorities.into_values().collect())
    }

    fn forget(&mut self, oids: &[pg_sys::Oid]) -> Graves {
        let named: HashSet<pg_sys::Oid> = oids.iter().copied().collect();
        if named.contains(&Channel::Site.oid()) {
            return std::mem::take(self).into_graves();
        }
        if named.contains(&Channel::Mapping.oid()) {
            self.mapping.clear();
        }
        // A tree's table that was altered, truncated or swapped is another tree.
        let relations = self.site.as_ref().map(|site| &site.relations);
        let changed = |doctype: &String| {
            let relation = relations.and_then(|relations| relations.get(doctype));
            named.contains(&Channel::Tree(doctype).oid()) || relation.is_some_and(|oid| named.contains(oid))
        };
        self.trees.retain(|doctype, _| !changed(doctype));
        let mut dropped = vec![];
        for (user, authority) in std::mem::take(&mut self.authorities) {
            let user_changed = named.contains(&Channel::User(&user).oid());
            if user_changed || authority.trees.borrow().iter().any(changed) {
                dropped.push(authority);
            } else {
                self.authorities.insert(user, authority);
            }
        }
        (None, dropped)
    }
}

/// The configuration as it is now.
pub fn site() -> Rc<Site> {
    settle();
    current_site()
}

/// The configuration, read if need be, but without looking for news.
fn current_site() -> Rc<Site> {
    if let Some(known) = with_cache(|cache| cache.site.clone()) {
        return known;
    }
    for _ in 0..ATTEMPTS {
        let read = Rc::new(load::site());
        with_cache(|cache| cache.site = Some(read.clone()));
        settle();
        if let Some(still) = with_cache(|cache| cache.site.clone()) {
            return still;
        }
    }
    changed_meanwhile()
}

/// What a user may do as of now.
pub fn authority(user: &str) -> Rc<Authority> {
    settle();
    if let Some(known) = known_authority(user) {
        return known;
    }
    for _ in 0..ATTEMPTS {
        let site = current_site();
        let authority = Rc::new(Authority {
            user: user.to_owned(),
            record: load::user(user),
            site,
            stamp: NEXT_STAMP.with(|next| next.replace(next.get().wrapping_add(1))),
            last_used: Cell::new(tick()),
            trees: RefCell::default(),
            rulings: RefCell::default(),
            sets: RefCell::default(),
        });
        let evicted = with_cache(|cache| {
            let full = cache.authorities.len() >= KEPT_AUTHORITIES;
            let oldest = cache.authorities.values().min_by_key(|kept| kept.last_used.get()).filter(|_| full);
            let oldest = oldest.map(|oldest| oldest.user.clone());
            let evicted = oldest.and_then(|oldest| cache.authorities.remove(&oldest));
            cache.authorities.insert(user.to_owned(), authority);
            evicted
        });
        if evicted.is_some() {
            // Its stamp can no longer be checked, so plans that bear it must go as well.
            invalidation::forget_identity();
        }
        drop(evicted);
        settle();
        if let Some(still) = known_authority(user) {
            return still;
        }
    }
    changed_meanwhile()
}

/// What is known of a user's authority, without looking for news.
fn known_authority(user: &str) -> Option<Rc<Authority>> {
    let known = with_cache(|cache| cache.authorities.get(user).cloned())?;
    known.last_used.set(tick());
    Some(known)
}

/// A clock that orders uses.
fn tick() -> u64 {
    CLOCK.with(|clock| clock.replace(clock.get() + 1))
}

/// The user's authority if it is known and true as of now.
pub fn valid_authority(user: &str) -> Option<Rc<Authority>> {
    settle();
    known_authority(user)
}

/// The user that a database role acts as, as of now.
pub fn user_of_database_role(role: &str) -> Option<Rc<str>> {
    settle();
    for _ in 0..ATTEMPTS {
        if let Some(known) = with_cache(|cache| cache.mapping.get(role).cloned()) {
            return known;
        }
        let user = load::user_of_database_role(role).map(Rc::from);
        with_cache(|cache| cache.mapping.insert(role.to_owned(), user));
        settle();
    }
    changed_meanwhile()
}

fn changed_meanwhile() -> ! {
    Fault::new(SqlState::ERRCODE_T_R_SERIALIZATION_FAILURE, "permissions change faster than they can be read")
        .hint("Run the transaction again.")
        .raise()
}
