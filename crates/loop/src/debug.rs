//! Debug mode: what takes too long is named.

use std::cell::Cell;
use std::time::Duration;

use crate::event_loop::{EventLoop, Inner};
use crate::observe::Observer;
use crate::spans;
use crate::work::Work;

impl EventLoop {
    /// Turns debug mode on or off; it is off in a new loop. It takes effect in the next tick.
    ///
    /// In debug mode a callback or a step of a task that takes [`slow_callback_duration`](Self::slow_callback_duration)
    /// or longer is named in the [`log`] at level warn, with how long it took. Where it was created is always known. The
    /// children of a task group run inside the steps of the task that has the group; a slow step of a child is the child's,
    /// and not its parent's. Calls from a wrong thread need no check, they do not compile; and a future that nobody awaits is
    /// named by the compiler (`unused_must_use`).
    ///
    /// # Examples
    ///
    /// ```
    /// let event_loop = asyncio_loop::EventLoop::new()?;
    /// assert!(!event_loop.is_debug());
    /// event_loop.set_debug(true);
    /// assert!(event_loop.is_debug());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_debug(&self, enabled: bool) {
        self.inner().observers.set(Observer::Debug, enabled);
    }

    /// Is it in debug mode?
    ///
    /// # Examples
    ///
    /// See [`set_debug`](Self::set_debug).
    #[doc(alias = "get_debug")]
    pub fn is_debug(&self) -> bool {
        self.inner().observers.has(Observer::Debug)
    }

    /// From which duration on debug mode calls a callback or a step slow: 0.1 s, unless it was set.
    ///
    /// # Examples
    ///
    /// See [`set_slow_callback_duration`](Self::set_slow_callback_duration).
    pub fn slow_callback_duration(&self) -> Duration {
        self.inner().debug.slow_callback_duration.get()
    }

    /// Sets from which duration on debug mode calls a callback or a step slow, by the system's clock. Zero names all.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let event_loop = asyncio_loop::EventLoop::new()?;
    /// assert_eq!(event_loop.slow_callback_duration(), Duration::from_millis(100));
    /// event_loop.set_slow_callback_duration(Duration::from_millis(20));
    /// assert_eq!(event_loop.slow_callback_duration(), Duration::from_millis(20));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_slow_callback_duration(&self, duration: Duration) {
        self.inner().debug.slow_callback_duration.set(duration);
    }
}

/// What debug mode goes by.
#[derive(Debug)]
pub(crate) struct Debug {
    slow_callback_duration: Cell<Duration>,
}

impl Default for Debug {
    fn default() -> Self {
        Self { slow_callback_duration: Cell::new(SLOW) }
    }
}

impl Inner {
    /// Names what took too long. True if it did.
    pub(crate) fn warn_if_slow(&self, work: &Work, took: Duration) -> bool {
        let is_slow = took >= self.debug.slow_callback_duration.get();
        let is_named = is_slow && self.observers.has(Observer::Debug);
        if is_named {
            log_warning(format_args!("executing {work} took {took:.3?}"));
        }
        is_named
    }
}

/// Writes a warning to the log; or to standard error where the program has set up no logger, as Python does.
pub(crate) fn log_warning(text: std::fmt::Arguments<'_>) {
    if spans::warning(text) {
        return;
    }
    if log::max_level() == log::LevelFilter::Off {
        eprintln!("{text}");
    } else {
        log::warn!("{text}");
    }
}

/// asyncio's `slow_callback_duration`.
const SLOW: Duration = Duration::from_millis(100);
