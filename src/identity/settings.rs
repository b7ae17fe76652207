//! docperm's settings.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;

use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};
use pgrx::pg_sys;

use super::switch;
use crate::concealment::conceal_statement;

/// Up to how many permitted values a plan holds as constants. More are tested against a set that the backend holds:
/// planning with very many constants takes longer than reading by them saves.
static MAX_INLINE_VALUES: GucSetting<i32> = GucSetting::<i32>::new(1000);

/// Where the keys are that secrets are sealed with.
static SECRET_KEY_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

/// Holds what PostgreSQL assigns to `docperm.acting_user`.
static mut ACTING_USER: *mut c_char = ptr::null_mut();

/// Holds what PostgreSQL assigns to `docperm.session`.
static mut SESSION: *mut c_char = ptr::null_mut();

/// Holds what PostgreSQL assigns to `docperm.client_address`.
static mut CLIENT_ADDRESS: *mut c_char = ptr::null_mut();

/// Holds what PostgreSQL assigns to `docperm.shared_sets`.
static mut SHARED_SETS: *mut c_char = ptr::null_mut();

const ACTING_USER_NAME: &CStr = c"docperm.acting_user";
const SESSION_NAME: &CStr = c"docperm.session";
const CLIENT_ADDRESS_NAME: &CStr = c"docperm.client_address";
const SHARED_SETS_NAME: &CStr = c"docperm.shared_sets";

thread_local! {
    /// docperm itself is assigning.
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
    GucRegistry::define_string_guc(
        c"docperm.secret_key_file",
        c"File with the keys that secrets of users are sealed with.",
        c"32 bytes in base64 a line; the first key seals, all of them open. Only the server's user may read it.",
        &SECRET_KEY_FILE,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    // SAFETY: called once, when the library is loaded; the hooks and variables live as long as the backend.
    unsafe {
        define_own(
            ACTING_USER_NAME,
            c"The user that docperm.set_user() named. Cannot be set but by it.",
            &raw mut ACTING_USER,
            Some(assign_acting_user),
        );
        define_own(
            CLIENT_ADDRESS_NAME,
            c"The client's address that docperm.resume() was told and believed. Cannot be set but by it.",
            &raw mut CLIENT_ADDRESS,
            None,
        );
        define_own(
            SHARED_SETS_NAME,
            c"Where parallel workers find sets of permitted values. Cannot be set.",
            &raw mut SHARED_SETS,
            None,
        );
        // Anybody may set it: it opens nothing but to a token that nobody can guess. Nobody is shown it, so that whoever
        // makes an application run his SQL does not get the token as well.
        pg_sys::DefineCustomStringVariable(
            SESSION_NAME.as_ptr(),
            c"The token of the session that acts, or an API key and its secret with a colon between."
                .as_ptr(),
            ptr::null(),
            &raw mut SESSION,
            ptr::null(),
            pg_sys::GucContext::PGC_USERSET,
            (pg_sys::GUC_NOT_IN_SAMPLE | pg_sys::GUC_DISALLOW_IN_FILE | pg_sys::GUC_NO_SHOW_ALL) as _,
            Some(check_session),
            Some(assign_session),
            Some(show_session),
        );
        #[cfg(not(feature = "pg14"))]
        pg_sys::MarkGUCPrefixReserved(c"docperm".as_ptr());
        #[cfg(feature = "pg14")]
        pg_sys::EmitWarningsOnPlaceholders(c"docperm".as_ptr());
    }
}

/// Defines a setting that only docperm assigns.
unsafe fn define_own(
    name: &'static CStr,
    description: &'static CStr,
    variable: *mut *mut c_char,
    assign: pg_sys::GucStringAssignHook,
) {
    // SAFETY: as in `define`.
    unsafe {
        pg_sys::DefineCustomStringVariable(
            name.as_ptr(),
            description.as_ptr(),
            ptr::null(),
            variable,
            ptr::null(),
            pg_sys::GucContext::PGC_SUSET,
            (pg_sys::GUC_NOT_IN_SAMPLE | pg_sys::GUC_DISALLOW_IN_FILE | pg_sys::GUC_NO_SHOW_ALL) as _,
            Some(check_is_own),
            assign,
            None,
        );
    }
}

/// See [`MAX_INLINE_VALUES`].
pub fn max_inline_values() -> usize {
    MAX_INLINE_VALUES.get().try_into().unwrap_or(0)
}

/// See [`SECRET_KEY_FILE`].
pub fn secret_key_file() -> Option<String> {
    let path = SECRET_KEY_FILE.get()?.into_string().ok()?;
    (!path.is_empty()).then_some(path)
}

/// The user that docperm.set_user() named, if it named one.
pub fn acting_user() -> Option<&'static str> {
    // SAFETY: a setting's variable.
    unsafe { value_of(ACTING_USER) }
}

/// The token that `docperm.session` holds, if it holds one.
pub fn session_token() -> Option<&'static str> {
    // SAFETY: a setting's variable.
    unsafe { value_of(SESSION) }
}

/// Where the leader's sets are, as [`assign_shared_sets`] wrote it.
pub fn shared_sets() -> Option<&'static str> {
    // SAFETY: a setting's variable.
    unsafe { value_of(SHARED_SETS) }
}

/// A setting's text, if there is any. PostgreSQL keeps it until the setting is assigned anew; callers are done with it then.
unsafe fn value_of(variable: *const c_char) -> Option<&'static str> {
    // SAFETY: NULL or a NUL-terminated string.
    let value = unsafe { if variable.is_null() { return None } else { CStr::from_ptr(variable) } };
    value.to_str().ok().filter(|value| !value.is_empty())
}

/// Assigns the acting user, for the transaction or for the session.
pub fn assign_acting_user_to(user: &str, is_local: bool) {
    assign_own(ACTING_USER_NAME, user, action(is_local));
}

/// Assigns the token of the session that acts; an empty one is none.
pub fn assign_session_token(token: &str, is_local: bool) {
    assign_own(SESSION_NAME, token, action(is_local));
}

/// The client's address as a trusted application stated it, if it did.
pub fn client_address() -> Option<&'static str> {
    // SAFETY: a setting's variable.
    unsafe { value_of(CLIENT_ADDRESS) }
}

/// Assigns the client's address; an empty text is none.
pub fn assign_client_address(address: &str, is_local: bool) {
    assign_own(CLIENT_ADDRESS_NAME, address, action(is_local));
}

fn action(is_local: bool) -> pg_sys::GucAction::Type {
    if is_local { pg_sys::GucAction::GUC_ACTION_LOCAL } else { pg_sys::GucAction::GUC_ACTION_SET }
}

/// Tells parallel workers where sets are.
pub fn assign_shared_sets(directory: &str) {
    assign_own(SHARED_SETS_NAME, directory, pg_sys::GucAction::GUC_ACTION_SET);
}

fn assign_own(name: &CStr, value: &str, action: pg_sys::GucAction::Type) {
    struct Assigning;
    impl Drop for Assigning {
        fn drop(&mut self) {
            ASSIGNING.set(false);
        }
    }
    let value = CString::new(value).unwrap_or_default();
    ASSIGNING.set(true);
    let _assigning = Assigning;
    // SAFETY: sets a setting that `define` has defined; transactional like SET and SET LOCAL.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
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

/// Lets nobody assign but docperm: not a superuser by SET, who may call docperm.set_user(), and not a value that waited for
/// the library to be loaded. Parallel workers get their leader's.
unsafe extern "C-unwind" fn check_is_own(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL passes a pointer to NULL or to a NUL-terminated string; the flag is a plain variable.
    unsafe {
        let is_empty = (*value).is_null() || **value == 0;
        is_empty || ASSIGNING.get() || pg_sys::InitializingParallelWorker
    }
}

/// Also called at the end of a transaction that set it, without a check and without the right to fail.
unsafe extern "C-unwind" fn assign_acting_user(value: *const c_char, _extra: *mut c_void) {
    // SAFETY: both are NULL or NUL-terminated.
    if !unsafe { is_same(value, ACTING_USER) } {
        switch::identity_changed();
    }
}

/// Keeps the statement that sets a token out of the log.
unsafe extern "C-unwind" fn check_session(
    _value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    if source == pg_sys::GucSource::PGC_S_SESSION {
        conceal_statement();
    }
    true
}

/// As `assign_acting_user`.
unsafe extern "C-unwind" fn assign_session(value: *const c_char, _extra: *mut c_void) {
    // SAFETY: both are NULL or NUL-terminated.
    if !unsafe { is_same(value, SESSION) } {
        switch::identity_changed();
    }
}

unsafe fn is_same(value: *const c_char, other: *const c_char) -> bool {
    let text = |pointer: *const c_char| {
        // SAFETY: NULL or NUL-terminated, says the caller.
        (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) })
    };
    text(value) == text(other)
}

unsafe extern "C-unwind" fn show_session() -> *const c_char {
    let shown = if session_token().is_some() { c"********" } else { c"" };
    shown.as_ptr()
}
