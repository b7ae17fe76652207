//! What a careful DBA would look over before installing: privileges, search paths, comments, dump configuration.

use crate::support::{names, table};
use docperm_testkit::{Database, server};

/// Functions that everybody may call. Each of them answers about the acting user, asks for a secret, knows none, or is called
/// by policies.
const FOR_EVERYBODY: &[&str] = &[
    "access_review",
    "amend",
    "apply_access_review",
    "apply_user_permission",
    "can_open_page",
    "can_run_report",
    "cancel",
    "change_password",
    "clear_activity_log",
    "clear_document_history",
    "clear_permission_log",
    "clear_user_permissions",
    "close_access_review",
    "confirm_two_factor",
    "create_api_key",
    "create_user",
    "decide_access",
    "default_value",
    "delete_user",
    "disable_dormant_users",
    "disable_user",
    "discard",
    "doctor",
    "document_history",
    "dormant_users",
    "enable_user",
    "end_impersonation",
    "end_session",
    "enroll_two_factor",
    "explain_access",
    "explain_desk_access",
    "failed_logins",
    "follow",
    "has_permission",
    "impersonate",
    "import_password_hash",
    "integration_users",
    "is_following",
    "link_options",
    "login",
    "login_with_id_token",
    "logout",
    "logout_all",
    "my_activity",
    "my_api_keys",
    "my_document_follow_digest",
    "my_follows",
    "my_sessions",
    "note_document_event",
    "page_and_report_permissions",
    "password_strength",
    "permission_changes",
    "permits",
    "permitted_documents",
    "rename_user",
    "reset_password",
    "reset_two_factor",
    "resume",
    "revoke_api_key",
    "role_changes",
    "role_permission_matrix",
    "separate_duties",
    "separation_of_duties_violations",
    "session_info",
    "set_document_follow",
    "set_password",
    "share",
    "share_report",
    "show_permissions",
    "start_access_review",
    "submit",
    "uncertified_access",
    "unfollow",
    "unlock",
    "unrestricted_users",
    "unshare",
    "user_doctype_permissions",
    "user_permission_levels",
    "users_with_role",
    "version",
    "visible_doctypes",
    "visible_modules",
    "visible_pages",
    "visible_reports",
    "who_can",
    "whoami",
];

/// Internal functions that plans and triggers call with the privileges of whoever runs the query.
const CALLED_BY_PLANS: &[&str] = &[
    "_default_values",
    "_enum_eq",
    "_enum_ne",
    "_is_of_this_transaction",
    "_is_permitted",
    "_numeric_eq",
    "_numeric_ge",
    "_numeric_gt",
    "_numeric_le",
    "_numeric_lt",
    "_numeric_ne",
    "_obeys_policies",
    "_textlike",
];

/// Tables on which no plan depends.
const NO_PERMISSIONS: &str =
    "'rights', 'partitions', 'passwords', 'password_resets', 'two_factor', 'login_providers', 'user_identities',
     'activity_log', 'login_throttle', 'user_emails', 'role_profiles', 'role_profile_roles', 'user_role_profiles', 'modules',
     'module_profiles', 'module_profile_blocks', 'pages', 'page_roles', 'reports', 'report_roles',
     'permission_log', 'separation_of_duties', 'access_reviews', 'access_review_items', 'document_changes', 'document_follows',
     'document_follow_digests'";

fn rows(sql: &str) -> Vec<Vec<String>> {
    let db: Database = server().database();
    table(&mut db.admin(), sql)
}

/// The offenders that a query finds; none is expected.
#[track_caller]
fn nothing(what: &str, sql: &str) {
    let offenders = rows(sql);
    assert!(offenders.is_empty(), "{what}: {offenders:#?}");
}

#[test]
fn the_catalog_holds_what_is_looked_over() {
    let db = server().database();
    let functions = names(
        &mut db.admin(),
        "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'docperm'::regnamespace AND proname !~ '^_'",
    );
    let contract = [
        "explain_access",
        "has_permission",
        "permits",
        "permitted_documents",
        "protect",
        "set_field",
        "set_user",
        "unprotect",
        "version",
        "whoami",
    ];
    for function in contract {
        assert!(functions.iter().any(|name| name == function), "{function} is missing: {functions:?}");
    }
    let tables = names(
        &mut db.admin(),
        "SELECT relname FROM pg_class WHERE relnamespace = 'docperm'::regnamespace AND relkind = 'r'",
    );
    let contract = [
        "doctype_fields",
        "doctypes",
        "rights",
        "role_permissions",
        "roles",
        "settings",
        "user_permissions",
        "user_roles",
        "users",
    ];
    for table in contract {
        assert!(tables.iter().any(|name| name == table), "{table} is missing: {tables:?}");
    }
}

#[test]
fn everything_belongs_to_the_extension() {
    nothing(
        "functions and tables of the schema that are no members of the extension",
        "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE pronamespace = 'docperm'::regnamespace
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                                                     AND d.deptype = 'e')
         UNION ALL
         SELECT c.oid::regclass::text FROM pg_class c WHERE relnamespace = 'docperm'::regnamespace
            AND relkind IN ('r', 'v', 'S')
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                                                     AND d.deptype IN ('e', 'i'))",
    );
}

#[test]
fn everything_has_a_comment() {
    nothing(
        "functions without a comment",
        "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'docperm'::regnamespace
            AND coalesce(obj_description(oid, 'pg_proc'), '') = ''",
    );
    nothing(
        "tables without a comment",
        "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'docperm'::regnamespace AND relkind IN ('r', 'v')
            AND coalesce(obj_description(oid, 'pg_class'), '') = ''",
    );
    nothing(
        "columns without a comment",
        "SELECT c.oid::regclass, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
          WHERE relnamespace = 'docperm'::regnamespace AND relkind IN ('r', 'v') AND attnum > 0 AND NOT attisdropped
            AND coalesce(col_description(c.oid, attnum), '') = ''",
    );
    nothing(
        "the extension or its schema without a comment",
        "SELECT 'extension' FROM pg_extension WHERE extname = 'docperm' AND obj_description(oid, 'pg_extension') IS NULL",
    );
}

#[test]
fn nobody_may_call_what_is_not_for_everybody() {
    let found = rows(
        "SELECT DISTINCT proname FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) a
          WHERE pronamespace = 'docperm'::regnamespace AND a.grantee = 0 ORDER BY 1",
    );
    let mut expected: Vec<&str> = CALLED_BY_PLANS.iter().chain(FOR_EVERYBODY).copied().collect();
    expected.sort_unstable();
    assert_eq!(found.concat(), expected);
}

#[test]
fn tables_and_sequences_are_for_nobody() {
    nothing(
        "privileges of others than the owner",
        "SELECT c.oid::regclass, a.privilege_type, a.grantee::regrole
           FROM pg_class c, aclexplode(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", relowner))) a
          WHERE relnamespace = 'docperm'::regnamespace AND relkind IN ('r', 'v', 'S') AND a.grantee <> relowner
            AND (relname, a.privilege_type, a.grantee) <> ('locked_users', 'SELECT', 'pg_monitor'::regrole)",
    );
    let schema = rows(
        "SELECT a.grantee::regrole, a.privilege_type FROM pg_namespace n, aclexplode(nspacl) a
          WHERE nspname = 'docperm' AND a.grantee <> nspowner",
    );
    assert_eq!(schema, [["-", "USAGE"]]);
}

#[test]
fn functions_that_are_not_native_pin_their_search_path() {
    // An SQL function with a parsed body (RETURN, BEGIN ATOMIC) found its names when it was made.
    nothing(
        "SECURITY DEFINER or PL/pgSQL or SQL functions without a pinned search_path, pg_temp last",
        "SELECT p.oid::regprocedure, proconfig FROM pg_proc p JOIN pg_language l ON l.oid = prolang
          WHERE pronamespace = 'docperm'::regnamespace AND (prosecdef OR lanname IN ('sql', 'plpgsql'))
            AND (prosecdef OR prosqlbody IS NULL)
            AND NOT coalesce(array_to_string(proconfig, ';') LIKE '%search_path=%pg_temp%', false)",
    );
}

#[test]
fn volatility_and_parallel_safety_are_what_they_must_be() {
    let found = rows(
        "SELECT proname, provolatile, proparallel FROM pg_proc WHERE pronamespace = 'docperm'::regnamespace
            AND proname IN ('permits', 'whoami', 'has_permission', 'set_user', 'protect', 'unprotect', 'set_field')
          ORDER BY 1",
    );
    let expected = [
        ["permits", "s", "s"],
        ["protect", "v", "u"],
        ["set_field", "v", "u"],
        ["set_user", "v", "u"],
        ["unprotect", "v", "u"],
        ["whoami", "s", "s"],
    ];
    for [name, volatility, parallel] in expected {
        let row = [name, volatility, parallel];
        assert!(found.iter().any(|found| found == &row), "{row:?} expected among {found:?}");
    }
    nothing(
        "functions that depend on tables or the session and call themselves immutable",
        "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'docperm'::regnamespace AND provolatile = 'i'
            AND proname NOT IN ('version', '_user_name', '_short_name', '_is_standard_role', '_is_canonical') AND NOT proleakproof",
    );
    nothing(
        "triggers and writing functions that call themselves stable or parallel safe",
        "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'docperm'::regnamespace
            AND (prorettype IN ('trigger'::regtype, 'event_trigger'::regtype) OR provolatile = 'v')
            AND (provolatile <> 'v' OR proparallel = 's')",
    );
}

#[test]
fn the_policy_function_has_its_planner_support_and_is_not_leakproof() {
    let found = rows(
        "SELECT prosupport <> 0, proleakproof, prosecdef FROM pg_proc
          WHERE oid = 'docperm.permits(record, text, text)'::regprocedure",
    );
    assert_eq!(found, [["t", "f", "f"]]);
    nothing(
        "leakproof functions but those that can neither fail nor look anything up",
        "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'docperm'::regnamespace AND proleakproof
            AND (provolatile <> 'i' OR NOT proisstrict OR proname NOT LIKE '\\_numeric\\___' AND proname NOT LIKE '\\_enum\\___'
                 AND proname <> '_textlike')",
    );
}

/// But for what belongs to this server and this moment: a copy of the database opens to no token of the original.
#[test]
fn every_table_goes_into_the_dump() {
    nothing(
        "tables and sequences that pg_dump would leave out",
        "SELECT c.oid::regclass FROM pg_class c WHERE relnamespace = 'docperm'::regnamespace AND relkind IN ('r', 'S')
            AND c.relname NOT IN ('sessions', 'sessions_id_seq', 'login_throttle')
            AND NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'docperm' AND c.oid = ANY (extconfig))",
    );
}

#[test]
fn keys_and_foreign_keys_have_their_indexes() {
    nothing(
        "tables without a primary key",
        "SELECT oid::regclass FROM pg_class c WHERE relnamespace = 'docperm'::regnamespace AND relkind = 'r'
            AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)",
    );
    nothing(
        "foreign keys whose deletes scan a table that grows",
        "SELECT conrelid::regclass, conname FROM pg_constraint k WHERE connamespace = 'docperm'::regnamespace
            AND contype = 'f' AND conrelid = 'docperm.user_permissions'::regclass
            AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = conrelid AND indkey[0] = conkey[1])",
    );
}

#[test]
fn the_triggers_that_invalidate_fire_always() {
    let found = rows(&format!(
        "SELECT c.relname FROM pg_class c
          WHERE relnamespace = 'docperm'::regnamespace AND relkind = 'r' AND relname NOT IN ({NO_PERMISSIONS})
            AND NOT EXISTS (SELECT FROM pg_trigger t WHERE tgrelid = c.oid AND tgenabled = 'A' AND tgtype & 32 > 0)
          ORDER BY 1",
    ));
    assert!(found.is_empty(), "no trigger ENABLE ALWAYS for TRUNCATE: {found:?}");
    let found = rows(&format!(
        "SELECT c.relname, e.name FROM pg_class c, (VALUES ('insert', 4), ('delete', 8), ('update', 16)) e(name, bit)
          WHERE relnamespace = 'docperm'::regnamespace AND relkind = 'r' AND relname NOT IN ({NO_PERMISSIONS})
            AND NOT EXISTS (SELECT FROM pg_trigger t WHERE tgrelid = c.oid AND tgenabled = 'A' AND tgtype & e.bit > 0)
          ORDER BY 1, 2",
    ));
    assert!(found.is_empty(), "no trigger ENABLE ALWAYS: {found:?}");
}

#[test]
fn the_extension_can_be_dropped_and_made_again() {
    let db = server().database();
    let mut admin = db.admin();
    let left = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relrowsecurity
                   AND EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid)";
    admin
        .batch_execute(
            "CREATE TABLE doc (name text PRIMARY KEY, parent text);
             SELECT docperm.protect('doc', 'Doc', tree_parent_column => 'parent');
             DROP EXTENSION docperm CASCADE;",
        )
        .unwrap();
    assert_eq!(
        names(&mut admin, left),
        ["0"],
        "the policies are gone; row security stays on, so the table is closed"
    );
    assert_eq!(names(&mut admin, "SELECT count(*) FROM pg_event_trigger"), ["0"]);
    admin
        .batch_execute(
            "CREATE EXTENSION docperm; SELECT docperm.protect('doc', 'Doc', tree_parent_column => 'parent')",
        )
        .unwrap();
    assert_eq!(names(&mut admin, left), ["1"]);
}
