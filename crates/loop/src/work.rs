//! What an entry of the ready queue is, for those who watch it run: debug mode, reports, traces.

use std::fmt;
use std::os::fd::RawFd;
use std::panic::Location;

use asyncio_coro::task::{LocalInfo, TaskId, TaskInfo};

use crate::io::Ready;

/// What an [`Entry`](crate::Entry) of the ready queue is about to do.
///
/// `Display` names it in one line, for a log.
///
/// # Examples
///
/// ```
/// use asyncio_loop::Work;
///
/// let site = std::panic::Location::caller();
/// let text = Work::Callback { site }.to_string();
/// assert!(text.starts_with("callback created at "));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Work {
    /// A step of a task.
    Task {
        /// The task's number.
        id: TaskId,
        /// The name it was given, if any.
        name: Option<String>,
        /// Where it was created.
        site: &'static Location<'static>,
    },
    /// A callback of `call_soon`, `call_later`, `call_at` or `call_soon_threadsafe`.
    Callback {
        /// Where it was given to the loop.
        site: &'static Location<'static>,
    },
    /// A timer that wakes a waker.
    Timer,
    /// The handler of a descriptor that became ready.
    Io {
        /// The descriptor.
        fd: RawFd,
        /// Counts the registrations of the loop, from 0.
        registration: usize,
        /// What it became ready for.
        ready: Ready,
    },
    /// Something of an upper tier.
    Other,
}

impl Work {
    /// A step of the task with these facts, which the caller may read since it is on the task's thread.
    ///
    /// # Examples
    ///
    /// See [`EntryVTable`](crate::EntryVTable).
    pub fn task(info: &TaskInfo, local: LocalInfo<'_>) -> Self {
        Self::Task { id: info.id(), name: local.given_name(), site: info.site() }
    }

    /// The task's name, if it is a task's step: the one it was given, or `Task-{id}`.
    pub fn task_name(&self) -> Option<String> {
        match self {
            Self::Task { id, name, .. } => Some(name.clone().unwrap_or_else(|| id.default_name())),
            _ => None,
        }
    }

    /// Where the task or callback was created.
    pub fn site(&self) -> Option<&'static Location<'static>> {
        match self {
            Self::Task { site, .. } | Self::Callback { site } => Some(site),
            _ => None,
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task { id, name: None, site } => write!(f, "Task-{id} created at {site}"),
            Self::Task { name: Some(name), site, .. } => {
                write!(f, "task {name:?} created at {site}")
            }
            Self::Callback { site } => write!(f, "callback created at {site}"),
            Self::Timer => f.write_str("timer"),
            Self::Io { fd, ready, .. } => {
                write!(f, "handler of file descriptor {fd} for {ready:?}")
            }
            Self::Other => f.write_str("entry"),
        }
    }
}
