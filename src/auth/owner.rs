//! With the privileges of docperm's owner, for as long as something takes.

use pgrx::pg_sys;

/// Does something with the privileges that docperm's own tables need.
///
/// For functions that everybody may call. They are not SECURITY DEFINER, because then it could not be seen any more who
/// calls: a function of somebody else's that a superuser's ANALYZE runs would look like the superuser. Such a function first
/// asks who acts, then comes here; and it pins its search_path in its declaration, so that nothing of the caller's is found.
pub fn as_owner<T>(action: impl FnOnce() -> T) -> T {
    struct Caller(pg_sys::Oid, i32);
    impl Drop for Caller {
        fn drop(&mut self) {
            // SAFETY: what it was before. The end of a transaction that failed does the same.
            unsafe { pg_sys::SetUserIdAndSecContext(self.0, self.1) }
        }
    }
    let mut caller = Caller(pg_sys::InvalidOid, 0);
    // SAFETY: reads and sets variables of the backend; the first superuser always exists. With the flag nobody can SET ROLE
    // meanwhile; flags that are set stay.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&raw mut caller.0, &raw mut caller.1);
        let context = caller.1 | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32;
        pg_sys::SetUserIdAndSecContext(pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID), context);
    }
    let done = action();
    drop(caller);
    done
}
