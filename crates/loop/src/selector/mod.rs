//! The selector: who waits for file descriptors, and for how long.
//!
//! Two kinds behind one narrow trait. [`epoll`] is Linux's: `polling`'s file descriptor with our own registration,
//! wait, wake and timer, because `Poller::wait` touches a timerfd and an eventfd at every call, its registration lacks
//! RDHUP, and a notification taken by a foreign wait loses the next one. [`portable`] is `polling` as documented.
//! Both are edge-triggered, with one registration a descriptor.

#[cfg(target_os = "linux")]
mod epoll;
mod portable;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Instant;

use polling::Poller;

use crate::io::Ready;

#[cfg(target_os = "linux")]
pub(crate) use self::epoll::EpollSelector;
pub(crate) use self::portable::PortableSelector;

/// What a loop needs of the system.
pub(crate) trait Selector {
    /// Watches `fd` for both directions, edge-triggered, until it is removed. `key` comes back with its events.
    fn register(&mut self, fd: BorrowedFd<'_>, key: usize) -> io::Result<()>;

    /// Watches `fd` for what `interest` says, level-triggered, until it is removed. `key` comes back with its events.
    fn register_level(&mut self, fd: BorrowedFd<'_>, key: usize, interest: Ready)
    -> io::Result<()>;

    /// Changes what a descriptor is watched for, level-triggered. `NotFound`: it was closed meanwhile.
    fn set_interest(&mut self, fd: RawFd, key: usize, interest: Ready) -> io::Result<()>;

    /// Stops watching. The descriptor should still be open; when it is not, there is nothing left to remove.
    fn deregister(&mut self, fd: RawFd);

    /// Waits and appends what happened. A signal ends the wait early, with no events.
    fn wait(&mut self, wait: Wait, events: &mut Vec<Event>) -> io::Result<()>;

    /// Does [`Ready::HUP`] come with the event that brings the last data? If so, a short read means "empty".
    fn sees_hangup(&self) -> bool;

    /// A descriptor to which a signal handler may write eight bytes to end a wait. Lives as long as the loop.
    fn wake_fd(&mut self) -> io::Result<RawFd>;

    /// The descriptor that is readable while there is something to report.
    fn as_fd(&self) -> BorrowedFd<'_>;

    /// The thread-safe end of it.
    fn notifier(&self) -> Notifier;
}

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not at all.
    Poll,
    /// Until this instant of the real clock.
    Until(Instant),
    /// Until something happens.
    Forever,
}

impl Wait {
    /// The same, but no later than `limit`.
    pub(crate) fn within(self, limit: Option<Instant>) -> Self {
        match (self, limit) {
            (Self::Forever, Some(limit)) => Self::Until(limit),
            (Self::Until(end), Some(limit)) => Self::Until(end.min(limit)),
            _ => self,
        }
    }
}

/// Something happened to a registered descriptor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) key: usize,
    pub(crate) ready: Ready,
}

/// Ends a wait of the selector, from any thread.
#[derive(Debug, Clone)]
pub(crate) enum Notifier {
    /// An eventfd in the epoll set, edge-triggered and never read: each write is a new edge.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "Linux's kind"))]
    EventFd(Arc<OwnedFd>),
    /// The documented way.
    Poller(Arc<Poller>),
}

impl Notifier {
    pub(crate) fn notify(&self) {
        let done = match self {
            // The counter would have to reach 2^64 - 1 wakes for this to fail.
            Self::EventFd(fd) => {
                rustix::io::write(fd, &1_u64.to_ne_bytes()).map(drop).map_err(io::Error::from)
            }
            Self::Poller(poller) => poller.notify(),
        };
        if let Err(error) = done {
            log::error!("cannot wake the event loop: {error}");
        }
    }
}

/// Says what the kernel's answer to a registration means.
fn explain(error: io::Error, fd: BorrowedFd<'_>) -> io::Error {
    use std::os::fd::AsRawFd;
    let fd = fd.as_raw_fd();
    match error.raw_os_error() {
        Some(libc::EPERM) => io::Error::new(
            io::ErrorKind::Unsupported,
            format!(
                "file descriptor {fd} is a regular file or a directory, which is always ready and cannot be waited for"
            ),
        ),
        Some(libc::EEXIST) => already_registered(fd),
        _ => error,
    }
}

fn already_registered(fd: RawFd) -> io::Error {
    io::Error::new(
        io::ErrorKind::AlreadyExists,
        format!("file descriptor {fd} is already registered with this event loop"),
    )
}
