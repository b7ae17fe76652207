//! A flat set in dynamic shared memory, where parallel workers find it.

use pgrx::pg_sys;

/// A segment that holds one set's words as long as this exists.
pub struct SharedSet(*mut pg_sys::dsm_segment);

impl SharedSet {
    /// Copies the words into a new segment; `None` if the server has no segment left.
    pub fn create(words: &[u64]) -> Option<Self> {
        // SAFETY: the segment is as large as the words, page-aligned, and pinned so that it outlives the transaction.
        unsafe {
            let segment = pg_sys::dsm_create(size_of_val(words), pg_sys::DSM_CREATE_NULL_IF_MAXSEGMENTS as _);
            if segment.is_null() {
                return None;
            }
            pg_sys::dsm_pin_mapping(segment);
            let target = pg_sys::dsm_segment_address(segment).cast::<u64>();
            std::ptr::copy_nonoverlapping(words.as_ptr(), target, words.len());
            Some(SharedSet(segment))
        }
    }

    /// Takes up a segment that another process holds; `None` if there is none of that handle.
    pub fn attach(handle: pg_sys::dsm_handle) -> Option<Self> {
        // SAFETY: a handle that is not in use gives NULL.
        unsafe {
            let known = pg_sys::dsm_find_mapping(handle);
            let segment = if known.is_null() { pg_sys::dsm_attach(handle) } else { known };
            if segment.is_null() {
                return None;
            }
            pg_sys::dsm_pin_mapping(segment);
            Some(SharedSet(segment))
        }
    }

    /// What other processes find it by.
    pub fn handle(&self) -> pg_sys::dsm_handle {
        // SAFETY: the segment is mapped as long as `self` lives.
        unsafe { pg_sys::dsm_segment_handle(self.0) }
    }

    /// The words of the segment.
    pub fn words(&self) -> &[u64] {
        // SAFETY: the mapping is page-aligned and of that length, and nobody writes to it after `create`.
        unsafe {
            let bytes = pg_sys::dsm_segment_map_length(self.0);
            std::slice::from_raw_parts(pg_sys::dsm_segment_address(self.0).cast::<u64>(), bytes as usize / 8)
        }
    }
}

impl Drop for SharedSet {
    fn drop(&mut self) {
        // SAFETY: mapped by `create` or `attach`, and pinned, so nothing else detaches it.
        unsafe { pg_sys::dsm_detach(self.0) }
    }
}
