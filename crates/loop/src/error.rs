//! The errors of this tier that are about the loop itself.

use std::error::Error;
use std::fmt;

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

/// The loop is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopClosed(());

impl LoopClosed {
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for LoopClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("event loop is closed")
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
