//! `CancelledError`: the value that says "this was cancelled".

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Says that an operation ended because it was cancelled.
///
/// Cancelling unwinds a task by dropping its futures from the inside out, so this value appears only where somebody asked
/// for it: [`catch_cancel`](crate::catch_cancel), [`CancelScope::run`](crate::CancelScope::run), and the results of tasks
/// and futures in the tiers above. No other error type of the tower has a variant for it.
///
/// ```
/// use asyncio_coro::CancelledError;
/// let error = CancelledError::__new();
/// assert_eq!((error.to_string().as_str(), error.message()), ("cancelled", None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CancelledError {
    message: Option<Arc<str>>,
}

impl CancelledError {
    /// Makes one. For the tiers above, which turn a cancelled task or future into a value.
    #[doc(hidden)]
    #[must_use]
    pub const fn __new() -> Self {
        CancelledError { message: None }
    }

    /// Makes one that says what the request said.
    #[doc(hidden)]
    #[must_use]
    pub const fn __with_message(message: Option<Arc<str>>) -> Self {
        CancelledError { message }
    }

    /// What whoever asked for it had to say; see [`TaskRef::cancel_with`](crate::task::TaskRef::cancel_with).
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

impl fmt::Display for CancelledError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            None => f.write_str("cancelled"),
            Some(message) => write!(f, "cancelled: {message}"),
        }
    }
}

impl Error for CancelledError {}
