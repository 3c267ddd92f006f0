//! A trace: what ran, in a form that can be compared and printed.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use asyncio_coro::task::TaskId;

use crate::event_loop::{EventLoop, Inner};
use crate::io::Ready;
use crate::observe::Observer;
use crate::work::Work;

/// Records what a loop runs, from its making until it is dropped.
///
/// It grows with every step and callback, so it is for tests. Two traces are equal when the same ran in the same order
/// at the same times: on a virtual clock, two runs of one program with one [seed](super::shuffle) give equal ones.
///
/// The children of a task group run inside the steps of the task that has the group; the line of such a step comes first,
/// then one for each child that has a step in it.
///
/// # Examples
///
/// ```
/// use asyncio_loop::testing::{ClockMode, Trace, run_with, virtual_loop};
/// use std::time::Duration;
///
/// let (event_loop, _) = virtual_loop(ClockMode::AutoJump)?;
/// let trace = Trace::start(&event_loop);
/// event_loop.call_later(Duration::from_secs(1), || ());
/// run_with(&event_loop, async {})?;
/// assert!(trace.to_string().starts_with("0ns task 0 "), "{trace}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Trace {
    inner: Weak<Inner>,
    recorder: Rc<Recorder>,
}

/// One thing that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceEvent {
    /// When, by the loop's clock, from the trace's start.
    pub at: Duration,
    /// What.
    pub what: Traced,
}

/// What ran. Nothing in it differs from run to run of one program: tasks and descriptors are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Traced {
    /// A step of a task.
    Task {
        /// Counts the tasks of this trace, from 0, in the order of their first steps.
        number: usize,
        /// The name it was given, if any.
        name: Option<String>,
        /// Where it was created.
        site: &'static Location<'static>,
    },
    /// A callback.
    Callback {
        /// Where it was given to the loop.
        site: &'static Location<'static>,
    },
    /// A timer that wakes a waker.
    Timer,
    /// The handler of a descriptor that became ready.
    Io {
        /// Counts the registrations of the loop, from 0.
        registration: usize,
        /// What it became ready for.
        ready: Ready,
    },
    /// Something of an upper tier.
    Other,
}

impl Trace {
    /// Starts to record what `event_loop` runs, from the next tick on. A trace that is under way ends.
    pub fn start(event_loop: &EventLoop) -> Self {
        let inner = event_loop.inner();
        let recorder = Rc::new(Recorder {
            start: inner.clock.now(),
            tasks: RefCell::default(),
            events: RefCell::default(),
            count: Cell::default(),
        });
        inner.observers.trace.replace(Some(recorder.clone()));
        inner.observers.set(Observer::Trace, true);
        Self { inner: Rc::downgrade(inner), recorder }
    }

    /// What has run since the start, or since the last call.
    pub fn take(&self) -> Vec<TraceEvent> {
        self.recorder.events.take()
    }

    /// How much has run since the start, taken or not.
    pub fn count(&self) -> usize {
        self.recorder.count.get()
    }
}

impl PartialEq for Trace {
    fn eq(&self, other: &Self) -> bool {
        *self.recorder.events.borrow() == *other.recorder.events.borrow()
    }
}

/// A line for each event.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.recorder.events.borrow().iter().try_for_each(|event| writeln!(f, "{event}"))
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trace").field(&self.recorder.events.borrow()).finish()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let Some(inner) = self.inner.upgrade() else { return };
        let is_ours = |recorder: &Option<Rc<Recorder>>| {
            recorder.as_ref().is_some_and(|it| Rc::ptr_eq(it, &self.recorder))
        };
        if is_ours(&inner.observers.trace.borrow()) {
            inner.observers.trace.replace(None);
            inner.observers.set(Observer::Trace, false);
        }
    }
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ", self.at)?;
        match &self.what {
            Traced::Task { number, name: None, site } => write!(f, "task {number} of {site}"),
            Traced::Task { number, name: Some(name), site } => {
                write!(f, "task {number} {name:?} of {site}")
            }
            Traced::Callback { site } => write!(f, "callback of {site}"),
            Traced::Timer => f.write_str("timer"),
            Traced::Io { registration, ready } => write!(f, "descriptor {registration} {ready:?}"),
            Traced::Other => f.write_str("other"),
        }
    }
}

/// The loop's side of a trace.
pub(crate) struct Recorder {
    start: Instant,
    /// In the order of their first steps.
    tasks: RefCell<Vec<TaskId>>,
    events: RefCell<Vec<TraceEvent>>,
    count: Cell<usize>,
}

impl Recorder {
    pub(crate) fn record(&self, now: Instant, work: &Work) {
        let what = match work {
            Work::Task { id, name, site } => {
                Traced::Task { number: self.number(*id), name: name.clone(), site }
            }
            Work::Callback { site } => Traced::Callback { site },
            Work::Timer => Traced::Timer,
            Work::Io { registration, ready, .. } => {
                Traced::Io { registration: *registration, ready: *ready }
            }
            Work::Other => Traced::Other,
        };
        let at = now.saturating_duration_since(self.start);
        self.events.borrow_mut().push(TraceEvent { at, what });
        self.count.set(self.count.get() + 1);
    }

    /// A trace is short, so a search from its end beats a map.
    fn number(&self, id: TaskId) -> usize {
        let mut tasks = self.tasks.borrow_mut();
        tasks.iter().rposition(|known| *known == id).unwrap_or_else(|| {
            tasks.push(id);
            tasks.len() - 1
        })
    }
}
