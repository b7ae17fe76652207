//! Changes of identity in this backend.

use std::ffi::{CStr, c_char, c_void};
use std::rc::Rc;
use std::sync::OnceLock;

use pgrx::pg_sys;

use super::address::ClientAddress;
use super::{session, settings};
use crate::catalog::session::Session;
use crate::catalog::{cache, invalidation};
use crate::fault::{Fault, SqlState};
use crate::rules::model::{ADMINISTRATOR, GUEST};

/// Makes `user` the acting user; NULL gives way to the database role's user.
pub fn become_user(user: Option<&str>, is_local: bool) {
    let Some(user) = user else { return settings::assign_acting_user_to("", is_local) };
    let user = stored_name(user);
    let authority = cache::authority(&user);
    let Some(record) = authority.record() else {
        Fault::unknown(format!("unknown user \"{user}\"")).hint("Users are rows of docperm.users.").raise()
    };
    if !record.enabled && !record.is_administrator() {
        Fault::new(
            SqlState::ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
            format!("user \"{user}\" is disabled"),
        )
        .hint("An administrator can enable the user: docperm.users.enabled.")
        .raise();
    }
    settings::assign_acting_user_to(&user, is_local);
}

/// Takes up the session that `token` opens, and acts as its user from now on.
pub fn resume(token: &str, from: ClientAddress, is_local: bool) -> Rc<Session> {
    let stated =
        from.address.filter(|_| from.is_stated).map(|address| address.to_string()).unwrap_or_default();
    if settings::client_address().unwrap_or_default() != stated {
        settings::assign_client_address(&stated, is_local);
    }
    let session = session::valid(token);
    settings::assign_session_token(token, is_local);
    if settings::acting_user().is_some() {
        settings::assign_acting_user_to("", is_local);
    }
    session
}

/// Names are stored trimmed and in lower case, but for the two that exist from the start. What lower case is, is the
/// database's business: docperm._user_name() in SQL says the same.
pub fn stored_name(user: &str) -> String {
    let trimmed = user.trim_matches(' ');
    // SAFETY: lower(text), with the collation that it has in SQL.
    let lower = unsafe {
        let text = pgrx::IntoDatum::into_datum(trimmed).expect("a text is not NULL");
        let function = pg_sys::Oid::from(pg_sys::F_LOWER_TEXT);
        let lower = pg_sys::OidFunctionCall1Coll(function, pg_sys::DEFAULT_COLLATION_OID, text);
        crate::catalog::values::text_of(lower, pg_sys::TEXTOID)
    };
    let is = |fixed: &&str| fixed.to_ascii_lowercase() == lower;
    [ADMINISTRATOR, GUEST].into_iter().find(is).map_or(lower.clone(), str::to_owned)
}

/// Plans made for whoever acted until now are made anew. Called where nothing may fail.
pub fn identity_changed() {
    invalidation::forget_identity();
}

static ROLE_ASSIGN: OnceLock<StringAssignHook> = OnceLock::new();
static SESSION_AUTHORIZATION_ASSIGN: OnceLock<StringAssignHook> = OnceLock::new();

type StringAssignHook = unsafe extern "C-unwind" fn(*const c_char, *mut c_void);

/// Notices SET ROLE and SET SESSION AUTHORIZATION, however they come: as a command, a set_config(), a function's SET
/// clause, the end of a transaction.
///
/// PostgreSQL itself makes plans with policies anew when the current role changes. It does not within a SECURITY DEFINER
/// function, where the current role stays the definer while the outer role, which counts here, is another.
pub fn watch_database_role() {
    watch(c"role", &ROLE_ASSIGN, assign_role);
    watch(c"session_authorization", &SESSION_AUTHORIZATION_ASSIGN, assign_session_authorization);
}

fn watch(name: &CStr, original: &OnceLock<StringAssignHook>, hook: StringAssignHook) {
    // SAFETY: the built-in settings of these names are strings and live as long as the backend; the original hook is kept
    // and called first.
    unsafe {
        let Some(setting) = find_string_setting(name) else { return };
        if let Some(found) = (*setting).assign_hook
            && original.set(found).is_ok()
        {
            (*setting).assign_hook = Some(hook);
        }
    }
}

unsafe fn find_string_setting(name: &CStr) -> Option<*mut pg_sys::config_string> {
    // SAFETY: the array holds that many settings; each begins with a config_generic.
    unsafe {
        let settings = pg_sys::get_guc_variables();
        let count = pg_sys::GetNumConfigOptions() as usize;
        (0..count).map(|index| *settings.add(index)).find_map(|setting| {
            let is_wanted = CStr::from_ptr((*setting).name) == name;
            (is_wanted && (*setting).vartype == pg_sys::config_type::PGC_STRING).then(|| setting.cast())
        })
    }
}

unsafe extern "C-unwind" fn assign_role(value: *const c_char, extra: *mut c_void) {
    if let Some(original) = ROLE_ASSIGN.get() {
        // SAFETY: what PostgreSQL would have called.
        unsafe { original(value, extra) }
    }
    identity_changed();
}

unsafe extern "C-unwind" fn assign_session_authorization(value: *const c_char, extra: *mut c_void) {
    if let Some(original) = SESSION_AUTHORIZATION_ASSIGN.get() {
        // SAFETY: what PostgreSQL would have called.
        unsafe { original(value, extra) }
    }
    identity_changed();
}
