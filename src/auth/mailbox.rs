//! Shared memory in which a backend leaves a request for its login worker, and finds the answer.

use std::sync::atomic::{AtomicU32, Ordering};

use pgrx::pg_sys;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::{Zeroize, Zeroizing};

/// Room for an answer.
const ANSWER_SIZE: usize = 2048;

const ASKED: u32 = 0;
const ANSWERED: u32 = 1;

#[repr(C)]
struct Header {
    state: AtomicU32,
    /// The asking backend's place among PostgreSQL's processes, for its latch.
    asker: u32,
    length: u32,
    capacity: u32,
}

/// One request and its answer.
pub struct Mailbox(*mut pg_sys::dsm_segment);

impl Mailbox {
    /// Leaves a request. The memory is let go of when this is dropped, or when the transaction fails.
    pub fn with_request(request: &impl Serialize) -> Self {
        let request = Zeroizing::new(serde_json::to_vec(request).unwrap_or_default());
        let capacity = request.len().max(ANSWER_SIZE);
        // SAFETY: the segment is as large as is asked for; nobody else knows it yet.
        unsafe {
            let segment = pg_sys::dsm_create(size_of::<Header>() + capacity, 0);
            let mailbox = Mailbox(segment);
            mailbox.header().write(Header {
                state: AtomicU32::new(ASKED),
                asker: pg_sys::MyProc.offset_from((*pg_sys::ProcGlobal).allProcs) as u32,
                length: request.len() as u32,
                capacity: capacity as u32,
            });
            std::ptr::copy_nonoverlapping(request.as_ptr(), mailbox.content(), request.len());
            mailbox
        }
    }

    /// What a worker finds it by.
    pub fn handle(&self) -> pg_sys::dsm_handle {
        // SAFETY: attached.
        unsafe { pg_sys::dsm_segment_handle(self.0) }
    }

    /// Keeps it until [`give_up`](Self::give_up), whatever becomes of who made it.
    pub fn keep(&self) {
        // SAFETY: attached.
        unsafe { pg_sys::dsm_pin_segment(self.0) }
    }

    /// Lets go of one that is kept.
    pub fn give_up(handle: pg_sys::dsm_handle) {
        // SAFETY: kept by `keep`, and given up once: by its worker, or where there is none.
        unsafe { pg_sys::dsm_unpin_segment(handle) }
    }

    /// Opens it in a worker; `None` if who asked has gone.
    pub fn open(handle: pg_sys::dsm_handle) -> Option<Self> {
        // SAFETY: a handle that is not known gives NULL.
        let segment = unsafe { pg_sys::dsm_attach(handle) };
        // Not then_some(): it would make one of nothing, and drop it.
        (!segment.is_null()).then(|| Mailbox(segment))
    }

    /// In a worker: takes the request out, so that nothing of it stays in shared memory.
    pub fn take_request<T: DeserializeOwned>(&self) -> Option<T> {
        self.take()
    }

    /// In a worker: leaves the answer and wakes who waits for it.
    pub fn answer(&self, answer: &impl Serialize) {
        let answer = Zeroizing::new(serde_json::to_vec(answer).unwrap_or_default());
        // SAFETY: the content has room for `capacity` bytes; only the worker writes before the state says that it has. The
        // latch of a place among the processes is always there; whoever has the place now may be woken for nothing.
        unsafe {
            let header = self.header();
            if answer.len() > (*header).capacity as usize {
                return;
            }
            std::ptr::copy_nonoverlapping(answer.as_ptr(), self.content(), answer.len());
            (*header).length = answer.len() as u32;
            (*header).state.store(ANSWERED, Ordering::Release);
            let asker = (*pg_sys::ProcGlobal).allProcs.add((*header).asker as usize);
            pg_sys::SetLatch(&raw mut (*asker).procLatch);
        }
    }

    /// The answer, once it is there; it is wiped.
    pub fn take_answer<T: DeserializeOwned>(&self) -> Option<T> {
        // SAFETY: an atomic in mapped memory.
        let state = unsafe { (*self.header()).state.load(Ordering::Acquire) };
        (state == ANSWERED).then(|| self.take()).flatten()
    }

    fn take<T: DeserializeOwned>(&self) -> Option<T> {
        // SAFETY: the content has room for `capacity` bytes; the other side is done with it.
        let bytes = unsafe {
            let header = self.header();
            let length = ((*header).length as usize).min((*header).capacity as usize);
            std::slice::from_raw_parts_mut(self.content(), length)
        };
        let value = serde_json::from_slice(bytes).ok();
        bytes.zeroize();
        value
    }

    fn header(&self) -> *mut Header {
        // SAFETY: attached; PostgreSQL aligns segments to pages.
        unsafe { pg_sys::dsm_segment_address(self.0).cast() }
    }

    fn content(&self) -> *mut u8 {
        // SAFETY: behind the header, in the same segment.
        unsafe { self.header().add(1).cast() }
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        // On an error the transaction's resource owner detaches it.
        if !std::thread::panicking() {
            // SAFETY: attached, and not used afterwards.
            unsafe { pg_sys::dsm_detach(self.0) }
        }
    }
}
