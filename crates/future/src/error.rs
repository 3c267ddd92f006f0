//! Why a future refused: its state was not the one the call needs.

use std::error::Error;
use std::fmt;

use asyncio_coro::CancelledError;

/// The future was done already; the value that was to be its result comes back.
///
/// asyncio's `InvalidStateError` of `set_result`.
pub struct InvalidStateError<T> {
    value: T,
    cancelled: bool,
}

impl<T> InvalidStateError<T> {
    pub(crate) fn new(value: T, cancelled: bool) -> Self {
        Self { value, cancelled }
    }

    /// Whether the future had been cancelled; otherwise it had a result.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// Gives back the value that was refused.
    pub fn into_inner(self) -> T {
        self.value
    }
}

// By hand: the value need not be `Debug`, and would only be noise.
impl<T> fmt::Debug for InvalidStateError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvalidStateError")
            .field("cancelled", &self.cancelled)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for InvalidStateError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.cancelled {
            true => "the future was cancelled already",
            false => "the future has a result already",
        })
    }
}

impl<T> Error for InvalidStateError<T> {}

/// Why a [`Future`](crate::Future) has no result to give now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResultError {
    /// It is not done yet: asyncio's `InvalidStateError` of `result()`.
    Pending,
    /// It was cancelled.
    Cancelled(CancelledError),
    /// It had a result, and [`take_result`](crate::Future::take_result) has taken it.
    Taken,
    /// `take_result` was called from inside a `with_result` or a `clone` of this very result.
    Borrowed,
}

impl fmt::Display for ResultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "the result is not set yet",
            Self::Cancelled(_) => "the future was cancelled",
            Self::Taken => "the result was taken already",
            Self::Borrowed => "the result is being looked at",
        })
    }
}

impl Error for ResultError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Cancelled(cancelled) => Some(cancelled),
            _ => None,
        }
    }
}
