//! `OwnedTaskGroup`: a group to keep in a struct.
//!
//! Its children are polled in place, as those of [`TaskGroup::scope`](crate::TaskGroup::scope) are, by one task of the loop,
//! the *driver*, which is made with the first child. The driver and the handle share the [`Shared`] part; children hold
//! it too, and so keep it alive in a circle, which ends with each child: the driver ends no earlier than they do, and
//! drops those that are left when it is dropped itself.

use std::cell::Cell;
use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll};

use asyncio_coro::scope::finally_with;
use asyncio_coro::task::TaskRef;
use asyncio_coro::wait_list::WaitList;
use asyncio_loop::{get_running_loop, watching};

use crate::builder::Builder;
use crate::group::child::{ChildEnd, Reporting};
use crate::group::drive::{Ended, JoinChildren};
use crate::group::exception_group::ExceptionGroup;
use crate::group::family::{Family, NOBODY, Parent};
use crate::group::start::{self, StartError, TaskStatus};
use crate::join_error::Identity;
use crate::output::Opaque;
use crate::registry::Registry;
use crate::report;
use crate::spawn;
use crate::task::Task;

/// A group of tasks to keep in a struct: children are made through `&self`, and are `'static`.
///
/// Where the children can live inside one function, [`TaskGroup::scope`](crate::TaskGroup::scope) is better: they may
/// borrow, and nobody can forget to wait for them. This is for what has `start` and `stop`: a server, a connection pool, a
/// cache that refreshes itself.
///
/// - **Errors.** A group made by [`new`](Self::new) ends with its first error or panic: the other children are cancelled,
///   and it takes no more. [`join`](Self::join) and [`aclose`](Self::aclose) give the errors, to the first who asks. A group
///   made by [`supervising`](Self::supervising) hands each error to a function, at once, and goes on; a child's panic goes
///   to the loop's exception handler then.
/// - **Memory.** A child that has ended leaves nothing behind, apart from its error in a group that has failed. What it
///   returned is dropped with its handle.
/// - **Drop.** Dropping the group cancels the children, which still clean up, under the loop; it waits for nothing. What
///   errors and panics nobody has taken are reported to the loop's exception handler.
/// - **The end of the loop** cancels the children and waits for them, as for any task.
///
/// The children are driven by one task of the loop, named `OwnedTaskGroup`, which [`all_tasks`](crate::all_tasks()) shows.
///
/// ```
/// use asyncio_task::{sleep, OwnedTaskGroup};
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use std::time::Duration;
///
/// struct Server {
///     connections: OwnedTaskGroup<std::io::Error>,
///     served: Rc<Cell<u32>>,
/// }
///
/// impl Server {
///     fn connected(&self) {
///         let served = self.served.clone();
///         self.connections.create_task(async move {
///             sleep(Duration::from_secs(1)).await; // serves it
///             served.set(served.get() + 1);
///             Ok(())
///         });
///     }
/// }
///
/// asyncio_loop::testing::run(async {
///     let connections = OwnedTaskGroup::supervising(|task, error| eprintln!("{}: {error}", task.name()));
///     let server = Server { connections, served: Rc::default() };
///     for _ in 0..3 {
///         server.connected();
///     }
///     sleep(Duration::from_millis(1500)).await;
///     server.connected();
///     server.connections.aclose().await.unwrap(); // cancels the fourth
///     assert_eq!(server.served.get(), 3);
/// }).unwrap();
/// ```
#[doc(alias = "JoinSet")]
#[doc(alias = "TaskTracker")]
#[doc(alias = "Nursery")]
pub struct OwnedTaskGroup<E: 'static> {
    shared: Rc<Shared<E>>,
}

/// What the handle, the driver and the children share.
struct Shared<E> {
    family: Family<'static, E>,
    /// Whether there is a driver, or has been.
    is_driven: Cell<bool>,
    /// Those who wait for a moment without children.
    joiners: WaitList,
    /// Takes errors, if the group is to go on after one.
    on_error: Option<Box<dyn Fn(&TaskRef, E)>>,
    /// Whether the handle is still there.
    is_owned: Cell<bool>,
    /// Makes the text of a report.
    describe: fn(&E) -> String,
    /// Where the group was made.
    site: &'static Location<'static>,
}

impl<E: fmt::Display + 'static> OwnedTaskGroup<E> {
    /// A group that ends with the first error or panic of a child.
    ///
    /// Needs no loop yet.
    #[must_use = "a group that is dropped cancels its children"]
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "the site of a default would be nowhere")]
    pub fn new() -> Self {
        Self::with(None, Location::caller())
    }

    /// A group that goes on when a child fails: `on_error` is called with the child and its error, in the step in which it
    /// failed.
    ///
    /// What panics in there is reported to the loop's exception handler.
    ///
    /// ```
    /// use asyncio_task::OwnedTaskGroup;
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    ///
    /// asyncio_loop::run(async {
    ///     let failures = Rc::new(Cell::new(0));
    ///     let count = failures.clone();
    ///     let group = OwnedTaskGroup::supervising(move |_, _| count.set(count.get() + 1));
    ///     for _ in 0..3 {
    ///         group.create_task(async { Err::<(), _>("connection reset") });
    ///     }
    ///     assert_eq!(group.join().await, Ok(()));
    ///     assert_eq!(failures.get(), 3);
    /// })?;
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    #[must_use = "a group that is dropped cancels its children"]
    #[track_caller]
    pub fn supervising(on_error: impl Fn(&TaskRef, E) + 'static) -> Self {
        Self::with(Some(Box::new(on_error)), Location::caller())
    }

    fn with(on_error: Option<Box<dyn Fn(&TaskRef, E)>>, site: &'static Location<'static>) -> Self {
        let shared = Shared {
            family: Family::new(),
            is_driven: Cell::new(false),
            joiners: WaitList::new(),
            on_error,
            is_owned: Cell::new(true),
            describe: E::to_string,
            site,
        };
        Self { shared: Rc::new(shared) }
    }
}

impl<E: 'static> OwnedTaskGroup<E> {
    /// Makes a task of `future` in this group; it takes its first step in the next tick or the one after.
    ///
    /// What is said of [`TaskGroup::create_task`](crate::TaskGroup::create_task) holds here. A group that has failed, was
    /// cancelled, or whose loop has ended takes no more: `future` is dropped, and the handle is that of a cancelled task.
    ///
    /// # Panics
    ///
    /// Panics when no loop is running on this thread.
    #[track_caller]
    pub fn create_task<T, F>(&self, future: F) -> Task<T>
    where
        F: IntoFuture<Output = Result<T, E>, IntoFuture: 'static>,
        T: 'static,
    {
        self.create_task_with(Builder::new(), future)
    }

    /// [`create_task`](Self::create_task) with a name, a context, or an eager start.
    ///
    /// # Panics
    ///
    /// Panics when no loop is running on this thread.
    ///
    /// ```
    /// use asyncio_task::{Builder, OwnedTaskGroup};
    ///
    /// asyncio_loop::run(async {
    ///     let group = OwnedTaskGroup::<String>::new();
    ///     let task = group.create_task_with(Builder::new().name("reader"), async { Ok(()) });
    ///     assert_eq!(task.get_name(), "reader");
    ///     group.join().await.unwrap();
    /// })?;
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    #[track_caller]
    pub fn create_task_with<T, F>(&self, builder: Builder, future: F) -> Task<T>
    where
        F: IntoFuture<Output = Result<T, E>, IntoFuture: 'static>,
        T: 'static,
    {
        self.shared.drive("create_task");
        let future = Reporting::new(future.into_future(), self.shared.clone());
        Task::new(self.shared.family.create(Location::caller(), builder, future))
    }

    /// Makes a task of `child` and waits until it says that it is ready for others; see
    /// [`TaskGroup::start`](crate::TaskGroup::start).
    ///
    /// # Errors
    ///
    /// As `TaskGroup::start`.
    ///
    /// # Panics
    ///
    /// Panics when no loop is running on this thread.
    ///
    /// # Cancel safety
    ///
    /// As `TaskGroup::start`.
    #[track_caller]
    pub fn start<T, V, F>(
        &self,
        child: F,
    ) -> impl Future<Output = Result<(V, Task<T>), StartError<E>>>
    where
        F: AsyncFnOnce(TaskStatus<V>) -> Result<T, E> + 'static,
        T: 'static,
        V: 'static,
    {
        self.shared.drive("start");
        start::start(Location::caller(), &self.shared.family, self.shared.clone(), child)
    }

    /// Waits for a moment without children, and gives the errors of a group that has failed.
    ///
    /// Children may be made meanwhile, and are waited for too. The group stays open, unless it has failed or was cancelled.
    ///
    /// # Errors
    ///
    /// An [`ExceptionGroup`] with every error that nobody has taken, in the order in which the children failed.
    ///
    /// # Panics
    ///
    /// With the panic of a child that ended the group.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the children go on, and the errors stay. A child that waits for its own group waits for ever.
    pub async fn join(&self) -> Result<(), ExceptionGroup<E>> {
        let family = &self.shared.family;
        while !family.is_empty() {
            self.shared.joiners.wait().await;
        }
        family.resume_panic();
        let errors = family.take_errors();
        if errors.is_empty() { Ok(()) } else { Err(ExceptionGroup::of_task_group(errors)) }
    }

    /// Cancels the children, and waits until they have cleaned up. The group takes no more.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join): that children were cancelled is no error.
    ///
    /// # Panics
    ///
    /// As [`join`](Self::join).
    ///
    /// # Cancel safety
    ///
    /// The children are cancelled at the first poll; who no longer waits leaves them to the loop.
    pub async fn aclose(&self) -> Result<(), ExceptionGroup<E>> {
        self.cancel();
        self.join().await
    }

    /// Cancels the children, which clean up under the loop. The group takes no more. Calling it again does nothing.
    pub fn cancel(&self) {
        self.shared.abort();
    }

    /// How many children there are that have not ended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.family.len()
    }

    /// Says whether all children have ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.family.is_empty()
    }

    /// Says whether the group takes no more children: it has failed, was cancelled, or its loop has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.family.is_closed()
    }
}

impl<E: 'static> Drop for OwnedTaskGroup<E> {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.is_owned.set(false);
        shared.abort();
        // What comes from here on, the driver reports when it ends.
        if shared.family.is_empty() {
            shared.report_all();
        }
    }
}

impl<E: 'static> fmt::Debug for OwnedTaskGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedTaskGroup")
            .field("tasks", &self.len())
            .field("errors", &self.shared.family.failures())
            .field("is_closed", &self.is_closed())
            .finish()
    }
}

impl<E: 'static> Shared<E> {
    /// Makes the driver, if there is none.
    fn drive(self: &Rc<Self>, what: &str) {
        if self.is_driven.get() || self.family.is_closed() {
            return;
        }
        let event_loop = match get_running_loop() {
            Ok(event_loop) => event_loop,
            Err(error) => panic!("OwnedTaskGroup::{what}: {error}"),
        };
        self.family.list_in(&event_loop);
        self.is_driven.set(true);
        // It is ours, so no factory is asked about it.
        let (registry, builder) =
            (Registry::of(&event_loop), Builder::new().name("OwnedTaskGroup"));
        let home = event_loop.handle();
        let run = self.clone().run();
        drop(spawn::spawn::<_, Opaque>(&event_loop, home, registry, self.site, builder, run));
    }

    /// The driver: polls the children until the group is closed and they have ended.
    async fn run(self: Rc<Self>) {
        let ended = Over(&self);
        let serve = async {
            let _close = Close(&self.family);
            poll_fn(|cx| self.serve(cx)).await
        };
        let _ = finally_with(serve, JoinChildren::keeping_panics(&self.family))
            .made_at(self.site)
            .await;
        drop(ended);
    }

    fn serve(&self, cx: &mut Context<'_>) -> Poll<Ended<()>> {
        let family = &self.family;
        let ready = family.ready().begin(cx.waker());
        let mut is_failure = false;
        if self.on_error.is_none() {
            is_failure = family.turn(ready, || false);
        } else {
            let watching = watching();
            for left in (1..=ready).rev() {
                let Some(index) = family.pop(left, watching.as_ref()) else { break };
                if let Some((end, task)) = family.poll_one(index, watching.as_ref()) {
                    self.handle(end, &task);
                }
            }
            for (end, task) in family.take_early() {
                self.handle(end, &task);
            }
        }
        if is_failure {
            family.abort();
        }
        if !family.is_empty() {
            return Poll::Pending;
        }
        self.joiners.notify_all();
        if family.is_closed() { Poll::Ready(Some(())) } else { Poll::Pending }
    }

    /// Tells the supervisor how a child ended.
    fn handle(&self, end: ChildEnd, task: &TaskRef) {
        if let ChildEnd::Panicked(payload) = end {
            report::child_panic(Identity::from(task), payload);
        }
        let Some(on_error) = &self.on_error else { return };
        for error in self.family.take_errors() {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| on_error(task, error))) {
                report::handler(Identity::from(task), payload);
            }
        }
    }

    /// Cancels the children, and has the driver end.
    fn abort(&self) {
        if self.family.abort() {
            // It may be asleep with no child to wake it.
            self.family.ready().push(NOBODY);
        }
    }

    /// Reports what nobody will take.
    fn report_all(&self) {
        for error in self.family.take_errors() {
            let text = catch_unwind(AssertUnwindSafe(|| (self.describe)(&error)));
            let text = text.unwrap_or_else(|_| String::from("an error that cannot be shown"));
            report::unjoined(self.site, text);
        }
        self.family.report_panic();
    }
}

impl<E: 'static> Parent<E> for Rc<Shared<E>> {
    fn take_error(&self, error: E) {
        self.family.take_error(error);
    }

    fn abort(&self) {
        Shared::abort(self);
    }
}

/// Lets a family take no more children when dropped: the driver is being cancelled.
struct Close<'a, E>(&'a Family<'static, E>);

impl<E> Drop for Close<'_, E> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The end of the driver, however it comes.
struct Over<'a, E: 'static>(&'a Shared<E>);

impl<E: 'static> Drop for Over<'_, E> {
    fn drop(&mut self) {
        let shared = self.0;
        shared.family.tear_down();
        shared.joiners.notify_all();
        if !shared.is_owned.get() {
            shared.report_all();
        }
    }
}
