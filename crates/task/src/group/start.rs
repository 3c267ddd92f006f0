//! `start`: making a child and waiting until it says that it has started.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use asyncio_coro::scope::{Join, JoinTasks, LeafScope};
use asyncio_coro::task::TaskRef;
use pin_project_lite::pin_project;

use crate::builder::Builder;
use crate::group::child::Failed;
use crate::group::family::{Family, Parent};
use crate::join_error::JoinError;
use crate::task::{Handle, Task};

/// What a child made by [`TaskGroup::start`](crate::TaskGroup::start) calls when it is ready for others: trio's
/// `task_status`.
///
/// Dropping it without a call is no error by itself: whoever started the child then waits for its end.
///
/// ```
/// use asyncio_task::{StartError, TaskGroup, TaskStatus};
///
/// asyncio_loop::run(async {
///     let group = TaskGroup::scope(async |group| {
///         let started = group.start(async |_: TaskStatus<u16>| Ok::<(), String>(()));
///         assert!(matches!(started.await, Err(StartError::NotStarted)));
///         Ok(())
///     });
///     group.await.unwrap();
/// })?;
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
pub struct TaskStatus<V> {
    call: Rc<Call<V>>,
}

impl<V> TaskStatus<V> {
    /// Says that the child has started, and gives `value` to who waits for that: an address, a handle, `()`.
    ///
    /// From then on the child is one like any other. If nobody waits any longer, `value` is dropped.
    pub fn started(self, value: V) {
        self.call.started(value);
    }
}

impl<V> fmt::Debug for TaskStatus<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskStatus").finish_non_exhaustive()
    }
}

/// Why [`TaskGroup::start`](crate::TaskGroup::start) gave no value.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError<E> {
    /// The child failed before it had started. The error is yours; the group goes on.
    Failed(E),
    /// The child returned without a call of [`TaskStatus::started`].
    NotStarted,
    /// The child was cancelled or panicked before it had started.
    Join(JoinError),
}

impl<E: fmt::Display> fmt::Display for StartError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Failed(error) => error.fmt(f),
            StartError::NotStarted => f.write_str("the child ended without calling `started`"),
            StartError::Join(error) => error.fmt(f),
        }
    }
}

impl<E: Error> Error for StartError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            StartError::Failed(error) => error.source(),
            StartError::NotStarted => None,
            StartError::Join(error) => error.source(),
        }
    }
}

/// Makes a child of `family` and waits until it has started.
pub(crate) async fn start<'c, P, T, V, E, F>(
    site: &'static Location<'static>,
    family: &Family<'c, E>,
    parent: P,
    child: F,
) -> Result<(V, Task<T>), StartError<E>>
where
    F: AsyncFnOnce(TaskStatus<V>) -> Result<T, E> + 'c,
    P: Parent<E> + Clone + 'c,
    T: 'c,
    V: 'c,
    E: 'c,
{
    let (call, error) = (Rc::new(Call::new()), Rc::new(Cell::new(None)));
    let status = TaskStatus { call: call.clone() };
    let future = Starting {
        future: async move { child(status).await },
        call: call.clone(),
        error: error.clone(),
        parent: parent.clone(),
    };
    let task = Some(family.create(site, Builder::new(), future));
    LeafScope::of_tasks(Starter { task, call, error, parent, gave_way: false }).await
}

/// What a child that is starting and its starter share.
struct Call<V> {
    state: Cell<State>,
    value: Cell<Option<V>>,
    starter: Cell<Option<Waker>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Starting,
    Started,
    /// The starter is to be cancelled: only the child's end counts.
    Cancelled,
    /// The starter is gone.
    Alone,
}

impl<V> Call<V> {
    fn new() -> Self {
        Self { state: Cell::new(State::Starting), value: Cell::new(None), starter: Cell::new(None) }
    }

    fn started(&self, value: V) {
        match self.state.get() {
            State::Starting => self.state.set(State::Started),
            State::Cancelled => {}
            State::Started | State::Alone => return,
        }
        self.value.set(Some(value));
        if let Some(starter) = self.starter.take() {
            starter.wake();
        }
    }
}

pin_project! {
    /// The future of a child made by `start`: its error goes to its starter until it has started, then to the group.
    struct Starting<F, P, V, E> {
        #[pin]
        future: F,
        call: Rc<Call<V>>,
        error: Rc<Cell<Option<E>>>,
        parent: P,
    }
}

impl<F, P, T, V, E> Future for Starting<F, P, V, E>
where
    F: Future<Output = Result<T, E>>,
    P: Parent<E>,
{
    type Output = Result<T, Failed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.future.poll(cx));
        Poll::Ready(result.map_err(|error| match this.call.state.get() {
            State::Starting | State::Cancelled => {
                this.error.set(Some(error));
                Failed::Starter
            }
            State::Started | State::Alone => {
                this.parent.take_error(error);
                Failed::Group
            }
        }))
    }
}

/// Waits for a child to start. Dropped before, it cancels the child and leaves it to the group.
struct Starter<P: Parent<E>, T, V, E> {
    /// Taken when there is something to give.
    task: Option<Handle<T>>,
    call: Rc<Call<V>>,
    error: Rc<Cell<Option<E>>>,
    parent: P,
    /// Whether a cancelled child has been held back once: most likely its group has cancelled this very task too, and
    /// that comes first.
    gave_way: bool,
}

/// Nothing in it is pinned.
impl<P: Parent<E>, T, V, E> Unpin for Starter<P, T, V, E> {}

impl<P: Parent<E>, T, V, E> Join for Starter<P, T, V, E> {
    type Output = Result<(V, Task<T>), StartError<E>>;

    fn poll_join(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.call.state.get() == State::Started {
            return Poll::Ready(self.end());
        }
        let task = self.task.as_ref().expect("not polled after its end");
        if task.poll_done(cx).is_ready() {
            let was_cancelled = task.ended_with(JoinError::is_cancelled);
            if was_cancelled && self.call.state.get() == State::Starting && !self.gave_way {
                self.gave_way = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            return Poll::Ready(self.end());
        }
        let waker = cx.waker().clone();
        let stale = self.call.starter.replace(Some(waker));
        drop(stale);
        Poll::Pending
    }

    fn is_cancelled(output: &Self::Output) -> bool {
        matches!(output, Err(StartError::Join(error)) if error.is_cancelled())
    }
}

// SAFETY: `live` calls nothing foreign.
unsafe impl<P: Parent<E>, T, V, E> JoinTasks for Starter<P, T, V, E> {
    fn each_task(&self, found: &mut dyn FnMut(TaskRef)) {
        // A child that has started is no longer ours to cancel: its start is delivered.
        if self.call.state.get() != State::Started {
            self.task.as_ref().and_then(Handle::live).into_iter().for_each(found);
        }
    }

    fn asked(&self) {
        self.each_task(&mut |_| self.call.state.set(State::Cancelled));
    }
}

impl<P: Parent<E>, T, V, E> Starter<P, T, V, E> {
    /// What there is to give, once the child has started or ended.
    fn end(&mut self) -> Result<(V, Task<T>), StartError<E>> {
        let task = self.task.take().expect("a child starts once");
        let has_started = self.call.state.replace(State::Alone) == State::Started;
        if let Some(error) = self.error.take() {
            return Err(StartError::Failed(error));
        }
        let has_value = has_started || !task.ended_with(|_| true);
        match self.call.value.take() {
            Some(value) if has_value => Ok((value, Task::new(task))),
            _ => Err(task.take().map_or_else(StartError::Join, |_| StartError::NotStarted)),
        }
    }
}

impl<P: Parent<E>, T, V, E> Drop for Starter<P, T, V, E> {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        self.call.state.set(State::Alone);
        task.cancel(None);
        if let Some(error) = self.error.take() {
            // It had failed, and nobody was told.
            self.parent.take_error(error);
            self.parent.abort();
        }
    }
}
