//! Which groups of columns a user may read or write.
//! (Frappe: section 6 of its behaviour.)
//!
//! Every column has a level, 0 unless it is declared otherwise. A rule of a level opens the columns of that level to its role;
//! `if_owner` does not limit that, and no level follows from another. A document that is shared with the user opens level 0.
//! Columns of a child table have levels of their own, which the rules of the *parent* doctype open; where rows may belong to
//! several doctypes, a level is open if each of those opens it whose rows the user may have: the other rows are hidden.

use std::collections::BTreeSet;

use super::Undecidable;
use super::decide::{Asking, Question, Standing, standing};
use super::model::{Doctype, Parentage, User};
use super::predicate::Predicate;
use super::roles::roles_of;

/// The levels that are open to one user for one right on one doctype.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Levels {
    /// Every level: the Administrator, and doctypes without any rule.
    Every,
    /// These.
    Of(BTreeSet<i16>),
}

impl Levels {
    /// Columns of that level are open.
    pub fn include(&self, level: i16) -> bool {
        match self {
            Levels::Every => true,
            Levels::Of(levels) => levels.contains(&level),
        }
    }

    /// The levels that are in both.
    fn and(self, other: Levels) -> Levels {
        match (self, other) {
            (Levels::Every, levels) | (levels, Levels::Every) => levels,
            (Levels::Of(a), Levels::Of(b)) => Levels::Of(a.intersection(&b).copied().collect()),
        }
    }
}

/// A column that is not open to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedColumn {
    /// The column.
    pub column: String,
    /// Its level.
    pub level: i16,
}

impl Question<'_> {
    /// The levels that are open to the user for the right `ptype` (`read`, `write`, `create`) on `doctype`.
    pub fn levels(&self, doctype: &str, ptype: &str) -> Result<Levels, Undecidable> {
        let doctype = self.doctype(doctype)?;
        let user = match (standing(self.user), self.user) {
            (Standing::Administrator, _) => return Ok(Levels::Every),
            (Standing::Ordinary, Some(user)) => user,
            _ => return Ok(Levels::Of(BTreeSet::new())),
        };
        match &doctype.parentage {
            Some(parentage) => self.levels_of_parents(user, parentage, ptype),
            None => Ok(self.levels_of(user, doctype, ptype)),
        }
    }

    /// The columns above level 0 that are closed to the user for the right `ptype`, in the order of their names.
    ///
    /// Of a doctype whose columns are all of level 0 nothing is asked. Those of level 0 are not told: who has no right on
    /// documents of level 0 has no document.
    pub fn closed_columns(&self, doctype: &str, ptype: &str) -> Result<Vec<ClosedColumn>, Undecidable> {
        let definition = self.doctype(doctype)?;
        if !definition.has_levels() {
            return Ok(vec![]);
        }
        let levels = self.levels(doctype, ptype)?;
        let closed = definition
            .fields
            .iter()
            .filter(|(_, field)| field.permlevel > 0 && !levels.include(field.permlevel));
        Ok(closed
            .map(|(column, field)| ClosedColumn { column: column.clone(), level: field.permlevel })
            .collect())
    }

    fn levels_of(&self, user: &User, doctype: &Doctype, ptype: &str) -> Levels {
        if doctype.rules.is_empty() {
            return Levels::Every;
        }
        // A new document is written like one that is there: rules of a higher level grant no `create`.
        let (roles, right) = (roles_of(self.model, user), if ptype == "create" { "write" } else { ptype });
        let opening = doctype.rules_in_force().filter(|rule| {
            let grants = |right: &str| rule.rights.iter().any(|granted| granted == right);
            roles.contains(&rule.role.as_str()) && (grants(right) || rule.permlevel == 0 && grants(ptype))
        });
        let mut levels: BTreeSet<i16> = opening.map(|rule| rule.permlevel).collect();
        if !levels.contains(&0) && self.facts.shares(&doctype.name).granting(right).is_some() {
            levels.insert(0);
        }
        Levels::Of(levels)
    }

    fn levels_of_parents(
        &self,
        user: &User,
        parentage: &Parentage,
        ptype: &str,
    ) -> Result<Levels, Undecidable> {
        let mut common: Option<Levels> = None;
        for parent in self.model.doctypes.values().filter(|doctype| parentage.admits(doctype)) {
            if self.has_documents_of(&parent.name, ptype)? {
                let levels = self.levels_of(user, parent, ptype);
                common = Some(match common {
                    Some(others) => others.and(levels),
                    None => levels,
                });
            }
        }
        Ok(common.unwrap_or_else(|| Levels::Of(BTreeSet::new())))
    }

    /// Whether there may be documents of that doctype whose child rows the user may read, or write.
    fn has_documents_of(&self, parent: &str, ptype: &str) -> Result<bool, Undecidable> {
        // Who creates a document creates its child rows.
        let rights: &[&'static str] = if ptype == "read" { &["read"] } else { &["write", "create"] };
        for right in rights {
            let decision = self.decide(parent, right, Asking::default())?;
            if !matches!(decision.predicate(), Predicate::Never) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
#[path = "levels_test.rs"]
mod levels_test;
