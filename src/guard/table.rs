//! What the row trigger has to know of a table, looked up once and kept until something changes.

use std::rc::Rc;

use pgrx::pg_sys;

use super::row::RowCall;
use crate::catalog::load::Site;
use crate::catalog::scan::{Table, attribute_name};
use crate::catalog::values;
use crate::fault::{Fault, SqlState};
use crate::rules::{Doctype, Parentage};

/// A column that the trigger reads or writes.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: pg_sys::AttrNumber,
    /// Its type.
    pub type_oid: pg_sys::Oid,
    /// The type below domains.
    pub base_type: pg_sys::Oid,
    /// Its type's modifier: a length, a precision.
    pub typmod: i32,
    length: i16,
    by_value: bool,
}

impl Column {
    fn of(attribute: &pg_sys::FormData_pg_attribute) -> Self {
        let mut typmod = attribute.atttypmod;
        // SAFETY: a look-up; a domain has its modifier to itself.
        let base_type = unsafe { pg_sys::getBaseTypeAndTypmod(attribute.atttypid, &mut typmod) };
        Column {
            name: attribute_name(attribute).to_owned(),
            number: attribute.attnum,
            type_oid: attribute.atttypid,
            base_type,
            typmod,
            length: attribute.attlen,
            by_value: attribute.attbyval,
        }
    }

    /// Two values of it are the same.
    pub fn are_same(&self, one: pg_sys::Datum, two: pg_sys::Datum) -> bool {
        // SAFETY: values of the column's type.
        unsafe {
            let is_image = pg_sys::ffi::pg_guard_ffi_boundary(|| {
                datum_image_eq(one, two, self.by_value, self.length.into())
            });
            is_image
                || self.base_type == pg_sys::NUMERICOID
                    && pg_sys::OidFunctionCall2Coll(pg_sys::F_NUMERIC_EQ.into(), pg_sys::InvalidOid, one, two)
                        .value()
                        != 0
        }
    }

    /// The value of a text, as an INSERT of it would store it.
    pub fn value_of(&self, text: &str) -> Option<pg_sys::Datum> {
        let text = std::ffi::CString::new(text).ok()?;
        // SAFETY: the input function of the column's type, which checks a domain's constraints, gets a NUL-terminated copy.
        unsafe {
            let (mut function, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
            pg_sys::getTypeInputInfo(self.type_oid, &mut function, &mut parameter);
            Some(pg_sys::OidInputFunctionCall(function, text.as_ptr().cast_mut(), parameter, self.typmod))
        }
    }
}

unsafe extern "C-unwind" {
    // utils/datum.h
    fn datum_image_eq(
        one: pg_sys::Datum,
        two: pg_sys::Datum,
        by_value: bool,
        length: std::ffi::c_int,
    ) -> bool;
}

/// A table with a row trigger of docperm's.
#[derive(Debug)]
pub struct GuardedTable {
    /// The doctype whose rows it holds.
    pub doctype: String,
    /// The configuration.
    pub site: Rc<Site>,
    /// Rows may leave it for another partition.
    pub is_partition: bool,
    /// The key; child tables may have none.
    pub name: Option<Column>,
    /// Who made the document.
    pub owner: Option<Column>,
    /// When it was made.
    pub creation: Option<Column>,
    /// When it was last changed.
    pub modified: Option<Column>,
    /// By whom.
    pub modified_by: Option<Column>,
    /// Its state.
    pub docstatus: Option<Column>,
    /// The document that it amends.
    pub amended_from: Option<Column>,
    /// Columns that stay as they are while the document is submitted.
    pub closed: Vec<Column>,
    /// The documents that rows of a child table belong to, if any of those can be submitted.
    pub belonging: Option<Belonging>,
    /// What keeps those whom row security filters from writing.
    obstacle: Option<Obstacle>,
}

/// Where rows of a child table belong.
#[derive(Debug)]
pub struct Belonging {
    /// Holds the document's name.
    pub parent: Column,
    /// Holds the document's doctype.
    pub parent_type: Option<Column>,
    /// The only doctype that it can be.
    pub only: Option<String>,
    /// Rows may come and go while the document is submitted.
    pub rows_come_and_go: bool,
}

#[derive(Debug)]
enum Obstacle {
    /// A column that is registered is not there.
    Missing(String),
    /// Another trigger would have the last word.
    LaterTrigger(String, String),
}

impl GuardedTable {
    /// Looks it up. `None` if the doctype is not registered any more: its policies let nobody pass whom they filter.
    pub fn look_up(site: &Rc<Site>, doctype: &str, call: &RowCall) -> Option<Self> {
        let definition = site.model.doctypes.get(doctype)?;
        let table = Table::open(call.relation_oid())?;
        let mut missing = None;
        let mut column = |name: &Option<String>| {
            let name = name.as_deref()?;
            let found = table.attribute(name).map(Column::of);
            if found.is_none() {
                missing.get_or_insert_with(|| name.to_owned());
            }
            found
        };
        let named = Some(definition.name_column.clone()).filter(|name| !name.is_empty());
        let stamps = &definition.stamps;
        let mut guarded = GuardedTable {
            doctype: doctype.to_owned(),
            site: site.clone(),
            is_partition: table.is_partition(),
            name: column(&named),
            owner: column(&definition.owner_column),
            creation: column(&stamps.creation),
            modified: column(&stamps.modified),
            modified_by: column(&stamps.modified_by),
            docstatus: column(&definition.docstatus_column),
            amended_from: column(&definition.amended_from_column),
            closed: vec![],
            belonging: None,
            obstacle: None,
        };
        if let Some(parentage) = definition.parentage.as_ref().filter(|p| has_lifecycle(site, p))
            && let Some(parent) = column(&Some(parentage.column.clone()))
        {
            guarded.belonging = Some(Belonging {
                parent,
                parent_type: column(&parentage.type_column),
                only: parentage.doctype.clone(),
                rows_come_and_go: is_open(definition, &parentage.column),
            });
        }
        if guarded.docstatus.is_some() || guarded.belonging.is_some() {
            guarded.closed = guarded.closed_columns(&table, definition);
        }
        guarded.obstacle = missing.map(Obstacle::Missing).or_else(|| later_trigger(call, &table));
        Some(guarded)
    }

    /// Those without `allow_on_submit`, beside those that have rules of their own, and generated ones, which follow others.
    fn closed_columns(&self, table: &Table, definition: &Doctype) -> Vec<Column> {
        let belonging = self.belonging.as_ref();
        let own = [
            &self.creation,
            &self.modified,
            &self.modified_by,
            &self.owner,
            &self.docstatus,
            &self.amended_from,
        ];
        let own = own.into_iter().flatten();
        let own: Vec<_> = own
            .chain(belonging.map(|belonging| &belonging.parent))
            .chain(belonging.and_then(|belonging| belonging.parent_type.as_ref()))
            .map(|column| column.number)
            .collect();
        let is_closed = |attribute: &&pg_sys::FormData_pg_attribute| {
            !attribute.attisdropped
                && attribute.attgenerated as u8 != pg_sys::ATTRIBUTE_GENERATED_STORED
                && !own.contains(&attribute.attnum)
                && !is_open(definition, attribute_name(attribute))
        };
        table.attributes().iter().filter(is_closed).map(Column::of).collect()
    }

    /// Refuses to go on where the trigger could not do what it is there for.
    pub fn require_whole(&self) {
        match &self.obstacle {
            None => {}
            Some(Obstacle::Missing(column)) => missing_column(&self.doctype, column),
            Some(Obstacle::LaterTrigger(table, trigger)) => Fault::new(
                SqlState::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("trigger \"{trigger}\" of table {table} comes after docperm's"),
            )
            .detail("Triggers fire in the order of their names. What the last one changes, docperm would not see.")
            .hint(format!("ALTER TRIGGER ... ON {table} RENAME TO a name that comes before docperm's, or to one that fires AFTER."))
            .raise(),
        }
    }
}

/// Documents that rows of such a child table may belong to have states.
fn has_lifecycle(site: &Site, parentage: &Parentage) -> bool {
    site.model.doctypes.values().any(|doctype| doctype.is_submittable() && parentage.admits(doctype))
}

fn is_open(definition: &Doctype, column: &str) -> bool {
    definition.fields.get(column).is_some_and(|field| field.allow_on_submit)
}

/// A trigger that fires BEFORE a row is written, and after docperm's.
fn later_trigger(call: &RowCall, table: &Table) -> Option<Obstacle> {
    let is_set = |bits: i16, bit: u32| bits as u32 & bit != 0;
    // SAFETY: the triggers of an open relation, in the order in which they fire; their names are NUL-terminated.
    unsafe {
        let triggers = (*call.relation()).trigdesc;
        if triggers.is_null() {
            return None;
        }
        let all = std::slice::from_raw_parts((*triggers).triggers, (*triggers).numtriggers as usize);
        let ours = values::own_function(c"_write_document", &mut []);
        let after_ours = all.iter().skip_while(|trigger| trigger.tgfoid != ours).skip(1);
        let mut later = after_ours.filter(|trigger| {
            is_set(trigger.tgtype, pg_sys::TRIGGER_TYPE_ROW)
                && is_set(trigger.tgtype, pg_sys::TRIGGER_TYPE_BEFORE)
                && is_set(trigger.tgtype, pg_sys::TRIGGER_TYPE_INSERT | pg_sys::TRIGGER_TYPE_UPDATE)
                && trigger.tgenabled as u8 != pg_sys::TRIGGER_DISABLED
        });
        let name = std::ffi::CStr::from_ptr(later.next()?.tgname).to_string_lossy().into_owned();
        Some(Obstacle::LaterTrigger(table.qualified_name(), name))
    }
}

/// A registered column that is not there any more.
pub fn missing_column(doctype: &str, column: &str) -> ! {
    Fault::new(
        SqlState::ERRCODE_UNDEFINED_COLUMN,
        format!("column \"{column}\" of doctype {doctype} does not exist in its table"),
    )
    .hint("Run docperm.protect() or docperm.set_field() again with the column's present name.")
    .raise()
}

/// The type of values that the column holds is one of texts.
pub fn is_text(column: &Column) -> bool {
    values::can_be_empty(column.type_oid)
}
