//! Debug mode: what takes too long is named.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::event_loop::{EventLoop, Inner};
use crate::ready::Entry;
use crate::work::Work;

impl EventLoop {
    /// Turns debug mode on or off; it is off in a new loop. It takes effect in the next tick.
    ///
    /// In debug mode a callback or a step of a task that takes [`slow_callback_duration`](Self::slow_callback_duration)
    /// or longer is named in the [`log`] at level warn, with how long it took. Where it was created is always known.
    /// Calls from a wrong thread need no check, they do not compile.
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
        self.inner().debug.enabled.set(enabled);
    }

    /// Is it in debug mode?
    ///
    /// # Examples
    ///
    /// See [`set_debug`](Self::set_debug).
    #[doc(alias = "get_debug")]
    pub fn is_debug(&self) -> bool {
        self.inner().debug.enabled.get()
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

/// A loop's debug mode.
#[derive(Debug)]
pub(crate) struct Debug {
    enabled: Cell<bool>,
    slow_callback_duration: Cell<Duration>,
}

impl Default for Debug {
    fn default() -> Self {
        Self { enabled: Cell::new(false), slow_callback_duration: Cell::new(SLOW) }
    }
}

impl Inner {
    /// Does somebody want to know what runs?
    pub(crate) fn is_observed(&self) -> bool {
        self.debug.enabled.get()
    }

    /// Runs an entry before the eyes of those who want to know.
    #[cold]
    pub(crate) fn observe(&self, entry: Entry, run: impl FnOnce(Entry)) {
        let _observed = Observed { inner: self, work: entry.describe(), started: Instant::now() };
        run(entry);
    }
}

/// An entry that is running; it has ended, by a panic perhaps, when this is dropped.
struct Observed<'a> {
    inner: &'a Inner,
    work: Work,
    started: Instant,
}

impl Drop for Observed<'_> {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        let debug = &self.inner.debug;
        if debug.enabled.get() && took >= debug.slow_callback_duration.get() {
            // A logger that panics while the entry does would end the process.
            let warn = || log_warning(format_args!("executing {} took {took:.3?}", self.work));
            drop(catch_unwind(AssertUnwindSafe(warn)));
        }
    }
}

/// Writes a warning to the log; or to standard error where the program has set up no logger, as Python does.
fn log_warning(text: std::fmt::Arguments<'_>) {
    if log::max_level() == log::LevelFilter::Off {
        eprintln!("{text}");
    } else {
        log::warn!("{text}");
    }
}

/// asyncio's `slow_callback_duration`.
const SLOW: Duration = Duration::from_millis(100);
