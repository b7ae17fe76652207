//! The decision: who the user is, what the rules grant, to what the user is restricted, what is shared.

use std::rc::Rc;

use super::Undecidable;
use super::facts::Facts;
use super::grants::Grants;
use super::model::{Doctype, Model, Parentage, User};
use super::predicate::{ChildLink, ParentLink, Predicate, Row};
use super::roles::roles_of;
use super::user_permissions::{ChildRestriction, Demand, Examination, Restriction, ValueSet};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The Administrator, who passes always.
    Administrator,
    /// A user whose rights follow from roles, rules, user permissions and shares.
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
    /// What limits rules that grant it freely. Owner-only rules and shares are not limited by it.
    pub restrictions: Vec<Restriction>,
    /// What limits them in the rows of child tables.
    pub child_restrictions: Vec<ChildRestriction>,
    /// Documents on which a share grants it, whatever else is decided.
    pub shared: Option<Rc<ValueSet>>,
    /// It is the right `share`, and nobody has it.
    pub sharing_disabled: bool,
    /// The doctype's module, if it is closed to the user: nothing grants anything.
    pub closed_module: Option<&'a str>,
    /// For a child table: the decisions on the documents that its rows may belong to, which its rows follow.
    pub parents: Vec<ParentDecision<'a>>,
}

/// The decision on documents that rows of a child table may belong to.
#[derive(Debug)]
pub struct ParentDecision<'a> {
    /// What is decided on the document.
    pub decision: Decision<'a>,
    /// What is decided on a document of the user's own that was written just now: who creates a document creates its child
    /// rows, too. Without an owner column nobody knows whose it is.
    pub when_created: Option<Box<Decision<'a>>>,
    /// What limits the row itself when it is written, beside what limits the document.
    pub restrictions: Vec<Restriction>,
}

/// From where a question is asked, where that matters.
#[derive(Debug, Default, Clone, Copy)]
pub struct Asking<'q> {
    /// The doctype in whose form a link is picked: user permissions on the picked doctype itself count that apply to it.
    pub for_doctype: Option<&'q str>,
    /// The link ignores user permissions.
    pub ignore_user_permissions: bool,
}

/// The configuration, the user and the facts that decisions are made from.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The configuration.
    pub model: &'a Model,
    /// The user's name.
    pub name: &'a str,
    /// The user's record, if there is one.
    pub user: Option<&'a User>,
    /// Trees and shares.
    pub facts: &'a dyn Facts,
}

impl<'a> Question<'a> {
    /// Decides on the right `ptype` on `doctype`.
    pub fn decide(&self, doctype: &str, ptype: &'a str, asking: Asking) -> Result<Decision<'a>, Undecidable> {
        let doctype = self.doctype(doctype)?;
        let mut decision = self.nothing(doctype, ptype);
        let Some(user) = self.user.filter(|_| decision.standing != Standing::Disabled) else {
            return Ok(decision);
        };
        decision.roles = roles_of(self.model, user);
        if decision.standing == Standing::Ordinary {
            match &doctype.parentage {
                Some(parentage) => decision.parents = self.parents(user, doctype, parentage, ptype)?,
                None if user.is_shut_out_of(self.model, doctype) => {
                    decision.closed_module = doctype.module.as_deref();
                }
                None => self.fill(user, &mut decision, asking)?,
            }
        }
        Ok(decision)
    }

    /// A doctype's definition.
    pub(super) fn doctype(&self, name: &str) -> Result<&'a Doctype, Undecidable> {
        self.model.doctypes.get(name).ok_or_else(|| Undecidable::UnknownDoctype(name.to_owned()))
    }

    /// A decision that grants nothing yet.
    fn nothing(&self, doctype: &'a Doctype, ptype: &'a str) -> Decision<'a> {
        Decision {
            doctype,
            ptype,
            user: self.name,
            standing: standing(self.user),
            roles: vec![],
            grants: Grants::default(),
            restrictions: vec![],
            child_restrictions: vec![],
            shared: None,
            sharing_disabled: ptype == "share" && self.model.disable_document_sharing,
            closed_module: None,
            parents: vec![],
        }
    }

    fn fill(&self, user: &'a User, decision: &mut Decision<'a>, asking: Asking) -> Result<(), Undecidable> {
        let (doctype, ptype) = (decision.doctype, decision.ptype);
        if decision.sharing_disabled {
            return Ok(());
        }
        decision.grants = Grants::of(doctype, &decision.roles, ptype);
        decision.shared = self.facts.shares(&doctype.name).granting(ptype).cloned();
        if decision.grants.is_free() && !asking.ignore_user_permissions {
            let examination = self.examine(user);
            let own_name = examination.own_name(doctype, asking.for_doctype.unwrap_or(&doctype.name))?;
            decision.restrictions =
                own_name.into_iter().chain(examination.links(doctype, &doctype.name)?).collect();
            decision.child_restrictions = examination.children(doctype)?;
        }
        Ok(())
    }

    fn examine(&self, user: &'a User) -> Examination<'a> {
        Examination { model: self.model, user, facts: self.facts }
    }

    /// Rows of a child table follow their document: reading them is reading it, writing, adding or taking away one is
    /// writing it.
    fn parents(
        &self,
        user: &'a User,
        child: &'a Doctype,
        parentage: &Parentage,
        ptype: &'a str,
    ) -> Result<Vec<ParentDecision<'a>>, Undecidable> {
        let changes = matches!(ptype, "create" | "write" | "delete");
        let on_document = if changes { "write" } else { ptype };
        let mut parents = vec![];
        for doctype in self.model.doctypes.values().filter(|doctype| parentage.admits(doctype)) {
            let decision = self.decide(&doctype.name, on_document, Asking::default())?;
            let when_created = match (ptype, &doctype.owner_column) {
                ("create", Some(_)) => {
                    Some(Box::new(self.decide(&doctype.name, "create", Asking::default())?))
                }
                _ => None,
            };
            let checks_row = matches!(ptype, "create" | "write") && self.model.check_child_links;
            let restrictions =
                if checks_row { self.examine(user).links(child, &doctype.name)? } else { vec![] };
            parents.push(ParentDecision { decision, when_created, restrictions });
        }
        parents.sort_by(|a, b| a.decision.doctype.name.cmp(&b.decision.doctype.name));
        Ok(parents)
    }
}

/// Who that is.
pub(super) fn standing(user: Option<&User>) -> Standing {
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
            Standing::Ordinary if self.doctype.parentage.is_some() => {
                Predicate::any(self.parents.iter().map(|parent| self.belonging_to(parent)))
            }
            Standing::Ordinary => Predicate::any([self.limited(), self.unlimited()]),
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
                    || self.shared.is_some() && (self.ptype != "submit" || self.doctype.is_submittable())
                    || self.parents.iter().any(|parent| parent.decision.at_doctype_level())
            }
        }
    }

    /// What user permissions limit.
    pub(super) fn limited(&self) -> Predicate {
        if !self.grants.is_free() {
            return Predicate::Never;
        }
        let of_row = self.restrictions.iter().map(|restriction| self.condition(restriction));
        let of_children = self.child_restrictions.iter().map(|children| self.condition_on_children(children));
        Predicate::all(of_row.chain(of_children))
    }

    /// What user permissions do not limit: the user's own documents, and shared ones.
    fn unlimited(&self) -> Predicate {
        let shared = self.shared.as_ref().map(|names| Predicate::OneOf {
            column: self.doctype.name_column.clone(),
            target: self.doctype.name.clone(),
            values: names.clone(),
        });
        let owned = self.doctype.owner_column.as_ref().filter(|_| self.grants.is_owner_only());
        let owned = owned.map(|column| Predicate::Is { column: column.clone(), text: self.user.to_owned() });
        Predicate::any(owned.into_iter().chain(shared))
    }

    /// Whether the row is the user's own.
    pub(super) fn owns<R: Row>(&self, row: &mut R) -> Result<bool, R::Error> {
        self.doctype.owner_column.as_ref().map_or(Ok(false), |column| row.equals(column, self.user))
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

    /// What a document must satisfy for its rows in one child table to pass.
    pub fn condition_on_children(&self, children: &ChildRestriction) -> Predicate {
        let parentage = &children.parentage;
        let link = ChildLink {
            doctype: children.doctype.clone(),
            parent_column: parentage.column.clone(),
            parent_type: parentage.type_column.clone().map(|column| (column, self.doctype.name.clone())),
        };
        match Predicate::all(children.restrictions.iter().map(|restriction| self.condition(restriction))) {
            Predicate::Always => Predicate::Always,
            each => Predicate::EveryChild(link, Box::new(each)),
        }
    }

    /// The column that, beside the name, may permit a new document on whose own doctype the user is restricted: a tree
    /// grows under permitted nodes. Any other such document is refused, because its name was never permitted.
    fn parent_of_new_node(&self, restriction: &Restriction) -> Option<&str> {
        let is_own_name =
            restriction.target == self.doctype.name && restriction.column == self.doctype.name_column;
        self.doctype.tree_parent_column.as_deref().filter(|_| self.ptype == "create" && is_own_name)
    }

    /// What a row of this child table must satisfy to belong to a document on which the user has the right.
    fn belonging_to(&self, parent: &ParentDecision) -> Predicate {
        let Some(parentage) = &self.doctype.parentage else { return Predicate::Never };
        let document = &parent.decision;
        let link = |created_now| ParentLink {
            column: parentage.column.clone(),
            doctype: document.doctype.name.clone(),
            created_now,
        };
        let claims = parentage.type_column.clone().map_or(Predicate::Always, |column| Predicate::Is {
            column,
            text: document.doctype.name.clone(),
        });
        let row =
            || Predicate::all(parent.restrictions.iter().map(|restriction| document.condition(restriction)));
        let belongs = match row() {
            Predicate::Always => Predicate::parent(link(false), document.predicate()),
            row => Predicate::any([
                Predicate::all([row, Predicate::parent(link(false), document.limited())]),
                Predicate::parent(link(false), document.unlimited()),
            ]),
        };
        let created = parent.when_created.as_ref().map_or(Predicate::Never, |decision| {
            let column = decision.doctype.owner_column.clone().unwrap_or_default();
            let own = Predicate::Is { column, text: self.user.to_owned() };
            Predicate::all([
                row(),
                Predicate::parent(link(true), Predicate::all([own, decision.predicate()])),
            ])
        });
        Predicate::all([claims, Predicate::any([belongs, created])])
    }
}
