//! docperm.submit(), cancel() and discard(): the steps of a document's life as verbs.
//!
//! Each is an UPDATE that the caller could write himself, and runs as the caller: his privileges, the policies and the row
//! trigger decide. What is added is a clear answer where the UPDATE would find nothing.

use super::access::is_permitted;
use super::{require_grant, required};
use crate::catalog::cache::{self, Authority};
use crate::catalog::document;
use crate::catalog::scan::{NewestSnapshot, Table};
use crate::catalog::statement::{Argument, holds, run_as_caller};
use crate::catalog::values;
use crate::fault::{Fault, SqlState};
use crate::guard::lifecycle::{Discarding, state_of};
use crate::identity;
use crate::rules::lifecycle::{Refusal, State};
use crate::rules::{Doctype, Undecidable};

/// A step, by its name.
#[derive(Clone, Copy)]
struct Verb {
    name: &'static str,
    participle: &'static str,
    /// The rights that it takes.
    rights: &'static [&'static str],
    from: State,
    /// The docstatus before and after it.
    docstatus: (u8, u8),
}

const SUBMIT: Verb = Verb {
    name: "submit",
    participle: "submitted",
    rights: &["write", "submit"],
    from: State::Draft,
    docstatus: (0, 1),
};
const CANCEL: Verb = Verb {
    name: "cancel",
    participle: "cancelled",
    rights: &["write", "cancel"],
    from: State::Submitted,
    docstatus: (1, 2),
};
const DISCARD: Verb = Verb {
    name: "discard",
    participle: "discarded",
    rights: &["write"],
    from: State::Draft,
    docstatus: (0, 2),
};

/// `docperm.submit(text, text)`
#[pgrx::pg_extern(sql = false)]
fn docperm_submit(doctype: Option<&str>, document: Option<&str>) {
    take(SUBMIT, doctype, document);
}

/// `docperm.cancel(text, text)`
#[pgrx::pg_extern(sql = false)]
fn docperm_cancel(doctype: Option<&str>, document: Option<&str>) {
    take(CANCEL, doctype, document);
}

/// `docperm.discard(text, text)`
#[pgrx::pg_extern(sql = false)]
fn docperm_discard(doctype: Option<&str>, document: Option<&str>) {
    take(DISCARD, doctype, document);
}

fn take(verb: Verb, doctype: Option<&str>, document: Option<&str>) {
    let target = Target::of(verb.name, doctype, document);
    let Some(key) = target.key() else { target.deny() };
    let Verb { docstatus: (from, to), .. } = verb;
    let docstatus = values::quoted(target.docstatus_column());
    let is_so = match verb.from {
        State::Draft => format!("(t.{docstatus} IS NULL OR t.{docstatus} OPERATOR(pg_catalog.=) {from})"),
        _ => format!("t.{docstatus} OPERATOR(pg_catalog.=) {from}"),
    };
    let sql = format!(
        "UPDATE {} AS t SET {docstatus} = {to} WHERE {} AND {is_so}",
        target.table.qualified_name(),
        holds(&target.table, &target.definition().name_column, "$1")
    );
    let done = {
        let _discarding =
            (verb.docstatus == DISCARD.docstatus).then(|| Discarding::of(&target.doctype, &key));
        run_as_caller(&sql, &[Argument::Text(&key)]).touched
    };
    if done == 0 {
        target.explain(verb);
    }
}

/// A document of a doctype with a lifecycle, as somebody names it.
pub(super) struct Target {
    pub authority: std::rc::Rc<Authority>,
    pub doctype: String,
    pub name: String,
    pub table: Table,
    verb: &'static str,
}

impl Target {
    /// An error unless there is such a doctype, its documents have a lifecycle, and the database role may read their names.
    pub fn of(verb: &'static str, doctype: Option<&str>, document: Option<&str>) -> Self {
        let (doctype, name) =
            (required(doctype, "doctype").to_owned(), required(document, "document").to_owned());
        let authority = cache::authority(&identity::acting().user);
        let Some(definition) = authority.site.model.doctypes.get(&doctype) else {
            Fault::from(Undecidable::UnknownDoctype(doctype)).raise()
        };
        if !definition.is_submittable() {
            Fault::bad_argument(format!(
                "documents of doctype {doctype} are neither submitted nor cancelled"
            ))
            .detail("The doctype has no docstatus_column.")
            .hint("docperm.protect(..., docstatus_column => '...') makes it submittable.")
            .raise();
        }
        require_grant(&authority, &doctype);
        let table = document::table_of(&authority.site, &doctype);
        Target { authority, doctype, name, table, verb }
    }

    pub fn definition(&self) -> &Doctype {
        &self.authority.site.model.doctypes[&self.doctype]
    }

    pub fn docstatus_column(&self) -> &str {
        self.definition().docstatus_column.as_deref().unwrap_or_default()
    }

    /// The document's name as its key writes it; `None` if there is none, whoever may see it.
    pub fn key(&self) -> Option<String> {
        let (mut key, column) = (None, &self.definition().name_column);
        let snapshot = NewestSnapshot::take();
        document::find_as_of(&self.authority.site, &self.doctype, &self.name, snapshot.as_raw(), |row| {
            key = row.text_form(row.table().registered_attribute(column, &self.doctype));
        });
        key
    }

    /// Its state now.
    pub fn state(&self) -> Option<State> {
        let (mut state, column) = (None, self.docstatus_column());
        let snapshot = NewestSnapshot::take();
        document::find_as_of(&self.authority.site, &self.doctype, &self.name, snapshot.as_raw(), |row| {
            let attribute = row.table().registered_attribute(column, &self.doctype);
            let base_type = values::base_type(attribute.atttypid);
            state = Some(state_of(&self.doctype, column, base_type, row.datum(attribute)));
        });
        state
    }

    pub fn may(&self, right: &str) -> bool {
        is_permitted(&self.authority, &self.doctype, right, &self.name)
    }

    /// What keeps whoever may read the document from it; to others it is as if there were none.
    fn explain(&self, verb: Verb) -> ! {
        if !self.may("read") {
            self.deny();
        }
        if let Some(state) = self.state().filter(|state| *state != verb.from) {
            self.refuse_state(
                state,
                verb.participle,
                &format!("Only {} can be {}.", plural(verb.from), verb.participle),
            );
        }
        if let Some(right) = verb.rights.iter().find(|right| !self.may(right)) {
            let user = &self.authority.user;
            Fault::denied(format!(
                "user \"{user}\" has not the right {right} on document \"{}\" of doctype {}",
                self.name, self.doctype
            ))
            .detail(format!("To {} a document needs the rights {}.", verb.name, verb.rights.join(" and ")))
            .hint("docperm.explain_access() tells who has it, and why others have not.")
            .raise();
        }
        self.deny()
    }

    /// 55000: it is in another state.
    pub fn refuse_state(&self, state: State, participle: &str, rule: &str) -> ! {
        let remedy = match state {
            State::Cancelled => Refusal::Frozen.remedy(),
            State::Submitted => "docperm.cancel() cancels a submitted document.",
            State::Draft => "docperm.submit() submits a draft.",
        };
        Fault::new(
            SqlState::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("document \"{}\" of doctype {} cannot be {participle}", self.name, self.doctype),
        )
        .detail(format!("It is {}. {rule}", state.told()))
        .hint(remedy)
        .raise()
    }

    /// 42501, the same for a document that is not there and for one that is hidden.
    pub fn deny(&self) -> ! {
        Fault::denied(format!(
            "user \"{}\" may not {} a document \"{}\" of doctype {}",
            self.authority.user, self.verb, self.name, self.doctype
        ))
        .detail("There is none, or it is one that the user may not read.")
        .hint("Names are compared exactly. docperm.permitted_documents() lists the documents that the user may read.")
        .raise()
    }
}

fn plural(state: State) -> &'static str {
    match state {
        State::Draft => "drafts",
        State::Submitted => "submitted documents",
        State::Cancelled => "cancelled documents",
    }
}
