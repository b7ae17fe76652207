//! docperm's settings.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use pgrx::pg_sys;

use super::switch;

/// Up to how many permitted values a plan holds as constants. More are tested against a set that the backend holds:
/// planning with very many constants takes longer than reading by them saves.
static MAX_INLINE_VALUES: GucSetting<i32> = GucSetting::<i32>::new(1000);

/// Holds what PostgreSQL assigns to `docperm.acting_user`.
static mut ACTING_USER: *mut c_char = ptr::null_mut();

const ACTING_USER_NAME: &CStr = c"docperm.acting_user";

thread_local! {
    /// docperm itself is assigning the acting user.
    static ASSIGNING: Cell<bool> = const { Cell::new(false) };
}

/// Defines the settings. Values that were planted under their names before are checked here, and dropped.
pub fn define() {
    GucRegistry::define_int_guc(
        c"docperm.max_inline_values",
        c"Permitted values up to which a plan holds them as constants.",
        c"Above it, rows are tested against a hash set held by the backend.",
        &MAX_INLINE_VALUES,
        0,
        100_000,
        GucContext::Userset,
        GucFlags::default(),
    );
    // SAFETY: called once, when the library is loaded; all strings and the variable live as long as the backend.
    unsafe {
        pg_sys::DefineCustomStringVariable(
            ACTING_USER_NAME.as_ptr(),
            c"The user that docperm.set_user() named.".as_ptr(),
            c"Cannot be set but by docperm.set_user().".as_ptr(),
            &raw mut ACTING_USER,
            ptr::null(),
            pg_sys::GucContext::PGC_SUSET,
            (pg_sys::GUC_NOT_IN_SAMPLE | pg_sys::GUC_DISALLOW_IN_FILE) as _,
            Some(check_acting_user),
            Some(assign_acting_user),
            None,
        );
        #[cfg(not(feature = "pg14"))]
        pg_sys::MarkGUCPrefixReserved(c"docperm".as_ptr());
        #[cfg(feature = "pg14")]
        pg_sys::EmitWarningsOnPlaceholders(c"docperm".as_ptr());
    }
}

/// See [`MAX_INLINE_VALUES`].
pub fn max_inline_values() -> usize {
    MAX_INLINE_VALUES.get().try_into().unwrap_or(0)
}

/// The user that docperm.set_user() named, if it named one.
pub fn acting_user() -> Option<&'static str> {
    // SAFETY: PostgreSQL keeps the variable NULL or at a NUL-terminated string, which lives until it is assigned anew;
    // callers copy it before anything can.
    let value = unsafe { if ACTING_USER.is_null() { return None } else { CStr::from_ptr(ACTING_USER) } };
    value.to_str().ok().filter(|user| !user.is_empty())
}

/// Assigns the acting user, for the transaction or for the session.
pub fn assign(user: &str, is_local: bool) {
    struct Assigning;
    impl Drop for Assigning {
        fn drop(&mut self) {
            ASSIGNING.set(false);
        }
    }
    let value = std::ffi::CString::new(user).unwrap_or_default();
    let action =
        if is_local { pg_sys::GucAction::GUC_ACTION_LOCAL } else { pg_sys::GucAction::GUC_ACTION_SET };
    ASSIGNING.set(true);
    let _assigning = Assigning;
    // SAFETY: sets a setting that `define` has defined; transactional like SET and SET LOCAL.
    unsafe {
        pg_sys::set_config_option(
            ACTING_USER_NAME.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
            action,
            true,
            0,
            false,
        );
    }
}

/// Lets nobody name an acting user but docperm: not a superuser by SET, who may call the function, and not a value that
/// waited for the library to be loaded. Parallel workers get their leader's.
unsafe extern "C-unwind" fn check_acting_user(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL passes a pointer to NULL or to a NUL-terminated string; the flag is a plain variable.
    unsafe {
        let names_nobody = (*value).is_null() || **value == 0;
        names_nobody || ASSIGNING.get() || pg_sys::InitializingParallelWorker
    }
}

/// Also called at the end of a transaction that set it, without a check and without the right to fail.
unsafe extern "C-unwind" fn assign_acting_user(value: *const c_char, _extra: *mut c_void) {
    // SAFETY: both are NULL or NUL-terminated.
    let same = unsafe {
        let text = |pointer: *const c_char| (!pointer.is_null()).then(|| CStr::from_ptr(pointer));
        text(value) == text(ACTING_USER)
    };
    if !same {
        switch::identity_changed();
    }
}
