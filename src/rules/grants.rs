//! What the rules of a doctype grant to a set of roles.

use super::model::{Doctype, Rule};

/// The rules that grant one right to one user, apart by what they demand of the document.
#[derive(Debug, Default)]
pub struct Grants<'a> {
    /// Rules that grant it on every document.
    pub free: Vec<&'a Rule>,
    /// Rules that grant it on the user's own documents.
    pub if_owner: Vec<&'a Rule>,
}

impl<'a> Grants<'a> {
    /// The level-0 rules in force that grant `ptype` to one of `roles`.
    ///
    /// A right that the doctype cannot have is granted by nothing: `submit` without a lifecycle, `import` where it is not
    /// allowed. `create` is never limited to owners: who creates is the owner.
    pub fn of(doctype: &'a Doctype, roles: &[&str], ptype: &str) -> Self {
        let mut grants = Grants::default();
        if ptype == "submit" && !doctype.is_submittable() || ptype == "import" && !doctype.allow_import {
            return grants;
        }
        for rule in doctype.rules_in_force() {
            if rule.grants(ptype) && roles.contains(&rule.role.as_str()) {
                if rule.if_owner && ptype != "create" { &mut grants.if_owner } else { &mut grants.free }
                    .push(rule);
            }
        }
        grants
    }

    /// Granted without regard to the owner.
    pub fn is_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// Granted, but only on own documents.
    pub fn is_owner_only(&self) -> bool {
        self.free.is_empty() && !self.if_owner.is_empty()
    }
}
