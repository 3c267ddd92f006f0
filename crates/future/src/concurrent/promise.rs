//! The side of a [`Future`](super::Future) that computes the result.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::shared::{Completion, Phase, Shared};
use crate::error::InvalidStateError;

/// The duty to give a [`Future`](super::Future) its result; from [`promise`](super::promise).
///
/// `Send + Sync` if `T: Send`. A promise dropped without a result cancels its future, so that
/// nobody waits for what cannot come.
pub struct Promise<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Promise<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self { shared }
    }

    /// Gives the future its result: wakes who waits, then runs the done callbacks, here.
    ///
    /// # Errors
    ///
    /// The value, if the future was cancelled meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, future) = asyncio_future::concurrent::promise();
    /// assert!(future.cancel());
    /// assert_eq!(promise.set_result("late").unwrap_err().into_inner(), "late");
    /// ```
    pub fn set_result(self, value: T) -> Result<(), InvalidStateError<T>> {
        match self.shared.complete(Phase::Finished(value)) {
            Ok(()) => Ok(()),
            Err(Phase::Finished(value)) => Err(InvalidStateError::new(value, true)),
            Err(_) => unreachable!("`complete` hands back what it was given"),
        }
    }

    /// Lets the panic go on in whoever takes the result: asyncio's `set_exception`, for panics. If
    /// nobody ever does, it is reported when both sides are gone: to the exception handler of the
    /// loop that runs there, or to the log.
    ///
    /// # Errors
    ///
    /// The payload, if the future was cancelled meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::panic::{AssertUnwindSafe, catch_unwind};
    ///
    /// let (promise, future) = asyncio_future::concurrent::promise::<()>();
    /// promise.set_panic(Box::new("broken")).unwrap();
    /// let payload = catch_unwind(AssertUnwindSafe(|| future.result(None))).unwrap_err();
    /// assert_eq!(*payload.downcast::<&str>().unwrap(), "broken");
    /// ```
    pub fn set_panic(
        self,
        payload: Box<dyn Any + Send>,
    ) -> Result<(), InvalidStateError<Box<dyn Any + Send>>> {
        match self.shared.complete(Phase::Panicked(payload)) {
            Ok(()) => Ok(()),
            Err(Phase::Panicked(payload)) => Err(InvalidStateError::new(payload, true)),
            Err(_) => unreachable!("`complete` hands back what it was given"),
        }
    }

    /// Announces that work begins. `false`: the future was cancelled, so do not begin.
    ///
    /// After `true` the future can no longer be cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, future) = asyncio_future::concurrent::promise::<()>();
    /// assert!(promise.set_running_or_notify_cancel());
    /// assert!(future.running() && !future.cancel());
    /// ```
    #[must_use = "a cancelled job must not be started"]
    pub fn set_running_or_notify_cancel(&self) -> bool {
        self.shared.start()
    }

    /// Whether the future was cancelled, so that nobody will look at a result.
    ///
    /// # Examples
    ///
    /// ```
    /// let (promise, future) = asyncio_future::concurrent::promise::<()>();
    /// assert!(!promise.is_cancelled());
    /// future.cancel();
    /// assert!(promise.is_cancelled());
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.shared.is_cancelled()
    }

    /// Calls `callback` when the future is done, as
    /// [`Future::add_done_callback`](super::Future::add_done_callback) does: so that whoever computes
    /// the result hears that it is cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use asyncio_future::concurrent::{self, Completion};
    ///
    /// let (promise, future) = concurrent::promise::<()>();
    /// let (stop, is_stopped) = mpsc::channel();
    /// promise.add_done_callback(move |how| stop.send(how).unwrap());
    /// future.cancel();
    /// assert_eq!(is_stopped.recv().unwrap(), Completion::Cancelled);
    /// ```
    pub fn add_done_callback(&self, callback: impl FnOnce(Completion) + Send + 'static) {
        self.shared.add_callback(Box::new(callback));
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        // Refused after `set_result`, and when it is cancelled already: then there is nothing to do.
        drop(self.shared.complete(Phase::Cancelled));
    }
}

impl<T> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Promise {:?}>", self.shared)
    }
}
