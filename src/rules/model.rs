//! What the decision is made from: the site's configuration and one user's record.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// The user that passes every check and can be neither disabled nor restricted.
pub const ADMINISTRATOR: &str = "Administrator";
/// The user that acts when nobody is known.
pub const GUEST: &str = "Guest";

/// The site's configuration: everything that is the same for all users.
#[derive(Debug, Default, Clone)]
pub struct Model {
    /// Registered doctypes by name.
    pub doctypes: HashMap<String, Doctype>,
    /// Roles by name.
    pub roles: HashMap<String, Role>,
    /// How blank links and missing user permissions are treated.
    pub strict: StrictMode,
    /// Links in child rows restrict their parent document.
    pub check_child_links: bool,
    /// Nobody but the Administrator has the right `share`.
    pub disable_document_sharing: bool,
    /// Modules that are blocked for a user are closed to him, and not only hidden.
    pub enforce_module_access: bool,
    /// What becomes of values for columns that are closed to whoever writes them.
    pub field_level_write: FieldLevelWrite,
}

/// The setting `field_level_write`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum FieldLevelWrite {
    /// The statement fails.
    #[default]
    Refuse,
    /// The column keeps what is stored, or gets its default, as in Frappe.
    Reset,
}

/// The setting `strict_user_permissions`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum StrictMode {
    /// A blank link restricts nobody.
    #[default]
    Off,
    /// A blank link hides the row from users who are restricted on its target.
    BlankLinks,
    /// As `BlankLinks`, and a user without any entry for a link's target sees no row that has such a link.
    DenyByDefault,
}

/// A kind of document: one table.
#[derive(Debug, Default, Clone)]
pub struct Doctype {
    /// Its name, as administrators write it.
    pub name: String,
    /// Its table is one of docperm's own.
    pub comes_with_docperm: bool,
    /// The column whose text is a document's name.
    pub name_column: String,
    /// The column that holds the name of the user who created the document.
    pub owner_column: Option<String>,
    /// The column that names a node's parent, which makes the doctype a tree.
    pub tree_parent_column: Option<String>,
    /// The columns that hold the bounds of a nested set, which make the doctype a tree, too, and tell descendants.
    pub nested_set: Option<(String, String)>,
    /// Where its rows belong, if they are rows of a child table.
    pub parentage: Option<Parentage>,
    /// The module that it belongs to. Rows of a child table belong where their document does.
    pub module: Option<String>,
    /// The column that holds 0 (draft), 1 (submitted) or 2 (cancelled): a document lifecycle, so the right `submit` means
    /// something.
    pub docstatus_column: Option<String>,
    /// The column that names the cancelled document that this one amends.
    pub amended_from_column: Option<String>,
    /// Columns that docperm writes.
    pub stamps: Stamps,
    /// Changes of its documents are kept.
    pub track_changes: bool,
    /// May be imported, so the right `import` means something.
    pub allow_import: bool,
    /// Under [`StrictMode::DenyByDefault`], links to this doctype hide rows from users without an entry for it.
    pub deny_by_default: bool,
    /// Columns that hold names of other documents.
    pub links: Vec<LinkField>,
    /// What else is declared about columns, by name.
    pub fields: BTreeMap<String, Field>,
    /// The rules of this doctype, standard and custom ones.
    pub rules: Vec<Rule>,
}

impl Doctype {
    /// Its documents can be submitted.
    pub fn is_submittable(&self) -> bool {
        self.docstatus_column.is_some()
    }

    /// The level of a column: 0 unless it is declared otherwise.
    pub fn permlevel(&self, column: &str) -> i16 {
        self.fields.get(column).map_or(0, |field| field.permlevel)
    }

    /// Some of its columns are above level 0.
    pub fn has_levels(&self) -> bool {
        self.fields.values().any(|field| field.permlevel > 0)
    }

    /// The rules in force: if there is a custom rule, of any role and level, the standard ones do not count.
    pub fn rules_in_force(&self) -> impl Iterator<Item = &Rule> {
        let customised = self.rules.iter().any(|rule| rule.custom);
        self.rules.iter().filter(move |rule| rule.custom == customised)
    }
}

/// Columns in which docperm notes who made or changed a document, and when.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Stamps {
    /// When it was made.
    pub creation: Option<String>,
    /// When it was last changed.
    pub modified: Option<String>,
    /// By whom.
    pub modified_by: Option<String>,
}

/// What is declared about a column, beside whether it is a link.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its level, 0 to 9.
    pub permlevel: i16,
    /// May change while the document is submitted.
    pub allow_on_submit: bool,
    /// As a link, may be set only to documents that the acting user may select.
    pub requires_select: bool,
}

/// How a row of a child table names the document that it belongs to.
#[derive(Debug, Clone)]
pub struct Parentage {
    /// The column that holds the parent document's name.
    pub column: String,
    /// The parent's doctype, if it is always the same.
    pub doctype: Option<String>,
    /// The column that holds the parent's doctype.
    pub type_column: Option<String>,
}

impl Parentage {
    /// Rows can belong to documents of `doctype`. To one of docperm's own they belong only where the child table names it:
    /// everybody reads something of users and sessions, and what is common to all parents would be common to these as well.
    pub fn admits(&self, doctype: &Doctype) -> bool {
        let is_meant = match &self.doctype {
            Some(only) => *only == doctype.name,
            None => !doctype.comes_with_docperm,
        };
        doctype.parentage.is_none() && is_meant
    }
}

/// A column that holds the name of a document of another doctype.
#[derive(Debug, Clone)]
pub struct LinkField {
    /// The column.
    pub column: String,
    /// The doctype that its values name.
    pub target: String,
    /// User permissions on the target do not restrict this column.
    pub ignore_user_permissions: bool,
}

/// One line of a doctype's permission table.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Who holds it.
    pub role: String,
    /// The group of fields that it is about; only level 0 is about documents.
    pub permlevel: i16,
    /// Grants its rights only on documents that the user created.
    pub if_owner: bool,
    /// Belongs to the set that replaces the standard rules.
    pub custom: bool,
    /// What it grants.
    pub rights: Vec<String>,
}

impl Rule {
    /// Whether it grants `ptype` on documents.
    pub fn grants(&self, ptype: &str) -> bool {
        self.permlevel == 0 && self.rights.iter().any(|right| right == ptype)
    }
}

/// A role, as far as it decides anything.
#[derive(Debug, Clone)]
pub struct Role {
    /// Its holders are System Users.
    pub desk_access: bool,
    /// Counts as held by nobody.
    pub disabled: bool,
}

/// One user's record.
#[derive(Debug, Default)]
pub struct User {
    /// The user's name.
    pub name: String,
    /// A disabled user has no right at all.
    pub enabled: bool,
    /// Roles that were given to the user; automatic ones are derived.
    pub roles: Vec<String>,
    /// Modules that are blocked for the user.
    pub blocked_modules: BTreeSet<String>,
    /// To which documents the user is restricted.
    pub user_permissions: Vec<UserPermission>,
    /// What [`user_permissions`](Self::user_permissions) come to, once computed.
    pub(super) allowed: super::user_permissions::AllowedCache,
}

impl User {
    /// A user with roles and user permissions.
    pub fn new(name: &str, enabled: bool, roles: Vec<String>, user_permissions: Vec<UserPermission>) -> Self {
        User { name: name.to_owned(), enabled, roles, user_permissions, ..Default::default() }
    }

    /// The same user, for whom these modules are blocked.
    #[must_use]
    pub fn without_modules(self, blocked_modules: BTreeSet<String>) -> Self {
        User { blocked_modules, ..self }
    }

    /// Whether documents of a doctype are closed to the user because its module is.
    pub fn is_shut_out_of(&self, model: &Model, doctype: &Doctype) -> bool {
        let module = doctype.module.as_ref().filter(|_| model.enforce_module_access);
        module.is_some_and(|module| self.blocked_modules.contains(module))
    }

    /// Is the Administrator.
    pub fn is_administrator(&self) -> bool {
        self.name == ADMINISTRATOR
    }
}

/// An entry that restricts its user to one document of a doctype, and a tree node's descendants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPermission {
    /// The doctype on which the user is restricted.
    pub allow: Rc<str>,
    /// The document that stays permitted.
    pub for_value: String,
    /// The only doctype in which the entry counts; everywhere if none.
    pub applicable_for: Option<Rc<str>>,
    /// Does not permit the node's descendants.
    pub hide_descendants: bool,
}

impl UserPermission {
    /// Counts in doctype `context`.
    pub fn applies_to(&self, context: &str) -> bool {
        self.applicable_for.as_deref().is_none_or(|only| only == context)
    }
}
