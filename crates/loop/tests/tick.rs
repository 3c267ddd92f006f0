//! The tick contract: what runs when, and in which order.

mod support;

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use asyncio_loop::{EventLoop, Handle, IoHandler, Ready, RunError, TimerHandle, testing};
use support::{Log, on_each_selector};

/// Behaviour: BEV-11, BEV-25, EVT-04.
#[test]
fn callbacks_run_in_the_order_in_which_they_were_queued() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    for n in 0..100 {
        event_loop.call_soon(log.entry(n));
    }
    assert!(log.items().is_empty(), "nothing runs inline");
    testing::run_once(&event_loop).unwrap();
    assert_eq!(log.take(), (0..100).collect::<Vec<_>>());
    testing::run_once(&event_loop).unwrap();
    assert!(log.items().is_empty(), "each ran once");
}

/// Behaviour: XTR-02.
#[test]
fn what_a_callback_queues_waits_for_the_next_tick() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    event_loop.call_soon({
        let (event_loop, log) = (event_loop.clone(), log.clone());
        move || {
            log.push("first");
            event_loop.call_soon(log.entry("queued by first"));
        }
    });
    event_loop.call_soon(log.entry("second"));
    testing::run_once(&event_loop).unwrap();
    assert_eq!(log.take(), ["first", "second"]);
    testing::run_once(&event_loop).unwrap();
    assert_eq!(log.take(), ["queued by first"]);
}

/// Behaviour: BEV-17.
#[test]
fn what_a_due_timer_queues_waits_for_the_next_tick() {
    let (event_loop, _clock) = testing::virtual_loop(testing::ClockMode::Frozen).unwrap();
    let log = Log::new();
    event_loop.call_later(Duration::ZERO, {
        let (event_loop, log) = (event_loop.clone(), log.clone());
        move || {
            log.push("timer");
            event_loop.call_soon(log.entry("callback"));
        }
    });
    testing::run_once(&event_loop).unwrap();
    assert_eq!(log.take(), ["timer"]);
    testing::run_once(&event_loop).unwrap();
    assert_eq!(log.take(), ["callback"]);
}

/// Behaviour: BEV-08, EVT-63.
#[test]
fn a_cancelled_handle_is_skipped_and_drops_its_callback_at_once() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    let captured = Rc::new(());
    event_loop.call_soon(log.entry("before"));
    let handle = event_loop.call_soon({
        let (log, captured) = (log.clone(), captured.clone());
        move || {
            drop(captured);
            log.push("cancelled");
        }
    });
    event_loop.call_soon(log.entry("after"));
    assert!(!handle.cancelled());
    handle.cancel();
    handle.cancel();
    assert!(handle.cancelled());
    assert_eq!(Rc::strong_count(&captured), 1);
    testing::run_once(&event_loop).unwrap();
    assert_eq!(log.take(), ["before", "after"]);
}

#[test]
fn a_callback_can_cancel_another_one_of_the_same_tick_and_itself() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    let later = Rc::new(Cell::new(None));
    let own = Rc::new(Cell::new(None));
    let first = event_loop.call_soon({
        let (log, later, own) = (log.clone(), later.clone(), own.clone());
        move || {
            log.push("first");
            let handles: [Option<Handle>; 2] = [later.take(), own.take()];
            handles.iter().flatten().for_each(Handle::cancel);
        }
    });
    own.set(Some(first.clone()));
    later.set(Some(event_loop.call_soon(log.entry("second"))));
    testing::run_once(&event_loop).unwrap();
    assert_eq!(log.take(), ["first"]);
    assert!(first.cancelled(), "as asyncio has it");
}

/// Behaviour: BEV-25.
#[test]
fn stop_before_a_run_makes_it_one_tick() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    event_loop.call_soon({
        let (event_loop, log) = (event_loop.clone(), log.clone());
        move || {
            log.push(1);
            event_loop.call_soon(log.entry(2));
        }
    });
    event_loop.stop();
    event_loop.run_forever().unwrap();
    assert_eq!(log.take(), [1]);
    event_loop.stop();
    event_loop.run_forever().unwrap();
    assert_eq!(log.take(), [2], "what was queued then ran in the next run");
}

#[test]
fn stop_lets_the_current_tick_finish() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    event_loop.call_soon({
        let event_loop = event_loop.clone();
        move || event_loop.stop()
    });
    event_loop.call_soon(log.entry("same tick"));
    event_loop.run_forever().unwrap();
    assert_eq!(log.take(), ["same tick"]);
    assert!(!event_loop.is_running());
}

/// Behaviour: BEV-13.
#[test]
fn overdue_timers_run_in_the_order_of_their_deadlines() {
    let event_loop = EventLoop::new().unwrap();
    let now = event_loop.time();
    let log = Log::new();
    event_loop.call_at(now - Duration::from_millis(1), log.entry("b"));
    event_loop.call_at(now - Duration::from_millis(2), log.entry("a"));
    testing::run_once(&event_loop).unwrap();
    assert_eq!(log.take(), ["a", "b"]);
}

#[test]
fn timers_with_equal_deadlines_run_in_the_order_in_which_they_were_added() {
    let (event_loop, _clock) = testing::virtual_loop(testing::ClockMode::AutoJump).unwrap();
    let log = Log::new();
    let when = event_loop.time() + Duration::from_secs(1);
    for n in 0..1000 {
        event_loop.call_at(when, log.entry(n));
    }
    event_loop.call_at(when, {
        let event_loop = event_loop.clone();
        move || event_loop.stop()
    });
    event_loop.run_forever().unwrap();
    assert_eq!(log.take(), (0..1000).collect::<Vec<_>>());
}

/// Behaviour: XTR-03.
#[test]
fn a_tick_runs_what_was_ready_then_io_then_timers() {
    struct OnReady(Log<&'static str>);
    impl IoHandler for OnReady {
        fn on_ready(self: Rc<Self>, ready: Ready) {
            if ready.is_readable() {
                self.0.push("io");
            }
        }
    }
    on_each_selector(|event_loop| {
        let log = Log::new();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let _registration =
            event_loop.register(ours.as_fd(), Rc::new(OnReady(log.clone()))).unwrap();
        event_loop.call_at(event_loop.time(), log.entry("timer"));
        theirs.write_all(b"x").unwrap();
        event_loop.call_soon(log.entry("callback"));
        testing::run_once(&event_loop).unwrap();
        assert_eq!(log.take(), ["callback", "io", "timer"]);
    });
}

/// What is written in one tick is read in the next, between the callbacks of that tick and those that they queue; also when the
/// poll of the first tick had something to report.
#[test]
fn every_tick_of_a_busy_loop_polls() {
    struct Call(RefCell<Option<Box<dyn FnOnce()>>>);
    impl IoHandler for Call {
        fn on_ready(self: Rc<Self>, ready: Ready) {
            let call = self.0.borrow_mut().take_if(|_| ready.is_readable());
            if let Some(call) = call {
                call();
            }
        }
    }
    let call = |f: Box<dyn FnOnce()>| Rc::new(Call(RefCell::new(Some(f))));
    on_each_selector(|event_loop| {
        let log = Log::new();
        let (first, mut to_first) = UnixStream::pair().unwrap();
        let (second, mut to_second) = UnixStream::pair().unwrap();
        let read = log.entry("what the first handler wrote is read");
        let second_place = event_loop.register(second.as_fd(), call(Box::new(read))).unwrap();
        let handler = {
            let (event_loop, log) = (event_loop.clone(), log.clone());
            move || {
                to_second.write_all(b"x").unwrap();
                let again = event_loop.clone();
                event_loop.call_soon(move || {
                    log.push("its callback");
                    let stop = again.clone();
                    again.call_soon(move || {
                        log.push("the callback of that");
                        stop.stop();
                    });
                });
            }
        };
        let first_place = event_loop.register(first.as_fd(), call(Box::new(handler))).unwrap();
        to_first.write_all(b"x").unwrap();
        event_loop.run_forever().unwrap();
        let order =
            ["its callback", "what the first handler wrote is read", "the callback of that"];
        assert_eq!(log.take(), order);
        drop((first_place, second_place));
        event_loop.close().unwrap();
    });
}

/// Behaviour: XTR-01.
#[test]
fn a_callback_that_queues_itself_for_ever_starves_neither_io_nor_timers() {
    struct Stop(EventLoop, Log<&'static str>);
    impl IoHandler for Stop {
        fn on_ready(self: Rc<Self>, ready: Ready) {
            if ready.is_readable() {
                self.1.push("io");
                self.0.stop();
            }
        }
    }
    fn spin(event_loop: &EventLoop) {
        let again = event_loop.clone();
        event_loop.call_soon(move || spin(&again));
    }
    on_each_selector(|event_loop| {
        let log = Log::new();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let handler = Rc::new(Stop(event_loop.clone(), log.clone()));
        let registration = event_loop.register(ours.as_fd(), handler).unwrap();
        spin(&event_loop);
        event_loop.call_later(Duration::from_millis(1), {
            let log = log.clone();
            move || {
                log.push("timer");
                theirs.write_all(b"x").unwrap();
            }
        });
        event_loop.run_forever().unwrap();
        assert_eq!(log.take(), ["timer", "io"]);
        drop(registration);
        event_loop.close().unwrap();
    });
}

/// Behaviour: BEV-14.
#[test]
fn a_timer_is_never_early_on_the_real_clock() {
    on_each_selector(|event_loop| {
        for micros in [1, 50, 300, 1_000, 5_000] {
            let delay = Duration::from_micros(micros);
            let late = Rc::new(Cell::new(None));
            let timer = event_loop.call_later(delay, {
                let (event_loop, late) = (event_loop.clone(), late.clone());
                move || {
                    late.set(Some(event_loop.time()));
                    event_loop.stop();
                }
            });
            let start = Instant::now();
            event_loop.run_forever().unwrap();
            assert!(late.get().unwrap() >= timer.when());
            assert!(start.elapsed() < Duration::from_secs(5));
        }
    });
}

/// Behaviour: EVT-64.
#[test]
fn a_cancelled_timer_is_gone_at_once_with_what_it_captured() {
    let (event_loop, clock) = testing::virtual_loop(testing::ClockMode::Frozen).unwrap();
    let captured = Rc::new(());
    let timer = event_loop.call_later(Duration::from_secs(5), {
        let captured = captured.clone();
        move || drop(captured)
    });
    assert_eq!(timer.when(), event_loop.time() + Duration::from_secs(5));
    timer.cancel();
    timer.cancel();
    assert!(timer.cancelled());
    assert_eq!(Rc::strong_count(&captured), 1);
    clock.advance(Duration::from_secs(10));
    testing::run_once(&event_loop).unwrap();
}

#[test]
fn a_timer_cancelled_between_its_deadline_and_its_turn_does_not_run() {
    let (event_loop, _clock) = testing::virtual_loop(testing::ClockMode::Frozen).unwrap();
    let log = Log::new();
    let second = Rc::new(Cell::new(None));
    event_loop.call_later(Duration::ZERO, {
        let (log, second) = (log.clone(), second.clone());
        move || {
            log.push("first");
            let timer: Option<TimerHandle> = second.take();
            timer.unwrap().cancel();
        }
    });
    second.set(Some(event_loop.call_later(Duration::ZERO, log.entry("second"))));
    testing::run_once(&event_loop).unwrap();
    testing::run_once(&event_loop).unwrap();
    assert_eq!(log.take(), ["first"]);
}

#[test]
fn a_nested_tick_is_an_error() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    event_loop.call_soon({
        let (event_loop, log) = (event_loop.clone(), log.clone());
        move || {
            log.push(matches!(testing::run_once(&event_loop), Err(RunError::Nested)));
            log.push(matches!(event_loop.run_forever(), Err(RunError::Nested)));
            log.push(event_loop.close().is_err());
        }
    });
    testing::run_once(&event_loop).unwrap();
    assert_eq!(log.take(), [true, true, true]);
}

/// Behaviour: BEV-29, EVT-63.
#[test]
fn a_panicking_callback_is_reported_and_the_tick_goes_on() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    event_loop.set_exception_handler({
        let log = log.clone();
        move |event_loop, context| {
            assert!(event_loop.is_running());
            assert_eq!(context.message(), "exception in callback");
            assert!(context.site().unwrap().file().ends_with("tick.rs"));
            log.push(context.panic_message().unwrap().to_owned());
        }
    });
    event_loop.call_soon(|| panic!("from call_soon"));
    event_loop.call_at(event_loop.time(), || panic!("from {}", "call_at"));
    event_loop.call_soon(log.entry("the next one".to_owned()));
    testing::run_once(&event_loop).unwrap();
    assert_eq!(log.take(), ["from call_soon", "the next one", "from call_at"]);
}

#[test]
fn a_panicking_exception_handler_does_not_stop_the_loop() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    event_loop.set_exception_handler(|_, _| panic!("handler"));
    event_loop.call_soon(|| panic!("callback"));
    event_loop.call_soon(log.entry("ran"));
    testing::run_once(&event_loop).unwrap();
    event_loop.reset_exception_handler();
    event_loop.call_soon(|| panic!("logged"));
    testing::run_once(&event_loop).unwrap();
    assert_eq!(log.take(), ["ran"]);
}

/// Behaviour: BEV-24.
#[test]
fn each_stopped_run_executes_a_ready_event_once() {
    struct Count(EventLoop, Cell<usize>);
    impl IoHandler for Count {
        fn on_ready(self: Rc<Self>, _: Ready) {
            self.1.set(self.1.get() + 1);
            self.0.stop();
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let count = Rc::new(Count(event_loop.clone(), Cell::new(0)));
    let _registration = event_loop.register(ours.as_fd(), count.clone()).unwrap();
    for n in 1..4 {
        theirs.write_all(b"x").unwrap();
        event_loop.run_forever().unwrap();
        assert_eq!(count.1.get(), n);
    }
    event_loop.close().unwrap();
}
