//! Futures that fail: `set_exception`, `exception`, and the report of an exception that nobody retrieves.
//!
//! An error is a value in Rust, and of a `Future<T>` nobody can say on stable Rust whether its `T` may be one. But whoever
//! calls `set_exception` has said so. That is the one place where the report is armed, as it is in asyncio.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

use asyncio_loop::ExceptionContext;

use crate::error::{InvalidStateError, ResultError};
use crate::future::{Future, Inner, Phase};
use crate::report;

/// Gets the exception out of a result.
pub(crate) type ErrorOf<T> = fn(T) -> Option<Box<dyn Error>>;

impl<V, E> Future<Result<V, E>> {
    /// Sets `Err(error)` as the result, and wants it to be heard of.
    ///
    /// If the last handle on the future is dropped before anybody has retrieved the result (by awaiting it, or by any
    /// of [`result`](Self::result), [`with_result`](Self::with_result), [`take_result`](Self::take_result) and
    /// [`exception`](Self::exception)), the error goes to the exception handler of the loop, once, with the place where
    /// the future was made. [`cancel`](Self::cancel) afterwards takes that back. A plain
    /// [`set_result`](Self::set_result) of an `Err` reports nothing.
    ///
    /// # Errors
    ///
    /// The error, when the future has a result already or was cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_future::Future;
    ///
    /// let future = Future::<Result<u8, &str>>::new();
    /// future.set_exception("no such luck").unwrap();
    /// assert_eq!(future.exception(), Ok(Some("no such luck")));
    /// assert_eq!(future.result(), Ok(Err("no such luck")));
    /// ```
    pub fn set_exception(&self, error: E) -> Result<(), InvalidStateError<E>>
    where
        V: 'static,
        E: Into<Box<dyn Error>> + 'static,
    {
        let armed = !self.done();
        if armed {
            // Before anybody is told: a callback may retrieve it.
            self.inner.unretrieved.set(Some(|result| result.err().map(Into::into)));
        }
        self.set(Err(error), Phase::Failed).map_err(|refused| {
            let cancelled = refused.is_cancelled();
            let Err(error) = refused.into_inner() else { unreachable!("an error was refused") };
            InvalidStateError::new(error, cancelled)
        })
    }

    /// A clone of the error, or `None` if the result is a value.
    ///
    /// # Errors
    ///
    /// As [`result`](Self::result).
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_future::{Future, ResultError};
    ///
    /// let future = Future::<Result<u8, String>>::new();
    /// assert_eq!(future.exception(), Err(ResultError::Pending));
    /// future.set_result(Ok(1)).unwrap();
    /// assert_eq!(future.exception(), Ok(None));
    /// ```
    pub fn exception(&self) -> Result<Option<E>, ResultError>
    where
        E: Clone,
    {
        self.with_result(|result| result.as_ref().err().cloned())
    }
}

/// An exception that nobody has retrieved is reported.
impl<T> Drop for Inner<T> {
    fn drop(&mut self) {
        let Some(error_of) = self.unretrieved.take() else { return };
        let Some(value) = self.value.get_mut().take() else { return };
        // A conversion of the user's; and a destructor must not unwind.
        let error = catch_unwind(AssertUnwindSafe(|| error_of(value)));
        let Ok(Some(error)) = error else { return };
        let context = ExceptionContext::new("future exception was never retrieved")
            .with_site(self.site)
            .with_error(error);
        match &self.event_loop {
            Some(event_loop) => event_loop.call_exception_handler(context),
            None => report::send(context),
        }
    }
}
