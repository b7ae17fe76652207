//! A case as a database: its tables, protected, with the users, rules, user permissions and shares of the case.

use super::case::{Case, Doctype, Field, Role, Row, Share};
use crate::support::{World, literal};
use serde_json::Value;

/// The rights that the cases speak of, in the order in which answers are written.
pub const RIGHTS: [&str; 14] = [
    "select", "read", "write", "create", "delete", "submit", "cancel", "amend", "print", "email", "report",
    "import", "export", "share",
];

/// Columns of every table beside those of its fields. `touched` is for statements that change every row they may.
const COMMON: &str =
    "name text PRIMARY KEY, owner text, docstatus integer NOT NULL DEFAULT 0, touched boolean";

/// The same in a child table.
const OF_CHILD: &str = "parent text, parenttype text, parentfield text, idx integer";

/// Builds the case. Users who are disabled in it are still enabled: somebody has to be able to act as them first.
pub fn build(case: &Case) -> World {
    let mut world = World::new(&tables(case));
    let parts =
        [roles(case), users(case), protection(case), rules(case), user_permissions(case), shares(case)];
    for part in parts {
        world.sql(&part);
    }
    // As Frappe does with values for fields above the user's level.
    world.sql("UPDATE docperm.settings SET field_level_write = 'reset'");
    let settings = &case.effective.system_settings;
    if settings.apply_strict_user_permissions {
        world.strict("blank_links");
    }
    if settings.disable_document_sharing {
        world.sql("UPDATE docperm.settings SET disable_document_sharing = true");
    }
    world
}

/// A name in double quotes.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A value as an SQL literal, whatever type the column has.
pub fn sql_value(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => literal(text),
        other => literal(&other.to_string()),
    }
}

/// A text or NULL.
fn optional(value: Option<&str>) -> String {
    value.map_or("NULL".to_owned(), literal)
}

fn tables(case: &Case) -> String {
    let mut sql = String::new();
    for (name, doctype) in &case.effective.doctypes {
        let mut columns = vec![COMMON.to_owned()];
        columns.extend(doctype.istable.then(|| OF_CHILD.to_owned()));
        columns.extend(own_columns(doctype).map(|field| {
            let kind = if ["Int", "Check"].contains(&field.fieldtype.as_str()) { "integer" } else { "text" };
            format!("{} {kind}", quoted(&field.fieldname))
        }));
        sql += &format!("CREATE TABLE {} ({});\n", quoted(name), columns.join(", "));
        for row in case.effective.documents.get(name).into_iter().flatten() {
            let columns: Vec<String> = row.keys().map(|column| quoted(column)).collect();
            let values: Vec<String> = row.values().map(sql_value).collect();
            let (table, columns, values) = (quoted(name), columns.join(", "), values.join(", "));
            sql += &format!("INSERT INTO {table} ({columns}) VALUES ({values});\n");
        }
    }
    sql
}

fn own_columns(doctype: &Doctype) -> impl Iterator<Item = &Field> {
    doctype.fields.iter().filter(|field| field.rows_of().is_none())
}

fn roles(case: &Case) -> String {
    let insert = |(name, desk_access): (&str, bool)| {
        let name = literal(name);
        format!(
            "INSERT INTO docperm.roles (name, desk_access) VALUES ({name}, {desk_access}) ON CONFLICT DO NOTHING;\n"
        )
    };
    let roles = case.scenario.roles.iter().map(|role| match role {
        Role::Plain(name) => (name.as_str(), true),
        Role::Full { name, desk_access } => (name.as_str(), *desk_access == 1),
    });
    let disable =
        |role: &String| format!("UPDATE docperm.roles SET disabled = true WHERE name = {};\n", literal(role));
    roles.map(insert).chain(case.scenario.disabled_roles.iter().map(disable)).collect()
}

/// With the roles that were given to them. Automatic ones among these must not count; the others follow by themselves.
fn users(case: &Case) -> String {
    let mut sql = String::new();
    for user in &case.scenario.users {
        let name = literal(&user.name);
        if !["Administrator", "Guest"].contains(&user.name.as_str()) {
            sql += &format!("INSERT INTO docperm.users (name) VALUES ({name});\n");
        }
        for role in &user.roles {
            sql += &format!("INSERT INTO docperm.user_roles VALUES ({name}, {});\n", literal(role));
        }
    }
    sql
}

fn protection(case: &Case) -> String {
    let doctypes = &case.effective.doctypes;
    // A child table may name its parent doctype: that one has to be there.
    let (children, parents): (Vec<_>, Vec<_>) = doctypes.iter().partition(|(_, doctype)| doctype.istable);
    let mut sql: String =
        parents.into_iter().chain(children).map(|(name, doctype)| protect(case, name, doctype)).collect();
    for doctype in without_table(case) {
        sql += &format!(
            "INSERT INTO docperm.doctypes (name) VALUES ({}) ON CONFLICT DO NOTHING;\n",
            literal(doctype)
        );
    }
    // What stands for a field that may always be saved.
    for (name, _) in doctypes.iter().filter(|(_, doctype)| doctype.is_submittable) {
        sql += &format!("SELECT docperm.set_field({}, 'touched', allow_on_submit => true);\n", literal(name));
    }
    for (name, doctype) in doctypes {
        for field in own_columns(doctype).filter(|field| field.permlevel > 0) {
            sql += &format!(
                "SELECT docperm.set_field({}, {}, permlevel => {});\n",
                literal(name),
                literal(&field.fieldname),
                field.permlevel
            );
        }
        for field in own_columns(doctype) {
            let Some(target) = field.link_to() else { continue };
            sql += &format!(
                "SELECT docperm.set_field({}, {}, link_to => {}, ignore_user_permissions => {});\n",
                literal(name),
                literal(&field.fieldname),
                literal(target),
                field.ignore_user_permissions
            );
        }
    }
    sql
}

fn protect(case: &Case, name: &str, doctype: &Doctype) -> String {
    let mut arguments = vec![literal(&quoted(name)), literal(name)];
    let mut give = |argument: &str, value: &str| arguments.push(format!("{argument} => {}", literal(value)));
    if doctype.istable {
        give("parent_column", "parent");
        give("parenttype_column", "parenttype");
        // Both kinds of child tables: of one doctype, and of whichever each row names.
        if let [parent] = case.parents_of(name)[..] {
            give("parent_doctype", parent);
        }
    } else {
        give("owner_column", "owner");
    }
    if doctype.is_submittable {
        give("docstatus_column", "docstatus");
        give("amended_from_column", "amended_from");
    }
    if doctype.allow_import {
        give("allow_import", "true");
    }
    if doctype.is_tree {
        let parent = own_columns(doctype).find(|field| field.fieldname.starts_with("parent_"));
        give("tree_parent_column", &parent.expect("a tree has a column for the parent").fieldname);
    }
    if doctype.is_nested_set {
        give("tree_left_column", "lft");
        give("tree_right_column", "rgt");
    }
    // What Frappe puts into a new document's links, docperm does where it is asked to.
    if case.actions.iter().any(|action| action.op == "insert" && action.doctype == name) {
        give("fill_defaults", "true");
    }
    format!("SELECT docperm.protect({});\n", arguments.join(", "))
}

/// Doctypes that the case refers to without having documents of them.
fn without_table(case: &Case) -> Vec<&str> {
    let linked = case.effective.doctypes.values().flat_map(|d| &d.fields).filter_map(|field| field.link_to());
    let permissions = &case.scenario.user_permissions;
    let allowed = permissions.iter().map(|permission| permission.allow.as_str());
    let applicable = permissions.iter().filter_map(|permission| permission.applicable_for.as_deref());
    let mut names: Vec<&str> = linked.chain(allowed).chain(applicable).collect();
    names.retain(|name| !case.effective.doctypes.contains_key(*name));
    names.sort();
    names.dedup();
    names
}

fn rules(case: &Case) -> String {
    let mut sql = String::new();
    for (name, doctype) in &case.effective.doctypes {
        let declared = case.scenario.doctypes.iter().find(|declared| declared.name == *name);
        let custom = declared.is_some_and(|declared| declared.custom_permissions.is_some());
        sql += &doctype.permissions.iter().map(|rule| insert_rule(name, rule, custom)).collect::<String>();
        if custom {
            let standard = declared.into_iter().flat_map(|declared| &declared.permissions);
            sql += &standard.map(|rule| insert_rule(name, rule, false)).collect::<String>();
        }
    }
    sql
}

fn insert_rule(doctype: &str, rule: &Row, custom: bool) -> String {
    let number = |key: &str| rule.get(key).and_then(Value::as_u64).unwrap_or(0);
    let granted: Vec<&str> = RIGHTS.into_iter().filter(|right| number(right) == 1).collect();
    format!(
        "INSERT INTO docperm.role_permissions (doctype, role, permlevel, if_owner, custom, rights)
         VALUES ({}, {}, {}, {}, {custom}, '{{{}}}');\n",
        literal(doctype),
        sql_value(&rule["role"]),
        number("permlevel"),
        number("if_owner") == 1,
        granted.join(",")
    )
}

fn user_permissions(case: &Case) -> String {
    let insert = |permission: &super::case::UserPermission| {
        format!(
            "INSERT INTO docperm.user_permissions
                 (user_name, allow, for_value, applicable_for, hide_descendants, is_default)
             VALUES ({}, {}, {}, {}, {}, {});\n",
            literal(&permission.user),
            literal(&permission.allow),
            literal(&permission.for_value),
            optional(permission.applicable_for.as_deref()),
            permission.hide_descendants,
            permission.is_default
        )
    };
    case.scenario.user_permissions.iter().map(insert).collect()
}

fn shares(case: &Case) -> String {
    let insert = |share: &Share| {
        let flags =
            [("read", share.read), ("write", share.write), ("submit", share.submit), ("share", share.share)];
        let rights: Vec<&str> =
            flags.into_iter().filter_map(|(right, given)| given.then_some(right)).collect();
        format!(
            "INSERT INTO docperm.shares (doctype, document, user_name, everyone, rights)
             VALUES ({}, {}, {}, {}, '{{{}}}');\n",
            literal(&share.doctype),
            literal(&share.name),
            optional(share.user.as_deref()),
            share.everyone,
            rights.join(",")
        )
    };
    case.scenario.shares.iter().map(insert).collect()
}
