//! `Interval`: a clock that ticks.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use asyncio_coro::Stream;
use asyncio_loop::{EventLoop, get_running_loop};

use crate::sleep::{Sleep, sleep, sleep_until};

/// Ticks every `period`, on the loop's clock; the first tick comes at the first poll.
///
/// What takes a while between two ticks does not push the later ones back: they are due at multiples of `period` after
/// the first. What happens when it takes longer than `period` is said by [`MissedTickBehavior`].
///
/// A `period` of zero ticks once in every turn of the loop.
///
/// ```
/// use asyncio_task::{interval, sleep};
/// use std::time::Duration;
///
/// asyncio_loop::testing::run(async {
///     let event_loop = asyncio_loop::get_running_loop().unwrap();
///     let start = event_loop.time();
///     let mut clock = interval(Duration::from_secs(10));
///     for n in 0..4 {
///         let due = clock.tick().await;
///         assert_eq!(due, start + n * Duration::from_secs(10));
///         sleep(Duration::from_secs(3)).await; // some work
///     }
/// }).unwrap();
/// ```
pub fn interval(period: Duration) -> Interval {
    Interval::new(None, period)
}

/// Ticks at `start`, on the loop's clock, and every `period` after it; otherwise as [`interval`].
///
/// ```
/// use asyncio_task::interval_at;
/// use std::time::Duration;
///
/// asyncio_loop::testing::run(async {
///     let soon = asyncio_loop::get_running_loop().unwrap().time() + Duration::from_secs(1);
///     let mut clock = interval_at(soon, Duration::from_secs(10));
///     assert_eq!(clock.tick().await, soon);
///     assert_eq!(clock.tick().await, soon + Duration::from_secs(10));
/// }).unwrap();
/// ```
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    Interval::new(Some(start), period)
}

/// What an [`Interval`] does about ticks that were due while nobody asked for them.
///
/// With a period of 10, and work that takes from 1 to 35:
///
/// | | ticks are given at | and next at |
/// |---|---|---|
/// | `Burst` | 0, then 35, 35, 35 (those of 10, 20 and 30) | 40, 50, … |
/// | `Delay` | 0, then 35 | 45, 55, … |
/// | `Skip` | 0, then 35 | 40, 50, … |
#[doc(alias = "MissedTickPolicy")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MissedTickBehavior {
    /// Gives each of them, one after the other without waiting: the number of ticks is right.
    #[default]
    Burst,
    /// Gives one, and counts from it: at least a period lies between two ticks.
    Delay,
    /// Gives one, and goes on with the next multiple of the period after the first tick: the ticks stay in step.
    Skip,
}

/// A clock that ticks, made by [`interval`] and [`interval_at`]. Also a [`Stream`] of ticks, which never ends.
#[derive(Debug)]
#[must_use = "it ticks only for those who wait for it"]
pub struct Interval {
    period: Duration,
    missed: MissedTickBehavior,
    due: Due,
    /// Waits for the tick that is due, if somebody has asked for it before its time.
    waiting: Option<Sleep>,
}

/// When the next tick is due.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// At the first poll.
    AtOnce,
    At(Instant),
    /// In the next turn of the loop, whatever time it is then.
    NextTurn,
    /// The clock cannot show that time.
    Never,
}

impl Interval {
    fn new(start: Option<Instant>, period: Duration) -> Self {
        let due = start.map_or(Due::AtOnce, Due::At);
        Self { period, missed: MissedTickBehavior::default(), due, waiting: None }
    }

    /// Waits for the next tick, and gives the time when it was due.
    ///
    /// # Panics
    ///
    /// Panics when it is polled and no loop is running.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the tick is given to who asks next.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Waits for the next tick, as [`tick`](Self::tick), for futures written by hand.
    ///
    /// # Panics
    ///
    /// Panics when no loop is running.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        let event_loop = running();
        let now = event_loop.time();
        let due = match self.due {
            Due::AtOnce => now,
            Due::At(when) => {
                ready!(self.wait(now, when, cx));
                when
            }
            Due::NextTurn => {
                let turn = self.waiting.get_or_insert_with(|| sleep(Duration::ZERO));
                ready!(Pin::new(turn).poll(cx));
                now
            }
            Due::Never => return Poll::Pending,
        };
        self.waiting = None;
        self.due = self.next(due, event_loop.time());
        Poll::Ready(due)
    }

    /// Until `when`; a time that has come needs no wait.
    fn wait(&mut self, now: Instant, when: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if now >= when {
            return Poll::Ready(());
        }
        Pin::new(self.waiting.get_or_insert_with(|| sleep_until(when))).poll(cx)
    }

    /// When the tick after the one that was `due`, and is given `now`, is due itself.
    fn next(&self, due: Instant, now: Instant) -> Due {
        if self.period.is_zero() {
            return Due::NextTurn;
        }
        let in_step = due.checked_add(self.period);
        let next = match self.missed {
            _ if in_step.is_none_or(|next| next > now) => in_step,
            MissedTickBehavior::Burst => in_step,
            MissedTickBehavior::Delay => now.checked_add(self.period),
            MissedTickBehavior::Skip => {
                now.checked_add(self.period - remainder(now.duration_since(due), self.period))
            }
        };
        next.map_or(Due::Never, Due::At)
    }

    /// The time between two ticks.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// What it does about missed ticks: [`MissedTickBehavior::Burst`] unless it was told otherwise.
    #[must_use]
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed
    }

    /// Says what it does about missed ticks.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed = behavior;
    }

    /// Counts anew: the next tick comes a period after now.
    ///
    /// # Panics
    ///
    /// Panics when no loop is running.
    ///
    /// ```
    /// use asyncio_task::{interval, sleep};
    /// use std::time::Duration;
    ///
    /// asyncio_loop::testing::run(async {
    ///     let event_loop = asyncio_loop::get_running_loop().unwrap();
    ///     let mut clock = interval(Duration::from_secs(10));
    ///     let first = clock.tick().await;
    ///     sleep(Duration::from_secs(7)).await;
    ///     clock.reset();
    ///     assert_eq!(clock.tick().await, first + Duration::from_secs(17));
    /// }).unwrap();
    /// ```
    pub fn reset(&mut self) {
        self.reset_after(self.period);
    }

    /// Counts anew: the next tick comes at the next poll.
    pub fn reset_immediately(&mut self) {
        self.be_due(Due::AtOnce);
    }

    /// Counts anew: the next tick comes `delay` after now.
    ///
    /// # Panics
    ///
    /// Panics when no loop is running.
    pub fn reset_after(&mut self, delay: Duration) {
        self.be_due(running().time().checked_add(delay).map_or(Due::Never, Due::At));
    }

    /// Counts anew: the next tick comes at `when`.
    pub fn reset_at(&mut self, when: Instant) {
        self.be_due(Due::At(when));
    }

    fn be_due(&mut self, due: Due) {
        self.due = due;
        self.waiting = None;
    }
}

impl Stream for Interval {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.poll_tick(cx).map(Some)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}

/// What is left of `time` beside the whole periods in it.
fn remainder(time: Duration, period: Duration) -> Duration {
    const NANOS: u128 = 1_000_000_000;
    let nanos = time.as_nanos() % period.as_nanos();
    // Less than `period`, so the seconds fit, and less than a second's nanoseconds are left.
    Duration::new((nanos / NANOS) as u64, (nanos % NANOS) as u32)
}

#[track_caller]
fn running() -> EventLoop {
    match get_running_loop() {
        Ok(event_loop) => event_loop,
        Err(error) => panic!("interval: {error}"),
    }
}
