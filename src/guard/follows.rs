//! Following documents that somebody made.

use crate::catalog::scan::{Key, NewestSnapshot, Table};
use crate::catalog::statement::{Argument, Sees, run_as_owner};
use crate::rules::model::ADMINISTRATOR;

/// Lets the user follow documents that he has just made, if he wants that. What he is told of them later is decided then.
pub fn follow_created(user: &str, doctype: &str, documents: &[String]) {
    if documents.is_empty() || user == ADMINISTRATOR || !wants_it(user) {
        return;
    }
    let sql = "INSERT INTO docperm.document_follows (doctype, document, user_name)
               SELECT $1, d.name, $2 FROM unnest($3) AS d (name)
                   ON CONFLICT DO NOTHING";
    let arguments = [Argument::Text(doctype), Argument::Text(user), Argument::Texts(documents)];
    run_as_owner(&Table::own("document_follows"), Sees::SameAsNext, sql, &arguments);
}

fn wants_it(user: &str) -> bool {
    let mut wants = false;
    Table::own("users").scan_where(&[Key::Text("name", user)], &NewestSnapshot::take(), |row| {
        let is_set = |column| row.get::<bool>(column).unwrap_or(false);
        wants = is_set("document_follow_notify") && is_set("follow_created_documents");
    });
    wants
}
