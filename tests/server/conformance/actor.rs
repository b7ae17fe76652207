//! One user of a case, asking and writing.

use super::site::{RIGHTS, quoted};
use crate::support::{World, literal, refused_with, rows_of, set_user, texts};
use docperm_testkit::db_error;
use postgres::{Client, SimpleQueryMessage};
use std::collections::BTreeMap;

/// Rights by document, as they are written in answers.
pub type RightsByDocument = BTreeMap<String, String>;

pub struct Actor {
    user: String,
    /// The application, acting as the user.
    own: Client,
    /// A superuser who acts as the user and can put the application's role on and off, to see what a statement did.
    watched: Client,
    app_role: String,
}

impl Actor {
    /// Acts as `user`. One who is disabled in the case is disabled only then: nobody could become him otherwise.
    pub fn new(world: &mut World, user: &str, enabled: bool) -> Actor {
        let own = world.acting(user);
        let mut watched = world.db.admin();
        set_user(&mut watched, user);
        if !enabled {
            let user = literal(user);
            world.sql(&format!("UPDATE docperm.users SET enabled = false WHERE name = {user}"));
            assert_eq!(refused_with(&mut world.app(), &format!("SELECT docperm.set_user({user})")), "28000");
        }
        Actor { user: user.to_owned(), own, watched, app_role: world.app_role.clone() }
    }

    /// The first column of a query, sorted.
    pub fn list(&mut self, query: &str) -> Vec<String> {
        crate::support::names(&mut self.own, query)
    }

    /// As [`list`](Self::list), where a column may be closed.
    ///
    /// # Errors
    /// The refusal, or `error` with what else went wrong.
    pub fn try_list(&mut self, query: &str) -> Result<Vec<String>, String> {
        match self.own.simple_query(query) {
            Ok(_) => Ok(self.list(query)),
            Err(error) if db_error(&error).sqlstate == "42501" => Err("refused".to_owned()),
            Err(error) => Err(format!("error {}", db_error(&error).message)),
        }
    }

    /// The names of the rows that the user sees.
    pub fn selects(&mut self, doctype: &str) -> Vec<String> {
        self.list(&format!("SELECT name FROM {}", quoted(doctype)))
    }

    /// The rights without a document.
    pub fn rights(&mut self, doctype: &str) -> String {
        let (rights, doctype) = (array(&RIGHTS), literal(doctype));
        let query =
            format!("SELECT r FROM unnest({rights}) AS t(r) WHERE docperm.has_permission({doctype}, r)");
        in_order(&texts(&mut self.own, &query))
    }

    /// The rights on each of the documents, asked by the user.
    pub fn rights_on(&mut self, doctype: &str, documents: &[&str]) -> RightsByDocument {
        rights_on(&mut self.own, doctype, documents, "")
    }

    /// The rights on each of the documents, asked by an administrator about the user.
    pub fn rights_told_to(&self, admin: &mut Client, doctype: &str, documents: &[&str]) -> RightsByDocument {
        rights_on(admin, doctype, documents, &format!(", user_name => {}", literal(&self.user)))
    }

    /// The report of the documents that the user may read.
    pub fn permitted_documents(&mut self, doctype: &str) -> RightsByDocument {
        let columns = "document, array_to_string(rights, ' ')";
        let query = format!("SELECT {columns} FROM docperm.permitted_documents({})", literal(doctype));
        let rows =
            rows_of(&self.own.simple_query(&query).unwrap_or_else(|error| panic!("{query}: {error:?}")));
        let in_order = |rights: &str| in_order(&rights.split(' ').map(str::to_owned).collect::<Vec<_>>());
        rows.iter().map(|row| (row[0].clone(), in_order(&row[1]))).collect()
    }

    /// What a link picker offers.
    pub fn link_options(&mut self, doctype: &str, for_doctype: Option<&str>) -> Vec<String> {
        let context =
            for_doctype.map_or(String::new(), |context| format!(", for_doctype => {}", literal(context)));
        let doctype = literal(doctype);
        self.list(&format!("SELECT name FROM docperm.link_options({doctype}, max_rows => 1000{context})"))
    }

    /// Runs a statement of the application in a transaction of its own, asks `then` with all rights, and takes
    /// everything back: how many rows the statement touched or returned, and the answers.
    ///
    /// # Errors
    /// The refusal, or `error` with what else went wrong.
    pub fn attempt(&mut self, statement: &str, then: &str) -> Result<(u64, Vec<String>), String> {
        self.attempt_after("", statement, then)
    }

    /// As [`attempt`](Self::attempt), with all rights beforehand.
    fn attempt_after(
        &mut self,
        before: &str,
        statement: &str,
        then: &str,
    ) -> Result<(u64, Vec<String>), String> {
        let role = quoted(&self.app_role);
        self.watched.batch_execute(&format!("BEGIN; {before}; SET LOCAL ROLE {role}")).unwrap();
        let outcome = match self.watched.simple_query(statement) {
            Ok(messages) => {
                self.watched.batch_execute("RESET ROLE").unwrap();
                Ok((touched(&messages), texts(&mut self.watched, then)))
            }
            Err(error) => match db_error(&error) {
                // A right is missing, or the document's state does not allow it.
                refusal if ["42501", "55000"].contains(&&*refusal.sqlstate) => Err("refused".to_owned()),
                other => Err(format!("error {}: {}", other.sqlstate, other.message)),
            },
        };
        self.watched.batch_execute("ROLLBACK").unwrap();
        outcome
    }

    /// The documents that an UPDATE without WHERE changes. Such a statement reads nothing, so that the right to write
    /// decides alone; what a document's state allows is left out, as Frappe leaves it out of who may write what.
    pub fn updates_blindly(&mut self, doctype: &str) -> Result<Vec<String>, String> {
        let table = quoted(doctype);
        let changed = format!("SELECT name FROM {table} WHERE touched ORDER BY name COLLATE \"C\"");
        let update = format!("UPDATE {table} SET touched = true");
        self.attempt_after(&without_states(&table), &update, &changed).map(|(_, names)| names)
    }

    /// The documents that a DELETE without WHERE leaves.
    pub fn spares_blindly(&mut self, doctype: &str) -> Result<Vec<String>, String> {
        let table = quoted(doctype);
        let left = format!("SELECT name FROM {table} ORDER BY name COLLATE \"C\"");
        let delete = format!("DELETE FROM {table}");
        self.attempt_after(&without_states(&table), &delete, &left).map(|(_, names)| names)
    }
}

fn without_states(table: &str) -> String {
    format!("ALTER TABLE {table} DISABLE TRIGGER USER")
}

fn touched(messages: &[SimpleQueryMessage]) -> u64 {
    let complete = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
        _ => None,
    });
    complete.expect("a command tag")
}

fn rights_on(client: &mut Client, doctype: &str, documents: &[&str], more: &str) -> RightsByDocument {
    let (doctype, rights) = (literal(doctype), array(&RIGHTS));
    let query = format!(
        "SELECT d, array_to_string(array_agg(r) FILTER (WHERE docperm.has_permission({doctype}, r, d{more})), ' ')
           FROM unnest({}) AS t(d), unnest({rights}) AS u(r) GROUP BY d",
        array(documents)
    );
    let rows = rows_of(&client.simple_query(&query).unwrap_or_else(|error| panic!("{query}: {error:?}")));
    let in_order = |rights: &str| in_order(&rights.split(' ').map(str::to_owned).collect::<Vec<_>>());
    rows.iter().map(|row| (row[0].clone(), in_order(&row[1]))).collect()
}

fn array(values: &[&str]) -> String {
    let values: Vec<String> = values.iter().map(|value| literal(value)).collect();
    format!("ARRAY[{}]::text[]", values.join(", "))
}

/// Rights as answers write them: those of the cases, in the order of [`RIGHTS`].
pub fn in_order(rights: &[String]) -> String {
    let held = RIGHTS.into_iter().filter(|right| rights.iter().any(|held| held == right));
    held.collect::<Vec<_>>().join(" ")
}
