-- Rights: what a rule can grant. The standard ones come with docperm; an administrator
-- adds his own with INSERT INTO docperm.rights (name) VALUES ('approve').

CREATE TABLE docperm.rights (
    name     text    NOT NULL,
    standard boolean NOT NULL DEFAULT false,

    CONSTRAINT rights_pkey       PRIMARY KEY (name),
    CONSTRAINT rights_name_check CHECK (name ~ '^[a-z][a-z0-9_]*$')
);

COMMENT ON TABLE  docperm.rights          IS 'Rights that rules can grant: the standard ones and those registered here';
COMMENT ON COLUMN docperm.rights.name     IS 'The right, as written in docperm.role_permissions.rights: lower case letters, digits, underscore';
COMMENT ON COLUMN docperm.rights.standard IS 'Comes with docperm; can be neither changed nor removed. False for every right that is added';

INSERT INTO docperm.rights (name, standard) VALUES
    ('select', true),
    ('read',   true),
    ('write',  true),
    ('create', true),
    ('delete', true),
    ('submit', true),
    ('cancel', true),
    ('amend',  true),
    ('report', true),
    ('export', true),
    ('import', true),
    ('share',  true),
    ('print',  true),
    ('email',  true),
    ('set_user_permissions', true);


CREATE FUNCTION docperm._guard_right() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.standard := false;
        RETURN NEW;
    END IF;

    IF OLD.standard THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('right "%s" is standard and can be neither changed nor removed', OLD.name),
            HINT    = 'Register a right of your own beside it.';
    END IF;

    -- Rules and shares name their rights in an array, which no foreign key can watch.
    IF TG_OP = 'DELETE' OR NEW.name <> OLD.name THEN
        IF EXISTS (SELECT FROM docperm.role_permissions AS p WHERE OLD.name = ANY (p.rights)) THEN
            RAISE EXCEPTION USING
                ERRCODE = '22023',
                MESSAGE = format('right "%s" is granted by rules', OLD.name),
                HINT    = 'Take it out of docperm.role_permissions first.';
        END IF;
        IF EXISTS (SELECT FROM docperm.shares AS s WHERE OLD.name = ANY (s.rights)) THEN
            RAISE EXCEPTION USING
                ERRCODE = '22023',
                MESSAGE = format('right "%s" is given by shares', OLD.name),
                HINT    = 'Take it out of docperm.shares first.';
        END IF;
    END IF;

    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    NEW.standard := false;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._guard_right() IS 'Internal: trigger that keeps the standard rights, and rights in use';

CREATE TRIGGER guard
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.rights
    FOR EACH ROW EXECUTE FUNCTION docperm._guard_right();

CREATE TRIGGER guard_truncate
    BEFORE TRUNCATE ON docperm.rights
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._refuse_truncate();

-- The standard rights come with CREATE EXTENSION.
SELECT pg_catalog.pg_extension_config_dump('docperm.rights', 'WHERE NOT standard');
