//! The loop's clock: the system's monotonic one, one that the program brings, or a virtual one that tests
//! own.
//!
//! The monotonic clock stands still while the machine is suspended (Linux: `CLOCK_MONOTONIC`, not `CLOCK_BOOTTIME`), as
//! asyncio's does. So a suspended hour is no time at all: nothing is due at once when the machine wakes up, and no
//! timeout fails for a peer that had no chance to answer. What must happen at a time of day has to look at that clock.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use crate::testing::script::{OffScript, Script};

/// A clock for a loop to go by instead of the system's monotonic one: one that also runs while the machine is suspended,
/// one that is adjusted, one that stands still while a simulation does. For
/// [`EventLoop::with_time_source`](crate::EventLoop::with_time_source).
///
/// Tests rather want the clocks of [`testing`](crate::testing), which know when the loop is idle.
pub trait TimeSource {
    /// The time now. It never goes back. Called at least once a tick in which a timer waits.
    fn now(&self) -> Instant;

    /// How long to sleep, by the system's monotonic clock, until this one shows `when`, which it does not do yet. Too
    /// short is fine, the loop then looks again; nothing at all would keep it busy. None if nobody knows: then the loop
    /// sleeps until something wakes it, and whoever moves the clock does, with
    /// [`call_soon_threadsafe`](crate::LoopHandle::call_soon_threadsafe).
    ///
    /// Unless it says otherwise a clock goes as fast as the system's.
    fn until(&self, when: Instant) -> Option<Duration> {
        Some(when.saturating_duration_since(self.now()))
    }
}

/// How a loop tells the time.
pub(crate) enum Clock {
    /// `Instant::now()`.
    Monotonic,
    /// One that somebody gave us.
    Custom(Box<dyn TimeSource>),
    /// Time moves only when it is told to, or jumps when the loop is idle.
    Virtual(VirtualTime),
}

/// The state of a virtual clock. Its instants start at the real time of its creation, so that they mix with others.
#[derive(Debug)]
pub(crate) struct VirtualTime {
    made: Instant,
    now: Cell<Instant>,
    mode: Cell<ClockMode>,
    /// How long, by the system's clock, nothing may happen before that is called a deadlock.
    pub(crate) deadlock_grace: Cell<Duration>,
    /// Since when, by the system's clock, nothing has happened.
    pub(crate) idle_since: Cell<Option<Instant>>,
    pub(crate) script: RefCell<Option<Script>>,
}

/// What a virtual clock does when the loop has nothing to do but to wait for a timer.
///
/// With either, a run in which nothing can happen any more ends as a [`Deadlock`](crate::testing::Deadlock), see
/// [`set_deadlock_grace`](crate::testing::VirtualClock::set_deadlock_grace).
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

/// Long enough for whatever other thread or process a test forgot to hold external work for, and not for ever.
const DEADLOCK_GRACE: Duration = Duration::from_secs(10);

impl Clock {
    pub(crate) fn virtual_clock(mode: ClockMode) -> Self {
        let now = Instant::now();
        Self::Virtual(VirtualTime {
            made: now,
            now: Cell::new(now),
            mode: Cell::new(mode),
            deadlock_grace: Cell::new(DEADLOCK_GRACE),
            idle_since: Cell::default(),
            script: RefCell::default(),
        })
    }

    /// May it stand still?
    pub(crate) fn is_monotonic(&self) -> bool {
        matches!(self, Self::Monotonic)
    }

    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::Monotonic => Instant::now(),
            Self::Custom(source) => source.now(),
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

    pub(crate) fn elapsed(&self) -> Duration {
        self.now.get().saturating_duration_since(self.made)
    }

    /// Shows a timer that was registered to the script, if there is one.
    pub(crate) fn note_timer(&self, when: Instant) {
        if let Some(script) = &mut *self.script.borrow_mut() {
            script.note(when.saturating_duration_since(self.made));
        }
    }

    /// A tick is about to run what is ready, or nothing.
    pub(crate) fn begin_tick(&self, is_idle: bool) {
        if !is_idle {
            self.idle_since.set(None);
        }
    }

    /// Moves as the script says at the end of a tick, if there is one and it is to be `followed`.
    pub(crate) fn end_tick(&self, followed: bool) -> Result<(), OffScript> {
        match &mut *self.script.borrow_mut() {
            Some(script) if followed => self.advance(script.follow()?),
            Some(script) => script.look_away(),
            None => {}
        }
        Ok(())
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
