//! Where PostgreSQL calls docperm: functions with the version-1 convention that sql/ declares, and hooks.

/// Defines a version-1 function and its info record, which must be called `pg_finfo_` and the function's name. The body
/// gets the call's `FunctionCallInfo` and returns a datum; PostgreSQL errors and Rust panics in it become PostgreSQL errors.
macro_rules! entry_point {
    ($(#[$attribute:meta])* fn $name:ident / $finfo:ident ($fcinfo:ident) $body:block) => {
        $(#[$attribute])*
        ///
        /// # Safety
        /// For PostgreSQL's function manager only, with the arguments that sql/ declares.
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $name(call: pgrx::pg_sys::FunctionCallInfo) -> pgrx::pg_sys::Datum {
            fn body($fcinfo: pgrx::pg_sys::FunctionCallInfo) -> pgrx::pg_sys::Datum $body
            // SAFETY: turns panics into PostgreSQL errors, which must not unwind into C.
            unsafe { pgrx::pg_sys::panic::pgrx_extern_c_guard(std::panic::AssertUnwindSafe(|| body(call))) }
        }

        #[doc(hidden)]
        #[unsafe(no_mangle)]
        pub extern "C" fn $finfo() -> &'static pgrx::pg_sys::Pg_finfo_record {
            const VERSION_1: pgrx::pg_sys::Pg_finfo_record = pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
            &VERSION_1
        }
    };
}
pub(crate) use entry_point;

/// Runs docperm's own part of a hook: its panics, and PostgreSQL's errors in it, become PostgreSQL's errors.
///
/// # Safety
/// In a function that PostgreSQL calls, whose frame holds nothing to be dropped.
pub unsafe fn guarded<R>(work: impl FnOnce() -> R) -> R {
    // SAFETY: as demanded of the caller.
    unsafe { pgrx::pg_sys::panic::pgrx_extern_c_guard(std::panic::AssertUnwindSafe(work)) }
}
