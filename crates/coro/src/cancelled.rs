//! `CancelledError`: the value that says "this was cancelled".

use std::error::Error;
use std::fmt;

/// Says that an operation ended because it was cancelled.
///
/// Cancelling unwinds a task by dropping its futures from the inside out, so this value appears only where somebody asked
/// for it: [`catch_cancel`](crate::catch_cancel), [`CancelScope::run`](crate::CancelScope::run), and the results of tasks
/// and futures in the tiers above. No other error type of the tower has a variant for it.
///
/// ```
/// use asyncio_coro::CancelledError;
/// assert_eq!(CancelledError::__new().to_string(), "cancelled");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct CancelledError;

impl CancelledError {
    /// Makes one. For the tiers above, which turn a cancelled task or future into a value.
    #[doc(hidden)]
    #[must_use]
    pub const fn __new() -> Self {
        CancelledError
    }
}

impl fmt::Display for CancelledError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cancelled")
    }
}

impl Error for CancelledError {}
