//! Models by chance, all of which docperm accepts.

use super::model::{Entry, Model, RIGHTS, ROLES, Row, Rule, Share, USERS};
use super::schema::{DOC, DOCTYPES, FLAVOURS, LINE, NODE, OTHER};
use crate::chance::Chance;
use std::collections::{BTreeMap, BTreeSet};

const RULE_ROLES: [&str; 8] = ["Reader", "Reader", "Writer", "Portal", "Off", "All", "Guest", "Desk User"];

impl Model {
    /// The model with that number, which also decides on its flavour.
    pub fn generate(number: u64) -> Model {
        let mut chance = Chance(number);
        let chance = &mut chance;
        let mut model = Model {
            number,
            flavour: &FLAVOURS[usize::try_from(number % FLAVOURS.len() as u64).unwrap()],
            enabled: USERS.into_iter().filter(|_| !chance.once_in(20)).collect(),
            held: BTreeSet::new(),
            rules: vec![],
            entries: vec![],
            shares: vec![],
            strict: chance.of(&["off", "off", "blank_links", "deny_by_default"]),
            check_child_links: !chance.once_in(3),
            disable_document_sharing: chance.once_in(4),
            enforce_module_access: chance.once_in(2),
            blocked: BTreeSet::new(),
            exempt: chance.some(&DOCTYPES, 2).into_iter().collect(),
            ignored: BTreeSet::new(),
            imported: chance.some(&DOCTYPES, 2).into_iter().collect(),
            rows: BTreeMap::new(),
        };
        for user in USERS {
            model.held.extend(chance.some(&ROLES, 2).into_iter().map(|role| (user, role)));
        }
        for user in USERS.into_iter().chain(["Guest"]) {
            let blocked = DOCTYPES.into_iter().filter(|_| chance.once_in(8));
            model.blocked.extend(blocked.map(|doctype| (user, doctype)));
        }
        for doctype in DOCTYPES {
            for &(column, _) in model.flavour.links(doctype) {
                // A tree's own links restrict only where somebody says so.
                if if column == "up" { !chance.once_in(4) } else { chance.once_in(5) } {
                    model.ignored.insert((doctype, column));
                }
            }
        }
        model.fill(chance);
        model.make_rules(chance);
        for _ in 0..chance.below(7) {
            model.make_entry(chance);
        }
        for _ in 0..chance.below(6) {
            model.make_share(chance);
        }
        model
    }

    fn fill(&mut self, chance: &mut Chance) {
        self.rows = DOCTYPES.into_iter().map(|doctype| (doctype, vec![])).collect();
        for (doctype, amount) in [(OTHER, 4), (NODE, 12), (DOC, 12), (LINE, 20)] {
            // Now and then there is hardly anything.
            let amount = if chance.once_in(15) { chance.below(3) } else { amount };
            for number in 0..amount {
                let mut row = self.some_row(chance, doctype);
                row.name = self.flavour.name(doctype, number);
                self.rows.get_mut(doctype).unwrap().push(row);
            }
        }
    }

    /// A row without a name. What it links to mostly exists.
    pub fn some_row(&self, chance: &mut Chance, doctype: &'static str) -> Row {
        let mut row = Row::default();
        for &(column, target) in self.flavour.links(doctype) {
            row.links.insert(column, self.some_value(chance, doctype, column, target));
        }
        match doctype {
            // Among those that are there already, so that there is no cycle.
            NODE => {
                let up = if chance.once_in(4) { None } else { self.some_name(chance, NODE) };
                row.links.insert("up", up);
            }
            DOC => row.owner = self.some_owner(chance),
            LINE => {
                row.parent_type = self.some_parent_type(chance);
                let kind = row.parent_type.as_deref();
                let parent = self.flavour.parents().iter().find(|parent| Some(**parent) == kind);
                row.parent = self.some_value(chance, LINE, "parent", parent.unwrap_or(&DOC));
            }
            _ => {}
        }
        row
    }

    pub fn some_owner(&self, chance: &mut Chance) -> Option<String> {
        let owners =
            [Some("ann@x"), Some("ann@x"), Some("bob@x"), Some("kim@x"), Some("Ann@x"), Some(""), None];
        chance.of(&owners).map(str::to_owned)
    }

    pub fn some_parent_type(&self, chance: &mut Chance) -> Option<String> {
        let types = [DOC, DOC, DOC, DOC, NODE, OTHER, LINE, "", "doc"].map(Some);
        if chance.once_in(20) { None } else { chance.of(&types).map(str::to_owned) }
    }

    /// What a column that names documents of `target` may hold.
    pub fn some_value(
        &self,
        chance: &mut Chance,
        doctype: &str,
        column: &str,
        target: &'static str,
    ) -> Option<String> {
        match chance.below(12) {
            0 => None,
            1 if self.flavour.is_text(doctype, column) => Some(String::new()),
            2 => Some(self.flavour.name(target, 99)),
            // Names that a key may be unable to hold, or would write otherwise.
            3 if self.flavour.is_text(doctype, column) => {
                Some(chance.of(&["no name", "01", " 1", "1.0", "+1", "99999999999999999999"]).to_owned())
            }
            _ => self.some_name(chance, target),
        }
    }

    pub fn some_name(&self, chance: &mut Chance, doctype: &str) -> Option<String> {
        let rows = &self.rows[doctype];
        if rows.is_empty() { None } else { Some(rows[chance.below(rows.len())].name.clone()) }
    }

    fn make_rules(&mut self, chance: &mut Chance) {
        for doctype in DOCTYPES {
            let mut made = BTreeSet::new();
            let customised = chance.once_in(4);
            for _ in 0..chance.below(5) {
                let (role, if_owner) = (chance.of(&RULE_ROLES), chance.once_in(3));
                let custom = customised && chance.once_in(2);
                if !made.insert((role, if_owner, custom)) {
                    continue;
                }
                let rights = self.some_rights(chance, doctype, custom && if_owner);
                self.rules.push(Rule { doctype, role, level: 0, if_owner, custom, rights });
                if chance.once_in(4) && made.insert((role, if_owner, custom)) || chance.once_in(5) {
                    let mut rights = BTreeSet::from([chance.of(&["select", "read", "write"])]);
                    rights.extend(chance.some(&["read", "write", "delete", "print"], 2));
                    let level = 1;
                    let same = |rule: &Rule| {
                        (rule.doctype, rule.role, rule.level, rule.if_owner, rule.custom)
                            == (doctype, role, level, if_owner, custom)
                    };
                    if !self.rules.iter().any(same) {
                        self.rules.push(Rule { doctype, role, level, if_owner, custom, rights });
                    }
                }
            }
        }
    }

    /// Rights that do not contradict each other.
    fn some_rights(&self, chance: &mut Chance, doctype: &str, no_report: bool) -> BTreeSet<&'static str> {
        let mut rights: BTreeSet<&str> = chance.some(&RIGHTS, 2).into_iter().collect();
        if !chance.once_in(4) {
            rights.insert("read");
        }
        let mut drop_unless = |holds: bool, without: &[&str]| {
            if !holds {
                rights.retain(|right| !without.contains(right));
            }
        };
        drop_unless(self.is_submittable(doctype), &["submit", "amend"]);
        drop_unless(!no_report, &["report"]);
        for (granted, needed) in [
            ("submit", "write"),
            ("cancel", "submit"),
            ("amend", "write"),
            ("amend", "create"),
            ("import", "create"),
        ] {
            if !rights.contains(needed) {
                rights.remove(granted);
            }
        }
        if !["select", "read", "write", "create"].iter().any(|right| rights.contains(right)) {
            rights.insert("read");
        }
        rights
    }

    fn make_entry(&mut self, chance: &mut Chance) {
        let (user, allow) = (chance.of(&USERS), chance.of(&[NODE, NODE, NODE, OTHER, DOC]));
        let value = self.some_name(chance, allow).filter(|_| !chance.once_in(12));
        let value = value.unwrap_or_else(|| self.flavour.name(allow, 99));
        let applicable_for = if chance.once_in(3) { Some(chance.of(&DOCTYPES)) } else { None };
        let same = |entry: &Entry| {
            (entry.user, entry.allow, &entry.value, entry.applicable_for)
                == (user, allow, &value, applicable_for)
        };
        if !self.entries.iter().any(same) {
            self.entries.push(Entry { user, allow, value, applicable_for, hide: chance.once_in(3) });
        }
    }

    fn make_share(&mut self, chance: &mut Chance) {
        let doctype = chance.of(&[DOC, DOC, DOC, NODE, OTHER]);
        let Some(document) = self.some_name(chance, doctype) else { return };
        let user = if chance.once_in(4) { None } else { Some(chance.of(&USERS)) };
        // Read comes with every right, write with submit.
        let mut rights: BTreeSet<&str> = BTreeSet::from(["read"]);
        rights.extend(chance.some(&["write", "share", "approve"], 2));
        if self.is_submittable(doctype) && chance.once_in(3) {
            rights.extend(["write", "submit"]);
        }
        let same = |share: &Share| (share.doctype, &share.document, share.user) == (doctype, &document, user);
        if !self.shares.iter().any(same) {
            self.shares.push(Share { doctype, document, user, rights });
        }
    }
}
