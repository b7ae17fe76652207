//! The decision: who the user is, what the rules grant, to what the user is restricted.

use super::Undecidable;
use super::grants::Grants;
use super::model::{Doctype, Model, User};
use super::predicate::Predicate;
use super::roles::roles_of;
use super::tree::Trees;
use super::user_permissions::{Demand, Restriction, restrictions};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The Administrator, who passes always.
    Administrator,
    /// A user whose rights follow from roles, rules and user permissions.
    Ordinary,
    /// Disabled: no right at all.
    Disabled,
    /// There is no such user (any more): no right at all.
    Unknown,
}

/// Whether a user has a right on documents of a doctype, on which, and why.
#[derive(Debug)]
pub struct Decision<'a> {
    /// The doctype that was asked about.
    pub doctype: &'a Doctype,
    /// The right that was asked about.
    pub ptype: &'a str,
    /// The name of the user.
    pub user: &'a str,
    /// Who that is.
    pub standing: Standing,
    /// The user's roles.
    pub roles: Vec<&'a str>,
    /// The rules that grant the right.
    pub grants: Grants<'a>,
    /// What limits rules that grant it freely. Owner-only rules are not limited by it.
    pub restrictions: Vec<Restriction>,
}

/// Decides whether the user named `name`, with this record if there is one, has the right `ptype` on `doctype`.
pub fn decide<'a>(
    model: &'a Model,
    name: &'a str,
    user: Option<&'a User>,
    doctype: &str,
    ptype: &'a str,
    trees: &dyn Trees,
) -> Result<Decision<'a>, Undecidable> {
    let doctype =
        model.doctypes.get(doctype).ok_or_else(|| Undecidable::UnknownDoctype(doctype.to_owned()))?;
    let mut decision = Decision {
        doctype,
        ptype,
        user: name,
        standing: standing(user),
        roles: vec![],
        grants: Grants::default(),
        restrictions: vec![],
    };
    let Some(user) = user.filter(|_| decision.standing != Standing::Disabled) else { return Ok(decision) };
    decision.roles = roles_of(model, user);
    if decision.standing == Standing::Ordinary {
        decision.grants = Grants::of(doctype, &decision.roles, ptype);
        if decision.grants.is_free() {
            decision.restrictions = restrictions(model, user, doctype, trees)?;
        }
    }
    Ok(decision)
}

fn standing(user: Option<&User>) -> Standing {
    match user {
        None => Standing::Unknown,
        Some(user) if user.is_administrator() => Standing::Administrator,
        Some(user) if !user.enabled => Standing::Disabled,
        Some(_) => Standing::Ordinary,
    }
}

impl Decision<'_> {
    /// What a row must satisfy for the user to have the right on it.
    pub fn predicate(&self) -> Predicate {
        match self.standing {
            Standing::Administrator => Predicate::Always,
            Standing::Disabled | Standing::Unknown => Predicate::Never,
            Standing::Ordinary if self.grants.is_free() => {
                Predicate::all(self.restrictions.iter().map(|restriction| self.condition(restriction)))
            }
            Standing::Ordinary if self.grants.is_owner_only() => self.owned(),
            Standing::Ordinary => Predicate::Never,
        }
    }

    /// The answer without a document: may the user have the right on some document?
    ///
    /// As in Frappe, a right that is limited to owners answers yes only for `read` and `select`, so that lists open.
    pub fn at_doctype_level(&self) -> bool {
        match self.standing {
            Standing::Administrator => true,
            Standing::Disabled | Standing::Unknown => false,
            Standing::Ordinary => {
                self.grants.is_free()
                    || self.grants.is_owner_only() && matches!(self.ptype, "read" | "select")
            }
        }
    }

    /// What a row must satisfy to pass one restriction.
    pub fn condition(&self, restriction: &Restriction) -> Predicate {
        let Demand::Permitted { allowed, blank_passes } = &restriction.demand else {
            return Predicate::Never;
        };
        let names_one = |column: &str, values| Predicate::OneOf {
            column: column.to_owned(),
            target: restriction.target.clone(),
            values,
        };
        let permitted = names_one(&restriction.column, allowed.values.clone());
        if *blank_passes {
            return Predicate::any([permitted, Predicate::Blank { column: restriction.column.clone() }]);
        }
        match self.parent_of_new_node(restriction) {
            Some(parent) => Predicate::any([permitted, names_one(parent, allowed.open_nodes.clone())]),
            None => permitted,
        }
    }

    /// The column that, beside the name, may permit a new document on whose own doctype the user is restricted: a tree
    /// grows under permitted nodes. Any other such document is refused, because its name was never permitted.
    fn parent_of_new_node(&self, restriction: &Restriction) -> Option<&str> {
        let is_own_name =
            restriction.target == self.doctype.name && restriction.column == self.doctype.name_column;
        self.doctype.tree_parent_column.as_deref().filter(|_| self.ptype == "create" && is_own_name)
    }

    fn owned(&self) -> Predicate {
        match &self.doctype.owner_column {
            Some(column) => Predicate::OwnedBy { column: column.clone(), user: self.user.to_owned() },
            None => Predicate::Never,
        }
    }
}
