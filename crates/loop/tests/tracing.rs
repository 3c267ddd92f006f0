//! Spans and events.
#![cfg(feature = "tracing")]

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asyncio_loop::testing::run_once;
use asyncio_loop::{EventLoop, ExceptionContext};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::with_default;
use tracing::{Event, Metadata, Subscriber};

/// A subscriber that keeps a line for each span that is entered or left, and for each event.
struct Lines {
    level: LevelFilter,
    lines: Arc<Mutex<Vec<String>>>,
    spans: Mutex<Vec<String>>,
    next: AtomicU64,
}

impl Lines {
    fn push(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }

    fn name(&self, id: &Id) -> String {
        self.spans.lock().unwrap()[id.into_u64() as usize - 1].clone()
    }
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != "created_at" {
            write!(self.0, " {field}={value:?}").unwrap();
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("asyncio_loop") && *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields(String::from(attributes.metadata().name()));
        attributes.record(&mut fields);
        self.spans.lock().unwrap().push(fields.0);
        Id::from_u64(self.next.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(format!("{}:", event.metadata().level()));
        event.record(&mut fields);
        self.push(fields.0);
    }

    fn enter(&self, id: &Id) {
        self.push(format!("> {}", self.name(id)));
    }

    fn exit(&self, id: &Id) {
        self.push(format!("< {}", self.name(id)));
    }
}

/// Runs `test` under a subscriber, and returns its lines.
fn lines(level: LevelFilter, test: impl FnOnce()) -> Vec<String> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let subscriber =
        Lines { level, lines: lines.clone(), spans: Mutex::default(), next: AtomicU64::new(0) };
    with_default(subscriber, test);
    let lines = lines.lock().unwrap();
    lines.clone()
}

#[test]
fn ticks_callbacks_and_steps_are_spans() {
    let event_loop = EventLoop::new().unwrap();
    let mut id = 0;
    let lines = lines(LevelFilter::TRACE, || {
        event_loop.call_soon(|| ());
        let main = async {
            let task = asyncio_coro::current_task().unwrap();
            id = task.id().get();
            task.set_name("main");
            asyncio_coro::yield_now().await;
        };
        event_loop.run_until_complete(main).unwrap();
    });
    let first = format!("task id={id} name=\"Task-{id}\"");
    let second = format!("task id={id} name=\"main\"");
    let expected = [
        "> tick",
        "> callback",
        "< callback",
        &format!("> {first}"),
        &format!("< {first}"),
        "< tick",
        "> tick",
        &format!("> {second}"),
        &format!("< {second}"),
        "< tick",
        "> tick",
        "< tick",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_span_ends_with_a_step_that_panics() {
    let event_loop = EventLoop::new().unwrap();
    let lines = lines(LevelFilter::TRACE, || {
        event_loop.call_soon(|| panic!("no such file"));
        run_once(&event_loop).unwrap();
    });
    let expected = [
        "> tick",
        "> callback",
        "ERROR: message=exception in callback panic=\"no such file\"",
        "< callback",
        "< tick",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn reports_and_warnings_are_events() {
    let event_loop = EventLoop::new().unwrap();
    let lines = lines(LevelFilter::WARN, || {
        let context = ExceptionContext::new("lost").with_task("Task-7");
        event_loop.call_exception_handler(context.with_error(fmt::Error));
        event_loop.set_debug(true);
        event_loop.set_slow_callback_duration(Duration::ZERO);
        event_loop.call_soon(|| ());
        run_once(&event_loop).unwrap();
    });
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("ERROR: message=lost task=\"Task-7\" error="), "{lines:?}");
    assert!(lines[1].starts_with("WARN: message=executing callback created at "), "{lines:?}");
}

#[test]
fn steps_of_tasks_are_spans_at_level_debug() {
    let event_loop = EventLoop::new().unwrap();
    let lines = lines(LevelFilter::DEBUG, || {
        event_loop.call_soon(|| ());
        event_loop.run_until_complete(async {}).unwrap();
    });
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("> task id="), "{lines:?}");
}
