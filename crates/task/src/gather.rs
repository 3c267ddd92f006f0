//! `gather`: many futures at once, their results in the order of the arguments.
#![expect(unsafe_code, reason = "gathered tasks are found by a request to cancel on its way down")]

mod batch;

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_coro::scope::{Join, JoinTasks, LeafScope};
use asyncio_coro::task::TaskRef;
use asyncio_loop::get_running_loop;
use pin_project_lite::pin_project;

use crate::join_error::JoinError;
use crate::members;

pub use self::batch::Gatherable;
use self::batch::{Failure, Fallible, Members, Mode, Plain, Settled};

/// Makes a task of each future, at once and in order, and gives all their values in that order: a `Vec` for a list, a
/// tuple for a tuple of up to twelve futures of whatever types.
///
/// When one of them panics or is cancelled, the error is given at once. The others go on; if one of them panics after
/// that, it is reported to the loop's exception handler, as for any task that nobody awaits. No futures: `Ok(vec![])`.
///
/// When the awaiting task is cancelled, all of them are, and have ended when it goes on unwinding. If one of them panics
/// first, that is given instead; but if all give values after all, the awaiting task is cancelled nevertheless, and the
/// values are dropped, as in asyncio. Dropping a `Gather` detaches its tasks.
///
/// # Errors
///
/// The [`JoinError`] of the first that panicked or was cancelled. [`gather_results`] has a `Result` for each instead.
///
/// # Panics
///
/// Panics when no loop is running on this thread.
///
/// # Cancel safety
///
/// Cancelling cancels the tasks, with their cleanup. Values of those that have ended are dropped with it; `create_task`
/// and [`wait`](crate::wait()) keep them.
///
/// # Examples
///
/// ```
/// use asyncio_task::{gather, sleep};
/// use std::time::Duration;
///
/// asyncio_loop::testing::run(async {
///     let late_first = gather((0..3).map(|n| async move {
///         sleep(Duration::from_secs(3 - n)).await;
///         n
///     }));
///     assert_eq!(late_first.await.unwrap(), [0, 1, 2]);
///
///     let (number, text) = gather((async { 7 }, async { "seven" })).await.unwrap();
///     assert_eq!((number, text), (7, "seven"));
/// }).unwrap();
/// ```
#[doc(alias = "join_all")]
#[doc(alias = "join")]
#[track_caller]
pub fn gather<S, G: Gatherable<S>>(futures: G) -> Gather<G::Members, Plain> {
    Gather::new(spawn_all(futures, Location::caller()))
}

/// Like [`gather`], for futures that can fail: the first `Err` is given at once, and the others go on.
///
/// It takes tasks as well: for a [`Task<T>`](crate::Task) the error is its [`JoinError`].
///
/// # Errors
///
/// - [`GatherError::Failed`]: one of the futures gave `Err`.
/// - [`GatherError::Join`]: one panicked or was cancelled.
///
/// # Panics
///
/// Panics when no loop is running on this thread.
///
/// # Cancel safety
///
/// As of [`gather`].
///
/// # Examples
///
/// ```
/// use asyncio_task::{try_gather, GatherError};
///
/// asyncio_loop::run(async {
///     let numbers = try_gather(["1", "2", "x"].map(|text| async move { text.parse::<u8>() })).await;
///     assert!(matches!(numbers, Err(GatherError::Failed(_))));
/// })?;
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
#[doc(alias = "try_join_all")]
#[doc(alias = "try_join")]
#[track_caller]
pub fn try_gather<S, E, G>(futures: G) -> Gather<G::Members, Fallible<E>>
where
    G: Gatherable<S, Members: Members<Fallible<E>>>,
{
    Gather::new(spawn_all(futures, Location::caller()))
}

/// Like [`gather`], but waits for all, whatever becomes of them, and gives a `Result` for each: asyncio's
/// `gather(..., return_exceptions=True)`.
///
/// When the awaiting task is cancelled it is cancelled, whatever the results are.
///
/// # Panics
///
/// Panics when no loop is running on this thread.
///
/// # Cancel safety
///
/// As of [`gather`].
///
/// # Examples
///
/// ```
/// use asyncio_task::gather_results;
///
/// asyncio_loop::run(async {
///     let number = |text: &'static str| async move { text.parse::<u32>().expect("a number") };
///     let results = gather_results([number("7"), number("x")]).await;
///     assert_eq!(results[0].as_ref().unwrap(), &7);
///     assert!(results[1].as_ref().unwrap_err().is_panic());
/// })?;
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
#[doc(alias = "return_exceptions")]
#[doc(alias = "allSettled")]
#[track_caller]
pub fn gather_results<S, G: Gatherable<S>>(futures: G) -> GatherResults<G::Members> {
    GatherResults { gather: Gather::new(spawn_all(futures, Location::caller())) }
}

#[track_caller]
fn spawn_all<S, G: Gatherable<S>>(futures: G, site: &'static Location<'static>) -> G::Members {
    match get_running_loop() {
        Ok(event_loop) => futures.__spawn(&event_loop, site),
        Err(error) => panic!("gather: {error}"),
    }
}

pin_project! {
    /// The future of [`gather`] and [`try_gather`].
    #[must_use = "the results are lost, and panics only reported, unless it is awaited"]
    pub struct Gather<T: Members<M>, M: Mode> {
        #[pin]
        leaf: LeafScope<All<T, M>>,
    }
}

pin_project! {
    /// The future of [`gather_results`].
    #[must_use = "the results are lost, and panics only reported, unless it is awaited"]
    pub struct GatherResults<T: Members<Settled>> {
        #[pin]
        gather: Gather<T, Settled>,
    }
}

impl<T: Members<M>, M: Mode> Gather<T, M> {
    fn new(tasks: T) -> Self {
        Self { leaf: LeafScope::of_tasks(All::new(tasks)) }
    }
}

impl<T: Members<M>, M: Mode> Future for Gather<T, M> {
    type Output = Result<T::Values, M::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().leaf.poll(cx)
    }
}

impl<T: Members<Settled>> Future for GatherResults<T> {
    type Output = T::Values;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let all = self.project().gather.poll(cx);
        all.map(|all| all.expect("the only error is a cancellation, which does not come back"))
    }
}

impl<T: Members<M>, M: Mode> fmt::Debug for Gather<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather").field("pending", &self.leaf.get_ref().left).finish_non_exhaustive()
    }
}

impl<T: Members<Settled>> fmt::Debug for GatherResults<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = self.gather.leaf.get_ref().left;
        f.debug_struct("GatherResults").field("pending", &pending).finish_non_exhaustive()
    }
}

/// Why [`try_gather`] gave no values.
#[derive(Debug)]
#[non_exhaustive]
pub enum GatherError<E> {
    /// A future gave this error.
    Failed(E),
    /// A task was cancelled or panicked.
    Join(JoinError),
}

impl<E> From<JoinError> for GatherError<E> {
    fn from(error: JoinError) -> Self {
        GatherError::Join(error)
    }
}

impl<E: fmt::Display> fmt::Display for GatherError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GatherError::Failed(error) => error.fmt(f),
            GatherError::Join(error) => error.fmt(f),
        }
    }
}

impl<E: Error> Error for GatherError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            GatherError::Failed(error) => error.source(),
            GatherError::Join(error) => error.source(),
        }
    }
}

/// All the tasks, and what is known of them.
struct All<T, M: Mode> {
    tasks: T,
    members: members::Members,
    /// How many tasks have not ended.
    left: usize,
    /// The first error.
    error: Option<M::Error>,
    /// Whether what there is to give was settled at the last poll.
    ///
    /// asyncio's gather is a future, completed by a callback of the last task; who awaits it goes on a tick after that
    /// callback. So do we.
    is_settled: Cell<bool>,
    /// The first task that took a request handed down; then all must end before there is a result.
    cancelled: Cell<Option<usize>>,
    mode: PhantomData<M>,
}

impl<T: Members<M>, M: Mode> All<T, M> {
    fn new(tasks: T) -> Self {
        Self {
            members: members::Members::new(),
            left: tasks.count(),
            tasks,
            error: None,
            is_settled: Cell::new(false),
            cancelled: Cell::new(None),
            mode: PhantomData,
        }
    }
}

/// Nothing in it is pinned.
impl<T, M: Mode> Unpin for All<T, M> {}

impl<T: Members<M>, M: Mode> Join for All<T, M> {
    type Output = Result<T::Values, M::Error>;

    fn poll_join(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { tasks, members, left, error, is_settled, cancelled, .. } = &mut *self;
        let is_first = !members.is_started();
        if !is_settled.get() {
            members.poll(
                cx,
                tasks.count(),
                |index| tasks.at(index),
                |index| {
                    *left -= 1;
                    // Only one can be told. The others stay where they are; a panic is reported when they are dropped.
                    if error.is_none() && tasks.has_failed(index) {
                        *error = Some(tasks.failure(index));
                    }
                },
            );
            if *left > 0 && (error.is_none() || cancelled.get().is_some()) {
                return Poll::Pending;
            }
            is_settled.set(true);
            if !is_first {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        Poll::Ready(match (error.take(), cancelled.get()) {
            (Some(error), _) => Err(error),
            // All have refused, but who awaits them all is cancelled.
            (None, Some(first)) => Err(tasks.at(first).cancelled().into()),
            (None, None) => Ok(tasks.values()),
        })
    }

    fn is_cancelled(output: &Self::Output) -> bool {
        let error = output.as_ref().err().and_then(Failure::join_error);
        error.is_some_and(JoinError::is_cancelled)
    }
}

// SAFETY: `live` calls nothing foreign.
unsafe impl<T: Members<M>, M: Mode> JoinTasks for All<T, M> {
    fn each_task(&self, found: &mut dyn FnMut(TaskRef)) {
        if self.is_settled.get() {
            return;
        }
        (0..self.tasks.count()).filter_map(|index| self.tasks.at(index).live()).for_each(found);
    }

    fn asked(&self) {
        if !self.is_settled.get() && self.cancelled.get().is_none() {
            let mut indexes = 0..self.tasks.count();
            self.cancelled.set(indexes.find(|&index| !self.tasks.at(index).is_finished()));
        }
    }
}
