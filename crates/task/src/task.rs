//! `Task`: the handle of a task, of the loop or of a group.
#![expect(unsafe_code, reason = "awaited tasks are found by a request to cancel on its way down")]

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use asyncio_coro::scope::{Join, JoinTasks, LeafScope};
use asyncio_coro::task::{LocalInfo, TaskId, TaskInfo, TaskRef, current_task};
use pin_project_lite::pin_project;

use crate::builder::running;
use crate::done_callbacks::{CallbackId, DoneTask};
use crate::group::ChildHandle;
use crate::join_error::{Identity, JoinError, Reason};
use crate::members::AnyTask;
use crate::registry::Registry;
use crate::spawn::Spawned;

pin_project! {
    /// The handle of a task: await it for the task's value, cancel it, name it.
    ///
    /// Made by [`create_task`](crate::create_task) and [`TaskGroup::create_task`](crate::TaskGroup::create_task).
    /// Dropping it detaches the task, which goes on. If the task has panicked, or does so later, and nobody is left to
    /// see it, the panic is reported to the loop's exception handler with the task's name and the place where it was
    /// created.
    ///
    /// # Awaiting
    ///
    /// `task.await` gives `Ok` with the task's value, or a [`JoinError`] that says whether it was cancelled or
    /// panicked. When the *awaiting* task is cancelled meanwhile, the awaited one is cancelled with it, once, and has
    /// ended, cleanup included, when the awaiting task goes on unwinding. If it returns a value after all, that value is
    /// delivered and the request is swallowed, as in asyncio. [`shield`](crate::shield) does not hand a request down.
    ///
    /// A task that awaits itself gets an error, not a deadlock. Tasks that await each other in a circle wait until one of
    /// them is cancelled; then all are.
    ///
    /// The handle has a place in the tree of cancellation scopes, so it must be pinned to be polled: `.await` does that,
    /// [`pin!`](std::pin::pin) does, and [`shield`](crate::shield) and [`wait`](crate::wait()) need no pinning.
    ///
    /// # Panics
    ///
    /// Panics when it is polled again after it has given its result.
    ///
    /// # Cancel safety
    ///
    /// See above: cancelling hands the request down, and dropping the awaiting future detaches the task. Use `shield` or
    /// `wait` to be able to come back to it.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_task::create_task;
    ///
    /// asyncio_loop::run(async {
    ///     let answer = create_task(async { 6 * 7 });
    ///     answer.set_name("answer");
    ///     assert!(!answer.done());
    ///     assert_eq!(answer.await.unwrap(), 42);
    /// })?;
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    #[doc(alias = "JoinHandle")]
    pub struct Task<T> {
        #[pin]
        leaf: LeafScope<Handle<T>>,
    }
}

impl<T> Task<T> {
    pub(crate) fn new(handle: Handle<T>) -> Self {
        Self { leaf: LeafScope::of_tasks(handle) }
    }

    pub(crate) fn handle(&self) -> &Handle<T> {
        self.leaf.get_ref()
    }

    /// Asks the task to unwind from the inside out, with the cleanup of all its scopes. Returns false if it has ended.
    ///
    /// The task becomes cancelled only if nothing in it swallows the request. If it has not taken its first step, it
    /// never runs.
    pub fn cancel(&self) -> bool {
        self.handle().cancel(None)
    }

    /// Asks the task to unwind, as [`cancel`](Self::cancel) does, and says why.
    ///
    /// Who catches the cancellation in the task finds the message in the
    /// [`CancelledError`](asyncio_coro::CancelledError), and who awaits the task in the [`JoinError`]. A further request
    /// before the task has unwound replaces it by its own message, or by none.
    ///
    /// ```
    /// use asyncio_task::create_task;
    /// asyncio_loop::run(async {
    ///     let task = create_task(std::future::pending::<()>());
    ///     task.cancel_with("no longer needed");
    ///     assert_eq!(task.await.unwrap_err().cancel_message(), Some("no longer needed"));
    /// })?;
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    #[doc(alias = "msg")]
    pub fn cancel_with(&self, message: impl fmt::Display) -> bool {
        self.handle().cancel(Some(message.to_string().into()))
    }

    /// How many requests to cancel are outstanding: each [`cancel`](Self::cancel) counts, swallowed or not, until
    /// [`uncancel`](Self::uncancel) takes it back.
    #[must_use]
    pub fn cancelling(&self) -> u32 {
        self.handle().cancelling()
    }

    /// Takes one request back and returns how many are left. At 0 a request that was not delivered yet is withdrawn.
    pub fn uncancel(&self) -> u32 {
        self.handle().local().uncancel()
    }

    /// Says whether the task has ended.
    #[doc(alias = "is_finished")]
    #[must_use]
    pub fn done(&self) -> bool {
        self.handle().is_finished()
    }

    /// Says whether the task has ended and was cancelled.
    ///
    /// ```
    /// use asyncio_task::{create_task, wait, ReturnWhen};
    /// asyncio_loop::run(async {
    ///     let mut tasks = vec![create_task(std::future::pending::<()>())];
    ///     tasks[0].cancel();
    ///     let done = wait(&mut tasks, None, ReturnWhen::AllCompleted).await;
    ///     assert!(done[0].cancelled());
    /// })?;
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    #[must_use]
    pub fn cancelled(&self) -> bool {
        match self.handle() {
            Handle::Loop(task) => task.is_finished() && task.local().cancelled(),
            Handle::Child(task) => task.was_cancelled(),
        }
    }

    /// Looks at how the task ended, and leaves it where it is. `None` while the task has not ended, and once its result
    /// was given.
    ///
    /// What was looked at is not reported as something that nobody has seen.
    ///
    /// ```
    /// use asyncio_task::{create_task, sleep};
    /// use std::time::Duration;
    ///
    /// asyncio_loop::run(async {
    ///     let task = create_task(async { String::from("ready") });
    ///     assert_eq!(task.with_result(|_| ()), None);
    ///     sleep(Duration::ZERO).await;
    ///     assert_eq!(task.with_result(|result| result.as_ref().unwrap().len()), Some(5));
    ///     assert_eq!(task.await.unwrap(), "ready");
    /// })?;
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    #[doc(alias = "result")]
    #[doc(alias = "exception")]
    pub fn with_result<R>(&self, look: impl FnOnce(&Result<T, JoinError>) -> R) -> Option<R> {
        if let Handle::Loop(task) = self.handle() {
            task.mark_seen();
        }
        self.handle().with_result(look)
    }

    /// Takes the result of a task that has ended, without awaiting. `None` while it has not ended, and once its result
    /// was given.
    ///
    /// ```
    /// use asyncio_task::Builder;
    ///
    /// asyncio_loop::run(async {
    ///     let task = Builder::new().eager_start(true).create_task(async { 7 });
    ///     assert_eq!(task.take_result().unwrap().unwrap(), 7);
    ///     assert!(task.take_result().is_none());
    /// })?;
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    pub fn take_result(&self) -> Option<Result<T, JoinError>> {
        if self.handle().learn() { self.handle().result().take() } else { None }
    }

    /// Has the loop call `callback` once the task has ended: by `call_soon`, in the order in which they were added; soon, if
    /// it has ended already.
    ///
    /// The callback learns which task ended and how, not its value: that belongs to who awaits the task. A panic in it is
    /// reported. When the loop is closed first, it is dropped.
    ///
    /// # Panics
    ///
    /// Panics when no loop is running on this thread.
    ///
    /// ```
    /// use asyncio_task::{create_task, sleep};
    /// use std::{cell::RefCell, rc::Rc, time::Duration};
    ///
    /// asyncio_loop::run(async {
    ///     let ended = Rc::new(RefCell::new(String::new()));
    ///     let task = create_task(async {});
    ///     task.set_name("worker");
    ///     task.add_done_callback({
    ///         let ended = ended.clone();
    ///         move |task| ended.borrow_mut().push_str(task.name())
    ///     });
    ///     task.await.unwrap();
    ///     sleep(Duration::ZERO).await;
    ///     assert_eq!(*ended.borrow(), "worker");
    /// })?;
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    #[track_caller]
    pub fn add_done_callback(&self, callback: impl FnOnce(&DoneTask) + 'static) -> CallbackId {
        let event_loop = running("add_done_callback");
        let registry = Registry::of(&event_loop);
        registry.callbacks().add(&event_loop, self.handle().local(), Box::new(callback))
    }

    /// Forgets a callback. False if there is none of that number: it was removed before, or is due.
    ///
    /// # Panics
    ///
    /// Panics when no loop is running on this thread.
    #[track_caller]
    pub fn remove_done_callback(&self, id: CallbackId) -> bool {
        let registry = Registry::of(&running("remove_done_callback"));
        registry.callbacks().remove(self.id(), id)
    }

    /// The task's name: what [`set_name`](Self::set_name) gave it, or `Task-` and its number.
    #[doc(alias = "name")]
    #[must_use]
    pub fn get_name(&self) -> String {
        self.handle().local().name()
    }

    /// Names the task, for reports.
    pub fn set_name(&self, name: impl Into<Box<str>>) {
        self.handle().local().set_name(name);
    }

    /// The context that the task runs in, or ran in. `None` for a child of a group that has ended, and for a task that ended
    /// without having had any values.
    ///
    /// ```
    /// use asyncio_task::{Builder, create_task};
    /// use asyncio_coro::Context;
    /// asyncio_loop::run(async {
    ///     let context = Context::new();
    ///     let task = Builder::new().context(context.clone()).create_task(async {});
    ///     assert!(task.get_context().unwrap().ptr_eq(&context));
    ///     let task = create_task(async {});
    ///     assert!(!task.get_context().unwrap().ptr_eq(&context));
    /// })?;
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    #[must_use]
    pub fn get_context(&self) -> Option<asyncio_coro::Context> {
        self.handle().local().context()
    }

    /// The task's number, which no other task of this process has.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.info().id()
    }

    /// Where the task was created.
    #[must_use]
    pub fn site(&self) -> &'static Location<'static> {
        self.info().site()
    }

    fn info(&self) -> &TaskInfo {
        self.handle().local().info()
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().leaf.poll(cx)
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handle = self.handle();
        let state = match (handle.is_finished(), self.cancelling()) {
            (true, _) if self.cancelled() => "cancelled",
            (true, _) if handle.local().panicked() => "panicked",
            (true, _) => "finished",
            (false, 0) => "pending",
            (false, _) => "cancelling",
        };
        write!(f, "<Task {state} name={:?}", self.get_name())?;
        let awaits = handle.live().map_or_else(Vec::new, |task| task.awaits());
        if !awaits.is_empty() {
            let names: Vec<_> = awaits.iter().map(TaskRef::name).collect();
            write!(f, " wait_for={names:?}")?;
        }
        write!(f, " created at {}>", self.site())
    }
}

/// What a [`Task`] holds. All of it works on `&self`: a waker that is cloned or dropped in here may call anything.
pub(crate) enum Handle<T> {
    Loop(Spawned<T>),
    Child(ChildHandle<T>),
}

impl<T> Handle<T> {
    pub(crate) fn local(&self) -> LocalInfo<'_> {
        match self {
            Handle::Loop(task) => task.local(),
            Handle::Child(task) => task.task().local(),
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::from(self.local())
    }

    pub(crate) fn cancel(&self, message: Option<Arc<str>>) -> bool {
        match self {
            Handle::Loop(task) => task.cancel(message),
            Handle::Child(task) => task.cancel(message),
        }
    }

    /// The error of who waits for this task, and is told that it was cancelled.
    pub(crate) fn cancelled(&self) -> JoinError {
        JoinError::cancelled(self.identity(), self.local().cancel_message())
    }

    pub(crate) fn cancelling(&self) -> u32 {
        self.local().cancelling()
    }

    /// The task itself, if it has not ended. Calls no foreign code: a waker of ours is cloned, and the registry looked at.
    pub(crate) fn live(&self) -> Option<TaskRef> {
        match self {
            Handle::Loop(task) => task.live(),
            Handle::Child(task) => (!task.is_finished()).then(|| task.task().clone()),
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Handle::Loop(task) => task.is_finished(),
            Handle::Child(task) => task.is_finished(),
        }
    }

    /// Ready once the task has ended. The result stays until [`take`](Self::take).
    pub(crate) fn poll_done(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Handle::Loop(task) => task.poll_done(cx),
            Handle::Child(task) => task.poll_done(cx),
        }
    }

    /// How the task ended, once it has.
    ///
    /// # Panics
    ///
    /// Panics if it has been taken already.
    pub(crate) fn take(&self) -> Result<T, JoinError> {
        self.result().take().expect("a task gives its result once, and was awaited again")
    }

    /// Says whether the task has ended without a value and `is` holds for why.
    pub(crate) fn ended_with(&self, is: impl Fn(&JoinError) -> bool) -> bool {
        self.with_result(|result| result.as_ref().is_err_and(is)).unwrap_or(false)
    }

    /// Looks at how the task ended, once it has and until somebody takes it.
    pub(crate) fn with_result<R>(
        &self,
        look: impl FnOnce(&Result<T, JoinError>) -> R,
    ) -> Option<R> {
        if self.learn() { peek(self.result(), look) } else { None }
    }

    /// Whether the task has ended; how is in [`result`](Self::result) then, until somebody takes it.
    fn learn(&self) -> bool {
        self.is_finished() && self.poll_done(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// How the task ended, once that has been learned and until somebody takes it.
    fn result(&self) -> &Cell<Option<Result<T, JoinError>>> {
        match self {
            Handle::Loop(task) => task.result(),
            Handle::Child(task) => task.result(),
        }
    }
}

impl<T> AnyTask for Handle<T> {
    fn is_finished(&self) -> bool {
        Handle::is_finished(self)
    }

    fn poll_done(&self, cx: &mut Context<'_>) -> Poll<()> {
        Handle::poll_done(self, cx)
    }

    fn live(&self) -> Option<TaskRef> {
        Handle::live(self)
    }

    fn cancelled(&self) -> JoinError {
        Handle::cancelled(self)
    }
}

impl<T> Join for Handle<T> {
    type Output = Result<T, JoinError>;

    fn poll_join(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.is_finished()
            && current_task().is_some_and(|me| me.id() == self.local().info().id())
        {
            return Poll::Ready(Err(JoinError::new(self.identity(), Reason::Itself)));
        }
        ready!(self.poll_done(cx));
        if let Handle::Child(child) = &*self {
            // A failed child has had its group cancel this very task, most likely; that comes first, as in asyncio.
            if child.give_way() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        Poll::Ready(self.take())
    }

    fn is_cancelled(output: &Self::Output) -> bool {
        output.as_ref().is_err_and(|error| error.is_cancelled() || error.is_failed())
    }
}

// SAFETY: `live` calls nothing foreign.
unsafe impl<T> JoinTasks for Handle<T> {
    fn each_task(&self, found: &mut dyn FnMut(TaskRef)) {
        self.live().into_iter().for_each(found);
    }
}

/// Looks at what is in `cell`, which is empty meanwhile.
pub(crate) fn peek<V, R>(cell: &Cell<Option<V>>, look: impl FnOnce(&V) -> R) -> Option<R> {
    /// Puts it back, also when `look` panics.
    struct PutBack<'a, V>(&'a Cell<Option<V>>, Option<V>);
    impl<V> Drop for PutBack<'_, V> {
        fn drop(&mut self) {
            self.0.set(self.1.take());
        }
    }
    let taken = PutBack(cell, cell.take());
    taken.1.as_ref().map(look)
}
