//! One run of an operation: where and how it was cancelled, and what came of it.

use std::fmt;
use std::thread;

/// How an operation was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Dropped while it waited.
    Dropped,
    /// Dropped when it had been woken and not been polled since.
    DroppedWoken,
    /// Asked while it waited; then polled to its end.
    Requested,
    /// Asked when it had been woken and not been polled since; then polled to its end.
    RequestedWoken,
    /// Not at all: it came through.
    Never,
}

impl Way {
    /// Was it dropped, so that no cleanup of its own could be awaited?
    #[must_use]
    pub fn is_drop(self) -> bool {
        matches!(self, Way::Dropped | Way::DroppedWoken)
    }

    /// Was it asked, through a scope around it?
    #[must_use]
    pub fn is_request(self) -> bool {
        matches!(self, Way::Requested | Way::RequestedWoken)
    }

    /// Had it been woken by then?
    #[must_use]
    pub fn is_woken(self) -> bool {
        matches!(self, Way::DroppedWoken | Way::RequestedWoken)
    }
}

/// One run of an operation.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Case<T> {
    /// How it was cancelled.
    pub way: Way,
    /// How many suspension points it had come to. 0: it was cancelled before its
    /// first poll; one that was asked to end then still runs up to its first suspension.
    pub point: usize,
    /// How many of the [events](crate::between_events) have happened, all told.
    pub events: usize,
    /// What it ended with, if it did: it came through, or was ready in the pass in which it was asked to end.
    pub output: Option<T>,
}

/// Says where we are if a panic goes by, since the panic itself does not know.
pub(crate) fn blame(way: Way, point: usize, events: usize) -> impl Drop {
    Blame(Case { way, point, events, output: None })
}

impl<T> fmt::Display for Case<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { way, point, events, .. } = self;
        write!(f, "{way:?} at suspension point {point}")?;
        if *events > 0 {
            write!(f, ", after event {events}")?;
        }
        Ok(())
    }
}

struct Blame(Case<()>);

impl Drop for Blame {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the operation of the panic above: {}", self.0);
        }
    }
}
