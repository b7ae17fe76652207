//! Documents that form a tree.

use std::collections::{HashMap, HashSet};

/// A tree, or several, of document names.
#[derive(Debug)]
pub enum Tree {
    /// Nodes name their parents.
    Parents(ParentTree),
    /// Nodes have bounds, and a descendant's lie within.
    NestedSet(NestedSet),
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
    /// Two documents have this name.
    Ambiguous {
        /// The doctype whose documents should form a tree.
        doctype: String,
        /// The name.
        node: String,
    },
}

impl Tree {
    /// A tree from nodes and their parents. A node whose parent is blank is a root.
    pub fn from_parents(nodes: impl IntoIterator<Item = (String, Option<String>)>) -> Self {
        let mut tree = ParentTree::default();
        for (node, parent) in nodes {
            let parent = parent.filter(|parent| !parent.is_empty());
            if let Some(parent) = &parent {
                tree.children.entry(parent.clone()).or_default().push(node.clone());
            }
            if tree.parents.insert(node.clone(), parent).is_some() {
                tree.ambiguous.insert(node);
            }
        }
        Tree::Parents(tree)
    }

    /// A tree from nodes and their bounds. A node without bounds has no descendants and is nobody's.
    pub fn from_bounds(nodes: impl IntoIterator<Item = (String, Option<i64>, Option<i64>)>) -> Self {
        let mut nodes: Vec<Bounded> = nodes
            .into_iter()
            .filter_map(|(name, left, right)| Some(Bounded { left: left?, right: right?, name }))
            .collect();
        nodes.sort_by_key(|node| node.left);
        let places = nodes.iter().enumerate().map(|(place, node)| (node.name.clone(), place)).collect();
        Tree::NestedSet(NestedSet { nodes, places })
    }

    /// The node that `node` is directly below, if there is one.
    pub fn parent(&self, node: &str) -> Option<&str> {
        match self {
            Tree::Parents(tree) => tree.parents.get(node)?.as_deref(),
            Tree::NestedSet(set) => set.parent(node),
        }
    }

    /// Calls `visit` with `node` and every descendant. A node that is in no tree has no descendants.
    pub fn visit_subtree<'t>(
        &'t self,
        doctype: &str,
        node: &'t str,
        visit: impl FnMut(&'t str),
    ) -> Result<(), TreeError> {
        match self {
            Tree::Parents(tree) => tree.visit_subtree(doctype, node, visit),
            Tree::NestedSet(set) => {
                set.visit_subtree(node, visit);
                Ok(())
            }
        }
    }
}

/// Nodes that name their parents.
#[derive(Debug, Default)]
pub struct ParentTree {
    children: HashMap<String, Vec<String>>,
    parents: HashMap<String, Option<String>>,
    ambiguous: HashSet<String>,
}

impl ParentTree {
    /// Every node has one parent, so a walk that does not end comes back to where it began. A node with two is an error, or
    /// who may add documents could put a second one of a forbidden name below a permitted node.
    fn visit_subtree<'t>(
        &'t self,
        doctype: &str,
        top: &'t str,
        mut visit: impl FnMut(&'t str),
    ) -> Result<(), TreeError> {
        let mut pending = vec![top];
        while let Some(current) = pending.pop() {
            if self.ambiguous.contains(current) {
                return Err(TreeError::Ambiguous { doctype: doctype.to_owned(), node: current.to_owned() });
            }
            visit(current);
            for child in self.children.get(current).into_iter().flatten() {
                if child == top {
                    return Err(TreeError::Cycle { doctype: doctype.to_owned(), node: top.to_owned() });
                }
                pending.push(child);
            }
        }
        Ok(())
    }
}

/// Nodes with bounds, in the order of their left ones.
#[derive(Debug)]
pub struct NestedSet {
    nodes: Vec<Bounded>,
    places: HashMap<String, usize>,
}

#[derive(Debug)]
struct Bounded {
    left: i64,
    right: i64,
    name: String,
}

impl NestedSet {
    fn visit_subtree<'t>(&'t self, node: &'t str, mut visit: impl FnMut(&'t str)) {
        visit(node);
        let Some(top) = self.places.get(node).map(|place| &self.nodes[*place]) else { return };
        let after = self.nodes.partition_point(|other| other.left <= top.left);
        // A node that begins at or after the end cannot lie within, as long as bounds are in order.
        let within = self.nodes[after..].iter().take_while(|other| other.left < top.right);
        within.filter(|other| other.right < top.right).for_each(|other| visit(&other.name));
    }

    fn parent(&self, node: &str) -> Option<&str> {
        let below = &self.nodes[*self.places.get(node)?];
        let encloses = |other: &&Bounded| other.left < below.left && other.right > below.right;
        self.nodes.iter().filter(encloses).max_by_key(|other| other.left).map(|other| other.name.as_str())
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

    #[test]
    fn a_name_of_two_nodes_is_an_error() {
        let tree = tree(&[("root", ""), ("a", "root"), ("b", "root"), ("b", "a")]);
        let ambiguous = TreeError::Ambiguous { doctype: "Node".to_owned(), node: "b".to_owned() };
        assert_eq!(subtree(&tree, "a"), Err(ambiguous));
    }

    #[test]
    fn bounds_tell_descendants_and_parents() {
        let node = |name: &str, left, right| (name.to_owned(), left, right);
        let tree = Tree::from_bounds([
            node("root", Some(1), Some(10)),
            node("a", Some(2), Some(5)),
            node("b", Some(3), Some(4)),
            node("c", Some(6), Some(9)),
            node("d", Some(7), Some(8)),
            node("loose", None, None),
            node("other", Some(11), Some(12)),
        ]);
        assert_eq!(subtree(&tree, "a").unwrap(), ["a", "b"]);
        assert_eq!(subtree(&tree, "root").unwrap(), ["a", "b", "c", "d", "root"]);
        assert_eq!(subtree(&tree, "loose").unwrap(), ["loose"]);
        assert_eq!(subtree(&tree, "unknown").unwrap(), ["unknown"]);
        assert_eq!((tree.parent("d"), tree.parent("root"), tree.parent("loose")), (Some("c"), None, None));
    }
}
