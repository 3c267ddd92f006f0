//! `timeout`: a bound on how long a future may take.

mod handle;

use std::error::Error;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use asyncio_coro::scope::{Deadline, DeadlineScope, deadline_scope};
use pin_project_lite::pin_project;

pub use self::handle::{RescheduleError, Timeout};

/// Runs `body`, for at most `delay` (`None`: for ever); a body that takes longer is unwound, with its cleanup, before
/// the error is given.
///
/// `delay` is measured on the loop's clock and counts from the moment the body first has to wait: a body that is ready at
/// its first poll costs neither a look at the clock nor a timer, and ends before any timeout, also one of zero. A
/// cleanup may take the whole longer than `delay`. When the body returns a value while it is being unwound, that value
/// is given; when the task itself is cancelled too, that wins, and there is no `TimeoutError`.
///
/// # Errors
///
/// [`TimeoutError`]: the time was up, and the body has been unwound.
///
/// # Panics
///
/// Panics when the body has to wait and no loop is running.
///
/// # Cancel safety
///
/// Cancelling unwinds the body; nothing else is lost. Awaiting a task in it hands the request down to that task.
///
/// [`Timeout::scope`] has a handle with which the deadline can be moved while the body runs.
///
/// # Examples
///
/// ```
/// use asyncio_task::{sleep, timeout};
/// use std::time::Duration;
///
/// asyncio_loop::testing::run(async {
///     let second = Duration::from_secs(1);
///     assert_eq!(timeout(2 * second, async { sleep(second).await; "made it" }).await, Ok("made it"));
///     assert!(timeout(second, sleep(2 * second)).await.is_err());
///     assert!(timeout(None, sleep(2 * second)).await.is_ok());
/// }).unwrap();
/// ```
pub fn timeout<F: IntoFuture>(delay: impl Into<Option<Duration>>, body: F) -> Timed<F::IntoFuture> {
    Timed::new(delay.into().map_or(Deadline::Never, Deadline::After), body.into_future())
}

/// Runs `body` until `when` at the latest, on the loop's clock (`None`: for ever); otherwise as [`timeout`].
///
/// # Errors
///
/// [`TimeoutError`]: the time was up, and the body has been unwound.
///
/// # Cancel safety
///
/// As of [`timeout`].
///
/// # Examples
///
/// ```
/// use asyncio_task::{sleep, timeout_at};
/// use std::time::Duration;
///
/// asyncio_loop::testing::run(async {
///     let when = asyncio_loop::get_running_loop().unwrap().time() + Duration::from_secs(1);
///     for _ in 0..2 {
///         assert!(timeout_at(when, sleep(Duration::from_secs(5))).await.is_err());
///     }
/// }).unwrap();
/// ```
pub fn timeout_at<F: IntoFuture>(
    when: impl Into<Option<Instant>>,
    body: F,
) -> Timed<F::IntoFuture> {
    Timed::new(when.into().map_or(Deadline::Never, Deadline::At), body.into_future())
}

/// Waits for `future`, for at most `delay` (`None`: for ever): [`timeout`] with asyncio's older name and its order of
/// arguments.
///
/// A [`Task`](crate::Task) that takes too long is cancelled and has ended when the error is given; with a `delay` of zero
/// one that has not begun never does, while a future that is no task is always polled once. Wrap a task in
/// [`shield`](crate::shield) to leave it running.
///
/// # Errors
///
/// [`TimeoutError`]: the time was up, and the future has been unwound.
///
/// # Panics
///
/// As [`timeout`].
///
/// # Cancel safety
///
/// As of [`timeout`]: a task that is awaited is cancelled with it.
///
/// # Examples
///
/// ```
/// use asyncio_task::{create_task, sleep, wait_for};
/// use std::time::Duration;
///
/// asyncio_loop::testing::run(async {
///     let second = Duration::from_secs(1);
///     let quick = create_task(async { 7 });
///     assert_eq!(wait_for(quick, second).await.unwrap().unwrap(), 7);
///     assert!(wait_for(create_task(sleep(60 * second)), second).await.is_err());
/// }).unwrap();
/// ```
pub fn wait_for<F: IntoFuture>(
    future: F,
    delay: impl Into<Option<Duration>>,
) -> Timed<F::IntoFuture> {
    timeout(delay, future)
}

pin_project! {
    /// The future of [`timeout`], [`timeout_at`] and [`wait_for`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timed<F: Future> {
        #[pin]
        scope: DeadlineScope<F>,
    }
}

impl<F: Future> Timed<F> {
    fn new(deadline: Deadline, body: F) -> Self {
        Self { scope: deadline_scope(deadline, body) }
    }
}

impl<F: Future> Future for Timed<F> {
    type Output = Result<F::Output, TimeoutError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().scope.poll(cx).map(|result| result.map_err(|_elapsed| TimeoutError(())))
    }
}

impl<F: Future> fmt::Debug for Timed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timed").finish_non_exhaustive()
    }
}

/// The time given to [`timeout`], [`timeout_at`], [`wait_for`] or [`Timeout::scope`] was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutError(());

impl TimeoutError {
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl Error for TimeoutError {}

impl From<TimeoutError> for io::Error {
    fn from(error: TimeoutError) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, error)
    }
}
