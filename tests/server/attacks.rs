//! A stranger who is logged in, and a user who may see something and wants to see the rest.

use crate::support::{
    World, attempt, literal, names, one, refused_with, rows_of, set_user, table, texts, within,
};
use postgres::Client;

const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";

/// Ann may read the documents of A, Bob those of B. Everybody may read both tables as far as PostgreSQL's own
/// privileges go, and Ann's connection belongs to a role that owns a schema.
fn world() -> World {
    let mut w = World::new(
        "CREATE TABLE company (name text PRIMARY KEY);
         CREATE TABLE doc (name text PRIMARY KEY, company text NOT NULL REFERENCES company, amount int NOT NULL, body text);
         CREATE TABLE memo (name text PRIMARY KEY, company text NOT NULL REFERENCES company);
         INSERT INTO company VALUES ('A'), ('B'), ('hush-hush');
         INSERT INTO doc VALUES ('1', 'A', 1, 'open'), ('2', 'B', 2, 'secret'), ('3', 'hush-hush', 3, 'secret'),
                                ('4', 'A', 4, 'open');
         INSERT INTO memo VALUES ('m1', 'A'), ('m2', 'B'), ('m3', 'hush-hush');
         SELECT docperm.protect('company', 'Company'), docperm.protect('doc', 'Doc'), docperm.protect('memo', 'Memo');
         ANALYZE;
         GRANT SELECT ON doc, memo TO PUBLIC;",
    );
    let app = w.app_role.clone();
    w.sql(&format!("CREATE SCHEMA den AUTHORIZATION {app}"));
    w.user(ANN, &["Reader"]);
    w.user(BOB, &["Reader"]);
    w.rule("Doc", "Reader", "{read}");
    w.rule("Memo", "Reader", "{read}");
    w.allow(ANN, "Company", "A");
    w.allow(BOB, "Company", "B");
    w
}

#[track_caller]
fn sees(c: &mut Client, expected: &[&str]) {
    assert_eq!(names(c, "SELECT name FROM public.doc"), expected);
}

/// A cheap function that keeps what it is shown, as regression tests of PostgreSQL do.
const LEAK: &str = "
    CREATE FUNCTION den.f_leak(value text) RETURNS boolean COST 0.0000001 LANGUAGE plpgsql AS
        'BEGIN INSERT INTO pg_temp.leaked VALUES (value); RETURN true; END';
    CREATE FUNCTION den.f_leak_op(a text, b text) RETURNS boolean COST 0.0000001 LANGUAGE plpgsql AS
        'BEGIN INSERT INTO pg_temp.leaked VALUES (a); RETURN true; END';
    CREATE OPERATOR den.<<<< (FUNCTION = den.f_leak_op, LEFTARG = text, RIGHTARG = text);";

#[test]
fn a_cheap_function_is_not_shown_hidden_rows() {
    let mut w = world();
    // Values enough for the membership test as well.
    for i in 0..20 {
        w.allow(ANN, "Company", &format!("gone {i}"));
    }
    w.app().batch_execute(LEAK).unwrap();
    for inlined in ["1000", "5"] {
        let mut c = w.acting(ANN);
        c.batch_execute(&format!(
            "SET docperm.max_inline_values = {inlined}; CREATE TEMP TABLE leaked (value text)"
        ))
        .unwrap();
        for sql in [
            "SELECT name FROM doc WHERE den.f_leak(body || company)",
            "SELECT name FROM doc WHERE company OPERATOR(den.<<<<) 'x'",
            "SELECT d.name FROM doc d JOIN memo m ON den.f_leak(d.company || m.company) AND d.company = m.company",
            "SELECT d.name FROM memo m LEFT JOIN doc d ON d.company = m.company AND den.f_leak(d.body)",
            "SELECT name FROM (SELECT * FROM doc WHERE den.f_leak(company) OFFSET 0) s WHERE den.f_leak(body)",
            "SELECT max(name) FROM doc GROUP BY company HAVING den.f_leak(company)",
            "SELECT name FROM doc ORDER BY den.f_leak(company)",
            "SELECT name, den.f_leak(company) FROM doc FOR SHARE",
            "UPDATE doc SET body = 'x' WHERE den.f_leak(company)",
            "DELETE FROM doc WHERE den.f_leak(company) RETURNING name",
        ] {
            // FOR SHARE, UPDATE and DELETE touch nothing: Ann may only read.
            let _ = attempt(&mut c, sql);
            let leaked = texts(&mut c, "SELECT DISTINCT value FROM leaked");
            let known = ["openA", "A", "AA", "open"].map(str::to_owned);
            assert!(within(&leaked, &known), "{sql} was shown {leaked:?}");
        }
        let told = names(&mut c, "SELECT DISTINCT value FROM leaked");
        assert!(!told.is_empty(), "the function did run");
        c.batch_execute("TRUNCATE leaked; SET plan_cache_mode = force_generic_plan").unwrap();
        c.batch_execute("PREPARE p AS SELECT name FROM doc WHERE den.f_leak(company); EXECUTE p").unwrap();
        set_user(&mut c, BOB);
        c.batch_execute("TRUNCATE leaked").unwrap();
        assert_eq!(names(&mut c, "EXECUTE p"), ["2"]);
        assert_eq!(texts(&mut c, "SELECT DISTINCT value FROM leaked"), ["B"]);
        c.batch_execute("SELECT docperm.set_user(NULL, false); TRUNCATE leaked; EXECUTE p").unwrap();
        assert_eq!(one(&mut c, "SELECT count(*) FROM leaked"), "0", "nobody is shown nothing");
    }
}

#[test]
fn errors_do_not_tell_about_hidden_rows() {
    let w = world();
    let mut c = w.acting(ANN);
    for sql in [
        "SELECT 1 / (amount - 2) FROM doc",
        "SELECT name FROM doc WHERE 1 / (amount - 3) >= 0",
        "SELECT name FROM doc WHERE (CASE company WHEN 'hush-hush' THEN 'x' ELSE '1' END)::int = 1",
        "SELECT count(*) FROM doc WHERE body::int = 1 AND company = 'B'",
        "DO $$ BEGIN PERFORM name FROM doc WHERE 1 / (amount - 2) >= 0; END $$",
    ] {
        assert!(attempt(&mut c, sql).is_ok(), "a hidden row was evaluated: {sql}");
    }
    assert_eq!(refused_with(&mut c, "SELECT 1 / (amount - 1) FROM doc"), "22012", "Ann's own row is");
}

#[test]
fn answers_about_hidden_documents_give_nothing_of_them_away() {
    let w = world();
    let mut c = w.acting(ANN);
    let hidden = one(&mut c, "SELECT docperm.has_permission('Doc', 'read', '3')");
    assert_eq!(hidden, "f");
    assert_eq!(one(&mut c, "SELECT docperm.has_permission('Doc', 'read', 'no such document')"), hidden);
    let told = table(&mut c, "SELECT rule, verdict, detail FROM docperm.explain_access('Doc', '3')")
        .concat()
        .join(" ");
    assert!(!told.contains("hush-hush"), "the hidden row's company is told: {told}");
    let listed = names(&mut c, "SELECT document FROM docperm.permitted_documents('Doc')");
    assert_eq!(listed, ["1", "4"]);
    let plan = table(&mut c, "EXPLAIN (VERBOSE) SELECT * FROM doc").concat().join("\n");
    assert!(!plan.contains("hush-hush"), "{plan}");
    assert_eq!(one(&mut c, "SELECT count(*) FROM pg_stats WHERE tablename = 'doc'"), "0");
}

#[test]
fn shadows_in_the_search_path_change_nothing() {
    let w = world();
    let mut c = w.acting(ANN);
    c.batch_execute(
        "CREATE TEMP TABLE doctypes (name text, relation regclass, name_column name);
         CREATE TEMP TABLE users (name text, enabled boolean);
         CREATE TEMP TABLE user_permissions (user_name text, allow text, for_value text);
         CREATE TEMP TABLE role_permissions (doctype text, role text, rights text[]);
         CREATE TEMP TABLE settings (strict_user_permissions text);
         CREATE TEMP TABLE company (name text); INSERT INTO company VALUES ('B');
         CREATE TEMP VIEW user_roles AS SELECT 'ann@erp.test' AS user_name, 'System Manager' AS role;
         CREATE FUNCTION den.always(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
         CREATE FUNCTION den.always(text, text[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
         CREATE FUNCTION den.permits(record, text, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
             'BEGIN RETURN true; END';
         CREATE FUNCTION den.whoami() RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''Administrator''::text';
         CREATE FUNCTION den.lower(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''Administrator''::text';
         CREATE OPERATOR den.=  (FUNCTION = den.always, LEFTARG = text, RIGHTARG = text);
         CREATE OPERATOR den.<> (FUNCTION = den.always, LEFTARG = text, RIGHTARG = text);
         SET search_path = den, pg_temp, pg_catalog, public, docperm;",
    )
    .unwrap();
    sees(&mut c, &["1", "4"]);
    set_user(&mut c, BOB);
    sees(&mut c, &["2"]);
    assert_eq!(one(&mut c, "SELECT docperm.whoami()"), BOB);
    assert_eq!(names(&mut c, "SELECT document FROM docperm.permitted_documents('Doc')"), ["2"]);
    assert_eq!(one(&mut c, "SELECT docperm.has_permission('Doc', 'read', '1')"), "f");
    assert!(!table(&mut c, "SELECT step FROM docperm.explain_access('Doc', '1')").is_empty());
    // The same before the library is loaded and its caches are filled.
    let mut c = w.app();
    c.batch_execute("SET search_path = den, public; ").unwrap();
    sees(&mut c, &[]);
    set_user(&mut c, ANN);
    sees(&mut c, &["1", "4"]);
}

#[test]
fn a_search_path_without_anything_in_it_works() {
    let w = world();
    let mut c = w.app();
    c.batch_execute("SET search_path = ''").unwrap();
    set_user(&mut c, ANN);
    sees(&mut c, &["1", "4"]);
    assert_eq!(names(&mut c, "SELECT document FROM docperm.permitted_documents('Doc')"), ["1", "4"]);
}

/// Whatever the switches during planning, whoever acts in the end sees no other rows than his own; or the plan is
/// refused.
#[test]
fn an_identity_switched_while_a_query_is_planned_gains_nothing() {
    let w = world();
    let mut c = w.app();
    c.batch_execute(
        "CREATE FUNCTION den.become(who text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS
             'BEGIN PERFORM docperm.set_user(who, false); RETURN true; END';",
    )
    .unwrap();
    let ann = format!("den.become({})", literal(ANN));
    let bob = format!("den.become({})", literal(BOB));
    let mut answered = 0;
    for sql in [
        format!("SELECT name FROM doc WHERE {bob}"),
        format!("SELECT name FROM doc WHERE {bob} AND name > '' AND {ann}"),
        format!("SELECT name FROM doc WHERE name > '' AND {bob} UNION ALL SELECT name FROM memo WHERE {ann}"),
        format!("SELECT d.name FROM doc d, memo m WHERE d.company = m.company AND {bob}"),
        format!("SELECT name FROM doc WHERE {bob} AND company IN (SELECT company FROM memo WHERE {ann})"),
        format!(
            "WITH a AS MATERIALIZED (SELECT name FROM doc WHERE {bob}) SELECT name FROM a, (SELECT {ann}) x"
        ),
        format!("SELECT (SELECT string_agg(name, ',') FROM doc WHERE {bob}) FROM memo WHERE {ann}"),
        format!("SELECT name FROM (SELECT name, {bob} FROM doc) s WHERE {ann}"),
        format!("SELECT name FROM doc ORDER BY CASE WHEN {bob} THEN name END LIMIT (SELECT 5 WHERE {ann})"),
    ] {
        for start in [ANN, BOB, "Guest"] {
            set_user(&mut c, start);
            for statement in [
                sql.clone(),
                format!("PREPARE p AS {sql}"),
                "EXECUTE p".to_owned(),
                "DEALLOCATE p".to_owned(),
            ] {
                let answer = attempt(&mut c, &statement);
                let end = one(&mut c, "SELECT docperm.whoami()");
                let own: &[&str] = match end.as_str() {
                    ANN => &["1", "4", "m1"],
                    BOB => &["2", "m2"],
                    _ => &[],
                };
                match answer {
                    Ok(messages) => {
                        let rows = rows_of(&messages).concat();
                        for value in
                            rows.iter().filter(|value| *value != "NULL").flat_map(|value| value.split(','))
                        {
                            assert!(
                                own.contains(&value),
                                "{start}, in the end {end}, saw {value}: {statement}"
                            );
                            answered += 1;
                        }
                    }
                    Err(error) => assert_eq!(error.sqlstate, "40001", "{start}: {statement}: {error:?}"),
                }
            }
        }
    }
    assert!(answered > 0, "some of them must get an answer");
}

#[test]
fn a_switch_while_rows_are_read_does_not_mix_rows() {
    let w = world();
    let mut c = w.acting(ANN);
    c.batch_execute(
        "CREATE FUNCTION den.become(who text) RETURNS text VOLATILE LANGUAGE plpgsql AS
             'BEGIN PERFORM docperm.set_user(who, false); RETURN who; END';
         CREATE FUNCTION den.docs() RETURNS text VOLATILE LANGUAGE sql AS
             'SELECT string_agg(name, '','' ORDER BY name) FROM public.doc';",
    )
    .unwrap();
    // The rows are those of who acted when the query began, as with an open cursor.
    let rows = table(&mut c, &format!("SELECT name, den.become({}) FROM doc", literal(BOB)));
    assert_eq!(rows.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["1", "4"]);
    sees(&mut c, &["2"]);
    // A query that begins within it is the new identity's.
    set_user(&mut c, ANN);
    let rows = table(&mut c, &format!("SELECT den.docs(), den.become({}), den.docs()", literal(BOB)));
    assert_eq!(rows, [["1,4", BOB, "2"]]);
}

#[test]
fn hostile_arguments_to_every_function_that_everybody_may_call() {
    let mut w = world();
    let functions = table(
        &mut w.admin,
        "SELECT p.oid::regproc, (SELECT string_agg(format_type(t, NULL), ';' ORDER BY n)
                                   FROM unnest(proargtypes::oid[]) WITH ORDINALITY a(t, n))
           FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) a
          WHERE pronamespace = 'docperm'::regnamespace AND a.grantee = 0 AND prokind = 'f'
            AND prorettype NOT IN ('internal'::regtype, 'trigger'::regtype, 'event_trigger'::regtype)",
    );
    assert!(functions.len() >= 6, "{functions:?}");
    let texts_to_try = [
        "NULL",
        "''",
        "'Doc'",
        "'read'",
        "'1'",
        "'''; DROP TABLE doc; --'",
        "repeat('x', 1000000)",
        "E'\\n\\t\\\\'",
        "'Administrator'",
        "'\u{1F600}\u{200B}'",
        "chr(1)",
        "'%s%n$1'",
        "'{\"a\"'",
    ];
    let stranger = w.db.login_role("stranger");
    for role in [stranger, w.app_role.clone()] {
        let mut c = w.db.connect_as(&role);
        for function in &functions {
            let [name, types] = &function[..] else { unreachable!() };
            let types: Vec<&str> = if types == "NULL" { vec![] } else { types.split(';').collect() };
            for value in texts_to_try {
                for position in 0..types.len().max(1) {
                    let arguments: Vec<String> = types
                        .iter()
                        .enumerate()
                        .map(|(i, kind)| match (*kind, i == position) {
                            ("text", true) => value.to_owned(),
                            ("text", false) => ["'Doc'", "'read'", "'1'", "NULL"][i.min(3)].to_owned(),
                            ("record", _) => {
                                ["ROW()", "NULL::record", "ROW('1', 'A')"][value.len() % 3].to_owned()
                            }
                            (other, _) => format!("NULL::{other}"),
                        })
                        .collect();
                    // Any answer and any error will do; the connection must live, and nobody be promoted.
                    let _ = attempt(&mut c, &format!("SELECT {name}({})", arguments.join(", ")));
                    let _ = attempt(&mut c, &format!("SELECT * FROM {name}({})", arguments.join(", ")));
                }
            }
        }
        assert_eq!(one(&mut c, "SELECT docperm.whoami()"), "Guest");
        sees(&mut c, &[]);
    }
}

#[test]
fn internal_functions_are_closed_or_harmless() {
    let mut w = world();
    let internals = table(
        &mut w.admin,
        "SELECT p.oid::regproc, pg_get_function_identity_arguments(p.oid), prorettype::regtype,
                (SELECT string_agg('NULL::' || format_type(t, NULL), ', ' ORDER BY n)
                   FROM unnest(proargtypes::oid[]) WITH ORDINALITY a(t, n))
           FROM pg_proc p WHERE pronamespace = 'docperm'::regnamespace AND proname ~ '^_'",
    );
    assert!(!internals.is_empty());
    let mut c = w.acting(ANN);
    for internal in &internals {
        let arguments = if internal[3] == "NULL" { "" } else { &internal[3] };
        let call = format!("SELECT {}({arguments})", internal[0]);
        if let Ok(messages) = attempt(&mut c, &call) {
            let told = rows_of(&messages).concat().join(" ");
            assert!(!told.contains("hush") && !told.contains("secret"), "{call}: {told}");
        }
        sees(&mut c, &["1", "4"]);
    }
}

#[test]
fn permits_with_rows_that_are_not_the_tables_own() {
    let w = world();
    let mut c = w.acting(ANN);
    c.batch_execute(
        "CREATE TEMP TABLE forged (amount int, name text, company text);
         INSERT INTO forged VALUES (1, '2', 'B'), (1, '2', 'A');
         CREATE TYPE den.shape AS (a int, b int);
         CREATE TYPE den.same AS (name text, company text, amount int, body text);
         CREATE DOMAIN den.wrapped AS public.doc;",
    )
    .unwrap();
    for row in [
        "f.*",
        "ROW()",
        "NULL::record",
        "NULL::public.doc",
        "NULL::public.memo",
        "ROW(1)",
        "ROW('2', 'A', 2, 'x')",
        "ROW('2', 'B', 2, 'x')::den.same",
        "ROW(1, 2)::den.shape",
        "ROW('2', 'B', 2, 'x')::public.doc",
        "ROW('2', 'B', 2, 'x')::public.doc::den.wrapped",
        "ROW(NULL, NULL, NULL, NULL)::public.doc",
        "ROW('m2', 'B')::public.memo",
        "ROW(ROW('2', 'B'))",
    ] {
        for doctype in ["'Doc'", "'Memo'", "(SELECT 'Doc')", "NULL", "'Nope'", "f.name"] {
            for right in ["'read'", "NULL", "'fly'", "(SELECT 'read')"] {
                let call = format!("SELECT docperm.permits({row}, {doctype}, {right}) FROM forged f");
                let _ = attempt(&mut c, &call);
                let _ = attempt(
                    &mut c,
                    &format!("SELECT FROM forged f WHERE docperm.permits({row}, {doctype}, {right})"),
                );
                assert_eq!(one(&mut c, "SELECT docperm.whoami()"), ANN, "{call}");
            }
        }
    }
    // A row that Ann may not see is not hers because she wrote it down.
    let own = |company: &str| {
        format!("SELECT docperm.permits(ROW('9', '{company}', 1, NULL)::public.doc, (SELECT 'Doc'), 'read')")
    };
    assert_eq!(one(&mut c, &own("A")), "t");
    assert_eq!(one(&mut c, &own("B")), "f");
    sees(&mut c, &["1", "4"]);
}

#[test]
fn permits_over_joins_and_missing_rows_is_never_true_for_a_row_that_is_not_there() {
    let w = world();
    let mut c = w.acting(ANN);
    let missing = "SELECT coalesce(docperm.permits(d.*, 'Doc', 'read'), false)
                   FROM (VALUES ('2')) v(n) LEFT JOIN doc d ON d.name = v.n";
    assert_eq!(one(&mut c, missing), "f");
}

#[test]
fn row_security_cannot_be_switched_off() {
    let w = world();
    let mut c = w.acting(ANN);
    c.batch_execute("SET row_security = off").unwrap();
    assert_eq!(refused_with(&mut c, "SELECT name FROM doc"), "42501");
    c.batch_execute("RESET row_security").unwrap();
    for sql in [
        "CREATE POLICY mine ON doc USING (true)",
        "DROP POLICY docperm_select ON doc",
        "ALTER POLICY docperm_select ON doc USING (true)",
        "ALTER TABLE doc DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE doc NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE doc OWNER TO CURRENT_USER",
        "TRUNCATE doc",
        "CREATE TRIGGER spy BEFORE INSERT ON doc FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE RULE spy AS ON SELECT TO doc DO INSTEAD SELECT 1",
        "CREATE TABLE den.child () INHERITS (doc)",
        "CREATE TABLE den.referring (doc text REFERENCES public.doc)",
        "ALTER EXTENSION docperm DROP FUNCTION docperm.whoami()",
        "ALTER FUNCTION docperm.permits(record, text, text) COST 1",
        "COMMENT ON FUNCTION docperm.whoami() IS 'x'",
        "SET ROLE postgres",
        "LOAD 'docperm'",
    ] {
        assert_eq!(refused_with(&mut c, sql), "42501", "{sql}");
    }
    sees(&mut c, &["1", "4"]);
}

#[test]
fn settings_that_anybody_may_change_change_no_rows() {
    let w = world();
    let mut c = w.acting(ANN);
    for setting in [
        "docperm.max_inline_values = 0",
        "docperm.max_inline_values = 1",
        "docperm.max_inline_values = -1",
        "docperm.max_inline_values = 2147483647",
        "docperm.max_inline_values = 'x'",
        "plan_cache_mode = force_generic_plan",
        "plan_cache_mode = force_custom_plan",
        "enable_seqscan = off",
        "constraint_exclusion = on",
        "from_collapse_limit = 1",
        "geqo_threshold = 2",
        "force_parallel_mode = on",
        "force_parallel_mode = regress",
        "debug_print_plan = on",
        "default_transaction_isolation = 'serializable'",
        "standard_conforming_strings = off",
        "quote_all_identifiers = on",
        "DateStyle = 'SQL, DMY'",
        "IntervalStyle = sql_standard",
        "extra_float_digits = -15",
        "client_encoding = 'SQL_ASCII'",
        "xmloption = document",
        "check_function_bodies = off",
    ] {
        let _ = attempt(&mut c, &format!("SET {setting}"));
        sees(&mut c, &["1", "4"]);
        assert_eq!(
            names(&mut c, "SELECT document FROM docperm.permitted_documents('Doc')"),
            ["1", "4"],
            "{setting}"
        );
    }
}

#[test]
fn cursors_and_copies_do_not_carry_more_than_their_opener_saw() {
    let w = world();
    let mut c = w.acting(ANN);
    c.batch_execute(
        "BEGIN; DECLARE kept CURSOR WITH HOLD FOR SELECT name FROM doc; COMMIT;
         CREATE TEMP TABLE copied AS SELECT * FROM doc;
         CREATE TEMP VIEW seen AS SELECT * FROM doc;
         CREATE MATERIALIZED VIEW den.stored AS SELECT * FROM public.doc;",
    )
    .unwrap();
    set_user(&mut c, BOB);
    assert_eq!(
        names(&mut c, "FETCH ALL FROM kept"),
        ["1", "4"],
        "what the opener saw, as PostgreSQL does it"
    );
    assert_eq!(names(&mut c, "SELECT name FROM copied"), ["1", "4"]);
    assert_eq!(names(&mut c, "SELECT name FROM den.stored"), ["1", "4"]);
    assert_eq!(names(&mut c, "SELECT name FROM seen"), ["2"], "a view asks anew");
    c.batch_execute("REFRESH MATERIALIZED VIEW den.stored").unwrap();
    assert_eq!(names(&mut c, "SELECT name FROM den.stored"), ["2"]);
}

#[test]
fn a_scrollable_cursor_and_a_portal_stay_with_their_identity() {
    let w = world();
    let mut c = w.acting(ANN);
    let mut transaction = c.transaction().unwrap();
    let portal = transaction.bind("SELECT name FROM doc ORDER BY name", &[]).unwrap();
    let first = transaction.query_portal(&portal, 1).unwrap();
    assert_eq!(first[0].get::<_, String>(0), "1");
    transaction.batch_execute(&format!("SELECT docperm.set_user('{BOB}', false)")).unwrap();
    let rest = transaction.query_portal(&portal, 0).map(|rows| rows.len());
    // The rest of Ann's rows, or a refusal; never Bob's, never a mixture.
    assert!(rest.is_err() || rest.is_ok_and(|rows| rows == 1));
}

#[test]
fn do_blocks_cannot_guess_keys_without_being_allowed_to_write() {
    let w = world();
    let mut c = w.acting(ANN);
    // Ann may not create: the refusal comes before the key is looked up, so it is the same for used and free keys.
    let insert = |name: &str| format!("INSERT INTO doc VALUES ('{name}', 'hush-hush', 1)");
    assert_eq!(refused_with(&mut c, &insert("3")), "42501");
    assert_eq!(refused_with(&mut c, &insert("free")), "42501");
    let guess = "DO $$ BEGIN INSERT INTO doc VALUES ('3', 'A', 1); EXCEPTION WHEN unique_violation THEN
                     RAISE EXCEPTION 'it exists'; END $$";
    assert_eq!(refused_with(&mut c, guess), "42501");
    assert_eq!(
        one(
            &mut c,
            "WITH x AS (UPDATE doc SET name = '3' WHERE name = '1' RETURNING 1) SELECT count(*) FROM x"
        ),
        "0"
    );
}

#[test]
fn many_identities_in_one_batch_do_not_leak_into_each_other() {
    let w = world();
    let mut c = w.app();
    let mut batch = String::new();
    for user in [ANN, BOB, "Guest", ANN, "Administrator", BOB] {
        batch += &format!(
            "SELECT docperm.set_user({}, false); SELECT coalesce(string_agg(name, ',' ORDER BY name), '-') FROM doc;",
            literal(user)
        );
    }
    let found: Vec<String> = texts(&mut c, &batch).into_iter().filter(|text| !text.is_empty()).collect();
    assert_eq!(found, ["1,4", "2", "-", "1,4", "1,2,3,4", "2"]);
}

/// PostgreSQL's LIKE fails for a pattern that ends in the escape character once a value has matched the rest: an oracle, if
/// it were tested before the policy.
#[test]
fn like_tells_nothing_of_hidden_rows() {
    let mut w = world();
    w.sql("CREATE INDEX ON doc (body text_pattern_ops); SET enable_seqscan = off; ANALYZE");
    let mut c = w.acting(ANN);
    for guess in ["secret", "secre", "nothing"] {
        // Ann's rows say 'open': no error, whatever is guessed about the others.
        for call in [
            format!("SELECT name FROM doc WHERE body LIKE '{guess}\\'"),
            format!("SELECT name FROM doc WHERE docperm._textlike(body, '{guess}\\')"),
            format!("SELECT name FROM doc WHERE docperm._textlike(body, '{guess}%') AND company <> 'A'"),
        ] {
            assert!(texts(&mut c, &call).is_empty(), "{call}");
        }
    }
    assert_eq!(names(&mut c, "SELECT name FROM doc WHERE body LIKE 'op_n'"), ["1", "4"]);
}
