//! Administering docperm with plain INSERT, UPDATE and DELETE: scripts that can be run again, and names in their
//! stored form.

use crate::support::{World, attempt, literal, one, refused_with, table};

const EVERYTHING: [&str; 9] = [
    "rights",
    "roles",
    "users",
    "user_roles",
    "doctypes",
    "doctype_fields",
    "role_permissions",
    "user_permissions",
    "settings",
];

/// All rows of docperm's tables.
fn contents(w: &mut World) -> Vec<Vec<String>> {
    let rows = EVERYTHING.map(|name| format!("SELECT '{name}', t::text FROM docperm.{name} t"));
    table(&mut w.admin, &format!("{} ORDER BY 1, 2", rows.join(" UNION ALL ")))
}

fn world() -> World {
    let mut w = World::new(
        "CREATE TABLE company (name text PRIMARY KEY); SELECT docperm.protect('company', 'Company');
         UPDATE docperm.settings SET strict_user_permissions = 'deny_by_default';",
    );
    w.user("ann@erp.test", &["Reader"]);
    w.rule("Company", "Reader", "{read}");
    w.allow("ann@erp.test", "Company", "A");
    w
}

#[test]
fn what_is_there_can_be_inserted_again_without_effect() {
    let mut w = world();
    let before = contents(&mut w);
    let mut inserts: Vec<String> = vec![
        "docperm.settings DEFAULT VALUES".into(),
        "docperm.settings (strict_user_permissions) VALUES ('off')".into(),
        "docperm.user_roles (user_name, role) VALUES ('Ann@ERP.test ', 'Reader')".into(),
        "docperm.role_permissions (doctype, role, rights) VALUES ('Company', 'Reader', '{read,write}')"
            .into(),
        "docperm.user_permissions (user_name, allow, for_value) VALUES ('ANN@erp.test', 'Company', 'A')"
            .into(),
        "docperm.doctypes (name) VALUES ('Company')".into(),
    ];
    for role in ["System Manager", "Administrator", "All", "Guest", "Desk User", "Reader"] {
        let role = literal(role);
        for row in [
            format!("(name) VALUES ({role})"),
            format!("(name, desk_access, disabled) VALUES ({role}, true, true)"),
        ] {
            inserts.push(format!("docperm.roles {row}"));
        }
    }
    for user in ["Administrator", "Guest", "guest", "ann@erp.test"] {
        let user = literal(user);
        for row in [
            format!("(name) VALUES ({user})"),
            format!("(name, enabled, first_name, db_role) VALUES ({user}, false, 'Eve', 'eve')"),
        ] {
            inserts.push(format!("docperm.users {row}"));
        }
    }
    for right in ["read", "set_user_permissions"] {
        inserts.push(format!("docperm.rights (name) VALUES ('{right}')"));
    }
    for insert in inserts {
        w.sql(&format!("INSERT INTO {insert} ON CONFLICT DO NOTHING"));
        assert_eq!(contents(&mut w), before, "{insert}");
        assert_eq!(refused_with(&mut w.admin, &format!("INSERT INTO {insert}")), "23505", "{insert}");
    }
}

#[test]
fn what_every_installation_has_cannot_be_taken_away() {
    let mut w = world();
    let before = contents(&mut w);
    for sql in [
        "UPDATE docperm.roles SET desk_access = true WHERE name = 'Guest'",
        "UPDATE docperm.roles SET disabled = true WHERE name = 'System Manager'",
        "UPDATE docperm.roles SET name = 'Everybody' WHERE name = 'All'",
        "DELETE FROM docperm.roles WHERE name = 'Desk User'",
        "UPDATE docperm.users SET enabled = false WHERE name = 'Administrator'",
        "UPDATE docperm.users SET name = 'root' WHERE name = 'Administrator'",
        "DELETE FROM docperm.users WHERE name = 'Guest'",
        "DELETE FROM docperm.rights WHERE name = 'read'",
        "INSERT INTO docperm.roles (name) VALUES ('All') ON CONFLICT (name) DO UPDATE SET disabled = true",
        "INSERT INTO docperm.users (name) VALUES ('Guest') ON CONFLICT (name) DO UPDATE SET enabled = false",
        "TRUNCATE docperm.roles CASCADE",
        "TRUNCATE docperm.settings",
    ] {
        assert_eq!(refused_with(&mut w.admin, sql), "22023", "{sql}");
        assert_eq!(contents(&mut w), before, "{sql}");
    }
}

/// The type of the key, values that are accepted with their stored form, and values that are refused.
type Key = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

const KEYS: &[Key] = &[
    ("text", &[(" a", " a"), ("\u{e9}t\u{e9}", "\u{e9}t\u{e9}")], &[""]),
    ("varchar", &[("x ", "x ")], &[""]),
    ("varchar(3)", &[("abc", "abc"), ("\u{e9}\u{e9}\u{e9}", "\u{e9}\u{e9}\u{e9}")], &["abcd", "abc "]),
    ("char(3)", &[("ab", "ab"), ("abc", "abc")], &["abcd"]),
    (
        "smallint",
        &[
            ("0", "0"),
            ("-0", "0"),
            ("05", "5"),
            (" 7 ", "7"),
            ("32767", "32767"),
            ("-32768", "-32768"),
            ("-9999", "-9999"),
        ],
        &["32768", "-32769", "x", "1.0", "99999", "5\n6"],
    ),
    (
        "integer",
        &[
            ("999999999", "999999999"),
            ("2147483647", "2147483647"),
            ("+1", "1"),
            ("-2147483648", "-2147483648"),
        ],
        &["2147483648", "9999999999", ""],
    ),
    (
        "bigint",
        &[
            ("999999999999999999", "999999999999999999"),
            ("9223372036854775807", "9223372036854775807"),
            ("000", "0"),
        ],
        &["9223372036854775808", "0x1", "- 1"],
    ),
    (
        "uuid",
        &[
            ("0188b0a1-0000-7000-8000-00000000000a", "0188b0a1-0000-7000-8000-00000000000a"),
            ("{0188B0A1-0000-7000-8000-00000000000A}", "0188b0a1-0000-7000-8000-00000000000a"),
            ("0188b0a100007000800000000000000a", "0188b0a1-0000-7000-8000-00000000000a"),
        ],
        &["0188b0a1-0000-7000-8000-00000000000", "0188b0a1-0000-7000-8000-00000000000g"],
    ),
    ("numeric(6,2)", &[("1.5", "1.50")], &["1.555", "12345", "x"]),
    ("date", &[("2024-2-9", "2024-02-09")], &["2024-02-30"]),
    ("small", &[("7", "7"), ("07", "7")], &["99999"]),
];

#[test]
fn values_are_stored_as_the_key_column_writes_them() {
    let mut w = World::new("CREATE DOMAIN small AS smallint");
    w.user("ann@erp.test", &[]);
    for (place, (key, accepted, refused)) in KEYS.iter().enumerate() {
        let doctype = format!("D{place}");
        w.sql(&format!(
            "CREATE TABLE d{place} (k {key} PRIMARY KEY); SELECT docperm.protect('d{place}', '{doctype}')"
        ));
        for (given, stored) in *accepted {
            let row = "INSERT INTO docperm.user_permissions (user_name, allow, for_value)";
            let insert =
                format!("{row} VALUES ('ann@erp.test', '{doctype}', {}) RETURNING for_value", literal(given));
            assert_eq!(one(&mut w.admin, &insert), *stored, "{key}: {given:?}");
            // A value that was stored can be stored again, and an UPDATE writes it the same way.
            w.sql("UPDATE docperm.user_permissions SET for_value = for_value, is_default = true");
            let update = format!(
                "UPDATE docperm.user_permissions SET for_value = {} RETURNING for_value",
                literal(given)
            );
            assert_eq!(one(&mut w.admin, &update), *stored, "{key}: {given:?} by UPDATE");
            w.sql("DELETE FROM docperm.user_permissions");
        }
        for given in *refused {
            let given = literal(given);
            let insert = format!(
                "INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('ann@erp.test', '{doctype}', {given})"
            );
            assert_eq!(refused_with(&mut w.admin, &insert), "22023", "{key}: {given}");
        }
    }
}

#[test]
fn values_given_before_the_table_are_put_right_when_it_comes() {
    let mut w = World::new(
        "CREATE TABLE part (id smallint PRIMARY KEY); INSERT INTO docperm.doctypes (name) VALUES ('Part')",
    );
    w.user("ann@erp.test", &[]);
    for value in ["5", "06"] {
        w.allow("ann@erp.test", "Part", value);
    }
    w.sql("SELECT docperm.protect('part', 'Part')");
    let stored = "SELECT string_agg(for_value, ' ' ORDER BY for_value) FROM docperm.user_permissions";
    assert_eq!(one(&mut w.admin, stored), "5 6");
    w.sql("SELECT docperm.unprotect('part'); INSERT INTO docperm.doctypes (name) VALUES ('Part')");
    w.allow("ann@erp.test", "Part", "not a number");
    assert!(
        attempt(&mut w.admin, "SELECT docperm.protect('part', 'Part')").is_err_and(|e| e.sqlstate == "22023")
    );
}
