//! Memory of PostgreSQL's that is freed with a Rust value.

use pgrx::pg_sys;

/// Memory that lives as long as its owner.
pub struct OwnedContext(pg_sys::MemoryContext);

impl OwnedContext {
    /// Makes an empty one.
    pub fn create() -> Self {
        // SAFETY: a child of the context that lives as long as the backend; deleted by Drop.
        OwnedContext(unsafe {
            pg_sys::AllocSetContextCreateInternal(
                pg_sys::TopMemoryContext,
                c"docperm".as_ptr(),
                0,
                8 * 1024,
                8 * 1024 * 1024,
            )
        })
    }

    /// As PostgreSQL passes it around.
    pub fn as_raw(&self) -> pg_sys::MemoryContext {
        self.0
    }

    /// Works with this as the current context.
    pub fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        struct Leave(pg_sys::MemoryContext);
        impl Drop for Leave {
            fn drop(&mut self) {
                // SAFETY: the context that was current when this was entered, also if an error unwinds.
                unsafe { pg_sys::CurrentMemoryContext = self.0 }
            }
        }
        // SAFETY: the context is alive.
        let _leave = unsafe {
            let leave = Leave(pg_sys::CurrentMemoryContext);
            pg_sys::CurrentMemoryContext = self.0;
            leave
        };
        work()
    }

    /// Frees what was allocated in it.
    pub fn reset(&self) {
        // SAFETY: nothing refers to what was allocated while it was entered.
        unsafe { pg_sys::MemoryContextReset(self.0) }
    }
}

impl Drop for OwnedContext {
    fn drop(&mut self) {
        // SAFETY: created by `create`; nothing refers to it once its owner is gone.
        unsafe { pg_sys::MemoryContextDelete(self.0) }
    }
}
