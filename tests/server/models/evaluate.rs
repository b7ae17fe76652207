//! The rule's closed form, as plainly as it can be written. It shares nothing with the library.

use super::model::{Entry, Model, Row};
use super::schema::{DOC, LINE, NODE, Tree};
use std::collections::BTreeSet;

/// The document that the present transaction has inserted: its doctype and name.
pub type Created<'c> = Option<(&'c str, &'c str)>;

impl Model {
    fn roles_of(&self, user: &str) -> BTreeSet<&'static str> {
        let mut roles = BTreeSet::from(["Guest"]);
        if user != "Guest" {
            roles.insert("All");
            for &(_, role) in self.held.iter().filter(|(holder, role)| *holder == user && *role != "Off") {
                roles.insert(role);
                if role != "Portal" {
                    roles.insert("Desk User");
                }
            }
        }
        roles
    }

    /// free(p) and owner_only(p).
    fn granted(&self, user: &str, right: &str, doctype: &str) -> (bool, bool) {
        let impossible = self.is_closed(user, doctype)
            || right == "submit" && !self.is_submittable(doctype)
            || right == "import" && !self.imported.contains(doctype)
            || right == "share" && self.disable_document_sharing;
        let roles = self.roles_of(user);
        let customised = self.rules.iter().any(|rule| rule.doctype == doctype && rule.custom);
        let granting = self.rules.iter().filter(|rule| {
            !impossible
                && rule.doctype == doctype
                && rule.custom == customised
                && rule.level == 0
                && roles.contains(rule.role)
                && rule.rights.contains(right)
        });
        let (mut free, mut owner_only) = (false, false);
        for rule in granting {
            if rule.if_owner && right != "create" {
                owner_only = true;
            } else {
                free = true;
            }
        }
        (free, owner_only && !free)
    }

    /// The doctype's module is blocked for the user, and that closes it.
    fn is_closed(&self, user: &str, doctype: &str) -> bool {
        let is_blocked = self.blocked.iter().any(|&(of, module)| of == user && module == doctype);
        self.enforce_module_access && is_blocked
    }

    fn is_shared(&self, user: &str, right: &str, doctype: &str, name: &str) -> bool {
        let shared_as = if right == "print" || right == "email" { "read" } else { right };
        let is_off = right == "share" && self.disable_document_sharing || self.is_closed(user, doctype);
        !is_off
            && self.shares.iter().any(|share| {
                share.doctype == doctype
                    && share.document == name
                    && share.rights.contains(shared_as)
                    && share.user.map_or(user != "Guest", |with| with == user)
            })
    }

    pub fn is_below(&self, node: &str, top: &str) -> bool {
        let mut at = Some(node.to_owned());
        while let Some(node) = at {
            if node == top {
                return true;
            }
            at = self.find(NODE, &node).and_then(|row| row.links["up"].clone());
        }
        false
    }

    fn entries_for(&self, user: &str, target: &str, context: &str) -> Vec<&Entry> {
        let of_user = self.entries.iter().filter(|entry| entry.user == user && entry.allow == target);
        of_user.filter(|entry| entry.applicable_for.is_none_or(|only| only == context)).collect()
    }

    fn is_allowed(&self, entries: &[&Entry], target: &str, value: &str) -> bool {
        entries.iter().any(|entry| {
            entry.value == value || target == NODE && !entry.hide && self.is_below(value, &entry.value)
        })
    }

    /// The links of a row, a document's own or a line's, pass in documents of `context`.
    fn links_pass(&self, user: &str, doctype: &'static str, row: &Row, context: &str) -> bool {
        self.flavour.links(doctype).iter().all(|&(column, target)| {
            if self.ignored.contains(&(doctype, column)) {
                return true;
            }
            let entries = self.entries_for(user, target, context);
            if entries.is_empty() {
                return self.strict != "deny_by_default" || self.exempt.contains(target);
            }
            match row.links[column].as_deref() {
                None | Some("") => self.strict == "off",
                Some(value) => self.is_allowed(&entries, target, value),
            }
        })
    }

    fn belongs_to(&self, line: &Row, doctype: &str, name: &str) -> bool {
        self.flavour.parents().contains(&doctype)
            && line.parent.as_deref() == Some(name)
            && (!self.flavour.has_parent_type() || line.parent_type.as_deref() == Some(doctype))
    }

    fn up_ok(&self, user: &str, doctype: &'static str, row: &Row, is_created: bool) -> bool {
        let own = self.entries_for(user, doctype, doctype);
        if !own.is_empty() && !self.is_allowed(&own, doctype, &row.name) {
            // A tree grows under permitted nodes whose descendants are permitted.
            let open: Vec<&Entry> = own.iter().copied().filter(|entry| !entry.hide).collect();
            let grows = is_created && doctype == NODE && self.flavour.tree != Tree::NestedSet;
            let up = row.links.get("up").and_then(Option::as_deref);
            if !grows || !up.is_some_and(|up| self.is_allowed(&open, NODE, up)) {
                return false;
            }
        }
        let mut lines = self.rows[LINE].iter().filter(|line| self.belongs_to(line, doctype, &row.name));
        self.links_pass(user, doctype, row, doctype)
            && (!self.check_child_links || lines.all(|line| self.links_pass(user, LINE, line, doctype)))
    }

    /// The user has the right, and user permissions do not limit it.
    fn is_unlimited(&self, user: &str, right: &str, doctype: &str, row: &Row) -> bool {
        let (_, owner_only) = self.granted(user, right, doctype);
        owner_only && doctype == DOC && row.owner.as_deref() == Some(user)
            || self.is_shared(user, right, doctype, &row.name)
    }

    /// right(p, r), for a row that need not be in the model.
    pub fn may(&self, user: &str, right: &str, doctype: &'static str, row: &Row) -> bool {
        self.may_with(user, right, doctype, row, None)
    }

    /// The same, where a document was created in the present transaction.
    pub fn may_with(
        &self,
        user: &str,
        right: &str,
        doctype: &'static str,
        row: &Row,
        created: Created,
    ) -> bool {
        if user == "Administrator" {
            return true;
        }
        if user != "Guest" && !self.enabled.contains(user) {
            return false;
        }
        if doctype == LINE {
            return self.may_line(user, right, row, created);
        }
        let (free, _) = self.granted(user, right, doctype);
        free && self.up_ok(user, doctype, row, right == "create")
            || self.is_unlimited(user, right, doctype, row)
    }

    /// A new document does not take over lines that wait for one of its name.
    pub fn may_insert(&self, user: &str, doctype: &'static str, row: &Row) -> bool {
        let waits = self.rows[LINE].iter().any(|line| self.belongs_to(line, doctype, &row.name));
        self.may(user, "create", doctype, row) && (user == "Administrator" || !waits)
    }

    /// Rows of a child table follow their document. To change one is to write the document; and what is written into it
    /// must pass, unless nothing limits the document. Who has created a document of his own in this transaction gives it
    /// its lines, too.
    fn may_line(&self, user: &str, right: &str, line: &Row, created: Created) -> bool {
        let changes = ["create", "write", "delete"].contains(&right);
        let on_document = if changes { "write" } else { right };
        self.flavour.parents().iter().any(|&parent| {
            let Some(document) = line.parent.as_deref().and_then(|name| self.find(parent, name)) else {
                return false;
            };
            let is_checked = ["create", "write"].contains(&right) && self.check_child_links;
            let passes = !is_checked || self.links_pass(user, LINE, line, parent);
            let follows = self.may(user, on_document, parent, document)
                && (passes || self.is_unlimited(user, on_document, parent, document));
            let is_own = parent == DOC && document.owner.as_deref() == Some(user);
            let is_new = right == "create" && created == Some((parent, &document.name)) && is_own;
            self.belongs_to(line, parent, &document.name)
                && (follows || is_new && passes && self.may(user, "create", parent, document))
        })
    }

    /// The documents on which the user has the right, sorted.
    pub fn with_right(&self, user: &str, right: &str, doctype: &'static str) -> Vec<String> {
        let rows = self.rows[doctype].iter().filter(|row| self.may(user, right, doctype, row));
        let mut names: Vec<String> = rows.map(|row| row.name.clone()).collect();
        names.sort();
        names
    }
}
