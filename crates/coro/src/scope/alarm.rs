//! A scope's timer: armed once the scope has waited, taken back when it ends.

use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::hooks::{self, Clock, TimerToken};

/// One timer of this thread's clock, at most.
pub(crate) struct Alarm {
    armed: Option<Armed>,
}

struct Armed {
    /// The clock that armed it, which may no longer be the thread's when it is taken back.
    clock: Rc<dyn Clock>,
    when: Instant,
    token: TimerToken,
}

impl Alarm {
    pub(crate) const fn new() -> Self {
        Alarm { armed: None }
    }

    /// Whether a timer is armed and `when`, which may have been moved since, has come by its clock.
    #[inline]
    pub(crate) fn has_rung(&self, when: Option<Instant>) -> bool {
        match (&self.armed, when) {
            (Some(armed), Some(when)) => armed.clock.now() >= when,
            _ => false,
        }
    }

    /// Makes sure that `waker` is woken at `when`; true when that time has come already, and nothing is armed then.
    ///
    /// `is_new` says that the waker is not the one of the last call.
    pub(crate) fn set(&mut self, when: Instant, waker: &Waker, is_new: bool) -> bool {
        if !is_new && self.armed.as_ref().is_some_and(|armed| armed.when == when) {
            return false;
        }
        self.clear();
        let clock = this_clock();
        let now = clock.now();
        self.arm(clock, now, when, waker)
    }

    /// Makes sure that `waker` is woken `delay` from now, which is [`Moment::Never`] if that is too far to say.
    ///
    /// Asks for the time once.
    pub(crate) fn start(&mut self, delay: Duration, waker: &Waker) -> Moment {
        let clock = this_clock();
        let now = clock.now();
        match now.checked_add(delay) {
            None => Moment::Never,
            Some(when) if self.arm(clock, now, when, waker) => Moment::Now,
            Some(when) => Moment::At(when),
        }
    }

    fn arm(&mut self, clock: Rc<dyn Clock>, now: Instant, when: Instant, waker: &Waker) -> bool {
        if now >= when {
            return true;
        }
        let token = clock.arm(when, waker);
        self.armed = Some(Armed { clock, when, token });
        false
    }

    /// Takes the timer back.
    pub(crate) fn clear(&mut self) {
        if let Some(armed) = self.armed.take() {
            armed.clock.disarm(armed.token);
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.clear();
    }
}

/// When an alarm that was started rings.
pub(crate) enum Moment {
    Now,
    At(Instant),
    Never,
}

/// The thread's clock.
///
/// # Panics
///
/// When there is none.
fn this_clock() -> Rc<dyn Clock> {
    hooks::clock().expect(
        "a deadline needs a clock: run it in an event loop, or set one with `hooks::set_clock`",
    )
}
