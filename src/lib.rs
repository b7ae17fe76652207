//! docperm: the ERPNext/Frappe permission model, enforced inside PostgreSQL by row-level security.
//!
//! The house, by folder. Arrows run one way: `api`, `planner`, `guard` and `auth` use `identity` and `catalog`, which use
//! `rules`; `rules` uses none of them, and neither do the modules of `auth` that are plain Rust. `refusals` is told by the errors
//! of all ([`fault`]), and has a worker of `auth` write.
//!
//! | folder | what is decided or done there |
//! |---|---|
//! | [`rules`] | the permission model and the one decision, as plain Rust: no PostgreSQL, no `unsafe` |
//! | [`catalog`] | docperm's tables read into that model, kept until they change |
//! | [`identity`] | who is acting |
//! | [`auth`] | proving who somebody is |
//! | [`concealment`] | keeping secrets that statements hold out of the server's log |
//! | [`planner`] | the decision as part of a query's plan, and the guard against plans that are no longer right |
//! | [`guard`] | triggers that keep what stands beside documents in step with them |
//! | `refusals` | writing down what was refused |
//! | [`api`] | the functions that users call; `sql/` declares them |

pgrx::pg_module_magic!(name, version);

pub mod api;
pub mod auth;
pub mod catalog;
pub mod concealment;
mod entry_point;
pub mod fault;
pub mod guard;
pub mod identity;
pub mod planner;
mod refusals;
#[forbid(unsafe_code)]
pub mod rules;

// In the order in which a new installation needs them.
pgrx::extension_sql_file!("../sql/schema.sql", name = "schema", bootstrap);
pgrx::extension_sql_file!("../sql/rights.sql", name = "rights", requires = ["schema"]);
pgrx::extension_sql_file!("../sql/roles.sql", name = "roles", requires = ["rights"]);
pgrx::extension_sql_file!("../sql/users.sql", name = "users", requires = ["roles"]);
pgrx::extension_sql_file!("../sql/doctypes.sql", name = "doctypes", requires = ["users"]);
pgrx::extension_sql_file!("../sql/role_permissions.sql", name = "role_permissions", requires = ["doctypes"]);
pgrx::extension_sql_file!(
    "../sql/user_permissions.sql",
    name = "user_permissions",
    requires = ["role_permissions"]
);
pgrx::extension_sql_file!("../sql/settings.sql", name = "settings", requires = ["user_permissions"]);
pgrx::extension_sql_file!("../sql/shares.sql", name = "shares", requires = ["settings"]);
pgrx::extension_sql_file!("../sql/documents.sql", name = "documents", requires = ["shares"]);
pgrx::extension_sql_file!("../sql/identity.sql", name = "identity", requires = ["documents"]);
pgrx::extension_sql_file!("../sql/decision.sql", name = "decision", requires = ["identity"]);
pgrx::extension_sql_file!("../sql/leakproof.sql", name = "leakproof", requires = ["decision"]);
pgrx::extension_sql_file!("../sql/protect.sql", name = "protect", requires = ["leakproof"]);
pgrx::extension_sql_file!("../sql/customize.sql", name = "customize", requires = ["protect"]);
pgrx::extension_sql_file!(
    "../sql/permission_administration.sql",
    name = "permission_administration",
    requires = ["customize"]
);
pgrx::extension_sql_file!(
    "../sql/passwords.sql",
    name = "passwords",
    requires = ["permission_administration"]
);
pgrx::extension_sql_file!("../sql/two_factor.sql", name = "two_factor", requires = ["passwords"]);
pgrx::extension_sql_file!("../sql/login_providers.sql", name = "login_providers", requires = ["two_factor"]);
pgrx::extension_sql_file!("../sql/activity_log.sql", name = "activity_log", requires = ["login_providers"]);
pgrx::extension_sql_file!("../sql/sessions.sql", name = "sessions", requires = ["activity_log"]);
pgrx::extension_sql_file!("../sql/api_keys.sql", name = "api_keys", requires = ["sessions"]);
pgrx::extension_sql_file!("../sql/login.sql", name = "login", requires = ["api_keys"]);
pgrx::extension_sql_file!("../sql/profiles.sql", name = "profiles", requires = ["login"]);
pgrx::extension_sql_file!("../sql/modules.sql", name = "modules", requires = ["profiles"]);
pgrx::extension_sql_file!(
    "../sql/user_administration.sql",
    name = "user_administration",
    requires = ["modules"]
);
pgrx::extension_sql_file!(
    "../sql/pages_and_reports.sql",
    name = "pages_and_reports",
    requires = ["user_administration"]
);
pgrx::extension_sql_file!(
    "../sql/readable_views.sql",
    name = "readable_views",
    requires = ["pages_and_reports"]
);
pgrx::extension_sql_file!("../sql/lifecycle.sql", name = "lifecycle", requires = ["readable_views"]);
pgrx::extension_sql_file!("../sql/link_targets.sql", name = "link_targets", requires = ["lifecycle"]);
pgrx::extension_sql_file!("../sql/history.sql", name = "history", requires = ["link_targets"]);
pgrx::extension_sql_file!("../sql/document_follow.sql", name = "document_follow", requires = ["history"]);
pgrx::extension_sql_file!(
    "../sql/permission_log.sql",
    name = "permission_log",
    requires = ["document_follow"]
);
pgrx::extension_sql_file!(
    "../sql/permission_reports.sql",
    name = "permission_reports",
    requires = ["permission_log"]
);
pgrx::extension_sql_file!(
    "../sql/access_review.sql",
    name = "access_review",
    requires = ["permission_reports"]
);
pgrx::extension_sql_file!("../sql/doctor/looking.sql", name = "doctor_looking", requires = ["access_review"]);
pgrx::extension_sql_file!("../sql/doctor/tables.sql", name = "doctor_tables", requires = ["doctor_looking"]);
pgrx::extension_sql_file!(
    "../sql/doctor/bypasses.sql",
    name = "doctor_bypasses",
    requires = ["doctor_tables"]
);
pgrx::extension_sql_file!(
    "../sql/doctor/installation.sql",
    name = "doctor_installation",
    requires = ["doctor_bypasses"]
);
pgrx::extension_sql_file!(
    "../sql/doctor/registration.sql",
    name = "doctor_registration",
    requires = ["doctor_installation"]
);
pgrx::extension_sql_file!(
    "../sql/doctor/rules.sql",
    name = "doctor_rules",
    requires = ["doctor_registration"]
);
pgrx::extension_sql_file!("../sql/doctor/users.sql", name = "doctor_users", requires = ["doctor_rules"]);
pgrx::extension_sql_file!(
    "../sql/doctor/settings.sql",
    name = "doctor_settings",
    requires = ["doctor_users"]
);
pgrx::extension_sql_file!("../sql/doctor/doctor.sql", name = "doctor", requires = ["doctor_settings"]);
pgrx::extension_sql_file!("../sql/own_doctypes.sql", name = "own_doctypes", requires = ["doctor"]);
pgrx::extension_sql_file!("../sql/delegation.sql", name = "delegation", requires = ["own_doctypes"]);
pgrx::extension_sql_file!("../sql/grants.sql", name = "grants", requires = ["delegation"]);
pgrx::extension_sql_file!("../sql/permission_watch.sql", name = "permission_watch", requires = ["grants"]);
pgrx::extension_sql_file!("../sql/data_restore.sql", name = "data_restore", requires = ["permission_watch"]);
pgrx::extension_sql_file!("../sql/invalidation.sql", name = "invalidation", requires = ["data_restore"]);
pgrx::extension_sql_file!("../sql/privileges.sql", name = "privileges", requires = ["invalidation"]);

/// Called when a backend loads the library: at the first use of one of its functions, or when it is preloaded.
#[pgrx::pg_guard]
#[allow(non_snake_case)]
pub extern "C-unwind" fn _PG_init() {
    concealment::init();
    identity::init();
    catalog::init();
    planner::init();
    guard::init();
    refusals::init();
}

/// Required by `cargo pgrx test`.
#[cfg(test)]
pub mod pg_test {
    /// Nothing to prepare.
    pub fn setup(_options: Vec<&str>) {}

    /// Nothing to set.
    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec![]
    }
}
