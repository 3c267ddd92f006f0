//! Clocks that a program brings for its loop.

mod support;

use std::cell::Cell;
use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use asyncio_loop::{
    CloseHook, Config, EventLoop, GracePeriods, TimeSource, get_running_loop, testing,
};
use support::{Log, sleep};

/// Moved by hand, from any thread, and nobody knows when.
#[derive(Clone)]
struct Manual(Arc<Mutex<Instant>>);

impl Manual {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl TimeSource for Manual {
    fn now(&self) -> Instant {
        *self.0.lock().unwrap()
    }

    fn until(&self, _: Instant) -> Option<Duration> {
        None
    }
}

/// Runs faster than the system's, and says so.
struct Fast {
    start: Instant,
    factor: u32,
}

impl TimeSource for Fast {
    fn now(&self) -> Instant {
        self.start + self.start.elapsed() * self.factor
    }

    fn until(&self, when: Instant) -> Option<Duration> {
        Some(when.saturating_duration_since(self.now()) / self.factor)
    }
}

#[test]
fn a_fast_clock_makes_timers_due_fast_and_never_early() {
    let start = Instant::now();
    let event_loop = EventLoop::with_time_source(Fast { start, factor: 1_000_000 }).unwrap();
    let real = Instant::now();
    event_loop
        .run_until_complete(async {
            let event_loop = get_running_loop().unwrap();
            for _ in 0..3 {
                let before = event_loop.time();
                sleep(Duration::from_secs(3600)).await;
                assert!(event_loop.time() - before >= Duration::from_secs(3600));
            }
        })
        .unwrap();
    assert!(real.elapsed() < Duration::from_secs(3600));
}

#[test]
fn a_clock_as_fast_as_the_systems_need_not_say_when() {
    struct Shifted;
    impl TimeSource for Shifted {
        fn now(&self) -> Instant {
            Instant::now() + Duration::from_secs(86_400)
        }
    }
    let event_loop = EventLoop::with_time_source(Shifted).unwrap();
    assert!(event_loop.time() > Instant::now() + Duration::from_secs(86_000));
    let real = Instant::now();
    event_loop.run_until_complete(sleep(Duration::from_millis(2))).unwrap();
    assert!(real.elapsed() >= Duration::from_millis(2));
}

#[test]
fn a_clock_that_stands_still_lets_nothing_fire_until_somebody_moves_it_and_wakes_the_loop() {
    let clock = Manual::new();
    let event_loop = EventLoop::with_time_source(clock.clone()).unwrap();
    let log = Log::new();
    event_loop.call_later(Duration::from_secs(1), log.entry("second"));
    event_loop.call_later(Duration::from_millis(1), log.entry("first"));
    testing::run_once(&event_loop).unwrap();
    assert!(log.items().is_empty());
    clock.advance(Duration::from_millis(1));
    testing::run_once(&event_loop).unwrap();
    assert_eq!(log.take(), ["first"]);
    // Now it sleeps, with a timer that nobody can tell the time of.
    let (handle, mover) = (event_loop.handle(), clock.clone());
    let (sleeping, sleeps) = mpsc::channel();
    let thread = thread::spawn(move || {
        sleeps.recv().unwrap();
        mover.advance(Duration::from_secs(1));
        handle.call_soon_threadsafe(|| ()).unwrap();
    });
    event_loop.call_soon(move || sleeping.send(()).unwrap());
    let stopper = event_loop.clone();
    event_loop.call_later(Duration::from_secs(1), move || stopper.stop());
    event_loop.run_forever().unwrap();
    assert_eq!(log.take(), ["second"]);
    thread.join().unwrap();
}

#[test]
fn the_end_of_a_run_ends_also_by_a_clock_that_stands_still() {
    struct Never(Rc<Cell<bool>>);
    impl CloseHook for Never {
        fn tier(&self) -> u8 {
            4
        }
        fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()>>> {
            self.0.set(true);
            Box::pin(pending())
        }
    }
    let began = Rc::new(Cell::new(false));
    let mut periods = GracePeriods::default();
    periods.tasks = Duration::from_millis(1);
    let mut runner = Config::new()
        .loop_factory(|| EventLoop::with_time_source(Manual::new()))
        .grace_periods(periods)
        .runner();
    let event_loop = runner.get_loop().unwrap();
    event_loop.set_exception_handler(|_, _| {});
    event_loop.add_close_hook(Rc::new(Never(began.clone())));
    assert_eq!(runner.close().abandoned(), ["something of tier 4"]);
    assert!(began.get());
}
