//! The exception handler, the default one, and what happens when they fail; and how handles show themselves.

#[path = "support/logger.rs"]
mod logger;

use std::cell::RefCell;
use std::collections::hash_map::DefaultHasher;
use std::error::Error;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::Location;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use asyncio_loop::testing::{ClockMode, run_once, virtual_loop};
use asyncio_loop::{EventLoop, ExceptionContext};
use log::Level;

/// An error that cannot be shown.
#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("the message is missing")
    }
}

impl Error for Broken {}

fn errors() -> Vec<String> {
    let lines = logger::take().into_iter();
    lines.filter(|(level, _)| *level == Level::Error).map(|(_, line)| line).collect()
}

/// Behaviour: BEV-34.
#[test]
fn a_default_handler_that_fails_is_logged() {
    logger::install();
    let event_loop = EventLoop::new().unwrap();
    event_loop.call_exception_handler(ExceptionContext::new("lost").with_error(Broken));
    let [line] = &errors()[..] else { panic!("one line") };
    assert_eq!(line, "exception in the default exception handler\npanic: the message is missing");

    logger::panic_next(2);
    event_loop.call_exception_handler(ExceptionContext::new("lost"));
    let [first, second] = &errors()[..] else { panic!("two lines") };
    assert_eq!(first, "lost");
    assert_eq!(second, "exception in the default exception handler\npanic: the disk is full");
}

/// Behaviour: BEV-35.
#[test]
fn two_handlers_that_fail_are_logged_and_the_original_context_is_passed_along() {
    logger::install();
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_exception_handler(|_, _| panic!("no pager"));
    logger::panic_next(1);
    event_loop.call_exception_handler(ExceptionContext::new("lost").with_task("Task-7"));
    let [original, both] = &errors()[..] else { panic!("two lines") };
    assert_eq!(
        original,
        "unhandled error in exception handler\npanic: no pager\nwhile reporting: lost\ntask: Task-7"
    );
    assert_eq!(
        both,
        "exception in the default exception handler while handling an unexpected error in a custom one\n\
         panic: the disk is full"
    );
}

#[test]
fn a_handler_may_leave_some_to_the_default_one() {
    logger::install();
    let event_loop = EventLoop::new().unwrap();
    assert!(event_loop.exception_handler().is_none());
    event_loop.set_exception_handler(|event_loop, context| {
        if context.message() == "loud" {
            event_loop.default_exception_handler(context);
        }
    });
    let handler = event_loop.exception_handler().unwrap();
    handler(&event_loop, &ExceptionContext::new("quiet"));
    event_loop.call_exception_handler(ExceptionContext::new("loud"));
    assert_eq!(errors(), ["loud"]);
    event_loop.reset_exception_handler();
    assert!(event_loop.exception_handler().is_none());
}

#[test]
fn a_handler_may_replace_itself() {
    logger::install();
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_exception_handler(|event_loop, _| event_loop.reset_exception_handler());
    event_loop.call_exception_handler(ExceptionContext::new("first"));
    event_loop.call_exception_handler(ExceptionContext::new("second"));
    assert_eq!(errors(), ["second"]);
}

/// Behaviour: EVT-66.
#[test]
fn reports_point_at_the_line_that_scheduled_the_callback() {
    let event_loop = EventLoop::new().unwrap();
    let sites = Rc::new(RefCell::new(Vec::new()));
    event_loop.set_exception_handler({
        let sites = sites.clone();
        move |_, context| sites.borrow_mut().push(context.site().map(Location::line))
    });
    event_loop.call_soon(|| panic!());
    let first = line!() - 1;
    event_loop.call_later(Duration::ZERO, || panic!());
    event_loop.call_at(event_loop.time(), || panic!());
    let handle = event_loop.handle();
    let pushed = thread::spawn(move || handle.call_soon_threadsafe(|| panic!()).unwrap());
    pushed.join().unwrap();
    run_once(&event_loop).unwrap();
    let mut lines: Vec<_> = sites.take().into_iter().map(Option::unwrap).collect();
    lines.sort();
    assert_eq!(lines, [first, first + 2, first + 3, first + 5]);
}

/// Behaviour: EVT-65.
#[test]
fn handles_show_where_they_were_made_and_whether_they_are_cancelled() {
    let (event_loop, _) = virtual_loop(ClockMode::Frozen).unwrap();
    let handle = event_loop.call_soon(|| ());
    let line = line!() - 1;
    let text = format!("{handle:?}");
    assert!(text.starts_with("Handle { cancelled: false, "), "{text}");
    assert!(text.contains(file!()) && text.contains(&format!("line: {line}")), "{text}");
    handle.cancel();
    assert!(format!("{handle:?}").starts_with("Handle { cancelled: true, "));

    let timer = event_loop.call_later(Duration::from_secs(1), || ());
    let text = format!("{timer:?}");
    let when = format!("when: {:?}", event_loop.time() + Duration::from_secs(1));
    assert!(text.starts_with("TimerHandle { handle: Handle { cancelled: false, "), "{text}");
    assert!(text.contains(&when), "{text}");
    timer.cancel();
    assert!(format!("{timer:?}").contains("cancelled: true"));
}

/// Behaviour: EVT-67.
#[test]
fn timers_compare_by_deadline_and_are_equal_only_to_themselves() {
    let (event_loop, _) = virtual_loop(ClockMode::Frozen).unwrap();
    let early = event_loop.call_later(Duration::from_secs(1), || ());
    let late = event_loop.call_later(Duration::from_secs(2), || ());
    let twin = event_loop.call_later(Duration::from_secs(1), || ());
    assert!(early < late);
    assert!(early <= late);
    assert_ne!(early, late);
    let same = early.clone();
    assert_eq!(early, same);
    assert!(early <= same);
    assert_ne!(early, twin);
    assert_eq!(early.partial_cmp(&twin), None);
    twin.cancel();
    assert_ne!(early, twin);

    let hash = |timer| {
        let mut hasher = DefaultHasher::new();
        Hash::hash(timer, &mut hasher);
        hasher.finish()
    };
    assert_eq!(hash(&early), hash(&twin));
    assert_ne!(hash(&early), hash(&late));
}
