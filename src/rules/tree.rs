//! Documents that form a tree by naming their parent.

use std::collections::HashMap;
use std::rc::Rc;

/// A tree, or several, of document names.
#[derive(Debug, Default)]
pub struct Tree {
    children: HashMap<String, Vec<String>>,
    parents: HashMap<String, String>,
}

/// A tree could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeError {
    /// Following parents from this node leads back to it.
    Cycle {
        /// The doctype whose documents should form a tree.
        doctype: String,
        /// A node on the cycle.
        node: String,
    },
}

/// Where the decision finds the trees that it needs, by doctype.
pub trait Trees {
    /// The tree of `doctype`; `None` if its documents form none.
    fn tree(&self, doctype: &str) -> Option<Rc<Tree>>;
}

impl Trees for HashMap<String, Rc<Tree>> {
    fn tree(&self, doctype: &str) -> Option<Rc<Tree>> {
        self.get(doctype).cloned()
    }
}

impl Tree {
    /// Builds a tree from nodes and their parents. A node whose parent is blank is a root.
    pub fn from_parents(nodes: impl IntoIterator<Item = (String, Option<String>)>) -> Self {
        let mut tree = Tree::default();
        for (node, parent) in nodes {
            if let Some(parent) = parent.filter(|parent| !parent.is_empty()) {
                tree.children.entry(parent.clone()).or_default().push(node.clone());
                tree.parents.insert(node, parent);
            }
        }
        tree
    }

    /// The parent of `node`, if it has one.
    pub fn parent(&self, node: &str) -> Option<&str> {
        self.parents.get(node).map(String::as_str)
    }

    /// Calls `visit` with `node` and every descendant. A node that is in no tree has no descendants.
    ///
    /// Every node has one parent, so a walk that does not end comes back to where it began; one that visits more nodes
    /// than there are has met a name twice.
    pub fn visit_subtree<'t>(
        &'t self,
        doctype: &str,
        node: &'t str,
        mut visit: impl FnMut(&'t str),
    ) -> Result<(), TreeError> {
        let mut pending = vec![node];
        let mut visits = 0;
        while let Some(current) = pending.pop() {
            visit(current);
            visits += 1;
            for child in self.children.get(current).into_iter().flatten() {
                if child == node || visits > self.parents.len() {
                    return Err(TreeError::Cycle { doctype: doctype.to_owned(), node: node.to_owned() });
                }
                pending.push(child);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(pairs: &[(&str, &str)]) -> Tree {
        Tree::from_parents(
            pairs.iter().map(|(node, parent)| ((*node).to_owned(), Some((*parent).to_owned()))),
        )
    }

    fn subtree(tree: &Tree, node: &str) -> Result<Vec<String>, TreeError> {
        let mut found = vec![];
        tree.visit_subtree("Node", node, |n| found.push(n.to_owned()))?;
        found.sort();
        Ok(found)
    }

    #[test]
    fn descendants_of_any_depth() {
        let tree = tree(&[("root", ""), ("a", "root"), ("b", "a"), ("c", "b"), ("d", "root")]);
        assert_eq!(subtree(&tree, "a").unwrap(), ["a", "b", "c"]);
        assert_eq!(subtree(&tree, "root").unwrap(), ["a", "b", "c", "d", "root"]);
        assert_eq!(subtree(&tree, "unknown").unwrap(), ["unknown"]);
    }

    #[test]
    fn a_cycle_names_the_node() {
        let tree = tree(&[("a", "b"), ("b", "a"), ("s", "s")]);
        let cycle = |node: &str| TreeError::Cycle { doctype: "Node".to_owned(), node: node.to_owned() };
        assert_eq!(subtree(&tree, "a"), Err(cycle("a")));
        assert_eq!(subtree(&tree, "s"), Err(cycle("s")));
    }
}
