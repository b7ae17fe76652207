-- Custom rules: a site's own, which replace the standard rules of a doctype.

CREATE FUNCTION docperm.customize(doctype text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM docperm._require_administration('change the rules of a doctype');
    -- Of two that customize at the same time, the second finds what the first has made.
    PERFORM FROM docperm.doctypes AS d WHERE d.name = customize.doctype FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM docperm._require_doctype(doctype);
    END IF;

    INSERT INTO docperm.role_permissions AS p (doctype, role, permlevel, if_owner, custom, rights)
    SELECT s.doctype, s.role, s.permlevel, s.if_owner, true, s.rights
      FROM docperm.role_permissions AS s
     WHERE s.doctype = customize.doctype
       AND NOT s.custom
       AND NOT EXISTS (SELECT FROM docperm.role_permissions AS c WHERE c.doctype = customize.doctype AND c.custom);
END
$$;

COMMENT ON FUNCTION docperm.customize(text) IS
    'Copies the standard rules of a doctype to custom ones, which count in their place from then on and are there to be changed. Does nothing where there are custom rules. For administrators. Errors: 42501 not an administrator, 42704 unknown doctype';


-- The check of the rules knows this function by name, and lets it delete the last one.
CREATE FUNCTION docperm.reset(doctype text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM docperm._require_administration('change the rules of a doctype');
    PERFORM FROM docperm.doctypes AS d WHERE d.name = reset.doctype FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM docperm._require_doctype(doctype);
    END IF;

    DELETE FROM docperm.role_permissions AS p WHERE p.doctype = reset.doctype AND p.custom;
END
$$;

COMMENT ON FUNCTION docperm.reset(text) IS
    'Deletes the custom rules of a doctype: its standard rules count again. For administrators. Errors: 42501 not an administrator, 42704 unknown doctype';
