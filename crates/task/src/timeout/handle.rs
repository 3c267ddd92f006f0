//! `Timeout`: a timeout that can be asked and moved while its body runs.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use asyncio_coro::CancelScope;
use asyncio_loop::get_running_loop;

use crate::timeout::TimeoutError;

/// A timeout that can be asked and moved while its body runs, by the body or by whoever has a clone of the handle.
///
/// Made by [`scope`](Self::scope) and [`scope_at`](Self::scope_at). A timeout that nobody moves is better made by
/// [`timeout`](crate::timeout()), which allocates nothing.
///
/// ```
/// use asyncio_task::{Timeout, sleep};
/// use std::time::Duration;
///
/// // Give up after five silent seconds, not after five seconds.
/// asyncio_loop::testing::run(async {
///     let event_loop = asyncio_loop::get_running_loop().unwrap();
///     let patience = Duration::from_secs(5);
///     let heard = Timeout::scope(patience, async |limit| {
///         for _heartbeat in 0..3 {
///             sleep(Duration::from_secs(4)).await;
///             limit.reschedule(event_loop.time() + patience).unwrap();
///         }
///         sleep(Duration::from_secs(60)).await;
///     });
///     let start = event_loop.time();
///     assert!(heard.await.is_err());
///     assert_eq!(event_loop.time() - start, Duration::from_secs(3 * 4 + 5));
/// }).unwrap();
/// ```
#[derive(Clone)]
pub struct Timeout {
    scope: CancelScope,
    has_ended: Rc<Cell<bool>>,
}

impl Timeout {
    /// Runs `body`, for at most `delay` from the first poll (`None`: for ever, until somebody [moves](Self::reschedule)
    /// the deadline); otherwise as [`timeout`](crate::timeout()).
    ///
    /// `body` is handed the timeout, and may give clones of it away.
    ///
    /// # Errors
    ///
    /// [`TimeoutError`]: the time was up, and the body has been unwound.
    ///
    /// # Panics
    ///
    /// Panics when it is polled and no loop is running.
    ///
    /// # Cancel safety
    ///
    /// Cancelling unwinds the body; nothing else is lost.
    pub async fn scope<R>(
        delay: impl Into<Option<Duration>>,
        body: impl AsyncFnOnce(&Self) -> R,
    ) -> Result<R, TimeoutError> {
        // A deadline that the clock cannot show is none.
        let when = delay.into().and_then(|delay| now().checked_add(delay));
        Self::scope_at(when, body).await
    }

    /// Runs `body` until `when` at the latest, on the loop's clock (`None`: for ever); otherwise as
    /// [`scope`](Self::scope).
    ///
    /// # Errors
    ///
    /// [`TimeoutError`]: the time was up, and the body has been unwound.
    ///
    /// # Panics
    ///
    /// Panics when the body has to wait and no loop is running, unless there is no deadline.
    ///
    /// # Cancel safety
    ///
    /// As of [`scope`](Self::scope).
    ///
    /// ```
    /// use asyncio_task::{Timeout, sleep};
    /// use std::time::Duration;
    ///
    /// asyncio_loop::testing::run(async {
    ///     let when = asyncio_loop::get_running_loop().unwrap().time() + Duration::from_secs(1);
    ///     let timed = Timeout::scope_at(when, async |limit| {
    ///         assert_eq!((limit.when(), limit.expired()), (Some(when), false));
    ///         sleep(Duration::from_secs(2)).await;
    ///     });
    ///     assert!(timed.await.is_err());
    /// }).unwrap();
    /// ```
    pub async fn scope_at<R>(
        when: impl Into<Option<Instant>>,
        body: impl AsyncFnOnce(&Self) -> R,
    ) -> Result<R, TimeoutError> {
        let limit = Self { scope: CancelScope::new(), has_ended: Rc::default() };
        limit.scope.set_deadline(when.into());
        let _end = End(&limit);
        limit.scope.run(body(&limit)).await.map_err(|_cancelled| TimeoutError(()))
    }

    /// When the body is cancelled, on the loop's clock; `None` when it is not.
    #[must_use]
    pub fn when(&self) -> Option<Instant> {
        self.scope.deadline()
    }

    /// Whether the time was up while the body ran: true also while the body unwinds for it, and after a body that has
    /// returned a value all the same.
    #[must_use]
    pub fn expired(&self) -> bool {
        self.scope.cancel_called()
    }

    /// Moves the deadline to `when`, on the loop's clock (`None`: takes it away). A time that has passed cancels the body
    /// at its next suspension.
    ///
    /// # Errors
    ///
    /// [`RescheduleError`]: it is too late.
    ///
    /// - The time is up, and the body unwinds, or has unwound.
    /// - The body has ended in time.
    pub fn reschedule(&self, when: impl Into<Option<Instant>>) -> Result<(), RescheduleError> {
        match self.state() {
            State::Active => {
                self.scope.set_deadline(when.into());
                Ok(())
            }
            state => Err(RescheduleError { state }),
        }
    }

    fn state(&self) -> State {
        match (self.expired(), self.has_ended.get()) {
            (false, false) => State::Active,
            (true, false) => State::Expiring,
            (true, true) => State::Expired,
            (false, true) => State::Finished,
        }
    }
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        write!(f, "<Timeout [{state}]")?;
        if state == State::Active {
            match self.when().zip(get_running_loop().ok()) {
                None if self.when().is_none() => f.write_str(" when=None")?,
                None => {}
                Some((when, event_loop)) => match when.checked_duration_since(event_loop.time()) {
                    Some(left) => write!(f, " when=+{:.3}s", left.as_secs_f64())?,
                    None => f.write_str(" when=now")?,
                },
            }
        }
        f.write_str(">")
    }
}

/// Too late to move the deadline of a [`Timeout`]: its time was up, or its body has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RescheduleError {
    state: State,
}

impl fmt::Display for RescheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot move the deadline of a timeout that is {}", self.state)
    }
}

impl Error for RescheduleError {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Active,
    Expiring,
    Expired,
    Finished,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Active => "active",
            State::Expiring => "expiring",
            State::Expired => "expired",
            State::Finished => "finished",
        })
    }
}

/// However the body ends, also with a panic or because it was dropped: it has ended.
struct End<'a>(&'a Timeout);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.has_ended.set(true);
    }
}

#[track_caller]
fn now() -> Instant {
    match get_running_loop() {
        Ok(event_loop) => event_loop.time(),
        Err(error) => panic!("timeout: {error}"),
    }
}
