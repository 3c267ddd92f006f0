//! The end of a loop: what upper tiers finish, and what is dropped when it is closed.

use std::cmp::Reverse;
use std::future::{self, Future, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use asyncio_coro::context::Captured;

use crate::clock::saturating_add;
use crate::config::GracePeriods;
use crate::event_loop::{EventLoop, Inner, Interrupt, State};
use crate::exception::ExceptionContext;
use crate::run::MainEnd;
use crate::running::{Entered, TierHooks};
use crate::timers::{Action, TimerKey};

/// What an upper tier does when a loop ends, added with
/// [`EventLoop::add_close_hook`](crate::EventLoop::add_close_hook).
///
/// At the end of [`run`](crate::run()) each hook gets an async phase, from the top tier down, each with a grace
/// period; one that is added meanwhile gets its turn too. Closing the loop then drops what is left. A method that panics
/// is reported, and the others get their turn.
pub trait CloseHook {
    /// The tier it belongs to. Higher ones shut down first. Asked once, when the hook is added.
    fn tier(&self) -> u8;

    /// The async phase: cancel tasks and await them, join a pool. By default there is nothing to wait for.
    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(future::ready(()))
    }

    /// How long the phase may take, by the loop's clock, and by the system's where that one is virtual: it may stand
    /// still. When it is over the phase is dropped. By default as long as tasks may take.
    fn grace(&self, periods: &GracePeriods) -> Duration {
        periods.tasks
    }

    /// What did not end within the grace period, by name. Reported.
    fn abandoned(&self) -> Vec<String> {
        Vec::new()
    }

    /// What waits, by name. A [`Deadlock`](crate::testing::Deadlock) names it.
    fn blocked(&self) -> Vec<String> {
        Vec::new()
    }

    /// While the loop is being closed: wakes every live future of this tier, so that its entry comes out of the queue
    /// and can be dropped here. Returns how many are still alive.
    fn wake_live(&self) -> usize {
        0
    }

    /// The loop is closed, its queues refuse everything.
    fn closed(&self) {}
}

/// How the end of a loop went.
///
/// # Examples
///
/// ```
/// use asyncio_loop::Runner;
///
/// let mut runner = Runner::new();
/// runner.run(async {})?;
/// let report = runner.close();
/// assert!(report.is_clean(), "abandoned: {:?}", report.abandoned());
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
#[derive(Debug, Default)]
pub struct ShutdownReport {
    abandoned: Vec<String>,
    is_interrupted: bool,
    /// An upper tier panicked, or could not have its phase.
    failed: bool,
}

impl ShutdownReport {
    /// Did everything end by itself?
    pub fn is_clean(&self) -> bool {
        self.abandoned.is_empty() && !self.is_interrupted && !self.failed
    }

    /// What did not end within its grace period, by name. The exception handler was told, too.
    pub fn abandoned(&self) -> &[String] {
        &self.abandoned
    }

    /// Did Ctrl-C come meanwhile?
    pub fn is_interrupted(&self) -> bool {
        self.is_interrupted
    }
}

/// The end of a loop that no `run` ends.
pub(crate) fn shut_down_and_close(event_loop: &EventLoop, in_a_hurry: bool) -> ShutdownReport {
    let inner = &**event_loop.inner();
    if inner.is_closed() {
        return ShutdownReport::default();
    }
    if inner.is_running() {
        let problem = "a runner was closed inside its own loop, which stays open and running";
        inner.report(ExceptionContext::new(problem));
        return ShutdownReport { failed: true, ..ShutdownReport::default() };
    }
    if in_a_hurry {
        inner.hurry();
    }
    let ctrl_c = inner.look_after_ctrl_c(Interrupt::EndsShutdown);
    let mut report = inner.shut_down();
    inner.close();
    drop(ctrl_c);
    inner.take_interrupt();
    report.is_interrupted = inner.interrupt.replace(Interrupt::Ignored) == Interrupt::Ended;
    report
}

impl Inner {
    /// Somebody has pressed Ctrl-C and waits for the end.
    pub(crate) fn hurry(&self) {
        let mut periods = self.grace_periods.borrow_mut();
        periods.executor = periods.executor.min(periods.executor_after_ctrl_c);
    }

    /// Gives each upper tier its phase.
    pub(crate) fn shut_down(&self) -> ShutdownReport {
        let mut report = ShutdownReport::default();
        if self.is_parents() {
            return report;
        }
        let mut done = Vec::new();
        // One at a time: what a phase runs may be the first to need another tier, which adds its hook then.
        while let Some((at, (tier, hook))) = self.next_hook(&done) {
            done.push(at);
            self.run_phase(tier, &*hook, &mut report);
        }
        report
    }

    /// From the top tier down, those of one tier in the order in which they were added.
    fn next_hook(&self, done: &[usize]) -> Option<(usize, (u8, Rc<dyn CloseHook>))> {
        let hooks = self.hooks.borrow().clone();
        let left = hooks.into_iter().enumerate().filter(|(at, _)| !done.contains(at));
        left.min_by_key(|(at, (tier, _))| (Reverse(*tier), *at))
    }

    /// Did Ctrl-C cut the shutdown short?
    fn is_cut_short(&self) -> bool {
        self.interrupt.get() == Interrupt::Ended
    }

    fn run_phase(&self, tier: u8, hook: &dyn CloseHook, report: &mut ShutdownReport) {
        let (phase, site) = (within_grace(self, hook), Location::caller());
        let problem = match self.run_main(phase, site, Captured::copy()) {
            Ok(Ok(true)) => return,
            Ok(Ok(false)) => {
                let names = abandoned(tier, hook);
                let message =
                    format!("abandoned when the event loop shut down: {}", names.join(", "));
                report.abandoned.extend(names);
                ExceptionContext::new(message)
            }
            Ok(Err(MainEnd::Panicked(panic))) => {
                ExceptionContext::new("panic while the event loop was shutting down")
                    .with_panic(panic)
            }
            Ok(Err(_)) => ExceptionContext::new("the shutdown of the event loop was cancelled"),
            Err(error) => {
                ExceptionContext::new("the event loop could not shut down").with_error(error)
            }
        };
        report.failed |= problem.panic().is_some() || problem.error().is_some();
        self.report(problem);
    }

    /// Is the phase of an upper tier over by the system's clock, while a virtual one stands still?
    fn is_phase_over(&self) -> bool {
        self.phase_end.get().is_some_and(|end| Instant::now() >= end)
    }

    /// Ends a phase that a virtual clock would not end.
    #[inline]
    pub(crate) fn end_overdue_phase(&self) {
        if self.phase_end.get().is_some() && self.is_phase_over() {
            if let Some(phase) = &*self.main.borrow() {
                phase.waker().wake_by_ref();
            }
        }
    }

    /// Drops everything that is alive on this loop, then shuts its doors. Idempotent; not to be called while it runs.
    pub(crate) fn close(&self) {
        if self.is_parents() {
            return self.abandon();
        }
        if self.is_closed() {
            return;
        }
        let _hooks = TierHooks::set(self);
        let _entered = Entered::to_close(self);
        self.state.set(State::Closing);
        // Dropping one thing wakes another; but nothing new starts on a closing loop, so this ends when every future has
        // been dropped by the entry that its wake brought here. What other threads go on sending does not count: they
        // may do so until they find the door shut.
        loop {
            if self.is_parents() {
                // A destructor has forked, and this is the child.
                return self.abandon();
            }
            // A destructor may be the first to need an upper tier, and so bring a new hook.
            let live: usize = self.hooks().iter().map(|hook| self.wake_live(&**hook)).sum();
            let dropped = self.drop_queued();
            if live == 0 && !dropped {
                break;
            }
            if live > 0 && !dropped {
                // A wake from another thread is between its mark and its push.
                std::thread::yield_now();
            }
        }
        self.state.set(State::Closed);
        self.shared.close();
        // A push that began before the door was shut is waited for, and what it brought is dropped here.
        while self.drop_queued() || !self.shared.is_empty() {}
        for hook in self.hooks() {
            self.contain(|| hook.closed());
        }
        self.leave_signals();
        self.drop_attachments();
        let selector = self.selector.take();
        drop(selector);
    }

    fn hooks(&self) -> Vec<Rc<dyn CloseHook>> {
        self.hooks.borrow().iter().map(|(_, hook)| hook.clone()).collect()
    }

    /// A hook that panics has nothing alive that we could wait for.
    fn wake_live(&self, hook: &dyn CloseHook) -> usize {
        let mut live = 0;
        self.contain(|| live = hook.wake_live());
        live
    }

    /// Drops what waits: timers, handlers, queued entries, local and remote. True if any of it was queued here.
    fn drop_queued(&self) -> bool {
        let timers = self.timers.borrow_mut().take_waiting();
        let handlers = self.sources.take();
        let any = !timers.is_empty() || !handlers.is_empty() || !self.ready.is_empty();
        for timer in timers {
            match timer {
                Action::Run(entry) => self.contain(|| entry.discard()),
                Action::Wake(waker) => self.contain(|| drop(waker)),
            }
        }
        for handler in handlers {
            self.contain(|| drop(handler));
        }
        for watched in self.watched.take() {
            self.contain(|| watched.give_up());
        }
        self.drain_remote();
        for entry in self.ready.take() {
            self.contain(|| entry.discard());
        }
        any || !self.ready.is_empty()
    }
}

/// What was abandoned, by name.
fn abandoned(tier: u8, hook: &dyn CloseHook) -> Vec<String> {
    let names = catch_unwind(AssertUnwindSafe(|| hook.abandoned())).unwrap_or_default();
    if names.is_empty() { vec![format!("something of tier {tier}")] } else { names }
}

/// Polls a phase until it is done, or its grace is over, or Ctrl-C came. True if it is done.
async fn within_grace(inner: &Inner, hook: &dyn CloseHook) -> bool {
    let periods = inner.grace_periods.borrow().clone();
    let grace = hook.grace(&periods);
    let deadline = saturating_add(inner.clock.now(), grace);
    if !inner.clock.is_monotonic() {
        inner.phase_end.set(Some(saturating_add(Instant::now(), grace)));
    }
    let mut timer = Timer { inner, key: None };
    let mut phase = hook.shutdown();
    poll_fn(|cx| {
        if phase.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        if inner.is_cut_short() || inner.clock.now() >= deadline || inner.is_phase_over() {
            return Poll::Ready(false);
        }
        // The waker is the main future's, the same at every poll.
        timer.key.get_or_insert_with(|| inner.add_timer(deadline, cx.waker()));
        Poll::Pending
    })
    .await
}

struct Timer<'a> {
    inner: &'a Inner,
    key: Option<TimerKey>,
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        self.inner.phase_end.set(None);
        if let Some(key) = self.key {
            self.inner.cancel_timer(key);
        }
    }
}
