//! docperm.share() and docperm.unshare(), as far as they concern who calls them and the table; the rest is in sql/shares.sql.

use std::ffi::CStr;

use pgrx::pg_sys;

use super::require_grant;
use crate::catalog::cache;
use crate::catalog::document;
use crate::catalog::statement::{Sees, run_as_owner};
use crate::catalog::values;
use crate::entry_point::entry_point;
use crate::identity::acting;

entry_point! {
    /// `docperm.share(text, text, text, text[], boolean)`: shares nothing for a database role that may not read the table.
    fn docperm_share / pg_finfo_docperm_share (fcinfo) {
        let (text, texts, boolean) = (pg_sys::TEXTOID, pg_sys::TEXTARRAYOID, pg_sys::BOOLOID);
        // SAFETY: declared with these arguments, as is the function that does it.
        unsafe { passed_on(fcinfo, c"_share", &mut [text, text, text, texts, boolean]) }
    }
}

entry_point! {
    /// `docperm.unshare(text, text, text)`, likewise.
    fn docperm_unshare / pg_finfo_docperm_unshare (fcinfo) {
        // SAFETY: declared with these arguments, as is the function that does it.
        unsafe { passed_on(fcinfo, c"_unshare", &mut [pg_sys::TEXTOID; 3]) }
    }
}

/// Calls docperm's own function, which runs as its owner, with the same arguments. Here it is still known who calls.
unsafe fn passed_on(call: pg_sys::FunctionCallInfo, name: &CStr, types: &mut [pg_sys::Oid]) -> pg_sys::Datum {
    // SAFETY: the function takes the arguments that the call has; the new call's struct has room for as many.
    unsafe {
        if let Some(doctype) = pgrx::pg_getarg::<&str>(call, 0) {
            require_grant(&cache::authority(&acting().user), doctype);
        }
        let mut function = pg_sys::FmgrInfo::default();
        pg_sys::fmgr_info(values::own_function(name, types), &mut function);
        let arguments = size_of::<pg_sys::NullableDatum>() * types.len();
        let inner: pg_sys::FunctionCallInfo =
            pg_sys::palloc0(size_of::<pg_sys::FunctionCallInfoBaseData>() + arguments).cast();
        (*inner).flinfo = &mut function;
        (*inner).fncollation = (*call).fncollation;
        (*inner).nargs = types.len() as _;
        let (from, to) = ((*call).args.as_ptr(), (*inner).args.as_mut_ptr());
        std::ptr::copy_nonoverlapping(from, to, types.len());
        let body = function.fn_addr.expect("fmgr_info() has found it");
        pg_sys::ffi::pg_guard_ffi_boundary(|| body(inner))
    }
}

/// Whether there is a document of that name, whoever may see it.
#[pgrx::pg_extern(sql = false)]
fn docperm_document_exists(doctype: Option<&str>, document: Option<&str>) -> bool {
    let site = cache::site();
    let Some((doctype, name)) = doctype.zip(document) else { return false };
    let has_name = site.model.doctypes.get(doctype).is_some_and(|known| !known.name_column.is_empty());
    let mut exists = false;
    if has_name && site.relations.contains_key(doctype) {
        document::find(&site, doctype, name, |_| exists = true);
    }
    exists
}

/// Keeps a document from being deleted or renamed until the transaction ends; false if there is none.
#[pgrx::pg_extern(sql = false)]
fn docperm_lock_document(doctype: &str, document: &str) -> bool {
    let site = cache::site();
    let table = document::table_of(&site, doctype);
    let sql = format!(
        "SELECT true FROM {} AS t WHERE t.{} = {} FOR KEY SHARE",
        table.qualified_name(),
        values::quoted(&site.model.doctypes[doctype].name_column),
        values::literal(document)
    );
    !run_as_owner(&table, Sees::SameAsNext, &sql, &[]).is_empty()
}
