//! Errors for the person who meets them: an SQLSTATE, what was refused and for whom, which rule, what to do.

use std::sync::OnceLock;

use pgrx::PgLogLevel;
pub use pgrx::pg_sys::errcodes::PgSqlErrorCode as SqlState;
use pgrx::pg_sys::panic::ErrorReport;

use crate::rules::{TreeError, Undecidable};

/// Told of every refusal (42501) before it is raised.
static WATCHER: OnceLock<fn(&str)> = OnceLock::new();

/// Has `watcher` told of every refusal, by its message, before it is raised.
pub fn watch_denials(watcher: fn(&str)) {
    let _ = WATCHER.set(watcher);
}

/// An error on its way to the client.
#[derive(Debug)]
pub struct Fault {
    sqlstate: SqlState,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
}

impl Fault {
    /// 42501: refused.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(SqlState::ERRCODE_INSUFFICIENT_PRIVILEGE, message)
    }

    /// 42704: an unknown user, role, doctype, right or column.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(SqlState::ERRCODE_UNDEFINED_OBJECT, message)
    }

    /// 22023: an argument that makes no sense.
    pub fn bad_argument(message: impl Into<String>) -> Self {
        Self::new(SqlState::ERRCODE_INVALID_PARAMETER_VALUE, message)
    }

    /// An error with any SQLSTATE.
    pub fn new(sqlstate: SqlState, message: impl Into<String>) -> Self {
        Fault { sqlstate, message: message.into(), detail: None, hint: None }
    }

    /// Which rule refused.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// What to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Its parts: SQLSTATE as PostgreSQL packs it, message, detail, hint.
    pub fn into_parts(self) -> (i32, String, Option<String>, Option<String>) {
        (self.sqlstate as i32, self.message, self.detail, self.hint)
    }

    /// From the parts of [`into_parts`](Self::into_parts).
    pub fn from_parts(sqlstate: i32, message: String, detail: Option<String>, hint: Option<String>) -> Self {
        Fault { sqlstate: SqlState::from(sqlstate), message, detail, hint }
    }

    /// Ends the statement with this error.
    pub fn raise(self) -> ! {
        if let Some(watcher) = WATCHER.get()
            && self.sqlstate == SqlState::ERRCODE_INSUFFICIENT_PRIVILEGE
        {
            watcher(&self.message);
        }
        let mut report = ErrorReport::new(self.sqlstate, self.message, "docperm");
        if let Some(detail) = self.detail {
            report = report.set_detail(detail);
        }
        if let Some(hint) = self.hint {
            report = report.set_hint(hint);
        }
        report.report(PgLogLevel::ERROR);
        unreachable!("reporting at level ERROR does not return")
    }
}

impl From<Undecidable> for Fault {
    fn from(why: Undecidable) -> Self {
        match why {
            Undecidable::UnknownDoctype(doctype) => Fault::unknown(format!("unknown doctype \"{doctype}\""))
                .hint("Doctypes are registered by docperm.protect(); docperm.doctypes lists them."),
            Undecidable::Tree(TreeError::Ambiguous { doctype, node }) => Fault::new(
                SqlState::ERRCODE_DATA_EXCEPTION,
                format!("the tree of {doctype} has two documents named \"{node}\""),
            )
            .detail("Descendants cannot be told while a name is not one document's, so nothing that depends on them is shown.")
            .hint("Remove or rename one of them as a role that bypasses row-level security."),
            Undecidable::Tree(TreeError::Cycle { doctype, node }) => {
                Fault::new(SqlState::ERRCODE_DATA_EXCEPTION, format!("the tree of {doctype} has a cycle through \"{node}\""))
                    .detail("Descendants cannot be told while a node is its own ancestor, so nothing that depends on them is shown.")
                    .hint(format!("Correct the parent of {doctype} \"{node}\" as a role that bypasses row-level security."))
            }
        }
    }
}

impl From<pgrx::spi::Error> for Fault {
    /// A statement of docperm's own that does not run, or gives another type than expected. What PostgreSQL itself refuses
    /// does not come by here: it ends the statement at once.
    fn from(error: pgrx::spi::Error) -> Self {
        Fault::new(SqlState::ERRCODE_INTERNAL_ERROR, format!("docperm cannot use its own tables: {error}"))
            .hint("Look whether ALTER EXTENSION docperm UPDATE is outstanding.")
    }
}

/// Takes the value or ends the statement.
pub trait OrRaise<T> {
    /// The value, unless there is a fault.
    fn or_raise(self) -> T;
}

impl<T, E: Into<Fault>> OrRaise<T> for Result<T, E> {
    fn or_raise(self) -> T {
        self.unwrap_or_else(|why| why.into().raise())
    }
}
