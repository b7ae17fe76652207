-- Document follow: users who want to hear of changes of documents. Flags of docperm.users say
-- who wants to hear of any, how often, and which documents he follows without asking.
--
-- To follow gives no right. What a follower is told is decided when he is told.

CREATE TABLE docperm.document_follows (
    doctype   text        NOT NULL,
    document  text        NOT NULL,
    user_name text        NOT NULL,
    since     timestamptz NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT document_follows_pkey           PRIMARY KEY (user_name, doctype, document),
    CONSTRAINT document_follows_doctype_fkey   FOREIGN KEY (doctype)   REFERENCES docperm.doctypes (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT document_follows_user_name_fkey FOREIGN KEY (user_name) REFERENCES docperm.users    (name) ON UPDATE CASCADE ON DELETE CASCADE
);

CREATE INDEX document_follows_document_idx ON docperm.document_follows (doctype, document);

COMMENT ON TABLE  docperm.document_follows               IS 'Who follows which document';
COMMENT ON COLUMN docperm.document_follows.doctype       IS 'Doctype of the document';
COMMENT ON COLUMN docperm.document_follows.document      IS 'Name of the document, written as its key column writes it';
COMMENT ON COLUMN docperm.document_follows.user_name     IS 'Who follows it';
COMMENT ON COLUMN docperm.document_follows.since         IS 'Since when; of what happened before he is told nothing';
COMMENT ON INDEX  docperm.document_follows_document_idx  IS 'The followers of a document';


CREATE TABLE docperm.document_follow_digests (
    user_name     text        NOT NULL,
    told_at       timestamptz NOT NULL,
    told_snapshot pg_snapshot NOT NULL,

    CONSTRAINT document_follow_digests_pkey           PRIMARY KEY (user_name),
    CONSTRAINT document_follow_digests_user_name_fkey FOREIGN KEY (user_name) REFERENCES docperm.users (name) ON UPDATE CASCADE ON DELETE CASCADE
);

COMMENT ON TABLE  docperm.document_follow_digests               IS 'What followers have been told';
COMMENT ON COLUMN docperm.document_follow_digests.user_name     IS 'The follower';
COMMENT ON COLUMN docperm.document_follow_digests.told_at       IS 'When he was last given a digest';
COMMENT ON COLUMN docperm.document_follow_digests.told_snapshot IS 'The transactions that it could tell of. What one of them changed that ended later is new, though it happened before';

SELECT pg_catalog.pg_extension_config_dump('docperm.document_follows', '');
SELECT pg_catalog.pg_extension_config_dump('docperm.document_follow_digests', '');


-- Names are written in their stored form; in a restore, rows may come before what they name.
CREATE FUNCTION docperm._check_document_follow() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.user_name := docperm._user_name(NEW.user_name);
    PERFORM docperm._require_user(NEW.user_name);
    IF TG_TABLE_NAME = 'document_follows' THEN
        PERFORM docperm._require_doctype(NEW.doctype);
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._check_document_follow() IS 'Internal: trigger that refuses unknown users and doctypes';

CREATE TRIGGER check_names
    BEFORE INSERT OR UPDATE ON docperm.document_follows
    FOR EACH ROW EXECUTE FUNCTION docperm._check_document_follow();

CREATE TRIGGER check_names
    BEFORE INSERT OR UPDATE ON docperm.document_follow_digests
    FOR EACH ROW EXECUTE FUNCTION docperm._check_document_follow();


-- Following ---------------------------------------------------------------------------

CREATE FUNCTION docperm._is_readable_by(doctype text, document text, user_name text) RETURNS boolean
    LANGUAGE c STABLE STRICT COST 100
AS 'MODULE_PATHNAME', 'docperm_is_readable_by_wrapper';

COMMENT ON FUNCTION docperm._is_readable_by(text, text, text) IS 'Internal: whether a user may read a document, whoever asks';


CREATE FUNCTION docperm._follower(user_name text, what text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    acting   text := docperm.whoami();
    follower text := coalesce(nullif(docperm._user_name(user_name), ''), acting);
BEGIN
    IF follower <> acting THEN
        PERFORM docperm._require_administration(what);
    END IF;
    RETURN follower;
END
$$;

COMMENT ON FUNCTION docperm._follower(text, text) IS
    'Internal: the user of that name, or the acting one; an error (42501) if that is another, unless an administrator acts';


CREATE FUNCTION docperm._require_following(doctype text, document text, follower text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tracked boolean;
BEGIN
    IF doctype IS NULL OR coalesce(document, '') = '' THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = 'doctype or document is missing',
            HINT    = 'Name the doctype and the document.';
    END IF;
    IF follower IN ('Administrator', 'Guest') THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('user "%s" cannot follow documents', follower),
            HINT    = 'Log in as a user who is a person.';
    END IF;
    PERFORM docperm._require_user(follower);

    SELECT d.track_changes AND d.parent_column IS NULL INTO tracked FROM docperm.doctypes AS d WHERE d.name = doctype;
    IF NOT FOUND THEN
        PERFORM docperm._require_doctype(doctype);
    END IF;
    IF NOT tracked THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('documents of doctype "%s" cannot be followed', doctype),
            DETAIL  = 'Its changes are not tracked.',
            HINT    = 'docperm.protect(..., track_changes => true) tracks them. Rows of a child table are followed with their document.';
    END IF;
    IF NOT (SELECT u.document_follow_notify FROM docperm.users AS u WHERE u.name = follower) THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('user "%s" does not want to hear of documents', follower),
            DETAIL  = 'docperm.users.document_follow_notify is off.',
            HINT    = 'docperm.set_document_follow(notify => true) comes first.';
    END IF;
    IF NOT docperm._is_readable_by(doctype, document, follower) THEN
        RAISE EXCEPTION USING
            ERRCODE = '42501',
            MESSAGE = format('user "%s" may not follow document "%s" of doctype "%s"', follower, document, doctype),
            DETAIL  = 'There is no such document, or the user may not read it.',
            HINT    = 'docperm.explain_access() tells which rules apply.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_following(text, text, text) IS 'Internal: an error unless the user can follow the document';


CREATE FUNCTION docperm.follow(doctype text, document text, user_name text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path   = pg_catalog, pg_temp
    -- What a text means as a date must not change between a check and what is done then.
    SET datestyle     = 'ISO, YMD'
    SET intervalstyle = 'postgres'
    SET timezone      = 'UTC'
AS $$
DECLARE
    follower text := docperm._follower(follow.user_name, 'let others follow documents');
BEGIN
    PERFORM docperm._require_following(follow.doctype, follow.document, follower);
    INSERT INTO docperm.document_follows AS f (doctype, document, user_name)
    VALUES (follow.doctype, docperm._document_name(follow.doctype, follow.document), follower)
        ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$$;

COMMENT ON FUNCTION docperm.follow(text, text, text) IS
    'The acting user hears of changes of the document from now on; false if he did before. Another user: administrators only. Errors: 42501 he may not read it, 22023 changes of the doctype are not tracked, or document_follow_notify is off, 42704 unknown doctype or user';


CREATE FUNCTION docperm.unfollow(doctype text, document text, user_name text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path   = pg_catalog, pg_temp
    SET datestyle     = 'ISO, YMD'
    SET intervalstyle = 'postgres'
    SET timezone      = 'UTC'
AS $$
DECLARE
    follower text := docperm._follower(unfollow.user_name, 'let others follow documents no longer');
BEGIN
    DELETE FROM docperm.document_follows AS f
     WHERE f.user_name = follower
       AND f.doctype   = unfollow.doctype
       AND f.document IN (unfollow.document, docperm._document_name(unfollow.doctype, unfollow.document));
    RETURN FOUND;
END
$$;

COMMENT ON FUNCTION docperm.unfollow(text, text, text) IS
    'The acting user no longer hears of changes of the document; false if he did not. Another user: administrators only (42501)';


CREATE FUNCTION docperm.is_following(doctype text, document text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path   = pg_catalog, pg_temp
    SET datestyle     = 'ISO, YMD'
    SET intervalstyle = 'postgres'
    SET timezone      = 'UTC'
BEGIN ATOMIC
    SELECT EXISTS (SELECT
                     FROM docperm.document_follows AS f
                    WHERE f.user_name = docperm.whoami()
                      AND f.doctype   = is_following.doctype
                      AND f.document  = docperm._document_name(is_following.doctype, is_following.document));
END;

COMMENT ON FUNCTION docperm.is_following(text, text) IS 'Whether the acting user follows the document';


CREATE FUNCTION docperm.my_follows()
    RETURNS TABLE (doctype text, document text, since timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT f.doctype, f.document, f.since
      FROM docperm.document_follows AS f
     WHERE f.user_name = docperm.whoami()
     ORDER BY f.doctype, f.document;
END;

COMMENT ON FUNCTION docperm.my_follows() IS 'The documents that the acting user follows, whether he may read them still or not';


CREATE FUNCTION docperm.set_document_follow(
    notify    boolean DEFAULT NULL,
    frequency text    DEFAULT NULL,
    created   boolean DEFAULT NULL,
    commented boolean DEFAULT NULL,
    liked     boolean DEFAULT NULL,
    shared    boolean DEFAULT NULL,
    assigned  boolean DEFAULT NULL
) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    acting text := docperm.whoami();
BEGIN
    IF acting IN ('Administrator', 'Guest') THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('user "%s" cannot follow documents', acting),
            HINT    = 'Log in as a user who is a person.';
    END IF;
    IF frequency NOT IN ('Hourly', 'Daily', 'Weekly') THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('%L is no frequency', frequency),
            HINT    = 'Hourly, Daily or Weekly.';
    END IF;
    UPDATE docperm.users AS u
       SET document_follow_notify     = coalesce(notify,    u.document_follow_notify),
           document_follow_frequency  = coalesce(frequency, u.document_follow_frequency),
           follow_created_documents   = coalesce(created,   u.follow_created_documents),
           follow_commented_documents = coalesce(commented, u.follow_commented_documents),
           follow_liked_documents     = coalesce(liked,     u.follow_liked_documents),
           follow_shared_documents    = coalesce(shared,    u.follow_shared_documents),
           follow_assigned_documents  = coalesce(assigned,  u.follow_assigned_documents)
     WHERE u.name = acting;
END
$$;

COMMENT ON FUNCTION docperm.set_document_follow(boolean, text, boolean, boolean, boolean, boolean, boolean) IS
    'Sets the acting user''s own document-follow columns of docperm.users; NULL leaves one as it is. Errors: 22023 unknown frequency, or the user is Administrator or Guest';


-- Following without asking ------------------------------------------------------------

CREATE FUNCTION docperm._follow_by_flag(doctype text, document text, event text, user_name text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO docperm.document_follows AS f (doctype, document, user_name)
    SELECT d.name, _follow_by_flag.document, u.name
      FROM docperm.users    AS u
      JOIN docperm.doctypes AS d ON d.name = _follow_by_flag.doctype
     WHERE u.name = _follow_by_flag.user_name
       AND u.enabled
       AND u.document_follow_notify
       AND CASE _follow_by_flag.event
               WHEN 'create'  THEN u.follow_created_documents
               WHEN 'comment' THEN u.follow_commented_documents
               WHEN 'like'    THEN u.follow_liked_documents
               WHEN 'share'   THEN u.follow_shared_documents
               WHEN 'assign'  THEN u.follow_assigned_documents
           END
       AND u.name NOT IN ('Administrator', 'Guest')
       AND d.track_changes
       AND d.parent_column IS NULL
       AND docperm._is_readable_by(d.name, _follow_by_flag.document, u.name)
        ON CONFLICT DO NOTHING;
END
$$;

COMMENT ON FUNCTION docperm._follow_by_flag(text, text, text, text) IS
    'Internal: lets a user follow a document after an event, if he wants that, the doctype is tracked and he may read the document';


CREATE FUNCTION docperm.note_document_event(doctype text, document text, event text, user_name text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path   = pg_catalog, pg_temp
    SET datestyle     = 'ISO, YMD'
    SET intervalstyle = 'postgres'
    SET timezone      = 'UTC'
AS $$
DECLARE
    acting    text := docperm.whoami();
    concerned text := coalesce(nullif(docperm._user_name(note_document_event.user_name), ''), acting);
BEGIN
    IF event IS NULL OR event NOT IN ('create', 'comment', 'like', 'share', 'assign') THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('%L is no event', event),
            HINT    = 'create, comment, like, share or assign.';
    END IF;
    IF doctype IS NULL OR coalesce(document, '') = '' THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = 'doctype or document is missing',
            HINT    = 'Name the doctype and the document.';
    END IF;
    -- One shares with others, and assigns to others; the rest one does oneself.
    IF concerned <> acting AND event NOT IN ('share', 'assign') THEN
        PERFORM docperm._require_administration(format('note that others did %s', event));
    END IF;
    IF NOT docperm.has_permission(doctype, 'read', document) THEN
        RAISE EXCEPTION USING
            ERRCODE = '42501',
            MESSAGE = format('user "%s" may not note what happened to document "%s" of doctype "%s"', acting, document, doctype),
            DETAIL  = 'There is no such document, or the user may not read it.',
            HINT    = 'docperm.explain_access() tells which rules apply.';
    END IF;
    -- Whether the other one follows from now on is not said: it would tell what he may read.
    PERFORM docperm._follow_by_flag(doctype, docperm._document_name(doctype, document), event, concerned);
END
$$;

COMMENT ON FUNCTION docperm.note_document_event(text, text, text, text) IS
    'For applications: the acting user has commented or liked the document, or assigned it to the named user (comment, like, assign; docperm notes create and share itself). Who has set the flag for it in docperm.users, and may read the document, follows it from now on. Errors: 42501 the acting user may not read it, 22023 unknown event, 42704 unknown doctype';


CREATE FUNCTION docperm._follow_shared() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF docperm._restoring() THEN
        RETURN NULL;
    END IF;
    PERFORM docperm._follow_by_flag(s.doctype, s.document, 'share', s.user_name)
       FROM after AS s
       JOIN docperm.users    AS u ON u.name = s.user_name
       JOIN docperm.doctypes AS d ON d.name = s.doctype
      WHERE u.document_follow_notify
        AND u.follow_shared_documents
        AND d.track_changes;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._follow_shared() IS 'Internal: trigger that lets users follow what is shared with them, if they want that';

CREATE TRIGGER follow_shared
    AFTER INSERT ON docperm.shares
    REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._follow_shared();


-- What followers are told ---------------------------------------------------------------

CREATE FUNCTION docperm.document_follow_digest(
    frequency     text        DEFAULT NULL,
    since         timestamptz DEFAULT NULL,
    max_documents integer     DEFAULT 20
) RETURNS TABLE (
        user_name       text,
        email           text,
        doctype         text,
        document        text,
        at              timestamptz,
        action          text,
        child_doctype   text,
        child_name      text,
        changes         jsonb,
        changed_by      text,
        impersonated_by text
    )
    LANGUAGE c VOLATILE COST 100000 ROWS 1000
AS 'MODULE_PATHNAME', 'docperm_document_follow_digest_wrapper';

COMMENT ON FUNCTION docperm.document_follow_digest(text, timestamptz, integer) IS
$$For the mailer of an application: what each follower has not been told yet, of at most max_documents documents each, those that changed last. frequency: only followers who want to hear so often (Hourly, Daily, Weekly). A follower is told of documents that he may read now, of columns of his levels, and not of what he did himself; what is returned counts as told. With since, everything from then on is returned, and nothing counts as told.

Whoever may execute it is told what all followers may read: it is granted to nobody by default, like docperm.set_user(). Error: 22023 unknown frequency$$;


CREATE FUNCTION docperm.my_document_follow_digest(since timestamptz DEFAULT NULL, max_documents integer DEFAULT 20)
    RETURNS TABLE (
        doctype         text,
        document        text,
        at              timestamptz,
        action          text,
        child_doctype   text,
        child_name      text,
        changes         jsonb,
        changed_by      text,
        impersonated_by text
    )
    LANGUAGE c STABLE COST 10000 ROWS 20
AS 'MODULE_PATHNAME', 'docperm_my_document_follow_digest_wrapper';

COMMENT ON FUNCTION docperm.my_document_follow_digest(timestamptz, integer) IS
    'What happened to the documents that the acting user follows, since then or, without that, in the last hour, day or week, as often as he wants to hear of it; otherwise like docperm.document_follow_digest(). Nothing counts as told. Documents and columns that the database role may not SELECT are left out';


REVOKE ALL ON TABLE    docperm.document_follows                                    FROM PUBLIC;
REVOKE ALL ON TABLE    docperm.document_follow_digests                             FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._check_document_follow()                            FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._is_readable_by(text, text, text)                   FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._follower(text, text)                               FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._require_following(text, text, text)                FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._follow_by_flag(text, text, text, text)             FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._follow_shared()                                    FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.follow(text, text, text)                            FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.unfollow(text, text, text)                          FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.is_following(text, text)                            FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.my_follows()                                        FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.set_document_follow(boolean, text, boolean, boolean, boolean, boolean, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.note_document_event(text, text, text, text)         FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.document_follow_digest(text, timestamptz, integer)  FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.my_document_follow_digest(timestamptz, integer)     FROM PUBLIC;

-- All of them ask who is acting.
GRANT EXECUTE ON FUNCTION docperm.follow(text, text, text)                         TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.unfollow(text, text, text)                       TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.is_following(text, text)                         TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.my_follows()                                     TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.set_document_follow(boolean, text, boolean, boolean, boolean, boolean, boolean) TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.note_document_event(text, text, text, text)      TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.my_document_follow_digest(timestamptz, integer)  TO PUBLIC;
