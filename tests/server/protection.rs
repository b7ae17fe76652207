//! What docperm.protect() makes of a table's keys, and of a table that took another one's place.

use crate::support::{World, names, one, refused, table};

const ANN: &str = "ann@erp.test";

fn with_tables(schema: &str) -> World {
    let mut w = World::new(schema);
    w.user(ANN, &["Reader"]);
    w
}

fn name_column(w: &mut World, doctype: &str) -> String {
    one(&mut w.admin, &format!("SELECT name_column FROM docperm.doctypes WHERE name = '{doctype}'"))
}

// Keys of partitioned tables

#[test]
fn the_key_of_a_table_partitioned_by_range_is_what_is_left_of_the_primary_key() {
    let mut w = with_tables(
        "CREATE TABLE entry (name text, posting_date date, PRIMARY KEY (name, posting_date)) PARTITION BY RANGE (posting_date);
         CREATE TABLE entry_1 PARTITION OF entry FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
         CREATE TABLE entry_2 PARTITION OF entry FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
         CREATE TABLE payment (id int PRIMARY KEY, entry text, posting_date date,
                               FOREIGN KEY (entry, posting_date) REFERENCES entry);
         INSERT INTO entry VALUES ('E-1', '2024-05-01'), ('E-2', '2024-06-01'), ('E-3', '2025-05-01');
         INSERT INTO payment VALUES (1, 'E-1', '2024-05-01'), (2, 'E-3', '2025-05-01');
         SELECT docperm.protect('payment', 'Payment'), docperm.protect('entry', 'Entry');",
    );
    assert_eq!(name_column(&mut w, "Entry"), "name");
    for doctype in ["Entry", "Payment"] {
        w.rule(doctype, "Reader", "{read}");
    }
    for entry in ["E-1", "E-3"] {
        w.allow(ANN, "Entry", entry);
    }
    assert_eq!(w.sees(ANN, "Entry"), ["E-1", "E-3"]);
    assert_eq!(w.sees(ANN, "Payment"), ["1", "2"], "a foreign key of two columns is a link by the name");
    w.sql("DELETE FROM docperm.user_permissions WHERE for_value = 'E-3'");
    assert_eq!(w.sees(ANN, "Payment"), ["1"]);
}

#[test]
fn the_key_of_a_table_partitioned_by_list_and_again_is_what_is_left_of_the_primary_key() {
    let mut w = with_tables(
        "CREATE TABLE company (name text PRIMARY KEY);
         CREATE TABLE entry (id int, year int, company text REFERENCES company, PRIMARY KEY (id, company, year))
             PARTITION BY LIST (company);
         CREATE TABLE entry_a PARTITION OF entry FOR VALUES IN ('A') PARTITION BY RANGE (year);
         CREATE TABLE entry_a1 PARTITION OF entry_a FOR VALUES FROM (2024) TO (2025);
         CREATE TABLE entry_b PARTITION OF entry FOR VALUES IN ('B');
         INSERT INTO company VALUES ('A'), ('B');
         INSERT INTO entry VALUES (1, 2024, 'A'), (2, 2024, 'B'), (3, 2024, 'A');
         SELECT docperm.protect('company', 'Company'), docperm.protect('entry', 'Entry');",
    );
    assert_eq!(name_column(&mut w, "Entry"), "id");
    w.rule("Entry", "Reader", "{read}");
    w.allow(ANN, "Company", "A");
    assert_eq!(w.sees(ANN, "Entry"), ["1", "3"]);
    w.allow(ANN, "Entry", "3");
    assert_eq!(w.sees(ANN, "Entry"), ["3"]);
}

#[test]
fn a_key_can_be_named_where_the_primary_key_leaves_more_than_one_column() {
    let mut w = with_tables(
        "CREATE TABLE entry (id int, line int, name text NOT NULL, company text, PRIMARY KEY (id, line, company))
             PARTITION BY LIST (company);
         CREATE TABLE entry_a PARTITION OF entry FOR VALUES IN ('A');
         CREATE UNIQUE INDEX ON entry (company, name) INCLUDE (id);
         CREATE UNIQUE INDEX ON entry_a (line);",
    );
    let protect = |name: &str| format!("SELECT docperm.protect('entry', 'Entry'{name})");
    for (given, why) in [
        ("", "nothing says which of two columns it is"),
        (", name_column => 'id'", "two lines have the same id"),
        (", name_column => 'company'", "only together with another column is it unique"),
        (", name_column => 'line'", "it is unique in one partition, not in those to come"),
    ] {
        let refusal = refused(&mut w.admin, &protect(given));
        assert_eq!(refusal.sqlstate, "22023", "{given}: {why}");
        assert!(refusal.hint.is_some(), "{refusal:?}");
        assert_eq!(
            one(&mut w.admin, "SELECT count(*) FROM docperm.doctypes WHERE NOT docperm._is_own(relation)"),
            "0"
        );
        assert_eq!(
            one(&mut w.admin, "SELECT count(*) FROM pg_policy WHERE NOT docperm._is_own(polrelid)"),
            "0"
        );
    }
    w.sql(&protect(", name_column => 'name'"));
    assert_eq!(name_column(&mut w, "Entry"), "name");
}

#[test]
fn a_plain_table_needs_a_key_of_its_own() {
    let mut w = with_tables("CREATE TABLE line (id int, company text, PRIMARY KEY (id, company))");
    for given in ["", ", name_column => 'id'"] {
        let refusal = refused(&mut w.admin, &format!("SELECT docperm.protect('line', 'Line'{given})"));
        assert_eq!(refusal.sqlstate, "22023");
    }
}

// A table that is made again

const MADE: &str = "
    CREATE TABLE company (name text PRIMARY KEY);
    CREATE TABLE territory (name text PRIMARY KEY, parent text);
    CREATE TABLE visit (name text PRIMARY KEY, company text REFERENCES company, territory text, owner text, docstatus int);
    INSERT INTO company VALUES ('A'), ('B');
    SELECT docperm.protect('company', 'Company'),
           docperm.protect('territory', 'Territory', tree_parent_column => 'parent'),
           docperm.protect('visit', 'Visit', owner_column => 'owner', docstatus_column => 'docstatus');
    SELECT docperm.set_field('Visit', 'territory', link_to => 'Territory', ignore_user_permissions => true);";

const COLUMNS: &str =
    "SELECT relation, name_column, owner_column, docstatus_column, tree_parent_column FROM docperm.doctypes
      WHERE name IN ('Territory', 'Visit') ORDER BY name";
const FIELDS: &str = "SELECT doctype, column_name, link_to FROM docperm.doctype_fields
      WHERE doctype IN ('Company', 'Territory', 'Visit') ORDER BY 1, 2";

#[test]
fn a_table_made_again_keeps_what_it_still_has() {
    let mut w = with_tables(MADE);
    w.rule("Visit", "Reader", "{read}");
    w.allow(ANN, "Company", "A");
    let (columns, fields) = (table(&mut w.admin, COLUMNS), table(&mut w.admin, FIELDS));
    w.sql("ALTER TABLE visit RENAME TO old_visit; CREATE TABLE visit (LIKE old_visit INCLUDING ALL); DROP TABLE old_visit;
           INSERT INTO visit VALUES ('V-1', 'A'), ('V-2', 'B');
           SELECT docperm.protect('visit', 'Visit');");
    w.grant_tables();
    assert_eq!(table(&mut w.admin, COLUMNS), columns);
    // The foreign key was not made again; a restriction is not lifted by that.
    assert_eq!(table(&mut w.admin, FIELDS), fields);
    assert_eq!(names(&mut w.acting(ANN), "SELECT name FROM visit"), ["V-1"]);
}

#[test]
fn a_table_made_again_forgets_columns_that_it_lacks() {
    let mut w = with_tables(MADE);
    w.sql(
        "DROP TABLE visit; DROP TABLE territory;
           CREATE TABLE visit (id int PRIMARY KEY, title text);
           CREATE TABLE territory (name text PRIMARY KEY);
           SELECT docperm.protect('visit', 'Visit'), docperm.protect('territory', 'Territory');",
    );
    assert_eq!(
        table(&mut w.admin, COLUMNS),
        [["territory", "name", "NULL", "NULL", "NULL"], ["visit", "id", "NULL", "NULL", "NULL"]]
    );
    assert!(table(&mut w.admin, FIELDS).is_empty());
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'docperm_tree%'"), "0");
}

#[test]
fn a_column_that_is_asked_for_must_be_there_in_any_case() {
    let mut w = with_tables(MADE);
    w.sql("DROP TABLE visit; CREATE TABLE visit (name text PRIMARY KEY)");
    let ask = "SELECT docperm.protect('visit', 'Visit', owner_column => 'owner')";
    assert_eq!(refused(&mut w.admin, ask).sqlstate, "42704");

    // A table that is still bound cannot lose a column unnoticed.
    w.sql("ALTER TABLE territory RENAME COLUMN parent TO above");
    let refusal = refused(&mut w.admin, "SELECT docperm.protect('territory', 'Territory')");
    assert_eq!(refusal.sqlstate, "42704");
    assert!(refusal.message.contains("parent"), "{refusal:?}");
}
