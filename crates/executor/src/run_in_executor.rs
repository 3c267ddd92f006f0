//! Running a call that blocks in a thread, and awaiting it.

use std::fmt;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_coro::CancelledError;
use asyncio_future::concurrent;
use asyncio_loop::get_running_loop;

use crate::default_executor::DefaultExecutor;
use crate::error::{SubmitError, SubmitErrorReason};
use crate::thread_pool::ThreadPoolExecutor;

/// Has a thread of `executor` call `f`, now; without one, a thread of the running loop's default
/// executor, which is made on demand: as many threads as processors + 4, at most 32.
///
/// Awaiting the handle gives what `f` returns. [`to_thread`] is the short form.
///
/// # Errors
///
/// `f`, when the executor was shut down, could not start its first thread, or when the default one
/// is asked for and no loop runs.
///
/// # Examples
///
/// ```
/// use asyncio_executor::run_in_executor;
///
/// let sum = asyncio_loop::run(async {
///     let (a, b) = (run_in_executor(None, || 20).unwrap(), run_in_executor(None, || 22).unwrap());
///     a.await.unwrap() + b.await.unwrap()
/// });
/// assert_eq!(sum.unwrap(), 42);
/// ```
#[track_caller]
pub fn run_in_executor<F, T>(
    executor: Option<&ThreadPoolExecutor>,
    f: F,
) -> Result<RunInExecutor<T>, SubmitError<F>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    submit(executor, f, Location::caller())
}

fn submit<F, T>(
    executor: Option<&ThreadPoolExecutor>,
    f: F,
    site: &'static Location<'static>,
) -> Result<RunInExecutor<T>, SubmitError<F>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let event_loop = get_running_loop().ok();
    // While the job is under way a virtual clock stands still.
    let working = event_loop.as_ref().map(|event_loop| event_loop.external_work());
    let job = match (executor, &event_loop) {
        (Some(executor), _) => executor.submit_with(f, working, site)?,
        (None, Some(event_loop)) => match DefaultExecutor::of(event_loop).get() {
            Some(executor) => executor.submit_with(f, working, site)?,
            None => return Err(SubmitError::new(f, SubmitErrorReason::Shutdown)),
        },
        (None, None) => return Err(SubmitError::new(f, SubmitErrorReason::NoRunningLoop)),
    };
    Ok(RunInExecutor { job, awaited: false })
}

/// A job in an executor; from [`run_in_executor`].
///
/// # Cancel safety
///
/// Dropped before it was ever awaited, it lets the job go its way. Dropped while awaited, as when
/// the task is cancelled, it cancels the job if no thread has begun it; a job that runs goes on to
/// its end, and its result is dropped on its thread.
///
/// # Panics
///
/// An await panics with the payload of `f`, if that panics.
#[must_use = "await it for the result, or `drop` it to let the job run by itself"]
pub struct RunInExecutor<T> {
    job: concurrent::Future<T>,
    awaited: bool,
}

impl<T> RunInExecutor<T> {
    /// Cancels the job unless a thread has begun it: `true` if it will never run.
    pub fn cancel(&self) -> bool {
        self.job.cancel()
    }

    /// Whether the job has ended or was cancelled.
    pub fn done(&self) -> bool {
        self.job.done()
    }

    /// The job as a future that other threads can wait for.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_executor::run_in_executor;
    /// use asyncio_future::wrap_future;
    ///
    /// asyncio_loop::run(async {
    ///     let job = run_in_executor(None, || 7).unwrap().into_concurrent();
    ///     let shared = wrap_future(job).unwrap();
    ///     assert_eq!(((&shared).await, (&shared).await), (Ok(7), Ok(7)));
    /// }).unwrap();
    /// ```
    pub fn into_concurrent(mut self) -> concurrent::Future<T> {
        self.awaited = false;
        // A stand-in that is done: the drop of `self` has nothing to cancel.
        mem::replace(&mut self.job, concurrent::promise().1)
    }
}

impl<T> Future for RunInExecutor<T> {
    type Output = Result<T, CancelledError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.awaited = true;
        Pin::new(&mut self.job).poll(cx)
    }
}

impl<T> Drop for RunInExecutor<T> {
    fn drop(&mut self) {
        if self.awaited {
            self.job.cancel();
        }
    }
}

impl<T> fmt::Debug for RunInExecutor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RunInExecutor").field(&self.job).finish()
    }
}

/// Calls `f` in a thread of the loop's default executor and gives what it returns.
///
/// Nothing happens before the first poll.
///
/// # Cancel safety
///
/// Cancelled before a thread begins, `f` is never called. Once it runs it goes on to its end, its
/// result is dropped on its thread, and the canceller does not wait for it.
///
/// # Panics
///
/// With the payload of `f`, if that panics. When no loop runs on this thread, when the default
/// executor was shut down (the loop is closing and its tasks have ended), or when the system refuses
/// its very first thread; [`run_in_executor`] answers these with an error.
///
/// # Examples
///
/// ```
/// let text = asyncio_loop::run(async {
///     asyncio_executor::to_thread(|| std::fs::read_to_string("Cargo.toml")).await
/// });
/// assert!(text.unwrap().unwrap().contains("asyncio-executor"));
/// ```
#[track_caller]
#[doc(alias = "spawn_blocking")]
pub fn to_thread<F, T>(f: F) -> ToThread<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    ToThread { state: State::Fresh(f), site: Location::caller() }
}

/// A call in a thread; from [`to_thread`].
#[must_use = "futures do nothing unless awaited"]
pub struct ToThread<F, T> {
    state: State<F, T>,
    site: &'static Location<'static>,
}

enum State<F, T> {
    Fresh(F),
    Submitted(RunInExecutor<T>),
    Ended,
}

// `f` is moved out before anything is done with it, and never pinned.
impl<F, T> Unpin for ToThread<F, T> {}

impl<F, T> Future for ToThread<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = T;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut job = match mem::replace(&mut self.state, State::Ended) {
            State::Submitted(job) => job,
            State::Ended => panic!("`to_thread` was polled after it had ended"),
            State::Fresh(f) => match submit(None, f, self.site) {
                Ok(job) => job,
                Err(error) => panic!("`to_thread` at {}: {error}", self.site),
            },
        };
        let Poll::Ready(result) = Pin::new(&mut job).poll(cx) else {
            self.state = State::Submitted(job);
            return Poll::Pending;
        };
        match result {
            Ok(value) => Poll::Ready(value),
            Err(_) => panic!("`to_thread` at {}: the executor cancelled it", self.site),
        }
    }
}

impl<F, T> fmt::Debug for ToThread<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Fresh(_) => "fresh",
            State::Submitted(_) => "submitted",
            State::Ended => "ended",
        };
        write!(f, "<ToThread {state} at {}>", self.site)
    }
}
