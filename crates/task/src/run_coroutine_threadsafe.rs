//! `run_coroutine_threadsafe`: another thread has the loop run a coroutine, and waits for what comes of it.
//!
//! What crosses to the loop is the closure that makes the coroutine, which need not be `Send` itself, and the promise of
//! its result. There a task runs a [`Relay`]: the coroutine, and the promise it keeps. Back comes the result through the
//! promise, and a cancel of its future by the task's waker, which is what may be called on any thread.

use std::cell::Cell;
use std::future::{Future, IntoFuture};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use asyncio_coro::task::current_task;
use asyncio_future::concurrent::{self, Completion, Promise};
use asyncio_loop::{LoopHandle, get_running_loop};
use pin_project_lite::pin_project;

use crate::builder::Builder;
use crate::output::Opaque;
use crate::report;

/// Has `event_loop` run a coroutine as a task, from whichever thread this is called, and gives the future of its result.
///
/// `make` goes to the loop's thread and makes the coroutine there, which therefore need not be `Send`. A thread waits for
/// the result with [`result`](concurrent::Future::result); a task of another loop awaits it.
///
/// - A panic of `make`, or of the coroutine, goes on where the result is taken. One of `make` is also reported to the
///   loop's exception handler.
/// - [`cancel`](concurrent::Future::cancel) of the future cancels the task, whose cleanup then runs on the loop; before
///   the task has begun it never begins. A task that is cancelled cancels the future, once it has cleaned up.
/// - A `result` that times out cancels nothing, and dropping the future detaches the task.
/// - If the loop is closed, before or meanwhile, the future is cancelled.
///
/// Do not wait with `result` on the loop's own thread: it would wait for itself.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{get_running_loop, run};
/// use asyncio_task::{run_coroutine_threadsafe, sleep};
/// use std::{rc::Rc, thread, time::Duration};
///
/// run(async {
///     let event_loop = get_running_loop().unwrap().handle();
///     let (done, is_done) = asyncio_future::concurrent::promise();
///     thread::spawn(move || {
///         let answer = run_coroutine_threadsafe(
///             || async {
///                 let half = Rc::new(21); // not `Send`, and need not be
///                 sleep(Duration::from_millis(1)).await;
///                 *half * 2
///             },
///             &event_loop,
///         );
///         done.set_result(answer.result(None).unwrap())
///     });
///     assert_eq!(is_done.await, Ok(42));
/// })?;
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
#[track_caller]
pub fn run_coroutine_threadsafe<C, F>(
    make: C,
    event_loop: &LoopHandle,
) -> concurrent::Future<F::Output>
where
    C: FnOnce() -> F + Send + 'static,
    F: IntoFuture<IntoFuture: 'static, Output: Send + 'static>,
{
    let site = Location::caller();
    let (promise, future) = concurrent::promise();
    // A closed loop drops the callback, and with it the promise: that cancels the future.
    drop(event_loop.call_soon_threadsafe(move || start(make, promise, site)));
    future
}

/// `run_coroutine_threadsafe` as a method of the loop's handle.
pub trait TaskLoopHandleExt: sealed::Sealed {
    /// See [`run_coroutine_threadsafe`].
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{EventLoop, testing};
    /// use asyncio_task::TaskLoopHandleExt;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let answer = event_loop.handle().run_coroutine_threadsafe(|| async { 42 });
    /// testing::run_once(&event_loop)?;
    /// testing::run_once(&event_loop)?;
    /// assert_eq!(answer.result(None)?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    fn run_coroutine_threadsafe<C, F>(&self, make: C) -> concurrent::Future<F::Output>
    where
        C: FnOnce() -> F + Send + 'static,
        F: IntoFuture<IntoFuture: 'static, Output: Send + 'static>;
}

impl TaskLoopHandleExt for LoopHandle {
    #[track_caller]
    fn run_coroutine_threadsafe<C, F>(&self, make: C) -> concurrent::Future<F::Output>
    where
        C: FnOnce() -> F + Send + 'static,
        F: IntoFuture<IntoFuture: 'static, Output: Send + 'static>,
    {
        run_coroutine_threadsafe(make, self)
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for asyncio_loop::LoopHandle {}
}

/// On the loop's thread: makes the coroutine and its task.
fn start<C, F>(make: C, promise: Promise<F::Output>, site: &'static Location<'static>)
where
    C: FnOnce() -> F,
    F: IntoFuture<IntoFuture: 'static, Output: 'static>,
{
    if promise.is_cancelled() {
        return;
    }
    let promise = Rc::new(Cell::new(Some(promise)));
    let started = catch_unwind(AssertUnwindSafe(|| {
        let body = Some(make().into_future());
        let relay = Relay { body, promise: promise.clone(), is_begun: false, is_asked: false };
        let event_loop = get_running_loop().expect("a loop that calls back is running");
        drop(Builder::new().spawn::<_, Opaque>(&event_loop, site, relay));
    }));
    if let Err(payload) = started {
        report::not_started(&*payload, site);
        if let Some(promise) = promise.take() {
            // Refused if it was cancelled in the meantime; it has been reported.
            drop(promise.set_panic(payload));
        }
    }
}

pin_project! {
    /// A coroutine whose result another thread waits for.
    struct Relay<F: Future> {
        #[pin]
        body: Option<F>,
        // After the body: who waits hears of a cancelled task when it has been cleaned up.
        promise: Rc<Cell<Option<Promise<F::Output>>>>,
        is_begun: bool,
        is_asked: bool,
    }
}

impl<F: Future> Future for Relay<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(promise) = this.promise.take() else { return Poll::Ready(()) };
        if !*this.is_begun {
            // The waker of a task is the same all its life, and may be called from any thread.
            let waker = cx.waker().clone();
            promise.add_done_callback(move |how| {
                if how == Completion::Cancelled {
                    waker.wake();
                }
            });
        }
        let is_cancelled = promise.is_cancelled();
        this.promise.set(Some(promise));
        if is_cancelled && !*this.is_asked {
            *this.is_asked = true;
            if let Some(task) = current_task() {
                task.cancel();
            }
            if !*this.is_begun {
                // It never begins: the task unwinds now.
                return Poll::Pending;
            }
        }
        *this.is_begun = true;
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let body = this.body.as_mut().as_pin_mut().expect("a task is not polled after its end");
            let polled = body.poll(cx);
            if polled.is_ready() {
                this.body.set(None);
            }
            polled
        }));
        let result = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Ok(value),
            Err(payload) => Err(payload),
        };
        let promise = this.promise.take().expect("nobody else takes it while the task lives");
        match result {
            // Refused if it is cancelled; then the value is dropped here, on the loop's thread.
            Ok(value) => drop(promise.set_result(value)),
            Err(payload) => {
                if let Err(refused) = promise.set_panic(payload) {
                    // Nobody waits for it any more; so it is the task's, which reports it.
                    resume_unwind(refused.into_inner());
                }
            }
        }
        Poll::Ready(())
    }
}
