//! Spans and events for the `tracing` crate.
//!
//! Each tick is a span `tick` at level trace. Each step of a task is a span `task` at level debug, with the task's number,
//! its name and where it was created; each callback is a span `callback` at level trace, and so are `timer` and `io`. What
//! the log would get, an error that nobody awaits or a step that was slow, is an event instead, as soon as a subscriber
//! wants it. While no subscriber asks for level debug, a tick pays one relaxed load for all of this.

use std::fmt;

use tracing::level_filters::LevelFilter;
use tracing::span::EnteredSpan;
use tracing::{Level, debug_span, error, event_enabled, trace_span, warn};

use crate::exception::ExceptionContext;
use crate::work::Work;

/// The span that this thread is in until it is dropped.
pub(crate) type Span = EnteredSpan;

/// Does a subscriber want to know what runs?
pub(crate) fn is_enabled() -> bool {
    LevelFilter::current() >= LevelFilter::DEBUG
}

/// Enters the span of a tick.
pub(crate) fn tick() -> Option<Span> {
    is_enabled().then(|| trace_span!("tick").entered())
}

/// Enters the span of what runs.
pub(crate) fn step(work: &Work) -> Option<Span> {
    if !is_enabled() {
        return None;
    }
    let span = match work {
        Work::Task { id, site, .. } => {
            debug_span!("task", id = id.get(), name = work.task_name(), created_at = %site)
        }
        Work::Callback { site } => trace_span!("callback", created_at = %site),
        Work::Timer => trace_span!("timer"),
        Work::Io { fd, ready, .. } => trace_span!("io", fd, ?ready),
        Work::Other => trace_span!("other"),
    };
    Some(span.entered())
}

/// Makes an event of a report; false if no subscriber wants it.
pub(crate) fn report(context: &ExceptionContext) -> bool {
    let is_wanted = event_enabled!(Level::ERROR);
    if is_wanted {
        error!(
            task = context.task(),
            created_at = context.site().map(tracing::field::display),
            panic = context.panic_message(),
            error = context.error(),
            during = context.during().map(tracing::field::display),
            "{}",
            context.message()
        );
    }
    is_wanted
}

/// Makes an event of a warning; false if no subscriber wants it.
pub(crate) fn warning(text: fmt::Arguments<'_>) -> bool {
    let is_wanted = event_enabled!(Level::WARN);
    if is_wanted {
        warn!("{text}");
    }
    is_wanted
}
