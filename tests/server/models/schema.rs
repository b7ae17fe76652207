//! The tables, in five flavours of key types, trees and child tables. One database has one flavour.

/// Documents with an owner and three links.
pub const DOC: &str = "Doc";
/// A tree.
pub const NODE: &str = "Node";
/// Documents without anything.
pub const OTHER: &str = "Other";
/// Rows of documents, each with a link.
pub const LINE: &str = "Doc Line";
/// All of them.
pub const DOCTYPES: [&str; 4] = [DOC, NODE, OTHER, LINE];

/// How docperm knows what is below a node.
#[derive(Clone, Copy, PartialEq)]
pub enum Tree {
    Parent,
    NestedSet,
    ParentAndNestedSet,
}

/// How a line names its document.
#[derive(Clone, Copy, PartialEq)]
pub enum Parentage {
    /// It can only be a Doc.
    Fixed,
    /// Each line says what it is.
    ByType,
    /// It can only be a Doc, and the line must say so.
    FixedAndByType,
}

/// What is the same for all models of one database.
pub struct Flavour {
    pub tree: Tree,
    pub parentage: Parentage,
    pub submittable: bool,
    /// Key types of Doc, Node, Other and Doc Line, in this order.
    keys: [&'static str; 4],
    /// Types of the columns of Doc: `a` and `b`, which link to Node, and `o`, which links to Other.
    links: [&'static str; 3],
    /// Type of the column of Doc Line that names the parent document.
    parent: &'static str,
}

pub static FLAVOURS: [Flavour; 5] = [
    Flavour {
        tree: Tree::Parent,
        parentage: Parentage::ByType,
        submittable: true,
        keys: ["text", "text", "text", "text"],
        links: ["text", "varchar(20)", "text"],
        parent: "text",
    },
    Flavour {
        tree: Tree::NestedSet,
        parentage: Parentage::Fixed,
        submittable: true,
        keys: ["int", "int", "smallint", "bigint"],
        links: ["int", "smallint", "bigint"],
        parent: "bigint",
    },
    Flavour {
        tree: Tree::ParentAndNestedSet,
        parentage: Parentage::FixedAndByType,
        submittable: false,
        keys: ["bigint", "text", "uuid", "int"],
        links: ["text", "text", "uuid"],
        parent: "bigint",
    },
    Flavour {
        tree: Tree::Parent,
        parentage: Parentage::Fixed,
        submittable: true,
        keys: ["varchar(20)", "bigint", "int", "uuid"],
        links: ["bigint", "int", "int"],
        parent: "text",
    },
    // Texts that name documents with keys of every type.
    Flavour {
        tree: Tree::Parent,
        parentage: Parentage::ByType,
        submittable: true,
        keys: ["int", "bigint", "uuid", "text"],
        links: ["text", "bigint", "text"],
        parent: "text",
    },
];

/// The table of a doctype.
pub fn table_of(doctype: &str) -> &'static str {
    ["doc", "node", "other", "doc_line"][place(doctype)]
}

fn place(doctype: &str) -> usize {
    DOCTYPES.iter().position(|known| *known == doctype).unwrap()
}

impl Flavour {
    /// Name of the document with that number.
    pub fn name(&self, doctype: &str, number: usize) -> String {
        match self.keys[place(doctype)] {
            "uuid" => format!("00000000-0000-4000-8000-{number:012}"),
            "text" | "varchar(20)" => format!("{}{number}", &table_of(doctype)[..1]),
            _ => number.to_string(),
        }
    }

    /// Columns that are links, with their targets.
    pub fn links(&self, doctype: &str) -> &'static [(&'static str, &'static str)] {
        match doctype {
            DOC => &[("a", NODE), ("b", NODE), ("o", OTHER)],
            NODE if self.tree != Tree::NestedSet => &[("up", NODE)],
            LINE => &[("n", NODE)],
            _ => &[],
        }
    }

    /// A link column, or that which names the parent document, can hold the empty string.
    pub fn is_text(&self, doctype: &str, column: &str) -> bool {
        let kind = match (doctype, column) {
            (DOC, "a") => self.links[0],
            (DOC, "b") => self.links[1],
            (DOC, "o") => self.links[2],
            (LINE, "parent") => self.parent,
            _ => self.keys[place(NODE)],
        };
        matches!(kind, "text" | "varchar(20)")
    }

    /// Doctypes whose documents can have lines.
    pub fn parents(&self) -> &'static [&'static str] {
        if self.parentage == Parentage::ByType { &[DOC, NODE, OTHER] } else { &[DOC] }
    }

    /// Lines say of which doctype their document is.
    pub fn has_parent_type(&self) -> bool {
        self.parentage != Parentage::Fixed
    }

    /// Nodes have bounds.
    pub fn has_bounds(&self) -> bool {
        self.tree != Tree::Parent
    }

    /// What makes the database.
    pub fn schema(&self) -> String {
        let [doc, node, other, line] = self.keys;
        let [a, b, o] = self.links;
        let parent = self.parent;
        let up = if self.tree == Tree::NestedSet { String::new() } else { format!(", up {node}") };
        let bounds = if self.has_bounds() { ", lft int, rgt int" } else { "" };
        let parent_type = if self.has_parent_type() { ", parent_type text" } else { "" };
        let as_tree = if up.is_empty() { "" } else { ", tree_parent_column => 'up'" };
        let submittable = if self.submittable { ", docstatus_column => 'docstatus'" } else { "" };
        let as_child = match self.parentage {
            Parentage::Fixed => "parent_doctype => 'Doc'",
            Parentage::ByType => "parenttype_column => 'parent_type'",
            Parentage::FixedAndByType => "parent_doctype => 'Doc', parenttype_column => 'parent_type'",
        };
        format!(
            "CREATE TABLE other (name {other} PRIMARY KEY);
             CREATE TABLE node (name {node} PRIMARY KEY{up}{bounds});
             CREATE TABLE doc (name {doc} PRIMARY KEY, owner text, docstatus smallint NOT NULL DEFAULT 0, a {a}, b {b}, o {o});
             CREATE TABLE doc_line (name {line} PRIMARY KEY, parent {parent}{parent_type}, n {node});
             CREATE INDEX ON doc_line (parent);
             SELECT docperm.protect('other', 'Other');
             SELECT docperm.protect('node', 'Node'{as_tree});
             SELECT docperm.protect('doc', 'Doc', owner_column => 'owner'{submittable});
             SELECT docperm.protect('doc_line', 'Doc Line', parent_column => 'parent', {as_child});
             SELECT docperm.set_field('Doc', 'a', link_to => 'Node');
             SELECT docperm.set_field('Doc', 'b', link_to => 'Node');
             SELECT docperm.set_field('Doc', 'o', link_to => 'Other');
             SELECT docperm.set_field('Doc Line', 'n', link_to => 'Node');
             INSERT INTO docperm.rights (name) VALUES ('approve');
             INSERT INTO docperm.roles (name, desk_access) VALUES ('Reader', true), ('Writer', true), ('Portal', false), ('Off', true);
             UPDATE docperm.roles SET disabled = true WHERE name = 'Off';
             INSERT INTO docperm.users (name) VALUES ('ann@x'), ('bob@x'), ('kim@x');"
        )
    }
}
