//! A scripted clock: each timer is expected, and says how far time moves.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::time::Duration;

use crate::clock::{Clock, ClockMode};
use crate::event_loop::{EventLoop, Inner};
use crate::run::{RunError, run_on};

/// A loop whose clock follows a script: for each timer that will be registered, in order, its deadline, and how far the
/// clock moves at the end of the tick in which that happens. Both deadlines and moves are counted from the loop's making.
///
/// It is the test loop of CPython's own tests. A timer that the script does not expect ends the run with
/// [`RunError::OffScript`]. The script holds until the main future has ended, not for the shutdown after it.
///
/// # Errors
///
/// As [`EventLoop::new`].
///
/// # Examples
///
/// ```
/// use asyncio_loop::testing::{run_with, scripted_loop};
/// use std::{cell::Cell, rc::Rc, time::Duration};
///
/// let second = Duration::from_secs(1);
/// let (event_loop, script) = scripted_loop([(second * 10, second * 10)])?;
/// let stopper = event_loop.clone();
/// event_loop.call_later(second * 10, move || stopper.stop());
/// event_loop.run_forever()?;
/// assert_eq!(script.elapsed(), second * 10);
/// script.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn scripted_loop(
    steps: impl IntoIterator<Item = (Duration, Duration)>,
) -> io::Result<(EventLoop, ScriptedClock)> {
    let script = Script { steps: steps.into_iter().collect(), noted: Vec::new() };
    let event_loop = EventLoop::with_clock(Clock::virtual_clock(ClockMode::Frozen))?;
    let inner = event_loop.inner();
    if let Clock::Virtual(time) = &inner.clock {
        time.script.replace(Some(script));
    }
    let clock = ScriptedClock { inner: Rc::downgrade(inner) };
    Ok((event_loop, clock))
}

/// Runs `main` on a [`scripted_loop`], and sees to it that the whole script was used.
///
/// # Errors
///
/// As [`run`](crate::run()), and [`OffScript`](RunError::OffScript) when `main` did not keep to the script.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{RunError, testing::run_scripted};
/// use std::time::Duration;
///
/// let second = Duration::from_secs(1);
/// let result = run_scripted([(second, second)], async { "did not sleep" });
/// let Err(RunError::OffScript(problem)) = result else { panic!("it did not keep to the script") };
/// assert_eq!(problem.to_string(), "the script expects a timer for 1s, and none was registered");
/// ```
#[track_caller]
pub fn run_scripted<F: Future>(
    steps: impl IntoIterator<Item = (Duration, Duration)>,
    main: F,
) -> Result<F::Output, RunError> {
    let (event_loop, clock) = scripted_loop(steps).map_err(RunError::Os)?;
    let value = run_on(&event_loop, main, Location::caller())?;
    clock.finish().map_err(RunError::OffScript)?;
    Ok(value)
}

/// The hand on a scripted clock.
#[derive(Clone)]
pub struct ScriptedClock {
    inner: Weak<Inner>,
}

impl ScriptedClock {
    /// How far the clock has moved; zero once the loop is gone.
    pub fn elapsed(&self) -> Duration {
        let inner = self.inner.upgrade();
        inner.map_or(Duration::ZERO, |inner| match &inner.clock {
            Clock::Virtual(time) => time.elapsed(),
            Clock::Monotonic | Clock::Custom(_) => Duration::ZERO,
        })
    }

    /// Says whether the script was used up.
    ///
    /// # Errors
    ///
    /// The next timer that it expects, if it was not.
    pub fn finish(&self) -> Result<(), OffScript> {
        let Some(inner) = self.inner.upgrade() else { return Ok(()) };
        let Clock::Virtual(time) = &inner.clock else { return Ok(()) };
        let next = time.script.borrow().as_ref().and_then(|script| script.steps.front().copied());
        match next {
            Some((expected, _)) => Err(OffScript { expected: Some(expected), found: None }),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ScriptedClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedClock").field("elapsed", &self.elapsed()).finish_non_exhaustive()
    }
}

/// How a program left the script of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffScript {
    expected: Option<Duration>,
    found: Option<Duration>,
}

impl OffScript {
    /// The deadline that the script expected next; none when it was used up.
    pub fn expected(&self) -> Option<Duration> {
        self.expected
    }

    /// The deadline of the timer that was registered; none when the run ended without one.
    pub fn found(&self) -> Option<Duration> {
        self.found
    }
}

impl fmt::Display for OffScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.expected {
            Some(expected) => write!(f, "the script expects a timer for {expected:?}, and ")?,
            None => f.write_str("the script expects no more timers, and ")?,
        }
        match self.found {
            Some(found) => write!(f, "one for {found:?} was registered"),
            None => f.write_str("none was registered"),
        }
    }
}

impl std::error::Error for OffScript {}

/// What is left of a script.
#[derive(Debug)]
pub(crate) struct Script {
    /// The deadline of each timer, and how far time then moves.
    steps: VecDeque<(Duration, Duration)>,
    /// The deadlines of the timers that were registered in this tick.
    noted: Vec<Duration>,
}

impl Script {
    /// Takes note of a timer that was registered.
    pub(crate) fn note(&mut self, deadline: Duration) {
        self.noted.push(deadline);
    }

    /// Checks the timers of this tick; how far time moves for them.
    pub(crate) fn follow(&mut self) -> Result<Duration, OffScript> {
        let mut advance = Duration::ZERO;
        for found in mem::take(&mut self.noted) {
            let (expected, moves) = self.steps.pop_front().unzip();
            if expected != Some(found) {
                return Err(OffScript { expected, found: Some(found) });
            }
            advance += moves.unwrap_or_default();
        }
        Ok(advance)
    }

    /// Forgets the timers of this tick.
    pub(crate) fn look_away(&mut self) {
        self.noted.clear();
    }
}
