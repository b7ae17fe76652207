//! What makes no sense is refused: with a SQLSTATE, a message that names the object, and a hint; and nothing
//! half-done stays behind.

use crate::support::{World, refused, refused_with, set_user, table, texts};

const SCHEMA: &str = "
    CREATE TABLE good       (id smallint PRIMARY KEY, owner text, word varchar(5) UNIQUE NOT NULL, parent smallint);
    CREATE TABLE word       (code varchar(5) PRIMARY KEY);
    CREATE TABLE other      (id int PRIMARY KEY);
    CREATE TABLE keyless    (id int, maybe int UNIQUE, again int NOT NULL);
    CREATE TABLE pairs      (a int, b int, PRIMARY KEY (a, b));
    CREATE TABLE partial_key (id int NOT NULL);
    CREATE UNIQUE INDEX ON partial_key (id) WHERE id > 0;
    CREATE TABLE root       (id int PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE root_1     PARTITION OF root FOR VALUES FROM (1) TO (10);
    CREATE TABLE opened     (id int PRIMARY KEY);
    CREATE POLICY anybody ON opened USING (true);
    CREATE VIEW a_view              AS SELECT * FROM good;
    CREATE MATERIALIZED VIEW a_copy AS SELECT * FROM good;
    CREATE SEQUENCE a_sequence;
    CREATE FOREIGN DATA WRAPPER elsewhere;
    CREATE SERVER away FOREIGN DATA WRAPPER elsewhere;
    CREATE FOREIGN TABLE distant (id int) SERVER away;
    SELECT docperm.protect('good', 'Good'), docperm.protect('word', 'Word');
    INSERT INTO docperm.roles (name) VALUES ('Reader');
    INSERT INTO docperm.users (name) VALUES ('ann@erp.test');
    INSERT INTO docperm.user_permissions (user_name, allow, for_value, is_default)
         VALUES ('ann@erp.test', 'Good', '1', true);
    INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('Good', 'Reader', '{read}');";

/// Everything that a refused call could have left behind.
fn fingerprint(w: &mut World) -> Vec<Vec<String>> {
    let tables = texts(
        &mut w.admin,
        "SELECT relname FROM pg_class WHERE relnamespace = 'docperm'::regnamespace AND relkind = 'r' ORDER BY 1",
    );
    let mut parts: Vec<String> =
        tables.iter().map(|name| format!("SELECT '{name}', t::text FROM docperm.{name} t")).collect();
    parts.push("SELECT 'policy', polrelid::regclass || ' ' || polname FROM pg_policy".to_owned());
    parts.push(
        "SELECT 'trigger', tgrelid::regclass || ' ' || tgname || tgenabled::text FROM pg_trigger".to_owned(),
    );
    parts.push(
        "SELECT 'table', relname || relrowsecurity || relforcerowsecurity FROM pg_class WHERE relkind IN ('r', 'p')"
            .to_owned(),
    );
    table(&mut w.admin, &format!("{} ORDER BY 1, 2", parts.join(" UNION ALL ")))
}

/// Each statement is refused with that SQLSTATE, names what it is about, gives a hint and changes nothing.
#[track_caller]
fn all_refused(cases: &[(&str, &str, &str)]) {
    let mut w = World::new(SCHEMA);
    let before = fingerprint(&mut w);
    for (sql, sqlstate, named) in cases {
        let refusal = refused(&mut w.admin, sql);
        assert_eq!(refusal.sqlstate, *sqlstate, "{sql}\n{refusal:#?}");
        let said = format!("{} {}", refusal.message, refusal.detail.as_deref().unwrap_or_default());
        assert!(said.contains(named), "{sql}: {named} is not named\n{refusal:#?}");
        assert!(refusal.hint.as_deref().is_some_and(|hint| !hint.is_empty()), "{sql}: no hint\n{refusal:#?}");
        assert_eq!(fingerprint(&mut w), before, "{sql} left something behind");
    }
}

#[test]
fn what_cannot_be_protected() {
    all_refused(&[
        ("SELECT docperm.protect('a_view', 'X')", "22023", "a_view"),
        ("SELECT docperm.protect('a_copy', 'X')", "22023", "a_copy"),
        ("SELECT docperm.protect('a_sequence', 'X')", "22023", "a_sequence"),
        ("SELECT docperm.protect('distant', 'X')", "22023", "distant"),
        ("SELECT docperm.protect('pg_catalog.pg_class', 'X')", "22023", "pg_class"),
        ("SELECT docperm.protect('information_schema.sql_features', 'X')", "22023", "sql_features"),
        ("SELECT docperm.protect('docperm.users', 'X')", "22023", "users"),
        ("SELECT docperm.protect('root_1', 'X')", "22023", "root"),
        ("SELECT docperm.protect('opened', 'X')", "22023", "anybody"),
    ]);
}

#[test]
fn temporary_tables_cannot_be_protected() {
    let mut w = World::new(SCHEMA);
    w.sql("CREATE TEMP TABLE passing (id int PRIMARY KEY)");
    let refusal = refused(&mut w.admin, "SELECT docperm.protect('passing', 'X')");
    assert_eq!(refusal.sqlstate, "22023");
    assert!(refusal.hint.is_some(), "{refusal:?}");
}

#[test]
fn one_table_one_doctype() {
    all_refused(&[
        ("SELECT docperm.protect('good', 'Better')", "22023", "good"),
        ("SELECT docperm.protect('other', 'Good')", "22023", "Good"),
        ("SELECT docperm.protect('other', '')", "22023", ""),
        ("SELECT docperm.protect('other', NULL)", "22023", ""),
        ("SELECT docperm.protect(NULL, 'X')", "22023", ""),
        ("SELECT docperm.unprotect('other')", "42704", "other"),
    ]);
}

#[test]
fn a_document_needs_a_name() {
    all_refused(&[
        ("SELECT docperm.protect('keyless', 'X')", "22023", "keyless"),
        ("SELECT docperm.protect('pairs', 'X')", "22023", "pairs"),
        ("SELECT docperm.protect('pairs', 'X', name_column => 'a')", "22023", "a"),
        ("SELECT docperm.protect('keyless', 'X', name_column => 'maybe')", "22023", "maybe"),
        ("SELECT docperm.protect('keyless', 'X', name_column => 'again')", "22023", "again"),
        ("SELECT docperm.protect('partial_key', 'X', name_column => 'id')", "22023", "id"),
        ("SELECT docperm.protect('partial_key', 'X')", "22023", "partial_key"),
    ]);
}

#[test]
fn columns_that_do_not_exist() {
    all_refused(&[
        ("SELECT docperm.protect('other', 'X', name_column => 'nope')", "42704", "nope"),
        ("SELECT docperm.protect('other', 'X', owner_column => 'nope')", "42704", "nope"),
        ("SELECT docperm.protect('other', 'X', docstatus_column => 'nope')", "42704", "nope"),
        ("SELECT docperm.protect('other', 'X', tree_parent_column => 'nope')", "42704", "nope"),
        ("SELECT docperm.protect('other', 'X', owner_column => 'ctid')", "42704", "ctid"),
        ("SELECT docperm.protect('good', 'Good', owner_column => 'nope')", "42704", "nope"),
        ("SELECT docperm.set_field('Good', 'nope', link_to => 'Word')", "42704", "nope"),
        ("SELECT docperm.set_field('Good', 'word', link_to => 'Nope')", "42704", "Nope"),
        ("SELECT docperm.set_field('Nope', 'word', link_to => 'Word')", "42704", "Nope"),
        (
            "INSERT INTO docperm.doctype_fields (doctype, column_name) VALUES ('Good', 'nope')",
            "42704",
            "nope",
        ),
        ("INSERT INTO docperm.doctype_fields (doctype, column_name) VALUES ('Nope', 'id')", "42704", "Nope"),
        ("UPDATE docperm.doctypes SET owner_column = 'nope' WHERE name = 'Good'", "42704", "nope"),
    ]);
}

#[test]
fn values_that_the_key_cannot_hold() {
    let insert = |allow: &str, value: &str| {
        format!(
            "INSERT INTO docperm.user_permissions (user_name, allow, for_value)
             VALUES ('ann@erp.test', '{allow}', '{value}')"
        )
    };
    let cases: Vec<(String, &str, &str)> = vec![
        (insert("Good", "abc"), "22023", "abc"),
        (insert("Good", "40000"), "22023", "40000"),
        (insert("Good", "1.5"), "22023", "1.5"),
        (insert("Good", "1; DROP TABLE good"), "22023", "DROP"),
        (insert("Good", ""), "22023", "Good"),
        (insert("Word", "toolong"), "22023", "toolong"),
    ];
    let cases: Vec<(&str, &str, &str)> =
        cases.iter().map(|(sql, state, named)| (sql.as_str(), *state, *named)).collect();
    all_refused(&cases);
    all_refused(&[(
        "UPDATE docperm.user_permissions SET for_value = 'abc' WHERE user_name = 'ann@erp.test'",
        "22023",
        "abc",
    )]);
}

#[test]
fn names_that_nothing_has() {
    let permission =
        "INSERT INTO docperm.user_permissions (user_name, allow, for_value, applicable_for) VALUES";
    let rule = "INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES";
    let role = "INSERT INTO docperm.user_roles (user_name, role) VALUES";
    let cases = [
        (format!("{permission} ('nobody@erp.test', 'Good', '2', NULL)"), "42704", "nobody@erp.test"),
        (format!("{permission} ('ann@erp.test', 'Nope', '2', NULL)"), "42704", "Nope"),
        (format!("{permission} ('ann@erp.test', 'Good', '2', 'Nope')"), "42704", "Nope"),
        (format!("{rule} ('Nope', 'Reader', '{{read}}')"), "42704", "Nope"),
        (format!("{rule} ('Word', 'Nope', '{{read}}')"), "42704", "Nope"),
        (format!("{rule} ('Word', 'Reader', '{{read,fly}}')"), "42704", "fly"),
        (format!("{rule} ('Word', 'Reader', '{{}}')"), "22023", "Word"),
        (format!("{rule} ('Word', 'Reader', '{{read,read}}')"), "22023", "read"),
        (format!("{rule} ('Word', 'Reader', '{{read,NULL}}')"), "22023", "Word"),
        (format!("{role} ('nobody@erp.test', 'Reader')"), "42704", "nobody@erp.test"),
        (format!("{role} ('ann@erp.test', 'Nope')"), "42704", "Nope"),
        ("SELECT docperm.set_user('nobody@erp.test')".to_owned(), "42704", "nobody@erp.test"),
        ("SELECT docperm.has_permission('Nope')".to_owned(), "42704", "Nope"),
        ("SELECT docperm.has_permission('Good', 'fly')".to_owned(), "42704", "fly"),
        (
            "SELECT docperm.has_permission('Good', 'read', '1', 'nobody@erp.test')".to_owned(),
            "42704",
            "nobody@erp.test",
        ),
        ("SELECT docperm.permitted_documents('Nope')".to_owned(), "42704", "Nope"),
        (
            "SELECT docperm.permitted_documents('Good', 'nobody@erp.test')".to_owned(),
            "42704",
            "nobody@erp.test",
        ),
        ("SELECT docperm.explain_access('Nope', '1')".to_owned(), "42704", "Nope"),
        ("SELECT docperm.explain_access('Good', '1', 'fly')".to_owned(), "42704", "fly"),
    ];
    let cases: Vec<(&str, &str, &str)> =
        cases.iter().map(|(sql, state, named)| (sql.as_str(), *state, *named)).collect();
    all_refused(&cases);
}

#[test]
fn what_docperm_needs_stays() {
    all_refused(&[
        ("UPDATE docperm.users SET enabled = false WHERE name = 'Administrator'", "22023", "Administrator"),
        ("UPDATE docperm.users SET name = 'root' WHERE name = 'Administrator'", "22023", "Administrator"),
        ("DELETE FROM docperm.users WHERE name = 'Guest'", "22023", "Guest"),
    ]);
}

#[test]
fn constraints_refuse_what_is_there_twice_or_out_of_range() {
    let mut w = World::new(SCHEMA);
    let before = fingerprint(&mut w);
    let permission = "INSERT INTO docperm.user_permissions (user_name, allow, for_value, is_default) VALUES";
    let rule = "INSERT INTO docperm.role_permissions (doctype, role, permlevel, rights) VALUES";
    for (sql, sqlstate) in [
        (format!("{permission} ('ann@erp.test', 'Good', '1', false)"), "23505"),
        (format!("{permission} ('ann@erp.test', 'Good', '01', false)"), "23505"),
        (format!("{permission} ('ANN@erp.test', 'Good', '1', false)"), "23505"),
        (format!("{permission} ('ann@erp.test', 'Good', '2', true)"), "23505"),
        (format!("{rule} ('Good', 'Reader', 0, '{{write}}')"), "23505"),
        (format!("{rule} ('Good', 'Reader', 10, '{{write}}')"), "23514"),
        (format!("{rule} ('Good', 'Reader', -1, '{{write}}')"), "23514"),
        ("UPDATE docperm.settings SET strict_user_permissions = 'very'".to_owned(), "23514"),
        ("INSERT INTO docperm.users (name) VALUES ('Ann@ERP.test')".to_owned(), "23505"),
        ("INSERT INTO docperm.users (name) VALUES ('  ')".to_owned(), "23514"),
    ] {
        assert_eq!(refused_with(&mut w.admin, &sql), sqlstate, "{sql}");
        assert_eq!(fingerprint(&mut w), before, "{sql} left something behind");
    }
}

#[test]
fn settings_are_one_row_for_good() {
    let mut w = World::new(SCHEMA);
    for sql in [
        "INSERT INTO docperm.settings DEFAULT VALUES",
        "DELETE FROM docperm.settings",
        "TRUNCATE docperm.settings",
    ] {
        let _ = crate::support::attempt(&mut w.admin, sql);
        assert_eq!(texts(&mut w.admin, "SELECT count(*) FROM docperm.settings"), ["1"], "{sql}");
    }
}

#[test]
fn errors_over_a_users_connection() {
    let mut w = World::new(SCHEMA);
    w.user("bob@erp.test", &["Reader"]);
    let stranger = w.db.login_role("stranger");
    let mut c = w.db.connect_as(&stranger);
    assert_eq!(refused_with(&mut c, "SELECT docperm.set_user('bob@erp.test')"), "42501");
    let mut c = w.acting("bob@erp.test");
    for sql in [
        "SELECT docperm.has_permission('Good', 'read', '1', 'ann@erp.test')",
        "SELECT docperm.permitted_documents('Good', 'ann@erp.test')",
        "SELECT docperm.explain_access('Good', '1', 'read', 'ann@erp.test')",
    ] {
        let refusal = refused(&mut c, sql);
        assert_eq!(refusal.sqlstate, "42501", "{sql}");
        assert!(refusal.hint.is_some(), "{refusal:?}");
    }
    // Unknown users are not told apart from known ones.
    let about = |user: &str| format!("SELECT docperm.has_permission('Good', 'read', '1', '{user}')");
    assert_eq!(refused_with(&mut c, &about("nobody@erp.test")), "42501");
    set_user(&mut c, "bob@erp.test");
}
