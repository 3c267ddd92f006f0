//! Runs that nothing can wake any more end with a report.

mod support;

use std::future::pending;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use asyncio_loop::testing::{self, ClockMode, Deadlock, VirtualClock, virtual_loop};
use asyncio_loop::{EventLoop, IoHandle, RunError, get_running_loop};
use support::sleep;

const HOUR: Duration = Duration::from_secs(3600);

fn impatient(mode: ClockMode) -> (EventLoop, VirtualClock) {
    let (event_loop, clock) = virtual_loop(mode).unwrap();
    clock.set_deadlock_grace(Duration::ZERO);
    (event_loop, clock)
}

#[track_caller]
fn deadlock<T>(result: Result<T, RunError>) -> Deadlock {
    match result {
        Err(RunError::Deadlock(deadlock)) => deadlock,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it ended"),
    }
}

#[test]
fn a_future_that_nothing_wakes_is_named() {
    let (event_loop, _clock) = impatient(ClockMode::AutoJump);
    let main = async {
        asyncio_coro::current_task().unwrap().set_name("waiter");
        sleep(HOUR).await;
        pending::<()>().await;
    };
    let deadlock = deadlock(testing::run_with(&event_loop, main));
    let [blocked] = deadlock.blocked() else { panic!("{deadlock}") };
    assert!(blocked.starts_with(&format!("waiter (created at {}:", file!())), "{blocked}");
    assert_eq!((deadlock.descriptors(), deadlock.timers()), (&[][..], 0));
    assert!(deadlock.to_string().contains(blocked), "{deadlock}");
    assert!(event_loop.is_closed(), "the run ended as others do");
}

#[test]
fn two_ends_that_both_read_are_named_by_their_descriptors() {
    let (event_loop, _clock) = impatient(ClockMode::AutoJump);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut fds = [ours.as_raw_fd(), theirs.as_raw_fd()];
    let main = async {
        let (ours, theirs) = (IoHandle::new(ours).unwrap(), IoHandle::new(theirs).unwrap());
        futures_lite::future::zip(ours.readable(), theirs.readable()).await
    };
    let deadlock = deadlock(testing::run_with(&event_loop, main));
    let mut named = deadlock.descriptors().to_vec();
    named.sort();
    fds.sort();
    assert_eq!(named, fds);
    assert!(deadlock.to_string().contains(&format!("{:?}", deadlock.descriptors())));
}

#[test]
fn timers_on_a_clock_that_stands_still_are_counted() {
    let (event_loop, _clock) = impatient(ClockMode::Frozen);
    event_loop.call_later(HOUR, || unreachable!());
    let deadlock = deadlock(event_loop.run_until_complete(sleep(HOUR)));
    assert_eq!(deadlock.timers(), 2);
    assert!(deadlock.to_string().ends_with("2 timers wait for a clock that stands still"));
    let (alone, _clock) = impatient(ClockMode::Frozen);
    let deadlock = self::deadlock(alone.run_until_complete(sleep(HOUR)));
    assert!(deadlock.to_string().ends_with("1 timer waits for a clock that stands still"));
    assert!(!event_loop.is_closed(), "as after any other error");
    event_loop.run_until_complete(async {}).unwrap();
}

#[test]
fn external_work_is_waited_for() {
    let (event_loop, _clock) = impatient(ClockMode::AutoJump);
    let result = event_loop.run_until_complete(async {
        let (work, handle) = {
            let event_loop = get_running_loop().unwrap();
            (event_loop.external_work(), event_loop.handle())
        };
        let (begin, begun) = mpsc::channel::<()>();
        let stop = || get_running_loop().unwrap().stop();
        let thread = thread::spawn(move || {
            begun.recv().unwrap();
            // Long enough for a loop that does not wait to say so, most likely.
            for _ in 0..1_000 {
                thread::yield_now();
            }
            handle.call_soon_threadsafe(stop).unwrap();
            drop(work);
        });
        get_running_loop().unwrap().call_soon(move || begin.send(()).unwrap());
        pending::<()>().await;
        drop(thread);
    });
    assert!(matches!(result, Err(RunError::Stopped)), "the thread stopped it: {result:?}");
    deadlock(event_loop.run_forever());
}

#[test]
fn a_thread_without_external_work_has_the_grace_to_wake_the_loop() {
    let (event_loop, clock) = virtual_loop(ClockMode::AutoJump).unwrap();
    clock.set_deadlock_grace(Duration::from_secs(600));
    let (ours, theirs) = UnixStream::pair().unwrap();
    let thread = thread::spawn(move || {
        // Most likely the loop waits by then; the grace is long enough if not.
        thread::yield_now();
        (&theirs).write_all(b"x").unwrap();
    });
    let main = async move { IoHandle::new(ours).unwrap().readable().await.map(drop) };
    testing::run_with(&event_loop, main).unwrap().unwrap();
    thread.join().unwrap();
}

#[test]
fn the_grace_begins_again_whenever_something_ran() {
    let (event_loop, clock) = virtual_loop(ClockMode::AutoJump).unwrap();
    let grace = Duration::from_millis(30);
    clock.set_deadlock_grace(grace);
    let handle = event_loop.handle();
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let mut last = Instant::now();
        for _ in 0..20 {
            let pause = Duration::from_millis(2);
            let end = Instant::now() + pause;
            while Instant::now() < end {
                thread::yield_now();
            }
            last = Instant::now();
            if handle.call_soon_threadsafe(|| ()).is_err() {
                break;
            }
        }
        sender.send(last).unwrap();
    });
    deadlock(event_loop.run_forever());
    let ended = Instant::now();
    event_loop.close().unwrap();
    assert!(ended >= receiver.recv().unwrap() + grace / 2);
    thread.join().unwrap();
}

#[test]
fn a_main_future_that_is_dropped_for_a_deadlock_is_dropped_on_the_loop() {
    struct Notes(mpsc::Sender<bool>);
    impl Drop for Notes {
        fn drop(&mut self) {
            self.0.send(get_running_loop().is_ok()).unwrap();
        }
    }
    let (event_loop, _clock) = impatient(ClockMode::AutoJump);
    let (sender, receiver) = mpsc::channel();
    let main = async move {
        let _notes = Notes(sender);
        pending::<()>().await;
    };
    deadlock(testing::run_with(&event_loop, main));
    assert!(receiver.recv().unwrap());
}
