//! A planted fault for each finding of `docperm.doctor()`, in the small company that `doctor` makes.

/// What the remedy is good for.
pub enum Remedy {
    /// It is run, and the finding is gone.
    Runs,
    /// Somebody has to decide: it is a comment.
    Decides,
    /// It is a statement that needs what a test does not have.
    NotHere,
}
use Remedy::{Decides, NotHere, Runs};

/// One fault.
pub struct Fault {
    /// The finding that must be there.
    pub id: &'static str,
    /// What it must be about.
    pub object: &'static str,
    /// What makes it.
    pub plant: &'static str,
    /// What can be done with the remedy.
    pub remedy: Remedy,
}

const fn fault(id: &'static str, object: &'static str, remedy: Remedy, plant: &'static str) -> Fault {
    Fault { id, object, plant, remedy }
}

/// In the order of docs/doctor.md. Database roles that begin with `doc_` are dropped after each.
pub const FAULTS: &[Fault] = &[
    fault(
        "application_role_bypasses",
        "doc_bi",
        Runs,
        "CREATE ROLE doc_bi LOGIN BYPASSRLS; UPDATE docperm.users SET db_role = 'doc_bi' WHERE name = 'bob@erp.test'",
    ),
    fault(
        "application_role_bypasses",
        "doc_bi",
        Runs,
        "CREATE ROLE doc_bi LOGIN; CREATE ROLE doc_strong SUPERUSER; CREATE ROLE doc_between; GRANT doc_strong TO doc_between;
         GRANT doc_between TO doc_bi; UPDATE docperm.users SET db_role = 'doc_bi' WHERE name = 'bob@erp.test'",
    ),
    fault(
        "application_role_bypasses",
        "postgres",
        Runs,
        "UPDATE docperm.users SET db_role = 'postgres' WHERE name = 'bob@erp.test'",
    ),
    fault("column_missing", "public.sales_order (owner)", Runs, "ALTER TABLE sales_order DROP COLUMN owner CASCADE"),
    fault("column_missing", "public.sales_order (owner)", Runs, "ALTER TABLE sales_order RENAME owner TO holder"),
    fault("column_missing", "public.customer (company)", Runs, "ALTER TABLE customer DROP COLUMN company"),
    fault("column_missing", "public.customer (name)", Decides, "ALTER TABLE customer RENAME name TO title"),
    fault(
        "event_trigger_disabled",
        "event trigger docperm_table_dropped",
        Runs,
        "ALTER EVENT TRIGGER docperm_table_dropped ENABLE",
    ),
    fault(
        "granted_to_public",
        "docperm.set_user(text,boolean)",
        Runs,
        "GRANT EXECUTE ON FUNCTION docperm.set_user(text, boolean) TO PUBLIC",
    ),
    fault(
        "library_version",
        "extension docperm",
        NotHere,
        "UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'docperm'",
    ),
    fault(
        "mapped_role_becomes_anybody",
        "doc_app",
        Runs,
        "CREATE ROLE doc_app LOGIN; GRANT EXECUTE ON FUNCTION docperm.set_user(text, boolean) TO doc_app;
         UPDATE docperm.users SET db_role = 'doc_app' WHERE name = 'bob@erp.test'",
    ),
    fault(
        "mapped_role_becomes_anybody",
        "doc_app",
        Runs,
        "CREATE ROLE doc_app LOGIN; CREATE ROLE doc_apps; GRANT doc_apps TO doc_app;
         GRANT EXECUTE ON FUNCTION docperm.set_user(text, boolean) TO doc_apps;
         UPDATE docperm.users SET db_role = 'doc_app' WHERE name = 'bob@erp.test'",
    ),
    fault(
        "not_looked_for",
        "finding view_of_owner",
        Decides,
        "CREATE OR REPLACE FUNCTION docperm._doctor_view_of_owner() RETURNS TABLE (object text, detail text, remedy text)
         LANGUAGE sql AS 'SELECT (1/0)::text, NULL, NULL'",
    ),
    fault(
        "object_owner",
        "function docperm.version()",
        Runs,
        "CREATE ROLE doc_app; ALTER FUNCTION docperm.version() OWNER TO doc_app",
    ),
    fault(
        "object_owner",
        "schema docperm",
        Runs,
        "CREATE ROLE doc_app; ALTER SCHEMA docperm OWNER TO doc_app",
    ),
    fault(
        "own_trigger_disabled",
        "docperm_changed on docperm.user_roles",
        Runs,
        "ALTER TABLE docperm.user_roles ENABLE TRIGGER docperm_changed",
    ),
    fault(
        "own_trigger_disabled",
        "keep_log on docperm.permission_log",
        Runs,
        "ALTER TABLE docperm.permission_log ENABLE TRIGGER keep_log",
    ),
    fault(
        "own_trigger_disabled",
        "guard on docperm.users",
        Runs,
        "ALTER TABLE docperm.users DISABLE TRIGGER guard",
    ),
    fault(
        "parent_unprotected",
        "public.customer",
        Runs,
        "CREATE TABLE everybody (name text NOT NULL, company text); ALTER TABLE customer INHERIT everybody",
    ),
    fault(
        "parent_unprotected",
        "public.ledger",
        Runs,
        "CREATE TABLE books (LIKE ledger) PARTITION BY LIST (company); ALTER TABLE books ATTACH PARTITION ledger DEFAULT",
    ),
    fault(
        "partition_unprotected",
        "public.ledger_2",
        Runs,
        "ALTER EVENT TRIGGER docperm_table_changed DISABLE;
         CREATE TABLE ledger_2 PARTITION OF ledger FOR VALUES FROM (10) TO (20);
         ALTER EVENT TRIGGER docperm_table_changed ENABLE ALWAYS",
    ),
    fault(
        "partition_unprotected",
        "public.ledger_far",
        Decides,
        "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER far FOREIGN DATA WRAPPER nothing;
         ALTER EVENT TRIGGER docperm_table_changed DISABLE;
         CREATE FOREIGN TABLE ledger_far (id int NOT NULL, company text) SERVER far;
         ALTER TABLE ledger DROP CONSTRAINT ledger_pkey;
         ALTER TABLE ledger ATTACH PARTITION ledger_far FOR VALUES FROM (10) TO (20);
         ALTER EVENT TRIGGER docperm_table_changed ENABLE ALWAYS",
    ),
    fault(
        "password_guessable",
        "user 'Administrator'",
        Runs,
        "INSERT INTO docperm.passwords (user_name, password_hash) VALUES ('Administrator', docperm._hash_password('admin', 64, 1, 1))",
    ),
    fault(
        "password_guessable",
        "user 'sue@erp.test'",
        Runs,
        "INSERT INTO docperm.users (name, first_name) VALUES ('sue@erp.test', 'Susanne');
         INSERT INTO docperm.user_roles VALUES ('sue@erp.test', 'System Manager');
         INSERT INTO docperm.passwords (user_name, password_hash) VALUES ('sue@erp.test', docperm._hash_password('susanne', 64, 1, 1))",
    ),
    fault("policy_added", "mine on public.customer", Runs, "CREATE POLICY mine ON customer USING (true)"),
    fault(
        "policy_added",
        "mine on public.ledger_1",
        Runs,
        "CREATE POLICY mine ON ledger_1 FOR SELECT USING (true)",
    ),
    fault(
        "policy_changed",
        "public.customer",
        Runs,
        "ALTER POLICY docperm_update ON customer WITH CHECK (true)",
    ),
    fault(
        "policy_changed",
        "public.customer",
        Runs,
        "CREATE ROLE doc_app; ALTER POLICY docperm_select ON customer TO doc_app",
    ),
    fault("policy_missing", "public.ledger_1", Runs, "DROP POLICY docperm_delete ON ledger_1"),
    fault(
        "registration_stale",
        "public.customer",
        Runs,
        "ALTER TABLE customer DROP CONSTRAINT customer_pkey CASCADE",
    ),
    fault(
        "registration_stale",
        "public.sales_order",
        Decides,
        "DROP TRIGGER docperm_keep_constants ON sales_order; ALTER TABLE sales_order ALTER owner TYPE int USING 1",
    ),
    fault("row_security_off", "public.customer", Runs, "ALTER TABLE customer DISABLE ROW LEVEL SECURITY"),
    fault("row_security_off", "public.ledger_1", Runs, "ALTER TABLE ledger_1 DISABLE ROW LEVEL SECURITY"),
    fault("schema_open", "schema docperm", Runs, "GRANT CREATE ON SCHEMA docperm TO PUBLIC"),
    fault(
        "secrets_granted",
        "docperm.passwords",
        Runs,
        "CREATE ROLE doc_app; GRANT SELECT (password_hash) ON docperm.passwords TO doc_app",
    ),
    fault(
        "secrets_granted",
        "docperm.sessions",
        Runs,
        "CREATE ROLE doc_app; CREATE ROLE doc_other; GRANT USAGE ON SCHEMA docperm TO doc_app;
         GRANT SELECT ON docperm.sessions TO doc_app WITH GRANT OPTION;
         SET ROLE doc_app; GRANT SELECT ON docperm.sessions TO doc_other; RESET ROLE;
         REVOKE GRANT OPTION FOR SELECT ON docperm.sessions FROM doc_app CASCADE",
    ),
    fault(
        "trigger_disabled",
        "public.customer",
        Runs,
        "ALTER TABLE customer DISABLE TRIGGER docperm_document_deleted",
    ),
    fault("trigger_disabled", "public.company", Runs, "ALTER TABLE company ENABLE TRIGGER docperm_tree_changed"),
    fault("trigger_missing", "public.company", Runs, "DROP TRIGGER docperm_tree_changed ON company"),
    fault("trigger_missing", "public.ledger_1", Runs, "DROP TRIGGER docperm_document_renamed ON ledger_1"),
    fault("view_unfiltered", "public.all_orders", Runs, "CREATE VIEW all_orders AS SELECT * FROM sales_order"),
    fault(
        "view_unfiltered",
        "public.orders",
        Runs,
        "CREATE ROLE doc_owner; ALTER TABLE sales_order OWNER TO doc_owner; ALTER TABLE sales_order NO FORCE ROW LEVEL SECURITY;
         CREATE VIEW orders WITH (security_invoker = off) AS SELECT * FROM sales_order; ALTER VIEW orders OWNER TO doc_owner",
    ),
    fault(
        "application_role_owns",
        "doc_app",
        Runs,
        "CREATE ROLE doc_app; CREATE ROLE doc_owner; GRANT doc_owner TO doc_app; ALTER TABLE customer OWNER TO doc_owner;
         GRANT EXECUTE ON FUNCTION docperm.set_user(text, boolean) TO doc_app",
    ),
    fault(
        "application_role_owns",
        "doc_app",
        Decides,
        "CREATE ROLE doc_app; ALTER TABLE customer OWNER TO doc_app;
         GRANT EXECUTE ON FUNCTION docperm.set_user(text, boolean) TO doc_app",
    ),
    fault("bypassrls_role", "doc_app", Runs, "CREATE ROLE doc_app LOGIN BYPASSRLS"),
    fault(
        "bypassrls_role",
        "doc_strong",
        Runs,
        "CREATE ROLE doc_app LOGIN; CREATE ROLE doc_strong BYPASSRLS; GRANT doc_strong TO doc_app",
    ),
    fault(
        "definer_function",
        "public.peek(integer)",
        Runs,
        "CREATE FUNCTION peek(int) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM public.customer'",
    ),
    fault(
        "guessing_unbounded",
        "docperm.settings",
        Runs,
        "UPDATE docperm.settings SET allow_consecutive_login_attempts = 0",
    ),
    fault(
        "guessing_unbounded",
        "docperm.settings",
        Runs,
        "UPDATE docperm.settings SET allow_login_after_fail = '0 seconds'",
    ),
    fault(
        "if_owner_without_owner",
        "doctype 'Company'",
        Decides,
        "INSERT INTO docperm.role_permissions (doctype, role, if_owner, rights) VALUES ('Company', 'Sales User', true, '{write}')",
    ),
    fault(
        "if_owner_without_owner",
        "doctype 'Memo'",
        Runs,
        "CREATE TABLE memo (name text PRIMARY KEY, owner text); SELECT docperm.protect('memo', 'Memo', force => false);
         INSERT INTO docperm.role_permissions (doctype, role, if_owner, rights) VALUES ('Memo', 'Sales User', true, '{read}')",
    ),
    fault(
        "index_missing",
        "public.sales_order (company)",
        Runs,
        "INSERT INTO sales_order (name, company) SELECT n, 'A' FROM generate_series(1, 10001) n;
         CREATE INDEX ON sales_order (customer); CREATE INDEX ON sales_order (company) WHERE company = 'A'; ANALYZE sales_order",
    ),
    fault(
        "index_missing",
        "public.sales_order_item (sales_order)",
        Runs,
        "INSERT INTO sales_order VALUES ('S1'); INSERT INTO sales_order_item SELECT n, 'S1' FROM generate_series(1, 10001) n;
         ANALYZE sales_order_item",
    ),
    fault(
        "key_file_unusable",
        "docperm.secret_key_file",
        Decides,
        "UPDATE docperm.settings SET enable_two_factor_auth = true",
    ),
    fault(
        "levels_mixed",
        "constraint sound on public.sales_order",
        Decides,
        "ALTER TABLE sales_order ADD price int, ADD cost int, ADD CONSTRAINT sound CHECK (cost < price);
         SELECT docperm.set_field('Sales Order', 'cost', permlevel => 1)",
    ),
    fault(
        "levels_mixed",
        "column profit of public.sales_order",
        Decides,
        "ALTER TABLE sales_order ADD price int, ADD cost int, ADD profit int GENERATED ALWAYS AS (price - cost) STORED;
         SELECT docperm.set_field('Sales Order', 'cost', permlevel => 1)",
    ),
    fault(
        "levels_mixed",
        "index public.badge",
        Decides,
        "ALTER TABLE customer ADD desk int, ADD pin int; CREATE UNIQUE INDEX badge ON customer (desk, pin);
         SELECT docperm.set_field('Customer', 'pin', permlevel => 1)",
    ),
    fault(
        "levels_mixed",
        "index public.ratio",
        Decides,
        "ALTER TABLE ledger ADD price int, ADD cost int; CREATE INDEX ratio ON ledger ((price / cost));
         SELECT docperm.set_field('Ledger', 'cost', permlevel => 2)",
    ),
    fault(
        "link_unregistered",
        "public.customer (home)",
        Runs,
        "ALTER TABLE customer ADD COLUMN home text REFERENCES company",
    ),
    fault(
        "mapped_role_missing",
        "user 'bob@erp.test'",
        Runs,
        "UPDATE docperm.users SET db_role = 'doc_nobody' WHERE name = 'bob@erp.test'",
    ),
    fault(
        "materialized_view",
        "public.frozen",
        Runs,
        "CREATE VIEW orders WITH (security_invoker = true) AS SELECT * FROM sales_order;
         CREATE MATERIALIZED VIEW frozen AS SELECT count(*) AS n FROM orders; GRANT SELECT ON frozen TO PUBLIC",
    ),
    fault(
        "materialized_view",
        "public.frozen",
        Runs,
        "CREATE ROLE doc_app; CREATE MATERIALIZED VIEW frozen AS SELECT name FROM sales_order; GRANT SELECT (name) ON frozen TO doc_app",
    ),
    fault(
        "orphaned_rows",
        "public.note",
        Runs,
        "CREATE TABLE note (id int PRIMARY KEY, customer text); INSERT INTO note VALUES (1, 'gone'), (2, NULL);
         SELECT docperm.protect('note', 'Note', parent_doctype => 'Customer', parent_column => 'customer')",
    ),
    fault(
        "orphaned_rows",
        "public.remark",
        Decides,
        "CREATE TABLE remark (id int PRIMARY KEY, kind text, parent text);
         INSERT INTO remark VALUES (1, 'Customer', 'gone'), (2, 'Company', 'A'), (3, 'Nothing', 'x');
         SELECT docperm.protect('remark', 'Remark', parent_column => 'parent', parenttype_column => 'kind')",
    ),
    fault(
        "owner_bypasses",
        "public.customer",
        Runs,
        "CREATE ROLE doc_owner; ALTER TABLE customer OWNER TO doc_owner; ALTER TABLE customer NO FORCE ROW LEVEL SECURITY",
    ),
    fault(
        "password_hash_cheap",
        "docperm.settings",
        Runs,
        "UPDATE docperm.settings SET argon2_memory_kib = 12288, argon2_iterations = 2",
    ),
    fault(
        "password_policy_weak",
        "docperm.settings",
        Runs,
        "UPDATE docperm.settings SET enable_password_policy = false",
    ),
    fault(
        "password_policy_weak",
        "docperm.settings",
        Runs,
        "UPDATE docperm.settings SET minimum_password_score = 1",
    ),
    fault(
        "password_reset_weak",
        "docperm.settings",
        Runs,
        "UPDATE docperm.settings SET reset_password_link_expiry = '2 days', password_reset_limit = 0, logout_on_password_reset = false",
    ),
    fault(
        "references_granted",
        "public.customer",
        Runs,
        "CREATE ROLE doc_app; GRANT REFERENCES (name) ON customer TO doc_app",
    ),
    fault(
        "role_disabled",
        "role 'Sales User'",
        Decides,
        "UPDATE docperm.roles SET disabled = true WHERE name = 'Sales User'",
    ),
    fault(
        "rule_of_child_table",
        "doctype 'Sales Order Item'",
        Runs,
        "INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('Sales Order Item', 'Sales User', '{read}')",
    ),
    fault(
        "rule_unfiltered",
        "peek on public.inbox",
        Runs,
        "CREATE TABLE inbox (x text); CREATE RULE peek AS ON INSERT TO inbox DO ALSO SELECT * FROM customer",
    ),
    fault(
        "server_files_role",
        "doc_app",
        Runs,
        "CREATE ROLE doc_app LOGIN; GRANT pg_read_server_files TO doc_app",
    ),
    fault(
        "session_unending",
        "docperm.settings",
        Runs,
        "UPDATE docperm.settings SET session_absolute_timeout = NULL",
    ),
    fault(
        "statements_logged",
        "log_statement",
        Runs,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET log_statement = ''all''', current_database()); END $$",
    ),
    fault(
        "statements_logged",
        "log_min_duration_statement",
        Runs,
        "DO $$ BEGIN EXECUTE format('ALTER ROLE postgres IN DATABASE %I SET log_min_duration_statement = 0', current_database()); END $$",
    ),
    fault("superuser_login", "doc_admin", Runs, "CREATE ROLE doc_admin LOGIN SUPERUSER"),
    fault("table_missing", "doctype 'Ledger'", Decides, "DROP TABLE ledger"),
    fault(
        "table_missing",
        "doctype 'Ledger'",
        Decides,
        "ALTER EVENT TRIGGER docperm_table_dropped DISABLE; DROP TABLE ledger;
         ALTER EVENT TRIGGER docperm_table_dropped ENABLE ALWAYS",
    ),
    fault(
        "table_unprotected",
        "public.customer_log",
        Runs,
        "CREATE TABLE customer_log (id int PRIMARY KEY, customer text REFERENCES customer)",
    ),
    fault(
        "table_unprotected",
        "public.customer_log",
        Decides,
        "CREATE TABLE customer_log (customer text REFERENCES customer, at timestamptz)",
    ),
    fault(
        "too_many_administrators",
        "role 'System Manager'",
        Decides,
        "INSERT INTO docperm.users (name) SELECT format('sm%s@erp.test', n) FROM generate_series(1, 4) n;
         INSERT INTO docperm.user_roles SELECT name, 'System Manager' FROM docperm.users WHERE name LIKE 'sm%'",
    ),
    fault("trigger_granted", "public.customer", Runs, "GRANT TRIGGER ON customer TO PUBLIC"),
    fault(
        "truncate_granted",
        "public.customer",
        Runs,
        "CREATE ROLE doc_app; CREATE ROLE doc_other; GRANT TRUNCATE ON customer TO doc_app WITH GRANT OPTION;
         SET ROLE doc_app; GRANT TRUNCATE ON customer TO doc_other; RESET ROLE; REVOKE USAGE ON SCHEMA public FROM doc_other",
    ),
    fault(
        "user_permission_idle",
        "user 'bob@erp.test'",
        Runs,
        "INSERT INTO docperm.user_permissions (user_name, allow, for_value, applicable_for) VALUES ('bob@erp.test', 'Customer', 'x', 'Company')",
    ),
    fault(
        "user_permission_unknown_document",
        "user 'ann@erp.test'",
        Runs,
        "INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('ann@erp.test', 'Company', 'gone')",
    ),
    fault(
        "user_permission_unknown_document",
        "user 'bob@erp.test'",
        Decides,
        "INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('bob@erp.test', 'Company', 'gone')",
    ),
    fault(
        "administrator_without_two_factor",
        "role 'System Manager'",
        Runs,
        "INSERT INTO docperm.users (name) VALUES ('sue@erp.test');
         INSERT INTO docperm.user_roles VALUES ('sue@erp.test', 'System Manager');
         INSERT INTO docperm.passwords (user_name, password_hash) VALUES ('sue@erp.test', docperm._hash_password('Tr0ub4dor&3', 64, 1, 1))",
    ),
    fault(
        "api_key_of_administrator",
        "API key k1",
        Runs,
        "INSERT INTO docperm.api_keys (api_key, user_name, secret_hash) VALUES ('k1', 'Administrator', repeat('0', 64))",
    ),
    fault(
        "child_unbound",
        "public.note",
        Runs,
        "CREATE TABLE note (id int PRIMARY KEY, customer text);
         SELECT docperm.protect('note', 'Note', parent_doctype => 'Customer', parent_column => 'customer')",
    ),
    fault(
        "child_unbound",
        "public.remark",
        Decides,
        "CREATE TABLE remark (id int PRIMARY KEY, kind text, parent text);
         SELECT docperm.protect('remark', 'Remark', parent_column => 'parent', parenttype_column => 'kind')",
    ),
    fault(
        "doctype_without_rules",
        "doctype 'Memo'",
        Decides,
        "CREATE TABLE memo (name text PRIMARY KEY); SELECT docperm.protect('memo', 'Memo')",
    ),
    fault(
        "filter_not_leakproof",
        "public.sales_order_tags_idx",
        Decides,
        "CREATE INDEX ON sales_order USING gin (tags)",
    ),
    fault(
        "password_hash_old",
        "docperm.passwords",
        Decides,
        "INSERT INTO docperm.passwords (user_name, password_hash) VALUES ('ann@erp.test',
             '$pbkdf2-sha256$29000$TElMSkMYY.zdm1NKCYEQQg$jjHvvPZPFYyDpSNWN6MvCqCIe8LO/XScS1Qv0E9HoWM')",
    ),
    fault("publication", "publication outwards", Runs, "CREATE PUBLICATION outwards FOR TABLE customer, ledger"),
    fault("publication", "publication outwards", Decides, "CREATE PUBLICATION outwards FOR ALL TABLES"),
    fault("replication_role", "doc_standby", Runs, "CREATE ROLE doc_standby LOGIN REPLICATION"),
    fault(
        "role_without_holders",
        "role 'Auditor'",
        Decides,
        "INSERT INTO docperm.roles (name) VALUES ('Auditor');
         INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('Company', 'Auditor', '{read}')",
    ),
    fault("rule_replaced", "doctype 'Company'", Decides, "SELECT docperm.customize('Company')"),
    fault(
        "slow_statements_logged",
        "log_min_duration_statement",
        Runs,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET log_min_duration_statement = ''1s''', current_database()); END $$",
    ),
    fault(
        "user_cannot_log_in",
        "user 'bob@erp.test'",
        Runs,
        "UPDATE docperm.users SET login_after = 9, login_before = 9 WHERE name = 'bob@erp.test'",
    ),
    fault(
        "user_cannot_log_in",
        "user 'bob@erp.test'",
        Decides,
        "REVOKE EXECUTE ON FUNCTION docperm.set_user(text, boolean) FROM company_app;
         INSERT INTO docperm.api_keys (api_key, user_name, secret_hash) VALUES ('k1', 'ann@erp.test', repeat('0', 64))",
    ),
    fault(
        "user_cannot_log_in",
        "user 'ann@erp.test'",
        Decides,
        "UPDATE docperm.settings SET enable_two_factor_auth = true; UPDATE docperm.roles SET two_factor_auth = true WHERE name = 'Sales User';
         INSERT INTO docperm.passwords (user_name, password_hash) VALUES ('ann@erp.test', docperm._hash_password('Tr0ub4dor&3', 64, 1, 1))",
    ),
    fault(
        "user_without_roles",
        "user 'new@erp.test'",
        Decides,
        "INSERT INTO docperm.users (name) VALUES ('new@erp.test')",
    ),
    fault(
        "view_of_owner",
        "public.orders",
        Runs,
        "CREATE ROLE doc_owner; GRANT SELECT ON sales_order TO doc_owner; CREATE VIEW orders AS SELECT * FROM sales_order;
         ALTER VIEW orders OWNER TO doc_owner",
    ),
];
