//! The stall watchdog: a thread that says so while a step still runs that has run for too long.
//!
//! Debug mode names a slow step when it has ended; one that never ends can only be named by somebody else. The loop notes
//! what it begins and ends under a mutex that nobody else holds for long. The thread sleeps until the step it has seen
//! would be due for a report; when it finds that nothing runs it sleeps until the loop begins the next step. So an idle
//! loop wakes it never, and a busy one once a limit.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::debug::log_warning;
use crate::event_loop::EventLoop;
use crate::fork::Generation;
use crate::observe::Observer;
use crate::work::Work;

impl EventLoop {
    /// Watches for callbacks and steps of tasks that run for longer than `limit`, from the next tick on, and names each
    /// in the log at level warn *while it runs*: again when it has taken twice as long, four times, and so on.
    ///
    /// A thread of its own looks after that, until the loop is closed or [`stop_watchdog`](Self::stop_watchdog) is
    /// called. While there is one each step costs two uncontended locks; while there is none, nothing. A watchdog that is
    /// there already is replaced.
    ///
    /// # Errors
    ///
    /// What the system says when it has no thread left.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let event_loop = asyncio_loop::EventLoop::new()?;
    /// event_loop.start_watchdog(Duration::from_secs(1))?;
    /// event_loop.run_until_complete(async { "nothing of this takes a second" })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_watchdog(&self, limit: Duration) -> io::Result<()> {
        self.start_watchdog_with(limit, |stall| log_warning(format_args!("{stall}")))
    }

    /// Like [`start_watchdog`](Self::start_watchdog), with a report to `report` instead of the log. It is called on the
    /// watchdog's thread, and a panic in it is caught.
    ///
    /// # Errors
    ///
    /// As [`start_watchdog`](Self::start_watchdog).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{sync::mpsc, time::Duration};
    ///
    /// let event_loop = asyncio_loop::EventLoop::new()?;
    /// let (sender, stalls) = mpsc::channel();
    /// event_loop.start_watchdog_with(Duration::from_millis(1), move |stall| {
    ///     let _ = sender.send(stall.elapsed());
    /// })?;
    /// let elapsed = event_loop.run_until_complete(async { stalls.recv() })??;
    /// assert!(elapsed >= Duration::from_millis(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_watchdog_with(
        &self,
        limit: Duration,
        report: impl Fn(&Stall) + Send + 'static,
    ) -> io::Result<()> {
        let (state, changed) = (Mutex::default(), Condvar::new());
        let watch = Arc::new(Watch { state, changed, generation: Generation::now() });
        let watched = watch.clone();
        let name = String::from("asyncio-watchdog");
        // It ends by itself, and `report` may wait for something of this thread: nobody joins it.
        thread::Builder::new().name(name).spawn(move || watched.look_out(limit, &report))?;
        let inner = self.inner();
        inner.watchdog.replace(Some(watch));
        inner.observers.set(Observer::Watchdog, true);
        Ok(())
    }

    /// Ends the watchdog, if there is one. A report that has begun goes on to its end.
    ///
    /// # Examples
    ///
    /// See [`start_watchdog`](Self::start_watchdog).
    pub fn stop_watchdog(&self) {
        self.inner().observers.set(Observer::Watchdog, false);
        self.inner().watchdog.replace(None);
    }
}

/// A callback or a step of a task that has run for too long, and still does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stall {
    work: Work,
    elapsed: Duration,
    reports: u32,
}

impl Stall {
    /// What runs: for a task its number, its name as it was when the step began, and where it was created.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// For how long it has been running, by the system's clock.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// How many reports of this one step there have been, with this one.
    pub fn reports(&self) -> u32 {
        self.reports
    }
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the event loop stalls: {} has been running for {:.3?}", self.work, self.elapsed)
    }
}

/// The loop's watchdog, if it has one.
#[derive(Default)]
pub(crate) struct Watchdog(RefCell<Option<Owned>>);

/// Ends the thread when the loop gives it up.
struct Owned(Arc<Watch>);

impl Watchdog {
    fn replace(&self, watch: Option<Arc<Watch>>) {
        let previous = self.0.replace(watch.map(Owned));
        drop(previous);
    }

    /// Notes that a step begins; it has ended when the guard is dropped.
    pub(crate) fn begin(&self, work: &Work) -> Option<Step> {
        let watch = self.0.borrow().as_ref()?.0.clone();
        if watch.generation.is_over() {
            return None;
        }
        let outer = watch.begin(work.clone());
        Some(Step { watch, outer })
    }

    /// Ends it.
    pub(crate) fn stop(&self) {
        self.replace(None);
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if self.0.generation.is_over() {
            return;
        }
        self.0.lock().is_over = true;
        self.0.changed.notify_one();
    }
}

/// A step that runs.
pub(crate) struct Step {
    watch: Arc<Watch>,
    /// The one that it runs inside of.
    outer: Option<Current>,
}

impl Drop for Step {
    fn drop(&mut self) {
        if self.watch.generation.is_over() {
            return;
        }
        let ended = mem::replace(&mut self.watch.lock().running, self.outer.take());
        drop(ended);
    }
}

/// What the loop and the thread share.
struct Watch {
    state: Mutex<WatchState>,
    changed: Condvar,
    /// The process that has the thread. In the child of a fork the thread may have left the mutex locked for ever.
    generation: Generation,
}

#[derive(Default)]
struct WatchState {
    running: Option<Current>,
    /// Waits the thread for the next step to begin?
    is_waiting: bool,
    is_over: bool,
}

struct Current {
    work: Work,
    since: Instant,
    reports: u32,
}

impl Current {
    /// When the next report is due: after once, twice, four times the limit. None: that is beyond what a clock shows.
    fn due(&self, limit: Duration) -> Option<Instant> {
        self.since.checked_add(limit.checked_mul(1_u32.checked_shl(self.reports)?)?)
    }
}

impl Watch {
    /// No code of a user's runs under the lock, so nothing can poison it but the end of memory.
    fn lock(&self) -> MutexGuard<'_, WatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what runs now, and gives what ran until now, which goes on after that.
    fn begin(&self, work: Work) -> Option<Current> {
        let mut state = self.lock();
        let outer = state.running.replace(Current { work, since: Instant::now(), reports: 0 });
        if state.is_waiting {
            state.is_waiting = false;
            self.changed.notify_one();
        }
        outer
    }

    /// The thread's life.
    fn look_out(&self, limit: Duration, report: &dyn Fn(&Stall)) {
        let mut state = self.lock();
        while !state.is_over {
            let now = Instant::now();
            let Some(running) = &mut state.running else {
                state.is_waiting = true;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let due = running.due(limit);
            if due.is_some_and(|due| due <= now) {
                running.reports += 1;
                let stall = Stall {
                    work: running.work.clone(),
                    elapsed: now - running.since,
                    reports: running.reports,
                };
                drop(state);
                // What such a panic says, the panic hook has said.
                let told = catch_unwind(AssertUnwindSafe(|| report(&stall)));
                drop(catch_unwind(AssertUnwindSafe(|| drop(told))));
                state = self.lock();
                continue;
            }
            let left = due.map_or(Duration::MAX, |due| due - now);
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
