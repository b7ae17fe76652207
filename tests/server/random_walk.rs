//! A random walk over identities, permissions and rows, held against a naive evaluator.
//!
//! The evaluator below is written from the closed form of the rule and shares nothing with the library. Every walk
//! prints its seed; `DOCPERM_SEED` repeats one, `DOCPERM_STEPS` makes walks longer.

use crate::chance::Chance;
use crate::support::{World, attempt, literal, names, refused, set_user, sorted, table, texts};
use postgres::{Client, Statement};
use std::collections::{BTreeMap, BTreeSet};

const USERS: [&str; 3] = ["ann@erp.test", "bob@erp.test", "kim@erp.test"];
const ROLES: [&str; 4] = ["Reader", "Writer", "Portal", "System Manager"];
/// Roles that rules may name: also those that nobody is given.
const RULE_ROLES: [&str; 7] = ["Reader", "Writer", "Portal", "System Manager", "All", "Guest", "Desk User"];
const RIGHTS: [&str; 5] = ["read", "write", "create", "delete", "select"];
const MODES: [&str; 3] = ["off", "blank_links", "deny_by_default"];

/// A doctype and its columns that are links, with their targets.
struct Kind {
    doctype: &'static str,
    table: &'static str,
    has_owner: bool,
    links: &'static [(&'static str, &'static str)],
}

const KINDS: [Kind; 4] = [
    Kind { doctype: "Company", table: "company", has_owner: false, links: &[("parent", "Company")] },
    Kind { doctype: "Territory", table: "territory", has_owner: false, links: &[] },
    Kind {
        doctype: "Doc",
        table: "doc",
        has_owner: true,
        links: &[("company", "Company"), ("billed", "Company"), ("territory", "Territory")],
    },
    Kind {
        doctype: "Note",
        table: "note",
        has_owner: false,
        links: &[("doc", "Doc"), ("territory", "Territory")],
    },
];

const SCHEMA: &str = "
    CREATE TABLE company   (name text PRIMARY KEY, parent text REFERENCES company);
    CREATE TABLE territory (name text PRIMARY KEY);
    CREATE TABLE doc  (name text PRIMARY KEY, owner text, company text, billed text, territory text);
    CREATE TABLE note (name text PRIMARY KEY, doc text, territory text);
    SELECT docperm.protect('company', 'Company', tree_parent_column => 'parent');
    SELECT docperm.protect('territory', 'Territory');
    SELECT docperm.protect('doc', 'Doc', owner_column => 'owner');
    SELECT docperm.protect('note', 'Note');
    SELECT docperm.set_field('Doc', 'company', link_to => 'Company');
    SELECT docperm.set_field('Doc', 'billed', link_to => 'Company');
    SELECT docperm.set_field('Doc', 'territory', link_to => 'Territory');
    SELECT docperm.set_field('Note', 'doc', link_to => 'Doc');
    SELECT docperm.set_field('Note', 'territory', link_to => 'Territory');
    INSERT INTO docperm.roles (name, desk_access) VALUES ('Reader', true), ('Writer', true), ('Portal', false);
    INSERT INTO docperm.users (name) VALUES ('ann@erp.test'), ('bob@erp.test'), ('kim@erp.test');";

// The model

#[derive(Clone, Debug)]
struct Row {
    owner: Option<String>,
    links: BTreeMap<&'static str, Option<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RuleKey {
    doctype: &'static str,
    role: &'static str,
    level: i32,
    if_owner: bool,
    custom: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    user: &'static str,
    allow: &'static str,
    value: String,
    applicable_for: Option<&'static str>,
    hide: bool,
}

#[derive(Clone, Debug)]
struct Model {
    enabled: BTreeMap<&'static str, bool>,
    held: BTreeSet<(&'static str, &'static str)>,
    disabled_roles: BTreeSet<&'static str>,
    desk_roles: BTreeSet<&'static str>,
    rules: BTreeMap<RuleKey, BTreeSet<&'static str>>,
    entries: BTreeMap<i64, Entry>,
    strict: &'static str,
    exempt: BTreeSet<&'static str>,
    ignored: BTreeSet<(&'static str, &'static str)>,
    rows: BTreeMap<(&'static str, String), Row>,
    mapped: Option<&'static str>,
    next_entry: i64,
}

fn kind(doctype: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.doctype == doctype).unwrap()
}

impl Model {
    fn roles_of(&self, user: &str) -> BTreeSet<&'static str> {
        let mut roles = BTreeSet::from(["Guest"]);
        if user == "Guest" {
            return roles;
        }
        roles.insert("All");
        for &(holder, role) in &self.held {
            if holder == user && !self.disabled_roles.contains(role) {
                roles.insert(role);
                if self.desk_roles.contains(role) {
                    roles.insert("Desk User");
                }
            }
        }
        roles
    }

    /// free(p) and "some rule with if_owner grants p", in this order.
    fn granted(&self, user: &str, doctype: &str, right: &str) -> (bool, bool) {
        let roles = self.roles_of(user);
        let customised = self.rules.keys().any(|rule| rule.doctype == doctype && rule.custom);
        let (mut free, mut if_owner) = (false, false);
        for (rule, rights) in &self.rules {
            let counts = rule.doctype == doctype
                && rule.custom == customised
                && rule.level == 0
                && roles.contains(rule.role)
                && rights.contains(right);
            free |= counts && !rule.if_owner;
            if_owner |= counts && rule.if_owner;
        }
        (free, if_owner)
    }

    fn below(&self, company: &str, top: &str) -> bool {
        let mut at = Some(company.to_owned());
        while let Some(node) = at {
            if node == top {
                return true;
            }
            at = self.rows.get(&("Company", node)).and_then(|row| row.links["parent"].clone());
        }
        false
    }

    /// Entries for `target` that count in `doctype`; nobody has entries under the name Guest.
    fn entries_for(&self, user: &str, target: &str, doctype: &str) -> Vec<&Entry> {
        self.entries
            .values()
            .filter(|entry| entry.user == user && entry.allow == target)
            .filter(|entry| entry.applicable_for.is_none_or(|only| only == doctype))
            .collect()
    }

    fn allows(&self, entries: &[&Entry], target: &str, value: &str) -> bool {
        entries.iter().any(|entry| {
            entry.value == value || target == "Company" && !entry.hide && self.below(value, &entry.value)
        })
    }

    fn up_ok(&self, user: &str, doctype: &'static str, name: &str, row: &Row, creating: bool) -> bool {
        let own = self.entries_for(user, doctype, doctype);
        if !own.is_empty() && !self.allows(&own, doctype, name) {
            let open: Vec<&Entry> = own.iter().copied().filter(|entry| !entry.hide).collect();
            let parent = row.links.get("parent").cloned().flatten();
            let grows =
                creating && doctype == "Company" && parent.is_some_and(|p| self.allows(&open, doctype, &p));
            if !grows {
                return false;
            }
        }
        for &(column, target) in kind(doctype).links {
            if self.ignored.contains(&(doctype, column)) {
                continue;
            }
            let entries = self.entries_for(user, target, doctype);
            if entries.is_empty() {
                if self.strict == "deny_by_default" && !self.exempt.contains(target) {
                    return false;
                }
                continue;
            }
            match row.links[column].as_deref().filter(|value| !value.is_empty()) {
                None if self.strict == "off" => {}
                None => return false,
                Some(value) if self.allows(&entries, target, value) => {}
                Some(_) => return false,
            }
        }
        true
    }

    fn right(&self, user: &str, right: &str, doctype: &'static str, name: &str, row: &Row) -> bool {
        if user == "Administrator" {
            return true;
        }
        if user != "Guest" && !self.enabled[user] {
            return false;
        }
        let (free, if_owner) = self.granted(user, doctype, right);
        if right == "create" {
            return (free || if_owner) && self.up_ok(user, doctype, name, row, true);
        }
        let owned = kind(doctype).has_owner && row.owner.as_deref() == Some(user);
        free && self.up_ok(user, doctype, name, row, false) || !free && if_owner && owned
    }

    fn with_right(&self, user: &str, right: &str, doctype: &'static str) -> Vec<String> {
        let rows = self.rows.iter().filter(|((of, _), _)| *of == doctype);
        rows.filter(|((_, name), row)| self.right(user, right, doctype, name, row))
            .map(|((_, name), _)| name.clone())
            .collect()
    }
}

// Chance

// Changes

fn sql_text(value: Option<&str>) -> String {
    value.map_or("NULL".to_owned(), literal)
}

impl Model {
    /// A change of permissions or rows: the SQL for it, and the model afterwards.
    fn change(&self, chance: &mut Chance) -> (String, Model) {
        loop {
            let mut after = self.clone();
            if let Some(sql) = after.try_change(chance) {
                return (sql, after);
            }
        }
    }

    fn try_change(&mut self, chance: &mut Chance) -> Option<String> {
        let user = chance.of(&USERS);
        let role = chance.of(&ROLES);
        let flag = chance.once_in(2);
        Some(match chance.below(20) {
            0..4 => self.grant(chance, user)?,
            4..6 => {
                let id = self.some_entry(chance)?;
                self.entries.remove(&id);
                format!("DELETE FROM docperm.user_permissions WHERE id = {id}")
            }
            6 => {
                let id = self.some_entry(chance)?;
                let entry = self.entries.get_mut(&id)?;
                entry.hide = !entry.hide;
                format!(
                    "UPDATE docperm.user_permissions SET hide_descendants = {} WHERE id = {id}",
                    entry.hide
                )
            }
            7..9 => {
                let (user_name, role_name) = (literal(user), literal(role));
                if self.held.remove(&(user, role)) {
                    format!(
                        "DELETE FROM docperm.user_roles WHERE user_name = {user_name} AND role = {role_name}"
                    )
                } else {
                    self.held.insert((user, role));
                    format!(
                        "INSERT INTO docperm.user_roles (user_name, role) VALUES ({user_name}, {role_name})"
                    )
                }
            }
            9 => {
                // System Manager stays as it is.
                let role = chance.of(&ROLES[..3]);
                let set = if flag { &mut self.disabled_roles } else { &mut self.desk_roles };
                let now = if set.remove(role) { false } else { set.insert(role) };
                let column = if flag { "disabled" } else { "desk_access" };
                format!("UPDATE docperm.roles SET {column} = {now} WHERE name = {}", literal(role))
            }
            10 => {
                let enabled = self.enabled.get_mut(user)?;
                *enabled = !*enabled;
                format!("UPDATE docperm.users SET enabled = {enabled} WHERE name = {}", literal(user))
            }
            11..14 => self.rule(chance),
            14 => {
                let rule = self.rules.keys().nth(chance.below(self.rules.len().max(1)))?.clone();
                if !self.can_do_without(&rule) {
                    return None;
                }
                self.rules.remove(&rule);
                let RuleKey { doctype, role, level, if_owner, custom } = rule;
                format!(
                    "DELETE FROM docperm.role_permissions WHERE doctype = {} AND role = {} AND permlevel = {level}
                     AND if_owner = {if_owner} AND custom = {custom}",
                    literal(doctype),
                    literal(role)
                )
            }
            15 => {
                self.strict = chance.of(&MODES);
                format!("UPDATE docperm.settings SET strict_user_permissions = {}", literal(self.strict))
            }
            16 => {
                let doctype = chance.of(&KINDS.map(|kind| kind.doctype));
                let denied = if self.exempt.remove(doctype) { true } else { !self.exempt.insert(doctype) };
                format!(
                    "UPDATE docperm.doctypes SET deny_by_default = {denied} WHERE name = {}",
                    literal(doctype)
                )
            }
            17 => {
                let kind = &KINDS[chance.below(KINDS.len())];
                let (column, _) = *kind.links.get(chance.below(kind.links.len().max(1)))?;
                let field = (kind.doctype, column);
                let ignored = if self.ignored.remove(&field) { false } else { self.ignored.insert(field) };
                format!(
                    "UPDATE docperm.doctype_fields SET ignore_user_permissions = {ignored}
                     WHERE doctype = {} AND column_name = {}",
                    literal(kind.doctype),
                    literal(column)
                )
            }
            18 if flag && chance.once_in(4) => {
                self.entries.clear();
                "TRUNCATE docperm.user_permissions".to_owned()
            }
            18 => {
                self.mapped = chance.of(&[Some(USERS[0]), Some(USERS[1]), Some("Administrator"), None]);
                let mapped = self.mapped.map_or(String::new(), |user| {
                    format!("; UPDATE docperm.users SET db_role = 'MAPPED' WHERE name = {}", literal(user))
                });
                format!("UPDATE docperm.users SET db_role = NULL WHERE db_role = 'MAPPED'{mapped}")
            }
            _ => self.edit(chance)?,
        })
    }

    fn some_entry(&self, chance: &mut Chance) -> Option<i64> {
        self.entries.keys().nth(chance.below(self.entries.len().max(1))).copied()
    }

    fn grant(&mut self, chance: &mut Chance, user: &'static str) -> Option<String> {
        let allow = chance.of(&["Company", "Company", "Territory", "Doc"]);
        let value = if chance.once_in(12) { "gone".to_owned() } else { self.some_name(chance, allow) };
        let applicable_for =
            if chance.once_in(3) { Some(chance.of(&KINDS.map(|kind| kind.doctype))) } else { None };
        let hide = chance.once_in(3);
        let same = |entry: &Entry| {
            (entry.user, entry.allow, &entry.value, entry.applicable_for)
                == (user, allow, &value, applicable_for)
        };
        if self.entries.values().any(same) {
            return None;
        }
        self.next_entry += 1;
        let id = self.next_entry;
        let sql = format!(
            "INSERT INTO docperm.user_permissions (id, user_name, allow, for_value, applicable_for, hide_descendants)
             VALUES ({id}, {}, {}, {}, {}, {hide})",
            literal(user),
            literal(allow),
            literal(&value),
            sql_text(applicable_for)
        );
        self.entries.insert(id, Entry { user, allow, value, applicable_for, hide });
        Some(sql)
    }

    fn rule(&mut self, chance: &mut Chance) -> String {
        let mut rights: BTreeSet<&'static str> = RIGHTS.into_iter().filter(|_| chance.once_in(2)).collect();
        rights.insert(chance.of(&RIGHTS));
        let mut key = RuleKey {
            doctype: chance.of(&["Doc", "Doc", "Doc", "Note", "Company", "Territory"]),
            role: chance.of(&RULE_ROLES),
            level: 0,
            if_owner: chance.once_in(3),
            custom: chance.once_in(10),
        };
        // What docperm would refuse is not tried here: a rule that opens nothing, a level without level 0.
        if chance.once_in(8) && self.has_level_0(&key) {
            key.level = 1;
            rights.retain(|right| ["select", "read", "write"].contains(right));
        }
        if !rights.iter().any(|right| ["select", "read", "write", "create"].contains(right)) {
            rights.insert("read");
        }
        let listed = rights.iter().copied().collect::<Vec<_>>().join(",");
        let sql = format!(
            "INSERT INTO docperm.role_permissions (doctype, role, permlevel, if_owner, custom, rights)
             VALUES ({}, {}, {}, {}, {}, '{{{listed}}}')
             ON CONFLICT (doctype, role, permlevel, if_owner, custom) DO UPDATE SET rights = excluded.rights",
            literal(key.doctype),
            literal(key.role),
            key.level,
            key.if_owner,
            key.custom
        );
        self.rules.insert(key, rights);
        sql
    }

    /// There is a rule of level 0, other than `key`, that a rule of a higher level could stand beside.
    fn has_level_0(&self, key: &RuleKey) -> bool {
        self.rules.keys().any(|rule| {
            rule.level == 0
                && rule != key
                && (rule.doctype, rule.role, rule.custom) == (key.doctype, key.role, key.custom)
        })
    }

    /// docperm lets go of the rule: it is neither the last of level 0 beside one of a higher level, nor the last custom one.
    fn can_do_without(&self, rule: &RuleKey) -> bool {
        let same_set = |other: &&RuleKey| {
            (other.doctype, other.role, other.custom) == (rule.doctype, rule.role, rule.custom)
        };
        let carries_level_1 =
            rule.level == 0 && self.rules.keys().filter(same_set).any(|other| other.level > 0);
        let customs = self.rules.keys().filter(|other| other.doctype == rule.doctype && other.custom).count();
        (!carries_level_1 || self.has_level_0(rule)) && (!rule.custom || customs > 1)
    }

    fn some_name(&self, chance: &mut Chance, doctype: &'static str) -> String {
        let names: Vec<&String> =
            self.rows.keys().filter(|(of, _)| *of == doctype).map(|(_, name)| name).collect();
        names[chance.below(names.len())].clone()
    }

    fn some_value(&self, chance: &mut Chance, target: &'static str) -> Option<String> {
        match chance.below(6) {
            0 => None,
            1 if target == "Territory" => Some(String::new()),
            _ => Some(self.some_name(chance, target)),
        }
    }

    /// A change of one column of one row: its table, its name, the column and the new value.
    fn some_edit(
        &self,
        chance: &mut Chance,
    ) -> Option<(&'static Kind, String, &'static str, Option<String>)> {
        let kind = &KINDS[chance.of(&[0, 2, 2, 2, 3])];
        let name = self.some_name(chance, kind.doctype);
        if kind.has_owner && chance.once_in(4) {
            let owner =
                chance.of(&[Some(USERS[0]), Some(USERS[1]), Some(USERS[2]), Some("Ann@erp.test"), None]);
            return Some((kind, name, "owner", owner.map(str::to_owned)));
        }
        let (column, target) = kind.links[chance.below(kind.links.len())];
        let value = self.some_value(chance, target);
        // A tree stays a tree.
        let cycle = column == "parent" && value.as_deref().is_some_and(|value| self.below(value, &name));
        if cycle { None } else { Some((kind, name, column, value)) }
    }

    fn edit(&mut self, chance: &mut Chance) -> Option<String> {
        let (kind, name, column, value) = self.some_edit(chance)?;
        let sql = format!(
            "UPDATE {} SET {column} = {} WHERE name = {}",
            kind.table,
            sql_text(value.as_deref()),
            literal(&name)
        );
        let row = self.rows.get_mut(&(kind.doctype, name))?;
        *row = edited(row, column, value);
        Some(sql)
    }
}

fn edited(row: &Row, column: &'static str, value: Option<String>) -> Row {
    let mut row = row.clone();
    if column == "owner" {
        row.owner = value;
    } else {
        row.links.insert(column, value);
    }
    row
}

// Connections

/// A connection on which somebody acts, with one statement a doctype prepared in two ways.
struct Seat {
    client: Client,
    prepared: Vec<Statement>,
    acting: Option<&'static str>,
    /// Acts as the mapped user when nobody was said to act.
    is_mapped: bool,
    /// Passes row security; asks by calling `permits` as a plain function.
    is_superuser: bool,
}

impl Seat {
    fn new(mut client: Client, is_mapped: bool, is_superuser: bool, max_inline_values: usize) -> Seat {
        client
            .batch_execute(&format!(
                "SELECT docperm.whoami(); SET plan_cache_mode = force_generic_plan;
                 SET docperm.max_inline_values = {max_inline_values};"
            ))
            .unwrap();
        let mut prepared = Vec::new();
        for kind in &KINDS {
            let query = if is_superuser {
                format!(
                    "SELECT name FROM {} t WHERE docperm.permits(t.*, (SELECT {}), 'read')",
                    kind.table,
                    literal(kind.doctype)
                )
            } else {
                format!("SELECT name FROM {}", kind.table)
            };
            client.batch_execute(&format!("PREPARE {} AS {query}", kind.table)).unwrap();
            prepared.push(client.prepare(&query).unwrap());
        }
        Seat { client, prepared, acting: None, is_mapped, is_superuser }
    }

    fn who(&self, model: &Model) -> &'static str {
        self.acting.or(if self.is_mapped { model.mapped } else { None }).unwrap_or("Guest")
    }

    /// Every form of asking for one doctype gives what the evaluator says.
    fn check(&mut self, model: &Model, which: usize, also_answers: bool) {
        let kind = &KINDS[which];
        let user = self.who(model);
        let expected = model.with_right(user, "read", kind.doctype);
        let execute = format!("EXECUTE {}", kind.table);
        let told = |how: &str, found: Vec<String>| {
            assert_eq!(found, expected, "{how} for {user} on {}\n{model:#?}", kind.doctype);
        };
        told("EXECUTE", names(&mut self.client, &execute));
        let rows = self.client.query(&self.prepared[which], &[]).unwrap();
        told("a prepared statement", sorted(rows.iter().map(|row| row.get(0)).collect()));
        if !self.is_superuser {
            told("SELECT", names(&mut self.client, &format!("SELECT name FROM {}", kind.table)));
        }
        if also_answers {
            for right in ["read", "write", "delete"] {
                let held = model.with_right(user, right, kind.doctype);
                let listed = format!(
                    "SELECT document FROM docperm.permitted_documents({}) WHERE {} = ANY (rights)",
                    literal(kind.doctype),
                    literal(right)
                );
                let found = names(&mut self.client, &listed);
                let both: Vec<String> = held.iter().filter(|name| expected.contains(name)).cloned().collect();
                assert_eq!(found, both, "permitted_documents, {right}, {user}, {}\n{model:#?}", kind.doctype);
                let all: Vec<String> = model
                    .rows
                    .keys()
                    .filter(|(of, _)| *of == kind.doctype)
                    .map(|(_, name)| literal(name))
                    .collect();
                let has = format!(
                    "SELECT n FROM unnest(ARRAY[{}]) n WHERE docperm.has_permission({}, {}, n)",
                    all.join(", "),
                    literal(kind.doctype),
                    literal(right)
                );
                let found = names(&mut self.client, &has);
                assert_eq!(found, held, "has_permission, {right}, {user}, {}\n{model:#?}", kind.doctype);
            }
        }
    }

    /// Tries to write a row; the outcome is what the evaluator says, and nothing of it stays.
    fn try_write(&mut self, model: &Model, chance: &mut Chance) {
        if self.is_superuser {
            return;
        }
        let user = self.who(model);
        let Some((kind, name, column, value)) = model.some_edit(chance) else { return };
        let old = &model.rows[&(kind.doctype, name.clone())];
        let new = edited(old, column, value.clone());
        let (d, n) = (kind.doctype, literal(&name));
        let has = |right: &str, name: &str, row: &Row| model.right(user, right, d, name, row);
        let touched = |done: bool| Some(u64::from(done));
        // What each command comes to: rows touched, or None for a refusal.
        let (sql, expected) = match chance.below(3) {
            0 => {
                let set = sql_text(value.as_deref());
                let visible = has("read", &name, old) && has("write", &name, old);
                let stays = has("read", &name, &new) && has("write", &name, &new);
                // The owner stays who he is.
                let is_given_away = new.owner != old.owner;
                let expected = if visible && (!stays || is_given_away) { None } else { touched(visible) };
                (format!("UPDATE {} SET {column} = {set} WHERE name = {n}", kind.table), expected)
            }
            1 => {
                // Whoever refers to the row keeps it in place, so that companies are left alone.
                if d == "Company" {
                    return;
                }
                let gone = has("read", &name, old) && has("delete", &name, old);
                (format!("DELETE FROM {} WHERE name = {n}", kind.table), touched(gone))
            }
            _ => {
                let mut columns = vec!["name".to_owned()];
                let mut values = vec![literal("new")];
                for (link, value) in &new.links {
                    columns.push((*link).to_owned());
                    values.push(sql_text(value.as_deref()));
                }
                if kind.has_owner {
                    columns.push("owner".to_owned());
                    values.push(sql_text(new.owner.as_deref()));
                }
                let (columns, values) = (columns.join(", "), values.join(", "));
                // Whoever makes a document owns it.
                let stamped = Row { owner: Some(user.to_owned()), ..new.clone() };
                let expected = has("create", "new", &stamped).then_some(1);
                (format!("INSERT INTO {} ({columns}) VALUES ({values})", kind.table), expected)
            }
        };
        self.client.batch_execute("BEGIN").unwrap();
        let found = match attempt(&mut self.client, &sql) {
            Ok(messages) => messages.iter().find_map(|message| match message {
                postgres::SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
                _ => None,
            }),
            Err(error) => {
                assert_eq!(error.sqlstate, "42501", "{sql}: {error:?}");
                None
            }
        };
        self.client.batch_execute("ROLLBACK").unwrap();
        assert_eq!(found, expected, "{user}: {sql}\n{model:#?}");
    }
}

// The walk

fn furnish(w: &mut World, chance: &mut Chance) -> Model {
    let mut model = Model {
        enabled: USERS.into_iter().map(|user| (user, true)).collect(),
        held: BTreeSet::new(),
        disabled_roles: BTreeSet::new(),
        desk_roles: BTreeSet::from(["Reader", "Writer", "System Manager"]),
        rules: BTreeMap::new(),
        entries: BTreeMap::new(),
        strict: "off",
        exempt: BTreeSet::new(),
        ignored: BTreeSet::from([("Company", "parent")]),
        rows: BTreeMap::new(),
        mapped: None,
        next_entry: 0,
    };
    for (kind, amount) in KINDS.iter().zip([8, 4, 24, 10]) {
        for i in 0..amount {
            let name = format!("{}{i}", &kind.table[..1]);
            let mut row = Row { owner: None, links: BTreeMap::new() };
            for &(column, target) in kind.links {
                let value = if column == "parent" {
                    (i > 1).then(|| format!("c{}", chance.below(i)))
                } else {
                    model.some_value(chance, target)
                };
                row.links.insert(column, value);
            }
            let mut columns = vec!["name"];
            let mut values = vec![literal(&name)];
            if kind.has_owner {
                row.owner = chance.of(&[Some(USERS[0]), Some(USERS[1]), None]).map(str::to_owned);
                columns.push("owner");
                values.push(sql_text(row.owner.as_deref()));
            }
            for (column, value) in &row.links {
                columns.push(column);
                values.push(sql_text(value.as_deref()));
            }
            w.sql(&format!(
                "INSERT INTO {} ({}) VALUES ({})",
                kind.table,
                columns.join(", "),
                values.join(", ")
            ));
            model.rows.insert((kind.doctype, name), row);
        }
    }
    model
}

fn walk(seed: u64) {
    println!("DOCPERM_SEED={seed}");
    let steps =
        std::env::var("DOCPERM_STEPS").map_or(200, |steps| steps.parse().expect("DOCPERM_STEPS: a number"));
    let mut chance = Chance(seed);
    let mut w = World::new(SCHEMA);
    let mapped = w.db.login_role("mapped");
    w.sql(&format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {mapped};
         GRANT EXECUTE ON FUNCTION docperm.set_user(text, boolean) TO {mapped};"
    ));
    let mut model = furnish(&mut w, &mut chance);
    let mut seats = [
        Seat::new(w.app(), false, false, 1000),
        Seat::new(w.app(), false, false, 2),
        Seat::new(w.db.connect_as(&mapped), true, false, 1000),
        Seat::new(w.db.admin(), false, true, 1000),
    ];
    let apply = |model: &Model, chance: &mut Chance| {
        let (sql, after) = model.change(chance);
        (sql.replace("MAPPED", &mapped), after)
    };
    // So that the walk does not begin with two hundred empty answers.
    for _ in 0..25 {
        let (sql, after) = apply(&model, &mut chance);
        w.sql(&sql);
        model = after;
    }
    for step in 0..steps {
        let seat = &mut seats[chance.below(4)];
        let anybody = chance.of(&[
            Some(USERS[0]),
            Some(USERS[1]),
            Some(USERS[2]),
            Some("Administrator"),
            Some("Guest"),
            None,
        ]);
        match chance.below(10) {
            0..3 => {
                let Some(user) = anybody else {
                    println!("{step}: nobody in particular");
                    table(&mut seat.client, "SELECT docperm.set_user(NULL, false)");
                    seat.acting = None;
                    continue;
                };
                println!("{step}: {user}");
                if model.enabled.get(user) == Some(&false) {
                    let switch = format!("SELECT docperm.set_user({}, false)", literal(user));
                    assert_eq!(refused(&mut seat.client, &switch).sqlstate, "28000");
                } else {
                    set_user(&mut seat.client, user);
                    seat.acting = Some(user);
                }
            }
            3 => {
                let user = anybody.filter(|user| model.enabled.get(user) != Some(&false)).unwrap_or("Guest");
                let end = chance.of(&["COMMIT", "ROLLBACK"]);
                println!("{step}: {user} until {end}");
                let before = seat.acting;
                seat.client.batch_execute("BEGIN").unwrap();
                table(&mut seat.client, &format!("SELECT docperm.set_user({})", literal(user)));
                seat.acting = Some(user);
                seat.check(&model, chance.below(KINDS.len()), false);
                seat.client.batch_execute(end).unwrap();
                seat.acting = before;
            }
            4..7 => {
                let (sql, after) = apply(&model, &mut chance);
                println!("{step}: {sql}");
                w.sql(&sql);
                model = after;
            }
            7 => {
                let (sql, _) = apply(&model, &mut chance);
                println!("{step}: {sql}; ROLLBACK");
                w.sql("BEGIN");
                w.sql(&sql);
                if !sql.starts_with("TRUNCATE") {
                    seat.check(&model, chance.below(KINDS.len()), false);
                }
                w.sql("ROLLBACK");
            }
            _ => {
                println!("{step}: a write");
                seat.try_write(&model, &mut chance);
            }
        }
        let also_answers = chance.once_in(8);
        seats[chance.below(4)].check(&model, chance.below(KINDS.len()), also_answers);
        if step % 20 == 19 {
            for seat in &mut seats {
                for which in 0..KINDS.len() {
                    seat.check(&model, which, true);
                }
            }
        }
    }
    assert_eq!(texts(&mut w.admin, "SELECT count(*) FROM doc"), ["24"]);
}

#[test]
fn a_walk_that_is_always_the_same() {
    walk(20_260_101);
}

#[test]
fn a_walk_that_nobody_took_before() {
    let seed = std::env::var("DOCPERM_SEED").map_or_else(
        |_| std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64,
        |seed| seed.parse().expect("DOCPERM_SEED: a number"),
    );
    walk(seed);
}
