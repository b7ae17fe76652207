//! docperm's tables as the values that the rules decide from.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use pgrx::pg_sys;

use super::scan::{Key, NewestSnapshot, RowView, Table};
use crate::rules::model::GUEST;
use crate::rules::{
    Doctype, Field, FieldLevelWrite, LinkField, Model, Parentage, Role, Rule, Shares, Stamps, StrictMode,
    Tree, User, UserPermission,
};

/// The configuration, and which tables it is about.
#[derive(Debug, Default)]
pub struct Site {
    /// What the rules know.
    pub model: Model,
    /// A doctype's table.
    pub relations: HashMap<String, pg_sys::Oid>,
    /// The doctype of a protected table or partition.
    pub doctypes: HashMap<pg_sys::Oid, String>,
    /// The column that holds a document's title, by doctype.
    pub titles: HashMap<String, String>,
    /// Leakproof functions of docperm's by the functions of PostgreSQL's that they stand for.
    pub leakproof: HashMap<pg_sys::Oid, pg_sys::Oid>,
    /// Some column is above level 0.
    pub has_levels: bool,
    /// No document takes over child rows that another left behind.
    pub refuse_orphans: bool,
    /// docperm.permits(), which policies call.
    pub permits: pg_sys::Oid,
    /// docperm._is_readable() and docperm._readable(), of which readable views are made.
    pub is_readable: pg_sys::Oid,
    /// See there.
    pub readable: pg_sys::Oid,
    /// Functions of docperm's that triggers on the tables of documents call.
    pub trigger_functions: TriggerFunctions,
    /// Every right that a rule can grant.
    pub rights: BTreeSet<String>,
}

/// Functions of docperm's that triggers call.
#[derive(Debug, Default)]
pub struct TriggerFunctions {
    /// docperm._documents_created()
    pub documents_created: pg_sys::Oid,
    /// docperm._documents_deleted()
    pub documents_deleted: pg_sys::Oid,
    /// docperm._documents_renamed()
    pub documents_renamed: pg_sys::Oid,
    /// docperm._keep_constants()
    pub keep_constants: pg_sys::Oid,
    /// docperm._write_document()
    pub write_document: pg_sys::Oid,
}

/// The table is one of docperm's.
fn is_own(relation: pg_sys::Oid) -> bool {
    // SAFETY: look-ups.
    unsafe { pg_sys::get_rel_namespace(relation) == pg_sys::get_namespace_oid(c"docperm".as_ptr(), true) }
}

/// Reads the configuration.
pub fn site() -> Site {
    let snapshot = NewestSnapshot::take();
    let permits = [pg_sys::RECORDOID, pg_sys::TEXTOID, pg_sys::TEXTOID];
    let mut site = Site {
        leakproof: leakproof_functions(),
        permits: super::values::own_function(c"permits", &mut permits.clone()),
        is_readable: super::values::own_function(c"_is_readable", &mut [pg_sys::RECORDOID]),
        readable: super::values::own_function(c"_readable", &mut [pg_sys::ANYELEMENTOID]),
        trigger_functions: TriggerFunctions {
            documents_created: super::values::own_function(c"_documents_created", &mut []),
            documents_deleted: super::values::own_function(c"_documents_deleted", &mut []),
            documents_renamed: super::values::own_function(c"_documents_renamed", &mut []),
            keep_constants: super::values::own_function(c"_keep_constants", &mut []),
            write_document: super::values::own_function(c"_write_document", &mut []),
        },
        ..Default::default()
    };
    Table::own("settings").scan(&snapshot, |row| {
        site.model.strict = match row.text("strict_user_permissions").as_deref() {
            Some("blank_links") => StrictMode::BlankLinks,
            Some("deny_by_default") => StrictMode::DenyByDefault,
            _ => StrictMode::Off,
        };
        site.model.check_child_links = row.get("check_child_links").unwrap_or(true);
        site.refuse_orphans = row.get("refuse_orphans").unwrap_or(true);
        site.model.field_level_write = match row.text("field_level_write").as_deref() {
            Some("reset") => FieldLevelWrite::Reset,
            _ => FieldLevelWrite::Refuse,
        };
        site.model.disable_document_sharing = row.get("disable_document_sharing").unwrap_or(false);
        site.model.enforce_module_access = row.get("enforce_module_access").unwrap_or(true);
    });
    Table::own("rights").scan(&snapshot, |row| site.rights.extend(row.text("name")));
    Table::own("roles").scan(&snapshot, |row| {
        let role = Role {
            desk_access: row.get("desk_access").unwrap_or(false),
            disabled: row.get("disabled").unwrap_or(true),
        };
        site.model.roles.insert(row.text("name").unwrap_or_default(), role);
    });
    Table::own("doctypes").scan(&snapshot, |row| {
        let name = row.text("name").unwrap_or_default();
        let relation = row.get::<pg_sys::Oid>("relation");
        if let Some(relation) = relation {
            site.relations.insert(name.clone(), relation);
            site.doctypes.insert(relation, name.clone());
        }
        site.titles.extend(row.text("title_column").map(|column| (name.clone(), column)));
        for partition in row.get::<Vec<pg_sys::Oid>>("partitions").unwrap_or_default() {
            site.doctypes.insert(partition, name.clone());
        }
        let doctype = Doctype {
            name: name.clone(),
            comes_with_docperm: relation.is_some_and(is_own),
            name_column: row.text("name_column").unwrap_or_default(),
            owner_column: row.text("owner_column"),
            tree_parent_column: row.text("tree_parent_column"),
            nested_set: row.text("tree_left_column").zip(row.text("tree_right_column")),
            parentage: row.text("parent_column").map(|column| Parentage {
                column,
                doctype: row.text("parent_doctype"),
                type_column: row.text("parenttype_column"),
            }),
            module: row.text("module"),
            docstatus_column: row.text("docstatus_column"),
            amended_from_column: row.text("amended_from_column"),
            stamps: Stamps {
                creation: row.text("creation_column"),
                modified: row.text("modified_column"),
                modified_by: row.text("modified_by_column"),
            },
            track_changes: row.get("track_changes").unwrap_or(false),
            allow_import: row.get("allow_import").unwrap_or(false),
            deny_by_default: row.get("deny_by_default").unwrap_or(true),
            links: vec![],
            fields: BTreeMap::new(),
            rules: vec![],
        };
        site.model.doctypes.insert(name, doctype);
    });
    Table::own("doctype_fields").scan(&snapshot, |row| {
        let Some(doctype) = site.model.doctypes.get_mut(&row.text("doctype").unwrap_or_default()) else {
            return;
        };
        let column = row.text("column_name").unwrap_or_default();
        let field = Field {
            permlevel: row.get("permlevel").unwrap_or(i16::MAX),
            allow_on_submit: row.get("allow_on_submit").unwrap_or(false),
            requires_select: row.get("requires_select").unwrap_or(true),
        };
        doctype.fields.insert(column.clone(), field);
        if let Some(target) = row.text("link_to") {
            doctype.links.push(LinkField {
                column,
                target,
                ignore_user_permissions: row.get("ignore_user_permissions").unwrap_or(false),
            });
        }
    });
    Table::own("role_permissions").scan(&snapshot, |row| {
        let Some(doctype) = site.model.doctypes.get_mut(&row.text("doctype").unwrap_or_default()) else {
            return;
        };
        doctype.rules.push(Rule {
            role: row.text("role").unwrap_or_default(),
            permlevel: row.get::<i16>("permlevel").unwrap_or(i16::MAX),
            if_owner: row.get("if_owner").unwrap_or(true),
            custom: row.get("custom").unwrap_or(false),
            rights: row.get::<Vec<String>>("rights").unwrap_or_default(),
        });
    });
    site.has_levels = site.model.doctypes.values().any(Doctype::has_levels);
    // Scans have no order, and explanations should.
    for doctype in site.model.doctypes.values_mut() {
        doctype.links.sort_by(|a, b| a.column.cmp(&b.column));
        doctype
            .rules
            .sort_by(|a, b| (a.permlevel, &a.role, a.if_owner).cmp(&(b.permlevel, &b.role, b.if_owner)));
    }
    site
}

/// The functions that sql/leakproof.sql makes.
fn leakproof_functions() -> HashMap<pg_sys::Oid, pg_sys::Oid> {
    use pg_sys::{ANYENUMOID, NUMERICOID, TEXTOID};
    let functions = [
        (pg_sys::F_NUMERIC_EQ, c"_numeric_eq", NUMERICOID),
        (pg_sys::F_NUMERIC_NE, c"_numeric_ne", NUMERICOID),
        (pg_sys::F_NUMERIC_LT, c"_numeric_lt", NUMERICOID),
        (pg_sys::F_NUMERIC_LE, c"_numeric_le", NUMERICOID),
        (pg_sys::F_NUMERIC_GT, c"_numeric_gt", NUMERICOID),
        (pg_sys::F_NUMERIC_GE, c"_numeric_ge", NUMERICOID),
        (pg_sys::F_ENUM_EQ, c"_enum_eq", ANYENUMOID),
        (pg_sys::F_ENUM_NE, c"_enum_ne", ANYENUMOID),
        (pg_sys::F_TEXTLIKE, c"_textlike", TEXTOID),
    ];
    let own = functions.map(|(theirs, name, argument)| {
        let function = super::values::own_function(name, &mut [argument, argument]);
        (pg_sys::Oid::from(theirs), function)
    });
    own.into_iter().filter(|(_, function)| *function != pg_sys::InvalidOid).collect()
}

/// Reads one user's record; `None` if there is no such user.
pub fn user(name: &str) -> Option<Rc<User>> {
    let snapshot = NewestSnapshot::take();
    let mut enabled = None;
    Table::own("users").scan_where(&[Key::Text("name", name)], &snapshot, |row| {
        enabled = Some(row.get("enabled").unwrap_or(false));
    });
    let enabled = enabled?;
    let mut roles = vec![];
    Table::own("user_roles").scan_where(&[Key::Text("user_name", name)], &snapshot, |row| {
        roles.extend(row.text("role"));
    });
    let mut blocked_modules = BTreeSet::new();
    Table::own("user_blocked_modules").scan_where(&[Key::Text("user_name", name)], &snapshot, |row| {
        blocked_modules.extend(row.text("module"));
    });
    let user = User::new(name, enabled, roles, user_permissions(name, &snapshot));
    Some(Rc::new(user.without_modules(blocked_modules)))
}

fn user_permissions(name: &str, snapshot: &NewestSnapshot) -> Vec<UserPermission> {
    let table = Table::own("user_permissions");
    // A user may have very many: the columns are looked up once, and doctype names are shared.
    let column = |column| table.registered_attribute(column, "docperm");
    let (allow, for_value) = (column("allow"), column("for_value"));
    let (applicable_for, hide_descendants) = (column("applicable_for"), column("hide_descendants"));
    let mut doctypes: HashMap<String, Rc<str>> = HashMap::new();
    let mut share = |doctype: String| match doctypes.get(&doctype) {
        Some(known) => known.clone(),
        None => {
            let shared: Rc<str> = doctype.as_str().into();
            doctypes.insert(doctype, shared.clone());
            shared
        }
    };
    let mut entries = vec![];
    table.scan_where(&[Key::Text("user_name", name)], snapshot, |row| {
        let hides = row.datum(hide_descendants).is_none_or(|datum| datum.value() != 0);
        entries.push(UserPermission {
            allow: share(row.text_form(allow).unwrap_or_default()),
            for_value: row.text_form(for_value).unwrap_or_default(),
            applicable_for: row.text_form(applicable_for).map(&mut share),
            hide_descendants: hides,
        });
    });
    entries
}

/// The names of all users.
pub fn user_names() -> Vec<String> {
    let mut names = vec![];
    Table::own("users").scan(&NewestSnapshot::take(), |row| names.extend(row.text("name")));
    names
}

/// The user that a database role acts as.
pub fn user_of_database_role(role: &str) -> Option<String> {
    let snapshot = NewestSnapshot::take();
    let wanted = super::values::value_of(role, pg_sys::NAMEOID)?;
    let mut user = None;
    Table::own("users").find("db_role", wanted, snapshot.as_raw(), |row| user = row.text("name"));
    user
}

/// Reads the tree that the documents of a doctype form; `None` if they form none.
pub fn tree(relation: pg_sys::Oid, doctype: &Doctype) -> Option<Tree> {
    let column = |row: &RowView, column: &str| {
        // A partition may have its columns in another order.
        row.text_form(row.table().registered_attribute(column, &doctype.name))
    };
    let table = Table::open(relation)?;
    let snapshot = NewestSnapshot::take();
    if let Some((left, right)) = &doctype.nested_set {
        let mut nodes = vec![];
        let bound = |row: &RowView, name: &str| column(row, name).and_then(|text| text.parse::<i64>().ok());
        table.scan(&snapshot, |row| {
            nodes.extend(
                column(row, &doctype.name_column).map(|name| (name, bound(row, left), bound(row, right))),
            );
        });
        return Some(Tree::from_bounds(nodes));
    }
    let parent = doctype.tree_parent_column.as_deref()?;
    let mut nodes = vec![];
    table.scan(&snapshot, |row| {
        nodes.extend(column(row, &doctype.name_column).map(|name| (name, column(row, parent))));
    });
    Some(Tree::from_parents(nodes))
}

/// Reads what is shared with a user among the documents of a doctype: with the user, and with everyone who is not Guest.
pub fn shares(user: &str, doctype: &str) -> Shares {
    let table = Table::own("shares");
    let snapshot = NewestSnapshot::take();
    let (document, rights) =
        (table.registered_attribute("document", "docperm"), table.registered_attribute("rights", "docperm"));
    let mut found: Vec<(String, Vec<String>)> = vec![];
    let mut take = |row: &RowView| {
        let rights = row.datum(rights).and_then(|datum| {
            // SAFETY: a column of type text[].
            unsafe { pgrx::FromDatum::from_polymorphic_datum(datum, false, pg_sys::TEXTARRAYOID) }
        });
        found.push((row.text_form(document).unwrap_or_default(), rights.unwrap_or_default()));
    };
    let of_doctype = Key::Text("doctype", doctype);
    table.scan_where(&[Key::Text("user_name", user), of_doctype], &snapshot, &mut take);
    if user != GUEST {
        table.scan_where(&[Key::Null("user_name"), Key::Text("doctype", doctype)], &snapshot, &mut take);
    }
    Shares::new(found.iter().map(|(document, rights)| (document.as_str(), &rights[..])))
}
