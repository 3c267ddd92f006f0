//! Those who watch what runs: debug mode, a trace, a seed. While nobody does, a tick pays one flag for it.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Instant;

use crate::event_loop::Inner;
use crate::ready::Entry;
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
        let work = entry.describe();
        let trace = self.observers.trace.borrow().clone();
        if let Some(trace) = trace {
            trace.record(self.clock.now(), &work);
        }
        let watched = self.watchdog.begin(&work);
        let span = spans::step(&work);
        let started = Instant::now();
        let _observed = Observed { inner: self, work, started, _watched: watched, _span: span };
        run(entry);
    }
}

/// An entry that is running; it has ended, by a panic perhaps, when this is dropped.
struct Observed<'a> {
    inner: &'a Inner,
    work: Work,
    started: Instant,
    _watched: Option<watchdog::Step>,
    _span: Option<spans::Span>,
}

impl Drop for Observed<'_> {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        // A logger that panics while the entry does would end the process.
        let warn = || self.inner.warn_if_slow(&self.work, took);
        drop(catch_unwind(AssertUnwindSafe(warn)));
    }
}
