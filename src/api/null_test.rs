//! In a backend: docperm's functions stand NULLs.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use pgrx::spi::quote_literal;

    use crate::catalog::key_column::{ask, run};

    /// Calls a function and takes all of its result. What fails comes back with its SQLSTATE and message.
    fn sqlstate_of(call: &str) -> String {
        run("CREATE OR REPLACE FUNCTION pg_temp.sqlstate_of(query text) RETURNS text LANGUAGE plpgsql AS $$
             BEGIN
                 EXECUTE query;
                 RETURN '00000';
             EXCEPTION WHEN OTHERS THEN
                 RETURN SQLSTATE || ' ' || SQLERRM;
             END $$");
        ask(&format!("SELECT pg_temp.sqlstate_of({})", quote_literal(format!("SELECT * FROM {call}"))))
    }

    #[pg_test]
    fn strict_functions_make_null_of_null() {
        for call in [
            "docperm.permits(NULL, NULL, NULL)",
            "docperm.permits(NULL::pg_class, 'DocType', 'read')",
            "docperm.permits(ROW(1), NULL, 'read')",
            "docperm.permits(ROW(1), 'DocType', NULL)",
            "docperm._is_permitted(NULL::text, 1, 1)",
            "docperm._is_permitted('x'::text, NULL, NULL)",
        ] {
            assert!(ask::<bool>(&format!("SELECT ({call}) IS NULL")), "{call}");
        }
        // With all there, it would have been an error.
        assert!(sqlstate_of("docperm.permits(ROW(1), 'DocType', 'read')").starts_with("22023"));
    }

    #[pg_test]
    fn questions_with_nulls_are_answered_or_refused() {
        run("CREATE TABLE public.note (id integer PRIMARY KEY)");
        run("SELECT docperm.protect('public.note', 'Note')");
        run("SELECT docperm.set_user('Administrator')");
        for (call, answer) in [
            ("docperm.has_permission('Note')", true),
            ("docperm.has_permission('Note', NULL, NULL, NULL)", true),
            ("docperm.has_permission('Note', 'read', NULL, 'Guest')", false),
            ("docperm.has_permission('Note', NULL, '1', NULL)", false),
        ] {
            assert_eq!(ask::<bool>(&format!("SELECT {call}")), answer, "{call}");
        }
        run("SELECT docperm.set_user(NULL)");
        assert_eq!(ask::<String>("SELECT docperm.whoami()"), "Guest");
    }

    /// Each function of docperm that SQL can call, with all of its arguments NULL, with each one NULL by itself, and with
    /// each one alone not NULL.
    #[pg_test]
    fn no_function_panics_at_null() {
        run("CREATE TABLE public.note (id integer PRIMARY KEY)");
        let calls: Vec<String> = ask(r#"
            WITH argument AS (
                SELECT p.oid, p.proname, a.position,
                       CASE a.type WHEN 'record'::regtype  THEN 'NULL::docperm.users'
                                   WHEN '"any"'::regtype   THEN 'NULL::text'
                                   ELSE format('NULL::%s', a.type::regtype) END AS absent,
                       CASE a.type WHEN 'record'::regtype   THEN 'ROW(1)'
                                   WHEN 'text'::regtype     THEN '''read'''
                                   WHEN 'name'::regtype     THEN '''id'''
                                   WHEN 'boolean'::regtype  THEN 'true'
                                   WHEN 'text[]'::regtype   THEN '''{read}'''
                                   WHEN 'regclass'::regtype THEN '''public.note'''
                                   ELSE '''1''' END AS present
                  FROM pg_proc AS p, unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (type, position)
                 WHERE p.pronamespace = 'docperm'::regnamespace AND 'internal'::regtype <> ALL (p.proargtypes)
            ), choice AS (
                -- The argument that is unlike the others; 0 for none.
                SELECT oid, proname, odd, odd_is_absent,
                       string_agg(CASE WHEN (position = odd) = odd_is_absent THEN absent ELSE present END,
                                  ', ' ORDER BY position) AS arguments
                  FROM argument, generate_series(0, 14) AS odd, (VALUES (true), (false)) AS how (odd_is_absent)
                 GROUP BY oid, proname, odd, odd_is_absent
            )
            SELECT array_agg(DISTINCT format('docperm.%I(%s)', proname, arguments)) FROM choice"#);
        for known in [
            "docperm.permits(NULL::docperm.users, NULL::text, NULL::text)",
            "docperm.set_user(NULL::text, true)",
        ] {
            assert!(calls.iter().any(|call| call == known), "{known} is not among {calls:#?}");
        }
        let panics: Vec<String> = calls
            .iter()
            .map(|call| format!("{call}: {}", sqlstate_of(call)))
            .filter(|outcome| outcome.contains(": XX"))
            .collect();
        assert!(panics.is_empty(), "{panics:#?}");
    }
}
