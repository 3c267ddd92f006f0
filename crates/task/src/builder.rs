//! `Builder`: how a task is made, beyond what it does.

use std::future::{Future, IntoFuture};
use std::panic::Location;

use asyncio_coro::Context;
use asyncio_coro::context::Captured;
use asyncio_loop::{EventLoop, get_running_loop};

use crate::output::{Fallible, Look, Opaque};
use crate::registry::Registry;
use crate::spawn;
use crate::task::{Handle, Task};

/// How a task is made: its name, its context, and whether it takes its first step at once.
///
/// What is not said here is left to the loop's [task factory](crate::TaskLoopExt::set_task_factory), if there is one.
///
/// # Examples
///
/// ```
/// use asyncio_task::Builder;
///
/// asyncio_loop::run(async {
///     let task = Builder::new().name("answer").eager_start(true).create_task(async { 6 * 7 });
///     assert!(task.done(), "it had nothing to wait for");
///     assert_eq!((task.get_name().as_str(), task.await.unwrap()), ("answer", 42));
/// })?;
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it makes a task when it is given a future"]
pub struct Builder {
    name: Option<Box<str>>,
    context: Option<Context>,
    eager_start: Option<bool>,
}

impl Builder {
    /// A builder that says nothing.
    pub const fn new() -> Self {
        Self { name: None, context: None, eager_start: None }
    }

    /// Names the task.
    pub fn name(self, name: impl Into<Box<str>>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Runs the task in this very context, shared with whoever else has it, instead of in a copy of the current one.
    pub fn context(self, context: Context) -> Self {
        Self { context: Some(context), ..self }
    }

    /// Says whether the task takes its first step inside `create_task`, or in the next tick, which is the default.
    ///
    /// A task that ends in its eager step is done when `create_task` returns, and is never queued. One that has to wait
    /// goes on like any other. A loop that does not run takes no step, so there every task waits for the first tick.
    ///
    /// During that step [`current_task`](crate::current_task) is the new task; then it is the caller's again. A panic in
    /// it is the task's, not the caller's. Eager tasks that create eager tasks go as deep into the stack as they nest.
    pub fn eager_start(self, is_eager: bool) -> Self {
        Self { eager_start: Some(is_eager), ..self }
    }

    /// The name, if one was given.
    #[must_use]
    pub fn get_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The context, if one was given.
    #[must_use]
    pub fn get_context(&self) -> Option<&Context> {
        self.context.as_ref()
    }

    /// Whether the task starts eagerly, if that was said.
    #[must_use]
    pub fn get_eager_start(&self) -> Option<bool> {
        self.eager_start
    }

    /// Makes a task of `future` on the running loop, as [`create_task`](crate::create_task()) does.
    ///
    /// # Panics
    ///
    /// Panics when no loop is running on this thread.
    #[track_caller]
    pub fn create_task<F>(self, future: F) -> Task<F::Output>
    where
        F: IntoFuture<IntoFuture: 'static, Output: 'static>,
    {
        self.create::<_, Opaque>(&running("create_task"), future.into_future())
    }

    /// Makes a task of `future` on the running loop, as [`create_try_task`](crate::create_try_task()) does.
    ///
    /// # Panics
    ///
    /// Panics when no loop is running on this thread.
    #[track_caller]
    pub fn create_try_task<F, T, E>(self, future: F) -> Task<Result<T, E>>
    where
        F: IntoFuture<IntoFuture: 'static, Output = Result<T, E>>,
        T: 'static,
        E: Into<Box<dyn std::error::Error>> + 'static,
    {
        self.create::<_, Fallible>(&running("create_try_task"), future.into_future())
    }

    /// Makes a task of `future` on `event_loop`.
    #[inline]
    #[track_caller]
    pub(crate) fn create<F, L>(self, event_loop: &EventLoop, future: F) -> Task<F::Output>
    where
        F: Future<Output: 'static> + 'static,
        L: Look<F::Output>,
    {
        Task::new(self.spawn::<F, L>(event_loop, Location::caller(), future))
    }

    /// Makes a task of `future` on `event_loop`.
    #[inline]
    pub(crate) fn spawn<F, L>(
        self,
        event_loop: &EventLoop,
        site: &'static Location<'static>,
        future: F,
    ) -> Handle<F::Output>
    where
        F: Future<Output: 'static> + 'static,
        L: Look<F::Output>,
    {
        let home = event_loop.handle();
        let registry = Registry::at(event_loop, &home);
        let builder = registry.prepare(self);
        Handle::Loop(spawn::spawn::<F, L>(event_loop, home, registry, site, builder, future))
    }

    /// The name to be given to the task, the context that it begins in, and whether it starts eagerly.
    #[inline]
    pub(crate) fn into_parts(self) -> (Option<Box<str>>, Captured, bool) {
        let context = self.context.map_or_else(Captured::copy, Captured::from);
        (self.name, context, self.eager_start.unwrap_or(false))
    }
}

/// The running loop.
#[inline]
#[track_caller]
pub(crate) fn running(caller: &str) -> EventLoop {
    match get_running_loop() {
        Ok(event_loop) => event_loop,
        Err(error) => panic!("{caller}: {error}"),
    }
}
