//! What docperm.grant_application() and docperm.grant_administration() give a database role: this, and nothing more.

use crate::support::{World, attempt, names, one, refused_with};

/// Everything that a role may do in the schema, beyond what everybody may.
fn privileges(w: &mut World, role: &str) -> Vec<String> {
    names(
        &mut w.admin,
        &format!(
            "SELECT 'table ' || c.relname || ' ' || lower(a.privilege_type)
               FROM pg_class c, aclexplode(c.relacl) a
              WHERE c.relnamespace = 'docperm'::regnamespace AND a.grantee = '{role}'::regrole
             UNION ALL
             SELECT 'column ' || c.relname || '.' || t.attname || ' ' || lower(a.privilege_type)
               FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
              WHERE c.relnamespace = 'docperm'::regnamespace AND a.grantee = '{role}'::regrole
             UNION ALL
             SELECT 'function ' || p.proname || ' ' || lower(a.privilege_type)
               FROM pg_proc p, aclexplode(p.proacl) a
              WHERE p.pronamespace = 'docperm'::regnamespace AND a.grantee = '{role}'::regrole
             UNION ALL
             SELECT 'schema ' || lower(a.privilege_type) FROM pg_namespace n, aclexplode(n.nspacl) a
              WHERE n.nspname = 'docperm' AND a.grantee = '{role}'::regrole
             UNION ALL
             SELECT 'option ' || c.relname FROM pg_class c, aclexplode(c.relacl) a WHERE a.grantee = '{role}'::regrole AND a.is_grantable"
        ),
    )
}

const APPLICATION: [&str; 5] = [
    "function password_reset_recipient execute",
    "function request_password_reset execute",
    "function set_user execute",
    "function start_enrollment execute",
    "function states_client_address execute",
];

/// Tables with all that can be done to rows, and what else there is.
fn administration() -> Vec<String> {
    let mut expected: Vec<String> = [
        "column sessions.client_address select",
        "column sessions.created_at select",
        "column sessions.expires_at select",
        "column sessions.id select",
        "column sessions.impersonated_by select",
        "column sessions.last_active select",
        "column sessions.returns_to select",
        "column sessions.user_name select",
        "function customize execute",
        "function reset execute",
        "table activity_log select",
        "table doctype_fields select",
        "table doctypes select",
        "table permission_log select",
        "table settings select",
        "table settings update",
    ]
    .map(str::to_owned)
    .to_vec();
    for table in [
        "login_providers",
        "module_profile_blocks",
        "module_profiles",
        "modules",
        "page_roles",
        "pages",
        "report_roles",
        "reports",
        "rights",
        "role_permissions",
        "role_profile_roles",
        "role_profiles",
        "roles",
        "shares",
        "user_blocked_modules",
        "user_emails",
        "user_permissions",
        "user_role_profiles",
        "user_roles",
        "users",
    ] {
        expected.extend(["delete", "insert", "select", "update"].map(|what| format!("table {table} {what}")));
    }
    expected.sort();
    expected
}

#[test]
fn a_role_gets_what_is_listed_and_nothing_more_and_loses_it_again() {
    let mut w = World::new("");
    let (application, administration_role) = (w.db.login_role("shop"), w.db.login_role("desk"));
    for _ in 0..2 {
        w.sql(&format!(
            "SELECT docperm.grant_application('{application}'); SELECT docperm.grant_administration('{administration_role}')"
        ));
        assert_eq!(privileges(&mut w, &application), APPLICATION);
        assert_eq!(privileges(&mut w, &administration_role), administration());
    }
    w.sql(&format!("SELECT docperm.revoke_administration('{application}')"));
    assert_eq!(privileges(&mut w, &application), APPLICATION, "what was not given is not taken");
    w.sql(&format!(
        "SELECT docperm.revoke_application('{application}'); SELECT docperm.revoke_administration('{administration_role}')"
    ));
    for role in [application, administration_role] {
        assert!(privileges(&mut w, &role).is_empty());
    }
}

#[test]
fn only_superusers_grant_and_not_to_roles_that_pass_policies() {
    let mut w = World::new("");
    let bypassing = w.db.login_role("bypassing");
    w.sql(&format!("ALTER ROLE {bypassing} BYPASSRLS"));
    for function in
        ["grant_application", "grant_administration", "revoke_application", "revoke_administration"]
    {
        for (role, sqlstate) in [
            ("'no_such_role'".to_owned(), "42704"),
            ("NULL".to_owned(), "42704"),
            ("'postgres'".to_owned(), "22023"),
            (format!("'{bypassing}'"), "22023"),
        ] {
            let call = format!("SELECT docperm.{function}({role})");
            assert_eq!(refused_with(&mut w.admin, &call), sqlstate, "{call}");
        }
        let call = format!("SELECT docperm.{function}('{bypassing}')");
        assert_eq!(refused_with(&mut w.app(), &call), "42501", "{call}");
        // A superuser who has become somebody else does not, either.
        let mut admin = w.db.admin();
        one(&mut admin, "SELECT docperm.set_user('Administrator', false)");
        assert_eq!(refused_with(&mut admin, &format!("SELECT docperm.{function}('pg_monitor')")), "42501");
    }
}

#[test]
fn names_of_roles_are_names_and_nothing_else() {
    let mut w = World::new("");
    let odd = w.db.login_role("Odd \"one\"; DROP TABLE docperm.users; --");
    let literal = crate::support::literal(&odd);
    w.sql(&format!(
        "SELECT docperm.grant_administration({literal}), docperm.revoke_administration({literal})"
    ));
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.users"), "2");
}

#[test]
fn who_watches_the_server_sees_who_cannot_log_in_and_no_more() {
    let mut w = World::new(
        "INSERT INTO docperm.users (name) VALUES ('ann@erp.test');
         INSERT INTO docperm.login_throttle VALUES ('user ann@erp.test', 10, now(), now() + interval '1 hour')",
    );
    let monitor = w.db.login_role("monitor");
    w.sql(&format!("GRANT pg_monitor TO {monitor}"));
    let mut c = w.db.connect_as(&monitor);
    assert_eq!(one(&mut c, "SELECT user_name FROM docperm.locked_users"), "ann@erp.test");
    for relation in ["login_throttle", "users", "sessions", "activity_log", "passwords"] {
        let error = attempt(&mut c, &format!("SELECT * FROM docperm.{relation}")).unwrap_err();
        assert_eq!(error.sqlstate, "42501", "{relation}");
    }
}
