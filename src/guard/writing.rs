//! Who writes into which table, and under which rules: found out for the first row of a statement, and good for the next ones.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::pg_sys;

use super::row::{RowCall, TriggerRow};
use super::stamps::Values;
use super::table::GuardedTable;
use crate::catalog::cache::{self, Authority};
use crate::catalog::invalidation;
use crate::fault::{Fault, OrRaise};
use crate::identity::{self, Footing, Source};

/// A user, or nobody, writes into a table.
pub struct Writing {
    /// The table.
    pub table: Rc<GuardedTable>,
    /// Row security holds for the database role: what the acting user may do is the question. Otherwise what is written is
    /// taken as it comes: a load, a restore, a foreign key that follows.
    pub is_filtered: bool,
    user: OnceCell<Option<String>>,
    authority: OnceCell<Rc<Authority>>,
    /// What is stamped.
    pub(super) values: OnceCell<Values>,
}

/// As long as these are the same, so is the answer.
#[derive(PartialEq, Eq)]
struct Basis {
    footing: Footing,
    role: pg_sys::Oid,
    context: i32,
    /// Who owns what, and is a member of what, may be another in the next statement.
    statement: i64,
}

#[derive(Default)]
struct Known {
    news: u64,
    tables: HashMap<pg_sys::Oid, Rc<GuardedTable>>,
    basis: Option<Basis>,
    writings: HashMap<pg_sys::Oid, Rc<Writing>>,
}

thread_local! {
    // Leaked, because it must not be torn down at exit, after PostgreSQL's memory is gone.
    static KNOWN: &'static RefCell<Known> = Box::leak(Box::default());
}

fn with_known<R>(work: impl FnOnce(&mut Known) -> R) -> R {
    KNOWN.with(|known| work(&mut known.borrow_mut()))
}

/// The writing that a row trigger fires for; `None` where the doctype is not registered any more.
pub fn of(call: &RowCall) -> Option<Rc<Writing>> {
    let relation = call.relation_oid();
    let basis = basis();
    let known = with_known(|known| {
        if basis.is_none() || known.basis != basis {
            known.writings.clear();
            known.basis = basis;
        }
        known.writings.get(&relation).cloned()
    });
    if known.is_some() {
        return known;
    }
    let writing = Rc::new(Writing {
        table: table(call)?,
        is_filtered: super::is_bound_by_policies(relation),
        user: OnceCell::new(),
        authority: OnceCell::new(),
        values: OnceCell::new(),
    });
    with_known(|known| {
        if known.basis.is_some() {
            known.writings.insert(relation, writing.clone());
        }
    });
    Some(writing)
}

fn basis() -> Option<Basis> {
    let (mut role, mut context) = (pg_sys::InvalidOid, 0);
    // SAFETY: reads variables of the backend.
    let statement = unsafe {
        pg_sys::GetUserIdAndSecContext(&mut role, &mut context);
        pg_sys::GetCurrentStatementStartTimestamp()
    };
    identity::footing().map(|footing| Basis { footing, role, context, statement })
}

fn table(call: &RowCall) -> Option<Rc<GuardedTable>> {
    let relation = call.relation_oid();
    let site = cache::site();
    let news = invalidation::news();
    let known = with_known(|known| {
        if known.news != news {
            known.tables.clear();
            known.news = news;
        }
        known.tables.get(&relation).cloned()
    });
    if known.is_some() {
        return known;
    }
    let table = Rc::new(GuardedTable::look_up(&site, call.argument()?, call)?);
    with_known(|known| {
        if known.news == news {
            known.tables.insert(relation, table.clone());
        }
    });
    Some(table)
}

impl Writing {
    /// The acting user. Nobody, where row security does not hold and nobody is known.
    pub fn user(&self) -> Option<&str> {
        let find = || {
            let identity = identity::acting();
            let is_known = self.is_filtered || identity.source != Source::Nobody;
            is_known.then_some(identity.user)
        };
        self.user.get_or_init(find).as_deref()
    }

    /// What the acting user may do.
    pub fn authority(&self) -> &Rc<Authority> {
        self.authority.get_or_init(|| cache::authority(self.user().unwrap_or_default()))
    }

    /// The acting user has the right on the row of this doctype.
    pub fn has_right(&self, doctype: &str, right: &str, row: &TriggerRow) -> bool {
        let authority = self.authority();
        let ruling = authority.ruling(doctype, right).map_err(Fault::from).or_raise();
        ruling.predicate.matches(&mut row.typed(authority, doctype)).or_raise()
    }

    /// The document as a message names it: by its name to those alone who may read it.
    pub fn told(&self, row: &TriggerRow) -> String {
        let doctype = &self.table.doctype;
        let name = self.table.name.as_ref().and_then(|name| row.text(name));
        match name.filter(|_| self.has_right(doctype, "read", row)) {
            Some(name) => format!("document \"{name}\" of doctype {doctype}"),
            None => format!("a document of doctype {doctype}"),
        }
    }
}
