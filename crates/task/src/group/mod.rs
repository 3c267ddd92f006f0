//! `TaskGroup`: children that borrow, and that have all ended when the group's scope is left.
//!
//! A group is one future. Its children live inside it and are polled from its `poll` only, never by the loop; that is
//! what lets them borrow: a future that is forgotten is never polled again, so neither are they. Each child has a waker
//! of its own, which puts its number on the group's [ready list](crate::ready), so that a poll of the group polls the
//! children that were woken and no others; see [`family`].
//!
//! The group's future is `finally_with(Drive, JoinChildren)`. [`Drive`] polls the body and the children until all have
//! ended. When a request to cancel comes from outside, the body unwinds first, while the children still run; then
//! `Drive` is dropped, and [`JoinChildren`] cancels the children and polls them to their end. A newer request cancels
//! them again. When a child fails the group is *aborted*: its own scope around the body is cancelled, and so are the
//! other children, and `Drive` goes on to the end. No other scope ever hears of that.
//!
//! # Invariants
//!
//! - **G1** The `TaskGroup` is a local of the future of `run`, so it does not move, and it lives until everything that
//!   has the reference `&'scope TaskGroup` is gone: the body and the cleanup are dropped before it because they are
//!   declared after it, and all children are dropped by [`Teardown`], also declared after it. When that has run the
//!   group is closed and takes no more. If the future is forgotten, the group and its children are forgotten with it,
//!   in memory that is never freed.
#![expect(unsafe_code, reason = "the group's future refers to the group beside it")]

mod child;
mod drive;
mod exception_group;
mod family;
mod handle;
mod owned;
mod start;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::panic::Location;

use asyncio_coro::CancelScope;
use asyncio_coro::scope::finally_with;
use asyncio_loop::get_running_loop;

use crate::builder::Builder;
use crate::task::Task;

use self::child::Reporting;
pub(crate) use self::child::stillborn;
use self::drive::{Drive, JoinChildren};
pub use self::exception_group::ExceptionGroup;
use self::family::{Family, Parent};
pub(crate) use self::handle::ChildHandle;
pub use self::owned::OwnedTaskGroup;
pub use self::start::{StartError, TaskStatus};

/// Tasks that belong together: all have ended when the scope is left, and they may borrow from the function around it.
///
/// See [`scope`](Self::scope). The two lifetimes are those of [`std::thread::scope`]: `'env` is what the children may
/// borrow from, `'scope` is how long the group lives.
// `E: 'env` is no demand that a caller could notice: `'env` shrinks to fit. Without it the compiler knows two unrelated
// upper bounds of `'scope`, gives up choosing, and asks that all that children borrow be `'static` when `E` is a reference.
pub struct TaskGroup<'scope, 'env: 'scope, E: 'env> {
    family: Family<'scope, E>,
    /// Cancelled to abort the body.
    body: CancelScope,
    // Both invariant.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl<'env, E: 'env> TaskGroup<'_, 'env, E> {
    /// Runs `body` with a new group; comes back when `body` *and* every child have ended.
    ///
    /// Children are made with [`create_task`](Self::create_task) and may borrow whatever outlives the call, without `Arc`
    /// and without `'static`. The children run concurrently with the body and with each other, on one thread.
    ///
    /// - All well: the value of `body`.
    /// - A child fails: the body and the other children are cancelled, with their cleanup, and awaited.
    /// - The body fails: the children are cancelled and awaited.
    /// - A child or the body panics: the rest is cancelled and awaited, then the panic goes on.
    /// - Cancelled from outside: the body unwinds while the children go on, then the children are cancelled and awaited.
    ///   A further request cancels them again. If one of them fails meanwhile, or had failed before, the errors are given
    ///   in place of the cancellation, and the request is met at the next suspension after the scope.
    ///
    /// That a child was cancelled on its own, by its handle, is no error.
    ///
    /// # Errors
    ///
    /// An [`ExceptionGroup`] with every error, of the children in the order in which they failed, of the body last. It is
    /// empty if [`cancel`](Self::cancel) has cut the body short and there was no error.
    ///
    /// # Cancel safety
    ///
    /// Cancelling unwinds the body and all children. Dropping the future drops them, in this order.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_task::{sleep, TaskGroup};
    /// use std::cell::RefCell;
    /// use std::time::Duration;
    ///
    /// asyncio_loop::testing::run(async {
    ///     let words = vec![String::from("to"), String::from("be")];
    ///     let seen = RefCell::new(Vec::new());
    ///     let total = TaskGroup::scope(async |group| {
    ///         for word in &words {
    ///             group.create_task(async {
    ///                 sleep(Duration::from_secs(1)).await;
    ///                 seen.borrow_mut().push(word.as_str()); // borrows both
    ///                 Ok(())
    ///             });
    ///         }
    ///         let first = group.create_task(async { Ok(words[0].len()) });
    ///         Ok::<_, std::io::Error>(first.await? + 1)
    ///     });
    ///     assert_eq!(total.await.unwrap(), 3);
    ///     assert_eq!(*seen.borrow(), ["to", "be"]);
    /// }).unwrap();
    /// ```
    ///
    /// What lives in the body itself may end before a child does, so no child may borrow it:
    ///
    /// ```compile_fail,E0597
    /// # use asyncio_task::TaskGroup;
    /// # async fn outer() {
    /// TaskGroup::scope(async |group| {
    ///     let local = String::from("gone when the body ends");
    ///     let borrowed = &local;
    ///     group.create_task(async move { Ok::<_, String>(borrowed.len()) });
    ///     Ok(())
    /// }).await.unwrap();
    /// # }
    /// ```
    #[track_caller]
    pub fn scope<R, F>(body: F) -> impl Future<Output = Result<R, ExceptionGroup<E>>>
    where
        F: for<'scope> AsyncFnOnce(&'scope TaskGroup<'scope, 'env, E>) -> Result<R, E>,
    {
        Self::run(Location::caller(), body)
    }

    /// The future of [`scope`](Self::scope), called at `site`.
    async fn run<R, F>(site: &'static Location<'static>, body: F) -> Result<R, ExceptionGroup<E>>
    where
        F: for<'scope> AsyncFnOnce(&'scope TaskGroup<'scope, 'env, E>) -> Result<R, E>,
    {
        let place = TaskGroup::new();
        let place: *const TaskGroup<'_, 'env, E> = &raw const place;
        // SAFETY: by G1 the group stays where it is for as long as the reference is used.
        let group = unsafe { &*place };
        let _teardown = Teardown(group);
        let drive = Drive::new(group, group.body.run(body(group)));
        let ended = finally_with(drive, JoinChildren::new(&group.family)).made_at(site).await;
        group.family.resume_panic();
        let errors = group.family.take_errors();
        match ended {
            Some(value) if errors.is_empty() => Ok(value),
            _ => Err(ExceptionGroup::of_task_group(errors)),
        }
    }
}

impl<'scope, 'env, E: 'env> TaskGroup<'scope, 'env, E> {
    /// Makes a task of `future` in this group; it takes its first step in the next tick.
    ///
    /// It has everything a task has: a name, a handle to await and cancel it, a place in `all_tasks`. If it gives `Err`,
    /// that error goes to the group, and the handle's is a [`JoinError`](crate::JoinError) that is neither a cancellation
    /// nor a panic. Children may make further children, also when the body has ended.
    ///
    /// A group that is being aborted, or is over, takes no more: `future` is dropped, and the handle is that of a
    /// cancelled task.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_task::TaskGroup;
    ///
    /// asyncio_loop::run(async {
    ///     let text = String::from("borrowed");
    ///     let length = TaskGroup::scope(async |group| {
    ///         let child = group.create_task(async { Ok::<_, std::io::Error>(text.len()) });
    ///         child.set_name("measure");
    ///         Ok(child.await?)
    ///     });
    ///     assert_eq!(length.await.unwrap(), 8);
    /// })?;
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    #[track_caller]
    pub fn create_task<T, F>(&'scope self, future: F) -> Task<T>
    where
        F: IntoFuture<Output = Result<T, E>, IntoFuture: 'scope>,
        T: 'scope,
    {
        self.create_task_with(Builder::new(), future)
    }

    /// [`create_task`](Self::create_task) with a name, a context, or an eager start.
    ///
    /// The loop's [task factory](crate::TaskLoopExt::set_task_factory) has its say, as for every task. A child that fails in
    /// its eager step aborts the group in the group's next turn, not before.
    ///
    /// ```
    /// use asyncio_task::{Builder, TaskGroup};
    ///
    /// asyncio_loop::run(async {
    ///     let group = TaskGroup::scope(async |group| {
    ///         let builder = Builder::new().name("at once").eager_start(true);
    ///         let child = group.create_task_with(builder, async { Ok::<_, String>(7) });
    ///         assert!(child.done());
    ///         assert_eq!(child.get_name(), "at once");
    ///         Ok(())
    ///     });
    ///     group.await.unwrap();
    /// })?;
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    #[track_caller]
    pub fn create_task_with<T, F>(&'scope self, builder: Builder, future: F) -> Task<T>
    where
        F: IntoFuture<Output = Result<T, E>, IntoFuture: 'scope>,
        T: 'scope,
    {
        let future = Reporting::new(future.into_future(), self);
        Task::new(self.family.create(Location::caller(), builder, future))
    }

    /// Makes a task of `child` and waits until it says that it is ready for others: trio's `nursery.start`.
    ///
    /// `child` gets a [`TaskStatus`] and calls [`started`](TaskStatus::started) with whatever others need: the address it
    /// listens on, a handle. Then this gives that value and the child's task, and the child goes on as any other. Until
    /// then its error is that of `start`, and not of the group.
    ///
    /// # Errors
    ///
    /// - [`StartError::Failed`]: the child failed before it had started.
    /// - [`StartError::NotStarted`]: it returned without having called.
    /// - [`StartError::Join`]: it was cancelled or panicked before; or the group takes no more children.
    ///
    /// # Cancel safety
    ///
    /// Cancelling cancels the child, which has ended, cleanup included, when the caller goes on unwinding. Dropping the
    /// future cancels the child and leaves it to the group.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_task::{sleep, TaskGroup};
    /// use std::time::Duration;
    ///
    /// asyncio_loop::testing::run(async {
    ///     let group = TaskGroup::scope(async |group| {
    ///         let (port, server) = group.start(async |status| {
    ///             sleep(Duration::from_secs(1)).await; // binds its socket
    ///             status.started(8080);
    ///             Ok::<(), String>(std::future::pending().await) // serves
    ///         }).await.map_err(|error| error.to_string())?;
    ///         server.cancel();
    ///         Ok(port)
    ///     });
    ///     assert_eq!(group.await.unwrap(), 8080);
    /// }).unwrap();
    /// ```
    #[track_caller]
    pub fn start<T, V, F>(
        &'scope self,
        child: F,
    ) -> impl Future<Output = Result<(V, Task<T>), StartError<E>>>
    where
        F: AsyncFnOnce(TaskStatus<V>) -> Result<T, E> + 'scope,
        T: 'scope,
        V: 'scope,
    {
        start::start(Location::caller(), &self.family, self, child)
    }

    /// Ends the group early: cancels the body, unless it has ended, and all children, with their cleanup.
    ///
    /// [`scope`](Self::scope) then gives what it would have given without the cancelled parts: the body's value if it had
    /// one, the errors if there are any, else an [`ExceptionGroup`] that is empty. Calling it again does nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_task::{sleep, TaskGroup};
    /// use std::time::Duration;
    ///
    /// asyncio_loop::testing::run(async {
    ///     let found = TaskGroup::scope(async |group| {
    ///         for n in 1..100 {
    ///             group.create_task(async move { Ok::<_, String>(sleep(Duration::from_secs(n)).await) });
    ///         }
    ///         sleep(Duration::from_millis(1500)).await;
    ///         group.cancel();
    ///         Ok("enough")
    ///     });
    ///     assert_eq!(found.await.unwrap(), "enough");
    /// }).unwrap();
    /// ```
    pub fn cancel(&'scope self) {
        self.abort();
    }
}

impl<E> TaskGroup<'_, '_, E> {
    fn new() -> Self {
        let family = Family::new();
        if let Ok(event_loop) = get_running_loop() {
            family.list_in(&event_loop);
        }
        Self { family, body: CancelScope::new(), scope: PhantomData, env: PhantomData }
    }

    /// Cancels the body and the children, once.
    fn abort(&self) {
        if self.family.abort() {
            self.body.cancel();
        }
    }
}

impl<E> Parent<E> for &TaskGroup<'_, '_, E> {
    fn take_error(&self, error: E) {
        self.family.take_error(error);
    }

    fn abort(&self) {
        TaskGroup::abort(self);
    }
}

impl<E> fmt::Debug for TaskGroup<'_, '_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("tasks", &self.family.len())
            .field("errors", &self.family.failures())
            .field("is_aborting", &self.family.is_aborting())
            .finish()
    }
}

/// The end of a group, however it comes: closes it and drops the children one by one.
struct Teardown<'a, 'scope, 'env, E>(&'a TaskGroup<'scope, 'env, E>);

impl<E> Drop for Teardown<'_, '_, '_, E> {
    fn drop(&mut self) {
        // G1: all of them go, before the group does.
        self.0.family.tear_down();
        self.0.family.report_panic();
    }
}
