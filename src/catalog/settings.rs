//! Settings that must not be what the session prefers.

use std::ffi::CStr;

use pgrx::pg_sys;

/// Dates and the like in the one form in which docperm stores names.
const STORED_FORM: [(&CStr, &CStr); 5] = [
    (c"datestyle", c"ISO, YMD"),
    (c"intervalstyle", c"postgres"),
    (c"timezone", c"UTC"),
    (c"bytea_output", c"hex"),
    (c"extra_float_digits", c"1"),
];

/// Settings that are fixed until this is dropped; an error that ends the transaction sets them back as well.
pub struct Fixed(i32);

impl Fixed {
    /// For the text form of values that become names.
    pub fn for_names() -> Self {
        // SAFETY: opens a level that `drop` closes.
        let fixed = Fixed(unsafe { pg_sys::NewGUCNestLevel() });
        STORED_FORM.iter().for_each(|(name, value)| set(name, value));
        fixed
    }

    /// For the text form of values of a type that become names; nothing, if no setting changes how they are written.
    pub fn for_names_of(type_oid: pg_sys::Oid) -> Option<Self> {
        const UNCHANGED: [pg_sys::Oid; 8] = [
            pg_sys::TEXTOID,
            pg_sys::VARCHAROID,
            pg_sys::BPCHAROID,
            pg_sys::NAMEOID,
            pg_sys::INT2OID,
            pg_sys::INT4OID,
            pg_sys::INT8OID,
            pg_sys::UUIDOID,
        ];
        (!UNCHANGED.contains(&type_oid)).then(Self::for_names)
    }

    /// For statements of docperm's own: as for names, and what they name is what PostgreSQL brings.
    pub fn for_statements() -> Self {
        let fixed = Self::for_names();
        set(c"search_path", c"pg_catalog, pg_temp");
        fixed
    }
}

impl Drop for Fixed {
    fn drop(&mut self) {
        // On an error the transaction sets them back.
        if !std::thread::panicking() {
            // SAFETY: the level that was opened.
            unsafe { pg_sys::AtEOXact_GUC(true, self.0) }
        }
    }
}

/// As a function's SET clause would.
fn set(name: &CStr, value: &CStr) {
    // SAFETY: settings that anybody may change, to values that they may have.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
    }
}
