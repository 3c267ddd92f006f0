//! When a writer has to pause, and when it may go on.

use std::cell::Cell;
use std::error::Error;
use std::fmt;

/// The water marks of a write buffer, in bytes.
///
/// Above `high` the protocol is told to pause, at `low` or less to resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteBufferLimits {
    /// At or below this many buffered bytes a paused protocol resumes.
    pub low: usize,
    /// Above this many buffered bytes the protocol is paused.
    pub high: usize,
}

impl WriteBufferLimits {
    /// Fills in what is not given, as asyncio does: `high` defaults to 64 KiB, or to four times
    /// `low` when only that is given; `low` defaults to a quarter of `high`.
    ///
    /// # Errors
    ///
    /// [`InvalidLimits`] when `low` is greater than `high`.
    ///
    /// ```
    /// use asyncio_transport::WriteBufferLimits;
    ///
    /// let limits = WriteBufferLimits::new(None, Some(100)).unwrap();
    /// assert_eq!((limits.low, limits.high), (100, 400));
    /// assert!(WriteBufferLimits::new(Some(1), Some(2)).is_err());
    /// ```
    pub fn new(high: Option<usize>, low: Option<usize>) -> Result<Self, InvalidLimits> {
        let high = high.unwrap_or_else(|| low.map_or(HIGH_WATER, |low| low.saturating_mul(4)));
        let low = low.unwrap_or(high / 4);
        if low > high { Err(InvalidLimits { low, high }) } else { Ok(Self { low, high }) }
    }
}

impl Default for WriteBufferLimits {
    fn default() -> Self {
        Self { low: HIGH_WATER / 4, high: HIGH_WATER }
    }
}

/// The low-water mark would be above the high-water mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidLimits {
    low: usize,
    high: usize,
}

impl fmt::Display for InvalidLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { low, high } = self;
        write!(f, "high-water mark {high} is below low-water mark {low}")
    }
}

impl Error for InvalidLimits {}

/// The marks of one transport and whether its protocol is paused.
#[derive(Debug, Default)]
pub(crate) struct FlowControl {
    limits: Cell<WriteBufferLimits>,
    paused: Cell<bool>,
}

impl FlowControl {
    pub(crate) fn limits(&self) -> WriteBufferLimits {
        self.limits.get()
    }

    pub(crate) fn set_limits(&self, limits: WriteBufferLimits) {
        self.limits.set(limits);
    }

    /// True when the protocol has to be told to pause; it counts as told from now on.
    #[must_use]
    pub(crate) fn pauses_at(&self, buffered: usize) -> bool {
        buffered > self.limits.get().high && !self.paused.replace(true)
    }

    /// True when the protocol has to be told to resume; it counts as told from now on.
    #[must_use]
    pub(crate) fn resumes_at(&self, buffered: usize) -> bool {
        buffered <= self.limits.get().low && self.paused.replace(false)
    }
}

/// asyncio's default, in bytes.
const HIGH_WATER: usize = 64 * 1024;
