//! Recertification: what is reviewed, who may decide, that a decision stays, and what it does. And roles that nobody may hold
//! together, however he comes by them.

use crate::attempts::wait_until;
use crate::login::{ANN, BOB, RIGHT, log_in, world as with_passwords};
use crate::support::{World, attempt, names, one, refused_with, run, set_user, table, texts};
use docperm_testkit::server;

const BOSS: &str = "boss@erp.test";
const EVE: &str = "eve@erp.test";

fn world() -> World {
    let mut w = World::new(
        "CREATE TABLE company (name text PRIMARY KEY);
         INSERT INTO company VALUES ('C1');
         SELECT docperm.protect('company', 'Company');",
    );
    w.user(ANN, &["Clerk", "Approver"]);
    w.user(BOB, &["Clerk"]);
    w.user(BOSS, &["System Manager"]);
    w.user(EVE, &["System Manager"]);
    w
}

fn give(user: &str, role: &str) -> String {
    format!("INSERT INTO docperm.user_roles VALUES ('{user}', '{role}')")
}

// Separation of duties --------------------------------------------------------------------

/// `Clerk` and `Approver` are kept apart; Ann has both already.
fn separated() -> World {
    let mut w = world();
    w.sql("SELECT docperm.separate_duties('Clerk', 'Approver', reason => 'Who enters does not approve.')");
    w
}

#[test]
fn who_holds_what_is_kept_apart_is_reported() {
    let mut w = separated();
    w.sql(
        "INSERT INTO docperm.roles (name) VALUES ('Auditor');
         SELECT docperm.separate_duties('System Manager', 'Auditor', 'warn');
         INSERT INTO docperm.role_profiles VALUES ('Control');
         INSERT INTO docperm.role_profile_roles VALUES ('Control', 'Auditor'), ('Control', 'System Manager');
         INSERT INTO docperm.user_role_profiles VALUES ('eve@erp.test', 'Control');",
    );
    let asked = "SELECT user_name, role_a, role_b, mode, reason, role_a_from, role_b_from FROM docperm.separation_of_duties_violations";
    let ann = [ANN, "Approver", "Clerk", "refuse", "Who enters does not approve.", "{}", "{}"];
    let eve = [EVE, "Auditor", "System Manager", "warn", "NULL", "{Control}", "{Control}"];
    let mut boss = w.acting(BOSS);
    assert_eq!(table(&mut boss, &format!("{asked}()")), [ann, eve]);
    w.sql("UPDATE docperm.users SET enabled = false WHERE name = 'ann@erp.test'");
    assert_eq!(table(&mut boss, &format!("{asked}()")), [eve]);
    assert_eq!(table(&mut boss, &format!("{asked}(include_disabled => true)")), [ann, eve]);
    w.sql("UPDATE docperm.roles SET disabled = true WHERE name = 'Auditor'");
    assert_eq!(table(&mut boss, &format!("{asked}(true)")), [ann]);
    w.sql("DELETE FROM docperm.separation_of_duties");
    assert_eq!(table(&mut boss, &format!("{asked}(true)")), [[""; 7]; 0]);
}

#[test]
fn nobody_gets_what_is_kept_apart_in_any_way() {
    let mut w = separated();
    w.sql(
        "INSERT INTO docperm.roles (name) VALUES ('Other');
         INSERT INTO docperm.role_profiles VALUES ('Entry'), ('Approval');
         INSERT INTO docperm.role_profile_roles VALUES ('Entry', 'Clerk'), ('Approval', 'Approver');
         INSERT INTO docperm.users (name) VALUES ('new@erp.test'), ('two@erp.test');
         INSERT INTO docperm.user_role_profiles VALUES ('new@erp.test', 'Entry');",
    );
    let refused = [
        give(BOB, "Approver"),
        "INSERT INTO docperm.user_roles SELECT 'two@erp.test', r FROM unnest('{Approver,Clerk}'::text[]) AS r".into(),
        format!("{}, ('bob@erp.test', 'Approver')", give("two@erp.test", "Other")),
        "UPDATE docperm.user_roles SET user_name = 'bob@erp.test' WHERE user_name = 'ann@erp.test' AND role = 'Approver'".into(),
        format!("{} ; UPDATE docperm.user_roles SET role = 'Approver' WHERE user_name = 'bob@erp.test' AND role = 'Other'", give(BOB, "Other")),
        "INSERT INTO docperm.user_role_profiles VALUES ('new@erp.test', 'Approval')".into(),
        "INSERT INTO docperm.role_profile_roles VALUES ('Entry', 'Approver')".into(),
        "INSERT INTO docperm.role_profiles VALUES ('Both'); INSERT INTO docperm.role_profile_roles VALUES ('Both', 'Approver'), ('Both', 'Clerk')".into(),
        // What was disabled when it was given.
        "UPDATE docperm.roles SET disabled = true WHERE name = 'Approver';
         INSERT INTO docperm.user_roles VALUES ('bob@erp.test', 'Approver');
         UPDATE docperm.roles SET disabled = false WHERE name = 'Approver'".into(),
        "UPDATE docperm.roles SET disabled = true WHERE name = 'Approver';
         INSERT INTO docperm.user_roles VALUES ('bob@erp.test', 'Approver');
         UPDATE docperm.roles SET disabled = false, name = 'Approver 2' WHERE name = 'Approver'".into(),
        "UPDATE docperm.users SET enabled = false WHERE name = 'ann@erp.test';
         UPDATE docperm.users SET enabled = true WHERE name = 'ann@erp.test'".into(),
    ];
    for statement in &refused {
        let error = attempt(&mut w.admin, &format!("BEGIN; {statement}")).expect_err(statement);
        assert_eq!(error.sqlstate, "23514", "{statement}: {error:#?}");
        assert!(
            error.message.ends_with(r#"may not hold the roles "Approver" and "Clerk" together"#)
                || error.message.contains("Approver 2"),
            "{error:#?}"
        );
        assert_eq!(error.detail.as_deref(), Some("Who enters does not approve."));
        w.sql("ROLLBACK");
    }
    // What has nothing to do with it goes on, and who had both keeps them, also under another name.
    w.sql(
        "UPDATE docperm.users SET name = 'anna@erp.test' WHERE name = 'ann@erp.test';
         UPDATE docperm.roles SET name = 'Clerks' WHERE name = 'Clerk';
         UPDATE docperm.role_profiles SET name = 'Entering' WHERE name = 'Entry';
         INSERT INTO docperm.user_roles VALUES ('anna@erp.test', 'Other');
         INSERT INTO docperm.user_roles VALUES ('Administrator', 'Clerks'), ('Administrator', 'Approver');
         UPDATE docperm.user_roles SET role = role;
         UPDATE docperm.users SET enabled = enabled;",
    );
    assert_eq!(refused_with(&mut w.admin, &give(BOB, "Approver")), "23514");
    // With the mode warn, everybody may, and is reported.
    w.sql("UPDATE docperm.separation_of_duties SET mode = 'warn'");
    w.sql(&give(BOB, "Approver"));
    let users = "SELECT user_name FROM docperm.separation_of_duties_violations()";
    assert_eq!(texts(&mut w.admin, users), ["anna@erp.test", BOB]);
}

#[test]
fn two_who_give_a_role_each_at_the_same_time_do_not_get_past_it() {
    for isolation in ["READ COMMITTED", "REPEATABLE READ"] {
        let mut w = separated();
        w.sql("INSERT INTO docperm.users (name) VALUES ('two@erp.test')");
        let (mut first, mut second) = (w.db.admin(), w.db.admin());
        first
            .batch_execute(&format!("BEGIN ISOLATION LEVEL {isolation}; {}", give("two@erp.test", "Clerk")))
            .unwrap();
        second.batch_execute(&format!("BEGIN ISOLATION LEVEL {isolation}; SELECT 1")).unwrap();
        let pid = one(&mut second, "SELECT pg_backend_pid()");
        let waiting = std::thread::spawn(move || {
            attempt(&mut second, &give("two@erp.test", "Approver")).err().map(|e| e.sqlstate)
        });
        wait_until(&mut w, &format!("SELECT count(*) > 0 FROM pg_locks WHERE pid = {pid} AND NOT granted"));
        first.batch_execute("COMMIT").unwrap();
        let sqlstate = waiting.join().unwrap().expect("the second must not get through");
        assert_eq!(sqlstate, if isolation == "READ COMMITTED" { "23514" } else { "40001" });
    }
}

#[test]
fn rules_of_separation_are_checked_and_logged() {
    let mut w = world();
    let mut boss = w.acting(BOSS);
    let rule = |arguments: &str| format!("SELECT docperm.separate_duties({arguments})");
    for (arguments, sqlstate) in [
        ("'Clerk', 'Clerk'", "22023"),
        ("'Clerk', 'Nonsense'", "42704"),
        ("'Clerk', NULL", "42704"),
        ("'Clerk', 'All'", "22023"),
        ("'Administrator', 'Clerk'", "22023"),
        ("'Clerk', 'Approver', 'never'", "22023"),
        ("'Clerk', 'Approver', NULL", "22023"),
    ] {
        assert_eq!(refused_with(&mut boss, &rule(arguments)), sqlstate, "{arguments}");
    }
    for user in [ANN, "Guest"] {
        assert_eq!(refused_with(&mut w.acting(user), &rule("'Clerk', 'Approver'")), "42501");
        let report = "SELECT * FROM docperm.separation_of_duties_violations()";
        assert_eq!(refused_with(&mut w.acting(user), report), "42501");
    }
    one(&mut boss, &rule("'Clerk', 'Approver', 'warn', 'So it is'"));
    // The same two the other way round are the same rule.
    one(&mut boss, &rule("'Approver', 'Clerk'"));
    assert_eq!(
        table(&mut w.admin, "SELECT role_a, role_b, mode, reason FROM docperm.separation_of_duties"),
        [["Approver", "Clerk", "refuse", "So it is"]]
    );
    let twice = "INSERT INTO docperm.separation_of_duties (role_a, role_b) VALUES ('Clerk', 'Approver')";
    assert_eq!(refused_with(&mut w.admin, twice), "23505");
    let logged = "SELECT changed_by, action, changes -> 'mode' ->> 'to' FROM docperm.permission_log
                   WHERE object_type = 'Separation of Duties' ORDER BY id";
    assert_eq!(table(&mut w.admin, logged), [[BOSS, "Added", "warn"], [BOSS, "Updated", "refuse"]]);
}

// Reviews ---------------------------------------------------------------------------------

fn started(w: &World, arguments: &str) -> String {
    one(&mut w.acting(BOSS), &format!("SELECT docperm.start_access_review({arguments})"))
}

#[test]
fn a_review_is_about_what_users_held_when_it_began() {
    let mut w = separated();
    w.allow(ANN, "Company", "C1");
    w.sql(
        "UPDATE docperm.users SET last_login = '2026-01-02 00:00:00+00' WHERE name = 'ann@erp.test';
         INSERT INTO docperm.shares (doctype, document, user_name, rights) VALUES ('Company', 'C1', 'bob@erp.test', '{read}');
         INSERT INTO docperm.role_profiles VALUES ('Office');
         INSERT INTO docperm.role_profile_roles VALUES ('Office', 'Clerk');
         INSERT INTO docperm.user_role_profiles VALUES ('bob@erp.test', 'Office');
         INSERT INTO docperm.users (name, enabled) VALUES ('off@erp.test', false);
         INSERT INTO docperm.user_roles VALUES ('off@erp.test', 'Clerk'), ('Administrator', 'Clerk');",
    );
    let review = started(&w, "'2026, first quarter'");
    w.sql("DELETE FROM docperm.user_roles WHERE user_name = 'ann@erp.test' AND role = 'Approver'");
    let asked = |review: &str| {
        format!(
            "SELECT user_name, role, role_profiles, user_permissions, shares, (last_login AT TIME ZONE 'UTC')::date, conflicts, still_held, decision
               FROM docperm.access_review({review})"
        )
    };
    assert_eq!(
        table(&mut w.acting(EVE), &asked(&review)),
        [
            [ANN, "Approver", "{}", "1", "0", "2026-01-02", "{Clerk}", "f", "NULL"],
            [ANN, "Clerk", "{}", "1", "0", "2026-01-02", "{Approver}", "t", "NULL"],
            [BOB, "Clerk", "{Office}", "0", "1", "NULL", "{}", "t", "NULL"],
            [BOSS, "System Manager", "{}", "0", "0", "NULL", "{}", "t", "NULL"],
            [EVE, "System Manager", "{}", "0", "0", "NULL", "{}", "t", "NULL"],
        ]
    );
    let mut of = |arguments: &str| {
        let review = started(&w, arguments);
        texts(&mut w.admin, &format!("SELECT user_name || ' ' || role FROM docperm.access_review({review})"))
    };
    assert_eq!(of("'Clerks', role => 'Clerk'"), ["ann@erp.test Clerk", "bob@erp.test Clerk"]);
    assert_eq!(of("'Ann', user_name => 'ANN@erp.test'"), ["ann@erp.test Clerk"]);
    assert_eq!(of("'Visitors', user_type => 'Website User'"), [""; 0]);
    for (arguments, sqlstate) in [
        ("''", "22023"),
        ("NULL", "22023"),
        ("'x', role => 'y'", "42704"),
        ("'x', user_name => 'y'", "42704"),
    ] {
        let sql = format!("SELECT docperm.start_access_review({arguments})");
        assert_eq!(refused_with(&mut w.acting(BOSS), &sql), sqlstate);
    }
    assert_eq!(refused_with(&mut w.acting(BOSS), "SELECT * FROM docperm.access_review(99)"), "42704");
}

#[test]
fn a_decision_is_signed_and_stays() {
    let w = world();
    let review = started(&w, "'2026'");
    let mut boss = w.acting(BOSS);
    let decide = |user: &str, rest: &str| format!("SELECT docperm.decide_access({review}, '{user}', {rest})");
    assert_eq!(one(&mut boss, &decide(ANN, "'revoke', 'Approver', 'left the team'")), "1");
    assert_eq!(one(&mut boss, &decide(ANN, "'keep'")), "1", "what was left");
    assert_eq!(one(&mut boss, &decide(BOB, "'keep', 'Clerk'")), "1");
    let decided = format!(
        "SELECT user_name, role, decision, reviewer, note, decided_at IS NOT NULL FROM docperm.access_review({review}) WHERE decision IS NOT NULL"
    );
    let expected = [
        [ANN, "Approver", "revoke", BOSS, "left the team", "t"],
        [ANN, "Clerk", "keep", BOSS, "NULL", "t"],
        [BOB, "Clerk", "keep", BOSS, "NULL", "t"],
    ];
    assert_eq!(table(&mut boss, &decided), expected);
    for (user, rest) in [
        (ANN, "'keep', 'Approver'"),
        (ANN, "'revoke'"),
        (BOB, "'revoke', 'Approver'"),
        ("nobody@erp.test", "'keep'"),
    ] {
        assert_eq!(refused_with(&mut w.acting(EVE), &decide(user, rest)), "22023", "{user} {rest}");
    }
    for nonsense in ["'maybe'", "NULL"] {
        assert_eq!(refused_with(&mut boss, &decide(EVE, nonsense)), "22023");
    }
    assert_eq!(refused_with(&mut boss, "SELECT docperm.decide_access(99, 'eve@erp.test', 'keep')"), "42704");
    assert_eq!(table(&mut boss, &decided), expected);

    // It is closed when everything is decided, and nothing is decided afterwards.
    let close = format!("SELECT docperm.close_access_review({review})");
    assert_eq!(refused_with(&mut boss, &close), "22023");
    one(&mut boss, &decide(EVE, "'keep'"));
    one(&mut w.acting(EVE), &decide(BOSS, "'keep'"));
    one(&mut boss, &close);
    assert_eq!(refused_with(&mut boss, &close), "22023");
    assert_eq!(refused_with(&mut boss, &decide(EVE, "'revoke'")), "22023");
}

#[test]
fn nobody_certifies_himself() {
    let mut w = with_passwords();
    w.user(BOSS, &["System Manager"]);
    w.user(EVE, &["System Manager"]);
    w.sql(&format!("SELECT docperm.set_password('{BOSS}', '{RIGHT}', false), docperm.set_password('Administrator', '{RIGHT}', false)"));
    let review = started(&w, "'2026'");
    let decide = |user: &str| format!("SELECT docperm.decide_access({review}, '{user}', 'keep')");
    let mut boss = w.acting(BOSS);
    for name in [BOSS, "BOSS@erp.test", " boss@erp.test "] {
        let error = attempt(&mut boss, &decide(name)).unwrap_err();
        assert_eq!(
            (error.sqlstate.as_str(), error.detail.as_deref()),
            ("42501", Some("Nobody certifies himself."))
        );
    }
    // Nor under the name of another.
    w.sql(
        "CREATE TABLE person (name text PRIMARY KEY); INSERT INTO person SELECT name FROM docperm.users;
         DO $$ BEGIN
             IF NOT EXISTS (SELECT FROM docperm.doctypes WHERE name = 'User') THEN PERFORM docperm.protect('person', 'User'); END IF;
             INSERT INTO docperm.rights (name) VALUES ('impersonate') ON CONFLICT DO NOTHING;
         END $$;
         INSERT INTO docperm.roles (name) VALUES ('Support');
         INSERT INTO docperm.role_permissions (doctype, role, permlevel, custom, rights)
         SELECT 'User', 'Support', 0, coalesce((SELECT bool_or(p.custom) FROM docperm.role_permissions AS p WHERE p.doctype = 'User'), false), '{read,impersonate}';
         INSERT INTO docperm.user_roles VALUES ('boss@erp.test', 'Support');",
    );
    let mut c = w.app();
    log_in(&mut c, BOSS, RIGHT).unwrap();
    let as_eve = one(&mut c, "SELECT docperm.impersonate('eve@erp.test', 'to look')");
    one(&mut c, &format!("SELECT docperm.resume('{as_eve}')"));
    assert_eq!(one(&mut c, "SELECT docperm.whoami()"), EVE);
    assert_eq!(refused_with(&mut c, &decide(BOSS)), "42501");
    assert_eq!(refused_with(&mut c, &decide(EVE)), "42501");
    // Who is impersonated has not signed.
    one(&mut c, &decide(BOB));
    let reviewer = format!("SELECT reviewer FROM docperm.access_review({review}) WHERE decision IS NOT NULL");
    assert_eq!(names(&mut w.admin, &reviewer), [BOSS]);
    // Nor by another name of his own.
    w.sql("UPDATE docperm.users SET name = 'chief@erp.test' WHERE name = 'boss@erp.test'");
    let mut chief = w.acting("chief@erp.test");
    assert_eq!(refused_with(&mut chief, &decide("chief@erp.test")), "42501");
    assert_eq!(refused_with(&mut chief, &decide(BOSS)), "22023");
    assert_eq!(one(&mut w.acting(EVE), &decide("chief@erp.test")), "1");
}

#[test]
fn what_is_revoked_is_taken_away() {
    let mut w = world();
    w.sql(
        "INSERT INTO docperm.roles (name) VALUES ('Driver');
         INSERT INTO docperm.role_profiles VALUES ('Office'), ('Road');
         INSERT INTO docperm.role_profile_roles VALUES ('Office', 'Clerk'), ('Office', 'Approver'), ('Road', 'Driver');
         INSERT INTO docperm.user_role_profiles VALUES ('bob@erp.test', 'Office'), ('bob@erp.test', 'Road');",
    );
    let review = started(&w, "'2026'");
    let mut boss = w.acting(BOSS);
    for (user, decision, role) in [
        (ANN, "revoke", "Approver"),
        (ANN, "keep", "Clerk"),
        (BOB, "revoke", "Clerk"),
        (EVE, "revoke", "System Manager"),
    ] {
        one(&mut boss, &format!("SELECT docperm.decide_access({review}, '{user}', '{decision}', '{role}')"));
    }
    // Somebody did so already.
    w.sql("DELETE FROM docperm.user_roles WHERE user_name = 'eve@erp.test'");
    let apply = format!("SELECT * FROM docperm.apply_access_review({review})");
    assert_eq!(table(&mut boss, &apply), [[ANN, "Approver"], [BOB, "Clerk"]]);
    let held = "SELECT user_name || ' ' || role FROM docperm.user_roles";
    assert_eq!(
        names(&mut w.admin, held),
        [
            "ann@erp.test Clerk",
            "bob@erp.test Approver",
            "bob@erp.test Driver",
            "boss@erp.test System Manager"
        ]
    );
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.user_role_profiles"), "0");
    // What is given again afterwards is another matter.
    w.sql(&give(ANN, "Approver"));
    assert_eq!(table(&mut boss, &apply), [[""; 2]; 0]);
    let logged = "SELECT changed_by, object_name, row_key ->> 'role' FROM docperm.permission_log
                   WHERE object_type = 'Has Role' AND action = 'Removed' AND changed_by = 'boss@erp.test' ORDER BY id";
    assert_eq!(table(&mut w.admin, logged), [[BOSS, ANN, "Approver"], [BOSS, BOB, "Clerk"]]);
    let applied =
        format!("SELECT user_name FROM docperm.access_review({review}) WHERE applied_at IS NOT NULL");
    assert_eq!(names(&mut boss, &applied), [ANN, BOB, EVE]);
}

#[test]
fn what_was_not_reviewed_lately_is_known() {
    let mut w = world();
    let asked = "SELECT user_name || ' ' || role FROM docperm.uncertified_access";
    let mut boss = w.acting(BOSS);
    let all = [
        "ann@erp.test Approver",
        "ann@erp.test Clerk",
        "bob@erp.test Clerk",
        "boss@erp.test System Manager",
        "eve@erp.test System Manager",
    ];
    assert_eq!(texts(&mut boss, &format!("{asked}()")), all);
    let review = started(&w, "'2026'");
    one(&mut boss, &format!("SELECT docperm.decide_access({review}, '{ANN}', 'keep')"));
    one(&mut boss, &format!("SELECT docperm.decide_access({review}, '{BOB}', 'revoke')"));
    assert_eq!(texts(&mut boss, &format!("{asked}()")), all[2..]);
    assert_eq!(texts(&mut boss, &format!("{asked}('0 seconds')")), all);
    w.sql("UPDATE docperm.users SET name = 'anna@erp.test' WHERE name = 'ann@erp.test'");
    assert_eq!(texts(&mut boss, &format!("{asked}()")), all[2..]);
    // Given anew after the review, or to another user of that name, it is not reviewed.
    w.sql("DELETE FROM docperm.user_roles WHERE user_name = 'anna@erp.test' AND role = 'Clerk'");
    w.sql(&give("anna@erp.test", "Clerk"));
    assert_eq!(texts(&mut boss, &format!("{asked}()"))[0], "anna@erp.test Clerk");
    let granted = "SELECT granted_by FROM docperm.uncertified_access() WHERE user_name = 'anna@erp.test'";
    assert_eq!(texts(&mut boss, granted), ["database role postgres"]);
}

#[test]
fn a_review_cannot_be_changed_behind_its_functions() {
    let mut w = world();
    let review = started(&w, "'2026'");
    one(&mut w.acting(BOSS), &format!("SELECT docperm.decide_access({review}, '{ANN}', 'revoke')"));
    let read = "SELECT i::text FROM docperm.access_review_items AS i ORDER BY id";
    let kept = texts(&mut w.admin, read);
    let role = w.app_role.clone();
    w.sql(&format!("GRANT ALL ON ALL TABLES IN SCHEMA docperm TO {role}; GRANT ALL ON ALL SEQUENCES IN SCHEMA docperm TO {role}"));
    let attacks = [
        "UPDATE docperm.access_review_items SET decision = 'keep'",
        "UPDATE docperm.access_review_items SET reviewer = 'eve@erp.test', decision = 'keep', decided_at = now() WHERE user_name = 'boss@erp.test'",
        "DELETE FROM docperm.access_review_items",
        "TRUNCATE docperm.access_review_items",
        "INSERT INTO docperm.access_review_items (review, user_name, role, role_profiles, user_permissions, shares) VALUES (1, 'x', 'y', '{}', 0, 0)",
        "UPDATE docperm.access_reviews SET closed_at = now(), closed_by = 'x'",
        "DELETE FROM docperm.access_reviews",
        "INSERT INTO docperm.access_reviews (title, started_by) VALUES ('x', 'y')",
    ];
    for attack in attacks {
        for c in [&mut w.acting(BOSS), &mut w.acting(ANN), &mut w.admin] {
            assert_eq!(refused_with(c, attack), "42501", "{attack}");
        }
    }
    for question in [
        "SELECT docperm.start_access_review('x')",
        "SELECT * FROM docperm.access_review(1)",
        "SELECT docperm.decide_access(1, 'bob@erp.test', 'keep')",
        "SELECT * FROM docperm.apply_access_review(1)",
        "SELECT docperm.close_access_review(1)",
        "SELECT * FROM docperm.uncertified_access()",
        "SELECT * FROM docperm.access_review(99)",
    ] {
        for user in [ANN, "Guest"] {
            let mut c = w.app();
            set_user(&mut c, user);
            assert_eq!(refused_with(&mut c, question), "42501", "{user}: {question}");
        }
    }
    assert_eq!(texts(&mut w.admin, read), kept);
}

#[test]
fn reviews_and_rules_survive_a_restore() {
    let mut w = separated();
    let review = started(&w, "'2026'");
    one(&mut w.acting(BOSS), &format!("SELECT docperm.decide_access({review}, '{ANN}', 'revoke')"));
    let tables =
        ["separation_of_duties", "access_reviews", "access_review_items", "user_roles", "permission_log"];
    let rows = |c: &mut postgres::Client| -> Vec<Vec<String>> {
        tables.iter().map(|name| names(c, &format!("SELECT t::text FROM docperm.{name} AS t"))).collect()
    };
    let expected = rows(&mut w.admin);
    assert!(expected.iter().all(|rows| !rows.is_empty()));
    for jobs in ["-j1", "-j3"] {
        let dump = run("pg_dump", "postgres", w.db.name(), &["-Fc"]).unwrap();
        let restored = server().empty_database();
        let path = std::env::temp_dir().join(format!("docperm-review-{}.custom", restored.name()));
        std::fs::write(&path, dump).unwrap();
        let done = run(
            "pg_restore",
            "postgres",
            restored.name(),
            &["--exit-on-error", jobs, path.to_str().unwrap()],
        );
        std::fs::remove_file(&path).unwrap();
        done.unwrap();
        let mut admin = restored.admin();
        assert_eq!(rows(&mut admin), expected, "{jobs}");
        // Ann has both, as she had, and it goes on.
        assert_eq!(refused_with(&mut admin, &give(BOB, "Approver")), "23514");
        assert_eq!(
            texts(&mut admin, &format!("SELECT role FROM docperm.apply_access_review({review})")),
            ["Approver", "Clerk"]
        );
    }
}
