//! `gather`: many futures at once, their results in the order of the arguments.
#![expect(unsafe_code, reason = "gathered tasks are found by a request to cancel on its way down")]

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_coro::scope::{Join, JoinTasks, LeafScope};
use asyncio_coro::task::TaskRef;
use asyncio_loop::get_running_loop;
use pin_project_lite::pin_project;

use crate::builder::Builder;
use crate::join_error::JoinError;
use crate::members::Members;
use crate::output::Opaque;
use crate::report;
use crate::task::Handle;

/// Makes a task of each future, at once and in order, and gives all their values in that order.
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
/// The [`JoinError`] of the first that panicked or was cancelled.
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
/// }).unwrap();
/// ```
#[doc(alias = "join_all")]
#[track_caller]
pub fn gather<I>(futures: I) -> Gather<<I::Item as IntoFuture>::Output>
where
    I: IntoIterator<Item: IntoFuture<Output: 'static, IntoFuture: 'static>>,
{
    Gather { leaf: LeafScope::of_tasks(All::new(spawn_all(futures, Location::caller()))) }
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
#[track_caller]
pub fn try_gather<I, T, E>(futures: I) -> TryGather<T, E>
where
    I: IntoIterator<Item: IntoFuture<Output = Result<T, E>, IntoFuture: 'static>>,
    T: 'static,
    E: 'static,
{
    TryGather { leaf: LeafScope::of_tasks(All::new(spawn_all(futures, Location::caller()))) }
}

pin_project! {
    /// The future of [`gather`].
    #[must_use = "the results are lost, and panics only reported, unless it is awaited"]
    pub struct Gather<T> {
        #[pin]
        leaf: LeafScope<All<Plain<T>>>,
    }
}

pin_project! {
    /// The future of [`try_gather`].
    #[must_use = "the results are lost, and panics only reported, unless it is awaited"]
    pub struct TryGather<T, E> {
        #[pin]
        leaf: LeafScope<All<Fallible<T, E>>>,
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

impl<T> Future for Gather<T> {
    type Output = Result<Vec<T>, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().leaf.poll(cx)
    }
}

impl<T, E> Future for TryGather<T, E> {
    type Output = Result<Vec<T>, GatherError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().leaf.poll(cx)
    }
}

impl<T> fmt::Debug for Gather<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather").field("pending", &self.leaf.get_ref().left).finish_non_exhaustive()
    }
}

impl<T, E> fmt::Debug for TryGather<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryGather")
            .field("pending", &self.leaf.get_ref().left)
            .finish_non_exhaustive()
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

/// How the outcome of one task counts for all.
trait Kind {
    type Output;
    type Value;
    type Error;
    fn split(result: Result<Self::Output, JoinError>) -> Result<Self::Value, Self::Error>;
    fn from_join_error(error: JoinError) -> Self::Error;
    fn join_error(error: &Self::Error) -> Option<&JoinError>;
    fn into_join_error(error: Self::Error) -> Option<JoinError>;
}

struct Plain<T>(PhantomData<T>);

impl<T> Kind for Plain<T> {
    type Output = T;
    type Value = T;
    type Error = JoinError;

    fn split(result: Result<T, JoinError>) -> Result<T, JoinError> {
        result
    }

    fn from_join_error(error: JoinError) -> JoinError {
        error
    }

    fn join_error(error: &JoinError) -> Option<&JoinError> {
        Some(error)
    }

    fn into_join_error(error: JoinError) -> Option<JoinError> {
        Some(error)
    }
}

struct Fallible<T, E>(PhantomData<(T, E)>);

impl<T, E> Kind for Fallible<T, E> {
    type Output = Result<T, E>;
    type Value = T;
    type Error = GatherError<E>;

    fn split(result: Result<Result<T, E>, JoinError>) -> Result<T, GatherError<E>> {
        result.map_err(GatherError::Join)?.map_err(GatherError::Failed)
    }

    fn from_join_error(error: JoinError) -> GatherError<E> {
        GatherError::Join(error)
    }

    fn join_error(error: &GatherError<E>) -> Option<&JoinError> {
        match error {
            GatherError::Join(error) => Some(error),
            GatherError::Failed(_) => None,
        }
    }

    fn into_join_error(error: GatherError<E>) -> Option<JoinError> {
        match error {
            GatherError::Join(error) => Some(error),
            GatherError::Failed(_) => None,
        }
    }
}

/// All the tasks, and what is known of them.
struct All<K: Kind> {
    tasks: Vec<Handle<K::Output>>,
    members: Members,
    values: Vec<Option<K::Value>>,
    /// How many tasks have not ended.
    left: usize,
    /// The first error.
    error: Option<K::Error>,
    /// The first task that took a request handed down; then all must end before there is a result.
    cancelled: Cell<Option<usize>>,
}

impl<K: Kind> All<K> {
    fn new(tasks: Vec<Handle<K::Output>>) -> Self {
        let left = tasks.len();
        let values = tasks.iter().map(|_| None).collect();
        Self {
            tasks,
            members: Members::new(),
            values,
            left,
            error: None,
            cancelled: Cell::new(None),
        }
    }
}

/// Nothing in it is pinned.
impl<K: Kind> Unpin for All<K> {}

impl<K: Kind> Join for All<K> {
    type Output = Result<Vec<K::Value>, K::Error>;

    fn poll_join(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { tasks, members, values, left, error, cancelled } = &mut *self;
        members.poll(
            cx,
            tasks.len(),
            |index| &tasks[index],
            |index, task| {
                *left -= 1;
                match K::split(task.take()) {
                    Ok(value) => values[index] = Some(value),
                    Err(first) if error.is_none() => *error = Some(first),
                    // Only one can be told; a panic is not kept from the world all the same.
                    Err(further) => {
                        if let Some(further) = K::into_join_error(further) {
                            report::unseen(further);
                        }
                    }
                }
            },
        );
        if *left > 0 && (error.is_none() || cancelled.get().is_some()) {
            return Poll::Pending;
        }
        Poll::Ready(match (error.take(), cancelled.get()) {
            (Some(error), _) => Err(error),
            // All have refused, but who awaits them all is cancelled.
            (None, Some(first)) => Err(K::from_join_error(tasks[first].cancelled())),
            (None, None) => Ok(values.drain(..).flatten().collect()),
        })
    }

    fn is_cancelled(output: &Self::Output) -> bool {
        let error = output.as_ref().err().and_then(K::join_error);
        error.is_some_and(JoinError::is_cancelled)
    }
}

// SAFETY: `live` calls nothing foreign.
unsafe impl<K: Kind> JoinTasks for All<K> {
    fn each_task(&self, found: &mut dyn FnMut(TaskRef)) {
        for (index, task) in self.tasks.iter().enumerate() {
            if let Some(task) = task.live() {
                self.cancelled.set(self.cancelled.get().or(Some(index)));
                found(task);
            }
        }
    }
}

fn spawn_all<I>(
    futures: I,
    site: &'static Location<'static>,
) -> Vec<Handle<<I::Item as IntoFuture>::Output>>
where
    I: IntoIterator<Item: IntoFuture<Output: 'static, IntoFuture: 'static>>,
{
    match get_running_loop() {
        Ok(event_loop) => futures
            .into_iter()
            .map(|future| {
                let future = future.into_future();
                Builder::new().spawn::<_, Opaque>(&event_loop, site, future)
            })
            .collect(),
        Err(error) => panic!("gather: {error}"),
    }
}
