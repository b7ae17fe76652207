//! Users as records: their type, their short names and addresses, inboxes, roles that are in use.

use crate::support::{World, names, one, refused_with, table};

const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";

fn world() -> World {
    let mut w = World::new(
        "INSERT INTO docperm.roles (name, desk_access) VALUES ('Clerk', true), ('Customer', false)",
    );
    w.user(ANN, &[]);
    w.user(BOB, &[]);
    w
}

fn user_type(w: &mut World, user: &str) -> String {
    one(&mut w.admin, &format!("SELECT user_type FROM docperm.users WHERE name = '{user}'"))
}

#[test]
fn case_65_the_type_of_a_user_follows_his_roles() {
    let mut w = world();
    assert_eq!(user_type(&mut w, ANN), "Website User");
    w.sql(&format!("INSERT INTO docperm.user_roles VALUES ('{ANN}', 'Clerk')"));
    assert_eq!(user_type(&mut w, ANN), "System User");
    w.sql("DELETE FROM docperm.user_roles");
    assert_eq!(user_type(&mut w, ANN), "Website User");
    w.sql(&format!("INSERT INTO docperm.user_roles VALUES ('{ANN}', 'Customer'), ('{ANN}', 'Desk User')"));
    assert_eq!(user_type(&mut w, ANN), "Website User");
    // It is computed, whatever is written.
    w.sql(&format!("UPDATE docperm.users SET user_type = 'System User' WHERE name = '{ANN}'"));
    assert_eq!(user_type(&mut w, ANN), "Website User");
    assert_eq!(
        (user_type(&mut w, "Administrator"), user_type(&mut w, "Guest")),
        ("System User".into(), "Website User".into())
    );
}

#[test]
fn case_66_desk_access_of_a_role_changes_its_holders() {
    let mut w = world();
    w.sql(&format!("INSERT INTO docperm.user_roles VALUES ('{ANN}', 'Clerk')"));
    for (change, expected) in [
        ("desk_access = false", "Website User"),
        ("desk_access = true", "System User"),
        ("disabled = true", "Website User"),
        ("disabled = false", "System User"),
        ("name = 'Secretary'", "System User"),
    ] {
        w.sql(&format!("UPDATE docperm.roles SET {change} WHERE name = 'Clerk'"));
        assert_eq!(
            (user_type(&mut w, ANN), user_type(&mut w, BOB)),
            (expected.into(), "Website User".into()),
            "{change}"
        );
    }
}

#[test]
fn case_67_a_role_that_is_held_cannot_be_deleted() {
    let mut w = world();
    w.sql(&format!("INSERT INTO docperm.user_roles VALUES ('{ANN}', 'Clerk')"));
    let delete = "DELETE FROM docperm.roles WHERE name = 'Clerk'";
    assert_eq!(refused_with(&mut w.admin, delete), "23503");
    w.sql(&format!("DELETE FROM docperm.users WHERE name = '{ANN}'"));
    w.sql(delete);
}

#[test]
fn protected_roles_keep_their_names_and_guest_never_gets_a_desk() {
    let mut w = world();
    for role in ["Administrator", "System Manager", "All", "Guest", "Desk User"] {
        for change in ["name = 'Other'", "disabled = true"] {
            let update = format!("UPDATE docperm.roles SET {change} WHERE name = '{role}'");
            assert_eq!(refused_with(&mut w.admin, &update), "22023", "{update}");
        }
        assert_eq!(
            refused_with(&mut w.admin, &format!("DELETE FROM docperm.roles WHERE name = '{role}'")),
            "22023"
        );
    }
    assert_eq!(
        refused_with(&mut w.admin, "UPDATE docperm.roles SET desk_access = true WHERE name = 'Guest'"),
        "22023"
    );
}

#[test]
fn a_short_name_is_made_of_the_first_name_unless_somebody_has_it() {
    let mut w = world();
    w.sql(
        "INSERT INTO docperm.users (name, first_name, username) VALUES
             ('a@erp.test', ' Mary Ann ', NULL), ('b@erp.test', 'Mary-Ann', NULL), ('c@erp.test', 'Kim', ' @kk '),
             ('d@erp.test', '  ', ''), ('e@erp.test', 'Kim', NULL), ('f@erp.test', '@@', NULL)",
    );
    let found = "SELECT name, username FROM docperm.users WHERE name LIKE '_@erp.test' ORDER BY 1";
    assert_eq!(
        table(&mut w.admin, found),
        [
            ["a@erp.test", "mary_ann"],
            ["b@erp.test", "NULL"],
            ["c@erp.test", "kk"],
            ["d@erp.test", "NULL"],
            ["e@erp.test", "kim"],
            ["f@erp.test", "NULL"]
        ]
    );
    // One that is asked for is had or refused.
    let taken = "INSERT INTO docperm.users (name, username) VALUES ('g@erp.test', 'kim')";
    assert_eq!(refused_with(&mut w.admin, taken), "23505");
}

#[test]
fn what_is_no_address_or_time_zone_is_refused() {
    let mut w = world();
    for name in [
        "a@",
        "@b",
        "a b@c.test",
        "a@b@c.test",
        "a@b.test,c@d.test",
        "a@b.test\nBcc:x",
        "<a@b.test>",
        "a@b\\c",
        "a@[b]",
    ] {
        let insert = format!(
            "INSERT INTO docperm.users (name) VALUES (E'{}')",
            name.replace('\\', "\\\\").replace('\n', "\\n")
        );
        assert_eq!(refused_with(&mut w.admin, &insert), "22023", "{name}");
    }
    let long = "INSERT INTO docperm.users (name) VALUES (repeat('a', 250) || '@b.test')";
    assert_eq!(refused_with(&mut w.admin, long), "22023");
    for column in ["email = 'x'", "time_zone = 'Mars/Olympus'"] {
        assert_eq!(
            refused_with(
                &mut w.admin,
                &format!("UPDATE docperm.users SET {column} WHERE name = 'Administrator'")
            ),
            "22023"
        );
    }
    for column in ["desk_theme = 'Pink'", "user_image = repeat('x', 2001)"] {
        assert_eq!(refused_with(&mut w.admin, &format!("UPDATE docperm.users SET {column}")), "23514");
    }
    w.sql(
        "INSERT INTO docperm.users (name, time_zone) VALUES ('o''neil+erp@sub.erp.test', 'Europe/Berlin'), ('robot', 'UTC');
         UPDATE docperm.users SET email = 'ROOT@erp.test' WHERE name = 'Administrator'",
    );
    assert_eq!(
        one(&mut w.admin, "SELECT email FROM docperm.users WHERE name = 'Administrator'"),
        "root@erp.test"
    );
}

#[test]
fn inboxes_are_had_once_and_go_with_their_user() {
    let mut w = world();
    w.sql(
        "INSERT INTO docperm.user_emails (user_name, email_account, email_id, enable_outgoing)
         VALUES ('Ann@erp.test', 'Support', 'support@erp.test', true), ('ann@erp.test', 'Sales', 'sales@erp.test', false),
                ('bob@erp.test', 'Support', 'support@erp.test', false)",
    );
    for (insert, sqlstate) in [
        ("('ann@erp.test', 'Support')", "23505"),
        ("('nobody@erp.test', 'Support')", "42704"),
        ("('ann@erp.test', ' ')", "23514"),
    ] {
        let insert = format!("INSERT INTO docperm.user_emails (user_name, email_account) VALUES {insert}");
        assert_eq!(refused_with(&mut w.admin, &insert), sqlstate, "{insert}");
    }
    let reached = "SELECT user_name FROM docperm.user_emails WHERE email_account = 'Support'";
    w.sql(&format!("UPDATE docperm.users SET name = 'anna@erp.test' WHERE name = '{ANN}'"));
    assert_eq!(names(&mut w.admin, reached), ["anna@erp.test", BOB]);
    w.sql(&format!("DELETE FROM docperm.users WHERE name = '{BOB}'"));
    assert_eq!(names(&mut w.admin, reached), ["anna@erp.test"]);
}
