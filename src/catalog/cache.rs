//! What this backend has read, until a message says that it changed.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use pgrx::pg_sys;

use super::channel::Channel;
use super::invalidation::{self, Forget};
use super::load::{self, Site};
use super::session::{self, Session};
use super::typed_set::TypedSet;
use crate::fault::{Fault, SqlState};
use crate::rules::{
    Asking, ClosedColumn, Decision, Facts, Levels, Predicate, Question, Shares, Tree, Undecidable, User,
    ValueSet,
};

/// Users whose authority a backend keeps. A pooled connection serves many users, and one may be permitted very much.
const KEPT_AUTHORITIES: usize = 64;
/// Sessions that a backend keeps.
const KEPT_SESSIONS: usize = 256;
/// How often to read again what changed while it was read.
const ATTEMPTS: usize = 20;

/// A user's record and what has been computed from it. It outlives changes of what is shared with the user.
pub struct Person {
    record: Option<Rc<User>>,
    /// Channels and tables whose messages end it.
    dependencies: RefCell<HashSet<pg_sys::Oid>>,
    sets: RefCell<HashMap<SetKey, Rc<TypedSet>>>,
}

/// What one user may do, as far as it has been asked. It is true as long as the cache hands it out.
pub struct Authority {
    /// The user's name.
    pub user: String,
    /// The configuration that it follows from.
    pub site: Rc<Site>,
    /// A number that no other authority of this backend has: plans bear it.
    pub stamp: u32,
    person: Rc<Person>,
    last_used: Cell<u64>,
    /// Channels whose messages end it, beside those that end the person.
    dependencies: RefCell<HashSet<pg_sys::Oid>>,
    shares: RefCell<HashMap<String, Rc<Shares>>>,
    rulings: RefCell<ByQuestion<Rc<Ruling>>>,
    closed_columns: RefCell<ByQuestion<Rc<[ClosedColumn]>>>,
}

/// Answers by doctype and right.
type ByQuestion<T> = HashMap<(String, String), T>;

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
    /// The user's record, if there is one.
    pub fn record(&self) -> Option<&User> {
        self.person.record.as_deref()
    }

    /// Decides, in full.
    pub fn decide<'a>(
        &'a self,
        doctype: &str,
        ptype: &'a str,
        asking: Asking,
    ) -> Result<Decision<'a>, Undecidable> {
        self.question().decide(doctype, ptype, asking)
    }

    fn question(&self) -> Question<'_> {
        Question { model: &self.site.model, name: &self.user, user: self.record(), facts: self }
    }

    /// Decides, or remembers what was decided.
    pub fn ruling(&self, doctype: &str, ptype: &str) -> Result<Rc<Ruling>, Undecidable> {
        let key = (doctype.to_owned(), ptype.to_owned());
        if let Some(known) = self.rulings.borrow().get(&key) {
            return Ok(known.clone());
        }
        let decision = self.decide(doctype, ptype, Asking::default())?;
        let ruling = Rc::new(Ruling {
            predicate: decision.predicate(),
            at_doctype_level: decision.at_doctype_level(),
        });
        self.rulings.borrow_mut().insert(key, ruling.clone());
        Ok(ruling)
    }

    /// What a document must satisfy for a link picker to offer it: the right `select`, which opens nothing else, or `read`.
    pub fn selectable(&self, doctype: &str, asking: Asking) -> Result<Predicate, Undecidable> {
        let by = |ptype| self.decide(doctype, ptype, asking).map(|decision| decision.predicate());
        Ok(Predicate::any([by("select")?, by("read")?]))
    }

    /// The levels of columns that are open to the user for `ptype`: `read`, `write` or `create`.
    pub fn levels(&self, doctype: &str, ptype: &str) -> Result<Levels, Undecidable> {
        self.question().levels(doctype, ptype)
    }

    /// The columns above level 0 that are closed to the user for `ptype`, `read`, `write` or `create`: none of a doctype whose
    /// columns are all of level 0. What is made of a closed column is not among them, see
    /// [`closed`](super::closed::closed_attributes).
    pub fn closed_columns(&self, doctype: &str, ptype: &str) -> Result<Rc<[ClosedColumn]>, Undecidable> {
        let key = (doctype.to_owned(), ptype.to_owned());
        if let Some(known) = self.closed_columns.borrow().get(&key) {
            return Ok(known.clone());
        }
        let closed: Rc<[ClosedColumn]> = self.question().closed_columns(doctype, ptype)?.into();
        self.closed_columns.borrow_mut().insert(key, closed.clone());
        Ok(closed)
    }

    /// The set as values of a column's type and collation.
    pub fn typed_set(
        &self,
        names: &Rc<ValueSet>,
        type_oid: pg_sys::Oid,
        collation: pg_sys::Oid,
    ) -> Rc<TypedSet> {
        let key = (Rc::as_ptr(names), type_oid, collation);
        if let Some(known) = self.person.sets.borrow().get(&key) {
            return known.clone();
        }
        let set = TypedSet::build(names, type_oid, collation);
        self.person.sets.borrow_mut().insert(key, set.clone());
        set
    }

    /// The sets of these numbers.
    pub fn sets(&self, is_wanted: impl Fn(u32) -> bool) -> Vec<Rc<TypedSet>> {
        let sets = self.person.sets.borrow();
        sets.values().filter(|set| is_wanted(set.id)).cloned().collect()
    }

    /// The channels and tables whose messages end it.
    pub fn dependencies(&self) -> Vec<pg_sys::Oid> {
        let own = self.dependencies.borrow();
        let persons = self.person.dependencies.borrow();
        own.iter().chain(persons.iter()).copied().collect()
    }

    fn depends_on(&self, named: &HashSet<pg_sys::Oid>) -> bool {
        !self.dependencies.borrow().is_disjoint(named) || self.person.depends_on(named)
    }
}

impl Person {
    fn depends_on(&self, named: &HashSet<pg_sys::Oid>) -> bool {
        !self.dependencies.borrow().is_disjoint(named)
    }

    /// Lets go of sets whose names nobody else holds any more.
    fn tidy(&self) {
        let unused: Vec<_> = {
            let mut sets = self.sets.borrow_mut();
            let keys: Vec<_> =
                sets.iter().filter(|(_, set)| set.is_orphaned()).map(|(key, _)| *key).collect();
            keys.iter().filter_map(|key| sets.remove(key)).collect()
        };
        drop(unused);
    }
}

impl Facts for Authority {
    fn tree(&self, doctype: &str) -> Option<Rc<Tree>> {
        let definition = self.site.model.doctypes.get(doctype)?;
        let relation = *self.site.relations.get(doctype)?;
        if definition.tree_parent_column.is_none() && definition.nested_set.is_none() {
            return None;
        }
        // Before it is read: a message that comes meanwhile ends this authority. What follows from a tree is kept with the
        // person. A tree's table that was altered, truncated or swapped is another tree.
        self.person.dependencies.borrow_mut().extend([Channel::Tree(doctype).oid(), relation]);
        if let Some(known) = with_cache(|cache| cache.trees.get(&relation).cloned()) {
            return Some(known);
        }
        let tree = Rc::new(load::tree(relation, definition)?);
        let channel = Channel::Tree(doctype).oid();
        with_cache(|cache| {
            cache.tree_channels.insert(channel, relation);
            cache.trees.insert(relation, tree.clone())
        });
        Some(tree)
    }

    fn shares(&self, doctype: &str) -> Rc<Shares> {
        if let Some(known) = self.shares.borrow().get(doctype) {
            return known.clone();
        }
        self.dependencies
            .borrow_mut()
            .extend([Channel::Shares(&self.user).oid(), Channel::SharedWithEveryone(doctype).oid()]);
        let shares = Rc::new(load::shares(&self.user, doctype));
        self.shares.borrow_mut().insert(doctype.to_owned(), shares.clone());
        shares
    }
}

#[derive(Default)]
struct Cache {
    site: Option<Rc<Site>>,
    persons: HashMap<String, Rc<Person>>,
    authorities: HashMap<String, Rc<Authority>>,
    /// By table.
    trees: HashMap<pg_sys::Oid, Rc<Tree>>,
    /// The tables of trees by their channels.
    tree_channels: HashMap<pg_sys::Oid, pg_sys::Oid>,
    mapping: HashMap<String, Option<Rc<str>>>,
    /// By token.
    sessions: HashMap<String, Rc<Session>>,
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
type Graves = (Option<Rc<Site>>, Vec<Rc<Person>>, Vec<Rc<Authority>>);

impl Cache {
    fn into_graves(self) -> Graves {
        (self.site, self.persons.into_values().collect(), self.authorities.into_values().collect())
    }

    fn forget(&mut self, oids: &[pg_sys::Oid]) -> Graves {
        let named: HashSet<pg_sys::Oid> = oids.iter().copied().collect();
        if named.contains(&Channel::Site.oid()) {
            return std::mem::take(self).into_graves();
        }
        if named.contains(&Channel::Mapping.oid()) {
            self.mapping.clear();
        }
        for oid in oids {
            self.trees.remove(self.tree_channels.get(oid).unwrap_or(oid));
        }
        self.sessions.retain(|_, session| !oids.iter().any(|oid| session.depends_on(oid)));
        let authorities = extract(&mut self.authorities, |authority| authority.depends_on(&named));
        let persons = extract(&mut self.persons, |person| person.depends_on(&named));
        (None, persons, authorities)
    }
}

/// Takes the entries out that fit.
fn extract<T>(entries: &mut HashMap<String, Rc<T>>, fits: impl Fn(&T) -> bool) -> Vec<Rc<T>> {
    entries.extract_if(|_, entry| fits(entry)).map(|(_, entry)| entry).collect()
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
        let authority = Rc::new(new_authority(user, person(user)));
        let evicted = with_cache(|cache| {
            let full = cache.authorities.len() >= KEPT_AUTHORITIES;
            let oldest = cache.authorities.values().min_by_key(|kept| kept.last_used.get()).filter(|_| full);
            let oldest = oldest.map(|oldest| oldest.user.clone());
            let evicted = oldest
                .and_then(|oldest| Some((cache.authorities.remove(&oldest)?, cache.persons.remove(&oldest))));
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

/// What a user may do as of now, for one question: nothing is kept of it.
pub fn passing_authority(user: &str) -> Rc<Authority> {
    settle();
    known_authority(user).unwrap_or_else(|| Rc::new(new_authority(user, Rc::new(read_person(user)))))
}

fn new_authority(user: &str, person: Rc<Person>) -> Authority {
    person.tidy();
    Authority {
        user: user.to_owned(),
        site: current_site(),
        stamp: NEXT_STAMP.with(|next| next.replace(next.get().wrapping_add(1))),
        person,
        last_used: Cell::new(tick()),
        dependencies: RefCell::new([Channel::Site.oid()].into()),
        shares: RefCell::default(),
        rulings: RefCell::default(),
        closed_columns: RefCell::default(),
    }
}

fn read_person(user: &str) -> Person {
    Person {
        record: load::user(user),
        dependencies: RefCell::new([Channel::User(user).oid()].into()),
        sets: RefCell::default(),
    }
}

/// The user's record, known or read.
fn person(user: &str) -> Rc<Person> {
    if let Some(known) = with_cache(|cache| cache.persons.get(user).cloned()) {
        return known;
    }
    let person = Rc::new(read_person(user));
    with_cache(|cache| cache.persons.insert(user.to_owned(), person.clone()));
    person
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

/// The session that a token opens, as of now; `None` if it opens none.
pub fn session(token: &str) -> Option<Rc<Session>> {
    settle();
    if let Some(known) = with_cache(|cache| cache.sessions.get(token).cloned()) {
        return Some(known);
    }
    for _ in 0..ATTEMPTS {
        let read = Rc::new(session::read(token)?);
        with_cache(|cache| {
            if cache.sessions.len() >= KEPT_SESSIONS {
                cache.sessions.clear();
            }
            cache.sessions.insert(token.to_owned(), read);
        });
        settle();
        if let Some(still) = with_cache(|cache| cache.sessions.get(token).cloned()) {
            return Some(still);
        }
    }
    changed_meanwhile()
}

/// As [`session`], read once more: what does not decide anything changes without a message.
pub fn reread_session(token: &str) -> Option<Rc<Session>> {
    with_cache(|cache| cache.sessions.remove(token));
    session(token)
}

fn changed_meanwhile() -> ! {
    Fault::new(SqlState::ERRCODE_T_R_SERIALIZATION_FAILURE, "permissions change faster than they can be read")
        .hint("Run the transaction again.")
        .raise()
}
