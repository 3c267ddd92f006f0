//! One tick, in asyncio's order: choose the poll timeout, poll, queue what other threads sent, what became ready and
//! what is due, then run exactly the entries that are queued now, first in, first out.
//!
//! Invariant I1: the pointer of a fired timer's entry is the number of its slot in the timers, plus one. Such an entry
//! is only ever in the ready queue of the loop whose timers those are, and runs or is discarded while that loop is
//! entered; its functions dereference nothing.
#![expect(unsafe_code, reason = "a fired timer's place in the ready queue is a slot number")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};
use std::{cell::Cell, io};

use crate::clock::{Clock, ClockMode, TimeSource, VirtualTime, saturating_add};
use crate::event_loop::Inner;
use crate::exception::ExceptionContext;
use crate::observe::Observer;
use crate::ready::{Entry, EntryVTable};
use crate::run::RunError;
use crate::running;
use crate::selector::Wait;
use crate::spans;
use crate::testing::Deadlock;
use crate::timers::Due;
use crate::work::Work;

/// The main future's place in the ready queue, and its step.
pub(crate) struct MainStep<'a> {
    pub(crate) entry: NonNull<()>,
    /// Returns true when it ended the future.
    pub(crate) step: &'a mut dyn FnMut() -> bool,
}

impl Inner {
    /// Runs one tick; blocks when there is nothing to do and `may_block`. True if the main future ended in it.
    pub(crate) fn tick(
        &self,
        may_block: bool,
        main: Option<&mut MainStep<'_>>,
    ) -> Result<bool, RunError> {
        self.drain_remote();
        let is_idle = self.ready.is_empty() && !self.stopping.get();
        if is_idle && self.blocked.is_awaited() {
            self.poll_for_blocked()?;
        } else {
            self.poll(may_block && is_idle)?;
        }
        self.queue_due_timers();
        if self.observers.has(Observer::Shuffle) {
            self.shuffle_ready();
        }
        if let Clock::Virtual(time) = &self.clock {
            time.begin_tick(self.ready.is_empty());
        }
        let is_done = {
            let _span = spans::tick();
            self.run_ready(main)
        };
        if self.is_parents() {
            // The child of a fork that something in there made has returned from it.
            return Err(RunError::Forked);
        }
        if let Clock::Virtual(time) = &self.clock {
            time.end_tick(self.phase_end.get().is_none()).map_err(RunError::OffScript)?;
        }
        Ok(is_done)
    }

    /// Moves what other threads sent into the ready queue; not more than is there now, they could go on for ever.
    #[inline]
    pub(crate) fn drain_remote(&self) {
        if !self.shared.is_empty() {
            self.take_remote();
        }
    }

    #[cold]
    fn take_remote(&self) {
        for _ in 0..self.shared.len() {
            let Some(entry) = self.shared.pop() else { break };
            self.ready.push(entry);
        }
    }

    #[inline]
    fn poll(&self, may_block: bool) -> Result<(), RunError> {
        if may_block {
            self.block()?;
        } else if self.is_watching() {
            self.wait(Wait::Poll).map_err(RunError::Os)?;
        }
        self.end_overdue_phase();
        self.take_interrupt();
        self.take_signals();
        Ok(())
    }

    /// Waits until there is something to do.
    fn block(&self) -> Result<(), RunError> {
        match &self.clock {
            Clock::Monotonic => {
                self.sleep(self.until_next_timer(), || true).map_err(RunError::Os)?;
            }
            Clock::Custom(source) => {
                let wait = self.until_next_timer_by(&**source);
                self.sleep(wait, || true).map_err(RunError::Os)?;
            }
            Clock::Virtual(time) => self.wait_virtually(time)?,
        }
        self.drain_remote();
        Ok(())
    }

    /// Is there anything to ask the system for? Timers and the door are ours; and the wake descriptor is looked at for a
    /// host only, who watches it.
    #[inline]
    fn is_watching(&self) -> bool {
        !self.sources.is_empty() || self.guests.get() > 0
    }

    /// How long to wait by the real clock.
    fn until_next_timer(&self) -> Wait {
        let Some(deadline) = self.timers.borrow().next_deadline() else { return Wait::Forever };
        let now = Instant::now();
        if deadline <= now { Wait::Poll } else { Wait::Until(deadline.min(now + LONGEST_WAIT)) }
    }

    /// How long to wait by a clock that the program brought; and no longer than an upper tier may take for its end by the
    /// system's, since that one may stand still.
    fn until_next_timer_by(&self, source: &dyn TimeSource) -> Wait {
        let end = self.phase_end.get();
        let next = self.timers.borrow().next_deadline();
        let Some(deadline) = next else { return end.map_or(Wait::Forever, Wait::Until) };
        if deadline <= source.now() {
            return Wait::Poll;
        }
        let until = source.until(deadline).map(|delay| Instant::now() + delay.min(LONGEST_WAIT));
        until.into_iter().chain(end).min().map_or(Wait::Forever, Wait::Until)
    }

    /// Time is what the test says; the system's clock is only for the grace that descriptors get.
    fn wait_virtually(&self, time: &VirtualTime) -> Result<(), RunError> {
        let deadline = self.timers.borrow().next_deadline();
        if deadline.is_some_and(|deadline| deadline <= time.now()) {
            return self.wait(Wait::Poll).map_err(RunError::Os);
        }
        let Some(deadline) = deadline.filter(|_| time.mode() == ClockMode::AutoJump) else {
            return self.wait_for_others(time);
        };
        if self.shared.has_external_work() {
            return self.wait_for_external_work().map_err(RunError::Os);
        }
        // Whoever ended external work before we looked has scheduled its result before that.
        if self.linger().map_err(RunError::Os)? && !self.has_signals() {
            time.jump_to(deadline);
        }
        Ok(())
    }

    /// Waits while somebody outside the loop works for it. Whoever ends the last of it wakes us, if he finds us asleep.
    fn wait_for_external_work(&self) -> io::Result<()> {
        let idle = self.phase_end.get().map_or(Wait::Forever, Wait::Until);
        self.sleep(idle, || self.shared.has_external_work())
    }

    /// Waits where the clock will not end it: for other threads and processes, but not for ever.
    fn wait_for_others(&self, time: &VirtualTime) -> Result<(), RunError> {
        if self.shared.has_external_work() {
            return self.wait_for_external_work().map_err(RunError::Os);
        }
        if let Some(end) = self.phase_end.get() {
            return self.sleep(Wait::Until(end), || true).map_err(RunError::Os);
        }
        let idle_since = time.idle_since.get().unwrap_or_else(Instant::now);
        time.idle_since.set(Some(idle_since));
        let end = saturating_add(idle_since, time.deadlock_grace.get());
        let is_over = Instant::now() >= end;
        self.sleep(if is_over { Wait::Poll } else { Wait::Until(end) }, || true)
            .map_err(RunError::Os)?;
        let may_go_on = self.has_signals() || !self.ready.is_empty() || !self.shared.is_empty();
        if is_over && !may_go_on {
            return Err(RunError::Deadlock(Deadlock::new(self)));
        }
        Ok(())
    }

    /// Gives descriptors, where there are any, time for bytes that the system is delivering. True if nothing came.
    fn linger(&self) -> io::Result<bool> {
        if !self.sources.is_empty() {
            let end = Instant::now() + IO_GRACE;
            // A wait may end before its time with nothing to show: the system's timer was set to less.
            while self.ready.is_empty() && self.shared.is_empty() && Instant::now() < end {
                self.sleep(Wait::Until(end), || true)?;
            }
        }
        Ok(self.ready.is_empty() && self.shared.is_empty())
    }

    /// Nothing is ready and somebody waits for that: polls, and tells them if nothing came.
    fn poll_for_blocked(&self) -> Result<(), RunError> {
        self.poll(false)?;
        let is_due = |deadline| deadline <= self.clock.now();
        let is_virtual = matches!(self.clock, Clock::Virtual(_));
        if is_virtual && self.ready.is_empty() {
            self.linger().map_err(RunError::Os)?;
        }
        self.drain_remote();
        if self.ready.is_empty() && !self.timers.borrow().next_deadline().is_some_and(is_due) {
            self.tell_all_blocked();
        }
        Ok(())
    }

    #[cold]
    fn shuffle_ready(&self) {
        if let Some(rng) = &mut *self.observers.shuffle.borrow_mut() {
            rng.shuffle(&self.ready);
        }
    }

    /// A wait that a push from another thread ends. It does not block if `is_reason_left` says no once it is announced.
    fn sleep(&self, wait: Wait, is_reason_left: impl FnOnce() -> bool) -> io::Result<()> {
        let may_block = wait != Wait::Poll && self.shared.fall_asleep(is_reason_left);
        let wait = if may_block { wait.within(self.wait_limit.get()) } else { Wait::Poll };
        let result = self.wait(wait);
        self.shared.wake_up();
        result
    }

    fn wait(&self, wait: Wait) -> io::Result<()> {
        if wait == Wait::Poll && !self.is_watching() {
            return Ok(());
        }
        let mut events = self.events.take();
        let waited = match &mut *self.selector.borrow_mut() {
            Some(selector) => selector.wait(wait, &mut events),
            None => Ok(()),
        };
        // What arrived through the door during the wait comes before what the wait reported.
        self.drain_remote();
        self.queue_events(&mut events);
        self.events.set(events);
        waited
    }

    #[inline]
    fn queue_due_timers(&self) {
        if !self.timers.borrow().is_empty() {
            self.queue_timers_due_at(self.clock.now());
        }
    }

    fn queue_timers_due_at(&self, now: Instant) {
        let mut timers = self.timers.borrow_mut();
        while let Some(due) = timers.pop_due(now) {
            self.ready.push(match due {
                Due::Run(entry) => entry,
                Due::Wake(slot) => fired_entry(slot),
            });
        }
    }

    /// Runs exactly what is queued now. A panic ends its entry only.
    fn run_ready(&self, mut main: Option<&mut MainStep<'_>>) -> bool {
        let mut is_done = false;
        let left = Cell::new(self.ready.len());
        let is_observed = self.is_observed();
        while left.get() > 0 {
            // One guard for as many entries as do not panic.
            let batch = catch_unwind(AssertUnwindSafe(|| {
                while left.get() > 0 {
                    left.set(left.get() - 1);
                    let Some(entry) = self.ready.pop() else { return left.set(0) };
                    let mut run = |entry: Entry| match &mut main {
                        Some(main) if main.entry == entry.ptr() => {
                            entry.discard();
                            is_done |= (main.step)();
                        }
                        _ => entry.run(),
                    };
                    if is_observed { self.observe(entry, run) } else { run(entry) }
                }
            }));
            if let Err(panic) = batch {
                self.report(
                    ExceptionContext::new("panic in the event loop's ready queue")
                        .with_panic(panic),
                );
            }
        }
        is_done
    }
}

fn fired_entry(slot: usize) -> Entry {
    let ptr = NonNull::new(ptr::without_provenance_mut(slot + 1))
        .expect("one more than a slot is not zero");
    // SAFETY: by I1 both functions may be called with it.
    unsafe { Entry::new(ptr, &FIRED) }
}

static FIRED: EntryVTable =
    EntryVTable { run: run_fired, drop: drop_fired, describe: describe_fired };

/// # Safety
///
/// None beyond being an `EntryVTable` function, see I1.
unsafe fn run_fired(ptr: NonNull<()>) {
    if let Some(waker) = take_fired(ptr) {
        waker.wake();
    }
}

/// # Safety
///
/// None beyond being an `EntryVTable` function, see I1.
unsafe fn drop_fired(ptr: NonNull<()>) {
    drop(take_fired(ptr));
}

/// # Safety
///
/// None, it looks at nothing.
unsafe fn describe_fired(_: NonNull<()>) -> Work {
    Work::Timer
}

fn take_fired(ptr: NonNull<()>) -> Option<std::task::Waker> {
    let slot = ptr.as_ptr().addr() - 1;
    running::with(|inner| inner.and_then(|inner| inner.timers.borrow_mut().take_fired(slot)))
}

/// asyncio's `MAXIMUM_SELECT_TIMEOUT`: a day.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// What a virtual clock leaves the system to deliver bytes that are under way, before it jumps.
const IO_GRACE: Duration = Duration::from_millis(2);
