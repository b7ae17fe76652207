//! Writes, whose outcome the evaluator knows, too: USING on the row that is there, WITH CHECK on what becomes of it.

use super::ask::{Seats, same};
use super::model::{EVERYBODY, Model, Row, USERS, sql_text};
use super::schema::{DOC, DOCTYPES, LINE, NODE, OTHER, table_of};
use crate::chance::Chance;
use crate::support::{attempt, literal};
use postgres::{Client, SimpleQueryMessage};

impl Seats {
    /// Tries a few writes, each of which is rolled back.
    pub fn try_writes(&mut self, model: &Model) {
        let mut chance = Chance(model.number.rotate_left(32));
        for _ in 0..6 {
            let user = if chance.once_in(5) { chance.of(&EVERYBODY) } else { chance.of(&USERS) };
            if user.contains('@') && !model.enabled.contains(user) {
                continue;
            }
            match chance.below(8) {
                0..3 => self.try_update(model, &mut chance, user),
                3 => self.try_delete(model, &mut chance, user),
                4..6 => {
                    let doctype = chance.of(&[DOC, LINE, LINE, NODE, NODE, OTHER]);
                    self.try_insert(model, &mut chance, user, doctype);
                }
                _ => self.try_document_with_line(model, &mut chance, user),
            }
        }
    }

    /// Compares what a write came to with what it should: rows touched, or None for a refusal.
    fn told(&mut self, model: &Model, user: &str, sql: &str, found: Option<u64>, expected: Option<u64>) {
        *(match expected {
            None => &mut self.count.refused,
            Some(0) => &mut self.count.passed_over,
            Some(_) => &mut self.count.written,
        }) += 1;
        same(model, &format!("{user}: {sql}"), &found, &expected);
    }

    fn try_update(&mut self, model: &Model, chance: &mut Chance, user: &str) {
        let doctype = chance.of(&[DOC, DOC, DOC, LINE, LINE, NODE]);
        let Some(name) = some_target(model, chance, user, "write", doctype) else { return };
        let old = model.find(doctype, &name).unwrap();
        let mut new = old.clone();
        let links = model.flavour.links(doctype);
        let (column, value) = match (doctype, chance.below(4)) {
            (DOC, 0) => {
                new.owner = model.some_owner(chance);
                ("owner", new.owner.clone())
            }
            (LINE, 0 | 1) => {
                let kind = new.parent_type.as_deref();
                let parent = model.flavour.parents().iter().find(|parent| Some(**parent) == kind);
                new.parent = model.some_value(chance, LINE, "parent", parent.unwrap_or(&DOC));
                ("parent", new.parent.clone())
            }
            (LINE, 2) if model.flavour.has_parent_type() => {
                new.parent_type = model.some_parent_type(chance);
                ("parent_type", new.parent_type.clone())
            }
            _ if links.is_empty() => return,
            _ => {
                let (column, target) = links[chance.below(links.len())];
                let value = model.some_value(chance, doctype, column, target);
                if column == "up" && value.as_deref().is_some_and(|up| model.is_below(up, &name)) {
                    // A tree stays a tree.
                    return;
                }
                new.links.insert(column, value.clone());
                (column, value)
            }
        };
        let may = |right: &str, row: &Row| model.may(user, right, doctype, row);
        let is_touched = may("read", old) && may("write", old);
        let stays = may("read", &new) && may("write", &new);
        // The owner stays who he is.
        let is_given_away = new.owner != old.owner;
        let expected =
            if is_touched && (!stays || is_given_away) { None } else { Some(u64::from(is_touched)) };
        let sql = format!(
            "UPDATE {} SET {column} = {} WHERE name = {}",
            table_of(doctype),
            sql_text(value.as_deref()),
            literal(&name)
        );
        let found = rolled_back(self.acting(user), &[&sql]);
        self.told(model, user, &sql, found[0], expected);
    }

    fn try_delete(&mut self, model: &Model, chance: &mut Chance, user: &str) {
        let doctype = chance.of(&DOCTYPES);
        let Some(name) = some_target(model, chance, user, "delete", doctype) else { return };
        let row = model.find(doctype, &name).unwrap();
        let is_gone = model.may(user, "read", doctype, row) && model.may(user, "delete", doctype, row);
        let sql = format!("DELETE FROM {} WHERE name = {}", table_of(doctype), literal(&name));
        let found = rolled_back(self.acting(user), &[&sql]);
        self.told(model, user, &sql, found[0], Some(u64::from(is_gone)));
    }

    fn try_insert(&mut self, model: &Model, chance: &mut Chance, user: &str, doctype: &'static str) {
        let row = new_row(model, chance, user, doctype);
        let sql = insert(model, doctype, &row);
        let expected = model.may_insert(user, doctype, &stamped(&row, user)).then_some(1);
        let found = rolled_back(self.acting(user), &[&sql]);
        self.told(model, user, &sql, found[0], expected);
    }

    /// Who creates a document of his own creates its lines in the same transaction, whether or not he may write it.
    fn try_document_with_line(&mut self, model: &Model, chance: &mut Chance, user: &str) {
        let mut document = new_row(model, chance, user, DOC);
        if !chance.once_in(5) {
            document.owner = Some(user.to_owned());
        }
        let mut line = new_row(model, chance, user, LINE);
        line.parent = Some(document.name.clone());
        if model.flavour.has_parent_type() && !chance.once_in(6) {
            line.parent_type = Some(DOC.to_owned());
        }
        let stored = stamped(&document, user);
        let is_created = model.may_insert(user, DOC, &stored);
        let mut after = model.clone();
        after.rows.get_mut(DOC).unwrap().push(stored);
        let is_added = after.may_with(user, "create", LINE, &line, Some((DOC, &document.name)));
        let (sql, of_line) = (insert(model, DOC, &document), insert(model, LINE, &line));
        let found = rolled_back(self.acting(user), &[&sql, &of_line]);
        self.told(model, user, &sql, found[0], is_created.then_some(1));
        if is_created {
            self.told(model, user, &format!("{sql}; {of_line}"), found[1], is_added.then_some(1));
        }
    }
}

/// A row to write, mostly one on which the user has the right.
fn some_target(
    model: &Model,
    chance: &mut Chance,
    user: &str,
    right: &str,
    doctype: &'static str,
) -> Option<String> {
    let held = model.with_right(user, right, doctype);
    if held.is_empty() || chance.once_in(4) {
        return model.some_name(chance, doctype);
    }
    Some(held[chance.below(held.len())].clone())
}

/// A new row as it is stored: owned by whoever makes it.
fn stamped(row: &Row, user: &str) -> Row {
    Row { owner: Some(user.to_owned()), ..row.clone() }
}

fn new_row(model: &Model, chance: &mut Chance, user: &str, doctype: &'static str) -> Row {
    let mut row = model.some_row(chance, doctype);
    // There may be lines that have waited for a document of this name, and entries for it.
    row.name = model.flavour.name(doctype, 99);
    if chance.once_in(2) {
        row.owner = Some(user.to_owned());
    }
    row
}

fn insert(model: &Model, doctype: &'static str, row: &Row) -> String {
    let (columns, values) = model.cells(doctype, row);
    format!("INSERT INTO {} ({columns}) VALUES ({values})", table_of(doctype))
}

/// Runs statements in a transaction that is rolled back: rows touched by each, or None from the first refused one on.
fn rolled_back(client: &mut Client, statements: &[&str]) -> Vec<Option<u64>> {
    client.batch_execute("BEGIN").unwrap();
    let mut found = vec![None; statements.len()];
    for (statement, touched) in statements.iter().zip(&mut found) {
        match attempt(client, statement) {
            Ok(messages) => {
                *touched = messages.iter().find_map(|message| match message {
                    SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
                    _ => None,
                });
            }
            Err(error) => {
                assert_eq!(error.sqlstate, "42501", "{statement}: {error:?}");
                break;
            }
        }
    }
    client.batch_execute("ROLLBACK").unwrap();
    found
}
