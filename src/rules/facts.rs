//! What a decision needs to know beside the configuration and the user's record, looked up only where it matters.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::tree::Tree;
use super::user_permissions::ValueSet;

/// Where the decision about one user finds trees and shares.
pub trait Facts {
    /// The tree that documents of `doctype` form; `None` if they form none.
    fn tree(&self, doctype: &str) -> Option<Rc<Tree>>;
    /// What is shared with the user among documents of `doctype`.
    fn shares(&self, doctype: &str) -> Rc<Shares>;
}

/// Documents of one doctype that are shared with one user, by right.
#[derive(Debug, Default)]
pub struct Shares(BTreeMap<String, Rc<ValueSet>>);

impl Shares {
    /// From single shares: a document and the rights on it.
    pub fn new<'s>(shares: impl IntoIterator<Item = (&'s str, &'s [String])>) -> Self {
        let mut documents: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (document, rights) in shares {
            for right in rights {
                documents.entry(right).or_default().push(document);
            }
        }
        let by_right = documents.into_iter();
        Shares(
            by_right.map(|(right, names)| (right.to_owned(), Rc::new(names.into_iter().collect()))).collect(),
        )
    }

    /// The documents on which a share grants `ptype`. Whoever may read may print and send; of the other rights that roles
    /// grant, only reading, writing, submitting and sharing can be shared.
    pub fn granting(&self, ptype: &str) -> Option<&Rc<ValueSet>> {
        let shared_as = match ptype {
            "print" | "email" => "read",
            other => other,
        };
        self.0.get(shared_as)
    }
}

/// Facts as plain values, for tests.
#[derive(Debug, Default)]
pub struct PlainFacts {
    /// Trees by doctype.
    pub trees: HashMap<String, Rc<Tree>>,
    /// The user's shares by doctype.
    pub shares: HashMap<String, Rc<Shares>>,
}

impl Facts for PlainFacts {
    fn tree(&self, doctype: &str) -> Option<Rc<Tree>> {
        self.trees.get(doctype).cloned()
    }

    fn shares(&self, doctype: &str) -> Rc<Shares> {
        self.shares.get(doctype).cloned().unwrap_or_default()
    }
}
