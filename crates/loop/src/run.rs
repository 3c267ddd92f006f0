//! Running a future to its end: `run`, and the loop's `run_` methods.
//!
//! The main future borrows from its caller's stack, so the ready queue cannot own it. Its entry is a counted reference
//! to its [`Main`]; the tick that meets this entry polls the future in its place, and one that meets the entry of an
//! earlier main drops it.
//!
//! Invariants:
//! - I1. The pointer of a main's [`Entry`] is an `Arc<Main>` made raw by [`Main::entry`], and owns one count; both
//!   functions of the vtable take that count back.
//! - I2. A main's `TaskInfo` is in its `Main`, which its waker and every clone of it own; the scope is polled and dropped
//!   inside `run_main`, where `main` and `waker` are declared before it and so are dropped after it.
#![expect(
    unsafe_code,
    reason = "the main future's place in the ready queue is a raw reference to its Main"
)]

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{Location, resume_unwind};
use std::pin::pin;
use std::process::{ExitCode, Termination};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use asyncio_coro::CancelledError;
use asyncio_coro::context::Captured;
use asyncio_coro::task::{TaskEnd, TaskInfo, TaskRef, TaskScope};

use crate::config::Config;
use crate::error::{LoopClosed, PARENTS_LOOP};
use crate::event_loop::{EventLoop, Inner, Interrupt};
use crate::loop_handle::LoopHandle;
use crate::ready::{Entry, EntryVTable};
use crate::running::Running;
use crate::signals::{Interrupted, LookAfterCtrlC};
use crate::testing::{Deadlock, OffScript};
use crate::tick::MainStep;
use crate::work::Work;

/// Runs `main` to its end on a new event loop, then shuts that loop down and closes it.
///
/// `main` is a task like any other, except that it may borrow: it has a name, can be cancelled, and its cleanup may
/// await. When it has ended, however it did, each upper tier gets to finish what it has running, within a grace period;
/// what had to be abandoned is reported. So this returns only when nothing of the program is left on the loop.
///
/// On the main thread, and unless the program handles SIGINT itself, the first Ctrl-C cancels `main`, and the second one
/// ends the process at once, also while the loop shuts down. A first Ctrl-C that comes only then ends the waiting.
///
/// [`Config::run`](crate::Config::run) does the same, told how: debug mode, another loop, other grace periods. A
/// [`Runner`](crate::Runner) runs several futures on one loop.
///
/// # Errors
///
/// - [`Interrupted`](RunError::Interrupted): `main` was cancelled by Ctrl-C and has unwound, or Ctrl-C came while the
///   loop was shutting down. Not if `main` caught the cancellation and returned a value.
/// - [`Cancelled`](RunError::Cancelled): `main` was cancelled from inside the program.
/// - [`Nested`](RunError::Nested): a loop is running in this thread already; `main` is dropped unpolled.
/// - [`Stopped`](RunError::Stopped): somebody stopped the loop; `main` was dropped, without its awaiting cleanup.
/// - [`Os`](RunError::Os): what the system says when it has no file descriptors left.
///
/// # Panics
///
/// When `main` panicked: with the same payload, after the loop was shut down.
///
/// # Examples
///
/// ```
/// let text = String::from("borrowed");
/// let length = asyncio_loop::run(async { text.len() })?;
/// assert_eq!(length, 8);
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
#[track_caller]
pub fn run<F: Future>(main: F) -> Result<F::Output, RunError> {
    Config::new().run(main)
}

/// Runs `main` on a loop, then the upper tiers' ends, then closes the loop.
pub(crate) fn run_on<F: Future>(
    event_loop: &EventLoop,
    main: F,
    site: &'static Location<'static>,
) -> Result<F::Output, RunError> {
    let inner = &**event_loop.inner();
    inner.may_run()?;
    let ctrl_c = inner.look_after_ctrl_c(Interrupt::CancelsMain);
    let result = inner.run_main(main, site, Captured::copy());
    match inner.interrupt.get() {
        Interrupt::CancelsMain => inner.interrupt.set(Interrupt::EndsShutdown),
        Interrupt::CancelledMain => inner.hurry(),
        _ => {}
    }
    inner.shut_down();
    inner.close();
    finish(inner, ctrl_c, result)
}

/// Runs `main` on a loop with an eye on Ctrl-C, and leaves the loop open.
pub(crate) fn run_watched<F: Future>(
    event_loop: &EventLoop,
    main: F,
    site: &'static Location<'static>,
    context: Captured,
) -> Result<F::Output, RunError> {
    let inner = &**event_loop.inner();
    inner.may_run()?;
    let ctrl_c = inner.look_after_ctrl_c(Interrupt::CancelsMain);
    let result = inner.run_main(main, site, context);
    finish(inner, ctrl_c, result)
}

/// Ends looking after Ctrl-C. One that came too late to cancel the main future takes its result's place.
fn finish<T>(
    inner: &Inner,
    ctrl_c: Option<LookAfterCtrlC>,
    result: MainResult<T>,
) -> Result<T, RunError> {
    drop(ctrl_c);
    // No tick has seen one that came after the last of them.
    inner.take_interrupt();
    let interrupt = inner.interrupt.replace(Interrupt::Ignored);
    let result = conclude(result);
    if interrupt == Interrupt::Ended {
        Err(RunError::Interrupted(Interrupted::new()))
    } else {
        result
    }
}

impl EventLoop {
    /// Runs the loop until `future` is done, and for one tick more. It is a task like the one of [`run`](crate::run()),
    /// but this looks after no Ctrl-C, shuts nothing down, and leaves the loop open.
    ///
    /// # Errors
    ///
    /// - [`Cancelled`](RunError::Cancelled): the future was cancelled.
    /// - [`Nested`](RunError::Nested): a loop is running in this thread already.
    /// - [`Closed`](RunError::Closed): this one is closed.
    /// - [`Stopped`](RunError::Stopped): somebody stopped the loop first; the future was dropped, without its awaiting
    ///   cleanup.
    /// - [`Os`](RunError::Os): what the system says when a wait fails.
    ///
    /// # Panics
    ///
    /// When the future panicked, with the same payload.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::EventLoop;
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert_eq!(event_loop.run_until_complete(async { 1 })?, 1);
    /// assert_eq!(event_loop.run_until_complete(async { 2 })?, 2);
    /// event_loop.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn run_until_complete<F: Future>(&self, future: F) -> Result<F::Output, RunError> {
        conclude(self.inner().run_main(future, Location::caller(), Captured::copy()))
    }

    /// Runs the loop until [`stop`](Self::stop).
    ///
    /// # Errors
    ///
    /// - [`Nested`](RunError::Nested): a loop is running in this thread already.
    /// - [`Closed`](RunError::Closed): this one is closed.
    /// - [`Os`](RunError::Os): what the system says when a wait fails.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::EventLoop;
    ///
    /// let event_loop = EventLoop::new()?;
    /// event_loop.stop();
    /// event_loop.run_forever()?; // one tick, since it was stopped before
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_forever(&self) -> Result<(), RunError> {
        let _running = Running::start(self.inner())?;
        self.inner().run(None)
    }

    /// Runs one tick without blocking.
    pub(crate) fn run_once(&self) -> Result<(), RunError> {
        let _running = Running::start(self.inner())?;
        self.inner().tick(false, None).map(drop)
    }
}

/// How the main future ended, if it did.
type MainResult<T> = Result<Result<T, MainEnd>, RunError>;

/// How a main future ended without a value.
pub(crate) enum MainEnd {
    /// Cancelled, and by nobody but Ctrl-C.
    Interrupted,
    Cancelled(CancelledError),
    Panicked(Box<dyn Any + Send>),
}

fn conclude<T>(result: MainResult<T>) -> Result<T, RunError> {
    result?.map_err(|end| match end {
        MainEnd::Interrupted => RunError::Interrupted(Interrupted::new()),
        MainEnd::Cancelled(cancelled) => RunError::Cancelled(cancelled),
        MainEnd::Panicked(panic) => resume_unwind(panic),
    })
}

impl Inner {
    /// Runs a main future. Does not unwind: a panic of the future is a value here.
    pub(crate) fn run_main<F: Future>(
        &self,
        future: F,
        site: &'static Location<'static>,
        context: Captured,
    ) -> MainResult<F::Output> {
        let _running = Running::start(self)?;
        let main = Arc::new(Main {
            info: TaskInfo::with_site(site),
            woken: AtomicBool::new(false),
            handle: LoopHandle::new(self.shared.clone()),
        });
        let waker = Waker::from(main.clone());
        // SAFETY: by I2 the waker keeps the facts, and this is the thread that polls.
        let task = unsafe { TaskRef::new(NonNull::from(&main.info), waker.clone()) };
        let _main_task = MainTask::set(self, task.clone());
        let info = NonNull::from(&main.info);
        // SAFETY: by I2 `main` and `waker` live longer than the scope, which stays in this function.
        let mut scope = pin!(unsafe { TaskScope::new(future, info, context) });
        let mut cx = Context::from_waker(&waker);
        let mut result = None;
        let mut step = || {
            // A swap and not a store: what a thread wrote before its wake is to be seen by the poll.
            main.woken.swap(false, Ordering::AcqRel);
            if result.is_none() {
                if let Poll::Ready(value) = scope.as_mut().poll(&mut cx) {
                    result = Some(value);
                    return true;
                }
            }
            false
        };
        let entry = NonNull::from(&*main).cast();
        waker.wake_by_ref();
        self.run(Some(MainStep { entry, step: &mut step }))?;
        let result = result.ok_or(RunError::Stopped)?;
        let is_interrupted = || self.interrupt.get() == Interrupt::CancelledMain;
        Ok(result.map_err(|end| match end {
            // Somebody else's request is not Ctrl-C's, even if both came.
            TaskEnd::Cancelled if is_interrupted() && task.uncancel() == 0 => MainEnd::Interrupted,
            TaskEnd::Cancelled => {
                MainEnd::Cancelled(CancelledError::__with_message(task.cancel_message()))
            }
            TaskEnd::Panicked(panic) => MainEnd::Panicked(panic),
        }))
    }

    /// Ticks until it is stopped, or until the tick after the one in which the main future ended: what that made ready
    /// still runs, as in asyncio, where it is a callback of the main task that stops the loop.
    fn run(&self, mut main: Option<MainStep<'_>>) -> Result<(), RunError> {
        loop {
            let is_done = self.tick(true, main.as_mut())?;
            if self.stopping.get() {
                return Ok(());
            }
            if is_done {
                self.stopping.set(true);
            }
        }
    }

    /// Takes Ctrl-C over, if it is ours to take; `expected` is what it is to do then.
    pub(crate) fn look_after_ctrl_c(&self, expected: Interrupt) -> Option<LookAfterCtrlC> {
        let ctrl_c =
            if self.ignores_ctrl_c.get() { None } else { LookAfterCtrlC::begin(|| self.wake_fd()) };
        self.interrupt.set(if ctrl_c.is_some() { expected } else { Interrupt::Ignored });
        ctrl_c
    }

    /// Acts on a Ctrl-C that came.
    #[inline]
    pub(crate) fn take_interrupt(&self) {
        if LookAfterCtrlC::has_come() {
            self.act_on_interrupt();
        }
    }

    #[cold]
    fn act_on_interrupt(&self) {
        let expected = self.interrupt.get();
        if !matches!(expected, Interrupt::CancelsMain | Interrupt::EndsShutdown) {
            return;
        }
        let main = self.main.borrow().clone();
        let is_cancelled = match &main {
            Some(main) if expected == Interrupt::CancelsMain => main.cancel(),
            _ => false,
        };
        if is_cancelled {
            return self.interrupt.set(Interrupt::CancelledMain);
        }
        self.interrupt.set(Interrupt::Ended);
        if let Some(phase) = main {
            phase.waker().wake_by_ref();
        }
    }

    /// A descriptor that a signal handler may write to.
    pub(crate) fn wake_fd(&self) -> io::Result<std::os::fd::RawFd> {
        match &mut *self.selector.borrow_mut() {
            Some(selector) => selector.wake_fd(),
            None => Err(io::Error::other(LoopClosed::of(&self.shared))),
        }
    }
}

/// The loop knows the main task until this is dropped.
struct MainTask<'a> {
    inner: &'a Inner,
}

impl<'a> MainTask<'a> {
    fn set(inner: &'a Inner, task: TaskRef) -> Self {
        inner.main.replace(Some(task));
        Self { inner }
    }
}

impl Drop for MainTask<'_> {
    fn drop(&mut self) {
        self.inner.main.replace(None);
    }
}

/// What the main future's waker leads to.
struct Main {
    info: TaskInfo,
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
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            if let Err(refused) = self.handle.push(self.clone().entry()) {
                // By I1 a count of ourselves, and we are `Send`: forgotten, it would keep the loop's wake descriptor open.
                refused.discard();
            }
        }
    }
}

static MAIN: EntryVTable = EntryVTable { run: drop_main, drop: drop_main, describe: describe_main };

/// # Safety
///
/// `ptr` is an `Arc<Main>` made raw, whose count is not taken over. To be called on the loop's thread.
unsafe fn describe_main(ptr: NonNull<()>) -> Work {
    // SAFETY: the caller keeps I1.
    let main = unsafe { ptr.cast::<Main>().as_ref() };
    // SAFETY: by I2 a main is polled by its loop, on this thread.
    Work::task(&main.info, unsafe { main.info.local() })
}

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
    /// The main future was cancelled from inside the program. Inside is what the request had to say.
    Cancelled(CancelledError),
    /// A loop is running in this thread already.
    Nested,
    /// The loop is closed.
    Closed,
    /// The loop is the parent's: this process was forked off after the loop had been made.
    Forked,
    /// The loop was stopped before the future was done.
    Stopped,
    /// On a loop with a virtual clock: nothing could wake it any more.
    Deadlock(Deadlock),
    /// On a loop with a scripted clock: a timer was not as the script expected.
    OffScript(OffScript),
    /// The system refused what a loop needs.
    Os(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted(interrupted) => interrupted.fmt(f),
            // "cancelled", and what the request had to say.
            Self::Cancelled(cancelled) => write!(f, "the main future was {cancelled}"),
            Self::Nested => f.write_str("an event loop is already running in this thread"),
            Self::Closed => f.write_str("event loop is closed"),
            Self::Forked => f.write_str(PARENTS_LOOP),
            Self::Stopped => f.write_str("event loop stopped before the future was done"),
            Self::Deadlock(deadlock) => deadlock.fmt(f),
            Self::OffScript(problem) => problem.fmt(f),
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

/// What a program's `main` returns when all it does is [`run`](crate::run()).
///
/// A value ends the process as it would as `main`'s own result; [`Interrupted`] ends it by SIGINT, as shells expect;
/// another [`RunError`] is printed, and the exit code is 1.
///
/// # Examples
///
/// ```
/// fn main() -> asyncio_loop::Exit {
///     asyncio_loop::run(async { println!("hello") }).into()
/// }
/// ```
#[derive(Debug)]
#[must_use = "return it from `main`"]
pub struct Exit {
    how: Result<ExitCode, RunError>,
}

impl<T: Termination> From<Result<T, RunError>> for Exit {
    fn from(result: Result<T, RunError>) -> Self {
        Self { how: result.map(Termination::report) }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        match self.how {
            Ok(code) => code,
            Err(RunError::Interrupted(interrupted)) => interrupted.exit(),
            Err(error) => {
                eprint!("error: {error}");
                if let Some(cause) = error.source() {
                    eprint!(": {cause}");
                }
                eprintln!();
                ExitCode::FAILURE
            }
        }
    }
}
