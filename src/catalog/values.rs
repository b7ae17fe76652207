//! Values of PostgreSQL's types: their text form, the value of a text, and when two are equal.

use std::ffi::CString;

use pgrx::{FromDatum, pg_sys};

use crate::fault::Fault;

/// The text form of a value that is not NULL, as its output function writes it.
pub fn text_of(datum: pg_sys::Datum, type_oid: pg_sys::Oid) -> String {
    // SAFETY: the datum is of the type, and not NULL; the common types are read without their output function.
    unsafe {
        match type_oid {
            pg_sys::TEXTOID | pg_sys::VARCHAROID => String::from_datum(datum, false).unwrap_or_default(),
            // The blanks that fill it up are no part of a name.
            pg_sys::BPCHAROID => {
                String::from_datum(datum, false).unwrap_or_default().trim_end_matches(' ').to_owned()
            }
            pg_sys::INT2OID => (datum.value() as i16).to_string(),
            pg_sys::INT4OID => (datum.value() as i32).to_string(),
            pg_sys::INT8OID => (datum.value() as i64).to_string(),
            _ => {
                let base = base_type(type_oid);
                if base != type_oid {
                    return text_of(datum, base);
                }
                let (mut function, mut is_varlena) = (pg_sys::InvalidOid, false);
                pg_sys::getTypeOutputInfo(type_oid, &mut function, &mut is_varlena);
                let text = pg_sys::OidOutputFunctionCall(function, datum);
                let owned = std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned();
                pg_sys::pfree(text.cast());
                owned
            }
        }
    }
}

/// The value of a text, by the type's input function, in the current memory context. What the type cannot hold is its
/// own error; for the integer types it is `None`, because such a document cannot exist.
pub fn value_of(text: &str, type_oid: pg_sys::Oid) -> Option<pg_sys::Datum> {
    match type_oid {
        pg_sys::INT2OID => text.parse::<i16>().ok().map(pg_sys::Datum::from),
        pg_sys::INT4OID => text.parse::<i32>().ok().map(pg_sys::Datum::from),
        pg_sys::INT8OID => text.parse::<i64>().ok().map(pg_sys::Datum::from),
        _ => {
            let text = CString::new(text).ok()?;
            // SAFETY: the input function of the type gets a NUL-terminated copy.
            unsafe {
                let (mut function, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
                pg_sys::getTypeInputInfo(type_oid, &mut function, &mut parameter);
                Some(pg_sys::OidInputFunctionCall(function, text.as_ptr().cast_mut(), parameter, -1))
            }
        }
    }
}

/// As [`value_of`], but `None` for any text that the type cannot hold: nothing has that name.
pub fn name_value_of(text: &str, type_oid: pg_sys::Oid) -> Option<pg_sys::Datum> {
    if can_be_empty(type_oid) {
        return value_of(text, type_oid);
    }
    // An input function that fails leaves nothing behind, so its error can be passed over without a subtransaction.
    pgrx::PgTryBuilder::new(std::panic::AssertUnwindSafe(|| value_of(text, type_oid)))
        .catch_when(pgrx::PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION, |_| None)
        .catch_when(pgrx::PgSqlErrorCode::ERRCODE_INVALID_DATETIME_FORMAT, |_| None)
        .catch_when(pgrx::PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW, |_| None)
        .catch_when(pgrx::PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, |_| None)
        .execute()
}

/// The type below domains.
pub fn base_type(type_oid: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: syscache look-up of a column's type.
    unsafe { pg_sys::getBaseType(type_oid) }
}

/// When two values of a type are equal: its default equality operator, which its indexes use too.
#[derive(Debug, Clone, Copy)]
pub struct Equality {
    /// The operator.
    pub operator: pg_sys::Oid,
    /// Its function.
    pub function: pg_sys::Oid,
    /// The type that the operator takes, to which the column's type is binary-compatible.
    pub operand: pg_sys::Oid,
    /// The hash function that goes with it, if there is one.
    pub hash: pg_sys::Oid,
}

impl Equality {
    /// That of a type, or of the type below a domain.
    pub fn of_type(type_oid: pg_sys::Oid) -> Self {
        let flags = pg_sys::TYPECACHE_EQ_OPR | pg_sys::TYPECACHE_HASH_PROC;
        // SAFETY: type cache entries live as long as the backend.
        let entry = unsafe { &*pg_sys::lookup_type_cache(base_type(type_oid), flags as _) };
        if entry.eq_opr == pg_sys::InvalidOid {
            Fault::bad_argument("the type of a key or link column has no equality operator")
                .hint("Key columns need a type with a default btree or hash operator class.")
                .raise();
        }
        let (mut left, mut right) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
        // SAFETY: syscache look-ups of a valid operator and its type.
        unsafe {
            pg_sys::op_input_types(entry.eq_opr, &mut left, &mut right);
            let is_polymorphic = pg_sys::get_typtype(left) as u8 == pg_sys::TYPTYPE_PSEUDO;
            Equality {
                operator: entry.eq_opr,
                function: pg_sys::get_opcode(entry.eq_opr),
                operand: if is_polymorphic { entry.type_id } else { left },
                hash: entry.hash_proc,
            }
        }
    }
}

/// Whether two values of a column are the same, byte by byte: a difference that its type does not tell is one as well.
pub fn is_same(
    one: Option<pg_sys::Datum>,
    other: Option<pg_sys::Datum>,
    attribute: &pg_sys::FormData_pg_attribute,
) -> bool {
    match (one, other) {
        (None, None) => true,
        // SAFETY: values of the attribute's type.
        (Some(one), Some(other)) => unsafe {
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                datum_image_eq(one, other, attribute.attbyval, attribute.attlen.into())
            })
        },
        _ => false,
    }
}

unsafe extern "C-unwind" {
    // utils/datum.h
    fn datum_image_eq(one: pg_sys::Datum, other: pg_sys::Datum, by_value: bool, length: i32) -> bool;
}

/// Texts under this collation are equal when their bytes are.
pub fn is_deterministic(collation: pg_sys::Oid) -> bool {
    // SAFETY: syscache look-up.
    collation == pg_sys::InvalidOid || unsafe { pg_sys::get_collation_isdeterministic(collation) }
}

/// A type whose values can be the empty string: the types of the string category, as far as links use them.
pub fn can_be_empty(type_oid: pg_sys::Oid) -> bool {
    let (mut category, mut preferred) = (0, false);
    // SAFETY: syscache look-up of a column's type.
    unsafe { pg_sys::get_type_category_preferred(base_type(type_oid), &mut category, &mut preferred) };
    category as u8 == pg_sys::TYPCATEGORY_STRING
}

/// An identifier as a statement writes it.
pub fn quoted(identifier: &str) -> String {
    let identifier = CString::new(identifier).expect("identifiers have no NUL");
    // SAFETY: a NUL-terminated string; what comes back is that or a new one.
    unsafe { std::ffi::CStr::from_ptr(pg_sys::quote_identifier(identifier.as_ptr())) }
        .to_string_lossy()
        .into_owned()
}

/// A text as a statement writes it, of a type that is yet to be found.
pub fn literal(text: &str) -> String {
    let text = CString::new(text).expect("texts have no NUL");
    // SAFETY: a NUL-terminated string; what comes back is a new one.
    unsafe { std::ffi::CStr::from_ptr(pg_sys::quote_literal_cstr(text.as_ptr())) }
        .to_string_lossy()
        .into_owned()
}

/// A type as a statement writes it, whatever the search path is.
pub fn type_name(type_oid: pg_sys::Oid) -> String {
    // SAFETY: a look-up; what comes back is a new string.
    unsafe { std::ffi::CStr::from_ptr(pg_sys::format_type_be_qualified(type_oid)) }
        .to_string_lossy()
        .into_owned()
}

/// An operator as a statement writes it, whatever the search path is.
pub fn qualified_operator(operator: pg_sys::Oid) -> String {
    // SAFETY: a look-up of an operator that exists, let go of when it has been read.
    let (schema, name) = unsafe {
        let cache = pg_sys::SysCacheIdentifier::OPEROID as _;
        let tuple = pg_sys::SearchSysCache1(cache, operator.into());
        let form: *const pg_sys::FormData_pg_operator = pg_sys::GETSTRUCT(tuple).cast();
        let schema = std::ffi::CStr::from_ptr(pg_sys::get_namespace_name((*form).oprnamespace));
        let schema = schema.to_string_lossy().into_owned();
        let name = std::ffi::CStr::from_ptr((*form).oprname.data.as_ptr()).to_string_lossy().into_owned();
        pg_sys::ReleaseSysCache(tuple);
        (schema, name)
    };
    format!("OPERATOR({}.{name})", quoted(&schema))
}

/// One of docperm's own functions; InvalidOid if there is none.
pub fn own_function(name: &std::ffi::CStr, types: &mut [pg_sys::Oid]) -> pg_sys::Oid {
    // SAFETY: a look-up by qualified name and argument types.
    unsafe {
        let mut path = pgrx::PgList::<pg_sys::Node>::new();
        path.push(pg_sys::makeString(pg_sys::pstrdup(c"docperm".as_ptr())).cast());
        path.push(pg_sys::makeString(pg_sys::pstrdup(name.as_ptr())).cast());
        pg_sys::LookupFuncName(path.into_pg(), types.len() as _, types.as_mut_ptr(), true)
    }
}
