//! The side of a [`Promise`](super::Promise) that waits for the result.

use std::fmt;
use std::future;
use std::panic;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use asyncio_coro::CancelledError;
use event_listener::{EventListener, Listener};

use super::error::ResultError;
use super::shared::{Completion, Outcome, Shared};

/// A result that another thread will give; from [`promise`](super::promise).
///
/// `Send + Sync` if `T: Send`. The result is taken once: by [`result`](Self::result), which
/// blocks, or by `.await` on any runtime. Dropping the future forgets the result and cancels
/// nothing.
///
/// # Cancel safety
///
/// Awaiting `&mut future` and dropping that await loses nothing. Awaiting the future itself moves
/// it in: dropped with the await, it forgets the result.
///
/// # Panics
///
/// When it is polled again after it has given its result.
#[must_use = "dropping it forgets the result"]
pub struct Future<T> {
    shared: Arc<Shared<T>>,
    /// Between a poll that was pending and the one that is ready.
    listener: Option<EventListener>,
}

impl<T> Future<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self { shared, listener: None }
    }

    /// Blocks this thread until the result is there, at most for `timeout` of real time.
    ///
    /// Not for a thread that runs an event loop, which would stand still: `.await` there.
    ///
    /// # Errors
    ///
    /// - [`ResultError::TimedOut`] gives the future back; nothing was cancelled.
    /// - [`ResultError::Cancelled`]: it was cancelled, or its promise dropped.
    ///
    /// # Panics
    ///
    /// With the payload of whoever computed the result and panicked.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use asyncio_future::concurrent::{self, ResultError};
    ///
    /// let (promise, future) = concurrent::promise();
    /// let Err(ResultError::TimedOut(future)) = future.result(Some(Duration::ZERO)) else { panic!() };
    /// promise.set_result(1).unwrap();
    /// assert_eq!(future.result(None).unwrap(), 1);
    /// ```
    pub fn result(self, timeout: Option<Duration>) -> Result<T, ResultError<T>> {
        self.wait(timeout);
        match self.shared.take() {
            None => Err(ResultError::TimedOut(self)),
            Some(outcome) => outcome.into_result().map_err(ResultError::Cancelled),
        }
    }

    /// Blocks this thread until the future is done, at most for `timeout` of real time, and says
    /// whether it is. Any number of threads may wait.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// let (promise, future) = asyncio_future::concurrent::promise();
    /// assert!(!future.wait(Some(Duration::ZERO)));
    /// promise.set_result(()).unwrap();
    /// assert!(future.wait(None));
    /// ```
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        // A timeout beyond the end of the clock is none.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let Some(listener) = self.shared.listen_unless_done() else { return true };
        match deadline {
            None => listener.wait(),
            Some(deadline) => {
                listener.wait_deadline(deadline);
            }
        }
        self.shared.left();
        self.done()
    }

    /// Cancels it unless work on it has begun: `true` if it is cancelled now.
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, future) = asyncio_future::concurrent::promise::<()>();
    /// assert!(future.cancel() && future.cancel());
    /// assert!(!promise.set_running_or_notify_cancel());
    /// ```
    pub fn cancel(&self) -> bool {
        self.shared.cancel()
    }

    /// Whether it has a result or was cancelled.
    pub fn done(&self) -> bool {
        self.shared.completion().is_some()
    }

    /// Whether it was cancelled, or its promise dropped.
    pub fn cancelled(&self) -> bool {
        self.shared.is_cancelled()
    }

    /// Whether work on it has begun and not ended.
    pub fn running(&self) -> bool {
        self.shared.is_running()
    }

    /// Calls `callback` when it is done: on the thread that completes it, in registration order;
    /// at once, here, when it is done already. A panic of one callback concerns no other.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use asyncio_future::concurrent::{self, Completion};
    ///
    /// let (promise, future) = concurrent::promise();
    /// let (tx, rx) = mpsc::channel();
    /// future.add_done_callback(move |how| tx.send(how).unwrap());
    /// promise.set_result("done").unwrap();
    /// assert_eq!(rx.recv().unwrap(), Completion::Finished);
    /// ```
    pub fn add_done_callback(&self, callback: impl FnOnce(Completion) + Send + 'static) {
        self.shared.add_callback(Box::new(callback));
    }

    fn leave(&mut self) {
        if self.listener.take().is_some() {
            self.shared.left();
        }
    }
}

impl<T> future::Future for Future<T> {
    type Output = Result<T, CancelledError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            if let Some(listener) = &mut self.listener {
                if Pin::new(listener).poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.leave();
            }
            match self.shared.take_or_listen() {
                Ok(outcome) => return Poll::Ready(outcome.into_result()),
                Err(listener) => self.listener = Some(listener),
            }
        }
    }
}

impl<T> Drop for Future<T> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<concurrent::Future {:?}>", self.shared)
    }
}

impl<T> Outcome<T> {
    fn into_result(self) -> Result<T, CancelledError> {
        match self {
            Self::Finished(value) => Ok(value),
            Self::Panicked(payload) => panic::resume_unwind(payload),
            Self::Cancelled => Err(CancelledError::__new()),
        }
    }
}
