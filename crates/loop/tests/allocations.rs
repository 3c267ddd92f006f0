//! What allocates, and what must not, counted on the test's own thread.
#![expect(unsafe_code, reason = "counting allocations takes an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use asyncio_loop::testing::{self, ClockMode};
use asyncio_loop::{Entry, EntryVTable, IoHandler, Ready, Work};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count_one() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller keeps the system allocator's rules.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_one();
        // SAFETY: as above.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(f: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    f();
    ALLOCATIONS.get() - before
}

/// Reads what is there, and keeps count.
struct Reader(UnixStream, Cell<usize>);

impl IoHandler for Reader {
    fn on_ready(self: Rc<Self>, _: Ready) {
        let mut buffer = [0; 64];
        while (&self.0).read(&mut buffer).is_ok() {
            self.1.set(self.1.get() + 1);
        }
    }
}

unsafe fn nothing(_: NonNull<()>) {}

unsafe fn other(_: NonNull<()>) -> Work {
    Work::Other
}

static NOTHING: EntryVTable = EntryVTable { run: nothing, drop: nothing, describe: other };

#[test]
fn in_a_steady_state_wakes_timers_and_events_allocate_nothing() {
    let (event_loop, clock) = testing::virtual_loop(ClockMode::Frozen).unwrap();
    let tick = || {
        clock.advance(Duration::from_millis(1));
        testing::run_once(&event_loop).unwrap();
    };

    let wakes = || {
        for _ in 0..1_000 {
            // SAFETY: both functions do nothing.
            event_loop.schedule(unsafe { Entry::new(NonNull::dangling(), &NOTHING) });
        }
        tick();
    };
    wakes();
    assert_eq!(allocations(wakes), 0, "wakes");

    let timers = || {
        let mut keys = [None; 1_000];
        for (n, key) in keys.iter_mut().enumerate() {
            let when = event_loop.time() + Duration::from_micros(n as u64 % 7);
            *key = Some(event_loop.add_timer(when, Waker::noop()));
        }
        keys.iter().flatten().step_by(3).for_each(|key| event_loop.cancel_timer(*key));
        tick();
    };
    timers();
    assert_eq!(allocations(timers), 0, "timers");

    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let reader = Rc::new(Reader(ours, Cell::new(0)));
    let registration = event_loop.register(reader.0.as_fd(), reader.clone()).unwrap();
    let events = || {
        for _ in 0..100 {
            (&theirs).write_all(b"x").unwrap();
            tick();
        }
    };
    events();
    assert_eq!(allocations(events), 0, "events");
    assert_eq!(reader.1.get(), 200);
    drop(registration);

    let callbacks = || {
        for _ in 0..1_000 {
            event_loop.call_soon(|| {}).cancel();
        }
        tick();
    };
    callbacks();
    assert_eq!(allocations(callbacks), 1_000, "one a callback");
}
