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

use crate::clock::{Clock, ClockMode, VirtualTime};
use crate::event_loop::Inner;
use crate::exception::ExceptionContext;
use crate::ready::{Entry, EntryVTable};
use crate::running;
use crate::selector::Wait;
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
    ) -> io::Result<bool> {
        self.drain_remote();
        self.poll(may_block && self.ready.is_empty() && !self.stopping.get())?;
        self.queue_due_timers();
        Ok(self.run_ready(main))
    }

    /// Moves what other threads sent into the ready queue; not more than is there now, they could go on for ever.
    pub(crate) fn drain_remote(&self) {
        if self.shared.is_empty() {
            return;
        }
        for _ in 0..self.shared.len() {
            let Some(entry) = self.shared.pop() else { break };
            self.ready.push(entry);
        }
    }

    fn poll(&self, may_block: bool) -> io::Result<()> {
        if may_block {
            match &self.clock {
                Clock::Monotonic => self.sleep(self.until_next_timer(), || true)?,
                Clock::Virtual(time) => self.wait_virtually(time)?,
            }
            self.drain_remote();
        } else {
            self.wait(Wait::Poll)?;
        }
        self.end_overdue_phase();
        self.take_interrupt();
        Ok(())
    }

    /// How long to wait by the real clock.
    fn until_next_timer(&self) -> Wait {
        let Some(deadline) = self.timers.borrow().next_deadline() else { return Wait::Forever };
        let now = Instant::now();
        if deadline <= now { Wait::Poll } else { Wait::Until(deadline.min(now + LONGEST_WAIT)) }
    }

    /// Time is what the test says; the system's clock is only for the grace that descriptors get.
    fn wait_virtually(&self, time: &VirtualTime) -> io::Result<()> {
        let deadline = self.timers.borrow().next_deadline();
        let idle = self.phase_end.get().map_or(Wait::Forever, Wait::Until);
        let Some(deadline) = deadline else { return self.sleep(idle, || true) };
        if deadline <= time.now() {
            return self.wait(Wait::Poll);
        }
        if time.mode() == ClockMode::Frozen {
            return self.sleep(idle, || true);
        }
        if self.shared.has_external_work() {
            // Whoever ends the last of it wakes us, if he finds us asleep.
            return self.sleep(idle, || self.shared.has_external_work());
        }
        if !self.sources.is_empty() {
            let end = Instant::now() + IO_GRACE;
            // A wait may end before its time with nothing to show: the system's timer was set to less.
            while self.ready.is_empty() && self.shared.is_empty() && Instant::now() < end {
                self.sleep(Wait::Until(end), || true)?;
            }
        }
        // Whoever ended external work before we looked has scheduled its result before that.
        if self.ready.is_empty() && self.shared.is_empty() {
            time.jump_to(deadline);
        }
        Ok(())
    }

    /// A wait that a push from another thread ends. It does not block if `is_reason_left` says no once it is announced.
    fn sleep(&self, wait: Wait, is_reason_left: impl FnOnce() -> bool) -> io::Result<()> {
        let may_block = wait != Wait::Poll && self.shared.fall_asleep(is_reason_left);
        let result = self.wait(if may_block { wait } else { Wait::Poll });
        self.shared.wake_up();
        result
    }

    fn wait(&self, wait: Wait) -> io::Result<()> {
        if wait == Wait::Poll && self.sources.is_empty() {
            // Without a descriptor there is nothing to ask the system for: the timers and the door are ours.
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

    fn queue_due_timers(&self) {
        let mut timers = self.timers.borrow_mut();
        if timers.is_empty() {
            return;
        }
        let now = self.clock.now();
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
