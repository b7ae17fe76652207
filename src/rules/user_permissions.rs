//! To which documents a user is restricted.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::model::{ADMINISTRATOR, Doctype, GUEST, Model, StrictMode, User, UserPermission};
use super::tree::{TreeError, Trees};

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
        trees: &dyn Trees,
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
        let allowed = expand(target, &applicable, trees)?;
        self.allowed.borrow_mut().insert(key, allowed.clone());
        Ok(Some(allowed))
    }
}

fn expand(target: &str, entries: &[&UserPermission], trees: &dyn Trees) -> Result<Allowed, TreeError> {
    let Some(tree) = trees.tree(target) else {
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

/// The conditions that `user`'s permissions put on documents of `doctype`, its own name first.
pub fn restrictions(
    model: &Model,
    user: &User,
    doctype: &Doctype,
    trees: &dyn Trees,
) -> Result<Vec<Restriction>, TreeError> {
    let mut restrictions = Vec::new();
    if let Some(allowed) = user.allowed(&doctype.name, &doctype.name, trees)? {
        restrictions.push(Restriction {
            column: doctype.name_column.clone(),
            target: doctype.name.clone(),
            demand: Demand::Permitted { allowed, blank_passes: false },
        });
    }
    for link in doctype.links.iter().filter(|link| !link.ignore_user_permissions) {
        let demand = match user.allowed(&link.target, &doctype.name, trees)? {
            Some(allowed) => Demand::Permitted { allowed, blank_passes: model.strict == StrictMode::Off },
            None if is_denied_by_default(model, &link.target) => Demand::Unattainable,
            None => continue,
        };
        restrictions.push(Restriction { column: link.column.clone(), target: link.target.clone(), demand });
    }
    Ok(restrictions)
}

fn is_denied_by_default(model: &Model, target: &str) -> bool {
    model.strict == StrictMode::DenyByDefault
        && model.doctypes.get(target).is_none_or(|target| target.deny_by_default)
}
