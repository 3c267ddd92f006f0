//! Which loop this thread is in.
//!
//! A loop is *entered* while it runs and while it is closed. A wake on its own thread compares one pointer to find the
//! ready queue, which is why this is a raw pointer and not an `Rc`.
//!
//! Invariants:
//! - I1. The pointers in `ENTERED` and `RUNNING` are that of a live loop: only [`Entered`] sets it, from a reference that it borrows
//!   for as long as it exists, and its `Drop` restores the previous values. Nobody forgets an [`Entered`].
//! - I2. References made from it do not outlive the closure they are given to, and the loop is only ever borrowed
//!   shared (it lives in an `Rc`).
#![expect(unsafe_code, reason = "finding the loop in a wake costs one comparison")]

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::Waker;
use std::time::Instant;

use asyncio_coro::hooks::{self, Report};

use crate::error::NoRunningLoop;
use crate::event_loop::{EventLoop, Inner, State};
use crate::exception::ExceptionContext;
use crate::run::RunError;
use crate::timers::TimerKey;

thread_local! {
    static ENTERED: Cell<Option<NonNull<Inner>>> = const { Cell::new(None) };
    /// The one that runs: the same, or one that a destructor inside of it closes another loop from.
    static RUNNING: Cell<Option<NonNull<Inner>>> = const { Cell::new(None) };
}

/// This thread is in a loop until this is dropped.
pub(crate) struct Entered<'a> {
    previous: [Option<NonNull<Inner>>; 2],
    borrow: PhantomData<&'a Inner>,
}

impl<'a> Entered<'a> {
    /// Enters a loop to run it.
    pub(crate) fn to_run(inner: &'a Inner) -> Self {
        Self::new(inner, Some(NonNull::from(inner)))
    }

    /// Enters a loop to close it. Whichever runs goes on running.
    pub(crate) fn to_close(inner: &'a Inner) -> Self {
        Self::new(inner, RUNNING.get())
    }

    fn new(inner: &'a Inner, running: Option<NonNull<Inner>>) -> Self {
        let previous = [ENTERED.replace(Some(NonNull::from(inner))), RUNNING.replace(running)];
        Self { previous, borrow: PhantomData }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let [entered, running] = self.previous;
        ENTERED.set(entered);
        RUNNING.set(running);
    }
}

/// A loop is running until this is dropped.
pub(crate) struct Running<'a> {
    inner: &'a Inner,
    /// For one tick of a guest, who knows what is left.
    pub(crate) is_tick: bool,
    _hooks: TierHooks,
    _entered: Entered<'a>,
}

impl<'a> Running<'a> {
    pub(crate) fn start(inner: &'a Inner) -> Result<Self, RunError> {
        inner.may_run()?;
        inner.state.set(State::Running);
        Ok(Self {
            inner,
            is_tick: false,
            _hooks: TierHooks::set(inner),
            _entered: Entered::to_run(inner),
        })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.inner.stopping.set(false);
        if self.inner.state.get() == State::Running {
            self.inner.state.set(State::Idle);
        }
        if !self.is_tick {
            self.inner.return_to_host();
        }
    }
}

/// What tier 1 asks of a loop is answered by this one until this is dropped.
pub(crate) struct TierHooks {
    previous: Option<PreviousHooks>,
}

type PreviousHooks = (
    Option<Rc<dyn hooks::Clock>>,
    Option<Rc<dyn hooks::Reporter>>,
    Option<Rc<dyn hooks::GeneratorHooks>>,
);

impl TierHooks {
    /// A loop that is being dropped leaves them as they are: nothing can own it any more.
    pub(crate) fn set(inner: &Inner) -> Self {
        let previous = inner.this.upgrade().map(|inner| {
            let clock = hooks::set_clock(Some(inner.clone()));
            let reporter = hooks::set_reporter(Some(inner.clone()));
            (clock, reporter, hooks::set_generator_hooks(Some(inner)))
        });
        Self { previous }
    }
}

impl Drop for TierHooks {
    fn drop(&mut self) {
        if let Some((clock, reporter, generators)) = self.previous.take() {
            hooks::set_clock(clock);
            hooks::set_reporter(reporter);
            hooks::set_generator_hooks(generators);
        }
    }
}

impl hooks::Clock for Inner {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn arm(&self, when: Instant, waker: &Waker) -> hooks::TimerToken {
        hooks::TimerToken(self.add_timer(when, waker).to_bits())
    }

    fn disarm(&self, token: hooks::TimerToken) {
        self.cancel_timer(TimerKey::from_bits(token.0));
    }
}

impl hooks::Reporter for Inner {
    fn report(&self, report: Report) {
        let (context, task) = match report {
            Report::SkippedCleanup { task, site, reason, .. } => {
                let message = format!("the cleanup of a scope {reason}");
                (ExceptionContext::new(message).with_site(site), task)
            }
            Report::DropPanicked { task, message, .. } => {
                (ExceptionContext::new(format!("panic in a destructor: {message}")), task)
            }
            Report::IgnoredExit { task, site, .. } => {
                let message = "an async generator yielded while it was being closed";
                (ExceptionContext::new(message).with_site(site), task)
            }
            other => (ExceptionContext::new(other.to_string()), None),
        };
        self.report(match task {
            Some(task) => context.with_task(task.name),
            None => context,
        });
    }
}

/// Calls `f` with the loop this thread is in.
pub(crate) fn with<R>(f: impl FnOnce(Option<&Inner>) -> R) -> R {
    // SAFETY: by I1 the loop lives, by I2 the reference ends with `f`, before the `Entered` that is below us does.
    f(ENTERED.get().map(|inner| unsafe { inner.as_ref() }))
}

/// In the child of a fork: whichever loop this thread is in, it stays the parent's.
pub(crate) fn after_fork() {
    for loops in [&ENTERED, &RUNNING] {
        if let Some(inner) = loops.take() {
            // SAFETY: by I1 the loop lives, and what entered it is below us on the stack.
            unsafe { inner.as_ref() }.end_in_child();
        }
    }
}

impl Inner {
    /// Why this loop cannot be run here and now, if it cannot.
    pub(crate) fn may_run(&self) -> Result<(), RunError> {
        if self.is_parents() {
            Err(RunError::Forked)
        } else if self.is_closed() {
            Err(RunError::Closed)
        } else if is_any_running() {
            Err(RunError::Nested)
        } else {
            Ok(())
        }
    }
}

/// Is a loop running in this thread?
pub(crate) fn is_any_running() -> bool {
    RUNNING.get().is_some()
}

/// Reports an error that nobody awaits to the loop this thread is in, running it or closing it; to the log, if it is in
/// none.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{EventLoop, ExceptionContext, report_exception, testing};
/// use std::{cell::Cell, rc::Rc};
///
/// let event_loop = EventLoop::new()?;
/// let called = Rc::new(Cell::new(false));
/// event_loop.set_exception_handler({ let called = called.clone(); move |_, _| called.set(true) });
/// event_loop.call_soon(|| report_exception(ExceptionContext::new("connection lost twice")));
/// testing::run_once(&event_loop)?;
/// assert!(called.get());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn report_exception(context: ExceptionContext) {
    with(|inner| match inner {
        Some(inner) => inner.report(context),
        None => context.log(),
    });
}

/// The loop that is running in this thread.
///
/// # Errors
///
/// [`NoRunningLoop`] when this thread is not inside [`run`](crate::run()) or one of the loop's `run_` methods.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{get_running_loop, run};
///
/// assert!(get_running_loop().is_err());
/// assert!(run(async { get_running_loop().is_ok() })?);
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
pub fn get_running_loop() -> Result<EventLoop, NoRunningLoop> {
    // SAFETY: by I1 the loop lives, by I2 the reference ends here.
    let running = RUNNING.get().and_then(|inner| unsafe { inner.as_ref() }.this.upgrade());
    running.map(EventLoop::from_inner).ok_or(NoRunningLoop::new())
}
