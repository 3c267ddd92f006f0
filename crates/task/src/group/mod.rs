//! `TaskGroup`: children that borrow, and that have all ended when the group's scope is left.
//!
//! A group is one future. Its children live inside it and are polled from its `poll` only, never by the loop; that is
//! what lets them borrow: a future that is forgotten is never polled again, so neither are they. Each child has a waker
//! of its own, which puts its number on the group's [ready list](crate::ready), so that a poll of the group polls the
//! children that were woken and no others.
//!
//! The group's future is `finally_with(Drive, JoinChildren)`. [`Drive`] polls the body and the children until all have
//! ended. When a request to cancel comes from outside, the body unwinds first, while the children still run; then
//! `Drive` is dropped, and [`JoinChildren`] cancels the children and polls them to their end. A newer request cancels
//! them again. When a child fails the group is *aborted*: its own scope around the body is cancelled, and so are the
//! other children, and `Drive` goes on to the end. No other scope ever hears of that.
//!
//! # Invariants
//!
//! - **G1** The `TaskGroup` is a local of the future of `scope`, so it does not move, and it lives until everything that
//!   has the reference `&'scope TaskGroup` is gone: the body and the cleanup are dropped before it because they are
//!   declared after it, and all children are dropped by [`Teardown`], also declared after it. When that has run the
//!   group is closed and takes no more. If the future is forgotten, the group and its children are forgotten with it,
//!   in memory that is never freed.
//! - **G2** No future, value, error or waker of a user is polled, called or dropped inside a borrow of a cell of the
//!   group: a child is taken out of the slab to be polled, and popped to be dropped.
#![expect(unsafe_code, reason = "the group's future refers to the group beside it")]

mod child;
mod exception_group;
mod handle;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use asyncio_coro::scope::{Cleanup, Newer, finally_with};
use asyncio_coro::task::TaskRef;
use asyncio_coro::{CancelScope, CancelledError};
use asyncio_loop::get_running_loop;
use pin_project_lite::pin_project;
use slab::Slab;

use crate::ready::{Member, ReadyList};
use crate::registry::Registry;
use crate::report;
use crate::task::{Handle, Task};

use self::child::{AnyChild, Born, ChildEnd};
pub use self::exception_group::ExceptionGroup;
pub(crate) use self::handle::ChildHandle;

/// Tasks that belong together: all have ended when the scope is left, and they may borrow from the function around it.
///
/// See [`scope`](Self::scope). The two lifetimes are those of [`std::thread::scope`]: `'env` is what the children may
/// borrow from, `'scope` is how long the group lives.
// `E: 'env` is no demand that a caller could notice: `'env` shrinks to fit. Without it the compiler knows two unrelated
// upper bounds of `'scope`, gives up choosing, and asks that all that children borrow be `'static` when `E` is a reference.
pub struct TaskGroup<'scope, 'env: 'scope, E: 'env> {
    /// Set when the children are cancelled, and when the group is over. It takes no new ones then.
    is_closed: Cell<bool>,
    /// Set when body and children are cancelled because one of them has failed.
    is_aborting: Cell<bool>,
    /// The live children, by number.
    children: RefCell<Slab<Listed<'scope>>>,
    /// The numbers of those to be polled, and that of the body.
    ready: Arc<ReadyList>,
    /// Errors of children, in the order in which they failed.
    errors: RefCell<Vec<E>>,
    /// How many there are.
    failures: Cell<usize>,
    /// The first panic of a child.
    panic: Cell<Option<Box<dyn Any + Send>>>,
    /// Cancelled to abort the body.
    body: CancelScope,
    /// Where children are listed, under a loop of ours.
    registry: Option<Rc<Registry>>,
    // Both invariant.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// A child in its group.
struct Listed<'scope> {
    task: TaskRef,
    /// Taken out while it is polled.
    child: Option<Pin<Box<dyn AnyChild + 'scope>>>,
}

/// How a body ended: by itself, or because the group was aborted.
type Ended<R, E> = Result<Result<R, E>, CancelledError>;

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
    pub async fn scope<R, F>(body: F) -> Result<R, ExceptionGroup<E>>
    where
        F: for<'scope> AsyncFnOnce(&'scope TaskGroup<'scope, 'env, E>) -> Result<R, E>,
    {
        let place = TaskGroup::new();
        let place: *const TaskGroup<'_, 'env, E> = &raw const place;
        // SAFETY: by G1 the group stays where it is for as long as the reference is used.
        let group = unsafe { &*place };
        let _teardown = Teardown(group);
        let drive = Drive::new(group, group.body.run(body(group)));
        let ended = finally_with(drive, JoinChildren { group, begun: false }).await;
        if let Some(payload) = group.panic.take() {
            resume_unwind(payload);
        }
        let mut errors = group.errors.take();
        let value = match ended {
            Ok(Ok(value)) => Some(value),
            Ok(Err(error)) => {
                errors.push(error);
                None
            }
            Err(CancelledError { .. }) => None,
        };
        match value {
            Some(value) if errors.is_empty() => Ok(value),
            _ => Err(ExceptionGroup::new(errors)),
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
        let future = future.into_future();
        let site = Location::caller();
        if self.is_closed.get() {
            drop(future);
            return Task::new(Handle::Child(child::stillborn(site)));
        }
        let key = self.children.borrow().vacant_key();
        let index = u32::try_from(key).expect("fewer than 2^32 children fit in memory");
        let Born { child, task, handle } = child::create(future, site, self, index);
        // Nothing above runs foreign code, so the key is still vacant.
        let first_step = task.waker().clone();
        let inserted = self.children.borrow_mut().insert(Listed { task, child: Some(child) });
        debug_assert_eq!(key, inserted);
        first_step.wake();
        Task::new(Handle::Child(handle))
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
        let registry = get_running_loop().ok().map(|event_loop| Registry::of(&event_loop));
        Self {
            is_closed: Cell::new(false),
            is_aborting: Cell::new(false),
            children: RefCell::default(),
            ready: ReadyList::new(),
            errors: RefCell::default(),
            failures: Cell::new(0),
            panic: Cell::new(None),
            body: CancelScope::new(),
            registry,
            scope: PhantomData,
            env: PhantomData,
        }
    }

    fn is_empty(&self) -> bool {
        self.children.borrow().is_empty()
    }

    /// Cancels the body and the children, once.
    fn abort(&self) {
        if !self.is_closed.replace(true) {
            self.is_aborting.set(true);
            self.cancel_children();
            self.body.cancel();
        }
    }

    /// Keeps the error of a child.
    fn take_error(&self, error: E) {
        self.errors.borrow_mut().push(error);
        self.failures.set(self.failures.get() + 1);
    }

    fn ready(&self) -> &Arc<ReadyList> {
        &self.ready
    }

    fn registry(&self) -> Option<&Rc<Registry>> {
        self.registry.as_ref()
    }

    fn cancel_children(&self) {
        let tasks: Vec<_> =
            self.children.borrow().iter().map(|(_, member)| member.task.clone()).collect();
        for task in tasks {
            task.cancel();
        }
    }

    /// Polls one child. Says whether it failed or panicked.
    fn poll_child(&self, index: u32) -> bool {
        let key = index as usize;
        let taken = self.children.borrow_mut().get_mut(key).and_then(|listed| listed.child.take());
        // Missing: a late wake of one that has ended, or of the body.
        let Some(mut child) = taken else { return false };
        let Poll::Ready(end) = child.as_mut().poll_child(&self.failures) else {
            self.children.borrow_mut()[key].child = Some(child);
            return false;
        };
        let listed = self.children.borrow_mut().remove(key);
        drop((child, listed));
        match end {
            ChildEnd::Quietly => false,
            ChildEnd::Failed => true,
            ChildEnd::Panicked(payload) => {
                if let Some(first) = self.panic.take() {
                    self.panic.set(Some(first));
                    report::lost_panic(payload);
                } else {
                    self.panic.set(Some(payload));
                }
                true
            }
        }
    }
}

impl<E> fmt::Debug for TaskGroup<'_, '_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("tasks", &self.children.borrow().len())
            .field("errors", &self.errors.borrow().len())
            .field("is_aborting", &self.is_aborting.get())
            .finish()
    }
}

pin_project! {
    /// The body and the children, until all have ended.
    struct Drive<'a, 'scope, 'env, E, B, O> {
        // Dropped first: what the body's destructors create is not to live.
        close: Close<'a, 'scope, 'env, E>,
        #[pin]
        body: Option<B>,
        // How the body ended.
        ended: Option<O>,
        // The body's own place among those to be polled.
        place: Arc<Member>,
        waker: Waker,
    }
}

/// Lets a group take no more children when dropped.
struct Close<'a, 'scope, 'env, E>(&'a TaskGroup<'scope, 'env, E>);

impl<'a, 'scope, 'env, E, B, O> Drive<'a, 'scope, 'env, E, B, O> {
    fn new(group: &'a TaskGroup<'scope, 'env, E>, body: B) -> Self {
        let place = Member::new(&group.ready, BODY);
        place.signal.raise();
        let waker = Waker::from(place.clone());
        Self { close: Close(group), body: Some(body), ended: None, place, waker }
    }
}

impl<E, B, R> Drive<'_, '_, '_, E, B, Ended<R, E>>
where
    B: Future<Output = Ended<R, E>>,
{
    /// Polls the body, if it has not ended. Says whether it failed.
    fn poll_body(self: Pin<&mut Self>) -> bool {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else { return false };
        this.place.signal.lower();
        let Poll::Ready(ended) = body.poll(&mut Context::from_waker(this.waker)) else {
            return false;
        };
        this.place.signal.end();
        this.body.set(None);
        let is_failure = matches!(ended, Ok(Err(_)));
        *this.ended = Some(ended);
        is_failure
    }
}

impl<E, B, R> Future for Drive<'_, '_, '_, E, B, Ended<R, E>>
where
    B: Future<Output = Ended<R, E>>,
{
    type Output = Ended<R, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let group = self.close.0;
        let mut is_failure = false;
        // Body and children have their turns in the order in which they were woken. What becomes ready from here on has
        // its turn in the next tick.
        for _ in 0..group.ready.begin(cx.waker()) {
            match group.ready.pop() {
                None => break,
                Some(BODY) => is_failure |= self.as_mut().poll_body(),
                Some(index) => is_failure |= group.poll_child(index),
            }
        }
        // Not before: who was ready in this tick has had its turn in it.
        if is_failure {
            group.abort();
        }
        let this = self.project();
        match this.ended.take() {
            Some(ended) if group.is_empty() => Poll::Ready(ended),
            ended => {
                *this.ended = ended;
                Poll::Pending
            }
        }
    }
}

impl<E> Drop for Close<'_, '_, '_, E> {
    fn drop(&mut self) {
        // Children that are left are still to be cancelled, by `JoinChildren` or by `Teardown`.
        self.0.is_closed.set(true);
    }
}

/// Cancels what children are left, and polls them to their end.
struct JoinChildren<'a, 'scope, 'env, E> {
    group: &'a TaskGroup<'scope, 'env, E>,
    begun: bool,
}

impl<E, R> Cleanup<Ended<R, E>> for JoinChildren<'_, '_, '_, E> {
    fn poll_cleanup(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let group = self.group;
        let ready = group.ready.begin(cx.waker());
        // An aborting group has cancelled its children, and cancelling them twice would cut their cleanup.
        if !std::mem::replace(&mut self.begun, true) && !group.is_aborting.get() {
            group.cancel_children();
        }
        for _ in 0..ready {
            let Some(index) = group.ready.pop() else { break };
            group.poll_child(index);
        }
        if !group.is_empty() {
            return Poll::Pending;
        }
        if let Some(payload) = group.panic.take() {
            resume_unwind(payload);
        }
        Poll::Ready(())
    }

    fn on_newer_request(self: Pin<&mut Self>) -> Newer {
        self.group.cancel_children();
        Newer::Keep
    }

    /// Errors are not to be lost to a cancellation: the group gives them, and the request is met at the next suspension.
    fn recover(self: Pin<&mut Self>) -> Option<Ended<R, E>> {
        let has_errors = !self.group.errors.borrow().is_empty();
        has_errors.then(|| Err(CancelledError::__new()))
    }
}

/// The end of a group, however it comes: closes it and drops the children one by one.
struct Teardown<'a, 'scope, 'env, E>(&'a TaskGroup<'scope, 'env, E>);

impl<E> Drop for Teardown<'_, '_, '_, E> {
    fn drop(&mut self) {
        let group = self.0;
        group.is_closed.set(true);
        loop {
            // One at a time, and outside the borrow (G2): a destructor may look at the group.
            let key = group.children.borrow().iter().next().map(|(key, _)| key);
            let Some(key) = key else { break };
            let listed = group.children.borrow_mut().remove(key);
            // G1: all of them go, before the group does.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(listed))) {
                report::lost_panic(payload);
            }
        }
        if let Some(payload) = group.panic.take() {
            report::lost_panic(payload);
        }
    }
}

/// The body's number among those to be polled; no child has it.
const BODY: u32 = u32::MAX;
