//! Who is told what of a history: by the levels of what columns are made of, and by what a transaction sees that began before.

use crate::levels::level;
use crate::support::{World, attempt, one, refused_with, texts};
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

/// Whether a document may be read is asked of the row that the transaction sees. What happened to it since it went to another
/// team is nothing that this row tells.
#[test]
fn whoever_sees_an_older_state_is_told_an_older_history() {
    let mut w = world();
    w.allow(ANN, "Team", "A");
    w.sql("UPDATE docperm.users SET document_follow_notify = true");
    let history = "SELECT action, changes FROM docperm.document_history('Deal', 'D1')";
    let mine = "SELECT action, changes FROM docperm.my_document_follow_digest(now() - interval '1 hour') WHERE document = 'D1'";
    let ways = [
        ("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM deal", history, mine),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT FROM deal", history, mine),
        (
            "BEGIN; DECLARE c CURSOR FOR {history}; DECLARE d CURSOR FOR {mine}",
            "FETCH ALL FROM c",
            "FETCH ALL FROM d",
        ),
    ];
    for (begin, history_of_then, mine_of_then) in ways {
        w.sql("DELETE FROM deal; INSERT INTO deal (name, team, amount) VALUES ('D1', 'A', 1)");
        let (mut ann, mut boss) = (w.acting(ANN), w.acting(BOSS));
        run(&mut ann, "SELECT docperm.follow('Deal', 'D1')");
        run(&mut boss, "UPDATE deal SET amount = 2");
        run(&mut ann, &begin.replace("{history}", history).replace("{mine}", mine));
        run(&mut boss, "UPDATE deal SET team = 'B'");
        run(&mut boss, "UPDATE deal SET amount = 777");
        // Another document of that name, too.
        run(&mut boss, "DELETE FROM deal; INSERT INTO deal (name, team, amount) VALUES ('D1', 'B', 1)");
        run(&mut boss, "UPDATE deal SET amount = 778");
        let then = texts(&mut ann, history_of_then);
        let changed = r#"update|{"amount": {"new": 2, "old": 1}}"#;
        assert_eq!(then, [changed, "insert|NULL"], "{begin}");
        assert_eq!(texts(&mut ann, mine_of_then).concat().replace(changed, ""), "", "{begin}");
        run(&mut ann, "COMMIT");
        assert!(texts(&mut ann, history).is_empty() && texts(&mut ann, mine).is_empty(), "{begin}");
    }
}

/// The mailer, whose transaction may have begun before, tells what each may read now, and leaves nothing out.
#[test]
fn a_digest_is_of_what_may_be_read_now_whatever_its_transaction_sees() {
    let mut w = world();
    w.allow(ANN, "Team", "A");
    w.sql("UPDATE docperm.users SET document_follow_notify = true WHERE name = 'ann@erp.test'");
    let digest = "SELECT document, changes FROM docperm.document_follow_digest() ORDER BY document";
    for isolation in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        w.sql(
            "DELETE FROM deal; INSERT INTO deal (name, team, amount) VALUES ('D1', 'A', 1), ('D2', 'A', 1)",
        );
        let (mut ann, mut boss, mut mailer) = (w.acting(ANN), w.acting(BOSS), w.db.admin());
        run(&mut ann, "SELECT docperm.follow('Deal', d) FROM unnest('{D1,D2}'::text[]) AS d");
        texts(&mut mailer, digest);
        run(&mut mailer, &format!("BEGIN ISOLATION LEVEL {isolation}; SELECT FROM deal"));
        run(&mut boss, "UPDATE deal SET team = 'B' WHERE name = 'D1'");
        run(&mut boss, "UPDATE deal SET amount = 777");
        let expected = [r#"D2|{"amount": {"new": 777, "old": 1}}"#];
        assert_eq!(texts(&mut mailer, digest), expected, "{isolation}");
        run(&mut mailer, "COMMIT");
        assert!(texts(&mut mailer, digest).is_empty(), "{isolation}");
    }
}

/// Two sessions, one of which sees an older state.
#[test]
fn whoever_sees_an_older_state_writes_the_same_history() {
    let mut w = world();
    for isolation in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        w.sql(
            "DELETE FROM item; DELETE FROM deal; DELETE FROM docperm.document_changes;
               INSERT INTO deal (name, amount) SELECT 'D' || i, 1 FROM generate_series(1, 6) AS i",
        );
        let (mut old, mut new) = (w.acting(BOSS), w.acting(BOSS));
        let sees_all = isolation == "READ COMMITTED";
        let begin = format!("BEGIN ISOLATION LEVEL {isolation}; SELECT FROM deal, item");

        // What each has changed is there, and his own at once.
        run(&mut old, &begin);
        run(&mut new, "UPDATE deal SET amount = 2 WHERE name = 'D1'");
        run(&mut old, "UPDATE deal SET amount = 3 WHERE name = 'D2'");
        assert_eq!(told(&mut old, "D2"), ["insert", r#"update {"amount": {"new": 3, "old": 1}}"#]);
        assert_eq!(told(&mut new, "D2"), ["insert"]);
        assert_eq!(told(&mut old, "D1").len(), if sees_all { 2 } else { 1 });
        // The same document is changed by one of them, or by one after the other.
        if sees_all {
            run(&mut old, "UPDATE deal SET amount = 4 WHERE name = 'D1'; COMMIT");
        } else {
            assert_eq!(refused_with(&mut old, "UPDATE deal SET amount = 4 WHERE name = 'D1'"), "40001");
            run(&mut old, "ROLLBACK");
        }
        let (ones, twos) = if sees_all { (3, 2) } else { (2, 1) };
        assert_eq!((told(&mut new, "D1").len(), told(&mut new, "D2").len()), (ones, twos), "{isolation}");

        // A document is deleted, or renamed, with rows that came unseen: so is what is written of them.
        run(&mut old, &begin);
        run(&mut new, "INSERT INTO item (code, parent) VALUES ('I3', 'D3'), ('I4', 'D4')");
        run(
            &mut old,
            "DELETE FROM deal WHERE name = 'D3'; UPDATE deal SET name = 'D9' WHERE name = 'D4'; COMMIT",
        );
        let open = |w: &mut World, document: &str| {
            let open = "SELECT count(*) FROM docperm.document_changes WHERE NOT gone AND document";
            one(&mut w.admin, &format!("{open} = '{document}'"))
        };
        assert_eq!(
            [open(&mut w, "D3"), open(&mut w, "D4"), open(&mut w, "D9")],
            ["0", "0", "3"],
            "{isolation}"
        );
        w.sql("DELETE FROM item");
        run(&mut new, "INSERT INTO deal (name) VALUES ('D3'), ('D4')");
        assert_eq!([told(&mut new, "D3"), told(&mut new, "D4")], [["insert"], ["insert"]], "{isolation}");

        // A name that became free meanwhile.
        run(&mut old, &begin);
        run(&mut new, "DELETE FROM deal WHERE name = 'D5'; UPDATE deal SET name = 'D7' WHERE name = 'D6'");
        run(&mut old, "INSERT INTO deal (name) VALUES ('D5'), ('D6'); COMMIT");
        assert_eq!([told(&mut new, "D5"), told(&mut new, "D6")], [["insert"], ["insert"]], "{isolation}");
        assert_eq!(told(&mut new, "D7").len(), 2, "{isolation}");
    }
}
