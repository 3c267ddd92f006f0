//! What this tier asks of the loop that drives it: a clock with timers, somewhere to report to, and an end for generators.
//!
//! The hooks belong to a thread. The event loop of tier 2 fills them while it runs; under another runtime anybody may. With
//! no clock, a scope with a deadline panics when its body first waits; with no reporter, reports go to the `log` crate; with
//! nobody to finish them, generators that are dropped half-way are not cleaned up, which is reported.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::Instant;

use crate::generator::Closable;
use crate::node;
use crate::panics;
use crate::task::TaskId;

/// Time, and a way to be woken at a given one. One clock serves one thread.
pub trait Clock {
    /// The time now, on the clock that [`arm`](Clock::arm) measures by. It never goes back.
    fn now(&self) -> Instant;

    /// Wakes `waker` once, at `when` or soon after, never before.
    fn arm(&self, when: Instant, waker: &Waker) -> TimerToken;

    /// Takes a timer back. A timer that has already fired is ignored.
    fn disarm(&self, token: TimerToken);
}

/// Forgets which task and which scope are current on this thread. In the child of a fork they are the parent's, whose
/// steps do not go on here; the event loop of tier 2 calls this there, inside the `fork`.
pub fn forget_current() {
    node::forget_current();
}

/// Names one armed timer of one [`Clock`], which alone knows what the number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerToken(pub u64);

/// Takes reports of what went wrong with nobody there to be told.
pub trait Reporter {
    /// Takes one report. Called on the thread it concerns, possibly from inside a `Drop`; a panic in it is swallowed.
    fn report(&self, report: Report);
}

/// Finishes async generators: what Python's `sys.set_asyncgen_hooks` takes.
///
/// With none, a generator that is dropped before its end has its cleanups skipped and reported.
pub trait GeneratorHooks {
    /// A generator is iterated for the first time. At the end of the loop it can be closed, wherever it is kept.
    fn first_iter(&self, generator: LiveGenerator);

    /// A generator was dropped before its end, with cleanups left to run, which `end` runs. Dropping `end` skips and reports
    /// them. Called inside a `Drop`, on the generator's thread: it must not panic, nor poll `end` there and then.
    fn finalize(&self, site: &'static Location<'static>, end: GeneratorEnd);
}

/// What is left of a generator: ready when its body has unwound and cleaned up. Panics as the body does.
pub type GeneratorEnd = Pin<Box<dyn Future<Output = ()>>>;

/// A generator that its owner may have forgotten. It does not keep the generator alive.
#[derive(Clone)]
pub struct LiveGenerator {
    generator: Weak<dyn Closable>,
}

impl LiveGenerator {
    pub(crate) fn new(generator: Weak<impl Closable + 'static>) -> Self {
        LiveGenerator { generator }
    }

    /// Whether it still exists.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.generator.strong_count() > 0
    }

    /// Where it was made, if it still exists.
    #[must_use]
    pub fn site(&self) -> Option<&'static Location<'static>> {
        self.generator.upgrade().map(|generator| generator.site())
    }

    /// Takes the body away from its owner, who gets no more items: `None` when it has ended, or somebody waits
    /// for its next item.
    #[must_use]
    pub fn aclose(&self) -> Option<GeneratorEnd> {
        self.generator.upgrade()?.close()
    }
}

impl fmt::Debug for LiveGenerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveGenerator").field("site", &self.site()).finish_non_exhaustive()
    }
}

/// Something that went wrong with nobody there to be told.
#[derive(Debug)]
#[non_exhaustive]
pub enum Report {
    /// A scope had been entered, and its cleanup did not run to its end.
    #[non_exhaustive]
    SkippedCleanup {
        /// The task it happened in, if it was one.
        task: Option<TaskLabel>,
        /// Where the scope was made.
        site: &'static Location<'static>,
        /// Why the cleanup was skipped.
        reason: SkipReason,
    },
    /// A destructor panicked where nobody could catch it: while a task was being thrown away.
    #[non_exhaustive]
    DropPanicked {
        /// The task that was being thrown away.
        task: Option<TaskLabel>,
        /// What the panic said.
        message: String,
    },
    /// The body of an async generator yielded an item while it was being closed. The item is gone, the cleanup is cut.
    #[non_exhaustive]
    IgnoredExit {
        /// The task that closed it, if it was one.
        task: Option<TaskLabel>,
        /// Where the generator was made.
        site: &'static Location<'static>,
    },
}

/// Why a cleanup did not run, or not to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SkipReason {
    /// The scope was to unwind, but nobody polled it any more.
    Parked,
    /// The cleanup was running, and a newer request or a drop cut it short.
    Cut,
    /// The scope was dropped while its body ran, as `select` does with the branch that lost.
    Dropped,
}

/// Names a task in a report: what is left when the task itself is gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TaskLabel {
    /// The task's number.
    pub id: TaskId,
    /// The task's name.
    pub name: String,
}

thread_local! {
    static CLOCK: RefCell<Option<Rc<dyn Clock>>> = const { RefCell::new(None) };
    static REPORTER: RefCell<Option<Rc<dyn Reporter>>> = const { RefCell::new(None) };
    static GENERATOR_HOOKS: RefCell<Option<Rc<dyn GeneratorHooks>>> = const { RefCell::new(None) };
}

/// Sets this thread's clock and returns the previous one, so that the caller can put it back.
pub fn set_clock(clock: Option<Rc<dyn Clock>>) -> Option<Rc<dyn Clock>> {
    CLOCK.try_with(|slot| slot.replace(clock)).ok().flatten()
}

/// This thread's clock, if somebody has set one.
#[must_use]
pub fn clock() -> Option<Rc<dyn Clock>> {
    CLOCK.try_with(|slot| slot.borrow().clone()).ok().flatten()
}

/// Sets this thread's reporter and returns the previous one, so that the caller can put it back.
pub fn set_reporter(reporter: Option<Rc<dyn Reporter>>) -> Option<Rc<dyn Reporter>> {
    REPORTER.try_with(|slot| slot.replace(reporter)).ok().flatten()
}

/// Sets who finishes this thread's generators, and returns the previous one, so that the caller can put it back.
pub fn set_generator_hooks(
    hooks: Option<Rc<dyn GeneratorHooks>>,
) -> Option<Rc<dyn GeneratorHooks>> {
    GENERATOR_HOOKS.try_with(|slot| slot.replace(hooks)).ok().flatten()
}

/// Who finishes this thread's generators, if somebody does.
#[must_use]
pub fn generator_hooks() -> Option<Rc<dyn GeneratorHooks>> {
    GENERATOR_HOOKS.try_with(|slot| slot.borrow().clone()).ok().flatten()
}

/// Hands `report` to this thread's reporter, or to the log where there is none.
pub fn report(report: Report) {
    let reporter = REPORTER.try_with(|slot| slot.borrow().clone()).ok().flatten();
    // Reports are made in destructors too, where a panic would abort the process.
    let told = catch_unwind(AssertUnwindSafe(|| match reporter {
        Some(reporter) => reporter.report(report),
        None => log_error(format_args!("{report}")),
    }));
    if let Err(payload) = told {
        panics::discard(payload);
    }
}

/// Writes an error to the `log` crate; or to standard error where the program has set up no logger, as Python does, because
/// an error that nobody sees is worse than a line nobody expected.
///
/// # Panics
///
/// When the logger does, or when standard error cannot be written to.
pub fn log_error(text: fmt::Arguments<'_>) {
    if log::max_level() == log::LevelFilter::Off {
        eprintln!("{text}");
    } else {
        log::error!("{text}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::SkippedCleanup { task, site, reason } => {
                write!(f, "the cleanup of the scope made at {site} {reason}")?;
                in_task(f, task)
            }
            Report::DropPanicked { task, message } => {
                write!(f, "a destructor panicked: {message}")?;
                in_task(f, task)
            }
            Report::IgnoredExit { task, site } => {
                write!(f, "the async generator made at {site} yielded while it was being closed")?;
                in_task(f, task)
            }
        }
    }
}

fn in_task(f: &mut fmt::Formatter<'_>, task: &Option<TaskLabel>) -> fmt::Result {
    match task {
        Some(task) => write!(f, " (in task {task})"),
        None => Ok(()),
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SkipReason::Parked => "was skipped: nobody polled the scope any more",
            SkipReason::Cut => "was cut short",
            SkipReason::Dropped => "was skipped: the scope was dropped while its body ran",
        })
    }
}

impl fmt::Display for TaskLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
