//! Running a future to its end: `run`, and the loop's `run_` methods.
//!
//! The main future borrows from its caller's stack, so the ready queue cannot own it. Its entry is a counted reference
//! to its [`Main`]; the tick that meets this entry polls the future in its place, and one that meets the entry of an
//! earlier main drops it.
//!
//! Invariant I1: the pointer of a main's [`Entry`] is an `Arc<Main>` made raw by [`Main::entry`], and owns one count;
//! both functions of the vtable take that count back.
#![expect(
    unsafe_code,
    reason = "the main future's place in the ready queue is a raw reference to its Main"
)]

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::event_loop::{EventLoop, Inner, State};
use crate::loop_handle::LoopHandle;
use crate::ready::{Entry, EntryVTable};
use crate::running::{Entered, is_any_running};
use crate::signals::Interrupted;
use crate::tick::MainStep;

/// Runs `main` on a new event loop and closes that loop.
pub fn run<F: Future>(main: F) -> Result<F::Output, RunError> {
    if is_any_running() {
        return Err(RunError::Nested);
    }
    let event_loop = EventLoop::new().map_err(RunError::Os)?;
    run_on(&event_loop, main)
}

/// Runs `main` on a loop, then the upper tiers' ends, then closes the loop.
pub(crate) fn run_on<F: Future>(event_loop: &EventLoop, main: F) -> Result<F::Output, RunError> {
    let result = catch_unwind(AssertUnwindSafe(|| event_loop.run_until_complete(main)));
    event_loop.inner().close();
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

impl EventLoop {
    /// Runs until `future` is done.
    pub fn run_until_complete<F: Future>(&self, future: F) -> Result<F::Output, RunError> {
        let inner = &**self.inner();
        let _running = Running::start(inner)?;
        let main = Arc::new(Main { woken: AtomicBool::new(false), handle: self.handle() });
        let waker = Waker::from(main.clone());
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        let mut result = None;
        let done = Cell::new(false);
        let mut step = || {
            main.woken.store(false, Ordering::Release);
            if done.get() {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx))) {
                Ok(Poll::Pending) => return,
                Ok(Poll::Ready(value)) => result = Some(Ok(value)),
                Err(panic) => result = Some(Err(panic)),
            }
            done.set(true);
        };
        let entry = NonNull::from(&*main).cast();
        main.clone().wake();
        inner
            .run(Some(MainStep { entry, step: &mut step }), &|| done.get())
            .map_err(RunError::Os)?;
        match result {
            Some(Ok(value)) => Ok(value),
            Some(Err(panic)) => resume_unwind(panic),
            None => Err(RunError::Stopped),
        }
    }

    /// Runs until [`stop`](Self::stop).
    pub fn run_forever(&self) -> Result<(), RunError> {
        let _running = Running::start(self.inner())?;
        self.inner().run(None, &|| false).map_err(RunError::Os)
    }

    /// Runs one tick without blocking.
    pub(crate) fn run_once(&self) -> Result<(), RunError> {
        let _running = Running::start(self.inner())?;
        self.inner().tick(false, None).map_err(RunError::Os)
    }
}

impl Inner {
    /// Ticks until it is stopped, or until the tick after the one in which the main future ended: what that made ready
    /// still runs, as in asyncio, where it is a callback of the main task that stops the loop.
    fn run(&self, mut main: Option<MainStep<'_>>, is_done: &dyn Fn() -> bool) -> io::Result<()> {
        loop {
            self.tick(true, main.as_mut())?;
            if self.stopping.get() {
                return Ok(());
            }
            if is_done() {
                self.stopping.set(true);
            }
        }
    }

    /// A Ctrl-C that came.
    pub(crate) fn take_interrupt(&self) {}
}

/// This loop is running, until this is dropped.
struct Running<'a> {
    inner: &'a Inner,
    _entered: Entered<'a>,
}

impl<'a> Running<'a> {
    fn start(inner: &'a Inner) -> Result<Self, RunError> {
        if inner.is_closed() {
            return Err(RunError::Closed);
        }
        if is_any_running() {
            return Err(RunError::Nested);
        }
        inner.state.set(State::Running);
        Ok(Self { inner, _entered: Entered::to_run(inner) })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.inner.stopping.set(false);
        self.inner.state.set(State::Idle);
    }
}

/// What the main future's waker leads to.
pub(crate) struct Main {
    /// Is there an entry in the ready queue, or on its way there?
    woken: AtomicBool,
    handle: LoopHandle,
}

impl Main {
    fn entry(self: Arc<Self>) -> Entry {
        let ptr = NonNull::new(Arc::into_raw(self).cast_mut().cast()).expect("an Arc is not null");
        // SAFETY: by I1.
        unsafe { Entry::new(ptr, &MAIN) }
    }
}

impl Wake for Main {
    fn wake(self: Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            let handle = self.handle.clone();
            handle.schedule(self.entry());
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.handle.schedule(self.clone().entry());
        }
    }
}

static MAIN: EntryVTable = EntryVTable { run: drop_main, drop: drop_main };

/// # Safety
///
/// `ptr` is an `Arc<Main>` made raw, whose count this call takes over.
unsafe fn drop_main(ptr: NonNull<()>) {
    // SAFETY: the caller keeps I1.
    drop(unsafe { Arc::<Main>::from_raw(ptr.as_ptr().cast_const().cast()) });
}

/// Why a run gave no value.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// Ctrl-C cancelled the main future, and it has unwound.
    Interrupted(Interrupted),
    /// The main future was cancelled from inside the program.
    Cancelled,
    /// A loop is running in this thread already.
    Nested,
    /// The loop is closed.
    Closed,
    /// The loop was stopped before the future was done.
    Stopped,
    /// The system refused what a loop needs.
    Os(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted(interrupted) => interrupted.fmt(f),
            Self::Cancelled => f.write_str("the main future was cancelled"),
            Self::Nested => f.write_str("an event loop is already running in this thread"),
            Self::Closed => f.write_str("event loop is closed"),
            Self::Stopped => f.write_str("event loop stopped before the future was done"),
            Self::Os(_) => f.write_str("the system refused what the event loop needs"),
        }
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Os(error) => Some(error),
            _ => None,
        }
    }
}
