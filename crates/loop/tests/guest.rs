//! Guest mode: somebody else's loop drives ours.

#[path = "../examples/guest.rs"]
#[allow(dead_code, reason = "an example's `main`")]
mod example;
mod support;

use std::cell::Cell;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use asyncio_loop::testing::{ClockMode, portable_loop, virtual_loop};
use asyncio_loop::{EventLoop, Guest, IoHandler, Ready, RunError, get_running_loop};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use support::{Log, ticks};

const NOT_AT_ALL: Option<Duration> = Some(Duration::ZERO);

fn is_readable(guest: &Guest, wait: Option<Duration>) -> bool {
    let mut fds = [PollFd::new(guest, PollFlags::IN)];
    let wait = wait.map(|wait| Timespec { tv_sec: wait.as_secs() as _, tv_nsec: 0 });
    poll(&mut fds, wait.as_ref()).unwrap() > 0
}

fn guests() -> [Guest; 2] {
    let guest = |event_loop: EventLoop| Guest::new(&event_loop).unwrap();
    [guest(EventLoop::new().unwrap()), guest(portable_loop().unwrap())]
}

#[test]
fn the_example_drives_keys_and_a_clock_from_one_poll() {
    let log = example::host().unwrap();
    let of = |what: &str| -> Vec<String> {
        log.iter().filter(|line| line.starts_with(what)).cloned().collect()
    };
    assert_eq!(of("key"), ["key a", "key b", "key q"]);
    assert_eq!(of("tick")[..3], ["tick 1", "tick 2", "tick 3"]);
}

/// Behaviour: BEV-26.
#[test]
fn the_loop_is_running_during_a_tick_and_at_no_other_time() {
    for guest in guests() {
        let ran = Rc::new(Cell::new(0));
        guest.event_loop().call_soon({
            let ran = ran.clone();
            move || {
                assert!(get_running_loop().unwrap().is_running());
                ran.set(ran.get() + 1);
            }
        });
        for _ in 0..10 {
            assert!(get_running_loop().is_err());
            let tick = guest.tick(NOT_AT_ALL).unwrap();
            assert!(!tick.is_stopped());
        }
        assert!(get_running_loop().is_err());
        assert!(!guest.event_loop().is_running());
        assert_eq!(ran.get(), 1);
        guest.event_loop().close().unwrap();
    }
}

#[test]
fn a_tick_says_when_the_next_one_is_due() {
    let (event_loop, clock) = virtual_loop(ClockMode::Frozen).unwrap();
    let guest = Guest::new(&event_loop).unwrap();
    let tick = guest.tick(NOT_AT_ALL).unwrap();
    assert_eq!((tick.next_deadline(), tick.timeout()), (None, None));

    let log = Log::new();
    let second = Duration::from_secs(1);
    event_loop.call_later(second, log.entry("timer"));
    let tick = guest.tick(NOT_AT_ALL).unwrap();
    assert_eq!(tick.next_deadline(), Some(event_loop.time() + second));
    assert_eq!(tick.timeout(), Some(second));

    clock.advance(second);
    event_loop.call_soon({
        let log = log.clone();
        move || drop(get_running_loop().unwrap().call_soon(log.entry("next tick")))
    });
    let tick = guest.tick(NOT_AT_ALL).unwrap();
    assert_eq!(log.take(), ["timer"]);
    assert_eq!(tick.timeout(), NOT_AT_ALL, "a callback waits");
    let tick = guest.tick(NOT_AT_ALL).unwrap();
    assert_eq!(log.take(), ["next tick"]);
    assert_eq!(tick.timeout(), None);
}

struct Reads(UnixStream, Cell<u32>);

impl IoHandler for Reads {
    fn on_ready(self: Rc<Self>, ready: Ready) {
        if ready.is_readable() {
            self.1.set(self.1.get() + 1);
        }
    }
}

#[test]
fn the_descriptor_is_readable_when_a_tick_is_due_and_not_else() {
    for guest in guests() {
        let event_loop = guest.event_loop().clone();
        let settle = |guest: &Guest| {
            for _ in 0..3 {
                let _ = guest.tick(NOT_AT_ALL).unwrap();
            }
            assert!(!is_readable(guest, NOT_AT_ALL), "a host would spin");
        };
        settle(&guest);

        event_loop.call_soon(|| ());
        assert!(is_readable(&guest, NOT_AT_ALL), "the host queued a callback");
        settle(&guest);

        let timer = event_loop.call_later(Duration::from_secs(600), || ());
        assert!(is_readable(&guest, NOT_AT_ALL), "the host set a timer");
        timer.cancel();
        settle(&guest);

        let handle = event_loop.handle();
        let thread = thread::spawn(move || handle.call_soon_threadsafe(|| ()).unwrap());
        assert!(is_readable(&guest, None), "a thread queued a callback");
        thread.join().unwrap();
        settle(&guest);

        let (ours, theirs) = UnixStream::pair().unwrap();
        let reads = Rc::new(Reads(ours, Cell::new(0)));
        let registration = event_loop.register(reads.0.as_fd(), reads.clone()).unwrap();
        settle(&guest);
        (&theirs).write_all(b"x").unwrap();
        assert!(is_readable(&guest, None), "a descriptor became readable");
        settle(&guest);
        assert_eq!(reads.1.get(), 1);
        drop(registration);

        event_loop.run_until_complete(ticks(2)).unwrap();
        settle(&guest);
        event_loop.call_soon({
            let event_loop = event_loop.clone();
            move || drop(event_loop.call_soon(|| ()))
        });
        event_loop.stop();
        event_loop.run_forever().unwrap();
        assert!(is_readable(&guest, NOT_AT_ALL), "a run left something for another tick");
        settle(&guest);
        event_loop.close().unwrap();
    }
}

#[test]
fn a_tick_waits_for_as_long_as_it_may() {
    for guest in guests() {
        let started = Instant::now();
        let _ = guest.tick(Some(Duration::from_millis(5))).unwrap();
        assert!(started.elapsed() >= Duration::from_millis(5));

        let log = Log::new();
        guest.event_loop().call_later(Duration::from_millis(1), log.entry("timer"));
        while log.items().is_empty() {
            let _ = guest.tick(Some(Duration::from_secs(600))).unwrap();
        }

        let handle = guest.event_loop().handle();
        let stop = || get_running_loop().unwrap().stop();
        let thread = thread::spawn(move || handle.call_soon_threadsafe(stop).unwrap());
        assert!(guest.tick(None).unwrap().is_stopped());
        thread.join().unwrap();
        assert!(!guest.tick(NOT_AT_ALL).unwrap().is_stopped(), "that was the other tick's");
    }
}

#[test]
fn a_tick_inside_a_running_loop_is_an_error() {
    let guest = Rc::new(Guest::new(&EventLoop::new().unwrap()).unwrap());
    let inside = guest.clone();
    guest.event_loop().call_soon(move || {
        assert!(matches!(inside.tick(None), Err(RunError::Nested)));
        assert!(inside.event_loop().is_running());
    });
    let _ = guest.tick(NOT_AT_ALL).unwrap();

    let host = EventLoop::new().unwrap();
    let result = host.run_until_complete(async { guest.tick(None).map(drop) }).unwrap();
    assert!(matches!(result, Err(RunError::Nested)));
    let _ = guest.tick(NOT_AT_ALL).unwrap();
}

#[test]
fn a_closed_loop_has_no_guests() {
    let event_loop = EventLoop::new().unwrap();
    let guest = Guest::new(&event_loop).unwrap();
    event_loop.close().unwrap();
    assert!(matches!(guest.tick(None), Err(RunError::Closed)));
    assert!(!is_readable(&guest, NOT_AT_ALL));
    assert!(Guest::new(&event_loop).is_err());
}

#[test]
fn a_new_guest_that_has_anything_to_do_wants_a_first_tick() {
    let from_a_thread = |event_loop: &EventLoop| {
        let handle = event_loop.handle();
        thread::spawn(move || handle.call_soon_threadsafe(|| ()).unwrap()).join().unwrap();
    };
    let queued = |event_loop: &EventLoop| drop(event_loop.call_soon(|| ()));
    let timer = |event_loop: &EventLoop| drop(event_loop.call_later(Duration::ZERO, || ()));
    let nothing = |_: &EventLoop| ();
    let works: [(&dyn Fn(&EventLoop), bool); 4] =
        [(&from_a_thread, true), (&queued, true), (&timer, true), (&nothing, false)];
    for (work, is_due) in works {
        for event_loop in [EventLoop::new().unwrap(), portable_loop().unwrap()] {
            work(&event_loop);
            let guest = Guest::new(&event_loop).unwrap();
            assert_eq!(is_readable(&guest, NOT_AT_ALL), is_due);
        }
    }
}

#[test]
fn a_guest_is_told_of_everything_when_another_one_of_the_loop_has_gone() {
    for guest in guests() {
        let another = Guest::new(guest.event_loop()).unwrap();
        for _ in 0..3 {
            let _ = guest.tick(NOT_AT_ALL).unwrap();
        }
        drop(another);
        let handle = guest.event_loop().handle();
        thread::spawn(move || handle.call_soon_threadsafe(|| ()).unwrap()).join().unwrap();
        assert!(is_readable(&guest, NOT_AT_ALL));
    }
}

#[test]
fn a_loop_whose_guest_is_gone_is_as_before() {
    let event_loop = EventLoop::new().unwrap();
    drop(Guest::new(&event_loop).unwrap());
    let handle = event_loop.handle();
    let thread = thread::spawn(move || {
        handle.call_soon_threadsafe(|| get_running_loop().unwrap().stop()).unwrap();
    });
    event_loop.run_forever().unwrap();
    thread.join().unwrap();
}
