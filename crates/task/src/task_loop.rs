//! `TaskLoopExt`: what asyncio's loop has of tasks, and task factories.

use std::future::IntoFuture;
use std::panic::Location;
use std::rc::Rc;

use asyncio_coro::task::TaskRef;
use asyncio_loop::EventLoop;

use crate::builder::Builder;
use crate::group::stillborn;
use crate::output::Opaque;
use crate::registry::Registry;
use crate::task::{Handle, Task};

/// What is asked about every task of a loop before it is made: it may name it, or say whether it starts eagerly.
pub type TaskFactory = Rc<dyn Fn(Builder) -> Builder>;

/// The methods of asyncio's loop that make tasks.
///
/// ```
/// use asyncio_loop::EventLoop;
/// use asyncio_task::TaskLoopExt;
///
/// let event_loop = EventLoop::new()?;
/// let task = event_loop.create_task(async { 6 * 7 }); // waits for the loop to run
/// assert_eq!(event_loop.run_until_complete(task)?.unwrap(), 42);
/// event_loop.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait TaskLoopExt {
    /// Makes a task of `future` on this loop, which need not be running.
    ///
    /// On a closed loop `future` is dropped, and the handle is that of a cancelled task.
    #[track_caller]
    fn create_task<F>(&self, future: F) -> Task<F::Output>
    where
        F: IntoFuture<IntoFuture: 'static, Output: 'static>;

    /// Makes a task of `future` on this loop, as [`create_task`](Self::create_task) does, and as `builder` says.
    #[track_caller]
    fn create_task_with<F>(&self, builder: Builder, future: F) -> Task<F::Output>
    where
        F: IntoFuture<IntoFuture: 'static, Output: 'static>;

    /// Has `factory` asked about every task of this loop, before it is made: by `create_task`, `gather`, a group, or
    /// anything else.
    ///
    /// A factory that panics does so out of what was to make the task, and there is no task.
    ///
    /// ```
    /// use asyncio_loop::get_running_loop;
    /// use asyncio_task::{TaskLoopExt, create_task, eager_task_factory};
    ///
    /// asyncio_loop::run(async {
    ///     get_running_loop().unwrap().set_task_factory(eager_task_factory);
    ///     let task = create_task(async { 7 });
    ///     assert!(task.done());
    /// })?;
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    fn set_task_factory(&self, factory: impl Fn(Builder) -> Builder + 'static);

    /// Goes back to having nobody asked.
    fn reset_task_factory(&self);

    /// The factory, if there is one.
    #[doc(alias = "get_task_factory")]
    fn task_factory(&self) -> Option<TaskFactory>;

    /// Every live task of this loop, oldest first; see [`all_tasks`](crate::all_tasks()).
    fn all_tasks(&self) -> Vec<TaskRef>;
}

impl TaskLoopExt for EventLoop {
    #[track_caller]
    fn create_task<F>(&self, future: F) -> Task<F::Output>
    where
        F: IntoFuture<IntoFuture: 'static, Output: 'static>,
    {
        self.create_task_with(Builder::new(), future)
    }

    #[track_caller]
    fn create_task_with<F>(&self, builder: Builder, future: F) -> Task<F::Output>
    where
        F: IntoFuture<IntoFuture: 'static, Output: 'static>,
    {
        let future = future.into_future();
        if self.is_closed() {
            drop(future);
            return Task::new(Handle::Child(stillborn(Location::caller())));
        }
        builder.create::<_, Opaque>(self, future)
    }

    fn set_task_factory(&self, factory: impl Fn(Builder) -> Builder + 'static) {
        Registry::of(self).set_factory(Some(Rc::new(factory)));
    }

    fn reset_task_factory(&self) {
        Registry::of(self).set_factory(None);
    }

    fn task_factory(&self) -> Option<TaskFactory> {
        Registry::of(self).factory()
    }

    fn all_tasks(&self) -> Vec<TaskRef> {
        Registry::of(self).live()
    }
}

/// A task factory that has every task start [eagerly](Builder::eager_start) that does not say otherwise.
#[doc(alias = "create_eager_task_factory")]
pub fn eager_task_factory(builder: Builder) -> Builder {
    match builder.get_eager_start() {
        None => builder.eager_start(true),
        Some(_) => builder,
    }
}
