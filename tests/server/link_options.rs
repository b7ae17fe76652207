//! What a link picker is offered, and what functions tell of columns that a database role may not read.

use crate::support::{World, attempt, one, refused_with, table, texts};

const ANN: &str = "ann@erp.test";

fn world() -> World {
    let mut w = World::new(
        "CREATE TABLE territory (name text PRIMARY KEY, up text);
         CREATE TABLE customer (id int PRIMARY KEY, title text, territory text REFERENCES territory);
         CREATE TABLE deal (name text PRIMARY KEY, customer int REFERENCES customer, rival int);
         CREATE TABLE memo (name text PRIMARY KEY);
         INSERT INTO territory VALUES ('EU'), ('US');
         INSERT INTO customer VALUES (10, 'Öl & Gas 100%', 'EU'), (9, 'oak_tree', 'EU'), (8, 'Oakland', 'US'), (7, NULL, 'EU'), (6, 'back\\slash', 'EU');
         SELECT docperm.protect('territory', 'Territory', tree_parent_column => 'up');
         SELECT docperm.protect('customer', 'Customer', title_column => 'title');
         SELECT docperm.protect('deal', 'Deal'), docperm.protect('memo', 'Memo');
         SELECT docperm.set_field('Deal', 'rival', link_to => 'Customer', ignore_user_permissions => true);",
    );
    w.user(ANN, &["Seller"]);
    w.rule("Customer", "Seller", "{select}");
    w.rule("Deal", "Seller", "{read}");
    w.rule("Territory", "Seller", "{read}");
    w
}

fn options(w: &World, arguments: &str) -> Vec<String> {
    texts(&mut w.acting(ANN), &format!("SELECT * FROM docperm.link_options('Customer'{arguments})"))
}

#[test]
fn options_come_in_the_order_of_their_names_and_as_many_as_are_wanted() {
    let mut w = world();
    assert_eq!(options(&w, ""), ["6|back\\slash", "7|NULL", "8|Oakland", "9|oak_tree", "10|Öl & Gas 100%"]);
    assert_eq!(options(&w, ", max_rows => 2"), ["6|back\\slash", "7|NULL"]);
    for none in ["0", "-1", "-2147483648"] {
        assert!(options(&w, &format!(", max_rows => {none}")).is_empty());
    }
    assert_eq!(options(&w, ", max_rows => 2147483647").len(), 5);
    w.allow(ANN, "Territory", "EU");
    assert_eq!(options(&w, ", max_rows => 3"), ["6|back\\slash", "7|NULL", "9|oak_tree"]);
    assert_eq!(one(&mut w.acting(ANN), "SELECT count(*) FROM customer"), "0", "select opens no row");
    assert!(texts(&mut w.app(), "SELECT * FROM docperm.link_options('Customer')").is_empty(), "Guest");
}

#[test]
fn what_is_searched_is_meant_as_it_is_written() {
    let w = world();
    for (search, found) in [
        ("oak", &["8", "9"][..]),
        ("OAK", &["8", "9"]),
        ("k_t", &["9"]),
        ("0%", &["10"]),
        ("öl", &["10"]),
        ("\\", &["6"]),
        ("k\\s", &["6"]),
        ("1", &["10"]),
        ("''", &[]),
        ("%", &["10"]),
        ("nothing", &[]),
    ] {
        let rows = options(&w, &format!(", search => '{search}'"));
        let names: Vec<&str> = rows.iter().map(|row| row.split('|').next().unwrap()).collect();
        assert_eq!(names, found, "{search}");
        let mut c = w.acting(ANN);
        c.batch_execute("SET standard_conforming_strings = off").unwrap();
        let rows = texts(&mut c, &format!("SELECT name FROM docperm.link_options('Customer', $${search}$$)"));
        assert_eq!(rows, if search == "''" { vec![] } else { rows.clone() });
    }
    assert_eq!(options(&w, ", search => ''").len(), 5);
}

#[test]
fn a_form_must_have_such_a_link() {
    let mut w = world();
    let options = |form: &str, ignores: bool| {
        format!(
            "SELECT * FROM docperm.link_options('Customer', for_doctype => '{form}', ignore_user_permissions => {ignores})"
        )
    };
    let mut c = w.acting(ANN);
    assert_eq!(refused_with(&mut c, &options("Nope", false)), "42704");
    assert_eq!(refused_with(&mut c, &options("Memo", false)), "22023", "no link to Customer");
    assert_eq!(refused_with(&mut c, "SELECT * FROM docperm.link_options('Nope')"), "42704");
    assert_eq!(refused_with(&mut c, "SELECT * FROM docperm.link_options(NULL)"), "22023");
    assert!(
        attempt(&mut c, &options("Deal", false)).is_ok()
            && attempt(&mut c, &options("Customer", false)).is_ok()
    );

    w.allow(ANN, "Territory", "EU");
    w.allow_for(ANN, "Customer", "9", "Deal");
    assert_eq!(texts(&mut c, &options("Deal", false)), ["9|oak_tree"], "entries for Deal count in its form");
    assert_eq!(texts(&mut c, &options("Customer", false)).len(), 4);
    // Ann fills in no deals, so nothing is ignored for her.
    assert_eq!(refused_with(&mut c, &options("Deal", true)), "42501");
    w.rule("Deal", "Author", "{write}");
    w.sql("INSERT INTO docperm.user_roles VALUES ('ann@erp.test', 'Author')");
    assert_eq!(texts(&mut c, &options("Deal", true)).len(), 5);
    assert_eq!(refused_with(&mut c, &options("Customer", true)), "42501", "no link of its own");
    assert_eq!(
        refused_with(
            &mut c,
            "SELECT * FROM docperm.link_options('Customer', ignore_user_permissions => true)"
        ),
        "42501"
    );
    // A tree's own structure is no link to pick by.
    w.rule("Territory", "Author", "{write}");
    assert_eq!(
        refused_with(
            &mut c,
            "SELECT * FROM docperm.link_options('Territory', for_doctype => 'Territory', ignore_user_permissions => true)"
        ),
        "42501"
    );
}

#[test]
fn it_stops_when_it_has_found_enough() {
    let mut w = world();
    w.sql(
        "INSERT INTO customer SELECT i, 'Customer ' || i, CASE WHEN i % 100 = 0 THEN 'EU' ELSE 'US' END FROM generate_series(100, 20000) AS i;
         CREATE INDEX ON customer (territory); ANALYZE;",
    );
    w.allow(ANN, "Territory", "EU");
    for search in ["", "Customer"] {
        let mut c = w.acting(ANN);
        c.batch_execute("BEGIN").unwrap();
        let found = texts(
            &mut c,
            &format!("SELECT name FROM docperm.link_options('Customer', '{search}', max_rows => 2)"),
        );
        assert_eq!(found, if search.is_empty() { ["6", "7"] } else { ["100", "200"] });
        let read = table(
            &mut c,
            "SELECT coalesce(seq_tup_read, 0), coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relname = 'customer'",
        );
        let read: u32 = read[0].iter().map(|count| count.parse::<u32>().unwrap()).sum();
        assert!(read < 1_000, "{read} rows read");
    }
    // A set that is too large to be written into the plan.
    w.sql("INSERT INTO docperm.user_permissions (user_name, allow, for_value) SELECT 'ann@erp.test', 'Customer', i::text FROM generate_series(300, 3000, 100) AS i");
    let mut c = w.acting(ANN);
    c.batch_execute("SET docperm.max_inline_values = 3; SET force_parallel_mode = on").unwrap();
    assert_eq!(
        texts(&mut c, "SELECT name FROM docperm.link_options('Customer', max_rows => 2)"),
        ["300", "400"]
    );
}

#[test]
fn keys_and_titles_of_any_type_are_offered_and_searched() {
    for (key, name, search) in [
        ("char(5)", "ab", "AB"),
        ("uuid", "00000000-0000-4000-8000-00000000000a", "0000A"),
        ("date", "2024-02-09", "-02-"),
        ("name", "ab", "AB"),
        ("mood", "happy", "APP"),
        ("short", "ab", "AB"),
        ("text COLLATE loose", "ab", "AB"),
        ("bytea", "\\x00", "00"),
    ] {
        let mut w = World::new(&format!(
            "CREATE TYPE mood AS ENUM ('happy'); CREATE DOMAIN short AS varchar(5);
             CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
             CREATE TABLE thing (k {key} PRIMARY KEY, t {key});
             INSERT INTO thing VALUES ('{name}', '{name}');
             SELECT docperm.protect('thing', 'Thing', title_column => 't');"
        ));
        w.user(ANN, &["Seller"]);
        w.rule("Thing", "Seller", "{select}");
        let mut c = w.acting(ANN);
        c.batch_execute("SET DateStyle = 'SQL, DMY'; SET bytea_output = escape").unwrap();
        let found = table(&mut c, &format!("SELECT * FROM docperm.link_options('Thing', '{search}')"));
        assert_eq!(found, [[name, name]], "{key}");
    }
}

// Columns that the role may not read

#[test]
fn columns_that_the_role_may_not_read_are_not_told_of() {
    let mut w = world();
    let app = w.app_role.clone();
    w.rule("Customer", "Reader", "{read}");
    w.sql(&format!(
        "INSERT INTO docperm.user_roles VALUES ('{ANN}', 'Reader');
         REVOKE ALL ON customer FROM {app}; GRANT SELECT (territory) ON customer TO {app}"
    ));
    w.allow(ANN, "Territory", "EU");
    let mut c = w.acting(ANN);
    for question in [
        "SELECT * FROM docperm.link_options('Customer')",
        "SELECT * FROM docperm.permitted_documents('Customer')",
    ] {
        assert_eq!(refused_with(&mut c, question), "42501", "{question} names documents");
    }
    w.sql(&format!(
        "REVOKE SELECT (territory) ON customer FROM {app}; GRANT SELECT (id) ON customer TO {app}"
    ));
    assert_eq!(
        texts(&mut c, "SELECT * FROM docperm.link_options('Customer')"),
        ["6|NULL", "7|NULL", "9|NULL", "10|NULL"]
    );
    assert!(
        texts(&mut c, "SELECT * FROM docperm.link_options('Customer', 'oak')").is_empty(),
        "nor searched"
    );
    assert_eq!(texts(&mut c, "SELECT * FROM docperm.link_options('Customer', '9')"), ["9|NULL"]);
    assert_eq!(texts(&mut c, "SELECT document FROM docperm.permitted_documents('Customer')").len(), 4);

    let told = |c: &mut postgres::Client, document: &str| {
        texts(c, &format!("SELECT detail FROM docperm.explain_access('Customer', '{document}')")).join("\n")
    };
    for document in ["9", "8"] {
        let text = told(&mut c, document);
        assert!(!text.contains("EU") && !text.contains("US"), "{text}");
    }
    assert!(told(&mut c, "9").contains("may not SELECT"), "{}", told(&mut c, "9"));
    // An administrator with the same database role is told no more.
    let text = told(&mut w.acting("Administrator"), "9");
    assert!(!text.contains("EU"), "{text}");
    w.user("boss@erp.test", &["System Manager"]);
    let text = texts(
        &mut w.acting("boss@erp.test"),
        &format!("SELECT detail FROM docperm.explain_access('Customer', '8', user_name => '{ANN}')"),
    )
    .join("\n");
    assert!(!text.contains("US"), "{text}");
    w.sql(&format!("GRANT SELECT (territory) ON customer TO {app}"));
    assert!(told(&mut c, "9").contains("EU"));
}

#[test]
fn an_owner_whom_the_role_may_not_read_is_not_told_of() {
    let mut w = World::new(
        "CREATE TABLE memo (name text PRIMARY KEY, owner text);
         INSERT INTO memo VALUES ('m1', 'ann@erp.test');
         SELECT docperm.protect('memo', 'Memo', owner_column => 'owner');",
    );
    w.user(ANN, &["Author"]);
    w.user("bob@erp.test", &["Author"]);
    w.rule_if_owner("Memo", "Author", "{read}");
    let app = w.app_role.clone();
    w.sql(&format!("REVOKE ALL ON memo FROM {app}; GRANT SELECT (name) ON memo TO {app}"));
    let ask = "SELECT detail FROM docperm.explain_access('Memo', 'm1', 'read', 'bob@erp.test') WHERE rule = 'owner'";
    let told = texts(&mut w.acting("Administrator"), ask).join("");
    assert!(!told.contains(ANN) && told.contains("may not SELECT"), "{told}");
    w.sql(&format!("GRANT SELECT (owner) ON memo TO {app}"));
    assert!(texts(&mut w.acting("Administrator"), ask).join("").contains(ANN));
}

#[test]
fn explain_access_tells_of_the_document_on_which_the_right_is_not_had() {
    let mut w = World::new(
        "CREATE TABLE doc (part int, name text, tag text, PRIMARY KEY (part, name)) PARTITION BY LIST (part);
         CREATE TABLE doc_1 PARTITION OF doc FOR VALUES IN (1); CREATE TABLE doc_2 PARTITION OF doc FOR VALUES IN (2);
         CREATE TABLE tag (name text PRIMARY KEY);
         INSERT INTO doc VALUES (1, 'D', 'good'), (2, 'D', 'bad'), (1, 'E', 'good');
         SELECT docperm.protect('tag', 'Tag'), docperm.protect('doc', 'Doc'), docperm.set_field('Doc', 'tag', 'Tag');",
    );
    w.user(ANN, &["Reader"]);
    w.rule("Doc", "Reader", "{read}");
    w.allow(ANN, "Tag", "good");
    let last = |c: &mut postgres::Client, document: &str, user: &str| {
        texts(c, &format!("SELECT verdict FROM docperm.explain_access('Doc', '{document}', 'read', {user})"))
            .pop()
            .unwrap()
    };
    for asker in ["Administrator", ANN] {
        let mut c = w.acting(asker);
        assert_eq!(last(&mut c, "D", &format!("'{ANN}'")), "denied", "{asker}");
        assert_eq!(last(&mut c, "E", &format!("'{ANN}'")), "allowed", "{asker}");
        assert_eq!(last(&mut c, "F", &format!("'{ANN}'")), "denied", "{asker}");
    }
    let told = texts(&mut w.acting(ANN), "SELECT detail FROM docperm.explain_access('Doc', 'D')").join("");
    assert!(!told.contains("bad"), "{told}");
}
