//! Guest mode: a loop of somebody else's, a GUI or another runtime, drives this one tick by tick.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::clock::saturating_add;
use crate::event_loop::{EventLoop, Inner};
use crate::run::RunError;
use crate::running::Running;

/// A loop that is a guest in somebody else's: the host calls [`tick`](Self::tick) whenever the guest's descriptor becomes
/// readable, and when the deadline comes that the last tick returned.
///
/// The loop is running during each tick and at no other time. What the host does with the loop between ticks
/// (`call_soon`, `call_later`, waking a task), what other threads send, and what happens to registered descriptors makes
/// the guest's descriptor readable, so the host needs to watch nothing else; it is readable from the start
/// if the loop has anything to do. Between ticks the loop may also be run as
/// usual.
///
/// A host that runs inside another event loop of this crate gets [`RunError::Nested`]: two of them cannot run in one
/// thread at a time. Ctrl-C, and the end of upper tiers, are the business of whoever owns the loop, a
/// [`Runner`](crate::Runner) for example.
///
/// # Examples
///
/// `examples/guest.rs` drives a loop by `poll`. Without descriptors it comes to this:
///
/// ```
/// use asyncio_loop::{EventLoop, Guest};
/// use std::{thread, time::Duration};
///
/// let event_loop = EventLoop::new()?;
/// let stopper = event_loop.clone();
/// event_loop.call_later(Duration::from_millis(2), move || stopper.stop());
///
/// let guest = Guest::new(&event_loop)?;
/// loop {
///     let tick = guest.tick(Some(Duration::ZERO))?;
///     if tick.is_stopped() {
///         break;
///     }
///     thread::sleep(tick.timeout().expect("a timer is pending"));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Guest {
    event_loop: EventLoop,
    /// A duplicate of the selector's, so that it stays open whatever becomes of the loop.
    fd: OwnedFd,
}

/// What the host has to know after a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it says when the next tick is due"]
pub struct Tick {
    is_stopped: bool,
    now: Instant,
    next_deadline: Option<Instant>,
}

impl Guest {
    /// Makes a guest of a loop. The loop goes back to normal when the guest is dropped.
    ///
    /// # Errors
    ///
    /// What the system says when it has no file descriptor left, and [`LoopClosed`](crate::LoopClosed), as the inner
    /// error.
    pub fn new(event_loop: &EventLoop) -> io::Result<Self> {
        let inner = event_loop.inner();
        let fd = match &*inner.selector.borrow() {
            Some(selector) => selector.as_fd().try_clone_to_owned()?,
            None => return Err(io::Error::other(crate::LoopClosed::new())),
        };
        inner.guests.set(inner.guests.get() + 1);
        let is_idle = inner.shared.fall_asleep(|| true) && inner.ready.is_empty();
        if !is_idle || !inner.timers.borrow().is_empty() {
            // The host knows of no deadline yet: a first tick is due.
            inner.shared.announce();
        }
        Ok(Self { event_loop: event_loop.clone(), fd })
    }

    /// Runs one tick, and waits for at most `timeout` by the system's clock if there is nothing to do: not at all when
    /// that is zero, for as long as it takes when it is `None`. It may return earlier with nothing done.
    ///
    /// # Errors
    ///
    /// - [`Nested`](RunError::Nested): a loop is running in this thread already.
    /// - [`Closed`](RunError::Closed): this one is closed.
    /// - [`Os`](RunError::Os): what the system says when a wait fails.
    /// - [`Deadlock`](RunError::Deadlock) and [`OffScript`](RunError::OffScript), on a virtual clock.
    pub fn tick(&self, timeout: Option<Duration>) -> Result<Tick, RunError> {
        let inner = &**self.event_loop.inner();
        let mut running = Running::start(inner)?;
        running.is_tick = true;
        inner.shared.wake_up();
        let _limit = Limit::set(inner, timeout);
        let result = inner.tick(timeout != Some(Duration::ZERO), None);
        let is_stopped = inner.stopping.get();
        drop(running);
        // From here on whoever pushes makes the descriptor readable.
        let is_idle = inner.shared.fall_asleep(|| true) && inner.ready.is_empty();
        result?;
        let now = inner.clock.now();
        let next_deadline = if is_idle { inner.timers.borrow().next_deadline() } else { Some(now) };
        Ok(Tick { is_stopped, now, next_deadline })
    }

    /// The loop.
    pub fn event_loop(&self) -> &EventLoop {
        &self.event_loop
    }
}

impl Tick {
    /// Did somebody [stop](EventLoop::stop) the loop? It is for the host to decide what that means.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// When the next tick is due, on the loop's clock, if the descriptor does not become readable before; now, if
    /// something is ready already. `None`: only the descriptor says.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.next_deadline
    }

    /// How long that is from the tick's end on. A host that can wait only for whole milliseconds should round up.
    pub fn timeout(&self) -> Option<Duration> {
        self.next_deadline.map(|deadline| deadline.saturating_duration_since(self.now))
    }
}

/// Readable when a tick is due before the deadline. To be watched for reading, and for nothing else.
impl AsFd for Guest {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest").field("event_loop", &self.event_loop).field("fd", &self.fd).finish()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let inner = self.event_loop.inner();
        inner.guests.set(inner.guests.get() - 1);
        if inner.guests.get() == 0 {
            inner.shared.wake_up();
        }
    }
}

impl Inner {
    /// Tells the host, if there is one and it is his turn, that a tick is due.
    pub(crate) fn tell_host(&self) {
        if self.guests.get() > 0 && !self.is_running() {
            self.shared.wake();
        }
    }

    /// After a run that was not a tick: it is the host's turn again, and what was left for another tick is due.
    pub(crate) fn return_to_host(&self) {
        if self.guests.get() > 0 && !self.is_parents() {
            let is_idle = self.shared.fall_asleep(|| true) && self.ready.is_empty();
            if !is_idle {
                self.shared.announce();
            }
        }
    }
}

/// No wait of the loop ends later than this says, until it is dropped.
struct Limit<'a>(&'a Inner);

impl<'a> Limit<'a> {
    fn set(inner: &'a Inner, timeout: Option<Duration>) -> Self {
        inner.wait_limit.set(timeout.map(|timeout| saturating_add(Instant::now(), timeout)));
        Self(inner)
    }
}

impl Drop for Limit<'_> {
    fn drop(&mut self) {
        self.0.wait_limit.set(None);
    }
}
