//! The loop's list of live tasks, and what happens to them when the loop closes.
//!
//! The list holds a reference to every task. So no waker, wherever it is kept or dropped, is ever a task's last one, and
//! no task vanishes because nobody holds its handle. A task leaves when its future is gone.
//!
//! *Roots* are tasks of the loop. Children of a [`TaskGroup`](crate::TaskGroup) are listed too, so that `all_tasks` shows
//! them, but closing never waits for them: they live and die inside a root, and a forgotten group must not block the end.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use asyncio_coro::task::TaskRef;
use asyncio_loop::{CloseHook, EventLoop, GracePeriods, LoopHandle};
use slab::Slab;

use crate::builder::{Builder, running};
use crate::done_callbacks::DoneCallbacks;
use crate::task_loop::TaskFactory;

thread_local! {
    /// The registry that was asked for last, mostly the only one: a search of the loop's extensions costs each new task 50
    /// instructions.
    static LAST: RefCell<Option<Rc<Registry>>> = const { RefCell::new(None) };
}

/// All live tasks of one loop.
#[derive(Default)]
pub(crate) struct Registry {
    entries: RefCell<Slab<Entry>>,
    /// How many roots are in `entries`.
    roots: Cell<usize>,
    /// The sequence number of the next task.
    next: Cell<u64>,
    /// The loop, once it knows of us.
    home: OnceCell<LoopHandle>,
    /// Roots numbered below this are being waited for.
    draining: Cell<u64>,
    /// How many of those are left.
    undrained: Cell<usize>,
    /// Who waits for them.
    drainer: Cell<Option<Waker>>,
    /// What is to be called when tasks end.
    callbacks: DoneCallbacks,
    factory: RefCell<Option<TaskFactory>>,
}

struct Entry {
    task: TaskRef,
    /// Twice the sequence number, and one more for a root: tasks are many, so this is one word.
    order: u64,
}

// With it a task is listed in 32 bytes.
const _: () = assert!(size_of::<Option<Entry>>() <= 32);

impl Entry {
    fn is_root(&self) -> bool {
        self.order % 2 == 1
    }

    fn sequence(&self) -> u64 {
        self.order / 2
    }
}

impl Registry {
    /// The registry of `event_loop`, which learns of it at the first call.
    pub(crate) fn of(event_loop: &EventLoop) -> Rc<Self> {
        Self::at(event_loop, &event_loop.handle())
    }

    /// The registry of `event_loop`, whose handle is `home`.
    #[inline]
    pub(crate) fn at(event_loop: &EventLoop, home: &LoopHandle) -> Rc<Self> {
        let is_its = |last: &Rc<Self>| last.home.get().is_some_and(|last| last.same_loop(home));
        let last =
            LAST.try_with(|last| last.borrow().as_ref().filter(|last| is_its(last)).cloned());
        last.ok().flatten().unwrap_or_else(|| Self::look_up(event_loop, home))
    }

    #[cold]
    fn look_up(event_loop: &EventLoop, home: &LoopHandle) -> Rc<Self> {
        let registry = event_loop.extension::<Self>();
        if registry.home.set(home.clone()).is_ok() {
            event_loop.add_close_hook(Rc::new(CancelAll(registry.clone())));
        }
        // Nobody's code is dropped with one of a closed loop; the others belong to their loops.
        let previous = LAST.try_with(|last| last.replace(Some(registry.clone())));
        drop(previous);
        registry
    }

    /// Lists a task; the answer is its slot.
    pub(crate) fn enter(&self, task: TaskRef, root: bool) -> u32 {
        let sequence = self.next.get();
        self.next.set(sequence + 1);
        let order = sequence * 2 + u64::from(root);
        let slot = self.entries.borrow_mut().insert(Entry { task, order });
        if root {
            self.roots.set(self.roots.get() + 1);
        }
        u32::try_from(slot).expect("fewer than 2^32 tasks fit in memory")
    }

    /// Takes a task off the list.
    pub(crate) fn leave(&self, slot: u32) {
        let entry = self.entries.borrow_mut().try_remove(slot as usize);
        // A closed loop has emptied the list; children of a forgotten group may still come here.
        let Some(entry) = entry else { return };
        if entry.is_root() {
            self.roots.set(self.roots.get() - 1);
            if entry.sequence() < self.draining.get() {
                self.undrained.set(self.undrained.get() - 1);
                if self.undrained.get() == 0 {
                    if let Some(waker) = self.drainer.take() {
                        waker.wake();
                    }
                }
            }
        }
        if entry.task.local().__is_marked() {
            self.callbacks.ended(&entry.task);
        }
        drop(entry);
    }

    /// What is to be called when tasks end.
    pub(crate) fn callbacks(&self) -> &DoneCallbacks {
        &self.callbacks
    }

    /// What the loop's factory makes of `builder`.
    #[inline]
    pub(crate) fn prepare(&self, builder: Builder) -> Builder {
        match self.factory() {
            None => builder,
            Some(factory) => factory(builder),
        }
    }

    pub(crate) fn factory(&self) -> Option<TaskFactory> {
        self.factory.borrow().clone()
    }

    pub(crate) fn set_factory(&self, factory: Option<TaskFactory>) {
        let previous = self.factory.replace(factory);
        drop(previous);
    }

    /// Every live task, oldest first.
    pub(crate) fn live(&self) -> Vec<TaskRef> {
        self.tasks(|entry| entry.task.is_live())
    }

    /// The task in `slot`.
    pub(crate) fn get(&self, slot: u32) -> Option<TaskRef> {
        self.entries.borrow().get(slot as usize).map(|entry| entry.task.clone())
    }

    fn tasks(&self, which: impl Fn(&Entry) -> bool) -> Vec<TaskRef> {
        let entries = self.entries.borrow();
        let mut tasks: Vec<_> = entries.iter().filter(|(_, entry)| which(entry)).collect();
        // Slots are used again, so their order says nothing.
        tasks.sort_unstable_by_key(|(_, entry)| entry.order);
        tasks.into_iter().map(|(_, entry)| entry.task.clone()).collect()
    }

    /// Cancels every root and waits for it; and again for those that were created meanwhile. A task that a cleanup
    /// creates and awaits therefore gets its turn; but what goes on making tasks is left to the end of the grace.
    async fn cancel_all(self: Rc<Self>) {
        for _ in 0..ROUNDS {
            if self.roots.get() == 0 {
                return;
            }
            let roots = self.tasks(Entry::is_root);
            self.draining.set(self.next.get());
            self.undrained.set(roots.len());
            for task in roots {
                task.cancel();
            }
            poll_fn(|cx| {
                if self.undrained.get() == 0 {
                    return Poll::Ready(());
                }
                let stale = self.drainer.replace(Some(cx.waker().clone()));
                drop(stale);
                Poll::Pending
            })
            .await;
        }
        pending::<()>().await;
    }
}

/// What the loop calls when it ends.
struct CancelAll(Rc<Registry>);

impl CloseHook for CancelAll {
    fn tier(&self) -> u8 {
        4
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(self.0.clone().cancel_all())
    }

    fn grace(&self, periods: &GracePeriods) -> Duration {
        periods.tasks
    }

    fn abandoned(&self) -> Vec<String> {
        let roots = self.0.tasks(Entry::is_root);
        roots.iter().map(named).collect()
    }

    fn blocked(&self) -> Vec<String> {
        self.0.tasks(|_| true).iter().map(named).collect()
    }

    fn wake_live(&self) -> usize {
        for task in self.0.tasks(Entry::is_root) {
            task.waker().wake_by_ref();
        }
        self.0.roots.get()
    }

    fn closed(&self) {
        // Only children of forgotten groups can be left; nobody will ever take them off.
        let left = self.0.entries.take();
        drop(left);
        self.0.callbacks.clear();
        self.0.set_factory(None);
    }
}

/// A task as a report of several names it.
fn named(task: &TaskRef) -> String {
    format!("{} (created at {})", task.name(), task.site())
}

/// Every live task of the running loop, oldest first: tasks made by [`create_task`](crate::create_task) and children of
/// groups. `run`'s main future is no task of this tier and is not among them.
///
/// # Panics
///
/// Panics when no loop is running on this thread.
///
/// ```
/// use asyncio_task::{all_tasks, create_task};
/// asyncio_loop::run(async {
///     let task = create_task(std::future::pending::<()>());
///     task.set_name("idle");
///     let names: Vec<_> = all_tasks().iter().map(|task| task.name()).collect();
///     assert_eq!(names, ["idle"]);
/// })?;
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
#[must_use]
#[track_caller]
pub fn all_tasks() -> Vec<TaskRef> {
    Registry::of(&running("all_tasks")).live()
}

/// Lists a task that is driven by something else than this crate in [`all_tasks`], until the guard is dropped or the task
/// has ended. The end of the loop does not wait for it.
///
/// For those who build a kind of task of their own around a [`TaskScope`](asyncio_coro::task::TaskScope).
///
/// # Panics
///
/// Panics when no loop is running on this thread.
///
/// ```
/// use asyncio_task::{all_tasks, current_task, register_task};
/// asyncio_loop::run(async {
///     let main = current_task().unwrap(); // tier 2 drives it
///     let listed = register_task(&main);
///     assert_eq!(all_tasks(), [main]);
///     drop(listed);
///     assert!(all_tasks().is_empty());
/// })?;
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
#[track_caller]
pub fn register_task(task: &TaskRef) -> Registered {
    let registry = Registry::of(&running("register_task"));
    Registered { slot: registry.enter(task.clone(), false), registry }
}

/// Keeps a task listed; see [`register_task`].
#[must_use = "the task is listed only while this lives"]
pub struct Registered {
    slot: u32,
    registry: Rc<Registry>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.leave(self.slot);
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered").field("task", &self.registry.get(self.slot)).finish()
    }
}

/// How often the end cancels the tasks that were created since it last did. Cleanups that create tasks whose cleanups
/// create tasks may go this deep; a destructor that always creates another task must come to an end.
const ROUNDS: usize = 1_000;
