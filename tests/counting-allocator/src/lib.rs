//! Counts what each thread allocates: the system's allocator, for every test that uses this.
//!
//! The test harness has threads of its own, so the counts are those of the calling thread.
//!
//! ```
//! use asyncio_counting_allocator::allocations_of;
//!
//! assert_eq!(allocations_of(|| drop(std::hint::black_box(Box::new(1)))), 1);
//! ```
//!
//! Invariant I1: every call is handed on to the system's allocator as it came, so what it promises holds here, too.
#![expect(unsafe_code, reason = "a global allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

/// Allocations of this thread so far; one that moves to grow is one more.
pub fn allocations() -> usize {
    ALLOCATIONS.get()
}

/// Allocations of this thread in `f`.
pub fn allocations_of(f: impl FnOnce()) -> usize {
    let before = allocations();
    f();
    allocations() - before
}

/// Allocations of this thread less those it gave back.
pub fn live_allocations() -> isize {
    LIVE.get()
}

/// Bytes that this thread allocated less those it gave back.
pub fn live_bytes() -> isize {
    BYTES.get()
}

fn count(bytes: usize) {
    // A thread allocates also when its own variables are gone.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
    let _ = LIVE.try_with(|count| count.set(count.get() + 1));
    let _ = BYTES.try_with(|count| count.set(count.get() + bytes as isize));
}

fn count_back(bytes: usize) {
    let _ = LIVE.try_with(|count| count.set(count.get() - 1));
    let _ = BYTES.try_with(|count| count.set(count.get() - bytes as isize));
}

// SAFETY: by I1.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: by I1.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count_back(layout.size());
        // SAFETY: by I1.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_back(layout.size());
        count(size);
        // SAFETY: by I1.
        unsafe { System.realloc(ptr, layout, size) }
    }
}
