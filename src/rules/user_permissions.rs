//! To which documents a user is restricted.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::facts::Facts;
use super::model::{ADMINISTRATOR, Doctype, GUEST, Model, StrictMode, User, UserPermission};
use super::model::{LinkField, Parentage};
use super::tree::TreeError;

/// A set of document names, sorted and without duplicates.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ValueSet(Vec<Box<str>>);

impl ValueSet {
    /// Whether `value` is in it, by exact comparison.
    pub fn contains(&self, value: &str) -> bool {
        self.0.binary_search_by(|known| (**known).cmp(value)).is_ok()
    }

    /// The values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|value| &**value)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Contains nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<S: Into<Box<str>>> FromIterator<S> for ValueSet {
    fn from_iter<I: IntoIterator<Item = S>>(values: I) -> Self {
        let mut values: Vec<Box<str>> = values.into_iter().map(Into::into).collect();
        values.sort_unstable();
        values.dedup();
        values.shrink_to_fit();
        ValueSet(values)
    }
}

/// What a user's entries for one doctype permit in one context.
#[derive(Debug, Clone)]
pub struct Allowed {
    /// Documents named by an entry or below a named tree node.
    pub values: Rc<ValueSet>,
    /// Those of them under which new nodes may be created: named by, or below, an entry without Hide Descendants.
    /// Empty where the doctype is no tree.
    pub open_nodes: Rc<ValueSet>,
}

/// Allowed sets by target and, where an entry is limited to one doctype, by that context. Sets that are the same for
/// every context are shared, because a user may be permitted a hundred thousand documents.
pub(super) type AllowedCache = RefCell<HashMap<(String, Option<String>), Allowed>>;

/// One condition that user permissions put on a document.
#[derive(Debug, Clone)]
pub struct Restriction {
    /// The column it is about.
    pub column: String,
    /// The doctype whose documents that column names.
    pub target: String,
    /// What the column must hold.
    pub demand: Demand,
}

/// What a [`Restriction`] demands.
#[derive(Debug, Clone)]
pub enum Demand {
    /// One of the permitted documents; or, if `blank_passes`, nothing.
    Permitted {
        /// The permitted ones.
        allowed: Allowed,
        /// A blank link is fine.
        blank_passes: bool,
    },
    /// Something that no document can have: the user has no entry for the target, and strict mode denies by default.
    Unattainable,
}

impl User {
    /// What this user's entries for `target` permit in documents of `context`; `None` where no entry applies.
    ///
    /// Entries of the Administrator and of Guest have no effect.
    pub fn allowed(
        &self,
        target: &str,
        context: &str,
        facts: &dyn Facts,
    ) -> Result<Option<Allowed>, TreeError> {
        if self.name == ADMINISTRATOR || self.name == GUEST {
            return Ok(None);
        }
        let entries = || self.user_permissions.iter().filter(|entry| &*entry.allow == target);
        let scope = entries()
            .any(|entry| entry.applicable_for.as_deref() == Some(context))
            .then(|| context.to_owned());
        let key = (target.to_owned(), scope);
        if let Some(known) = self.allowed.borrow().get(&key) {
            return Ok(Some(known.clone()));
        }
        let applicable: Vec<&UserPermission> = entries().filter(|entry| entry.applies_to(context)).collect();
        if applicable.is_empty() {
            return Ok(None);
        }
        let allowed = expand(target, &applicable, facts)?;
        self.allowed.borrow_mut().insert(key, allowed.clone());
        Ok(Some(allowed))
    }
}

fn expand(target: &str, entries: &[&UserPermission], facts: &dyn Facts) -> Result<Allowed, TreeError> {
    let Some(tree) = facts.tree(target) else {
        let values = entries.iter().map(|entry| entry.for_value.as_str()).collect();
        return Ok(Allowed { values: Rc::new(values), open_nodes: Rc::default() });
    };
    let mut open = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.hide_descendants) {
        tree.visit_subtree(target, &entry.for_value, |node| open.push(node))?;
    }
    let lone = entries.iter().map(|entry| entry.for_value.as_str());
    let values = open.iter().copied().chain(lone).collect();
    Ok(Allowed { values: Rc::new(values), open_nodes: Rc::new(open.into_iter().collect()) })
}

/// What the rows of a child table must satisfy for their parent document to pass.
#[derive(Debug, Clone)]
pub struct ChildRestriction {
    /// The child doctype.
    pub doctype: String,
    /// How its rows name the document.
    pub parentage: Parentage,
    /// The conditions on each of its rows.
    pub restrictions: Vec<Restriction>,
}

/// For whom and where user permissions are looked at.
#[derive(Clone, Copy)]
pub struct Examination<'a> {
    /// The configuration.
    pub model: &'a Model,
    /// The user.
    pub user: &'a User,
    /// Trees and shares.
    pub facts: &'a dyn Facts,
}

impl Examination<'_> {
    /// The condition on the name of documents of `doctype`, for which entries count that apply to `context`.
    pub fn own_name(&self, doctype: &Doctype, context: &str) -> Result<Option<Restriction>, TreeError> {
        let allowed = self.user.allowed(&doctype.name, context, self.facts)?;
        Ok(allowed.map(|allowed| Restriction {
            column: doctype.name_column.clone(),
            target: doctype.name.clone(),
            demand: Demand::Permitted { allowed, blank_passes: false },
        }))
    }

    /// The conditions on the links of a row of `doctype`; entries count that apply to `context`, which for a child row is
    /// the doctype of its parent.
    pub fn links(&self, doctype: &Doctype, context: &str) -> Result<Vec<Restriction>, TreeError> {
        let links = doctype.links.iter().filter(|link| !link.ignore_user_permissions);
        links.filter_map(|link| self.link(link, context).transpose()).collect()
    }

    /// The conditions on the child rows of documents of `doctype`; none where no child column is restricted.
    pub fn children(&self, doctype: &Doctype) -> Result<Vec<ChildRestriction>, TreeError> {
        if !self.model.check_child_links {
            return Ok(vec![]);
        }
        let mut found = vec![];
        for child in self.model.doctypes.values() {
            let Some(parentage) = child.parentage.as_ref().filter(|parentage| parentage.admits(doctype))
            else {
                continue;
            };
            let restrictions = self.links(child, &doctype.name)?;
            if !restrictions.is_empty() {
                let (doctype, parentage) = (child.name.clone(), parentage.clone());
                found.push(ChildRestriction { doctype, parentage, restrictions });
            }
        }
        found.sort_by(|a, b| a.doctype.cmp(&b.doctype));
        Ok(found)
    }

    /// Whether the user, who is no administrator but may restrict others, may permit them a document: only what he is
    /// permitted himself, in every doctype that the new entry would apply to, and with what is below it. Otherwise two such
    /// users would free each other.
    pub fn may_permit(
        &self,
        target: &Doctype,
        for_value: &str,
        applicable_for: Option<&str>,
        hide_descendants: bool,
    ) -> Result<bool, TreeError> {
        let entries = self.user.user_permissions.iter().filter(|entry| *entry.allow == *target.name);
        // The empty name stands for all doctypes that no entry is limited to.
        let contexts = match applicable_for {
            Some(only) => vec![only],
            None => entries.filter_map(|entry| entry.applicable_for.as_deref()).chain([""]).collect(),
        };
        let is_tree = target.tree_parent_column.is_some() || target.nested_set.is_some();
        for context in contexts {
            let permitted = match self.user.allowed(&target.name, context, self.facts)? {
                Some(allowed) if is_tree && !hide_descendants => allowed.open_nodes.contains(for_value),
                Some(allowed) => allowed.values.contains(for_value),
                None => !self.is_denied_by_default(&target.name),
            };
            if !permitted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn link(&self, link: &LinkField, context: &str) -> Result<Option<Restriction>, TreeError> {
        let demand = match self.user.allowed(&link.target, context, self.facts)? {
            Some(allowed) => {
                let blank_passes = self.model.strict == StrictMode::Off;
                Demand::Permitted { allowed, blank_passes }
            }
            None if self.is_denied_by_default(&link.target) => Demand::Unattainable,
            None => return Ok(None),
        };
        Ok(Some(Restriction { column: link.column.clone(), target: link.target.clone(), demand }))
    }

    fn is_denied_by_default(&self, target: &str) -> bool {
        self.model.strict == StrictMode::DenyByDefault
            && self.model.doctypes.get(target).is_none_or(|target| target.deny_by_default)
    }
}
