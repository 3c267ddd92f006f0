//! `Runner`: several runs on one loop, and one end.

use std::fmt;
use std::future::Future;
use std::panic::Location;

use asyncio_coro::context::Captured;
use asyncio_coro::{Context, copy_context};

use crate::config::Config;
use crate::event_loop::EventLoop;
use crate::run::{RunError, run_watched};
use crate::running::is_any_running;
use crate::shutdown::{ShutdownReport, shut_down_and_close};

/// Runs several futures one after the other on one loop. Between two runs the loop's tasks stand still; they go on with
/// the next run.
///
/// The loop is made when it is first needed. [`close`](Self::close) ends it as [`run`](crate::run()) ends its own: tasks
/// are cancelled and may clean up, and what does not end is abandoned and reported. Dropping the runner closes it, too.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{RunError, Runner};
///
/// let mut runner = Runner::new();
/// assert_eq!(runner.run(async { 1 })?, 1);
/// let event_loop = runner.get_loop()?;
/// event_loop.call_soon(|| println!("in the second run"));
/// assert_eq!(runner.run(async { 2 })?, 2);
/// assert!(runner.close().is_clean());
/// assert!(event_loop.is_closed());
/// assert!(matches!(runner.run(async {}), Err(RunError::Closed)));
/// # Ok::<(), RunError>(())
/// ```
#[must_use = "it does nothing until it runs something"]
pub struct Runner {
    config: Config,
    stage: Stage,
    /// What the futures run in; a copy of the context in which the loop was made.
    context: Option<Context>,
    /// A run ended by Ctrl-C: whoever pressed it waits for the end.
    is_interrupted: bool,
}

/// A runner's life, in this order.
enum Stage {
    /// Nothing needed the loop yet.
    Unused,
    Open(EventLoop),
    Closed,
}

impl Runner {
    /// A runner that runs as [`run`](crate::run()) does. [`Config::runner`] is for others.
    pub fn new() -> Self {
        Self::with_config(Config::new())
    }

    pub(crate) fn with_config(config: Config) -> Self {
        Self { config, stage: Stage::Unused, context: None, is_interrupted: false }
    }

    /// Runs `main` to its end, as [`run`](crate::run()) does, but leaves the loop and what runs on it for the next run.
    ///
    /// All runs share one context: what one sets in a [`ContextVar`](asyncio_coro::ContextVar) the next one sees. It
    /// begins as a copy of the one in which the runner was first used.
    ///
    /// # Errors
    ///
    /// - [`Closed`](RunError::Closed): the runner is closed, or its loop is; `main` is dropped unpolled.
    /// - [`Interrupted`](RunError::Interrupted): `main` was cancelled by Ctrl-C and has unwound, or Ctrl-C came as it
    ///   ended. The runner can be used again.
    /// - The others as of [`run`](crate::run()).
    ///
    /// # Panics
    ///
    /// When `main` panicked, with the same payload. The runner can be used again.
    #[track_caller]
    pub fn run<F: Future>(&mut self, main: F) -> Result<F::Output, RunError> {
        let context = self.context.get_or_insert_with(copy_context).clone();
        self.run_in_context(&context, main)
    }

    /// As [`run`](Self::run), in this context instead of the runner's.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_coro::{Context, ContextVar};
    /// use asyncio_loop::Runner;
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// let (mut runner, context) = (Runner::new(), Context::new());
    /// runner.run_in_context(&context, async { USER.set("ada") })?;
    /// assert_eq!(context.get(&USER), Some("ada"));
    /// assert_eq!(runner.run(async { USER.get() })?, None);
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    #[track_caller]
    pub fn run_in_context<F: Future>(
        &mut self,
        context: &Context,
        main: F,
    ) -> Result<F::Output, RunError> {
        if is_any_running() {
            return Err(RunError::Nested);
        }
        let event_loop = self.get_loop()?;
        let context = Captured::from(context.clone());
        let result = run_watched(&event_loop, main, Location::caller(), context);
        self.is_interrupted |= matches!(result, Err(RunError::Interrupted(_)));
        result
    }

    /// The loop, made now if it was not needed before.
    ///
    /// # Errors
    ///
    /// - [`Closed`](RunError::Closed): the runner is closed.
    /// - [`Os`](RunError::Os): the loop could not be made.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::Runner;
    ///
    /// let mut runner = Runner::new();
    /// assert!(!runner.get_loop()?.is_running());
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    pub fn get_loop(&mut self) -> Result<EventLoop, RunError> {
        match &self.stage {
            Stage::Open(event_loop) => Ok(event_loop.clone()),
            Stage::Closed => Err(RunError::Closed),
            Stage::Unused => {
                let event_loop = self.config.make_loop()?;
                self.stage = Stage::Open(event_loop.clone());
                Ok(event_loop)
            }
        }
    }

    /// Ends what is left on the loop and closes it: as the end of [`run`](crate::run()). Idempotent; a runner that was
    /// never used has nothing to end.
    ///
    /// A Ctrl-C meanwhile ends the waiting. Inside a running loop nothing can be waited for: everything is dropped then,
    /// and that is reported.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut runner = asyncio_loop::Runner::new();
    /// assert!(runner.close().is_clean());
    /// assert!(runner.get_loop().is_err());
    /// ```
    pub fn close(&mut self) -> ShutdownReport {
        match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Open(event_loop) => shut_down_and_close(&event_loop, self.is_interrupted),
            Stage::Unused | Stage::Closed => ShutdownReport::default(),
        }
    }
}

impl Default for Runner {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // What there is to tell was reported.
        self.close();
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Unused => "unused",
            Stage::Open(_) => "open",
            Stage::Closed => "closed",
        };
        f.debug_struct("Runner").field("stage", &stage).finish_non_exhaustive()
    }
}
