//! docperm.document_changes, as far as triggers write it.

use pgrx::pg_sys;

use crate::catalog::scan::{Key, NewestSnapshot, Table};
use crate::catalog::statement::{Argument, Sees, run_as_owner};
use crate::identity;

/// So many entries, or characters, are written at once.
const ENTRIES: usize = 10_000;
const CHARACTERS: usize = 16_000_000;

/// Something that happened to a document, or to a row that belongs to it.
pub struct Entry {
    /// The document's doctype.
    pub doctype: String,
    /// Its name.
    pub document: String,
    /// What happened.
    pub action: &'static str,
    /// The doctype and the name of the row, if it is about one; a row may have no name.
    pub child: Option<(String, String)>,
    /// What changed.
    pub changes: Option<String>,
    /// The document is gone with it.
    pub gone: bool,
}

/// Entries on their way into the table, all by whoever acts.
pub struct Writer {
    changed_by: String,
    impersonated_by: String,
    database_role: String,
    waiting: Vec<Entry>,
    characters: usize,
}

impl Writer {
    /// For what the acting user does.
    pub fn for_acting_user() -> Self {
        let session = identity::acting_session();
        Writer {
            changed_by: identity::acting().user,
            impersonated_by: session.and_then(|session| session.impersonated_by.clone()).unwrap_or_default(),
            database_role: identity::outer_role_name(),
            waiting: vec![],
            characters: 0,
        }
    }

    /// Who acts.
    pub fn user(&self) -> &str {
        &self.changed_by
    }

    /// Writes an entry, now or with the next ones.
    pub fn add(&mut self, entry: Entry) {
        self.characters += entry.changes.as_ref().map_or(0, String::len);
        self.waiting.push(entry);
        if self.waiting.len() >= ENTRIES || self.characters >= CHARACTERS {
            self.flush();
        }
    }

    /// Writes what waits.
    pub fn flush(&mut self) {
        let entries = std::mem::take(&mut self.waiting);
        self.characters = 0;
        if entries.is_empty() {
            return;
        }
        let column =
            |text: fn(&Entry) -> &str| entries.iter().map(|entry| text(entry).to_owned()).collect::<Vec<_>>();
        let doctypes = column(|entry| &entry.doctype);
        let documents = column(|entry| &entry.document);
        let actions = column(|entry| entry.action);
        let child_doctypes = column(|entry| entry.child.as_ref().map_or("", |(doctype, _)| doctype));
        let child_names = column(|entry| entry.child.as_ref().map_or("", |(_, name)| name));
        let changes = column(|entry| entry.changes.as_deref().unwrap_or_default());
        let gone = column(|entry| if entry.gone { "t" } else { "f" });
        let arguments = [
            Argument::Texts(&doctypes),
            Argument::Texts(&documents),
            Argument::Texts(&actions),
            Argument::Texts(&child_doctypes),
            Argument::Texts(&child_names),
            Argument::Texts(&changes),
            Argument::Texts(&gone),
            Argument::Text(&self.changed_by),
            Argument::Text(&self.impersonated_by),
            Argument::Text(&self.database_role),
        ];
        let sql = "INSERT INTO docperm.document_changes
                          (at, doctype, document, action, child_doctype, child_name, changes, gone, changed_by, impersonated_by,
                           database_role)
                   SELECT t.now, e.doctype, e.document, e.action, nullif(e.child_doctype, ''), nullif(e.child_name, ''),
                          nullif(e.changes, '')::jsonb, e.gone::boolean, $8, nullif($9, ''), $10
                     FROM (SELECT clock_timestamp()) AS t (now),
                          unnest($1, $2, $3, $4, $5, $6, $7) WITH ORDINALITY
                       AS e (doctype, document, action, child_doctype, child_name, changes, gone, place)
                    ORDER BY e.place";
        run_as_owner(&own_table(), Sees::SameAsNext, sql, &arguments);
    }
}

/// Whether the session restores a dump, which brings the history of its documents along.
pub fn is_restoring() -> bool {
    // SAFETY: settings of the backend.
    let may_be = unsafe { !pg_sys::row_security && !pg_sys::check_function_bodies };
    let asks = || run_as_owner(&own_table(), Sees::SameAsNext, "SELECT docperm._restoring()", &[]);
    may_be && asks().into_iter().flatten().flatten().any(|answer| answer == "t")
}

/// Whether there is an open history of a document.
pub fn is_open(doctype: &str, document: &str) -> bool {
    let mut is_open = false;
    let keys = [Key::Text("doctype", doctype), Key::Text("document", document)];
    own_table().scan_where(&keys, &NewestSnapshot::take(), |row| {
        is_open |= row.get::<bool>("gone") == Some(false);
    });
    is_open
}

/// Closes the history of documents that are gone: others that get their names have no part in it. Nobody follows them any more.
pub fn close(doctype: &str, documents: &[String]) {
    let arguments = [Argument::Text(doctype), Argument::Texts(documents)];
    let sql = "UPDATE docperm.document_changes AS c SET gone = true
                WHERE c.doctype = $1 AND c.document = ANY ($2) AND NOT c.gone";
    run_as_owner(&own_table(), Sees::Newest, sql, &arguments);
    let sql = "DELETE FROM docperm.document_follows AS f WHERE f.doctype = $1 AND f.document = ANY ($2)";
    run_as_owner(&Table::own("document_follows"), Sees::Newest, sql, &arguments);
}

/// Lets histories, and those who follow, go with documents to their new names: pairs of the old and the new name, all of one
/// statement. Two documents may have exchanged their names.
pub fn follow(doctype: &str, renamed: &[(String, String)]) {
    let (old, new): (Vec<_>, Vec<_>) = renamed.iter().cloned().unzip();
    let arguments = [Argument::Text(doctype), Argument::Texts(&old), Argument::Texts(&new)];
    let sql = "UPDATE docperm.document_changes AS c SET document = r.new_name
                 FROM unnest($2, $3) AS r (old_name, new_name)
                WHERE c.doctype = $1 AND c.document = r.old_name AND NOT c.gone";
    run_as_owner(&own_table(), Sees::Newest, sql, &arguments);
    // All are taken out first.
    let sql = "WITH taken AS (
                   DELETE FROM docperm.document_follows AS f WHERE f.doctype = $1 AND f.document = ANY ($2) RETURNING f.*
               )
               INSERT INTO docperm.document_follows (doctype, document, user_name, since)
               SELECT t.doctype, r.new_name, t.user_name, t.since
                 FROM unnest(ARRAY(SELECT ROW (g.*)::docperm.document_follows FROM taken AS g)) AS t
                 JOIN unnest($2, $3) AS r (old_name, new_name) ON r.old_name = t.document
                   ON CONFLICT DO NOTHING";
    run_as_owner(&Table::own("document_follows"), Sees::Newest, sql, &arguments);
}

/// The names under which the doctype's documents have an open history, and those that somebody follows.
pub fn open_names(doctype: &str) -> Vec<String> {
    let sql = "SELECT c.document FROM docperm.document_changes AS c WHERE c.doctype = $1 AND NOT c.gone
                UNION
               SELECT f.document FROM docperm.document_follows AS f WHERE f.doctype = $1";
    let rows = run_as_owner(&own_table(), Sees::Newest, sql, &[Argument::Text(doctype)]);
    rows.into_iter().flatten().flatten().collect()
}

/// Closes the history of all documents of a doctype.
pub fn close_all(doctype: &str, action: &str) {
    let arguments = [Argument::Text(doctype), Argument::Text(action)];
    run_as_owner(&own_table(), Sees::SameAsNext, "SELECT docperm._close_history($1, $2)", &arguments);
}

fn own_table() -> Table {
    Table::own("document_changes")
}
