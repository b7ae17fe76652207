//! Plans: what the executor gets is what an expert would have written by hand. Shapes only, never times.

use crate::support::{World, explain, one, refused_with, set_user, table};
use postgres::Client;

const ALL: &str = "all@erp.test";
const ONE: &str = "one@erp.test";
const NONE: &str = "none@erp.test";

/// 20,000 entries of 200 companies; `company` is NOT NULL, `territory` is a nullable link, and there is an index
/// for each kind of filter that row security would otherwise keep from its index.
const SCHEMA: &str = "
    CREATE TYPE state AS ENUM ('draft', 'sent', 'paid');
    CREATE TABLE company   (name text PRIMARY KEY);
    CREATE TABLE territory (name text PRIMARY KEY);
    CREATE TABLE entry (id int PRIMARY KEY, company text NOT NULL REFERENCES company, territory text REFERENCES territory,
                        title text NOT NULL, amount numeric NOT NULL, state state NOT NULL, extra jsonb NOT NULL);
    INSERT INTO company   SELECT 'c' || i FROM generate_series(0, 1999) i;
    INSERT INTO territory SELECT 't' || i FROM generate_series(0, 99) i;
    INSERT INTO entry
    SELECT i, 'c' || i % 200, CASE WHEN i % 50 > 0 THEN 't' || i % 97 END, 'title ' || md5(i::text), i * 0.5,
           CASE WHEN i % 100 = 0 THEN 'draft' ELSE 'paid' END::state, jsonb_build_object('k', i)
      FROM generate_series(1, 20000) i;
    CREATE INDEX entry_company   ON entry (company);
    CREATE INDEX entry_territory ON entry (territory);
    CREATE INDEX entry_title     ON entry (title text_pattern_ops);
    CREATE INDEX entry_amount    ON entry (amount);
    CREATE INDEX entry_state     ON entry (state);
    CREATE INDEX entry_extra     ON entry USING gin (extra);
    SELECT docperm.protect('company', 'Company'), docperm.protect('territory', 'Territory'),
           docperm.protect('entry', 'Entry');
    ANALYZE;";

fn world() -> World {
    let mut w = World::new(SCHEMA);
    w.user(ALL, &["Reader"]);
    w.user(ONE, &["Reader"]);
    w.user(NONE, &[]);
    w.rule("Entry", "Reader", "{read,write,create,delete}");
    w.rule("Company", "Reader", "{read}");
    w.allow(ONE, "Company", "c7");
    w
}

/// The plan as `user` gets it; it must not call the policy's function.
#[track_caller]
fn plan(c: &mut Client, user: &str, sql: &str) -> String {
    set_user(c, user);
    let plan = explain(c, sql);
    assert!(!plan.contains("permits"), "{user}: {sql}\n{plan}");
    plan
}

/// The planner's row estimate of the topmost node.
fn estimate(c: &mut Client, sql: &str) -> f64 {
    let first = &table(c, &format!("EXPLAIN {sql}"))[0][0];
    let rows = first.split("rows=").nth(1).and_then(|rest| rest.split(' ').next());
    rows.unwrap_or_else(|| panic!("no estimate in {first}")).parse().unwrap()
}

const QUERIES: [&str; 10] = [
    "SELECT * FROM entry WHERE title LIKE 'title 0a1%'",
    "SELECT * FROM entry WHERE amount = 12.5",
    "SELECT * FROM entry WHERE state = 'draft'",
    "SELECT * FROM entry WHERE extra @> '{\"k\": 7}'",
    "SELECT * FROM entry WHERE id = 17",
    "SELECT * FROM entry ORDER BY id DESC LIMIT 20",
    "SELECT count(*), sum(amount) FROM entry",
    "SELECT count(*) FROM entry WHERE company = 'c3'",
    "SELECT * FROM entry JOIN company ON company.name = entry.company WHERE entry.id < 100",
    "UPDATE entry SET amount = 0 WHERE id = 17",
];

#[test]
fn an_unrestricted_user_gets_the_plan_of_a_table_without_row_security() {
    let mut w = world();
    let mut c = w.app();
    for sql in QUERIES {
        let bare = explain(&mut w.admin, sql);
        for user in [ALL, "Administrator"] {
            assert_eq!(plan(&mut c, user, sql), bare, "{user}: {sql}");
        }
    }
    for (sql, index) in
        QUERIES.iter().zip(["entry_title", "entry_amount", "entry_state", "entry_extra", "entry_pkey"])
    {
        let plan = plan(&mut c, ALL, sql);
        assert!(plan.contains(index), "{index} is not used: {sql}\n{plan}");
    }
}

#[test]
fn an_unrestricted_user_gets_the_estimates_of_a_table_without_row_security() {
    // Under a policy PostgreSQL shows statistics to leakproof operators alone; here there is nothing to hide.
    let mut w = world();
    w.sql("CREATE STATISTICS of_entry ON company, territory FROM entry; ANALYZE entry");
    let mut c = w.app();
    set_user(&mut c, ALL);
    for sql in QUERIES.into_iter().chain([
        "SELECT * FROM entry WHERE title ~ '^title 0'",
        "SELECT * FROM entry WHERE amount + 1 > 9990",
        "SELECT * FROM entry WHERE company = 'c3' AND territory = 't3'",
        "SELECT * FROM entry WHERE amount::text LIKE '99%'",
    ]) {
        assert_eq!(estimate(&mut c, sql), estimate(&mut w.admin, sql), "{sql}");
    }
}

#[test]
fn one_permitted_value_is_an_index_condition() {
    let w = world();
    let mut c = w.app();
    let plan = plan(&mut c, ONE, "SELECT * FROM entry");
    assert!(plan.contains("entry_company"), "{plan}");
    assert!(plan.contains("Index Cond") && plan.contains("c7"), "{plan}");
}

#[test]
fn a_nullable_link_uses_its_index_for_value_and_blank() {
    let mut w = world();
    w.user("t@erp.test", &["Reader"]);
    w.allow("t@erp.test", "Territory", "t3");
    let mut c = w.app();
    let text = plan(&mut c, "t@erp.test", "SELECT * FROM entry");
    assert!(text.contains("entry_territory") && text.contains("Index Cond"), "{text}");
    assert!(text.contains("IS NULL"), "{text}");
    w.strict("blank_links");
    let strict = plan(&mut c, "t@erp.test", "SELECT * FROM entry");
    assert!(!strict.contains("IS NULL") && strict.contains("t3"), "{strict}");
}

#[test]
fn estimates_are_those_of_the_condition_written_by_hand() {
    let mut w = world();
    let mut c = w.acting(ONE);
    // A blank link passes in this mode, and blank is NULL or the empty string.
    let by_hand =
        estimate(&mut w.admin, "SELECT * FROM entry WHERE company IN ('c7', '') OR company IS NULL");
    assert!((50.0..500.0).contains(&by_hand), "{by_hand}");
    let ours = estimate(&mut c, "SELECT * FROM entry");
    assert!((ours - by_hand).abs() <= 1.0, "{ours} rows expected, {by_hand} by hand");
}

#[test]
fn several_values_are_one_constant_array() {
    let mut w = world();
    w.user("many@erp.test", &["Reader"]);
    for i in 0..50 {
        w.allow("many@erp.test", "Company", &format!("c{i}"));
    }
    let mut c = w.app();
    let plan = plan(&mut c, "many@erp.test", "SELECT * FROM entry");
    assert!(plan.contains("= ANY ('{"), "{plan}");
    assert!(!plan.contains("docperm."), "nothing of docperm runs for each row:\n{plan}");
}

#[test]
fn above_the_limit_a_membership_test_takes_the_place_of_the_array() {
    let mut w = world();
    let sql = "SELECT * FROM entry";
    let mut c = w.acting(ALL);
    // The limit is a setting that any user may change for his own plans.
    c.batch_execute("SET docperm.max_inline_values = 40").unwrap();
    w.user("many@erp.test", &["Reader"]);
    for i in 0..40 {
        w.allow("many@erp.test", "Company", &format!("c{i}"));
    }
    let inlined = plan(&mut c, "many@erp.test", sql);
    assert!(inlined.contains("= ANY ('{"), "at the limit:\n{inlined}");
    let answer = one(&mut c, "SELECT count(*) FROM entry");
    w.allow("many@erp.test", "Company", "c1999");
    let tested = plan(&mut c, "many@erp.test", sql);
    assert!(!tested.contains("= ANY ('{"), "above the limit:\n{tested}");
    assert!(tested.contains("docperm."), "a membership test is expected:\n{tested}");
    assert_eq!(one(&mut c, "SELECT count(*) FROM entry"), answer);
    assert_eq!(answer, "4000");
    // A scalar filter of the user's own still leads, where it is the better way in.
    let by_key = plan(&mut c, "many@erp.test", "SELECT * FROM entry WHERE id = 17");
    assert!(by_key.contains("entry_pkey"), "{by_key}");
}

#[test]
fn the_membership_test_estimates_as_the_array_does() {
    let mut w = world();
    w.user("many@erp.test", &["Reader"]);
    for i in 0..50 {
        w.allow("many@erp.test", "Company", &format!("c{i}"));
    }
    let mut c = w.acting("many@erp.test");
    let by_array = estimate(&mut c, "SELECT * FROM entry");
    c.batch_execute("SET docperm.max_inline_values = 10").unwrap();
    assert!(!explain(&mut c, "SELECT * FROM entry").contains("= ANY ('{"));
    let by_test = estimate(&mut c, "SELECT * FROM entry");
    let ratio = by_test / by_array;
    assert!((0.5..2.0).contains(&ratio), "{by_test} rows by the membership test, {by_array} by the array");
}

#[test]
fn who_may_see_nothing_scans_nothing() {
    let w = world();
    let mut c = w.app();
    for user in [NONE, "Guest"] {
        for sql in ["SELECT * FROM entry", "SELECT count(*) FROM entry", "DELETE FROM entry"] {
            let plan = plan(&mut c, user, sql);
            assert!(plan.contains("One-Time Filter: false"), "{user}: {sql}\n{plan}");
            assert!(!plan.contains("Scan"), "{user}: {sql}\n{plan}");
        }
        // Also beside conditions of the query's own.
        for sql in [
            "SELECT * FROM entry WHERE id = 1",
            "DELETE FROM entry WHERE title LIKE 'title 0%' AND amount > 3",
        ] {
            let plan = plan(&mut c, user, sql);
            assert!(
                plan.contains("One-Time Filter: false") && !plan.contains("Scan"),
                "{user}: {sql}\n{plan}"
            );
            assert!(table(&mut c, sql).is_empty());
        }
    }
}

#[test]
fn partitions_of_others_are_pruned() {
    let mut w = World::new(
        "CREATE TABLE company (name text PRIMARY KEY);
         CREATE TABLE ledger (id int, company text NOT NULL REFERENCES company, PRIMARY KEY (id, company))
             PARTITION BY LIST (company);
         CREATE TABLE ledger_a PARTITION OF ledger FOR VALUES IN ('A');
         CREATE TABLE ledger_b PARTITION OF ledger FOR VALUES IN ('B');
         CREATE TABLE ledger_c PARTITION OF ledger FOR VALUES IN ('C');
         CREATE TABLE ledger_d PARTITION OF ledger FOR VALUES IN ('D');
         INSERT INTO company VALUES ('A'), ('B'), ('C'), ('D');
         INSERT INTO ledger SELECT i, chr(65 + i % 4) FROM generate_series(1, 400) i;
         SELECT docperm.protect('company', 'Company'), docperm.protect('ledger', 'Ledger');
         ANALYZE;",
    );
    w.user(ALL, &["Reader"]);
    w.user(ONE, &["Reader"]);
    w.user("two@erp.test", &["Reader"]);
    w.rule("Ledger", "Reader", "{read}");
    w.allow(ONE, "Company", "B");
    w.allow("two@erp.test", "Company", "B");
    w.allow("two@erp.test", "Company", "C");
    let mut c = w.app();
    for (user, scanned) in [(ALL, "abcd"), (ONE, "b"), ("two@erp.test", "bc")] {
        let plan = plan(&mut c, user, "SELECT count(*) FROM ledger");
        for partition in ["a", "b", "c", "d"] {
            let expected = scanned.contains(partition);
            assert_eq!(
                plan.contains(&format!("ledger_{partition}")),
                expected,
                "{user}, {partition}:\n{plan}"
            );
        }
    }
}

#[test]
fn parallel_plans_are_possible_for_every_shape() {
    let mut w = world();
    w.user("many@erp.test", &["Reader"]);
    for i in 0..50 {
        w.allow("many@erp.test", "Company", &format!("c{i}"));
    }
    let mut c = w.app();
    c.batch_execute(
        "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
         SET max_parallel_workers_per_gather = 2; SET enable_indexscan = off; SET enable_bitmapscan = off;
         SET enable_indexonlyscan = off;",
    )
    .unwrap();
    for inlined in ["1000", "10"] {
        c.batch_execute(&format!("SET docperm.max_inline_values = {inlined}")).unwrap();
        for user in [ALL, ONE, "many@erp.test"] {
            let plan = plan(&mut c, user, "SELECT count(*), sum(amount) FROM entry");
            assert!(plan.contains("Parallel Seq Scan on entry"), "{user}, {inlined}:\n{plan}");
        }
    }
}

#[test]
fn prepared_statements_are_planned_as_simple_ones_are() {
    let w = world();
    let mut c = w.app();
    c.batch_execute(
        "SET plan_cache_mode = force_generic_plan; PREPARE by_id(int) AS SELECT * FROM entry WHERE id = $1",
    )
    .unwrap();
    let generic = plan(&mut c, ALL, "EXECUTE by_id(17)");
    assert_eq!(generic, "Index Scan using entry_pkey on entry\n  Index Cond: (id = $1)");
    let generic = plan(&mut c, ONE, "EXECUTE by_id(17)");
    assert!(generic.contains("entry_pkey") && generic.contains(r#"= ANY ('{"",c7}'"#), "{generic}");
}

#[test]
fn owners_are_an_index_condition() {
    let mut w = World::new(
        "CREATE TABLE note (id int PRIMARY KEY, owner text NOT NULL);
         INSERT INTO note SELECT i, 'u' || i % 500 || '@erp.test' FROM generate_series(1, 20000) i;
         CREATE INDEX note_owner ON note (owner);
         SELECT docperm.protect('note', 'Note', owner_column => 'owner');
         ANALYZE;",
    );
    w.user("u7@erp.test", &["Writer"]);
    w.rule_if_owner("Note", "Writer", "{read}");
    let plan = plan(&mut w.app(), "u7@erp.test", "SELECT * FROM note");
    assert!(plan.contains("note_owner") && plan.contains("Index Cond"), "{plan}");
}

#[test]
fn views_of_the_invoker_and_ctes_keep_the_index_condition() {
    let mut w = world();
    let app = w.app_role.clone();
    w.sql(&format!(
        "CREATE VIEW entries WITH (security_invoker = true) AS SELECT * FROM entry; GRANT SELECT ON entries TO {app}"
    ));
    let mut c = w.app();
    for sql in ["SELECT * FROM entries", "WITH x AS (SELECT * FROM entry) SELECT * FROM x"] {
        let plan = plan(&mut c, ONE, sql);
        assert!(plan.contains("Index Cond") && plan.contains("entry_company"), "{sql}\n{plan}");
    }
}

/// Many companies, so that the permission alone is no good index condition.
#[test]
fn harmless_filters_of_a_restricted_user_have_their_indexes() {
    let mut w = world();
    (0..150).filter(|i| *i != 7).for_each(|i| w.allow(ONE, "Company", &format!("c{i}")));
    let mut c = w.app();
    for (filter, index) in [
        ("title LIKE 'title 0a1%'", "entry_title"),
        ("amount = 50", "entry_amount"),
        ("amount > 9995", "entry_amount"),
        ("amount BETWEEN 10 AND 12.5", "entry_amount"),
        ("state = 'draft'", "entry_state"),
    ] {
        let sql = format!("SELECT * FROM entry WHERE {filter}");
        let plan = plan(&mut c, ONE, &sql);
        assert!(
            plan.contains(&format!("on {index}")) || plan.contains(&format!("using {index}")),
            "{sql}\n{plan}"
        );
        let by_hand = format!(
            "SELECT id FROM entry WHERE {filter} AND substr(company, 2)::int IN (SELECT generate_series(0, 149)) ORDER BY 1"
        );
        let expected = table(&mut w.db.admin(), &by_hand);
        assert!(!expected.is_empty(), "{filter}");
        assert_eq!(
            table(&mut c, &format!("SELECT id FROM entry WHERE {filter} ORDER BY 1")),
            expected,
            "{filter}"
        );
    }
}

#[test]
fn filters_that_could_tell_of_hidden_rows_wait_for_the_policy() {
    let mut w = world();
    (0..150).filter(|i| *i != 7).for_each(|i| w.allow(ONE, "Company", &format!("c{i}")));
    let mut c = w.app();
    for filter in [
        "title LIKE 'title 0a1' || chr(92)",
        "title ~ '^title 0a1'",
        "extra @> '{\"k\": 7}'",
        "title ILIKE 'title 0a1'",
    ] {
        let plan = plan(&mut c, ONE, &format!("SELECT * FROM entry WHERE {filter}"));
        assert!(!plan.contains("entry_title") && !plan.contains("entry_extra"), "{filter}\n{plan}");
    }
    // A pattern that is not known yet is not known to be harmless.
    c.batch_execute("SET plan_cache_mode = force_generic_plan; PREPARE p(text) AS SELECT * FROM entry WHERE title LIKE $1").unwrap();
    let generic = explain(&mut c, "EXECUTE p('title 0a1%')");
    assert!(!generic.contains("entry_title"), "{generic}");
}

/// A list of constants is estimated value by value and hashed at each execution, which is too much work for one row.
#[test]
fn one_row_by_its_key_is_tested_against_a_set() {
    let mut w = world();
    w.user("many@erp.test", &["Reader"]);
    (0..50).for_each(|i| w.allow("many@erp.test", "Company", &format!("c{i}")));
    let mut c = w.acting("many@erp.test");
    c.batch_execute(
        "SET plan_cache_mode = force_generic_plan; PREPARE by_id(int) AS SELECT id FROM entry WHERE $1 = id;
         PREPARE by_company(text) AS SELECT id FROM entry WHERE company = $1",
    )
    .unwrap();
    for (sql, is_tested) in [
        ("SELECT * FROM entry WHERE id = 17", true),
        ("SELECT * FROM entry WHERE title > 't' AND id = 17::bigint", true),
        ("UPDATE entry SET amount = 0 WHERE id = 17", true),
        ("SELECT * FROM entry JOIN company ON company.name = entry.company WHERE id = 17", true),
        ("EXECUTE by_id(17)", true),
        ("EXECUTE by_company('c3')", false),
        ("SELECT * FROM entry WHERE id > 17", false),
        ("SELECT * FROM entry WHERE id = 17 OR id = 18", false),
        ("SELECT * FROM entry WHERE title = 'title 17'", false),
    ] {
        let plan = plan(&mut c, "many@erp.test", sql);
        assert_eq!(
            plan.contains("_is_permitted(entry.company") || plan.contains("_is_permitted(company"),
            is_tested,
            "{sql}\n{plan}"
        );
    }
    for (id, rows) in [(17, 1), (60, 0), (100_000, 0)] {
        assert_eq!(table(&mut c, &format!("EXECUTE by_id({id})")).len(), rows, "{id}");
    }
    let few = plan(&mut c, ONE, "SELECT * FROM entry WHERE id = 17");
    assert!(!few.contains("_is_permitted"), "{few}");
}

#[test]
fn what_reading_and_writing_come_to_is_tested_once() {
    let mut w = world();
    w.sql(
        "INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('one@erp.test', 'Territory', 't1')",
    );
    let mut c = w.app();
    set_user(&mut c, ONE);
    for write in ["UPDATE entry SET title = 'x' WHERE id = 7", "DELETE FROM entry WHERE id = 7"] {
        let plan = explain(&mut c, write);
        assert_eq!(plan.matches("territory IS NULL").count(), 1, "{plan}");
    }
}

#[test]
fn where_reading_is_narrower_than_writing_both_hold() {
    let mut w = World::new(
        "CREATE TABLE note (name text PRIMARY KEY, body text, owner text);
         CREATE TABLE line (id int PRIMARY KEY, note text REFERENCES note, body text);
         INSERT INTO note VALUES ('mine', 'a', 'one@erp.test'), ('theirs', 'b', 'all@erp.test');
         INSERT INTO line VALUES (1, 'mine', 'x'), (2, 'theirs', 'y');
         SELECT docperm.protect('note', 'Note', owner_column => 'owner'),
                docperm.protect('line', 'Line', parent_doctype => 'Note', parent_column => 'note');",
    );
    w.user(ONE, &["Reader", "Writer"]);
    w.sql(
        "INSERT INTO docperm.role_permissions (doctype, role, rights, if_owner) VALUES ('Note', 'Reader', '{read}', true);
         INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('Note', 'Writer', '{write,delete}');",
    );
    let mut c = w.app();
    set_user(&mut c, ONE);
    let changed = |sql: &str| format!("WITH changed AS ({sql} RETURNING 1) SELECT count(*) FROM changed");
    assert_eq!(one(&mut c, &changed("UPDATE note SET body = 'x' WHERE name <> ''")), "1");
    assert_eq!(one(&mut c, &changed("UPDATE line SET body = 'x' WHERE id > 0")), "1");
    // What a row is changed to is held to both as well.
    assert_eq!(refused_with(&mut c, "UPDATE line SET note = 'theirs' WHERE id = 1"), "42501");
    assert_eq!(one(&mut c, &changed("DELETE FROM line WHERE id > 0")), "1");
    assert_eq!(one(&mut w.admin, "SELECT body FROM note WHERE name = 'theirs'"), "b");
}

/// Its check has no expression of its own, only those of views below it.
#[test]
fn a_view_without_a_condition_checks_by_the_policies_below() {
    let mut w = world();
    w.sql(
        "INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('one@erp.test', 'Territory', 't1')",
    );
    let app = w.app_role.clone();
    w.sql(&format!(
        "CREATE VIEW v AS SELECT * FROM entry WITH CASCADED CHECK OPTION; ALTER VIEW v OWNER TO {app}; GRANT ALL ON v TO {app}"
    ));
    let mut c = w.app();
    set_user(&mut c, ONE);
    assert_eq!(refused_with(&mut c, "UPDATE v SET territory = 't2' WHERE territory = 't1'"), "42501");
    c.batch_execute("UPDATE v SET title = 'x' WHERE territory = 't1'").unwrap();
    assert_eq!(one(&mut w.admin, "SELECT count(DISTINCT territory) FROM entry WHERE title = 'x'"), "1");
}
