//! docperm's tables as the values that the rules decide from.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use pgrx::pg_sys;

use super::scan::{NewestSnapshot, Table};
use crate::rules::{Doctype, LinkField, Model, Role, Rule, StrictMode, Tree, User, UserPermission};

/// The configuration, and which tables it is about.
#[derive(Debug, Default)]
pub struct Site {
    /// What the rules know.
    pub model: Model,
    /// A doctype's table.
    pub relations: HashMap<String, pg_sys::Oid>,
    /// The doctype of a protected table or partition.
    pub doctypes: HashMap<pg_sys::Oid, String>,
    /// Every right that a rule can grant.
    pub rights: BTreeSet<String>,
}

/// Reads the configuration.
pub fn site() -> Site {
    let snapshot = NewestSnapshot::take();
    let mut site = Site::default();
    Table::own("settings").scan(&snapshot, |row| {
        site.model.strict = match row.text("strict_user_permissions").as_deref() {
            Some("blank_links") => StrictMode::BlankLinks,
            Some("deny_by_default") => StrictMode::DenyByDefault,
            _ => StrictMode::Off,
        };
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
        if let Some(relation) = row.get::<pg_sys::Oid>("relation") {
            site.relations.insert(name.clone(), relation);
            site.doctypes.insert(relation, name.clone());
        }
        for partition in row.get::<Vec<pg_sys::Oid>>("partitions").unwrap_or_default() {
            site.doctypes.insert(partition, name.clone());
        }
        let doctype = Doctype {
            name: name.clone(),
            name_column: row.text("name_column").unwrap_or_default(),
            owner_column: row.text("owner_column"),
            tree_parent_column: row.text("tree_parent_column"),
            submittable: row.text("docstatus_column").is_some(),
            allow_import: row.get("allow_import").unwrap_or(false),
            deny_by_default: row.get("deny_by_default").unwrap_or(true),
            links: vec![],
            rules: vec![],
        };
        site.model.doctypes.insert(name, doctype);
    });
    Table::own("doctype_fields").scan(&snapshot, |row| {
        let Some(doctype) = site.model.doctypes.get_mut(&row.text("doctype").unwrap_or_default()) else {
            return;
        };
        if let Some(target) = row.text("link_to") {
            doctype.links.push(LinkField {
                column: row.text("column_name").unwrap_or_default(),
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
    // Scans have no order, and explanations should.
    for doctype in site.model.doctypes.values_mut() {
        doctype.links.sort_by(|a, b| a.column.cmp(&b.column));
        doctype
            .rules
            .sort_by(|a, b| (a.permlevel, &a.role, a.if_owner).cmp(&(b.permlevel, &b.role, b.if_owner)));
    }
    site
}

/// Reads one user's record; `None` if there is no such user.
pub fn user(name: &str) -> Option<Rc<User>> {
    let snapshot = NewestSnapshot::take();
    let mut enabled = None;
    Table::own("users").scan_where_text("name", name, &snapshot, |row| {
        enabled = Some(row.get("enabled").unwrap_or(false));
    });
    let enabled = enabled?;
    let mut roles = vec![];
    Table::own("user_roles").scan_where_text("user_name", name, &snapshot, |row| {
        roles.extend(row.text("role"));
    });
    Some(User::new(name, enabled, roles, user_permissions(name, &snapshot)))
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
    table.scan_where_text("user_name", name, snapshot, |row| {
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

/// The user that a database role acts as.
pub fn user_of_database_role(role: &str) -> Option<String> {
    let snapshot = NewestSnapshot::take();
    let wanted = super::values::value_of(role, pg_sys::NAMEOID)?;
    let mut user = None;
    Table::own("users").find("db_role", wanted, snapshot.as_raw(), |row| user = row.text("name"));
    user
}

/// Reads the tree that the documents of a doctype form.
pub fn tree(relation: pg_sys::Oid, doctype: &Doctype, parent_column: &str) -> Tree {
    let Some(table) = Table::open(relation) else { return Tree::default() };
    let snapshot = NewestSnapshot::take();
    let mut nodes = vec![];
    table.scan(&snapshot, |row| {
        // A partition may have its columns in another order.
        let name = row.table().registered_attribute(&doctype.name_column, &doctype.name);
        let parent = row.table().registered_attribute(parent_column, &doctype.name);
        if let Some(name) = row.text_form(name) {
            nodes.push((name, row.text_form(parent)));
        }
    });
    Tree::from_parents(nodes)
}
