//! The ready queue: what runs in the next tick, first in, first out.
//!
//! One entry is two words, `{ ptr, &'static vtable }`, and the same for a task's step, a callback, a fired timer and a
//! ready file descriptor. So a wake allocates nothing, the loop knows no task type, and all of them share one order.
//!
//! Invariants:
//! - I1. Of an entry's `run` and `drop` exactly one is called, exactly once. [`Entry`] has no `Drop` and is neither
//!   `Clone` nor `Copy`; [`Entry::run`] and [`Entry::discard`] consume it; a forgotten entry leaks, which is allowed.
//! - I2. Its functions are called on the loop's own thread only, outside any borrow of the loop; for what is in a ready
//!   queue, while that loop is entered (see `running.rs`). Other threads only carry entries. Those whose content is
//!   `Send` may be discarded anywhere (a refused `call_soon_threadsafe`, a late wake of a main future).
#![expect(unsafe_code, reason = "entries are type-erased, so that a wake allocates nothing")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::ptr::NonNull;

use crate::work::Work;

/// The two things that can happen to an [`Entry`].
///
/// `run` does the work; `drop` releases what the entry owns without doing it (the loop was closed). Exactly one of
/// them is called, once, on the loop's thread; `describe` perhaps before that, on the same thread.
#[derive(Debug)]
pub struct EntryVTable {
    /// Consumes the pointer and does the work.
    pub run: unsafe fn(NonNull<()>),
    /// Consumes the pointer without doing the work.
    pub drop: unsafe fn(NonNull<()>),
    /// Says what the work is, before one of the other two is called. Only called while somebody wants to know.
    pub describe: unsafe fn(NonNull<()>) -> Work,
}

/// One unit of work in the ready queue: a pointer and what to do with it, 16 bytes.
///
/// Upper tiers build entries from what they already own (a task's reference, an `Rc`), so that making one ready
/// allocates nothing. An entry that is dropped without having gone through a loop is leaked, never freed: only the
/// loop's thread may free it.
pub struct Entry {
    ptr: NonNull<()>,
    vtable: &'static EntryVTable,
}

// SAFETY: by I2 a foreign thread only carries the two words; what they point to is touched on the loop's thread.
unsafe impl Send for Entry {}

impl Entry {
    /// Makes an entry from its parts.
    ///
    /// # Safety
    ///
    /// Either of `run` and `drop` must be sound to call once with `ptr`, at any later time, on the thread of the loop
    /// that the entry is scheduled on, and `describe` there before that.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{Entry, EntryVTable, EventLoop, Work, testing};
    /// use std::{cell::Cell, ptr::NonNull, rc::Rc};
    ///
    /// // SAFETY (both): the pointer is an `Rc` made raw below, and one of the two is called once.
    /// unsafe fn run(ptr: NonNull<()>) {
    ///     let count = unsafe { Rc::from_raw(ptr.as_ptr() as *const Cell<u32>) };
    ///     count.set(count.get() + 1);
    /// }
    /// unsafe fn discard(ptr: NonNull<()>) {
    ///     drop(unsafe { Rc::from_raw(ptr.as_ptr() as *const Cell<u32>) });
    /// }
    /// unsafe fn describe(_: NonNull<()>) -> Work {
    ///     Work::Other
    /// }
    /// static VTABLE: EntryVTable = EntryVTable { run, drop: discard, describe };
    ///
    /// let event_loop = EventLoop::new()?;
    /// let count = Rc::new(Cell::new(0));
    /// let raw = NonNull::new(Rc::into_raw(count.clone()) as *mut ()).unwrap();
    /// event_loop.schedule(unsafe { Entry::new(raw, &VTABLE) });
    /// testing::run_once(&event_loop)?;
    /// assert_eq!(count.get(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub unsafe fn new(ptr: NonNull<()>, vtable: &'static EntryVTable) -> Self {
        Self { ptr, vtable }
    }

    /// Does the work.
    pub(crate) fn run(self) {
        // SAFETY: by I1 this is the one call, by I2 it is made where it may be made.
        unsafe { (self.vtable.run)(self.ptr) }
    }

    /// Releases what the entry owns without doing the work.
    pub(crate) fn discard(self) {
        // SAFETY: by I1 this is the one call, by I2 it is made where it may be made.
        unsafe { (self.vtable.drop)(self.ptr) }
    }

    /// Says what the work is.
    pub(crate) fn describe(&self) -> Work {
        // SAFETY: by I1 neither of the two has been called, by I2 this is called where they may be.
        unsafe { (self.vtable.describe)(self.ptr) }
    }

    /// The pointer: how `run` recognises the entry of its own main future.
    pub(crate) fn ptr(&self) -> NonNull<()> {
        self.ptr
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("ptr", &self.ptr).finish_non_exhaustive()
    }
}

/// The loop-local queue. No borrow of it is ever held while an entry runs or is discarded.
#[derive(Default)]
pub(crate) struct ReadyQueue {
    entries: RefCell<VecDeque<Entry>>,
}

impl ReadyQueue {
    pub(crate) fn push(&self, entry: Entry) {
        self.entries.borrow_mut().push_back(entry);
    }

    pub(crate) fn pop(&self) -> Option<Entry> {
        self.entries.borrow_mut().pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.borrow().is_empty()
    }

    /// Puts what is queued into the order that `order` gives it: the numbers of the entries, each once.
    pub(crate) fn permute(&self, order: impl FnOnce(&[Entry]) -> Vec<usize>) {
        let mut entries = self.entries.borrow_mut();
        let order = order(entries.make_contiguous());
        let mut queued: Vec<_> = entries.drain(..).map(Some).collect();
        entries.extend(order.into_iter().filter_map(|at| queued[at].take()));
    }

    /// Forgets everything that is queued, and the memory with it; unless somebody looks at it right now.
    pub(crate) fn forget(&self) {
        if let Ok(mut entries) = self.entries.try_borrow_mut() {
            mem::forget(mem::take(&mut *entries));
        }
    }

    /// Takes everything that is queued, and the memory with it.
    pub(crate) fn take(&self) -> VecDeque<Entry> {
        mem::take(&mut *self.entries.borrow_mut())
    }
}
