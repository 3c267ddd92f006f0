#![expect(unsafe_code, reason = "what is current is on the stack below us")]
//! What a thread knows of its scopes: which is current, whether a request is outstanding anywhere. See N3 of the tree.

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::task::Waker;

use super::{Above, Base};
use crate::context::Slot;
use crate::task::TaskInfo;

pub(super) struct Thread {
    /// The scope whose body or cleanup is being polled.
    pub(super) scope: Cell<*const Base>,
    /// The task whose step is running, and the waker of that step.
    pub(super) task: Cell<*const TaskInfo>,
    pub(super) waker: Cell<*const Waker>,
    /// How many nodes have an unswallowed request or unwind: while it is 0, nobody need look up the chain.
    pub(super) outstanding: Cell<usize>,
    /// The epoch of the newest request on this thread, at first [`OLDEST_EPOCH`].
    pub(super) epoch: Cell<u64>,
}

thread_local! {
    pub(super) static THREAD: Thread = const {
        Thread {
            scope: Cell::new(ptr::null()),
            task: Cell::new(ptr::null()),
            waker: Cell::new(ptr::null()),
            outstanding: Cell::new(0),
            epoch: Cell::new(OLDEST_EPOCH),
        }
    };
}

/// Older than every fresh one: a request of this epoch does not reach what runs in any cleanup.
pub(crate) const OLDEST_EPOCH: u64 = 1;

/// Whether any scope of this thread may have something to do beyond being pending.
#[inline]
pub(crate) fn outstanding() -> bool {
    THREAD.with(|thread| thread.outstanding.get() > 0)
}

/// The newest epoch given out on this thread.
pub(crate) fn newest_epoch() -> u64 {
    THREAD.with(|thread| thread.epoch.get())
}

/// A fresh epoch, newer than all others of this thread.
pub(crate) fn fresh_epoch() -> u64 {
    THREAD.with(|thread| {
        let epoch = thread.epoch.get() + 1;
        thread.epoch.set(epoch);
        epoch
    })
}

/// Calls `look` with the scope that is being polled, if there is one. `look` calls no foreign code: N6.
pub(crate) fn with_current_scope<R>(look: impl FnOnce(Above<'_>) -> R) -> Option<R> {
    let scope = THREAD.with(|thread| thread.scope.get());
    // SAFETY: by N3, null or being polled, by somebody below us on the stack.
    unsafe { Above::from_pointer(scope) }.map(look)
}

/// Calls `look` with the task whose step is running and that step's waker.
pub(crate) fn with_current_task<R>(look: impl FnOnce(NonNull<TaskInfo>, &Waker) -> R) -> Option<R> {
    let (task, waker) = THREAD.with(|thread| (thread.task.get(), thread.waker.get()));
    let task = NonNull::new(task.cast_mut())?;
    // SAFETY: by N3, `waker` belongs to the step that is running now; it is set together with `task`.
    let waker = unsafe { &*waker };
    Some(look(task, waker))
}

/// The task whose step is running, to be compared; null for none.
#[inline]
pub(crate) fn current_task_ptr() -> *const TaskInfo {
    THREAD.with(|thread| thread.task.get())
}

/// Calls `look`, which runs no foreign code, with the place of the context of the task whose step is running.
pub(crate) fn with_current_context<R>(look: impl FnOnce(&Slot) -> R) -> Option<R> {
    // SAFETY: by N3, null or the facts of the task whose step is running now.
    let task = unsafe { current_task_ptr().as_ref() }?;
    // SAFETY: a task's step runs on the task's own thread.
    let local = unsafe { task.local() };
    local.root().map(|root| look(root.context().slot()))
}

/// Makes no task and no scope the current one, until whoever set them restores what was before.
pub(crate) fn forget_current() {
    THREAD.with(|thread| {
        thread.scope.set(ptr::null());
        thread.task.set(ptr::null());
        thread.waker.set(ptr::null());
    });
}

/// Runs `f` with no current scope; what it polls belongs to no scope and is reached by no request.
pub(crate) fn outside<R>(f: impl FnOnce() -> R) -> R {
    let _restore = RestoreScope(THREAD.with(|thread| thread.scope.replace(ptr::null())));
    f()
}

struct RestoreScope(*const Base);

impl Drop for RestoreScope {
    fn drop(&mut self) {
        THREAD.with(|thread| thread.scope.set(self.0));
    }
}
