//! What a run may be told: how its loop is made, how long each part of its end may take, whether Ctrl-C is looked after.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use crate::event_loop::EventLoop;
use crate::run::{RunError, run_on};
use crate::runner::Runner;
use crate::running::is_any_running;

/// How to run: for one [`run`](Self::run), or for a [`Runner`].
///
/// [`run`](crate::run()) itself is `Config::new().run(main)`.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{Config, GracePeriods};
/// use std::time::Duration;
///
/// let mut periods = GracePeriods::default();
/// periods.tasks = Duration::from_secs(30); // long goodbyes
/// let config = Config::new().grace_periods(periods).ctrl_c(false);
/// assert_eq!(config.run(async { 7 })?, 7);
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "it does nothing until it runs something"]
pub struct Config {
    loop_factory: Option<Rc<dyn Fn() -> io::Result<EventLoop>>>,
    debug: Option<bool>,
    periods: GracePeriods,
    /// Leave Ctrl-C alone.
    ignores_ctrl_c: bool,
}

/// How long the parts of a loop's end may take, each measured on the loop's clock. What has not ended by then is
/// abandoned, and reported by name.
///
/// [`Duration::MAX`] is for ever; then shutting down may take that long, too.
///
/// # Examples
///
/// ```
/// use asyncio_loop::GracePeriods;
/// use std::time::Duration;
///
/// let mut periods = GracePeriods::default();
/// assert_eq!(periods.executor, Duration::from_secs(300));
/// periods.executor = Duration::from_secs(10);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GracePeriods {
    /// For tasks, which are cancelled and may clean up. 5 s: long enough for goodbyes over a network, short enough for
    /// a person at a terminal.
    pub tasks: Duration,
    /// For async generators that are still open. 5 s.
    pub async_generators: Duration,
    /// For jobs in the threads of the default executor, which nothing can cancel. 300 s, as in asyncio.
    pub executor: Duration,
    /// The same after a Ctrl-C, if it is shorter: somebody waits for the end. 5 s.
    pub executor_after_ctrl_c: Duration,
}

impl Default for GracePeriods {
    fn default() -> Self {
        Self {
            tasks: Duration::from_secs(5),
            async_generators: Duration::from_secs(5),
            executor: Duration::from_secs(300),
            executor_after_ctrl_c: Duration::from_secs(5),
        }
    }
}

impl Config {
    /// Everything as [`run`](crate::run()) does it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the loop, instead of [`EventLoop::new`]: one with another clock, or one that is prepared. Called once for
    /// each `run` and each [`Runner`], and not before the loop is needed.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{Config, EventLoop, get_running_loop};
    ///
    /// let config = Config::new().loop_factory(|| {
    ///     let event_loop = EventLoop::new()?;
    ///     event_loop.set_exception_handler(|_, context| eprintln!("mine: {context}"));
    ///     Ok(event_loop)
    /// });
    /// config.run(async { get_running_loop().unwrap() })?;
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    pub fn loop_factory(mut self, factory: impl Fn() -> io::Result<EventLoop> + 'static) -> Self {
        self.loop_factory = Some(Rc::new(factory));
        self
    }

    /// Whether the loop is in [debug mode](EventLoop::set_debug). Unless it is said here, the loop is as it was made.
    pub fn debug(mut self, enabled: bool) -> Self {
        self.debug = Some(enabled);
        self
    }

    /// How long the parts of the end may take.
    pub fn grace_periods(mut self, periods: GracePeriods) -> Self {
        self.periods = periods;
        self
    }

    /// Whether Ctrl-C is looked after: yes, if nobody says otherwise. Only the main thread's run does so, and only where
    /// the program has not taken SIGINT over itself.
    pub fn ctrl_c(mut self, is_looked_after: bool) -> Self {
        self.ignores_ctrl_c = !is_looked_after;
        self
    }

    /// As [`run`](crate::run()), told how.
    ///
    /// # Errors
    ///
    /// As [`run`](crate::run()); [`Os`](RunError::Os) is also an error of the loop factory,
    /// [`Closed`](RunError::Closed) a factory that gives a closed loop.
    ///
    /// # Panics
    ///
    /// When `main` panicked: with the same payload, after the loop was shut down.
    #[track_caller]
    pub fn run<F: Future>(&self, main: F) -> Result<F::Output, RunError> {
        if is_any_running() {
            return Err(RunError::Nested);
        }
        let event_loop = self.make_loop()?;
        run_on(&event_loop, main, Location::caller())
    }

    /// A [`Runner`] that is told so.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::Config;
    ///
    /// let mut runner = Config::new().ctrl_c(false).runner();
    /// assert_eq!(runner.run(async { 1 })?, 1);
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    pub fn runner(self) -> Runner {
        Runner::with_config(self)
    }

    pub(crate) fn make_loop(&self) -> Result<EventLoop, RunError> {
        let made = match &self.loop_factory {
            Some(factory) => factory(),
            None => EventLoop::new(),
        };
        let event_loop = made.map_err(RunError::Os)?;
        if let Some(enabled) = self.debug {
            event_loop.set_debug(enabled);
        }
        let inner = event_loop.inner();
        inner.grace_periods.replace(self.periods.clone());
        inner.ignores_ctrl_c.set(self.ignores_ctrl_c);
        Ok(event_loop)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("has_loop_factory", &self.loop_factory.is_some())
            .field("debug", &self.debug)
            .field("grace_periods", &self.periods)
            .field("ctrl_c", &!self.ignores_ctrl_c)
            .finish()
    }
}
