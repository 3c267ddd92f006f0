//! Loops for tests: time that the test owns, single ticks, and the selector of other systems.
//!
//! A test does not sleep. It runs on a loop whose clock jumps to the next timer as soon as there is nothing else to do,
//! or stands still until the test moves it.
//!
//! ```
//! use asyncio_loop::{EventLoop, testing};
//! use std::{rc::Rc, cell::Cell, time::Duration};
//!
//! let (event_loop, clock) = testing::virtual_loop(testing::ClockMode::Frozen)?;
//! let ran = Rc::new(Cell::new(false));
//! event_loop.call_later(Duration::from_secs(3600), { let ran = ran.clone(); move || ran.set(true) });
//! testing::run_once(&event_loop)?;
//! assert!(!ran.get());
//! clock.advance(Duration::from_secs(3600));
//! testing::run_once(&event_loop)?;
//! assert!(ran.get());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod blocked;
pub(crate) mod deadlock;
pub(crate) mod script;
pub(crate) mod shuffle;
pub(crate) mod trace;

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use crate::clock::{Clock, VirtualTime};
use crate::event_loop::{EventLoop, Inner};
use crate::run::{RunError, run_on};

pub use self::blocked::wait_all_tasks_blocked;
pub use self::deadlock::Deadlock;
pub use self::script::{OffScript, ScriptedClock, run_scripted, scripted_loop};
pub use self::shuffle::shuffle;
pub use self::trace::{Trace, TraceEvent, Traced};
pub use crate::clock::ClockMode;

/// Like [`run`](crate::run()), on a loop whose clock jumps to the next timer whenever there is nothing else to do.
///
/// # Errors
///
/// As [`run`](crate::run()), and [`Deadlock`](RunError::Deadlock) when nothing could wake the loop any more and nothing has
/// for 10 s of real time; a [`virtual_loop`] can be told [not to wait so long](VirtualClock::set_deadlock_grace).
///
/// # Examples
///
/// ```
/// use asyncio_loop::{get_running_loop, testing};
/// use std::time::Duration;
///
/// // An hour, in no time.
/// let elapsed = testing::run(async {
///     let event_loop = get_running_loop().unwrap();
///     let start = event_loop.time();
///     let mut key = None;
///     std::future::poll_fn(|cx| {
///         let when = start + Duration::from_secs(3600);
///         key.get_or_insert_with(|| event_loop.add_timer(when, cx.waker()));
///         if event_loop.time() < when { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
///     })
///     .await;
///     event_loop.time() - start
/// })?;
/// assert_eq!(elapsed, Duration::from_secs(3600));
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
#[track_caller]
pub fn run<F: Future>(main: F) -> Result<F::Output, RunError> {
    let (event_loop, _) = virtual_loop(ClockMode::AutoJump).map_err(RunError::Os)?;
    run_on(&event_loop, main, Location::caller())
}

/// Like [`run`](crate::run()), on a loop that the caller made: runs `main`, then the upper tiers' ends, then closes the
/// loop.
///
/// # Errors
///
/// As [`run`](crate::run()).
///
/// # Examples
///
/// ```
/// use asyncio_loop::testing::{portable_loop, run_with};
///
/// let event_loop = portable_loop()?;
/// assert_eq!(run_with(&event_loop, async { 7 })?, 7);
/// assert!(event_loop.is_closed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn run_with<F: Future>(event_loop: &EventLoop, main: F) -> Result<F::Output, RunError> {
    run_on(event_loop, main, Location::caller())
}

/// Runs one tick without blocking: what is ready, and what that tick's poll finds.
///
/// # Errors
///
/// As [`EventLoop::run_forever`].
///
/// # Examples
///
/// ```
/// use asyncio_loop::{EventLoop, testing};
///
/// let event_loop = EventLoop::new()?;
/// let stopper = event_loop.clone();
/// let handle = event_loop.call_soon(move || stopper.stop());
/// testing::run_once(&event_loop)?;
/// assert!(!handle.cancelled());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn run_once(event_loop: &EventLoop) -> Result<(), RunError> {
    event_loop.run_once()
}

/// A loop with a virtual clock, and the hand on that clock.
///
/// # Errors
///
/// As [`EventLoop::new`].
///
/// # Examples
///
/// ```
/// use asyncio_loop::testing::{ClockMode, virtual_loop};
///
/// let (event_loop, clock) = virtual_loop(ClockMode::Frozen)?;
/// assert_eq!(event_loop.time(), clock.now());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn virtual_loop(mode: ClockMode) -> io::Result<(EventLoop, VirtualClock)> {
    let event_loop = EventLoop::with_clock(Clock::virtual_clock(mode))?;
    let clock = VirtualClock { inner: Rc::downgrade(event_loop.inner()), made: event_loop.time() };
    Ok((event_loop, clock))
}

/// A loop with the real clock, on the selector for systems that have no better one. It is tested on every system.
///
/// # Errors
///
/// As [`EventLoop::new`].
///
/// # Examples
///
/// ```
/// let event_loop = asyncio_loop::testing::portable_loop()?;
/// assert_eq!(event_loop.run_until_complete(async { 1 })?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn portable_loop() -> io::Result<EventLoop> {
    EventLoop::new_portable()
}

/// The hand on a virtual clock.
#[derive(Clone)]
pub struct VirtualClock {
    inner: Weak<Inner>,
    made: Instant,
}

impl VirtualClock {
    /// The time it shows; that of its making once the loop is gone.
    pub fn now(&self) -> Instant {
        self.with(VirtualTime::now).unwrap_or(self.made)
    }

    /// Moves it. Timers that are due then run in the next tick.
    pub fn advance(&self, by: Duration) {
        self.with(|time| time.advance(by));
    }

    /// Changes what it does when the loop is idle.
    pub fn set_mode(&self, mode: ClockMode) {
        self.with(|time| time.set_mode(mode));
    }

    /// Sets for how long, by the system's clock, nothing may happen before a run ends as a [`Deadlock`]: 10 s unless it
    /// was set.
    ///
    /// A loop with a virtual clock that has nothing to run, no timer that its clock will reach and no
    /// [external work](EventLoop::external_work) can only be woken from outside: by a thread or a process for which
    /// nobody holds external work. Where there is none of that, zero is right.
    pub fn set_deadlock_grace(&self, grace: Duration) {
        self.with(|time| time.deadlock_grace.set(grace));
    }

    fn with<R>(&self, f: impl FnOnce(&VirtualTime) -> R) -> Option<R> {
        match &self.inner.upgrade()?.clock {
            Clock::Virtual(time) => Some(f(time)),
            Clock::Monotonic | Clock::Custom(_) => None,
        }
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualClock").field("now", &self.now()).finish_non_exhaustive()
    }
}
