//! What a row must satisfy, and whether one row does.

use std::rc::Rc;

use super::user_permissions::ValueSet;

/// A condition on one row of a doctype's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicate {
    /// Every row.
    Always,
    /// No row.
    Never,
    /// All of these.
    All(Vec<Predicate>),
    /// At least one of these.
    Any(Vec<Predicate>),
    /// The column names one of these documents. Blank is none of them.
    OneOf {
        /// The column.
        column: String,
        /// The doctype whose documents it names.
        target: String,
        /// The permitted names.
        values: Rc<ValueSet>,
    },
    /// The column is NULL or the empty string.
    Blank {
        /// The column.
        column: String,
    },
    /// The column's text is exactly this: the owner's name, the parent's doctype.
    Is {
        /// The column.
        column: String,
        /// The text.
        text: String,
    },
    /// The row belongs to a document, and that satisfies a predicate.
    Parent(ParentLink, Box<Predicate>),
    /// Every row of a child table that belongs to this document satisfies a predicate.
    EveryChild(ChildLink, Box<Predicate>),
}

/// From a row of a child table to the document that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentLink {
    /// The column of the child row that holds the document's name.
    pub column: String,
    /// The document's doctype.
    pub doctype: String,
    /// Only a document that the present transaction has written.
    pub created_now: bool,
}

/// From a document to the rows of a child table that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildLink {
    /// The child doctype.
    pub doctype: String,
    /// The child's column that holds the document's name.
    pub parent_column: String,
    /// The child's column that holds the document's doctype, and that doctype.
    pub parent_type: Option<(String, String)>,
}

/// One row, as a predicate sees it. How values compare is the business of whoever holds the row, because a smallint and
/// a text do not compare alike.
pub trait Row {
    /// What can go wrong when reading it.
    type Error;
    /// The column names one of `values`, documents of `target`.
    fn is_one_of(&mut self, column: &str, target: &str, values: &Rc<ValueSet>) -> Result<bool, Self::Error>;
    /// The column is NULL or the empty string.
    fn is_blank(&mut self, column: &str) -> Result<bool, Self::Error>;
    /// The column's text is exactly `text`.
    fn equals(&mut self, column: &str, text: &str) -> Result<bool, Self::Error>;
    /// The document that the row belongs to exists and satisfies the predicate.
    fn parent_satisfies(&mut self, link: &ParentLink, predicate: &Predicate) -> Result<bool, Self::Error>;
    /// Every row of the child table that belongs to the row satisfies the predicate.
    fn every_child_satisfies(&mut self, link: &ChildLink, predicate: &Predicate)
    -> Result<bool, Self::Error>;
    /// The column's text, for telling.
    fn text(&mut self, column: &str) -> Result<Option<String>, Self::Error>;
}

impl Predicate {
    /// The conjunction, without what does not matter in it.
    pub fn all(parts: impl IntoIterator<Item = Predicate>) -> Predicate {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Predicate::Always => {}
                Predicate::Never => return Predicate::Never,
                Predicate::All(inner) => kept.extend(inner),
                other => kept.push(other),
            }
        }
        match kept.len() {
            0 => Predicate::Always,
            1 => kept.remove(0),
            _ => Predicate::All(kept),
        }
    }

    /// The disjunction, without what does not matter in it.
    pub fn any(parts: impl IntoIterator<Item = Predicate>) -> Predicate {
        let mut kept = Vec::new();
        for part in parts {
            match part {
                Predicate::Never => {}
                Predicate::Always => return Predicate::Always,
                Predicate::Any(inner) => kept.extend(inner),
                other => kept.push(other),
            }
        }
        match kept.len() {
            0 => Predicate::Never,
            1 => kept.remove(0),
            _ => Predicate::Any(kept),
        }
    }

    /// Of the document that a row belongs to.
    pub fn parent(link: ParentLink, predicate: Predicate) -> Predicate {
        match predicate {
            Predicate::Never => Predicate::Never,
            other => Predicate::Parent(link, Box::new(other)),
        }
    }

    /// Whether `row` satisfies it.
    pub fn matches<R: Row>(&self, row: &mut R) -> Result<bool, R::Error> {
        match self {
            Predicate::Always => Ok(true),
            Predicate::Never => Ok(false),
            Predicate::All(parts) => {
                for part in parts {
                    if !part.matches(row)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Predicate::Any(parts) => {
                for part in parts {
                    if part.matches(row)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Predicate::OneOf { column, target, values } => row.is_one_of(column, target, values),
            Predicate::Blank { column } => row.is_blank(column),
            Predicate::Is { column, text } => row.equals(column, text),
            Predicate::Parent(link, predicate) => row.parent_satisfies(link, predicate),
            Predicate::EveryChild(link, predicate) => row.every_child_satisfies(link, predicate),
        }
    }
}
