-- Settings: one row, changed with UPDATE docperm.settings SET ...

CREATE TABLE docperm.settings (
    only_row                 boolean NOT NULL DEFAULT true,
    strict_user_permissions  text    NOT NULL DEFAULT 'off',
    check_child_links        boolean NOT NULL DEFAULT true,
    disable_document_sharing boolean NOT NULL DEFAULT false,
    refuse_orphans           boolean NOT NULL DEFAULT true,

    CONSTRAINT settings_pkey                          PRIMARY KEY (only_row),
    CONSTRAINT settings_only_row_check                CHECK (only_row),
    CONSTRAINT settings_strict_user_permissions_check CHECK (strict_user_permissions IN ('off', 'blank_links', 'deny_by_default'))
);

COMMENT ON TABLE  docperm.settings          IS 'Settings of docperm in this database: always one row';
COMMENT ON COLUMN docperm.settings.only_row IS 'Always true: keeps the table at one row';
COMMENT ON COLUMN docperm.settings.strict_user_permissions IS
    'off: a blank link restricts nobody. blank_links: it fails for users with entries for its target. deny_by_default: links to doctypes for which the user has no entry fail as well';
COMMENT ON COLUMN docperm.settings.check_child_links IS
    'Links in the rows of its child tables restrict a document as its own links do';
COMMENT ON COLUMN docperm.settings.disable_document_sharing IS
    'Nobody but the Administrator has the right share. What is shared already stays shared';
COMMENT ON COLUMN docperm.settings.refuse_orphans IS
    'No document gets a name under which rows of a child table wait that another document of that name left behind';

INSERT INTO docperm.settings DEFAULT VALUES;


-- There are never two rows. The row of a dump that is being restored takes the place of
-- the one that is there; any other INSERT ends at the key.
CREATE FUNCTION docperm._keep_one_settings_row() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = 'the row of docperm.settings cannot be deleted',
            HINT    = 'Change it with UPDATE.';
    END IF;

    IF docperm._restoring() THEN
        UPDATE docperm.settings AS s
           SET strict_user_permissions  = NEW.strict_user_permissions,
               check_child_links        = NEW.check_child_links,
               disable_document_sharing = NEW.disable_document_sharing,
               refuse_orphans           = NEW.refuse_orphans;
        IF FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._keep_one_settings_row() IS 'Internal: trigger that keeps docperm.settings at exactly one row';

CREATE TRIGGER keep_one_row
    BEFORE INSERT OR DELETE ON docperm.settings
    FOR EACH ROW EXECUTE FUNCTION docperm._keep_one_settings_row();

CREATE TRIGGER guard_truncate
    BEFORE TRUNCATE ON docperm.settings
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._refuse_truncate();

SELECT pg_catalog.pg_extension_config_dump('docperm.settings', '');
