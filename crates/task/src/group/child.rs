//! A child: a future that may borrow, with everything else a task has.
//!
//! The future and its value may borrow from the function around the group, so nothing that outlives the group may reach
//! them. What does outlive it, wakers and [`TaskRef`]s, reaches a [`Core`], whose content is `'static`, `Send` and
//! `Sync`.
//!
//! # Invariants
//!
//! - **C1** A `Core` lives in an `Arc` that each of its wakers owns a part of: whoever has such a waker has the
//!   `TaskInfo` in it.
//! - **C2** A child's future is polled with its own waker only.
#![expect(
    unsafe_code,
    reason = "a task's facts are found through a pointer that its waker keeps valid"
)]

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

use asyncio_coro::context::Captured;
use asyncio_coro::task::{TaskEnd, TaskInfo, TaskRef, TaskScope};
use pin_project_lite::pin_project;

use crate::group::family::Parent;
use crate::group::handle::{ChildHandle, Slot};
use crate::join_error::{Identity, JoinError, Reason, message};
use crate::ready::{ReadyList, Signal};
use crate::registry::Registry;
use crate::report;

/// What a child's wakers share.
pub(crate) struct Core {
    info: TaskInfo,
    signal: Signal,
}

impl Wake for Core {
    fn wake(self: Arc<Self>) {
        self.signal.raise();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.signal.raise();
    }
}

impl Core {
    fn new(site: &'static Location<'static>, signal: Signal) -> Arc<Self> {
        Arc::new(Self { info: TaskInfo::with_site(site), signal })
    }

    fn task(self: &Arc<Self>) -> TaskRef {
        // SAFETY: by C1.
        unsafe { TaskRef::new(NonNull::from(&self.info), Waker::from(self.clone())) }
    }
}

/// How a child ended, as far as its group is concerned.
pub(crate) enum ChildEnd {
    /// With a value, or cancelled on its own.
    Quietly,
    /// The group has the error already.
    Failed,
    Panicked(Box<dyn Any + Send>),
}

/// A child without its types.
pub(crate) trait AnyChild {
    /// One step. `failures` is how many children have given the group an error.
    fn poll_child(self: Pin<&mut Self>, failures: &Cell<usize>) -> Poll<ChildEnd>;
}

pin_project! {
    /// The future of a child, whose error goes to the group at once. A task that is cancelled in its very last step ends
    /// cancelled, and what it returned is dropped; an error is not to be lost to that.
    pub(crate) struct Reporting<F, P> {
        #[pin]
        future: F,
        parent: P,
    }
}

/// In place of an error that somebody has.
pub(crate) enum Failed {
    /// The group.
    Group,
    /// Who waits for the child to start.
    Starter,
}

impl<F, P> Reporting<F, P> {
    pub(crate) fn new(future: F, parent: P) -> Self {
        Self { future, parent }
    }
}

impl<F, P, T, E> Future for Reporting<F, P>
where
    F: Future<Output = Result<T, E>>,
    P: Parent<E>,
{
    type Output = Result<T, Failed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.future.poll(cx));
        Poll::Ready(result.map_err(|error| {
            this.parent.take_error(error);
            Failed::Group
        }))
    }
}

pin_project! {
    /// A child. Dropped, it ends: first its future goes, then whoever awaits it learns, then it leaves the registry.
    struct Child<F: Future, T> {
        #[pin]
        scope: TaskScope<F>,
        output: Output<T>,
        membership: Option<Membership>,
        core: Arc<Core>,
    }
}

/// Where the value goes; a child that is dropped before its end is cancelled.
struct Output<T>(Rc<Slot<T>>);

/// The child's place in the registry.
struct Membership {
    registry: Rc<Registry>,
    slot: u32,
}

/// A child, its task and its handle.
pub(crate) struct Born<'scope, T> {
    pub(crate) child: Pin<Box<dyn AnyChild + 'scope>>,
    pub(crate) task: TaskRef,
    pub(crate) handle: ChildHandle<T>,
}

/// Makes child number `index` of the family with this ready list, as one that is woken: who takes its first step, now or
/// later, lowers its signal.
pub(crate) fn create<'c, F, T>(
    future: F,
    site: &'static Location<'static>,
    context: Captured,
    ready: &Arc<ReadyList>,
    registry: Option<&Rc<Registry>>,
    index: u32,
) -> Born<'c, T>
where
    F: Future<Output = Result<T, Failed>> + 'c,
    T: 'c,
{
    let core = Core::new(site, Signal::raised(ready, index));
    let task = core.task();
    let slot = Slot::new(task.clone());
    let membership = registry.map(|registry| Membership {
        slot: registry.enter(task.clone(), false),
        registry: registry.clone(),
    });
    let child = Box::pin(Child {
        // SAFETY: the child keeps `core`, which is dropped after the scope; by C2 the waker it is polled with is the core's.
        scope: unsafe { TaskScope::new(future, NonNull::from(&core.info), context) },
        output: Output(slot.clone()),
        membership,
        core,
    });
    Born { child, task, handle: ChildHandle::new(slot) }
}

/// The handle of a task that was never to be: its group, or its loop, takes no more.
pub(crate) fn stillborn<T>(site: &'static Location<'static>) -> ChildHandle<T> {
    let core = Core::new(site, Signal::dead());
    // SAFETY: by C1, and a group and all that is made by it stay on its thread.
    unsafe { core.info.local() }.never_begin();
    let slot = Slot::new(core.task());
    let unwanted = slot.end(Err(cancelled(slot.task())));
    drop(unwanted);
    ChildHandle::new(slot)
}

impl<F, T> AnyChild for Child<F, T>
where
    F: Future<Output = Result<T, Failed>>,
{
    fn poll_child(self: Pin<&mut Self>, failures: &Cell<usize>) -> Poll<ChildEnd> {
        let failed_before = failures.get();
        let mut this = self.project();
        this.core.signal.lower();
        let slot = &this.output.0;
        let end = ready!(this.scope.as_mut().poll(&mut Context::from_waker(slot.task().waker())));
        this.core.signal.end();
        let who = || Identity::from(slot.task());
        let failed = || (Err(JoinError::new(who(), Reason::Failed)), ChildEnd::Failed);
        let (result, end) = match end {
            Ok(Ok(value)) => (Ok(value), ChildEnd::Quietly),
            Ok(Err(Failed::Group)) => failed(),
            Ok(Err(Failed::Starter)) => {
                (Err(JoinError::new(who(), Reason::Failed)), ChildEnd::Quietly)
            }
            Err(TaskEnd::Cancelled) if failures.get() > failed_before => failed(),
            Err(TaskEnd::Cancelled) => (Err(cancelled(slot.task())), ChildEnd::Quietly),
            Err(TaskEnd::Panicked(payload)) => {
                // The payload goes on out of the group; there is only one.
                let text = Box::new(message(&*payload).to_owned());
                (Err(JoinError::panicked(who(), text)), ChildEnd::Panicked(payload))
            }
        };
        let unwanted = slot.end(result);
        this.scope.as_ref().run_in_context(|| {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(unwanted))) {
                report::panic(who(), payload);
            }
        });
        Poll::Ready(end)
    }
}

impl<T> Drop for Output<T> {
    fn drop(&mut self) {
        if !self.0.has_ended() {
            let unwanted = self.0.end(Err(cancelled(self.0.task())));
            drop(unwanted);
        }
    }
}

/// The error of who awaits a child that was cancelled.
fn cancelled(task: &TaskRef) -> JoinError {
    JoinError::cancelled(Identity::from(task), task.cancel_message())
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.registry.leave(self.slot);
    }
}
