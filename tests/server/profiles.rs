//! Role profiles: who has some holds exactly the roles that they name, whoever changes what, in whichever order.

use crate::support::{World, attempt, names, one, refused, refused_with, set_user, table};

const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";

/// Two profiles, of which Selling names two roles, and roles beside them.
fn world() -> World {
    let mut w = World::new(
        "CREATE TABLE note (name text PRIMARY KEY); INSERT INTO note VALUES ('n');
         SELECT docperm.protect('note', 'Note');
         INSERT INTO docperm.roles (name) VALUES ('Seller'), ('Quoter'), ('Buyer');
         INSERT INTO docperm.roles (name, desk_access) VALUES ('Other', false);
         INSERT INTO docperm.role_profiles VALUES ('Selling'), ('Buying');
         INSERT INTO docperm.role_profile_roles VALUES ('Selling', 'Seller'), ('Selling', 'Quoter'), ('Buying', 'Buyer');",
    );
    w.user(ANN, &["Other"]);
    w.user(BOB, &[]);
    w
}

fn roles(w: &mut World, user: &str) -> String {
    one(
        &mut w.admin,
        &format!(
            "SELECT coalesce(string_agg(role, ' ' ORDER BY role), '') FROM docperm.user_roles WHERE user_name = '{user}'"
        ),
    )
}

fn give(w: &mut World, user: &str, profile: &str) {
    w.sql(&format!("INSERT INTO docperm.user_role_profiles VALUES ('{user}', '{profile}')"));
}

#[test]
fn case_68_who_has_a_profile_has_exactly_its_roles() {
    let mut w = world();
    assert_eq!(roles(&mut w, ANN), "Other");
    give(&mut w, ANN, "Selling");
    assert_eq!(roles(&mut w, ANN), "Quoter Seller");
    w.sql("DELETE FROM docperm.role_profile_roles WHERE role_profile = 'Selling'");
    assert_eq!(roles(&mut w, ANN), "", "an empty profile empties");
}

#[test]
fn case_69_several_profiles_give_what_they_name_together() {
    let mut w = world();
    give(&mut w, ANN, "Selling");
    give(&mut w, ANN, "Buying");
    assert_eq!(roles(&mut w, ANN), "Buyer Quoter Seller");
    w.sql("DELETE FROM docperm.user_role_profiles WHERE role_profile = 'Selling'");
    assert_eq!(roles(&mut w, ANN), "Buyer");
    w.sql("UPDATE docperm.user_role_profiles SET role_profile = 'Selling'");
    assert_eq!(roles(&mut w, ANN), "Quoter Seller");
    w.sql("DELETE FROM docperm.user_role_profiles");
    assert_eq!(roles(&mut w, ANN), "Quoter Seller", "without a profile roles are free, and stay");
    w.sql(&format!("INSERT INTO docperm.user_roles VALUES ('{ANN}', 'Other')"));
    assert_eq!(roles(&mut w, ANN), "Other Quoter Seller");
}

#[test]
fn case_70_a_change_of_a_profile_reaches_its_users_at_once() {
    let mut w = world();
    w.rule("Note", "Buyer", "{read}");
    give(&mut w, ANN, "Selling");
    give(&mut w, BOB, "Selling");
    let mut ann = w.acting(ANN);
    ann.batch_execute("PREPARE notes AS SELECT name FROM note").unwrap();
    assert!(names(&mut ann, "EXECUTE notes").is_empty());
    w.sql("INSERT INTO docperm.role_profile_roles VALUES ('Selling', 'Buyer')");
    assert_eq!(names(&mut ann, "EXECUTE notes"), ["n"], "in an open connection, prepared");
    assert_eq!(roles(&mut w, BOB), "Buyer Quoter Seller");
    w.sql("UPDATE docperm.role_profile_roles SET role = 'Other' WHERE role = 'Buyer' AND role_profile = 'Selling'");
    assert!(names(&mut ann, "EXECUTE notes").is_empty());
    assert_eq!(roles(&mut w, BOB), "Other Quoter Seller");
}

#[test]
fn the_type_of_a_user_follows_his_profiles() {
    let mut w = world();
    let of_bob = format!("SELECT user_type FROM docperm.users WHERE name = '{BOB}'");
    assert_eq!(one(&mut w.admin, &of_bob), "Website User");
    give(&mut w, BOB, "Buying");
    assert_eq!(one(&mut w.admin, &of_bob), "System User");
    w.sql("DELETE FROM docperm.role_profile_roles WHERE role = 'Buyer'");
    assert_eq!(one(&mut w.admin, &of_bob), "Website User");
}

#[test]
fn roles_beside_the_profiles_are_refused() {
    let mut w = world();
    give(&mut w, ANN, "Selling");
    for change in [
        format!("INSERT INTO docperm.user_roles VALUES ('{ANN}', 'Other')"),
        format!("DELETE FROM docperm.user_roles WHERE user_name = '{ANN}'"),
        format!("DELETE FROM docperm.user_roles WHERE user_name = '{ANN}' AND role = 'Seller'"),
        format!("UPDATE docperm.user_roles SET role = 'Buyer' WHERE user_name = '{ANN}' AND role = 'Seller'"),
        format!("UPDATE docperm.user_roles SET user_name = '{BOB}' WHERE user_name = '{ANN}'"),
    ] {
        assert_eq!(refused_with(&mut w.admin, &change), "22023", "{change}");
        assert_eq!(roles(&mut w, ANN), "Quoter Seller", "{change}");
    }
    let error = refused(&mut w.admin, &format!("INSERT INTO docperm.user_roles VALUES ('{ANN}', 'Other')"));
    assert!(error.detail.unwrap().contains("\"Other\"") && error.hint.is_some());
    // What they name is no change.
    w.sql(&format!("INSERT INTO docperm.user_roles VALUES ('{ANN}', 'Seller') ON CONFLICT DO NOTHING"));
    w.sql("UPDATE docperm.user_roles SET role = role");
    w.sql("TRUNCATE docperm.user_roles");
    assert_eq!(roles(&mut w, ANN), "Quoter Seller", "they come back after TRUNCATE");
}

#[test]
fn names_and_standard_users_are_checked() {
    let mut w = world();
    for (insert, sqlstate) in [
        ("user_role_profiles VALUES ('Administrator', 'Selling')", "22023"),
        ("user_role_profiles VALUES ('guest', 'Selling')", "22023"),
        ("user_role_profiles VALUES ('nobody@erp.test', 'Selling')", "42704"),
        ("user_role_profiles VALUES ('ann@erp.test', 'None')", "42704"),
        ("role_profile_roles VALUES ('None', 'Seller')", "42704"),
        ("role_profile_roles VALUES ('Selling', 'None')", "42704"),
        ("role_profile_roles VALUES ('Selling', 'Seller')", "23505"),
        ("role_profiles VALUES ('')", "23514"),
    ] {
        assert_eq!(
            refused_with(&mut w.admin, &format!("INSERT INTO docperm.{insert}")),
            sqlstate,
            "{insert}"
        );
    }
    w.sql("INSERT INTO docperm.user_role_profiles VALUES ('Ann@ERP.test ', 'Selling')");
    assert_eq!(roles(&mut w, ANN), "Quoter Seller");
}

#[test]
fn what_is_renamed_or_deleted_leaves_the_roles_in_step() {
    let mut w = world();
    give(&mut w, ANN, "Selling");
    w.sql("UPDATE docperm.role_profiles SET name = 'Sales' WHERE name = 'Selling'");
    assert_eq!(roles(&mut w, ANN), "Quoter Seller");
    w.sql("UPDATE docperm.roles SET name = 'Vendor' WHERE name = 'Seller'");
    assert_eq!(roles(&mut w, ANN), "Quoter Vendor");
    w.sql(&format!("UPDATE docperm.users SET name = 'anna@erp.test' WHERE name = '{ANN}'"));
    assert_eq!(roles(&mut w, "anna@erp.test"), "Quoter Vendor");
    w.sql("INSERT INTO docperm.role_profile_roles VALUES ('Sales', 'Buyer')");
    assert_eq!(roles(&mut w, "anna@erp.test"), "Buyer Quoter Vendor", "it is followed by its new name");
    assert_eq!(refused_with(&mut w.admin, "DELETE FROM docperm.roles WHERE name = 'Vendor'"), "23503");

    // A profile that goes takes nothing away, unless another one stays.
    give(&mut w, "anna@erp.test", "Buying");
    w.sql("DELETE FROM docperm.role_profiles WHERE name = 'Sales'");
    assert_eq!(roles(&mut w, "anna@erp.test"), "Buyer");
    w.sql("DELETE FROM docperm.role_profiles WHERE name = 'Buying'");
    assert_eq!(roles(&mut w, "anna@erp.test"), "Buyer");

    w.sql("INSERT INTO docperm.role_profiles VALUES ('Selling')");
    give(&mut w, BOB, "Selling");
    w.sql(&format!("DELETE FROM docperm.users WHERE name = '{BOB}'"));
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.user_role_profiles"), "0");
}

#[test]
fn truncate_empties_profiles_and_frees_users() {
    let mut w = world();
    give(&mut w, ANN, "Selling");
    w.sql("TRUNCATE docperm.user_role_profiles");
    assert_eq!(roles(&mut w, ANN), "Quoter Seller");
    give(&mut w, ANN, "Selling");
    w.sql("TRUNCATE docperm.role_profile_roles");
    assert_eq!(roles(&mut w, ANN), "");
    w.sql("TRUNCATE docperm.role_profiles CASCADE; INSERT INTO docperm.user_roles VALUES ('ann@erp.test', 'Other')");
    assert_eq!(roles(&mut w, ANN), "Other");
}

#[test]
fn all_of_it_is_undone_with_its_transaction() {
    let mut w = world();
    w.sql("BEGIN");
    give(&mut w, ANN, "Selling");
    w.sql("SAVEPOINT s; INSERT INTO docperm.role_profile_roles VALUES ('Selling', 'Buyer'); ROLLBACK TO s");
    assert_eq!(roles(&mut w, ANN), "Quoter Seller");
    w.sql("ROLLBACK");
    assert_eq!(roles(&mut w, ANN), "Other");
}

/// Runs `second` while a transaction that did `first` is open, and commits both.
fn overlapping(w: &mut World, isolation: &str, first: &str, second: &str) -> Result<(), String> {
    let mut one = w.db.admin();
    let mut two = w.db.admin();
    one.batch_execute(&format!("BEGIN ISOLATION LEVEL {isolation}")).unwrap();
    two.batch_execute(&format!("BEGIN ISOLATION LEVEL {isolation}; SELECT count(*) FROM docperm.users"))
        .unwrap();
    one.batch_execute(first).unwrap();
    let second = second.to_owned();
    let waiting = std::thread::spawn(move || {
        let done = attempt(&mut two, &second).map_err(|error| error.sqlstate);
        let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
        two.batch_execute(end).unwrap();
        done.map(|_| ())
    });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while !waiting.is_finished() && crate::support::one(&mut w.admin, waits) == "0" {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    one.batch_execute("COMMIT").unwrap();
    waiting.join().unwrap()
}

/// Whoever comes second, sees what the first did or fails: roles and profiles agree.
#[test]
fn two_who_change_at_the_same_time_do_not_miss_each_other() {
    let changes = [
        "INSERT INTO docperm.role_profile_roles VALUES ('Selling', 'Buyer')".to_owned(),
        "DELETE FROM docperm.role_profile_roles WHERE role = 'Quoter'".to_owned(),
        "DELETE FROM docperm.role_profile_roles WHERE role = 'Buyer'".to_owned(),
        format!("INSERT INTO docperm.user_role_profiles VALUES ('{BOB}', 'Selling')"),
        format!("INSERT INTO docperm.user_role_profiles VALUES ('{BOB}', 'Buying')"),
        format!("INSERT INTO docperm.user_roles VALUES ('{BOB}', 'Other')"),
        format!(
            "DELETE FROM docperm.user_role_profiles WHERE user_name = '{ANN}' AND role_profile = 'Buying'"
        ),
    ];
    let agree = "WITH named AS (SELECT DISTINCT p.user_name, r.role FROM docperm.user_role_profiles p
                                  JOIN docperm.role_profile_roles r USING (role_profile)),
                      held AS (SELECT h.user_name, h.role FROM docperm.user_roles h
                                WHERE h.user_name IN (SELECT user_name FROM docperm.user_role_profiles))
                 (TABLE named EXCEPT TABLE held) UNION ALL (TABLE held EXCEPT TABLE named)";
    let mut w = world();
    for isolation in ["READ COMMITTED", "REPEATABLE READ"] {
        for first in &changes {
            for second in changes.iter().filter(|second| *second != first) {
                w.sql(&format!(
                    "DELETE FROM docperm.user_role_profiles; DELETE FROM docperm.user_roles; DELETE FROM docperm.role_profile_roles;
                     INSERT INTO docperm.role_profile_roles VALUES ('Selling', 'Seller'), ('Selling', 'Quoter'), ('Buying', 'Buyer');
                     INSERT INTO docperm.user_role_profiles VALUES ('{ANN}', 'Selling'), ('{ANN}', 'Buying');"
                ));
                let done = overlapping(&mut w, isolation, first, second);
                let expected = match isolation {
                    "READ COMMITTED" => ["22023"].as_slice(),
                    _ => &["22023", "40001"],
                };
                if let Err(sqlstate) = &done {
                    assert!(
                        expected.contains(&sqlstate.as_str()),
                        "{isolation}: {first}; {second}: {sqlstate}"
                    );
                }
                let apart = table(&mut w.admin, agree);
                assert!(apart.is_empty(), "{isolation}: {first}; {second}: {apart:?} after {done:?}");
            }
        }
    }
}

#[test]
fn nobody_but_a_dba_touches_the_tables() {
    let mut w = world();
    w.user("boss@erp.test", &["System Manager"]);
    for table in ["role_profiles", "role_profile_roles", "user_role_profiles"] {
        let mut boss = w.app();
        set_user(&mut boss, "boss@erp.test");
        assert_eq!(refused_with(&mut boss, &format!("SELECT * FROM docperm.{table}")), "42501");
        assert_eq!(refused_with(&mut boss, &format!("DELETE FROM docperm.{table}")), "42501");
    }
}
