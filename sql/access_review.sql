-- Recertification of what users may do, and duties that one person must not hold together.

-- Separation of duties ------------------------------------------------------------------

CREATE TABLE docperm.separation_of_duties (
    role_a text NOT NULL,
    role_b text NOT NULL,
    mode   text NOT NULL DEFAULT 'refuse',
    reason text,

    CONSTRAINT separation_of_duties_pkey        PRIMARY KEY (role_a, role_b),
    CONSTRAINT separation_of_duties_role_a_fkey FOREIGN KEY (role_a) REFERENCES docperm.roles (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT separation_of_duties_role_b_fkey FOREIGN KEY (role_b) REFERENCES docperm.roles (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT separation_of_duties_roles_check CHECK (role_a <> role_b),
    CONSTRAINT separation_of_duties_mode_check  CHECK (mode IN ('warn', 'refuse'))
);

CREATE UNIQUE INDEX separation_of_duties_pair_key
    ON docperm.separation_of_duties (least(role_a, role_b), greatest(role_a, role_b));

CREATE INDEX separation_of_duties_role_b_idx ON docperm.separation_of_duties (role_b);

COMMENT ON TABLE  docperm.separation_of_duties        IS 'Roles that one user must not hold together, such as who enters invoices and who approves them';
COMMENT ON COLUMN docperm.separation_of_duties.role_a IS 'A role';
COMMENT ON COLUMN docperm.separation_of_duties.role_b IS 'The role that must not be held with it';
COMMENT ON COLUMN docperm.separation_of_duties.mode   IS 'refuse: nobody gets both, from now on. warn: who has both is in docperm.separation_of_duties_violations()';
COMMENT ON COLUMN docperm.separation_of_duties.reason IS 'Why';
COMMENT ON INDEX  docperm.separation_of_duties_pair_key   IS 'One rule for two roles, whichever is named first';
COMMENT ON INDEX  docperm.separation_of_duties_role_b_idx IS 'Rules that name a role second';


CREATE FUNCTION docperm._check_separation() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM docperm._require_role(NEW.role_a);
    PERFORM docperm._require_role(NEW.role_b);
    IF '{Administrator,All,Guest,Desk User}' && ARRAY[NEW.role_a, NEW.role_b] AND NOT docperm._restoring() THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('roles "%s" and "%s" cannot be kept apart', NEW.role_a, NEW.role_b),
            DETAIL  = 'Administrator, All, Guest and Desk User follow from who a user is.',
            HINT    = 'Name roles that are given to users.';
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._check_separation() IS 'Internal: trigger that refuses unknown and automatic roles';

CREATE TRIGGER check_names
    BEFORE INSERT OR UPDATE ON docperm.separation_of_duties
    FOR EACH ROW EXECUTE FUNCTION docperm._check_separation();

SELECT pg_catalog.pg_extension_config_dump('docperm.separation_of_duties', '');


CREATE FUNCTION docperm._conflicts(roles text[])
    RETURNS TABLE (role_a text, role_b text, mode text, reason text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.role_a, s.role_b, s.mode, s.reason
      FROM docperm.separation_of_duties AS s
      JOIN docperm.roles AS a ON a.name = s.role_a AND NOT a.disabled
      JOIN docperm.roles AS b ON b.name = s.role_b AND NOT b.disabled
     WHERE s.role_a = ANY (_conflicts.roles)
       AND s.role_b = ANY (_conflicts.roles);
END;

COMMENT ON FUNCTION docperm._conflicts(text[]) IS 'Internal: rules that the roles break together; roles that are disabled break none';


CREATE FUNCTION docperm._refuse_conflicts(holder text, kind text, roles text[], gained text[]) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    broken record;
BEGIN
    SELECT c.* INTO broken
      FROM docperm._conflicts(roles) AS c
     WHERE c.mode = 'refuse'
       AND (c.role_a = ANY (gained) OR c.role_b = ANY (gained))
     ORDER BY c.role_a, c.role_b
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = '23514',
            MESSAGE = format('%s "%s" may not hold the roles "%s" and "%s" together', kind, holder, broken.role_a, broken.role_b),
            DETAIL  = coalesce(broken.reason, 'docperm.separation_of_duties keeps them apart.'),
            HINT    = 'Take one of them away first, or change the rule in docperm.separation_of_duties.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._refuse_conflicts(text, text, text[], text[]) IS
    'Internal: an error (23514) if roles that were gained break a rule of separation, with others that are held';


-- Roles that come by role profiles come by docperm.user_roles as well. Who gives roles to one
-- user takes turns, at the user's row, so that each finds what the other gave.
--
-- A user, profile or role that gets another name gains nothing: its rows name what is gone.
CREATE FUNCTION docperm._separate_duties() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind    text   := CASE TG_TABLE_NAME WHEN 'role_profile_roles' THEN 'role profile' ELSE 'user' END;
    -- Who gained what, pair by pair.
    gainers text[];
    gained  text[];
    gainer  text;
BEGIN
    IF NOT EXISTS (SELECT FROM docperm.separation_of_duties AS s WHERE s.mode = 'refuse') OR docperm._restoring() THEN
        RETURN NULL;
    END IF;

    CASE TG_TABLE_NAME || ' ' || TG_OP
        WHEN 'user_roles INSERT' THEN
            SELECT array_agg(c.user_name), array_agg(c.role) INTO gainers, gained FROM came AS c;
        WHEN 'user_roles UPDATE' THEN
            SELECT array_agg(c.user_name), array_agg(c.role) INTO gainers, gained
              FROM came AS c
             WHERE NOT EXISTS (SELECT
                                 FROM gone AS g
                                WHERE (g.user_name = c.user_name AND g.role = c.role)
                                   OR (g.role = c.role AND NOT EXISTS (SELECT FROM docperm.users AS u WHERE u.name = g.user_name))
                                   OR (g.user_name = c.user_name AND NOT EXISTS (SELECT FROM docperm.roles AS r WHERE r.name = g.role)));
        WHEN 'role_profile_roles INSERT' THEN
            SELECT array_agg(c.role_profile), array_agg(c.role) INTO gainers, gained FROM came AS c;
        WHEN 'role_profile_roles UPDATE' THEN
            SELECT array_agg(c.role_profile), array_agg(c.role) INTO gainers, gained
              FROM came AS c
             WHERE NOT EXISTS (SELECT
                                 FROM gone AS g
                                WHERE (g.role_profile = c.role_profile AND g.role = c.role)
                                   OR (g.role = c.role AND NOT EXISTS (SELECT FROM docperm.role_profiles AS p WHERE p.name = g.role_profile))
                                   OR (g.role_profile = c.role_profile AND NOT EXISTS (SELECT FROM docperm.roles AS r WHERE r.name = g.role)));
        WHEN 'roles UPDATE' THEN
            SELECT array_agg(h.user_name), array_agg(h.role) INTO gainers, gained
              FROM came               AS c
              JOIN docperm.user_roles AS h ON h.role = c.name
             WHERE NOT c.disabled
               AND EXISTS (SELECT
                             FROM gone AS g
                            WHERE g.disabled
                              AND (g.name = c.name OR NOT EXISTS (SELECT FROM docperm.roles AS r WHERE r.name = g.name)));
        WHEN 'users UPDATE' THEN
            SELECT array_agg(h.user_name), array_agg(h.role) INTO gainers, gained
              FROM docperm.user_roles AS h
             WHERE h.user_name = NEW.name;
    END CASE;

    FOR gainer IN
        SELECT DISTINCT p.name
          FROM unnest(gainers, gained) AS p (name, role)
         WHERE EXISTS (SELECT FROM docperm.separation_of_duties AS s WHERE p.role IN (s.role_a, s.role_b))
           AND (kind = 'role profile' OR p.name NOT IN ('Administrator', 'Guest'))
         ORDER BY p.name
    LOOP
        IF kind = 'role profile' THEN
            PERFORM FROM docperm.role_profiles AS p WHERE p.name = gainer FOR NO KEY UPDATE;
        ELSE
            PERFORM FROM docperm.users AS u WHERE u.name = gainer FOR NO KEY UPDATE;
        END IF;
        PERFORM docperm._refuse_conflicts(
                    gainer, kind,
                    CASE kind
                        WHEN 'user' THEN ARRAY(SELECT h.role FROM docperm.user_roles         AS h WHERE h.user_name    = gainer)
                        ELSE             ARRAY(SELECT r.role FROM docperm.role_profile_roles AS r WHERE r.role_profile = gainer)
                    END,
                    ARRAY(SELECT p.role FROM unnest(gainers, gained) AS p (name, role) WHERE p.name = gainer));
    END LOOP;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._separate_duties() IS
    'Internal: trigger that refuses roles, role profiles, roles and users that are enabled, by which a user would hold roles together that docperm.separation_of_duties keeps apart';

CREATE TRIGGER separate_duties_inserted
    AFTER INSERT ON docperm.user_roles
    REFERENCING NEW TABLE AS came
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._separate_duties();

CREATE TRIGGER separate_duties_updated
    AFTER UPDATE ON docperm.user_roles
    REFERENCING OLD TABLE AS gone NEW TABLE AS came
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._separate_duties();

CREATE TRIGGER separate_duties_inserted
    AFTER INSERT ON docperm.role_profile_roles
    REFERENCING NEW TABLE AS came
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._separate_duties();

CREATE TRIGGER separate_duties_updated
    AFTER UPDATE ON docperm.role_profile_roles
    REFERENCING OLD TABLE AS gone NEW TABLE AS came
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._separate_duties();

CREATE TRIGGER separate_duties_updated
    AFTER UPDATE ON docperm.roles
    REFERENCING OLD TABLE AS gone NEW TABLE AS came
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._separate_duties();

CREATE TRIGGER separate_duties_enabled
    AFTER UPDATE ON docperm.users
    FOR EACH ROW WHEN (NEW.enabled AND NOT OLD.enabled)
    EXECUTE FUNCTION docperm._separate_duties();


CREATE FUNCTION docperm.separate_duties(role_a text, role_b text, mode text DEFAULT 'refuse', reason text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM docperm._require_administration('keep roles apart');
    IF mode IS NULL OR mode NOT IN ('warn', 'refuse') THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('"%s" is no mode of separation', mode),
            HINT    = 'The mode is warn or refuse.';
    END IF;
    IF role_a = role_b THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('role "%s" cannot be kept apart from itself', role_a),
            HINT    = 'Name two roles.';
    END IF;
    PERFORM docperm._require_role(coalesce(role_a, ''));
    PERFORM docperm._require_role(coalesce(role_b, ''));

    INSERT INTO docperm.separation_of_duties AS s (role_a, role_b, mode, reason)
    VALUES (least(separate_duties.role_a, separate_duties.role_b), greatest(separate_duties.role_a, separate_duties.role_b),
            separate_duties.mode, separate_duties.reason)
        ON CONFLICT (least(role_a, role_b), greatest(role_a, role_b)) DO UPDATE
       SET mode   = excluded.mode,
           reason = coalesce(excluded.reason, s.reason);
END
$$;

COMMENT ON FUNCTION docperm.separate_duties(text, text, text, text) IS
    'Keeps two roles apart, or changes how: with the mode refuse nobody gets both from now on, with warn who has both is reported. Who has both already keeps them, and is reported. For administrators. Errors: 42501 anybody else, 42704 unknown role, 22023 an automatic role or unknown mode';


CREATE FUNCTION docperm.separation_of_duties_violations(include_disabled boolean DEFAULT false)
    RETURNS TABLE (user_name text, full_name text, enabled boolean, role_a text, role_b text, mode text, reason text,
                   role_a_from text[], role_b_from text[], last_login timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM docperm._require_administration('see who holds roles that are kept apart');

    RETURN QUERY
    SELECT u.name, u.full_name, u.enabled, c.role_a, c.role_b, c.mode, c.reason,
           docperm._profiles_with(u.name, c.role_a), docperm._profiles_with(u.name, c.role_b), u.last_login
      FROM docperm.users AS u
     CROSS JOIN LATERAL docperm._conflicts(ARRAY(SELECT h.role FROM docperm.user_roles AS h WHERE h.user_name = u.name)) AS c
     WHERE u.name NOT IN ('Administrator', 'Guest')
       AND (u.enabled OR include_disabled)
     ORDER BY u.name, c.role_a, c.role_b;
END
$$;

COMMENT ON FUNCTION docperm.separation_of_duties_violations(boolean) IS
    'Users who hold roles together that docperm.separation_of_duties keeps apart, and from which role profiles they have them. Roles that are disabled do not count; the Administrator, who may do everything, is not in it. For administrators. Error: 42501 anybody else';


CREATE FUNCTION docperm._profiles_with(user_name text, role text) RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN ARRAY(SELECT p.role_profile
               FROM docperm.user_role_profiles AS p
               JOIN docperm.role_profile_roles AS r ON r.role_profile = p.role_profile
              WHERE p.user_name = _profiles_with.user_name
                AND r.role      = _profiles_with.role
              ORDER BY p.role_profile);

COMMENT ON FUNCTION docperm._profiles_with(text, text) IS 'Internal: the role profiles that a user has a role from; none where it was given to him by itself';


-- Access reviews ------------------------------------------------------------------------
--
-- A review holds what each user had when it began, and what a reviewer decided about it. No
-- foreign keys: the record outlasts users and roles.

CREATE TABLE docperm.access_reviews (
    id         bigint      NOT NULL GENERATED BY DEFAULT AS IDENTITY,
    title      text        NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_by text        NOT NULL,
    closed_at  timestamptz,
    closed_by  text,

    CONSTRAINT access_reviews_pkey         PRIMARY KEY (id),
    CONSTRAINT access_reviews_title_check  CHECK (title <> ''),
    CONSTRAINT access_reviews_closed_check CHECK ((closed_at IS NULL) = (closed_by IS NULL))
);

COMMENT ON TABLE  docperm.access_reviews            IS 'Reviews of what users may do (recertification). Written by docperm only';
COMMENT ON COLUMN docperm.access_reviews.id         IS 'Number of the review';
COMMENT ON COLUMN docperm.access_reviews.title      IS 'What it is called, such as 2026, first quarter';
COMMENT ON COLUMN docperm.access_reviews.started_at IS 'When it was begun: what users had then is reviewed';
COMMENT ON COLUMN docperm.access_reviews.started_by IS 'Who began it';
COMMENT ON COLUMN docperm.access_reviews.closed_at  IS 'When everything was decided';
COMMENT ON COLUMN docperm.access_reviews.closed_by  IS 'Who said so';


CREATE TABLE docperm.access_review_items (
    id               bigint  NOT NULL GENERATED BY DEFAULT AS IDENTITY,
    review           bigint  NOT NULL,
    user_name        text    NOT NULL,
    role             text    NOT NULL,
    role_profiles    text[]  NOT NULL,
    user_permissions bigint  NOT NULL,
    shares           bigint  NOT NULL,
    last_login       timestamptz,
    decision         text,
    reviewer         text,
    decided_at       timestamptz,
    note             text,
    applied_at       timestamptz,
    applied_by       text,

    CONSTRAINT access_review_items_pkey           PRIMARY KEY (id),
    CONSTRAINT access_review_items_decision_check CHECK (decision IN ('keep', 'revoke')),
    CONSTRAINT access_review_items_decided_check  CHECK ((decision IS NULL) = (reviewer IS NULL) AND (decision IS NULL) = (decided_at IS NULL)),
    CONSTRAINT access_review_items_applied_check  CHECK (applied_at IS NULL OR decision = 'revoke')
);

CREATE INDEX access_review_items_review_idx    ON docperm.access_review_items (review, user_name, role);
CREATE INDEX access_review_items_user_name_idx ON docperm.access_review_items (user_name, role);

COMMENT ON TABLE  docperm.access_review_items                  IS 'What is reviewed: each role of each user, as it was when the review began. Written by docperm only; a decision is never changed';
COMMENT ON COLUMN docperm.access_review_items.id               IS 'Number of the item';
COMMENT ON COLUMN docperm.access_review_items.review           IS 'The review it belongs to';
COMMENT ON COLUMN docperm.access_review_items.user_name        IS 'The user';
COMMENT ON COLUMN docperm.access_review_items.role             IS 'A role that he held';
COMMENT ON COLUMN docperm.access_review_items.role_profiles    IS 'The role profiles that he had it from; none: it was given to him by itself';
COMMENT ON COLUMN docperm.access_review_items.user_permissions IS 'How many user permissions restricted him; 0: nothing did';
COMMENT ON COLUMN docperm.access_review_items.shares           IS 'How many documents were shared with him';
COMMENT ON COLUMN docperm.access_review_items.last_login       IS 'When he had last logged in';
COMMENT ON COLUMN docperm.access_review_items.decision         IS 'keep or revoke; NULL: not decided yet';
COMMENT ON COLUMN docperm.access_review_items.reviewer         IS 'Who decided; never the user himself';
COMMENT ON COLUMN docperm.access_review_items.decided_at       IS 'When';
COMMENT ON COLUMN docperm.access_review_items.note             IS 'What the reviewer had to say';
COMMENT ON COLUMN docperm.access_review_items.applied_at       IS 'When docperm.apply_access_review() took the role away';
COMMENT ON COLUMN docperm.access_review_items.applied_by       IS 'Who called it';
COMMENT ON INDEX  docperm.access_review_items_review_idx       IS 'What a review is about';
COMMENT ON INDEX  docperm.access_review_items_user_name_idx    IS 'When a role of a user was last reviewed';

SELECT pg_catalog.pg_extension_config_dump('docperm.access_reviews', '');
SELECT pg_catalog.pg_extension_config_dump('docperm.access_reviews_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('docperm.access_review_items', '');
SELECT pg_catalog.pg_extension_config_dump('docperm.access_review_items_id_seq', '');


-- As with the permission log: rows come and change by the functions below, and that is all.
CREATE FUNCTION docperm._keep_access_review() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stack text;
BEGIN
    GET DIAGNOSTICS stack = PG_CONTEXT;
    IF (SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user)
       AND (TG_OP = 'INSERT' AND (strpos(stack, 'function docperm.start_access_review(') > 0 OR docperm._restoring())
            OR TG_OP = 'UPDATE' AND stack ~ 'function docperm\.(decide_access|close_access_review|apply_access_review|_rename_in_reviews)\(') THEN
        RETURN NULL;
    END IF;

    RAISE EXCEPTION USING
        ERRCODE = '42501',
        MESSAGE = format('%s of docperm.%I is refused', TG_OP, TG_TABLE_NAME),
        DETAIL  = 'What was decided in a review is kept as it was decided.',
        HINT    = 'docperm.start_access_review() begins another.';
END
$$;

COMMENT ON FUNCTION docperm._keep_access_review() IS
    'Internal: trigger that refuses (42501) whatever would change an access review behind its functions';

CREATE TRIGGER keep_review
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON docperm.access_reviews
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._keep_access_review();

CREATE TRIGGER keep_review
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON docperm.access_review_items
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._keep_access_review();

ALTER TABLE docperm.access_reviews      ENABLE ALWAYS TRIGGER keep_review;
ALTER TABLE docperm.access_review_items ENABLE ALWAYS TRIGGER keep_review;


-- What was decided about a user or a role stays with it under another name. Nor does anybody
-- become somebody else, whose access he may review, by another name.
CREATE FUNCTION docperm._rename_in_reviews() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_TABLE_NAME = 'users' THEN
        UPDATE docperm.access_review_items AS i SET user_name = NEW.name WHERE i.user_name = OLD.name;
    ELSE
        UPDATE docperm.access_review_items AS i SET role = NEW.name WHERE i.role = OLD.name;
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._rename_in_reviews() IS 'Internal: trigger that lets access reviews follow a user or role that gets another name';

CREATE TRIGGER rename_in_reviews
    AFTER UPDATE OF name ON docperm.users
    FOR EACH ROW WHEN (OLD.name <> NEW.name)
    EXECUTE FUNCTION docperm._rename_in_reviews();

CREATE TRIGGER rename_in_reviews
    AFTER UPDATE OF name ON docperm.roles
    FOR EACH ROW WHEN (OLD.name <> NEW.name)
    EXECUTE FUNCTION docperm._rename_in_reviews();


CREATE FUNCTION docperm._require_review(review bigint, open boolean) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    closed_at timestamptz;
BEGIN
    IF open THEN
        -- It is not closed meanwhile.
        PERFORM FROM docperm.access_reviews AS r WHERE r.id = review FOR SHARE;
    END IF;
    SELECT r.closed_at INTO closed_at FROM docperm.access_reviews AS r WHERE r.id = review;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = '42704',
            MESSAGE = format('there is no access review %s', review),
            HINT    = 'Reviews are the rows of docperm.access_reviews; docperm.start_access_review() begins one.';
    END IF;
    IF open AND closed_at IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('access review %s is closed', review),
            HINT    = 'docperm.start_access_review() begins another.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_review(bigint, boolean) IS
    'Internal: an error unless there is the review (42704) and, if that is asked, it is open (22023)';


CREATE FUNCTION docperm.start_access_review(
    title     text,
    role      text DEFAULT NULL,
    user_name text DEFAULT NULL,
    user_type text DEFAULT NULL
) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    whose   text := docperm._user_name(start_access_review.user_name);
    started bigint;
BEGIN
    PERFORM docperm._require_administration('review the access of others');
    IF coalesce(btrim(start_access_review.title), '') = '' THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = 'the access review has no title',
            HINT    = 'Say what is reviewed, such as ''2026, first quarter''.';
    END IF;
    IF start_access_review.role IS NOT NULL THEN
        PERFORM docperm._require_role(start_access_review.role);
    END IF;
    IF whose IS NOT NULL THEN
        PERFORM docperm._require_user(whose);
    END IF;

    INSERT INTO docperm.access_reviews AS r (title, started_by)
    VALUES (btrim(start_access_review.title), docperm._actor())
    RETURNING r.id INTO started;

    INSERT INTO docperm.access_review_items (review, user_name, role, role_profiles, user_permissions, shares, last_login)
    SELECT started, u.name, h.role, docperm._profiles_with(u.name, h.role),
           (SELECT count(*) FROM docperm.user_permissions AS p WHERE p.user_name = u.name),
           (SELECT count(*) FROM docperm.shares           AS s WHERE s.user_name = u.name),
           u.last_login
      FROM docperm.users      AS u
      JOIN docperm.user_roles AS h ON h.user_name = u.name
     WHERE u.enabled
       AND u.name NOT IN ('Administrator', 'Guest')
       AND h.role NOT IN ('Administrator', 'All', 'Guest', 'Desk User')
       AND (start_access_review.role      IS NULL OR h.role      = start_access_review.role)
       AND (whose                         IS NULL OR u.name      = whose)
       AND (start_access_review.user_type IS NULL OR u.user_type = start_access_review.user_type)
     ORDER BY u.name, h.role;
    RETURN started;
END
$$;

COMMENT ON FUNCTION docperm.start_access_review(text, text, text, text) IS
    'Begins a review of the roles that users who are enabled hold now, of all or of those with a role, of one user, or of a type of users, and returns its number. For administrators. Errors: 42501 anybody else, 22023 no title, 42704 unknown role or user';


CREATE FUNCTION docperm.access_review(review bigint)
    RETURNS TABLE (item bigint, user_name text, full_name text, role text, role_profiles text[], user_permissions bigint,
                   shares bigint, last_login timestamptz, conflicts text[], still_held boolean, decision text, reviewer text,
                   decided_at timestamptz, note text, applied_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM docperm._require_administration('review the access of others');
    PERFORM docperm._require_review(access_review.review, false);

    RETURN QUERY
    SELECT i.id, i.user_name, u.full_name, i.role, i.role_profiles, i.user_permissions, i.shares, i.last_login,
           ARRAY(SELECT CASE i.role WHEN c.role_a THEN c.role_b ELSE c.role_a END
                   FROM docperm._conflicts(ARRAY(SELECT o.role
                                                   FROM docperm.access_review_items AS o
                                                  WHERE o.review = i.review AND o.user_name = i.user_name)) AS c
                  WHERE i.role IN (c.role_a, c.role_b)
                  ORDER BY 1),
           EXISTS (SELECT FROM docperm.user_roles AS h WHERE h.user_name = i.user_name AND h.role = i.role),
           i.decision, i.reviewer, i.decided_at, i.note, i.applied_at
      FROM docperm.access_review_items AS i
      LEFT JOIN docperm.users AS u ON u.name = i.user_name
     WHERE i.review = access_review.review
     ORDER BY i.user_name, i.role;
END
$$;

COMMENT ON FUNCTION docperm.access_review(bigint) IS
    'What a review is about, and what was decided: each role of each user, from which role profiles, how many user permissions restricted him, when he had last logged in, and which of his roles docperm.separation_of_duties keeps apart from it. For administrators. Errors: 42501 anybody else, 42704 no such review';


CREATE FUNCTION docperm.decide_access(
    review    bigint,
    user_name text,
    decision  text,
    role      text DEFAULT NULL,
    note      text DEFAULT NULL
) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    whose   text := docperm._user_name(decide_access.user_name);
    decided bigint;
BEGIN
    PERFORM docperm._require_administration('review the access of others');
    PERFORM docperm._require_review(decide_access.review, true);
    IF decide_access.decision IS NULL OR decide_access.decision NOT IN ('keep', 'revoke') THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('"%s" is no decision', decide_access.decision),
            HINT    = 'Decide keep or revoke.';
    END IF;
    -- Neither in his own name nor in that of another.
    IF whose IN (docperm.whoami(), docperm._actor()) THEN
        RAISE EXCEPTION USING
            ERRCODE = '42501',
            MESSAGE = format('user "%s" may not review his own access', whose),
            DETAIL  = 'Nobody certifies himself.',
            HINT    = 'Ask another administrator.';
    END IF;

    UPDATE docperm.access_review_items AS i
       SET decision   = decide_access.decision,
           reviewer   = docperm._actor(),
           decided_at = clock_timestamp(),
           note       = decide_access.note
     WHERE i.review    = decide_access.review
       AND i.user_name = whose
       AND i.decision IS NULL
       AND (decide_access.role IS NULL OR i.role = decide_access.role);
    GET DIAGNOSTICS decided = ROW_COUNT;

    IF decided = 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('nothing of user "%s" is left to decide in access review %s', whose, decide_access.review),
            DETAIL  = 'It is not in the review, or was decided before, and a decision is never changed.',
            HINT    = 'docperm.access_review() shows what is.';
    END IF;
    RETURN decided;
END
$$;

COMMENT ON FUNCTION docperm.decide_access(bigint, text, text, text, text) IS
    'Decides, for good, whether a user keeps a role, or all that are not decided yet: keep or revoke. The reviewer is who acts, in truth; nobody reviews his own access. Returns how many roles it was. For administrators. Errors: 42501 anybody else, or one''s own access, 42704 no such review, 22023 nothing to decide';


CREATE FUNCTION docperm.apply_access_review(review bigint)
    RETURNS TABLE (user_name text, role text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 10
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    item record;
BEGIN
    PERFORM docperm._require_administration('apply an access review');
    PERFORM docperm._require_review(apply_access_review.review, false);

    FOR item IN
        SELECT i.id, i.user_name, i.role
          FROM docperm.access_review_items AS i
         WHERE i.review   = apply_access_review.review
           AND i.decision = 'revoke'
           AND i.applied_at IS NULL
         ORDER BY i.user_name, i.role
           FOR UPDATE
    LOOP
        -- Roles of who has role profiles follow from these. Without them he keeps all the other
        -- roles, and has them by themselves.
        IF docperm._profiles_with(item.user_name, item.role) <> '{}' THEN
            DELETE FROM docperm.user_role_profiles AS p WHERE p.user_name = item.user_name;
        END IF;
        DELETE FROM docperm.user_roles AS h WHERE h.user_name = item.user_name AND h.role = item.role;
        IF FOUND THEN
            user_name := item.user_name;
            role      := item.role;
            RETURN NEXT;
        END IF;

        UPDATE docperm.access_review_items AS i
           SET applied_at = clock_timestamp(),
               applied_by = docperm._actor()
         WHERE i.id = item.id;
    END LOOP;
END
$$;

COMMENT ON FUNCTION docperm.apply_access_review(bigint) IS
    'Takes away the roles that a review decided to revoke and that were not taken away before, and returns them. Who has such a role from a role profile loses his profiles and keeps all other roles, each by itself. For administrators. Errors: 42501 anybody else, 42704 no such review';


CREATE FUNCTION docperm.close_access_review(review bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    undecided bigint;
BEGIN
    PERFORM docperm._require_administration('close an access review');
    PERFORM docperm._require_review(review, true);

    SELECT count(*) INTO undecided
      FROM docperm.access_review_items AS i
     WHERE i.review = close_access_review.review
       AND i.decision IS NULL;
    IF undecided > 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('access review %s is not finished: %s roles are not decided', review, undecided),
            HINT    = 'docperm.access_review() shows them, docperm.decide_access() decides.';
    END IF;

    UPDATE docperm.access_reviews AS r
       SET closed_at = clock_timestamp(),
           closed_by = docperm._actor()
     WHERE r.id = close_access_review.review;
END
$$;

COMMENT ON FUNCTION docperm.close_access_review(bigint) IS
    'Closes a review in which everything is decided. What it decided to revoke can be applied afterwards as well. For administrators. Errors: 42501 anybody else, 42704 no such review, 22023 something is not decided';


CREATE FUNCTION docperm.uncertified_access(within interval DEFAULT '1 year')
    RETURNS TABLE (user_name text, full_name text, role text, granted_at timestamptz, granted_by text, last_certified_at timestamptz,
                   last_reviewer text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM docperm._require_administration('review the access of others');

    RETURN QUERY
    SELECT u.name, u.full_name, h.role, g.at, g.changed_by, c.decided_at, c.reviewer
      FROM docperm.users      AS u
      JOIN docperm.user_roles AS h ON h.user_name = u.name
      LEFT JOIN LATERAL (SELECT i.decided_at, i.reviewer
                           FROM docperm.access_review_items AS i
                          WHERE i.user_name = h.user_name
                            AND i.role      = h.role
                            AND i.decision  = 'keep'
                          ORDER BY i.decided_at DESC
                          LIMIT 1) AS c ON true
      LEFT JOIN LATERAL (SELECT l.at, l.changed_by
                           FROM docperm.permission_log AS l
                          WHERE l.object_type = 'Has Role'
                            AND l.object_name = h.user_name
                            AND l.action      = 'Added'
                            AND l.row_key ->> 'role' = h.role
                          ORDER BY l.at DESC
                          LIMIT 1) AS g ON true
     WHERE u.enabled
       AND u.name NOT IN ('Administrator', 'Guest')
       AND h.role NOT IN ('Administrator', 'All', 'Guest', 'Desk User')
       -- What was given since, or to a later user of that name, is another matter.
       AND (c.decided_at >= now() - within AND c.decided_at > u.creation AND (g.at IS NULL OR c.decided_at > g.at)) IS NOT TRUE
     ORDER BY u.name, h.role;
END
$$;

COMMENT ON FUNCTION docperm.uncertified_access(interval) IS
    'Roles of users who are enabled that no review decided to keep within that time: what the next review is about. When and by whom they were given, as far as the permission log knows. For administrators. Error: 42501 anybody else';


REVOKE ALL ON FUNCTION docperm._check_separation()                                FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._conflicts(text[])                                 FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._keep_access_review()                              FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._profiles_with(text, text)                         FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._rename_in_reviews()                               FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._refuse_conflicts(text, text, text[], text[])      FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._require_review(bigint, boolean)                   FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._separate_duties()                                 FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.access_review(bigint)                              FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.apply_access_review(bigint)                        FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.close_access_review(bigint)                        FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.decide_access(bigint, text, text, text, text)      FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.separate_duties(text, text, text, text)            FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.separation_of_duties_violations(boolean)           FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.start_access_review(text, text, text, text)        FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.uncertified_access(interval)                       FROM PUBLIC;

-- Each of them asks who is acting.
GRANT EXECUTE ON FUNCTION docperm.access_review(bigint)                           TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.apply_access_review(bigint)                     TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.close_access_review(bigint)                     TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.decide_access(bigint, text, text, text, text)   TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.separate_duties(text, text, text, text)         TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.separation_of_duties_violations(boolean)        TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.start_access_review(text, text, text, text)     TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.uncertified_access(interval)                    TO PUBLIC;
