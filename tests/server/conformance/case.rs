//! A recorded case as it is on disk.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A row, by column.
pub type Row = Map<String, Value>;

/// The answers for one user and doctype, by document: the rights.
pub type Documents = BTreeMap<String, Vec<String>>;

#[derive(Deserialize)]
pub struct Case {
    /// What was asked for.
    pub scenario: Scenario,
    /// What Frappe made of it.
    pub effective: Effective,
    /// Answers by user and doctype.
    pub results: BTreeMap<String, BTreeMap<String, Answer>>,
    /// Writes that were tried, each rolled back.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// Lists with arguments.
    #[serde(default)]
    pub extra_queries: Vec<ListQuery>,
}

#[derive(Deserialize)]
pub struct Scenario {
    pub roles: Vec<Role>,
    pub doctypes: Vec<DeclaredDoctype>,
    pub users: Vec<DeclaredUser>,
    #[serde(default)]
    pub user_permissions: Vec<UserPermission>,
    #[serde(default)]
    pub shares: Vec<Share>,
    #[serde(default)]
    pub disabled_roles: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Role {
    Plain(String),
    Full { name: String, desk_access: u8 },
}

#[derive(Deserialize)]
pub struct DeclaredDoctype {
    pub name: String,
    /// The standard rules; those in force may be custom ones.
    #[serde(default)]
    pub permissions: Vec<Row>,
    pub custom_permissions: Option<Vec<Row>>,
}

#[derive(Deserialize)]
pub struct DeclaredUser {
    pub name: String,
    pub roles: Vec<String>,
}

#[derive(Deserialize)]
pub struct UserPermission {
    pub user: String,
    pub allow: String,
    pub for_value: String,
    pub applicable_for: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    pub hide_descendants: bool,
    #[serde(default, deserialize_with = "flag")]
    pub is_default: bool,
}

#[derive(Deserialize)]
pub struct Share {
    pub doctype: String,
    pub name: String,
    pub user: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    pub everyone: bool,
    #[serde(default, deserialize_with = "flag")]
    pub read: bool,
    #[serde(default, deserialize_with = "flag")]
    pub write: bool,
    #[serde(default, deserialize_with = "flag")]
    pub submit: bool,
    #[serde(default, deserialize_with = "flag")]
    pub share: bool,
}

#[derive(Deserialize)]
pub struct Effective {
    pub doctypes: BTreeMap<String, Doctype>,
    pub documents: BTreeMap<String, Vec<Row>>,
    pub users: BTreeMap<String, User>,
    pub system_settings: Settings,
}

#[derive(Deserialize)]
pub struct Doctype {
    #[serde(deserialize_with = "flag")]
    pub istable: bool,
    #[serde(deserialize_with = "flag")]
    pub is_tree: bool,
    #[serde(deserialize_with = "flag")]
    pub is_nested_set: bool,
    #[serde(deserialize_with = "flag")]
    pub is_submittable: bool,
    #[serde(deserialize_with = "flag")]
    pub allow_import: bool,
    pub fields: Vec<Field>,
    /// The rules in force: `role`, `permlevel`, `if_owner`, and 1 or 0 for each right.
    pub permissions: Vec<Row>,
}

#[derive(Deserialize)]
pub struct Field {
    pub fieldname: String,
    pub fieldtype: String,
    pub options: Option<String>,
    pub permlevel: u8,
    #[serde(deserialize_with = "flag")]
    pub ignore_user_permissions: bool,
}

impl Field {
    /// The child doctype whose rows stand in this field, if it is no column of its own.
    pub fn rows_of(&self) -> Option<&str> {
        self.options.as_deref().filter(|_| self.fieldtype.starts_with("Table"))
    }

    /// The doctype whose documents the column names.
    pub fn link_to(&self) -> Option<&str> {
        self.options.as_deref().filter(|_| self.fieldtype == "Link")
    }
}

#[derive(Deserialize)]
pub struct User {
    #[serde(deserialize_with = "flag")]
    pub enabled: bool,
    pub user_type: String,
}

#[derive(Deserialize)]
pub struct Settings {
    #[serde(deserialize_with = "flag")]
    pub apply_strict_user_permissions: bool,
    #[serde(deserialize_with = "flag")]
    pub disable_document_sharing: bool,
}

/// What a user was answered about a doctype: about its documents, or about its rows below each parent doctype.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Answer {
    Child {
        child_lists: BTreeMap<String, List>,
    },
    Documents {
        docs: Documents,
        doctype_level: Vec<String>,
        /// The columns that a list of all columns had, if there was one.
        fields_in_list_star: Option<Vec<String>>,
    },
}

/// The names that a list had; none, if it was refused.
#[derive(Deserialize)]
pub struct List {
    pub list: Option<Vec<String>>,
    /// The rows themselves, where columns of other tables were asked for.
    pub rows: Option<Vec<Row>>,
}

#[derive(Deserialize)]
pub struct Action {
    pub user: String,
    pub op: String,
    pub doctype: String,
    pub name: String,
    pub values: Row,
    pub result: Outcome,
}

#[derive(Deserialize)]
pub struct Outcome {
    pub ok: bool,
    /// The document afterwards, without its blank fields.
    pub doc: Option<Row>,
}

#[derive(Deserialize)]
pub struct ListQuery {
    pub user: String,
    pub doctype: String,
    pub args: Arguments,
    pub result: List,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    #[serde(default)]
    pub fields: Vec<String>,
    pub filters: Option<Value>,
    pub parent_doctype: Option<String>,
    pub reference_doctype: Option<String>,
}

/// Frappe writes flags as 0 and 1, its inspectors as booleans.
fn flag<'de, D: Deserializer<'de>>(input: D) -> Result<bool, D::Error> {
    Ok(match Value::deserialize(input)? {
        Value::Bool(flag) => flag,
        Value::Number(number) => number.as_u64() == Some(1),
        Value::Null => false,
        other => return Err(serde::de::Error::custom(format!("no flag: {other}"))),
    })
}

impl Case {
    /// What a document's owner or link is; `None` if it is blank.
    pub fn stored<'c>(&'c self, doctype: &str, name: &str) -> Option<&'c Row> {
        self.effective.documents.get(doctype)?.iter().find(|row| row["name"] == *name)
    }

    /// The rights on documents of `doctype` that Frappe gave.
    pub fn documents(&self, user: &str, doctype: &str) -> Option<&Documents> {
        match self.results.get(user)?.get(doctype)? {
            Answer::Documents { docs, .. } => Some(docs),
            Answer::Child { .. } => None,
        }
    }

    /// The doctypes that have rows of the child doctype `child`.
    pub fn parents_of(&self, child: &str) -> Vec<&str> {
        let has = |doctype: &Doctype| doctype.fields.iter().any(|field| field.rows_of() == Some(child));
        self.effective.doctypes.iter().filter(|(_, d)| has(d)).map(|(name, _)| name.as_str()).collect()
    }
}
