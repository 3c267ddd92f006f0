//! The loop's clock: the system's monotonic one, or a virtual one that tests own.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How a loop tells the time.
#[derive(Debug)]
pub(crate) enum Clock {
    /// `Instant::now()`.
    Monotonic,
    /// Time moves only when it is told to, or jumps when the loop is idle.
    Virtual(VirtualTime),
}

/// The state of a virtual clock. Its instants start at the real time of its creation, so that they mix with others.
#[derive(Debug)]
pub(crate) struct VirtualTime {
    now: Cell<Instant>,
    mode: Cell<ClockMode>,
}

/// What a virtual clock does when the loop has nothing to do but to wait for a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockMode {
    /// Time stands still; only [`VirtualClock::advance`](crate::testing::VirtualClock::advance) moves it.
    Frozen,
    /// Time jumps to the next timer as soon as the loop is idle, unless
    /// [external work](crate::EventLoop::external_work) is under way.
    ///
    /// While a descriptor is registered the loop first waits 2 ms of real time for it, so that bytes which the system is
    /// delivering are not overtaken. For a peer in another thread or process, which may take longer, hold external work.
    AutoJump,
}

impl Clock {
    pub(crate) fn virtual_clock(mode: ClockMode) -> Self {
        Self::Virtual(VirtualTime { now: Cell::new(Instant::now()), mode: Cell::new(mode) })
    }

    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::Monotonic => Instant::now(),
            Self::Virtual(time) => time.now.get(),
        }
    }
}

impl VirtualTime {
    pub(crate) fn mode(&self) -> ClockMode {
        self.mode.get()
    }

    pub(crate) fn set_mode(&self, mode: ClockMode) {
        self.mode.set(mode);
    }

    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.now.set(saturating_add(self.now.get(), by));
    }

    /// Moves to `when`; never backwards.
    pub(crate) fn jump_to(&self, when: Instant) {
        self.now.set(self.now.get().max(when));
    }
}

/// `when + by`, or some 100 years later where the sum cannot be represented: both mean never.
pub(crate) fn saturating_add(when: Instant, by: Duration) -> Instant {
    const FAR_FUTURE: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    when.checked_add(by).or_else(|| when.checked_add(FAR_FUTURE)).unwrap_or(when)
}
