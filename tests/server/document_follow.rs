//! Following documents: who follows what, and that a follower is told nothing that he may not read.

use crate::support::{World, attempt, one, refused_with, set_user, table, texts};
use docperm_testkit::refused;
use postgres::Client;

const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";

/// Ann and Bob read and write tasks, of level 0; both want to hear of them. Kim reads none.
fn world() -> World {
    let mut w = World::new(
        "CREATE TABLE team (name text PRIMARY KEY);
         CREATE TABLE task (name text PRIMARY KEY, team text REFERENCES team, title text, cost int);
         CREATE TABLE step (parent text REFERENCES task ON UPDATE CASCADE ON DELETE CASCADE, title text);
         CREATE TABLE memo (name text PRIMARY KEY);
         INSERT INTO team VALUES ('A'), ('B');
         SELECT docperm.protect('team', 'Team'), docperm.protect('task', 'Task', track_changes => true), docperm.protect('memo', 'Memo'),
                docperm.protect('step', 'Step', parent_doctype => 'Task', parent_column => 'parent'),
                docperm.set_field('Task', 'cost', permlevel => 1);
         INSERT INTO task VALUES ('T1', 'A', 'one', 1), ('T2', 'B', 'two', 2), ('T3', NULL, 'three', 3);
         INSERT INTO memo VALUES ('M1');",
    );
    for user in [ANN, BOB] {
        w.user(user, &["Worker"]);
    }
    w.user("kim@erp.test", &["Nobody"]);
    for doctype in ["Task", "Memo", "Team"] {
        w.rule(doctype, "Worker", "{read,write,create,delete,share}");
    }
    w.sql("UPDATE docperm.users SET document_follow_notify = true WHERE name LIKE '%@%'");
    w
}

fn follows(w: &World, user: &str) -> Vec<String> {
    texts(&mut w.acting(user), "SELECT doctype || ' ' || document FROM docperm.my_follows()")
}

/// A digest for all, by the mailer.
fn digest(c: &mut Client, arguments: &str) -> Vec<String> {
    let digest = format!(
        "SELECT concat_ws(' ', split_part(user_name, '@', 1), document, action, child_doctype, changed_by, changes)
           FROM docperm.document_follow_digest({arguments})"
    );
    texts(c, &digest)
}

fn act(w: &World, user: &str, statement: &str) {
    attempt(&mut w.acting(user), statement).unwrap_or_else(|error| panic!("{statement}\n{error:#?}"));
}

#[test]
fn one_follows_what_one_may_read_and_wants_to_hear_of() {
    let mut w = world();
    w.allow(ANN, "Team", "A");
    let mut c = w.acting(ANN);
    assert_eq!(one(&mut c, "SELECT docperm.is_following('Task', 'T1')"), "f");
    assert_eq!(one(&mut c, "SELECT docperm.follow('Task', 'T1')"), "t");
    assert_eq!(one(&mut c, "SELECT docperm.follow('Task', 'T1')"), "f");
    assert_eq!(one(&mut c, "SELECT docperm.is_following('Task', 'T1')"), "t");
    assert_eq!(follows(&w, ANN), ["Task T1"]);
    let hidden = refused(&mut c, "SELECT docperm.follow('Task', 'T2')");
    assert_eq!(hidden.sqlstate, "42501");
    assert_eq!(
        hidden.message.replace("T2", "T99"),
        refused(&mut c, "SELECT docperm.follow('Task', 'T99')").message
    );
    for (statement, sqlstate) in [
        ("SELECT docperm.follow('Memo', 'M1')", "22023"),
        ("SELECT docperm.follow('Step', 'x')", "22023"),
        ("SELECT docperm.follow('Nope', 'x')", "42704"),
        ("SELECT docperm.follow('Task', '')", "22023"),
        ("SELECT docperm.follow(NULL, 'T1')", "22023"),
        ("SELECT docperm.follow('Task', 'T1', 'bob@erp.test')", "42501"),
        ("SELECT docperm.unfollow('Task', 'T1', 'bob@erp.test')", "42501"),
        ("SELECT docperm.set_document_follow(frequency => 'Sometimes')", "22023"),
        ("SELECT * FROM docperm.document_follows", "42501"),
        ("INSERT INTO docperm.document_follows VALUES ('Task', 'T2', 'ann@erp.test')", "42501"),
        ("SELECT * FROM docperm.document_follow_digest()", "42501"),
        ("SELECT docperm._is_readable_by('Task', 'T1', 'bob@erp.test')", "42501"),
        ("SELECT docperm._follow_by_flag('Task', 'T1', 'like', 'bob@erp.test')", "42501"),
    ] {
        assert_eq!(refused_with(&mut c, statement), sqlstate, "{statement}");
    }
    assert_eq!(one(&mut c, "SELECT docperm.unfollow('Task', 'T1')"), "t");
    assert_eq!(one(&mut c, "SELECT docperm.unfollow('Task', 'T1')"), "f");
    attempt(&mut c, "SELECT docperm.set_document_follow(notify => false)").unwrap();
    assert_eq!(refused_with(&mut c, "SELECT docperm.follow('Task', 'T1')"), "22023");
    for user in ["Administrator", "Guest"] {
        assert_eq!(
            refused_with(&mut w.acting(user), "SELECT docperm.follow('Task', 'T1')"),
            "22023",
            "{user}"
        );
    }
    let mut admin = w.acting("Administrator");
    assert_eq!(one(&mut admin, "SELECT docperm.follow('Task', 'T2', 'BOB@erp.test')"), "t");
    assert_eq!(refused_with(&mut admin, "SELECT docperm.follow('Task', 'T2', 'kim@erp.test')"), "42501");
    assert_eq!(refused_with(&mut admin, "SELECT docperm.follow('Task', 'T2', 'nobody@erp.test')"), "42704");
    assert_eq!(follows(&w, BOB), ["Task T2"]);
}

/// Acceptance case 112.
#[test]
fn each_flag_lets_its_event_follow_and_no_other() {
    let mut w = world();
    let flags = [
        ("created", "create"),
        ("commented", "comment"),
        ("liked", "like"),
        ("shared", "share"),
        ("assigned", "assign"),
    ];
    for (flag, event) in flags {
        w.sql("DELETE FROM docperm.document_follows");
        w.sql("UPDATE docperm.users SET follow_created_documents = false, follow_commented_documents = false, follow_liked_documents = false,
                      follow_shared_documents = false, follow_assigned_documents = false");
        act(&w, ANN, &format!("SELECT docperm.set_document_follow({flag} => true)"));
        for (_, other) in flags {
            w.sql("DELETE FROM docperm.document_follows");
            act(&w, ANN, &format!("SELECT docperm.note_document_event('Task', 'T1', '{other}')"));
            assert_eq!(follows(&w, ANN).len(), usize::from(event == other), "{flag}, {other}");
        }
        // Others let her follow by what concerns her, and are not told whether she does.
        w.sql("DELETE FROM docperm.document_follows");
        let to_ann = |event: &str| {
            format!("SELECT docperm.note_document_event('Task', 'T2', '{event}', 'ann@erp.test')")
        };
        for other in ["share", "assign"] {
            assert_eq!(table(&mut w.acting(BOB), &to_ann(other)), [[""]]);
        }
        assert_eq!(follows(&w, ANN).len(), usize::from(matches!(event, "share" | "assign")));
        for other in ["create", "comment", "like"] {
            assert_eq!(w.denied(BOB, &to_ann(other)), "42501", "{other}");
        }
    }
    assert_eq!(w.denied(ANN, "SELECT docperm.note_document_event('Task', 'T1', 'look')"), "22023");
    assert_eq!(
        w.denied(
            "kim@erp.test",
            "SELECT docperm.note_document_event('Task', 'T1', 'assign', 'ann@erp.test')"
        ),
        "42501"
    );
    // Nobody follows by a flag what he may not read, or what is not tracked, or without notify.
    w.sql("DELETE FROM docperm.document_follows; UPDATE docperm.users SET follow_assigned_documents = true, follow_liked_documents = true");
    act(
        &w,
        ANN,
        "SELECT docperm.note_document_event('Task', 'T1', 'assign', 'kim@erp.test'); SELECT docperm.note_document_event('Memo', 'M1', 'like')",
    );
    act(&w, "Administrator", "SELECT docperm.note_document_event('Task', 'T1', 'like')");
    w.sql("UPDATE docperm.users SET document_follow_notify = false WHERE name = 'ann@erp.test'");
    act(&w, ANN, "SELECT docperm.note_document_event('Task', 'T1', 'like')");
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.document_follows"), "0");
}

#[test]
fn made_and_shared_documents_are_followed_by_themselves() {
    let mut w = world();
    act(&w, ANN, "INSERT INTO task VALUES ('N0')");
    act(&w, ANN, "SELECT docperm.set_document_follow(created => true)");
    act(
        &w,
        ANN,
        "INSERT INTO task VALUES ('N1'), ('N2'); INSERT INTO step VALUES ('N1', 'x'); INSERT INTO memo VALUES ('M2')",
    );
    act(&w, BOB, "INSERT INTO task VALUES ('N3')");
    assert_eq!(follows(&w, ANN), ["Task N1", "Task N2"]);
    act(&w, ANN, "BEGIN; INSERT INTO task VALUES ('N4'); ROLLBACK");
    act(&w, ANN, "UPDATE task SET name = 'N9' WHERE name = 'N1'; DELETE FROM task WHERE name = 'N2'");
    act(&w, BOB, "INSERT INTO task VALUES ('N2')");
    assert_eq!(follows(&w, ANN), ["Task N9"], "follows go with their document");

    w.sql("UPDATE docperm.users SET follow_shared_documents = true");
    act(
        &w,
        BOB,
        "SELECT docperm.share('Task', 'T3', 'kim@erp.test'), docperm.share('Memo', 'M1', 'kim@erp.test'), docperm.share('Task', 'T2', everyone => true)",
    );
    assert_eq!(follows(&w, "kim@erp.test"), ["Task T3"]);
    w.sql("UPDATE docperm.users SET name = 'tim@erp.test' WHERE name = 'kim@erp.test'; UPDATE docperm.doctypes SET name = 'Job' WHERE name = 'Task'");
    assert_eq!(follows(&w, "tim@erp.test"), ["Job T3"]);
    w.sql("DELETE FROM docperm.users WHERE name = 'tim@erp.test'; SELECT docperm.unprotect('step'), docperm.unprotect('task')");
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.document_follows"), "0");
}

#[test]
fn a_digest_tells_each_follower_what_he_may_read_and_did_not_do_himself() {
    let mut w = world();
    w.sql("INSERT INTO docperm.roles (name) VALUES ('Boss'); INSERT INTO docperm.role_permissions (doctype, role, permlevel, rights) VALUES ('Task', 'Boss', 0, '{read}'), ('Task', 'Boss', 1, '{read,write}');
           INSERT INTO docperm.user_roles VALUES ('bob@erp.test', 'Boss');");
    act(&w, ANN, "UPDATE task SET title = 'before he follows' WHERE name = 'T1'");
    for user in [ANN, BOB] {
        act(&w, user, "SELECT docperm.follow('Task', 'T1'), docperm.follow('Task', 'T2')");
    }
    act(
        &w,
        BOB,
        "UPDATE task SET title = 'bob''s', cost = 9 WHERE name IN ('T1', 'T3'); UPDATE task SET cost = 10 WHERE name = 'T1'",
    );
    act(
        &w,
        ANN,
        "UPDATE task SET title = 'ann''s' WHERE name = 'T2'; INSERT INTO step VALUES ('T1', 'first')",
    );
    let app = w.app_role.clone();
    w.sql(&format!(
        "GRANT EXECUTE ON FUNCTION docperm.document_follow_digest(text, timestamptz, integer) TO {app}"
    ));
    let mut mailer = w.app();
    let for_ann = r#"ann T1 update bob@erp.test {"title": {"new": "bob's", "old": "before he follows"}}"#;
    let for_bob = [
        r#"bob T1 insert Step ann@erp.test {"title": {"new": "first"}}"#,
        r#"bob T2 update ann@erp.test {"title": {"new": "ann's", "old": "two"}}"#,
    ];
    let everything = [for_ann, for_bob[0], for_bob[1]];
    assert_eq!(digest(&mut mailer, "since => now() - interval '1 minute'"), everything);
    assert!(digest(&mut mailer, "since => now()").is_empty());
    assert!(digest(&mut mailer, "'Weekly', now() - interval '1 minute'").is_empty());
    assert_eq!(
        refused_with(&mut mailer, "SELECT * FROM docperm.document_follow_digest('Sometimes')"),
        "22023"
    );
    let own = "SELECT document, changed_by FROM docperm.my_document_follow_digest()";
    assert_eq!(texts(&mut w.acting(ANN), own), ["T1|bob@erp.test"]);
    assert!(texts(&mut w.acting("kim@erp.test"), own).is_empty());
    assert!(texts(&mut w.app(), own).is_empty());

    // What was told is not told again; what was not sent because the transaction failed is.
    attempt(&mut mailer, "BEGIN").unwrap();
    assert_eq!(digest(&mut mailer, ""), everything);
    attempt(&mut mailer, "ROLLBACK").unwrap();
    w.sql("UPDATE docperm.users SET document_follow_frequency = 'Hourly' WHERE name = 'bob@erp.test'");
    assert_eq!(digest(&mut mailer, "'Hourly'"), for_bob);
    assert_eq!(digest(&mut mailer, ""), [for_ann]);
    assert!(digest(&mut mailer, "").is_empty());
    act(&w, BOB, "UPDATE task SET title = 'again' WHERE name = 'T1'");
    assert_eq!(
        digest(&mut mailer, ""),
        [r#"ann T1 update bob@erp.test {"title": {"new": "again", "old": "bob's"}}"#]
    );
}

#[test]
fn what_is_committed_after_a_digest_is_in_the_next_one() {
    let mut w = world();
    act(&w, ANN, "SELECT docperm.follow('Task', 'T1')");
    let mut bob = w.acting(BOB);
    attempt(&mut bob, "BEGIN; UPDATE task SET title = 'slow' WHERE name = 'T1'").unwrap();
    act(&w, BOB, "INSERT INTO step VALUES ('T1', 'quick')");
    let told = r#"ann T1 insert Step bob@erp.test {"title": {"new": "quick"}}"#;
    assert_eq!(digest(&mut w.admin, ""), [told]);
    attempt(&mut bob, "COMMIT").unwrap();
    assert_eq!(digest(&mut w.admin, "").len(), 1);
    assert!(digest(&mut w.admin, "").is_empty());

    // In a restored database transactions are counted anew.
    for far in ["1000000000000", "3"] {
        w.sql(&format!(
            "UPDATE docperm.document_changes SET transaction_id = '{far}', at = at - interval '1 hour';
             UPDATE docperm.document_follows SET since = since - interval '1 day';
             UPDATE docperm.document_follow_digests SET told_snapshot = '{far}0:{far}0:', told_at = told_at - interval '30 minutes'"
        ));
        assert!(digest(&mut w.admin, "").is_empty(), "{far}");
        act(&w, BOB, "UPDATE task SET title = title || '!' WHERE name = 'T1'");
        assert_eq!(digest(&mut w.admin, "").len(), 1, "{far}");
        assert!(digest(&mut w.admin, "").is_empty(), "{far}");
    }
}

#[test]
fn it_stops_telling_when_the_permission_is_lost() {
    let mut w = world();
    let since = "since => now() - interval '1 minute'";
    act(&w, ANN, "SELECT docperm.follow('Task', 'T1'), docperm.follow('Task', 'T2')");
    act(&w, BOB, "UPDATE task SET title = 'new'");
    let mut ann = w.acting(ANN);
    ann.batch_execute("PREPARE own AS SELECT document FROM docperm.my_document_follow_digest() ORDER BY 1")
        .unwrap();
    assert_eq!(digest(&mut w.admin, since).len(), 2);
    assert_eq!(texts(&mut ann, "EXECUTE own"), ["T1", "T2"]);
    w.allow(ANN, "Team", "A");
    assert_eq!(digest(&mut w.admin, since).len(), 1);
    assert_eq!(texts(&mut ann, "EXECUTE own"), ["T1"]);
    w.sql("UPDATE task SET team = 'B' WHERE name = 'T1'");
    assert!(digest(&mut w.admin, since).is_empty());
    assert!(texts(&mut ann, "EXECUTE own").is_empty());
    w.sql("UPDATE task SET team = 'A' WHERE name = 'T1'");
    assert!(!digest(&mut w.admin, since).is_empty());
    // A title that is raised to a level that Ann has not; what is left is what others did to the team.
    w.sql("SELECT docperm.set_field('Task', 'title', permlevel => 1)");
    assert!(!digest(&mut w.admin, since).concat().contains("title"));
    w.sql("SELECT docperm.set_field('Task', 'title', permlevel => 0)");
    // Rows that belong to a document are told to those who may read its name.
    act(&w, BOB, "INSERT INTO step VALUES ('T1', 'more')");
    let app = w.app_role.clone();
    w.sql(&format!("REVOKE SELECT ON task FROM {app}"));
    assert!(texts(&mut ann, "EXECUTE own").is_empty(), "the database role may not read the table");
    w.sql(&format!("GRANT SELECT (name) ON task TO {app}"));
    assert!(
        texts(
            &mut ann,
            "SELECT * FROM docperm.my_document_follow_digest() WHERE child_doctype IS NULL AND changes::text LIKE '%title%'"
        )
        .is_empty()
    );
    w.sql("DELETE FROM docperm.user_roles WHERE user_name = 'ann@erp.test'");
    assert!(digest(&mut w.admin, since).is_empty());
    w.sql("INSERT INTO docperm.user_roles VALUES ('ann@erp.test', 'Worker')");
    assert!(!digest(&mut w.admin, since).is_empty());
    for flag in ["enabled", "document_follow_notify"] {
        w.sql(&format!("UPDATE docperm.users SET {flag} = false WHERE name = 'ann@erp.test'"));
        assert!(digest(&mut w.admin, since).is_empty(), "{flag}");
        w.sql(&format!("UPDATE docperm.users SET {flag} = true WHERE name = 'ann@erp.test'"));
    }
    // Another document of the name is another document.
    w.sql("DELETE FROM task WHERE name = 'T1'; INSERT INTO task VALUES ('T1', 'A')");
    assert!(digest(&mut w.admin, since).is_empty());
}

#[test]
fn who_begins_to_follow_a_document_while_it_goes_is_told_nothing_of_it() {
    let mut w = world();
    let mut ann = w.acting(ANN);
    attempt(&mut ann, "BEGIN; SELECT docperm.follow('Task', 'T1')").unwrap();
    act(&w, BOB, "DELETE FROM task WHERE name = 'T1'");
    attempt(&mut ann, "COMMIT").unwrap();
    act(
        &w,
        BOB,
        "INSERT INTO task VALUES ('T1', 'A', 'another'); UPDATE task SET title = 'changed' WHERE name = 'T1'",
    );
    let told = digest(&mut w.admin, "since => now() - interval '1 minute'");
    assert!(!told.concat().contains("delete") && !told.concat().contains("one"), "{told:?}");
}

#[test]
fn what_somebody_else_did_in_ones_name_one_is_told() {
    let mut w = world();
    w.sql("SELECT docperm.set_password('Administrator', 'Correct-Horse-9')");
    act(&w, ANN, "SELECT docperm.follow('Task', 'T1')");
    act(&w, BOB, "SELECT docperm.follow('Task', 'T1')");
    let mut c = w.app();
    attempt(&mut c, "SELECT docperm.login('Administrator', 'Correct-Horse-9'); SELECT docperm.impersonate('ann@erp.test', 'to look')").unwrap();
    attempt(&mut c, "UPDATE task SET title = 'by another' WHERE name = 'T1'").unwrap();
    let told = texts(
        &mut w.admin,
        "SELECT user_name, changed_by, impersonated_by FROM docperm.document_follow_digest()",
    );
    assert_eq!(told, ["ann@erp.test|ann@erp.test|Administrator", "bob@erp.test|ann@erp.test|Administrator"]);
}

/// Acceptance case 112: at most 20 documents.
#[test]
fn a_digest_is_of_twenty_documents_at_most() {
    let mut w = world();
    act(
        &w,
        ANN,
        "SELECT docperm.set_document_follow(created => true); INSERT INTO task (name) SELECT 'N' || i FROM generate_series(1, 25) i",
    );
    for i in 1..=25 {
        act(
            &w,
            BOB,
            &format!(
                "UPDATE task SET title = 'x' WHERE name = 'N{i}'; UPDATE task SET title = 'y' WHERE name = 'N{i}'"
            ),
        );
    }
    let documents = |c: &mut Client, arguments: &str| {
        texts(
            c,
            &format!(
                "SELECT DISTINCT substr(document, 2)::int FROM docperm.document_follow_digest({arguments}) ORDER BY 1"
            ),
        )
    };
    let latest: Vec<String> = (6..=25).map(|i| i.to_string()).collect();
    assert_eq!(documents(&mut w.admin, "since => now() - interval '1 hour'"), latest);
    assert_eq!(
        documents(&mut w.admin, "since => now() - interval '1 hour', max_documents => 2"),
        ["24", "25"]
    );
    assert_eq!(
        documents(&mut w.admin, "since => now() - interval '1 hour', max_documents => NULL").len(),
        25
    );
    assert!(documents(&mut w.admin, "since => now() - interval '1 hour', max_documents => -1").is_empty());
    set_user(&mut w.admin, ANN);
    assert_eq!(
        one(&mut w.admin, "SELECT count(DISTINCT document) FROM docperm.my_document_follow_digest()"),
        "20"
    );
}
