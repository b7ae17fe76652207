//! docperm.permits(): what policies call.

use pgrx::pg_sys;

use crate::catalog::cache;
use crate::catalog::document::{ColumnValue, TypedRow};
use crate::catalog::scan::attribute_named;
use crate::entry_point::entry_point;
use crate::fault::{Fault, OrRaise, SqlState};
use crate::identity;

entry_point! {
    /// `docperm.permits(record, text, text) returns boolean`, strict: whether the acting user has the right on the row.
    ///
    /// In a query over the table the planner has replaced it by conditions on columns; this is the same answer for a row
    /// that comes from elsewhere.
    fn docperm_permits / pg_finfo_docperm_permits (fcinfo) {
        // SAFETY: declared strict with these three arguments.
        let (row, doctype, ptype) = unsafe {
            let text = |index| pgrx::pg_getarg::<&str>(fcinfo, index).unwrap_or_default();
            let row = pg_sys::pg_detoast_datum(pgrx::pg_getarg_datum_raw(fcinfo, 0).cast_mut_ptr());
            (row.cast::<pg_sys::HeapTupleHeaderData>(), text(1), text(2))
        };
        // SAFETY: a detoasted composite value.
        pg_sys::Datum::from(unsafe { permits(row, doctype, ptype) })
    }
}

unsafe fn permits(row: pg_sys::HeapTupleHeader, doctype: &str, ptype: &str) -> bool {
    let authority = cache::authority(&identity::acting().user);
    // SAFETY: a composite value's header tells its type; the descriptor is let go of below, or by the transaction.
    let (row_type, descriptor) = unsafe {
        let row_type = pgrx::htup::heap_tuple_header_get_type_id(row);
        let typmod = pgrx::htup::heap_tuple_header_get_typmod(row);
        (row_type, pg_sys::lookup_rowtype_tupdesc(row_type, typmod))
    };
    // SAFETY: a look-up.
    let relation = unsafe { pg_sys::get_typ_typrelid(row_type) };
    if authority.site.doctypes.get(&relation).map(String::as_str) != Some(doctype) {
        Fault::bad_argument(format!(
            "docperm.permits() was given a row that is no document of \"{doctype}\""
        ))
        .hint("Pass the whole row of the table that docperm.protect() has put under this doctype.")
        .raise();
    }
    let ruling = authority.ruling(doctype, ptype).map_err(Fault::from).or_raise();
    // SAFETY: the tuple is made of the composite value, whose descriptor tells its attributes.
    let answer = unsafe {
        let mut tuple = pg_sys::HeapTupleData {
            t_len: pgrx::htup::heap_tuple_header_get_datum_length(row) as u32,
            t_data: row,
            ..Default::default()
        };
        let attributes = (*descriptor).attrs.as_slice((*descriptor).natts as usize);
        let tuple = &raw mut tuple;
        let column = |column: &str| {
            let Some(attribute) = attribute_named(attributes, column) else {
                missing_column(doctype, column)
            };
            let number = std::num::NonZeroUsize::new(attribute.attnum as usize);
            ColumnValue {
                type_oid: attribute.atttypid,
                collation: attribute.attcollation,
                datum: number.and_then(|number| pgrx::htup::heap_getattr_raw(tuple, number, descriptor)),
            }
        };
        ruling.predicate.matches(&mut TypedRow::new(&authority, doctype, column)).or_raise()
    };
    // SAFETY: reference-counted or not, as it was looked up.
    unsafe {
        if (*descriptor).tdrefcount >= 0 {
            pg_sys::DecrTupleDescRefCount(descriptor);
        }
    }
    answer
}

fn missing_column(doctype: &str, column: &str) -> ! {
    Fault::new(
        SqlState::ERRCODE_UNDEFINED_COLUMN,
        format!("column \"{column}\" of doctype {doctype} does not exist in its table"),
    )
    .hint("Run docperm.protect() or docperm.set_field() again with the column's present name.")
    .raise()
}
