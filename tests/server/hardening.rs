//! Ways round docperm that were found by looking for them, each with the door shut.

use crate::support::{World, attempt, names, one, refused_with, set_user, table, texts};

const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";

/// Ann is restricted to the territory EU and what is below it, Bob to US. Territories are a tree.
fn world() -> World {
    let mut w = World::new(
        "CREATE TABLE territory (name text PRIMARY KEY, parent text REFERENCES territory, note text);
         CREATE TABLE deal (name text PRIMARY KEY, territory text REFERENCES territory);
         INSERT INTO territory VALUES ('EU', NULL), ('US', NULL), ('DE', 'EU'), ('FR', 'EU');
         INSERT INTO deal VALUES ('d1', 'DE'), ('d2', 'US'), ('d3', 'FR');
         SELECT docperm.protect('territory', 'Territory', tree_parent_column => 'parent'), docperm.protect('deal', 'Deal');
         ANALYZE;",
    );
    for user in [ANN, BOB] {
        w.user(user, &["Seller"]);
    }
    w.rule("Deal", "Seller", "{read}");
    w.rule("Territory", "Seller", "{read,write,create}");
    w.allow(ANN, "Territory", "EU");
    w.allow(BOB, "Territory", "US");
    w
}

#[test]
fn constants_that_look_like_the_channels_of_plans_are_nothing_but_constants() {
    let w = world();
    let mut c = w.acting(ANN);
    for oid in ["3221225999", "4294967295", "2147483649"] {
        let deals =
            texts(&mut c, &format!("SELECT name FROM deal WHERE '{oid}'::regclass IS NOT NULL ORDER BY 1"));
        assert_eq!(deals, ["d1", "d3"]);
        c.batch_execute(&format!("SELECT '{oid}'::regclass")).unwrap();
    }
}

#[test]
fn code_in_somebody_elses_index_acts_as_its_owner_when_the_superuser_analyses() {
    let mut w = world();
    let stranger = w.db.login_role("stranger");
    w.sql(&format!(
        "CREATE SCHEMA trap AUTHORIZATION {stranger};
         UPDATE docperm.users SET db_role = 'postgres' WHERE name = 'Administrator';
         GRANT SELECT ON deal TO {stranger};"
    ));
    let mut c = w.db.connect_as(&stranger);
    c.batch_execute(
        "CREATE TABLE trap.bait (id int);
         INSERT INTO trap.bait SELECT generate_series(1, 10);
         CREATE TABLE trap.loot (found text);
         CREATE FUNCTION trap.f(id int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT id';
         CREATE INDEX ON trap.bait (trap.f(id));
         CREATE OR REPLACE FUNCTION trap.f(id int) RETURNS int VOLATILE LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO trap.loot SELECT docperm.whoami() || ' read ' || name FROM public.deal;
             INSERT INTO trap.loot SELECT docperm.whoami() || ' asked';
             INSERT INTO trap.loot SELECT document FROM docperm.permitted_documents('Deal', 'Administrator');
             RETURN id;
         END $$;",
    )
    .unwrap();
    // It fails, because asking about others is for administrators; what it had found goes with it.
    let refusal = attempt(&mut w.db.admin(), "ANALYZE trap.bait").unwrap_err();
    assert_eq!(refusal.sqlstate, "42501", "{refusal:?}");
    c.batch_execute(
        "CREATE OR REPLACE FUNCTION trap.f(id int) RETURNS int VOLATILE LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO trap.loot SELECT docperm.whoami() || ' read ' || name FROM public.deal;
             INSERT INTO trap.loot SELECT docperm.whoami() || ' asked';
             RETURN id;
         END $$;",
    )
    .unwrap();
    table(&mut w.db.admin(), "ANALYZE trap.bait");
    assert_eq!(texts(&mut c, "SELECT DISTINCT found FROM trap.loot"), ["Guest asked"]);
}

#[test]
fn code_in_somebody_elses_index_administers_nothing_through_definers_either() {
    // Within a SECURITY DEFINER function whose index it is cannot be seen any more: nobody acts.
    let mut w = world();
    let stranger = w.db.login_role("stranger");
    w.user("eve@erp.test", &[]);
    w.sql(&format!(
        "CREATE SCHEMA trap AUTHORIZATION {stranger};
         UPDATE docperm.users SET db_role = 'postgres' WHERE name = 'Administrator';"
    ));
    let mut c = w.db.connect_as(&stranger);
    c.batch_execute(
        "CREATE TABLE trap.bait (id int);
         INSERT INTO trap.bait VALUES (1);
         CREATE TABLE trap.loot (found text);
         CREATE FUNCTION trap.f(id int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT id';
         CREATE INDEX ON trap.bait (trap.f(id));",
    )
    .unwrap();
    for call in [
        "docperm.set_password('Administrator', 'correct horse battery', false)",
        "docperm.set_password('eve@erp.test', 'correct horse battery', false)",
        "docperm.import_password_hash('eve@erp.test', '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA')",
        "docperm.create_api_key('Administrator')",
        "docperm.create_api_key('eve@erp.test')",
        "docperm.create_api_key()",
        "docperm.unlock('eve@erp.test')",
        "docperm.logout_all('eve@erp.test')",
        "docperm.clear_activity_log('0 s')",
        "docperm.reset_two_factor('eve@erp.test')",
        "docperm.impersonate('eve@erp.test', 'for fun')",
        "docperm.apply_user_permission('eve@erp.test', 'Territory', 'North')",
        "docperm.clear_user_permissions('eve@erp.test', 'Territory')",
        "docperm.share('Deal', 'd1', 'eve@erp.test')",
    ] {
        c.batch_execute(&format!(
            "TRUNCATE trap.loot;
             CREATE OR REPLACE FUNCTION trap.f(id int) RETURNS int VOLATILE LANGUAGE plpgsql AS $$
             BEGIN
                 BEGIN
                     PERFORM {call};
                     INSERT INTO trap.loot VALUES ('done');
                 EXCEPTION WHEN OTHERS THEN
                     INSERT INTO trap.loot VALUES (SQLSTATE);
                 END;
                 RETURN id;
             END $$;"
        ))
        .unwrap();
        table(&mut w.db.admin(), "ANALYZE trap.bait");
        assert_eq!(texts(&mut c, "SELECT DISTINCT found FROM trap.loot"), ["42501"], "{call}");
    }
}

#[test]
fn what_a_failed_statement_let_be_seen_is_forgotten() {
    let mut w = world();
    w.rule("Territory", "Boss", "{read,delete}");
    w.sql(
        "CREATE FUNCTION no_boss(who text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
         BEGIN
             IF docperm.has_permission('Territory', 'delete', NULL, who) THEN
                 RAISE EXCEPTION '% would be a boss', who;
             END IF;
             RETURN 'fine';
         END $$",
    );
    let mut admin = w.db.admin();
    let insert = |user| {
        format!("INSERT INTO docperm.user_roles VALUES ('{user}', 'Boss') RETURNING no_boss(user_name)")
    };
    let asks = |user| format!("SELECT docperm.has_permission('Territory', 'delete', NULL, '{user}')");
    attempt(&mut admin, &insert(ANN)).expect_err("the function sees the new role");
    assert_eq!(one(&mut admin, &asks(ANN)), "f");
    admin.batch_execute("BEGIN; SAVEPOINT here").unwrap();
    attempt(&mut admin, &insert(BOB)).expect_err("the function sees the new role");
    admin.batch_execute("ROLLBACK TO here").unwrap();
    assert_eq!(one(&mut admin, &asks(BOB)), "f");
    admin.batch_execute("COMMIT").unwrap();
    assert_eq!(one(&mut admin, &asks(BOB)), "f");
}

#[test]
fn pretending_to_restore_a_dump_opens_no_table_of_docperm() {
    let mut w = world();
    let clerk = w.db.login_role("clerk");
    w.sql(&format!("GRANT INSERT ON docperm.users TO {clerk}"));
    let mut c = w.db.connect_as(&clerk);
    c.batch_execute("SET row_security = off; SET check_function_bodies = off").unwrap();
    let take_over = format!("INSERT INTO docperm.users (name, db_role) VALUES ('Administrator', '{clerk}')");
    attempt(&mut c, &take_over).expect_err("Administrator is there");
    assert_eq!(one(&mut c, "SELECT docperm.whoami()"), "Guest");
}

#[test]
fn an_index_in_another_order_hides_no_restriction() {
    let mut w = world();
    w.sql("CREATE INDEX ON docperm.user_permissions (user_name COLLATE \"POSIX\" text_pattern_ops)");
    w.sql("CREATE INDEX ON docperm.user_permissions (user_name COLLATE \"en-x-icu\")");
    for i in 0..50 {
        let user = format!("user-{i}_x@erp.test");
        w.user(&user, &["Seller"]);
        w.allow(&user, "Territory", "US");
    }
    // The index that was made last comes first in the table's list.
    w.sql("REINDEX TABLE CONCURRENTLY docperm.user_permissions");
    let mut c = w.app();
    for i in 0..50 {
        set_user(&mut c, &format!("user-{i}_x@erp.test"));
        assert_eq!(texts(&mut c, "SELECT name FROM deal"), ["d2"], "user {i}");
    }
}

#[test]
fn writing_to_a_tree_without_changing_it_disturbs_nobody() {
    let mut w = world();
    let mut c = w.acting(ANN);
    c.batch_execute(
        "SET plan_cache_mode = force_generic_plan; PREPARE deals AS SELECT name FROM deal ORDER BY 1",
    )
    .unwrap();
    assert_eq!(texts(&mut c, "EXECUTE deals"), ["d1", "d3"]);
    for quiet in [
        "UPDATE territory SET parent = parent WHERE false",
        "UPDATE territory SET note = 'seen'",
        "UPDATE territory SET parent = parent, name = name",
        "VACUUM ANALYZE territory",
        "ALTER TABLE territory ALTER COLUMN parent SET STATISTICS 50",
    ] {
        w.sql(quiet);
        assert_eq!(texts(&mut c, "EXECUTE deals"), ["d1", "d3"], "{quiet}");
    }
    w.sql("UPDATE territory SET parent = 'US' WHERE name = 'DE'");
    assert_eq!(texts(&mut c, "EXECUTE deals"), ["d3"]);
}

#[test]
fn a_second_node_of_a_name_opens_nothing() {
    let mut w = World::new(
        "CREATE TABLE geo (region int, name text NOT NULL, parent text, PRIMARY KEY (region, name)) PARTITION BY LIST (region);
         CREATE TABLE geo_1 PARTITION OF geo FOR VALUES IN (1);
         CREATE TABLE geo_2 PARTITION OF geo FOR VALUES IN (2);
         CREATE TABLE inv (name text PRIMARY KEY, geo text);
         INSERT INTO geo VALUES (1, 'EU', NULL), (1, 'US', NULL), (1, 'DE', 'EU');
         INSERT INTO inv VALUES ('i1', 'DE'), ('i2', 'US');
         SELECT docperm.protect('geo', 'Geo', name_column => 'name', tree_parent_column => 'parent'),
                docperm.protect('inv', 'Inv'), docperm.set_field('Inv', 'geo', 'Geo');",
    );
    w.user(ANN, &["Clerk"]);
    w.rule("Geo", "Clerk", "{read,create}");
    w.rule("Inv", "Clerk", "{read}");
    w.allow(ANN, "Geo", "EU");
    let mut c = w.acting(ANN);
    assert_eq!(names(&mut c, "SELECT name FROM inv"), ["i1"]);
    // A new node below a permitted one is permitted; that its name is taken elsewhere, no index tells.
    c.batch_execute("INSERT INTO geo VALUES (2, 'US', 'EU')").unwrap();
    let refusal = attempt(&mut c, "SELECT name FROM inv").expect_err("the tree is ambiguous");
    assert!(refusal.message.contains("US") && refusal.hint.is_some(), "{refusal:?}");
}

#[test]
fn whoever_may_move_nodes_cannot_make_them_go_round() {
    let w = world();
    assert_eq!(
        refused_with(&mut w.acting(ANN), "UPDATE territory SET parent = 'DE' WHERE name = 'EU'"),
        "22023"
    );
    assert_eq!(
        refused_with(&mut w.acting(ANN), "UPDATE territory SET parent = 'DE' WHERE name = 'DE'"),
        "22023"
    );
    assert_eq!(names(&mut w.acting(ANN), "SELECT name FROM deal"), ["d1", "d3"]);
}

#[test]
fn a_user_is_whom_the_database_takes_for_the_same_name() {
    let mut w = world();
    w.user("kim@erp.test", &[]);
    // The Kelvin sign is a K to Unicode; whether it is one to this database, SQL says.
    let same =
        one(&mut w.db.admin(), "SELECT docperm._user_name(U&'\\212Aim@erp.test') = 'kim@erp.test'") == "t";
    let mut c = w.app();
    let taken = attempt(&mut c, "SELECT docperm.set_user(U&'\\212Aim@erp.test', false)").is_ok();
    assert_eq!(taken, same);
    w.sql("INSERT INTO docperm.users (name) VALUES ('Änne@erp.test')");
    set_user(&mut c, " ÄNNE@erp.test ");
    let stored = one(&mut w.db.admin(), "SELECT docperm._user_name('ÄNNE@erp.test')");
    assert_eq!(one(&mut c, "SELECT docperm.whoami()"), stored);
}

#[test]
fn who_may_not_select_is_not_told_by_functions_either() {
    let mut w = world();
    let app = w.app_role.clone();
    w.sql(&format!("REVOKE SELECT ON deal FROM {app}"));
    let mut c = w.acting(ANN);
    assert_eq!(refused_with(&mut c, "SELECT * FROM docperm.permitted_documents('Deal')"), "42501");
    assert_eq!(refused_with(&mut c, "SELECT * FROM docperm.link_options('Deal')"), "42501");
    let told = texts(&mut c, "SELECT detail FROM docperm.explain_access('Deal', 'd1')").concat();
    assert!(!told.contains("DE"), "{told}");
    w.sql(&format!("GRANT SELECT (name) ON deal TO {app}"));
    assert_eq!(names(&mut c, "SELECT document FROM docperm.permitted_documents('Deal')"), ["d1", "d3"]);
}

#[test]
fn a_superuser_who_has_become_somebody_is_no_administrator() {
    let w = world();
    let mut admin = w.db.admin();
    let asks = format!("SELECT docperm.has_permission('Deal', 'read', 'd2', '{BOB}')");
    assert_eq!(one(&mut admin, &asks), "t");
    set_user(&mut admin, ANN);
    assert_eq!(refused_with(&mut admin, &asks), "42501");
}

#[test]
fn a_portal_runs_the_statement_that_it_was_bound_to() {
    let mut w = world();
    w.sql("CREATE SCHEMA other; CREATE TABLE other.deal (name text); INSERT INTO other.deal VALUES ('not this')");
    let app = w.app_role.clone();
    w.sql(&format!("GRANT USAGE ON SCHEMA other TO {app}; GRANT SELECT ON other.deal TO {app}"));
    let mut c = w.acting(ANN);
    c.batch_execute("SET plan_cache_mode = force_generic_plan").unwrap();
    let mut transaction = c.transaction().unwrap();
    let statement = transaction.prepare("SELECT name FROM deal ORDER BY 1").unwrap();
    let portal = transaction.bind(&statement, &[]).unwrap();
    transaction.batch_execute("SET LOCAL search_path = other").unwrap();
    let found = transaction.query_portal(&portal, 0).unwrap();
    let found: Vec<String> = found.iter().map(|row| row.get(0)).collect();
    assert_eq!(found, ["d1", "d3"]);
}

#[test]
fn asking_about_very_many_documents_takes_no_memory_that_stays() {
    let mut w = world();
    w.sql("INSERT INTO deal SELECT 'x' || i, 'US' FROM generate_series(1, 50000) AS i");
    let mut c = w.acting(ANN);
    let used = "SELECT sum(used_bytes) FROM pg_backend_memory_contexts";
    let ask = "SELECT count(*) FROM docperm.permitted_documents('Deal')";
    assert_eq!(one(&mut c, ask), "2");
    let mut admin = w.db.admin();
    let ask = "SELECT count(*) FROM docperm.permitted_documents('Deal', 'Administrator')";
    assert_eq!(one(&mut admin, ask), "50003");
    let first: i64 = one(&mut admin, used).parse().unwrap();
    for _ in 0..3 {
        one(&mut admin, ask);
    }
    let last: i64 = one(&mut admin, used).parse().unwrap();
    assert!(last - first < 1_000_000, "{first} bytes, then {last}");
}

#[test]
fn a_document_of_ones_own_with_anothers_name_opens_no_child_row() {
    let mut w = World::new(
        "CREATE TABLE p (company text, name text NOT NULL, owner text, PRIMARY KEY (company, name)) PARTITION BY LIST (company);
         CREATE TABLE p_a PARTITION OF p FOR VALUES IN ('A');
         CREATE TABLE p_b PARTITION OF p FOR VALUES IN ('B');
         CREATE TABLE p_item (name text PRIMARY KEY, parent text);
         INSERT INTO p VALUES ('B', 'P1', 'bob@erp.test'), ('A', 'P2', 'ann@erp.test');
         INSERT INTO p_item VALUES ('i1', 'P1'), ('i2', 'P2');
         SELECT docperm.protect('p', 'P', name_column => 'name', owner_column => 'owner');
         SELECT docperm.protect('p_item', 'P Item', parent_doctype => 'P', parent_column => 'parent');",
    );
    w.user(ANN, &["Clerk"]);
    w.rule_if_owner("P", "Clerk", "{read,write}");
    w.rule("P", "Clerk", "{create}");
    let mut c = w.acting(ANN);
    assert_eq!(names(&mut c, "SELECT name FROM p_item"), ["i2"]);
    let take = "INSERT INTO p VALUES ('A', 'P1', 'ann@erp.test')";
    assert_eq!(refused_with(&mut c, take), "42501");
    w.sql("UPDATE docperm.settings SET refuse_orphans = false");
    c.batch_execute(take).unwrap();
    assert_eq!(names(&mut c, "SELECT name FROM p_item"), ["i2"]);
    assert_eq!(one(&mut c, "SELECT docperm.has_permission('P Item', 'read', 'i1')"), "f");
}

#[test]
fn temporary_tables_of_other_sessions_are_passed_over() {
    let mut w = world();
    let mut other = w.db.admin();
    other
        .batch_execute(
            "CREATE TEMP TABLE own_deals () INHERITS (deal); INSERT INTO own_deals VALUES ('d9', 'DE')",
        )
        .unwrap();
    let documents = "SELECT document FROM docperm.permitted_documents('Deal')";
    assert_eq!(names(&mut w.acting(ANN), "SELECT name FROM deal"), ["d1", "d3"]);
    assert_eq!(names(&mut w.acting(ANN), documents), ["d1", "d3"]);
    assert_eq!(one(&mut w.acting(ANN), "SELECT docperm.has_permission('Deal', 'read', 'd9')"), "f");
    set_user(&mut other, ANN);
    assert_eq!(names(&mut other, documents), ["d1", "d3", "d9"], "its own session sees it");
    w.sql("DELETE FROM deal WHERE name = 'd1'");
}

#[test]
fn filling_in_defaults_runs_code_of_the_tables_owner_as_whoever_inserts() {
    let mut w = World::new(
        "CREATE TABLE company (name text PRIMARY KEY); SELECT docperm.protect('company', 'Company')",
    );
    let owner = w.db.login_role("owner");
    w.sql(&format!("CREATE SCHEMA trap AUTHORIZATION {owner}; GRANT USAGE ON SCHEMA trap TO PUBLIC; GRANT SELECT ON company TO {owner}"));
    // What turns the row into jsonb and back calls a cast, and the check of a domain.
    w.db.connect_as(&owner)
        .batch_execute(
            "CREATE FUNCTION trap.note() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
                 PERFORM set_config('trap.ran_as', concat(current_setting('trap.ran_as', true), ' ', current_user), false);
                 RETURN true;
             END $$;
             CREATE DOMAIN trap.link AS text CHECK (trap.note());
             CREATE TYPE trap.pair AS (a int, b int);
             CREATE FUNCTION trap.as_json(trap.pair) RETURNS json LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM trap.note(); RETURN '{}'; END $$;
             CREATE CAST (trap.pair AS json) WITH FUNCTION trap.as_json(trap.pair);
             CREATE TABLE trap.deal (name text PRIMARY KEY, company trap.link, pair trap.pair);
             GRANT SELECT, INSERT ON trap.deal TO PUBLIC;",
        )
        .unwrap();
    w.sql(
        "INSERT INTO company VALUES ('A');
         SELECT docperm.protect('trap.deal', 'Deal', fill_defaults => true), docperm.set_field('Deal', 'company', 'Company');",
    );
    w.user(ANN, &["Seller"]);
    w.rule("Deal", "Seller", "{read,create}");
    w.allow(ANN, "Company", "A");
    let mut c = w.acting(ANN);
    c.batch_execute("INSERT INTO trap.deal (name, pair) VALUES ('d1', ROW(1, 2))").unwrap();
    assert_eq!(texts(&mut c, "SELECT company FROM trap.deal"), ["A"], "the default is filled in");
    let ran_as = one(&mut c, "SELECT current_setting('trap.ran_as', true)");
    assert!(ran_as.contains(&w.app_role) && !ran_as.contains("postgres"), "{ran_as}");
}
