//! The errors of this tier that are about the loop itself.

use std::error::Error;
use std::fmt;

use crate::remote::Shared;

/// No loop is running in this thread. Returned by [`get_running_loop`](crate::get_running_loop).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRunningLoop(());

impl NoRunningLoop {
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for NoRunningLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no running event loop in this thread")
    }
}

impl Error for NoRunningLoop {}

/// The loop is closed; or it belongs to the process from which this one was forked, and is as good as closed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopClosed {
    is_parents: bool,
}

impl LoopClosed {
    pub(crate) fn new() -> Self {
        Self { is_parents: false }
    }

    /// What is to be said of this loop, which takes nothing.
    pub(crate) fn of(shared: &Shared) -> Self {
        Self { is_parents: shared.is_parents() }
    }
}

impl fmt::Display for LoopClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_parents { PARENTS_LOOP } else { "event loop is closed" })
    }
}

impl Error for LoopClosed {}

/// A running loop cannot be closed. Returned by [`EventLoop::close`](crate::EventLoop::close).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopRunning(());

impl LoopRunning {
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for LoopRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot close a running event loop")
    }
}

impl Error for LoopRunning {}

/// What the child of a fork hears of its parent's loops.
pub(crate) const PARENTS_LOOP: &str =
    "event loop belongs to the process that this one was forked from: make a new one";
