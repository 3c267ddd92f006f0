//! Debug mode.

#[path = "support/logger.rs"]
mod logger;

use std::time::{Duration, Instant};

use asyncio_loop::testing::run_once;
use asyncio_loop::{EventLoop, Work, watching};
use log::Level;

fn warnings() -> Vec<String> {
    let lines = logger::take().into_iter();
    lines.filter(|(level, _)| *level == Level::Warn).map(|(_, line)| line).collect()
}

fn work_for(duration: Duration) {
    let end = Instant::now() + duration;
    while Instant::now() < end {}
}

/// Behaviour: BEV-77.
#[test]
fn slow_callbacks_and_steps_are_named_with_how_long_they_took() {
    logger::install();
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_debug(true);
    event_loop.set_slow_callback_duration(Duration::ZERO);
    event_loop.call_soon(|| ());
    let line = line!() - 1;
    run_once(&event_loop).unwrap();
    let [warning] = &warnings()[..] else { panic!("one warning") };
    let start = format!("executing callback created at {}:{line}:", file!());
    assert!(warning.starts_with(&start), "{warning}");
    assert!(warning.contains(" took "), "{warning}");

    let step = async {
        asyncio_coro::current_task().unwrap().set_name("slow one");
        futures_lite::future::yield_now().await;
    };
    event_loop.run_until_complete(step).unwrap();
    let line = line!() - 1;
    let [first, second] = &warnings()[..] else { panic!("one warning a step") };
    assert!(first.starts_with("executing Task-"), "named as it was before the step: {first}");
    let start = format!("executing task \"slow one\" created at {}:{line}:", file!());
    assert!(second.starts_with(&start), "{second}");
}

#[test]
fn a_slow_step_inside_another_is_named_once() {
    logger::install();
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_debug(true);
    event_loop.set_slow_callback_duration(Duration::from_millis(20));
    event_loop.call_soon(|| {
        let site = std::panic::Location::caller();
        let watching = watching().expect("debug mode watches");
        let (slow, fast) = (Duration::from_millis(30), Duration::from_millis(1));
        watching.step(Work::Callback { site }, || {
            watching.step(Work::Timer, || work_for(slow));
            work_for(fast);
        });
    });
    run_once(&event_loop).unwrap();
    let [warning] = &warnings()[..] else { panic!("one warning") };
    assert!(warning.starts_with("executing timer took "), "{warning}");

    // Many that are fast enough make one that is not.
    event_loop.call_soon(|| {
        let watching = watching().unwrap();
        (0..6).for_each(|_| watching.step(Work::Timer, || work_for(Duration::from_millis(5))));
    });
    run_once(&event_loop).unwrap();
    let warnings = warnings();
    let warning = warnings.last().expect("the callback is slow");
    assert!(warning.starts_with("executing callback created at "), "{warning}");
}

#[test]
fn what_is_fast_enough_is_not_named() {
    logger::install();
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_slow_callback_duration(Duration::from_millis(5));
    event_loop.call_soon(|| work_for(Duration::from_millis(10)));
    run_once(&event_loop).unwrap();
    assert_eq!(warnings(), [""; 0], "not in debug mode");

    event_loop.set_debug(true);
    event_loop.set_slow_callback_duration(Duration::from_secs(600));
    event_loop.call_soon(|| ());
    run_once(&event_loop).unwrap();
    assert_eq!(warnings(), [""; 0], "below the limit");

    event_loop.set_slow_callback_duration(Duration::from_millis(5));
    event_loop.call_soon(|| work_for(Duration::from_millis(10)));
    run_once(&event_loop).unwrap();
    assert_eq!(warnings().len(), 1);

    event_loop.set_debug(false);
    event_loop.call_soon(|| work_for(Duration::from_millis(10)));
    run_once(&event_loop).unwrap();
    assert_eq!(warnings(), [""; 0], "debug mode is off again");
}

#[test]
fn a_slow_callback_that_panics_is_named_and_reported() {
    logger::install();
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_debug(true);
    event_loop.set_slow_callback_duration(Duration::ZERO);
    event_loop.call_soon(|| panic!("no such file"));
    run_once(&event_loop).unwrap();
    let lines = logger::take();
    assert_eq!(lines[0].0, Level::Error);
    assert!(lines[0].1.contains("no such file"), "{lines:?}");
    assert_eq!(lines[1].0, Level::Warn);
}

#[test]
fn a_logger_that_panics_does_not_end_the_loop() {
    logger::install();
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_debug(true);
    event_loop.set_slow_callback_duration(Duration::ZERO);
    event_loop.call_soon(|| ());
    event_loop.call_soon(|| ());
    logger::panic_next(1);
    run_once(&event_loop).unwrap();
    assert_eq!(warnings().len(), 2);
}

#[test]
fn work_names_itself() {
    let site = std::panic::Location::caller();
    let callback = Work::Callback { site };
    assert_eq!(callback.to_string(), format!("callback created at {site}"));
    assert_eq!(callback.site(), Some(site));
    assert_eq!(callback.task_name(), None);
    assert_eq!(Work::Timer.to_string(), "timer");
    assert_eq!(Work::Other.site(), None);
}
