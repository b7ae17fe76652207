//! The tables that are written to, and what guards them.

/// A table, protected by docperm or by hand.
pub struct Form {
    pub table: &'static str,
    pub name: &'static str,
    /// The table that it is compared with.
    pub baseline: &'static str,
    pub target: Option<f64>,
    /// Its rows belong to documents.
    pub is_child: bool,
}

impl Form {
    pub fn columns(&self) -> &'static str {
        if self.is_child { "id, parent, body" } else { "id, customer, body" }
    }

    pub fn values(&self, number: &str) -> String {
        let to = if self.is_child { format!("1 + {number} % 1000") } else { format!("'C' || {number} % 10") };
        format!("{number}, {to}, 'what is written'")
    }
}

const fn form(table: &'static str, name: &'static str, baseline: &'static str, target: Option<f64>) -> Form {
    Form { table, name, baseline, target, is_child: false }
}

const fn rows(table: &'static str, name: &'static str, baseline: &'static str, target: Option<f64>) -> Form {
    Form { table, name, baseline, target, is_child: true }
}

pub const FORMS: [Form; 11] = [
    form("by_hand", "by hand: policy", "by_hand", None),
    form("plain", "docperm", "by_hand", Some(1.1)),
    form("owner_by_hand", "by hand: policy, owner by default", "owner_by_hand", None),
    form("owned", "docperm, owner", "owner_by_hand", Some(1.1)),
    form("stamped_by_hand", "by hand: policy, trigger for stamps", "stamped_by_hand", None),
    form("stamped", "docperm, owner and times", "stamped_by_hand", Some(1.1)),
    form("life_by_hand", "by hand: policy, trigger for states", "life_by_hand", None),
    form("life", "docperm, lifecycle", "life_by_hand", Some(1.5)),
    form("bare_life", "docperm, lifecycle, to a policy alone", "by_hand", Some(1.5)),
    rows("rows_by_hand", "by hand: child rows of such documents", "rows_by_hand", None),
    rows("rows_of_life", "docperm, child rows of such documents", "rows_by_hand", Some(1.5)),
];

pub const SETUP: &str = "
    CREATE TABLE customer (name text PRIMARY KEY);
    INSERT INTO customer SELECT 'C' || i FROM generate_series(0, 99) AS i;

    -- What an expert writes for the same user: ten customers, or none.
    CREATE FUNCTION make(name text, more text) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE format('CREATE TABLE %I (id int PRIMARY KEY, customer text, body text %s)', name, more);
        EXECUTE format('CREATE INDEX ON %I (customer)', name);
        EXECUTE format('INSERT INTO %I (id, customer, body) SELECT i, ''C'' || i %% 10, ''what was written'' FROM generate_series(1, 100000) AS i', name);
    END $$;
    CREATE FUNCTION guard(name text) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY by_hand ON %I USING (customer = ANY (''{C0,C1,C2,C3,C4,C5,C6,C7,C8,C9}'') OR customer IS NULL)', name);
    END $$;

    SELECT make('by_hand', ''), guard('by_hand'), make('plain', '');

    SELECT make('owner_by_hand', ', owner text DEFAULT current_setting(''app.acting_user'', true)'), guard('owner_by_hand');
    CREATE POLICY own ON owner_by_hand AS RESTRICTIVE FOR INSERT WITH CHECK (owner = current_setting('app.acting_user'));
    SELECT make('owned', ', owner text');

    CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            NEW.owner := current_setting('app.acting_user'); NEW.creation := now();
        ELSIF NEW.owner IS DISTINCT FROM OLD.owner OR NEW.creation IS DISTINCT FROM OLD.creation THEN
            RAISE 'constant';
        ELSIF NEW.modified IS DISTINCT FROM OLD.modified THEN
            RAISE 'stale';
        END IF;
        NEW.modified := now(); NEW.modified_by := current_setting('app.acting_user');
        RETURN NEW;
    END $$;
    SELECT make('stamped_by_hand', ', owner text, creation timestamptz, modified timestamptz, modified_by text'), guard('stamped_by_hand');
    CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON stamped_by_hand FOR EACH ROW EXECUTE FUNCTION stamp();
    SELECT make('stamped', ', owner text, creation timestamptz, modified timestamptz, modified_by text');

    CREATE FUNCTION live() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            IF OLD.docstatus = 1 THEN RAISE 'submitted'; END IF;
            RETURN OLD;
        END IF;
        IF TG_OP = 'INSERT' THEN
            NEW.owner := current_setting('app.acting_user'); NEW.creation := now();
            IF NEW.docstatus = 2 THEN RAISE 'cancelled'; END IF;
        ELSE
            IF NEW.owner IS DISTINCT FROM OLD.owner OR NEW.creation IS DISTINCT FROM OLD.creation THEN RAISE 'constant'; END IF;
            IF NEW.modified IS DISTINCT FROM OLD.modified THEN RAISE 'stale'; END IF;
            IF OLD.docstatus = 2 OR NEW.docstatus < OLD.docstatus OR NEW.docstatus > OLD.docstatus + 1 THEN RAISE 'transition'; END IF;
            IF OLD.docstatus = 1 AND (NEW.customer, NEW.body) IS DISTINCT FROM (OLD.customer, OLD.body) THEN RAISE 'submitted'; END IF;
        END IF;
        NEW.modified := now(); NEW.modified_by := current_setting('app.acting_user');
        RETURN NEW;
    END $$;
    SELECT make(name, ', docstatus smallint NOT NULL DEFAULT 0, owner text, creation timestamptz, modified timestamptz, modified_by text')
      FROM unnest('{life_by_hand,life,bare_life}'::text[]) AS name;
    SELECT guard('life_by_hand');
    CREATE TRIGGER live BEFORE INSERT OR UPDATE OR DELETE ON life_by_hand FOR EACH ROW EXECUTE FUNCTION live();

    CREATE TABLE rows_by_hand (id int PRIMARY KEY, parent int, body text);
    CREATE TABLE rows_of_life (id int PRIMARY KEY, parent int, body text);
    INSERT INTO rows_by_hand SELECT i, 1 + i % 1000, 'what was written' FROM generate_series(1, 100000) AS i;
    INSERT INTO rows_of_life SELECT i, 1 + i % 1000, 'what was written' FROM generate_series(1, 100000) AS i;
    CREATE INDEX ON rows_by_hand (parent);
    CREATE INDEX ON rows_of_life (parent);
    CREATE FUNCTION live_with_document() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        state int;
    BEGIN
        SELECT docstatus INTO state FROM life_by_hand WHERE id = CASE TG_OP WHEN 'INSERT' THEN NEW.parent ELSE OLD.parent END FOR NO KEY UPDATE;
        IF state <> 0 THEN RAISE 'submitted'; END IF;
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END $$;
    CREATE TRIGGER live BEFORE INSERT OR UPDATE OR DELETE ON rows_by_hand FOR EACH ROW EXECUTE FUNCTION live_with_document();
    ALTER TABLE rows_by_hand ENABLE ROW LEVEL SECURITY;
    CREATE POLICY by_hand ON rows_by_hand USING (EXISTS (SELECT FROM life_by_hand AS d WHERE d.id = parent));

    SELECT docperm.protect('customer', 'Customer'), docperm.protect('plain', 'Plain'), docperm.protect('owned', 'Owned', owner_column => 'owner');
    SELECT docperm.protect('stamped', 'Stamped', owner_column => 'owner', creation_column => 'creation', modified_column => 'modified',
                           modified_by_column => 'modified_by');
    SELECT docperm.protect(name::regclass, name, owner_column => 'owner', creation_column => 'creation', modified_column => 'modified',
                           modified_by_column => 'modified_by', docstatus_column => 'docstatus')
      FROM unnest('{life,bare_life}'::text[]) AS name;
    SELECT docperm.protect('rows_of_life', 'Row', parent_doctype => 'life', parent_column => 'parent');

    INSERT INTO docperm.users (name) VALUES ('ann@erp.test');
    INSERT INTO docperm.roles (name) VALUES ('Clerk');
    INSERT INTO docperm.user_roles VALUES ('ann@erp.test', 'Clerk');
    INSERT INTO docperm.role_permissions (doctype, role, rights)
    SELECT d.name, 'Clerk', '{read,write,create,delete}' FROM docperm.doctypes AS d WHERE d.parent_column IS NULL AND d.relation IS NOT NULL;
    INSERT INTO docperm.user_permissions (user_name, allow, for_value) SELECT 'ann@erp.test', 'Customer', 'C' || i FROM generate_series(0, 9) AS i;
    SELECT docperm.set_field(d.name, 'customer', link_to => 'Customer')
      FROM docperm.doctypes AS d WHERE d.name IN ('Plain', 'Owned', 'Stamped', 'life', 'bare_life');";
