//! Those who watch what runs: debug mode, a trace, a seed. While nobody does, a tick pays one flag for it.
//!
//! Most of what runs is an entry of the ready queue. Some of it an upper tier runs inside an entry of its own, such as the
//! children of a task group inside a step of their parent: with [`Watching`] it shows those too.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::event_loop::Inner;
use crate::ready::Entry;
use crate::running;
use crate::spans;
use crate::testing::shuffle::Rng;
use crate::testing::trace::Recorder;
use crate::watchdog;
use crate::work::Work;

/// Who watches a loop.
#[derive(Default)]
pub(crate) struct Observers {
    /// A bit for each kind of observer that is there.
    present: Cell<u8>,
    pub(crate) trace: RefCell<Option<Rc<Recorder>>>,
    pub(crate) shuffle: RefCell<Option<Rng>>,
    /// How long what has run inside the entry that runs was slow for, and has been named for.
    named: Cell<Duration>,
}

/// Kinds of observers.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Observer {
    Debug = 1,
    Trace = 2,
    Shuffle = 4,
    #[cfg_attr(not(feature = "watchdog"), expect(dead_code, reason = "nobody starts one"))]
    Watchdog = 8,
}

impl Observers {
    pub(crate) fn set(&self, observer: Observer, is_present: bool) {
        let others = self.present.get() & !(observer as u8);
        self.present.set(if is_present { others | observer as u8 } else { others });
    }

    pub(crate) fn has(&self, observer: Observer) -> bool {
        self.present.get() & observer as u8 != 0
    }

    fn is_any(&self) -> bool {
        self.present.get() != 0
    }
}

impl Inner {
    /// Does somebody want to know what runs?
    pub(crate) fn is_observed(&self) -> bool {
        self.observers.is_any() || spans::is_enabled()
    }

    /// Runs an entry before the eyes of those who want to know.
    #[cold]
    pub(crate) fn observe(&self, entry: Entry, run: impl FnOnce(Entry)) {
        self.observe_step(entry.describe(), || run(entry));
    }

    fn observe_step<R>(&self, work: Work, run: impl FnOnce() -> R) -> R {
        let trace = self.observers.trace.borrow().clone();
        if let Some(trace) = trace {
            trace.record(self.clock.now(), &work);
        }
        let watched = self.watchdog.begin(&work);
        let span = spans::step(&work);
        let started = Instant::now();
        let outer = self.observers.named.take();
        let _observed =
            Observed { inner: self, work, started, outer, _watched: watched, _span: span };
        run()
    }
}

/// Who watches the running loop, for an upper tier that polls several things in one step: see [`watching`].
#[derive(Clone)]
pub struct Watching {
    inner: Rc<Inner>,
}

/// Who watches the loop that runs on this thread: debug mode, a trace, a seed, the watchdog, a subscriber of `tracing`. `None`
/// if nobody does, which costs one look at a flag, or if no loop runs.
///
/// For upper tiers that poll several things inside one step of a task, as a task group does with its children.
///
/// # Examples
///
/// ```
/// use asyncio_loop::testing::{self, ClockMode, Trace};
/// use asyncio_loop::{Work, watching};
///
/// assert!(watching().is_none());
/// let (event_loop, _) = testing::virtual_loop(ClockMode::AutoJump)?;
/// let trace = Trace::start(&event_loop);
/// testing::shuffle(&event_loop, 7);
/// let site = std::panic::Location::caller();
/// testing::run_with(&event_loop, async {
///     let watching = watching().expect("a trace and a seed");
///     let mut ready = vec!["a", "b", "c"];
///     while !ready.is_empty() {
///         let next = ready.swap_remove(watching.pick(ready.len()));
///         watching.step(Work::Callback { site }, || println!("{next}"));
///     }
/// })?;
/// assert_eq!(trace.count(), 4, "the main task's step, and three inside of it");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
#[must_use]
pub fn watching() -> Option<Watching> {
    running::with(|inner| inner.filter(|inner| inner.is_observed()).and_then(Watching::of))
}

impl Watching {
    #[cold]
    fn of(inner: &Inner) -> Option<Self> {
        Some(Self { inner: inner.this.upgrade()? })
    }

    /// Which of `ready` things that are ready is to have the next turn, from 0: always the first, unless the loop is
    /// [seeded](crate::testing::shuffle).
    #[must_use]
    pub fn pick(&self, ready: usize) -> usize {
        match &mut *self.inner.observers.shuffle.borrow_mut() {
            Some(rng) if ready > 1 => rng.below(ready),
            _ => 0,
        }
    }

    /// Runs `step` as a step of its own, called `work`, in the eyes of those who watch. If it is slow, that is not said again
    /// of the step around it.
    ///
    /// # Panics
    ///
    /// When `step` does.
    pub fn step<R>(&self, work: Work, step: impl FnOnce() -> R) -> R {
        self.inner.observe_step(work, step)
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching").finish_non_exhaustive()
    }
}

/// An entry that is running; it has ended, by a panic perhaps, when this is dropped.
struct Observed<'a> {
    inner: &'a Inner,
    work: Work,
    started: Instant,
    /// What has been named so far of what is around it.
    outer: Duration,
    _watched: Option<watchdog::Step>,
    _span: Option<spans::Span>,
}

impl Drop for Observed<'_> {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        let named = &self.inner.observers.named;
        let own = took.saturating_sub(named.get());
        // A logger that panics while the entry does would end the process.
        let warn = || self.inner.warn_if_slow(&self.work, own);
        let is_named = catch_unwind(AssertUnwindSafe(warn)).unwrap_or(true);
        named.set(self.outer + if is_named { took } else { named.get() });
    }
}
