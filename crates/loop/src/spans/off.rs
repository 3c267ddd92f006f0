//! Spans and events of a build without the `tracing` crate.

use std::fmt;

use crate::exception::ExceptionContext;
use crate::work::Work;

/// No span.
pub(crate) struct Span;

pub(crate) fn is_enabled() -> bool {
    false
}

pub(crate) fn tick() -> Option<Span> {
    None
}

pub(crate) fn step(_: &Work) -> Option<Span> {
    None
}

pub(crate) fn report(_: &ExceptionContext) -> bool {
    false
}

pub(crate) fn warning(_: fmt::Arguments<'_>) -> bool {
    false
}
