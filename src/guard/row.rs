//! The rows of a trigger's call, as values.

use std::num::NonZeroUsize;

use pgrx::pg_sys;

use super::table::Column;
use crate::catalog::cache::Authority;
use crate::catalog::document::{ColumnValue, TypedRow};
use crate::catalog::scan::attribute_named;
use crate::catalog::trigger_call::TriggerCall;
use crate::catalog::values;
use crate::fault::{Fault, SqlState};

/// What happens to the row for which a trigger fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It is inserted.
    Insert,
    /// It is updated.
    Update,
    /// It is deleted.
    Delete,
}

/// The call of a row trigger.
pub struct RowCall<'a> {
    call: TriggerCall<'a>,
    data: &'a pg_sys::TriggerData,
    function: *mut pg_sys::FmgrInfo,
}

impl RowCall<'_> {
    /// Of a function that was called as a row trigger.
    pub fn of(call: pg_sys::FunctionCallInfo) -> Self {
        let trigger = TriggerCall::of(call);
        let data = trigger.data();
        if data.tg_event & pg_sys::TRIGGER_EVENT_ROW == 0 {
            Fault::new(SqlState::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED, "this function is a row trigger")
                .hint("It is called by triggers that docperm makes.")
                .raise();
        }
        // SAFETY: the call is the trigger manager's, which passes the function.
        RowCall { data, call: trigger, function: unsafe { (*call).flinfo } }
    }

    /// What happens.
    pub fn event(&self) -> Event {
        match self.data.tg_event & pg_sys::TRIGGER_EVENT_OPMASK {
            pg_sys::TRIGGER_EVENT_INSERT => Event::Insert,
            pg_sys::TRIGGER_EVENT_UPDATE => Event::Update,
            _ => Event::Delete,
        }
    }

    /// The row as it was, or for an INSERT, as it is going to be.
    pub fn first(&self) -> TriggerRow {
        self.row(self.data.tg_trigtuple)
    }

    /// The row as an UPDATE is going to leave it.
    pub fn second(&self) -> TriggerRow {
        self.row(self.data.tg_newtuple)
    }

    fn row(&self, tuple: pg_sys::HeapTuple) -> TriggerRow {
        // SAFETY: the relation is open.
        TriggerRow { tuple, descriptor: unsafe { (*self.data.tg_relation).rd_att } }
    }

    /// The table, open.
    pub fn relation(&self) -> pg_sys::Relation {
        self.data.tg_relation
    }

    /// Its OID.
    pub fn relation_oid(&self) -> pg_sys::Oid {
        // SAFETY: open.
        unsafe { (*self.data.tg_relation).rd_id }
    }

    /// The argument that CREATE TRIGGER named first.
    pub fn argument(&self) -> Option<&str> {
        self.call.argument()
    }

    /// What the trigger keeps from one row of a statement to the next: the trigger manager calls it for all rows that the
    /// statement has in this table with the same FmgrInfo.
    pub fn kept(&self) -> *mut std::ffi::c_void {
        // SAFETY: the function manager's struct for this call; nobody else uses this field of it.
        unsafe { (*self.function).fn_extra }
    }

    /// Keeps it.
    pub fn keep(&self, what: *mut std::ffi::c_void) {
        // SAFETY: as above.
        unsafe { (*self.function).fn_extra = what }
    }

    /// Memory that lives as long as the statement.
    pub fn statement_memory(&self) -> pg_sys::MemoryContext {
        // SAFETY: as above.
        unsafe { (*self.function).fn_mcxt }
    }
}

/// A row of the table for which a trigger fires.
#[derive(Clone, Copy)]
pub struct TriggerRow {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl TriggerRow {
    /// A copy of a row of such a table.
    pub fn new(tuple: pg_sys::HeapTuple, descriptor: pg_sys::TupleDesc) -> Self {
        TriggerRow { tuple, descriptor }
    }

    /// As the trigger manager passes it around.
    pub fn as_raw(&self) -> pg_sys::HeapTuple {
        self.tuple
    }

    /// Where it is.
    pub fn place(&self) -> pg_sys::ItemPointerData {
        // SAFETY: a tuple of the call.
        unsafe { (*self.tuple).t_self }
    }

    /// This transaction has written it.
    pub fn is_of_this_transaction(&self) -> bool {
        // SAFETY: a tuple that was read from a table.
        unsafe {
            pg_sys::TransactionIdIsCurrentTransactionId(pg_sys::HeapTupleHeaderGetXmin((*self.tuple).t_data))
        }
    }

    /// The value of a column; `None` for NULL.
    pub fn datum(&self, column: &Column) -> Option<pg_sys::Datum> {
        self.attribute(column.number)
    }

    fn attribute(&self, number: pg_sys::AttrNumber) -> Option<pg_sys::Datum> {
        let number = NonZeroUsize::new(usize::try_from(number).ok()?)?;
        // SAFETY: rows of a trigger's call are of the trigger's relation.
        unsafe { pgrx::htup::heap_getattr_raw(self.tuple, number, self.descriptor) }
    }

    /// The text form of a column; `None` for NULL.
    pub fn text(&self, column: &Column) -> Option<String> {
        self.datum(column).map(|datum| values::text_of(datum, column.type_oid))
    }

    /// The column is NULL or the empty string.
    pub fn is_blank(&self, column: &Column) -> bool {
        self.text(column).is_none_or(|text| text.is_empty())
    }

    /// The column holds the same in both. Values of most types are the same when their bytes are; 1.0 and 1.00 are as well.
    pub fn agrees(&self, other: &TriggerRow, column: &Column) -> bool {
        match (self.datum(column), other.datum(column)) {
            (None, None) => true,
            (Some(one), Some(two)) => column.are_same(one, two),
            _ => false,
        }
    }

    /// The row with other values in some columns, in the current memory context.
    pub fn with(&self, changes: &[(&Column, Option<pg_sys::Datum>)]) -> Self {
        let mut numbers: Vec<i32> = changes.iter().map(|(column, _)| column.number.into()).collect();
        let mut values: Vec<_> =
            changes.iter().map(|(_, value)| value.unwrap_or(pg_sys::Datum::from(0))).collect();
        let mut nulls: Vec<_> = changes.iter().map(|(_, value)| value.is_none()).collect();
        // SAFETY: columns of the row's own table, and values of their types.
        let tuple = unsafe {
            pg_sys::heap_modify_tuple_by_cols(
                self.tuple,
                self.descriptor,
                numbers.len() as _,
                numbers.as_mut_ptr(),
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
            )
        };
        TriggerRow { tuple, descriptor: self.descriptor }
    }

    /// As the rules see it.
    pub fn typed<'a>(
        &'a self,
        authority: &'a Authority,
        doctype: &'a str,
    ) -> TypedRow<'a, impl Fn(&str) -> ColumnValue + 'a> {
        TypedRow::new(authority, doctype, move |column| {
            // SAFETY: the descriptor of an open relation.
            let attributes = unsafe { (*self.descriptor).attrs.as_slice((*self.descriptor).natts as usize) };
            let Some(attribute) = attribute_named(attributes, column) else {
                super::table::missing_column(doctype, column)
            };
            ColumnValue {
                type_oid: attribute.atttypid,
                collation: attribute.attcollation,
                datum: self.attribute(attribute.attnum),
            }
        })
    }
}
