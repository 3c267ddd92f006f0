//! What allocates, and what must not, counted on the test's own thread.
#![expect(unsafe_code, reason = "counting allocations takes an allocator")]

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use asyncio_coro::ContextVar;
use asyncio_counting_allocator::{allocations_of, live_bytes};
use asyncio_loop::testing::{self, ClockMode};
use asyncio_loop::{Entry, EntryVTable, IoHandler, Ready, Work};

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
    assert_eq!(allocations_of(wakes), 0, "wakes");

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
    assert_eq!(allocations_of(timers), 0, "timers");

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
    assert_eq!(allocations_of(events), 0, "events");
    assert_eq!(reader.1.get(), 200);
    drop(registration);

    let callbacks = || {
        for _ in 0..1_000 {
            event_loop.call_soon(|| {}).cancel();
        }
        tick();
    };
    callbacks();
    assert_eq!(allocations_of(callbacks), 1_000, "one a callback");
}

#[test]
fn a_timer_among_a_million_is_added_and_cancelled_without_an_allocation() {
    let (event_loop, clock) = testing::virtual_loop(ClockMode::Frozen).unwrap();
    let start = event_loop.time();
    let add = |n: u64| {
        // Scattered: most have to sink or rise in the heap.
        let delay = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        event_loop.add_timer(start + Duration::from_nanos(delay), Waker::noop())
    };
    let keys: Vec<_> = (0..1_000_000).map(add).collect();
    let some: Vec<_> = keys.iter().copied().step_by(1_000).collect();
    let count = allocations_of(|| {
        for key in some {
            event_loop.cancel_timer(key);
        }
        for n in 0..1_000 {
            add(n * 7);
        }
        clock.advance(Duration::from_secs(1));
        testing::run_once(&event_loop).unwrap();
    });
    // The ready queue grows for those that were due.
    assert!(count <= 20, "{count} allocations");
}

/// Behaviour: XTR-20.
#[test]
fn timers_that_are_gone_take_no_memory() {
    let (event_loop, clock) = testing::virtual_loop(ClockMode::Frozen).unwrap();
    testing::run_once(&event_loop).unwrap();
    let before = live_bytes();
    let ran = Rc::new(Cell::new((0, Duration::ZERO)));
    let handles: Vec<_> = (0..100_000_u32)
        .map(|n| {
            let delay = Duration::from_millis(u64::from(n.wrapping_mul(2_654_435_761) % 60_000));
            let ran = ran.clone();
            event_loop.call_later(delay, move || {
                let (count, last) = ran.get();
                assert!(last <= delay, "out of order");
                ran.set((count + 1, delay));
            })
        })
        .collect();
    let full = live_bytes() - before;
    handles
        .iter()
        .filter(|timer| timer.when() >= event_loop.time() + Duration::from_secs(24))
        .for_each(|timer| timer.cancel());
    let cancelled = handles.iter().filter(|timer| timer.cancelled()).count();
    assert!((55_000..65_000).contains(&cancelled), "{cancelled} of 100 000");
    testing::run_once(&event_loop).unwrap();
    drop(handles);
    let rest = live_bytes() - before;
    assert!(rest < full * 3 / 5, "{rest} bytes of {full} after most were cancelled");
    clock.advance(Duration::from_secs(60));
    testing::run_once(&event_loop).unwrap();
    assert_eq!(ran.get().0, 100_000 - cancelled);
    // What is left is the room for the next four thousand, and the ready queue's.
    let rest = live_bytes() - before;
    assert!(rest < full / 4, "{rest} bytes of {full} after the others ran");
}

#[test]
fn contexts_cost_a_callback_nothing_until_one_is_made_on_the_thread() {
    static NUMBER: ContextVar<u32> = ContextVar::new("number");
    let (event_loop, _clock) = testing::virtual_loop(ClockMode::Frozen).unwrap();
    let callbacks = || {
        for _ in 0..1_000 {
            event_loop.call_soon(|| {
                std::hint::black_box(NUMBER.get());
            });
        }
        testing::run_once(&event_loop).unwrap();
    };
    callbacks();
    assert_eq!(allocations_of(callbacks), 1_000, "one a callback");
    NUMBER.set(7);
    callbacks();
    assert_eq!(allocations_of(callbacks), 2_000, "and one for its copy, whose values are shared");
}
