//! Who is told what of a history.

use crate::levels::level;
use crate::support::{World, attempt, one, texts};
use postgres::Client;

const ANN: &str = "ann@erp.test";
const BOSS: &str = "boss@erp.test";

/// Ann reads deals of level 0, and writes them; the boss reads level 1 as well.
fn world() -> World {
    let mut w = World::new(
        "CREATE TABLE team (name text PRIMARY KEY);
         CREATE TABLE deal (name text PRIMARY KEY, team text REFERENCES team, amount int, margin int,
                            profit int GENERATED ALWAYS AS (amount * margin) STORED,
                            twice  int GENERATED ALWAYS AS (amount * 2) STORED);
         CREATE TABLE item (code text PRIMARY KEY, parent text, price int, cost int, total int GENERATED ALWAYS AS (price + cost) STORED);
         INSERT INTO team VALUES ('A'), ('B');
         SELECT docperm.protect('team', 'Team'), docperm.protect('deal', 'Deal', track_changes => true),
                docperm.protect('item', 'Item', parent_doctype => 'Deal', parent_column => 'parent');
         SELECT docperm.set_field('Deal', 'margin', permlevel => 1), docperm.set_field('Item', 'cost', permlevel => 1);",
    );
    w.user(ANN, &["Clerk"]);
    w.user(BOSS, &["Clerk", "Boss"]);
    w.rule("Team", "Clerk", "{read}");
    w.rule("Deal", "Clerk", "{read,write,create,delete}");
    w.rule("Deal", "Boss", "{read}");
    level(&mut w, "Deal", "Boss", 1, "{read,write}");
    w
}

#[track_caller]
fn run(c: &mut Client, statements: &str) {
    attempt(c, statements).unwrap_or_else(|error| panic!("{statements}\n{error:#?}"));
}

fn told(c: &mut Client, document: &str) -> Vec<String> {
    let history = "SELECT concat_ws(' ', action, child_name, changes) FROM docperm.document_history";
    texts(c, &format!("{history}('Deal', '{document}') ORDER BY id"))
}

/// What a generated column held tells what it is made of.
#[test]
fn generated_columns_are_not_in_it() {
    let mut w = world();
    let mut boss = w.acting(BOSS);
    run(
        &mut boss,
        "INSERT INTO deal (name, amount, margin) VALUES ('D1', 10, 7); INSERT INTO item (code, parent, price, cost) VALUES ('I1', 'D1', 5, 3)",
    );
    run(&mut boss, "UPDATE deal SET margin = 8; UPDATE deal SET amount = 11; UPDATE item SET cost = 4");
    run(&mut boss, "DELETE FROM item");
    assert_eq!(
        told(&mut w.acting(ANN), "D1"),
        [
            "insert",
            r#"insert I1 {"code": {"new": "I1"}, "price": {"new": 5}}"#,
            r#"update {"amount": {"new": 11, "old": 10}}"#,
            r#"delete I1 {"code": {"old": "I1"}, "price": {"old": 5}}"#,
        ]
    );
    let everything = told(&mut boss, "D1").concat();
    assert!(everything.contains("margin") && everything.contains("cost"), "{everything}");
    let stored = "SELECT string_agg(changes::text, ' ') FROM docperm.document_changes";
    let stored = one(&mut w.admin, stored);
    for generated in ["profit", "twice", "total"] {
        assert!(!stored.contains(generated), "{stored}");
    }
    // The column that names rows has a level like others.
    w.sql("SELECT docperm.set_field('Item', 'code', permlevel => 1)");
    assert!(!told(&mut w.acting(ANN), "D1").concat().contains("I1"));
    assert!(told(&mut boss, "D1").concat().contains("insert I1"));
}
