-- Privileges. PostgreSQL lets everybody execute new functions; here nobody may do
-- anything with docperm's tables and administering functions but who is given leave.

REVOKE ALL ON ALL TABLES    IN SCHEMA docperm FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA docperm FROM PUBLIC;

REVOKE ALL ON FUNCTION
    docperm.protect(regclass, text, name, name, name, name, text, boolean, boolean),
    docperm.unprotect(regclass),
    docperm.set_field(text, name, text, boolean)
FROM PUBLIC;

-- Internal functions. They run inside docperm's triggers and functions, which need no
-- leave of the caller's.
REVOKE ALL ON FUNCTION
    docperm._ancestors(oid),
    docperm._base_type(oid),
    docperm._canonical_name(text, text),
    docperm._check_doctype(),
    docperm._check_doctype_field(),
    docperm._check_role_permission(),
    docperm._check_user_permission(),
    docperm._check_user_role(),
    docperm._cover_partitions(text, regclass, boolean, boolean),
    docperm._descendants(regclass),
    docperm._discover_links(text),
    docperm._dress(regclass, text, boolean, boolean),
    docperm._guard_right(),
    docperm._guard_role(),
    docperm._guard_user(),
    docperm._is_standard_role(text),
    docperm._keep_one_settings_row(),
    docperm._on_table_changed(),
    docperm._on_table_dropped(),
    docperm._primary_key_column(regclass),
    docperm._redress(),
    docperm._refresh_user_type(),
    docperm._refuse_truncate(),
    docperm._require_column(regclass, name),
    docperm._require_column_kind(regclass, name, text, text),
    docperm._require_coverable(regclass, text),
    docperm._require_doctype(text),
    docperm._require_key(regclass, name),
    docperm._require_protectable(regclass),
    docperm._require_role(text),
    docperm._require_user(text),
    docperm._reset_user_types(),
    docperm._restoring(),
    docperm._undress(regclass),
    docperm._undress_tree(regclass),
    docperm._user_name(text),
    docperm._user_type(text)
FROM PUBLIC;
