//! What a trigger is told of the statement that it fires for.

use pgrx::pg_sys;

use super::load::Site;
use super::scan::attribute_named;
use super::settings::Fixed;
use super::transition::{TransitionRows, TriggerRow, Values};
use super::values;
use crate::fault::{Fault, SqlState};

/// The part of it that triggers look at.
pub struct TriggerCall<'a>(&'a pg_sys::TriggerData);

impl<'a> TriggerCall<'a> {
    /// Of a function that was called as a trigger.
    pub(crate) fn of(fcinfo: pg_sys::FunctionCallInfo) -> Self {
        // SAFETY: the context of a call by the trigger manager is a TriggerData that lives as long as the call; that it is
        // such a call is told by its node tag.
        unsafe {
            let context = (*fcinfo).context;
            if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
                Fault::new(SqlState::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED, "this function is a trigger")
                    .hint("It is called by triggers that docperm makes.")
                    .raise();
            }
            TriggerCall(&*context.cast())
        }
    }

    /// As the trigger manager passes it.
    pub(crate) fn data(&self) -> &'a pg_sys::TriggerData {
        self.0
    }

    /// The argument that CREATE TRIGGER named first.
    pub fn argument(&self) -> Option<&'a str> {
        // SAFETY: the trigger lives as long as the call.
        first_argument(unsafe { &*self.0.tg_trigger })
    }

    /// A column of the old and the new row, as far as there are such rows.
    pub fn texts(&self, column: &str) -> Vec<String> {
        let rows = [self.0.tg_trigtuple, self.0.tg_newtuple];
        rows.into_iter().filter(|row| !row.is_null()).filter_map(|row| self.text(row, column)).collect()
    }

    fn text(&self, row: pg_sys::HeapTuple, column: &str) -> Option<String> {
        // SAFETY: rows of a trigger's call are of the trigger's relation.
        unsafe {
            let descriptor = (*self.0.tg_relation).rd_att;
            let attributes = (*descriptor).attrs.as_slice((*descriptor).natts as usize);
            let attribute = attribute_named(attributes, column)?;
            let number = std::num::NonZeroUsize::new(attribute.attnum as usize)?;
            let datum = pgrx::htup::heap_getattr_raw(row, number, descriptor)?;
            Some(values::text_of(datum, attribute.atttypid))
        }
    }

    /// An update that leaves these columns as they were.
    pub fn keeps(&self, columns: &[&str]) -> bool {
        let (old, new) = (self.0.tg_trigtuple, self.0.tg_newtuple);
        let is_update = !old.is_null() && !new.is_null();
        is_update && columns.iter().all(|column| self.text(old, column) == self.text(new, column))
    }

    /// A column of the row as it is now, if there still is one.
    pub fn latest_text(&self, column: &str) -> Option<String> {
        let row =
            match (self.0.tg_trigtuple, self.0.tg_newtuple, self.0.tg_event & pg_sys::TRIGGER_EVENT_OPMASK) {
                (old, _, pg_sys::TRIGGER_EVENT_INSERT) => old,
                (_, new, pg_sys::TRIGGER_EVENT_UPDATE) => new,
                _ => return None,
            };
        if row.is_null() { None } else { self.text(row, column) }
    }

    /// TRUNCATE, which has no rows.
    pub fn is_truncate(&self) -> bool {
        self.event() == Event::Truncate
    }

    /// The table.
    pub fn relation(&self) -> pg_sys::Oid {
        // SAFETY: open.
        unsafe { (*self.0.tg_relation).rd_id }
    }

    /// On a partitioned table, from which rows go to any of its partitions.
    pub fn is_partitioned(&self) -> bool {
        // SAFETY: open.
        unsafe { (*(*self.0.tg_relation).rd_rel).relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE }
    }

    /// The names of the documents that a statement took away or changed, as they were, in the order of its rows.
    pub fn old_names(&self, site: &Site, doctype: &str) -> Vec<String> {
        self.names(self.0.tg_oldtable, site, doctype)
    }

    /// The names of the documents that a statement changed, as they are, in the same order.
    pub fn new_names(&self, site: &Site, doctype: &str) -> Vec<String> {
        self.names(self.0.tg_newtable, site, doctype)
    }

    fn names(&self, rows: *mut pg_sys::Tuplestorestate, site: &Site, doctype: &str) -> Vec<String> {
        let attribute = self.attribute(&site.model.doctypes[doctype].name_column, doctype);
        let _settings = Fixed::for_names_of(attribute.atttypid);
        let (mut rows, mut names) = (self.transition(rows), vec![]);
        while rows.advance() {
            let name = rows.value(attribute).map(|datum| values::text_of(datum, attribute.atttypid));
            names.push(name.unwrap_or_default());
        }
        names
    }

    /// A column of the table; an error that tells whose registration is stale if there is none.
    pub fn attribute(&self, column: &str, doctype: &str) -> &pg_sys::FormData_pg_attribute {
        attribute_named(self.attributes(), column).unwrap_or_else(|| missing_column(doctype, column))
    }

    /// The table's columns, dropped ones included.
    pub fn attributes(&self) -> &[pg_sys::FormData_pg_attribute] {
        // SAFETY: the descriptor of an open relation holds `natts` attributes, one after another.
        unsafe {
            let descriptor = (*self.0.tg_relation).rd_att;
            (*descriptor).attrs.as_slice((*descriptor).natts as usize)
        }
    }

    /// The rows that a statement took away or changed, as they were. The trigger has such a transition table.
    pub fn old_rows(&self) -> TransitionRows {
        self.transition(self.0.tg_oldtable)
    }

    /// The rows that a statement brought or changed, as they are; changed ones in the same order. Likewise.
    pub fn new_rows(&self) -> TransitionRows {
        self.transition(self.0.tg_newtable)
    }

    fn transition(&self, rows: *mut pg_sys::Tuplestorestate) -> TransitionRows {
        // SAFETY: the trigger has the transition table, whose rows are of the trigger's relation; both are there until its
        // call ends.
        unsafe { TransitionRows::of(rows, (*self.0.tg_relation).rd_att) }
    }

    /// The row that an INSERT or DELETE row trigger fires for; `None` in a statement trigger.
    pub fn row(&self) -> Option<TriggerRow> {
        if self.0.tg_event & pg_sys::TRIGGER_EVENT_ROW == 0 {
            return None;
        }
        // SAFETY: open.
        let descriptor = unsafe { (*self.0.tg_relation).rd_att };
        Some(TriggerRow { tuple: self.0.tg_trigtuple, descriptor })
    }

    /// What happens to the rows.
    pub fn event(&self) -> Event {
        match self.0.tg_event & pg_sys::TRIGGER_EVENT_OPMASK {
            pg_sys::TRIGGER_EVENT_INSERT => Event::Insert,
            pg_sys::TRIGGER_EVENT_DELETE => Event::Delete,
            pg_sys::TRIGGER_EVENT_UPDATE => Event::Update,
            _ => Event::Truncate,
        }
    }

    /// What an AFTER trigger returns.
    pub fn done(&self) -> pg_sys::Datum {
        pg_sys::Datum::from(0)
    }
}

/// The argument that CREATE TRIGGER named first.
pub fn first_argument(trigger: &pg_sys::Trigger) -> Option<&str> {
    // SAFETY: tgargs holds tgnargs NUL-terminated strings.
    unsafe {
        if trigger.tgnargs < 1 { None } else { std::ffi::CStr::from_ptr(*trigger.tgargs).to_str().ok() }
    }
}

/// What a trigger fires for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Rows come.
    Insert,
    /// Rows change.
    Update,
    /// Rows go.
    Delete,
    /// All rows go at once.
    Truncate,
}

fn missing_column(doctype: &str, column: &str) -> ! {
    Fault::new(
        SqlState::ERRCODE_UNDEFINED_COLUMN,
        format!("column \"{column}\" of doctype {doctype} does not exist in its table"),
    )
    .hint("Run docperm.protect() again with the column's present name.")
    .raise()
}
