//! Which groups of columns a user may read or write.
//! (Frappe: section 6 of its behaviour.)
//!
//! Every column has a level, 0 unless it is declared otherwise. A rule of a level opens the columns of that level to its role;
//! `if_owner` does not limit that, and no level follows from another. A document that is shared with the user opens level 0.
//! Columns of a child table have levels of their own, which the rules of the *parent* doctype open.

use std::collections::BTreeSet;

use super::decide::{Standing, standing};
use super::model::{Doctype, Model, User};
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
    /// Those of `user` for the right `ptype` (`read`, `write`, `create`) on `doctype`, which for a child table is the parent's;
    /// `is_shared` tells whether a document of it is shared with the user for that right.
    pub fn of(
        model: &Model,
        doctype: &Doctype,
        user: Option<&User>,
        ptype: &str,
        is_shared: impl FnOnce() -> bool,
    ) -> Self {
        let user = match (standing(user), user) {
            (Standing::Administrator, _) => return Levels::Every,
            (Standing::Ordinary, Some(user)) => user,
            _ => return Levels::Of(BTreeSet::new()),
        };
        if doctype.rules.is_empty() {
            return Levels::Every;
        }
        // A new document is written like one that is there: rules of a higher level grant no `create`.
        let (roles, right) = (roles_of(model, user), if ptype == "create" { "write" } else { ptype });
        let opening = doctype.rules_in_force().filter(|rule| {
            let grants = |right: &str| rule.rights.iter().any(|granted| granted == right);
            roles.contains(&rule.role.as_str()) && (grants(right) || rule.permlevel == 0 && grants(ptype))
        });
        let mut levels: BTreeSet<i16> = opening.map(|rule| rule.permlevel).collect();
        if !levels.contains(&0) && is_shared() {
            levels.insert(0);
        }
        Levels::Of(levels)
    }

    /// Columns of that level are open.
    pub fn include(&self, level: i16) -> bool {
        match self {
            Levels::Every => true,
            Levels::Of(levels) => levels.contains(&level),
        }
    }
}
