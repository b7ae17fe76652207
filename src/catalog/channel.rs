//! What can become untrue, each with an OID of its own.
//!
//! PostgreSQL tells every backend, when a transaction commits, which relations its plans and caches must forget; the
//! message holds nothing but an OID, and nothing demands that a relation has it. docperm sends and listens to OIDs that no
//! relation has: one for the configuration, one for each user, one for each tree and so on. A plan that names such an OID among the
//! relations that it depends on is made anew after the message; a change of one user's permissions so touches no other
//! user's plans. (inval.c: CacheInvalidateRelcacheByTuple; plancache.c: PlanCacheRelCallback.)
//!
//! The upper half of the OID space is used, where no catalog of PostgreSQL lies. Should a table have the same OID, or two
//! users share one, a plan is made anew for nothing.

use std::cell::RefCell;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use pgrx::pg_sys;

use super::scan::table_oid;

/// Bit that every channel's OID has.
const CHANNEL_BIT: u32 = 0x8000_0000;
/// After this many users in one command, everybody is told instead.
const USERS_PER_COMMAND: usize = 256;

/// Something that can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel<'a> {
    /// Doctypes, fields, rules, roles, settings.
    Site,
    /// Which database role acts as which user.
    Mapping,
    /// One user's record, roles and user permissions.
    User(&'a str),
    /// What is shared with one user.
    Shares(&'a str),
    /// The documents of a doctype that are shared with everyone.
    SharedWithEveryone(&'a str),
    /// The documents of a doctype that form a tree.
    Tree(&'a str),
    /// A session, or an API key.
    Session(&'a str),
    /// Who acts in this backend. Never sent to others.
    Identity,
}

impl Channel<'_> {
    /// Its OID.
    pub fn oid(&self) -> pg_sys::Oid {
        // DefaultHasher::new() has fixed keys: every backend and every server of one build computes the same, and of the
        // OID nothing is stored.
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        pg_sys::Oid::from(CHANNEL_BIT | hasher.finish() as u32)
    }

    /// Tells every backend at commit, and this one at the next command, that what the channel stands for has changed.
    pub fn invalidate(&self) {
        let oid = self.oid();
        if let Some(oid) = LAST_SENT.with_borrow_mut(|sent| sent.claim(oid)) {
            send(oid);
        }
    }

    /// Tells every backend at once, and this one when it listens again, without waiting for the commit: of what must be known
    /// as soon as others can see it. It says too much if the transaction fails, which costs a look.
    pub fn announce(&self) {
        let oid = self.oid();
        let Some(oid) = LAST_ANNOUNCED.with_borrow_mut(|sent| sent.claim(oid)) else { return };
        let message = message(oid);
        // SAFETY: a message as the end of a transaction sends it; the queue copies it.
        unsafe { pg_sys::SendSharedInvalidMessages(&message, 1) }
    }
}

/// That whatever depends on the relation of that OID is to be forgotten in this database.
pub(super) fn message(oid: pg_sys::Oid) -> pg_sys::SharedInvalidationMessage {
    pg_sys::SharedInvalidationMessage {
        rc: pg_sys::SharedInvalRelcacheMsg {
            id: pg_sys::SHAREDINVALRELCACHE_ID as i8,
            // SAFETY: a plain variable of the backend.
            dbId: unsafe { pg_sys::MyDatabaseId },
            relId: oid,
        },
    }
}

fn send(channel: pg_sys::Oid) {
    // SAFETY: the tuple is a copy of the row of a table of ours in pg_class; CacheInvalidateRelcacheByTuple reads from it
    // the OID, which is exchanged, and that the relation is not shared.
    unsafe {
        let table = table_oid("settings");
        let tuple = pg_sys::SearchSysCacheCopy(
            pg_sys::SysCacheIdentifier::RELOID as _,
            table.into(),
            0.into(),
            0.into(),
            0.into(),
        );
        if tuple.is_null() {
            return;
        }
        let form = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>();
        (*form).oid = channel;
        pg_sys::CacheInvalidateRelcacheByTuple(tuple);
        pg_sys::heap_freetuple(tuple);
    }
}

thread_local! {
    static LAST_SENT: RefCell<Sent> = RefCell::default();
    static LAST_ANNOUNCED: RefCell<Sent> = RefCell::default();
}

/// What the present command has sent. A row trigger fires once a row, and one message a command and channel is enough.
#[derive(Default)]
struct Sent {
    command: (u64, pg_sys::SubTransactionId, pg_sys::CommandId),
    channels: HashSet<u32>,
}

impl Sent {
    /// The OID to send now: this one, none if it has been sent, or the site's after too many.
    fn claim(&mut self, oid: pg_sys::Oid) -> Option<pg_sys::Oid> {
        // SAFETY: called inside a transaction.
        let command = unsafe {
            let transaction = pg_sys::GetTopFullTransactionId().value;
            (transaction, pg_sys::GetCurrentSubTransactionId(), pg_sys::GetCurrentCommandId(false))
        };
        if self.command != command {
            *self = Sent { command, channels: HashSet::new() };
        }
        let site = Channel::Site.oid();
        if self.channels.contains(&site.to_u32()) || !self.channels.insert(oid.to_u32()) {
            return None;
        }
        if self.channels.len() <= USERS_PER_COMMAND {
            return Some(oid);
        }
        self.channels.insert(site.to_u32());
        Some(site)
    }
}
