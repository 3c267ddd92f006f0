//! Why a blocking wait for a result brought none.

use std::error::Error;
use std::fmt;

use asyncio_coro::CancelledError;

use super::Future;

/// What [`Future::result`] answers when it has no value.
#[non_exhaustive]
pub enum ResultError<T> {
    /// The timeout passed first; the future comes back, so that one can go on waiting or cancel.
    TimedOut(Future<T>),
    /// The future was cancelled, or its promise was dropped without a result.
    Cancelled(CancelledError),
}

impl<T> ResultError<T> {
    /// Whether it was the timeout.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut(_))
    }

    /// Whether the future was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }
}

// By hand: a value that is not there need not be `Debug`.
impl<T> fmt::Debug for ResultError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(_) => f.write_str("TimedOut(..)"),
            Self::Cancelled(cancelled) => f.debug_tuple("Cancelled").field(cancelled).finish(),
        }
    }
}

impl<T> fmt::Display for ResultError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut(_) => "no result within the timeout",
            Self::Cancelled(_) => "the future was cancelled",
        })
    }
}

impl<T> Error for ResultError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::TimedOut(_) => None,
            Self::Cancelled(cancelled) => Some(cancelled),
        }
    }
}
