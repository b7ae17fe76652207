//! A model: permissions and rows. How it is written into its database, and how it reads.

use super::schema::{DOC, DOCTYPES, Flavour, LINE, NODE, table_of};
use crate::support::literal;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Formatter, Result};

pub const USERS: [&str; 3] = ["ann@x", "bob@x", "kim@x"];
pub const EVERYBODY: [&str; 5] = ["ann@x", "bob@x", "kim@x", "Guest", "Administrator"];
/// Roles that can be given. Portal gives no access to the desk, Off is disabled.
pub const ROLES: [&str; 4] = ["Reader", "Writer", "Portal", "Off"];
/// Every right there is, the last of which is no standard one.
pub const RIGHTS: [&str; 16] = [
    "select",
    "read",
    "write",
    "create",
    "delete",
    "submit",
    "cancel",
    "amend",
    "report",
    "export",
    "import",
    "share",
    "print",
    "email",
    "set_user_permissions",
    "approve",
];

#[derive(Clone, Debug, Default)]
pub struct Row {
    pub name: String,
    pub owner: Option<String>,
    /// By column. A node has `up` in every flavour; it is a column where the tree has one.
    pub links: BTreeMap<&'static str, Option<String>>,
    /// Of a line: the name and the doctype of its document.
    pub parent: Option<String>,
    pub parent_type: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub doctype: &'static str,
    pub role: &'static str,
    pub level: i32,
    pub if_owner: bool,
    pub custom: bool,
    pub rights: BTreeSet<&'static str>,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub user: &'static str,
    pub allow: &'static str,
    pub value: String,
    pub applicable_for: Option<&'static str>,
    pub hide: bool,
}

#[derive(Clone, Debug)]
pub struct Share {
    pub doctype: &'static str,
    pub document: String,
    /// Everyone, if nobody.
    pub user: Option<&'static str>,
    pub rights: BTreeSet<&'static str>,
}

#[derive(Clone)]
pub struct Model {
    pub number: u64,
    pub flavour: &'static Flavour,
    pub enabled: BTreeSet<&'static str>,
    pub held: BTreeSet<(&'static str, &'static str)>,
    pub rules: Vec<Rule>,
    pub entries: Vec<Entry>,
    pub shares: Vec<Share>,
    pub strict: &'static str,
    pub check_child_links: bool,
    pub disable_document_sharing: bool,
    pub enforce_module_access: bool,
    /// Doctypes whose module is blocked for a user. Each is a module of its own.
    pub blocked: BTreeSet<(&'static str, &'static str)>,
    /// Doctypes with `deny_by_default = false`.
    pub exempt: BTreeSet<&'static str>,
    /// Links with `ignore_user_permissions`.
    pub ignored: BTreeSet<(&'static str, &'static str)>,
    /// Doctypes with `allow_import`.
    pub imported: BTreeSet<&'static str>,
    pub rows: BTreeMap<&'static str, Vec<Row>>,
}

/// An SQL literal, or NULL.
pub fn sql_text(value: Option<&str>) -> String {
    value.map_or("NULL".to_owned(), literal)
}

/// A list for a braced array literal or for reading.
fn listed<'t>(values: impl IntoIterator<Item = &'t &'static str>) -> String {
    values.into_iter().copied().collect::<Vec<_>>().join(",")
}

impl Model {
    pub fn is_submittable(&self, doctype: &str) -> bool {
        doctype == DOC && self.flavour.submittable
    }

    pub fn find(&self, doctype: &str, name: &str) -> Option<&Row> {
        self.rows[doctype].iter().find(|row| row.name == name)
    }

    /// Columns of a row's table and what the row holds in them.
    pub fn cells(&self, doctype: &str, row: &Row) -> (String, String) {
        let mut columns = vec!["name"];
        let mut values = vec![literal(&row.name)];
        let mut add = |column, value: Option<&str>| {
            columns.push(column);
            values.push(sql_text(value));
        };
        for (column, _) in self.flavour.links(doctype) {
            add(column, row.links[column].as_deref());
        }
        if doctype == DOC {
            add("owner", row.owner.as_deref());
        }
        if doctype == LINE {
            add("parent", row.parent.as_deref());
            if self.flavour.has_parent_type() {
                add("parent_type", row.parent_type.as_deref());
            }
        }
        (columns.join(", "), values.join(", "))
    }

    /// One transaction that makes the database hold this model and nothing else.
    pub fn sql(&self) -> String {
        let mut sql = String::from(
            "BEGIN;
             DELETE FROM docperm.shares; DELETE FROM docperm.user_permissions; DELETE FROM docperm.user_roles;
             DELETE FROM docperm.role_permissions; DELETE FROM docperm.user_blocked_modules;
             DELETE FROM doc_line; DELETE FROM doc; DELETE FROM node; DELETE FROM other;",
        );
        let truth = |yes: bool| if yes { "true" } else { "false" };
        sql += &format!(
            "UPDATE docperm.settings SET strict_user_permissions = '{}', check_child_links = {}, disable_document_sharing = {},
                                         enforce_module_access = {};
             UPDATE docperm.doctypes SET deny_by_default = name <> ALL ('{{{}}}'), allow_import = true, module = name;
             UPDATE docperm.users SET enabled = name = ANY ('{{{}}}') WHERE name LIKE '%@x';
             UPDATE docperm.doctype_fields SET ignore_user_permissions = doctype || '.' || column_name = ANY ('{{{}}}');",
            self.strict,
            self.check_child_links,
            self.disable_document_sharing,
            self.enforce_module_access,
            listed(&self.exempt),
            listed(&self.enabled),
            self.ignored.iter().map(|(of, column)| format!("{of}.{column}")).collect::<Vec<_>>().join(","),
        );
        let mut insert = |table: &str, columns: &str, rows: Vec<String>| {
            if !rows.is_empty() {
                sql += &format!("INSERT INTO {table} ({columns}) VALUES ({});", rows.join("), ("));
            }
        };
        for doctype in DOCTYPES {
            let cells: Vec<_> = self.rows[doctype].iter().map(|row| self.cells(doctype, row)).collect();
            let columns = cells.first().map_or(String::new(), |(columns, _)| columns.clone());
            insert(table_of(doctype), &columns, cells.into_iter().map(|(_, values)| values).collect());
        }
        let held = self.held.iter().map(|(user, role)| format!("'{user}', '{role}'"));
        insert("docperm.user_roles", "user_name, role", held.collect());
        let blocked = self.blocked.iter().map(|(user, module)| format!("'{user}', '{module}'"));
        insert("docperm.user_blocked_modules", "user_name, module", blocked.collect());
        let rules = self.rules.iter().map(|rule| {
            let Rule { doctype, role, level, if_owner, custom, rights } = rule;
            format!("'{doctype}', '{role}', {level}, {if_owner}, {custom}, '{{{}}}'", listed(rights))
        });
        insert(
            "docperm.role_permissions",
            "doctype, role, permlevel, if_owner, custom, rights",
            rules.collect(),
        );
        let entries = self.entries.iter().map(|entry| {
            let (value, only) = (literal(&entry.value), sql_text(entry.applicable_for));
            format!("'{}', '{}', {value}, {only}, {}", entry.user, entry.allow, truth(entry.hide))
        });
        let columns = "user_name, allow, for_value, applicable_for, hide_descendants";
        insert("docperm.user_permissions", columns, entries.collect());
        let shares = self.shares.iter().map(|share| {
            let (document, user) = (literal(&share.document), sql_text(share.user));
            format!(
                "'{}', {document}, {user}, {}, '{{{}}}'",
                share.doctype,
                truth(share.user.is_none()),
                listed(&share.rights)
            )
        });
        insert("docperm.shares", "doctype, document, user_name, everyone, rights", shares.collect());
        if self.flavour.has_bounds() && !self.rows[NODE].is_empty() {
            let bounds = self.bounds().into_iter();
            let bounds = bounds.map(|(name, left, right)| format!("({}, {left}, {right})", literal(name)));
            sql += &format!(
                "UPDATE node SET lft = v.lft, rgt = v.rgt FROM (VALUES {}) v (name, lft, rgt) WHERE node.name::text = v.name;",
                bounds.collect::<Vec<_>>().join(", ")
            );
        }
        // A rule may say import from a time when that was possible.
        sql += &format!(
            "UPDATE docperm.doctypes SET allow_import = false WHERE name <> ALL ('{{{}}}');",
            listed(&self.imported)
        );
        sql + "COMMIT;"
    }

    /// The nodes with the bounds that their place in the tree gives them.
    fn bounds(&self) -> Vec<(&str, i32, i32)> {
        fn visit<'m>(
            model: &'m Model,
            up: Option<&str>,
            next: &mut i32,
            found: &mut Vec<(&'m str, i32, i32)>,
        ) {
            for row in model.rows[NODE].iter().filter(|row| row.links["up"].as_deref() == up) {
                let left = *next;
                *next += 1;
                visit(model, Some(&row.name), next, found);
                found.push((&row.name, left, *next));
                *next += 1;
            }
        }
        let mut found = vec![];
        visit(self, None, &mut 1, &mut found);
        found
    }
}

impl Display for Model {
    fn fmt(&self, out: &mut Formatter) -> Result {
        writeln!(
            out,
            "strict {}, check_child_links {}, disable_document_sharing {}",
            self.strict, self.check_child_links, self.disable_document_sharing
        )?;
        writeln!(
            out,
            "enabled {}; exempt {}; imported {}; ignored {:?}",
            listed(&self.enabled),
            listed(&self.exempt),
            listed(&self.imported),
            self.ignored
        )?;
        for (user, role) in &self.held {
            writeln!(out, "{user} is {role}")?;
        }
        if self.enforce_module_access {
            writeln!(out, "closed modules {:?}", self.blocked)?;
        }
        for rule in &self.rules {
            let level = if rule.level > 0 { format!(" level {}", rule.level) } else { String::new() };
            let (own, custom) =
                (if rule.if_owner { " if owner" } else { "" }, if rule.custom { " custom" } else { "" });
            writeln!(
                out,
                "rule on {} for {}{level}{own}{custom}: {}",
                rule.doctype,
                rule.role,
                listed(&rule.rights)
            )?;
        }
        for entry in &self.entries {
            let only = entry.applicable_for.map_or(String::new(), |only| format!(" in {only}"));
            let hide = if entry.hide { ", hides descendants" } else { "" };
            writeln!(out, "{} is restricted to {} {}{only}{hide}", entry.user, entry.allow, entry.value)?;
        }
        for share in &self.shares {
            let user = share.user.unwrap_or("everyone");
            writeln!(
                out,
                "{} {} is shared with {user}: {}",
                share.doctype,
                share.document,
                listed(&share.rights)
            )?;
        }
        for doctype in DOCTYPES {
            for row in &self.rows[doctype] {
                let (columns, values) = self.cells(doctype, row);
                let up = match row.links.get("up") {
                    Some(up) if doctype == NODE => format!(" below {}", up.as_deref().unwrap_or("nothing")),
                    _ => String::new(),
                };
                writeln!(out, "{} ({columns}) = ({values}){up}", table_of(doctype))?;
            }
        }
        writeln!(out, "Again: DOCPERM_SEED={} DOCPERM_MODELS=1", self.number)
    }
}
