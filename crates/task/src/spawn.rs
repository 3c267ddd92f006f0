//! The glue between async-task and the loop: what a task is made of, and how a wake becomes a ready-queue entry.
//!
//! One allocation holds everything: async-task's header (state, awaiter, vtable), our [`Meta`], and the future, wrapped
//! in a [`Driven`], later its outcome in the same place. (A wrapped future of 2 KiB or more is boxed by async-task: a
//! second allocation instead of a large one that would be kept for the outcome.) A wake on the loop's thread turns the
//! reference that async-task hands to [`schedule`] into a 16-byte [`Entry`] and pushes it: no allocation, no lock.
//!
//! # Invariants
//!
//! - **S1** The future, its output and everything `!Send` in a task is touched on the loop's thread only. A wake from
//!   another thread only carries the entry there. While a future lives the registry holds a reference to its task, so a
//!   waker dropped elsewhere is never the last one; and the loop closes its remote queue only when no future lives, so
//!   an entry refused there is an empty shell, which may leak.
//! - **S2** [`Meta`] holds nothing that belongs to a user and nothing `!Send`: whichever thread drops the last waker
//!   drops it. Other threads read `info.id()`, `info.site()`, `home` and the atomics, nothing else.
//! - **S3** [`Meta`] and the future lie in one allocation and async-task drops the future first: pointers to the
//!   metadata inside [`Driven`] are valid as long as it lives. A waker, a runnable or a handle keeps the allocation.
//! - **S4** An entry's pointer is a `Runnable<Meta>` made raw, and is made a `Runnable<Meta>` again for good exactly once.
//! - **S5** Nothing unwinds into async-task, which would abort or close the task: [`TaskScope`] catches panics of the
//!   body and of its drop, and an outcome that nobody wants is dropped here, under `catch_unwind`.
#![expect(unsafe_code, reason = "tasks are type-erased in the loop's queue and hold !Send futures")]

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, Waker, ready};

use async_task::{FallibleTask, Runnable};
use asyncio_coro::context::Captured;
use asyncio_coro::task::{LocalInfo, TaskEnd, TaskInfo, TaskRef, TaskScope};
use asyncio_loop::{Entry, EntryVTable, EventLoop, LoopHandle, Work};
use pin_project_lite::pin_project;

use crate::builder::Builder;
use crate::join_error::{Identity, JoinError};
use crate::output::{ErrorOf, Look};
use crate::registry::Registry;
use crate::report;

/// What a task carries beside its future.
pub(crate) struct Meta {
    info: TaskInfo,
    /// The loop the task belongs to.
    home: LoopHandle,
    /// The task's slot in the registry.
    slot: AtomicU32,
    /// Whether somebody holds the handle and so will see how the task ends.
    held: AtomicBool,
}

// Header and metadata together are to stay within 96 bytes: tasks are many.
const _: () = assert!(size_of::<Meta>() <= 56);

impl Meta {
    /// To be called on the task's thread, where everything that leads here is.
    fn local(&self) -> LocalInfo<'_> {
        // SAFETY: by S1: the metadata is reached from the future and from the handle, both `!Send`.
        unsafe { self.info.local() }
    }
}

/// How a task ended, as async-task keeps it for the handle.
enum Outcome<T> {
    Value(T),
    Cancelled,
    Panicked(Box<dyn Any + Send>),
    /// Nobody wanted to know; what there was is dropped or reported.
    Gone,
}

/// Creates a task on `event_loop`, and queues its first step or takes it, as `builder` says.
#[inline]
pub(crate) fn spawn<F, L>(
    event_loop: &EventLoop,
    home: LoopHandle,
    registry: Rc<Registry>,
    site: &'static Location<'static>,
    builder: Builder,
    future: F,
) -> Spawned<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
    L: Look<F::Output>,
{
    let (name, context, is_eager) = builder.into_parts();
    let meta = Meta {
        info: TaskInfo::with_site(site),
        home,
        slot: AtomicU32::new(u32::MAX),
        held: AtomicBool::new(true),
    };
    let spawner = async_task::Builder::new().propagate_panic(false).metadata(meta);
    let member = registry.clone();
    let wrap = |meta: &Meta| {
        // SAFETY: by S3 the metadata outlives the future that is made here.
        unsafe { Driven::<F, L>::new(future, NonNull::from(meta), context, member) }
    };
    // SAFETY: the future is 'static, and by S1 polled and dropped on this thread; `schedule` borrows nothing.
    let (runnable, task) = unsafe { spawner.spawn_unchecked(wrap, schedule) };
    let info = NonNull::from(&runnable.metadata().info);
    // SAFETY: by S3 the waker keeps the metadata.
    let listed = unsafe { TaskRef::new(info, runnable.waker()) };
    let slot = registry.enter(listed, true);
    runnable.metadata().slot.store(slot, Ordering::Relaxed);
    let spawned = Spawned {
        meta: NonNull::from(runnable.metadata()),
        task: Cell::new(Some(task.fallible())),
        result: Cell::new(None),
        settled: Cell::new(false),
        seen: Cell::new(false),
        error: L::ERROR,
        registry,
    };
    if let Some(name) = name {
        spawned.local().set_name(name);
    }
    if is_eager && event_loop.is_running() {
        // By S1, this being the loop's thread. Whoever wakes the task meanwhile has it queued after this step.
        runnable.run();
    } else {
        event_loop.schedule(into_entry(runnable));
    }
    spawned
}

/// async-task's schedule function: zero-sized, so that a wake does not clone a waker first.
fn schedule(runnable: Runnable<Meta>) {
    let home: *const LoopHandle = &raw const runnable.metadata().home;
    let entry = into_entry(runnable);
    // SAFETY: the entry keeps the metadata (S3); the handle is not looked at once the entry is in a queue.
    if let Err(entry) = unsafe { &*home }.schedule_here(entry) {
        // The loop may run the entry and free the task before the push has returned.
        // SAFETY: as above, it is ours still.
        let home = unsafe { &*home }.clone();
        home.schedule(entry);
    }
}

fn into_entry(runnable: Runnable<Meta>) -> Entry {
    // SAFETY: by S4 the functions of the table take what `into_raw` gives; by S1 the loop calls them on its own thread.
    unsafe { Entry::new(runnable.into_raw(), &STEP) }
}

/// What the loop can do with a task's entry: a step, or the end without one.
static STEP: EntryVTable = EntryVTable { run: step, drop: discard, describe };

unsafe fn step(task: NonNull<()>) {
    // SAFETY: by S4.
    let runnable = unsafe { Runnable::<Meta>::from_raw(task) };
    runnable.run();
}

unsafe fn discard(task: NonNull<()>) {
    // SAFETY: by S4.
    let runnable = unsafe { Runnable::<Meta>::from_raw(task) };
    drop(runnable);
}

unsafe fn describe(task: NonNull<()>) -> Work {
    // SAFETY: by S4, as long as it is made raw again.
    let runnable = unsafe { Runnable::<Meta>::from_raw(task) };
    let meta = runnable.metadata();
    let work = Work::task(&meta.info, meta.local());
    let _ = runnable.into_raw();
    work
}

pin_project! {
    /// The future that async-task sees: never unwinds, and takes the task off the registry when it goes.
    struct Driven<F: Future, L> {
        // Dropped first: while user code runs in its drop the task is still listed.
        #[pin]
        scope: TaskScope<F>,
        membership: Membership,
        look: PhantomData<L>,
    }
}

/// Takes the task off the registry when dropped.
struct Membership {
    meta: NonNull<Meta>,
    registry: Rc<Registry>,
}

impl<F: Future, L> Driven<F, L> {
    /// # Safety
    ///
    /// `meta` must outlive the result.
    unsafe fn new(
        future: F,
        meta: NonNull<Meta>,
        context: Captured,
        registry: Rc<Registry>,
    ) -> Self {
        // SAFETY: the caller's promise.
        let info = NonNull::from(&unsafe { meta.as_ref() }.info);
        Self {
            // SAFETY: the caller's promise; and by S3 the waker that async-task polls with keeps the metadata.
            scope: unsafe { TaskScope::new(future, info, context) },
            membership: Membership { meta, registry },
            look: PhantomData,
        }
    }
}

impl Membership {
    fn meta(&self) -> &Meta {
        // SAFETY: by S3, as `self` lies in a `Driven`.
        unsafe { self.meta.as_ref() }
    }
}

impl<F: Future, L: Look<F::Output>> Future for Driven<F, L> {
    type Output = Outcome<F::Output>;

    // Its one caller is async-task's `run`.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let end = ready!(this.scope.as_mut().poll(cx));
        let meta = this.membership.meta();
        if !meta.held.load(Ordering::Relaxed) {
            report_end::<F, L>(this.scope.as_ref(), meta, end);
            return Poll::Ready(Outcome::Gone);
        }
        // Should the handle's holder not look, the handle reports in the task's context.
        this.scope.as_ref().keep_context();
        Poll::Ready(match end {
            Ok(value) => Outcome::Value(value),
            Err(TaskEnd::Cancelled) => Outcome::Cancelled,
            Err(TaskEnd::Panicked(payload)) => Outcome::Panicked(payload),
        })
    }
}

/// Drops what a task without a handle has left, or reports it, in the task's context.
#[inline(never)]
fn report_end<F: Future, L: Look<F::Output>>(
    scope: Pin<&TaskScope<F>>,
    meta: &Meta,
    end: Result<F::Output, TaskEnd>,
) {
    let panic = |payload| report::panic(Identity::from(meta.local()), payload);
    scope.run_in_context(|| match end {
        Ok(value) => {
            // S5: async-task would abort if its drop panicked.
            let drop = || drop_unseen(value, L::ERROR, meta.local());
            if let Err(payload) = catch_unwind(AssertUnwindSafe(drop)) {
                panic(payload);
            }
        }
        Err(TaskEnd::Cancelled) => {}
        Err(TaskEnd::Panicked(payload)) => panic(payload),
    });
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.registry.leave(self.meta().slot.load(Ordering::Relaxed));
    }
}

/// Drops an output that nobody will see. If there is an error in it, somebody hears of that.
fn drop_unseen<T>(output: T, error: Option<ErrorOf<T>>, task: LocalInfo<'_>) {
    if let Some(error) = error.and_then(|error_of| error_of(output)) {
        report::error(Identity::from(task), error);
    }
}

/// The handle's side of a task.
pub(crate) struct Spawned<T> {
    /// By S3 valid as long as `task` is there, which is until we are dropped.
    meta: NonNull<Meta>,
    /// Taken out only while it is polled, which may run the code of somebody's waker.
    task: Cell<Option<FallibleTask<Outcome<T>, Meta>>>,
    /// How the task ended, from the poll that learned it until somebody takes it.
    result: Cell<Option<Result<T, JoinError>>>,
    /// Whether `result` has been filled, even if it has been taken since.
    settled: Cell<bool>,
    /// Whether somebody has looked at `result`, or does not want to know.
    seen: Cell<bool>,
    /// What finds the error in an output that nobody sees.
    error: Option<ErrorOf<T>>,
    registry: Rc<Registry>,
}

impl<T> Spawned<T> {
    fn meta(&self) -> &Meta {
        // SAFETY: by S3, as `self.task` keeps the allocation.
        unsafe { self.meta.as_ref() }
    }

    pub(crate) fn local(&self) -> LocalInfo<'_> {
        self.meta().local()
    }

    /// Asks the task to unwind; false if it has ended. Who cancels a task that has failed knows what became of it.
    pub(crate) fn cancel(&self, message: Option<Arc<str>>) -> bool {
        if self.is_finished() {
            self.seen.set(true);
            return false;
        }
        self.live().is_some_and(|task| task.__cancel(message))
    }

    /// The task itself, if it has not ended.
    pub(crate) fn live(&self) -> Option<TaskRef> {
        if self.is_finished() {
            return None;
        }
        self.registry.get(self.meta().slot.load(Ordering::Relaxed))
    }

    pub(crate) fn is_finished(&self) -> bool {
        if self.settled.get() {
            return true;
        }
        let task = self.task.take();
        let finished = task.as_ref().is_some_and(FallibleTask::is_finished);
        self.task.set(task);
        finished
    }

    /// Ready once the task has ended; how is kept for `take`.
    pub(crate) fn poll_done(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.settled.get() {
            return Poll::Ready(());
        }
        // Missing only if a waker's clone or drop polls the very handle it was given to.
        let Some(mut task) = self.task.take() else { return Poll::Pending };
        let polled = Pin::new(&mut task).poll(cx);
        self.task.set(Some(task));
        let result = match ready!(polled) {
            Some(Outcome::Value(value)) => Ok(value),
            Some(Outcome::Panicked(payload)) => {
                Err(JoinError::panicked(Identity::from(self.local()), payload))
            }
            // Nothing at all: the loop was closed over it.
            Some(Outcome::Cancelled | Outcome::Gone) | None => {
                let local = self.local();
                Err(JoinError::cancelled(Identity::from(local), local.cancel_message()))
            }
        };
        self.settled.set(true);
        self.result.set(Some(result));
        Poll::Ready(())
    }

    /// Where how the task ended is kept, once that has been learned and until it is taken.
    pub(crate) fn result(&self) -> &Cell<Option<Result<T, JoinError>>> {
        &self.result
    }

    /// Drops what nobody has seen, or reports it, in the task's context.
    #[inline(never)]
    fn report(&self, left: Result<T, JoinError>) {
        self.local().take_context().run(|| match left {
            Ok(output) => drop_unseen(output, self.error, self.local()),
            Err(error) => report::unseen(error),
        });
    }

    /// Somebody has seen how the task ended.
    pub(crate) fn mark_seen(&self) {
        self.seen.set(true);
    }
}

/// Detaches. What the task left for us is dropped here, outside async-task; a panic nobody will see is reported.
impl<T> Drop for Spawned<T> {
    fn drop(&mut self) {
        if self.is_finished() {
            let _ = self.poll_done(&mut Context::from_waker(Waker::noop()));
        } else {
            self.meta().held.store(false, Ordering::Relaxed);
        }
        let left = self.result.take();
        let task = self.task.take();
        match left {
            Some(left) if !self.seen.get() => self.report(left),
            left => {
                self.local().drop_kept_context();
                drop(left);
            }
        }
        if let Some(task) = task {
            // The metadata may go with it.
            task.detach();
        }
    }
}
