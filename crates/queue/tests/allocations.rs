//! What allocates nothing: counted by an allocator.
#![expect(unsafe_code, reason = "a global allocator that counts")]

mod driver;
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;

use asyncio_queue::{Event, Lock, Queue, Semaphore};
use support::poll;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: it only counts, and leaves the work to `System`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(body: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    body();
    ALLOCATIONS.get() - before
}

/// Polls a future that must be ready at once.
fn now<F: Future>(future: F) -> F::Output {
    match poll(pin!(future)) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("it had to wait"),
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(Box::new(1))), 1);
}

#[test]
fn a_bounded_queue_allocates_nothing_in_the_steady_state() {
    let queue = Queue::new(128);
    let round = || {
        for number in 0..128 {
            now(queue.put(number)).unwrap();
        }
        // One that waits at each end, and is served.
        let mut put = pin!(queue.put(128));
        assert!(poll(put.as_mut()).is_pending());
        for number in 0..128 {
            assert_eq!(now(queue.get()), Ok(number));
        }
        assert!(poll(put).is_ready());
        assert_eq!(now(queue.get()), Ok(128));
        let mut get = pin!(queue.get());
        assert!(poll(get.as_mut()).is_pending());
        queue.put_nowait(0).unwrap();
        assert!(poll(get).is_ready());
        for _ in 0..130 {
            queue.task_done().unwrap();
        }
    };
    round();
    assert_eq!(allocations(round), 0);
}

#[test]
fn locks_semaphores_and_events_never_allocate() {
    let (lock, semaphore, event) = (Lock::new(0), Semaphore::new(1), Event::new());
    assert_eq!(
        allocations(|| {
            let guard = now(lock.acquire());
            let permit = now(semaphore.acquire());
            let (mut locked, mut taken) = (pin!(lock.acquire()), pin!(semaphore.acquire()));
            let mut unset = pin!(event.wait());
            assert!(poll(locked.as_mut()).is_pending());
            assert!(poll(taken.as_mut()).is_pending());
            assert!(poll(unset.as_mut()).is_pending());
            drop((guard, permit));
            event.set();
            assert!(poll(locked).is_ready());
            assert!(poll(taken).is_ready());
            assert!(poll(unset).is_ready());
        }),
        0
    );
}
