#![expect(unsafe_code, reason = "a root is promised that its task's facts outlive it")]
//! The outermost scope of a task, where every chain ends. See the invariants of the tree.

use std::marker::PhantomPinned;
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::Waker;

use super::thread::THREAD;
use super::{Base, ROOT, UNWINDING};
use crate::context::Captured;
use crate::task::TaskInfo;

/// The outermost scope of a task, pinned in the task's wrapped future.
#[repr(C)]
pub(crate) struct Root {
    base: Base,
    info: NonNull<TaskInfo>,
    /// The task's context, once the task has begun.
    context: Captured,
    _pin: PhantomPinned,
}

impl Root {
    /// # Safety
    ///
    /// `info` must outlive the root and belong to this thread.
    pub(crate) const unsafe fn new(info: NonNull<TaskInfo>) -> Self {
        Root { base: Base::new(ROOT), info, context: Captured::empty(), _pin: PhantomPinned }
    }

    /// Runs one step of the task: `step` runs with the root as the current scope and the task as the current task.
    #[inline]
    pub(crate) fn step<R>(self: Pin<&Self>, waker: &Waker, step: impl FnOnce() -> R) -> R {
        let this = self.get_ref();
        this.base.pass.set(this.base.pass.get().wrapping_add(1));
        let _restore = THREAD.with(|thread| RestoreTask {
            // Cast from the whole root: N5.
            scope: thread.scope.replace(ptr::from_ref(this).cast()),
            task: thread.task.replace(this.info.as_ptr()),
            waker: thread.waker.replace(waker),
        });
        step()
    }

    /// The address by which a `TaskInfo` finds its root; see [`Root::from_core`].
    pub(crate) fn as_core(self: Pin<&Self>) -> *const Root {
        self.get_ref()
    }

    #[inline]
    pub(crate) fn base(&self) -> &Base {
        &self.base
    }

    pub(crate) fn info(&self) -> &TaskInfo {
        // SAFETY: `Root::new` was promised that the info outlives the root.
        unsafe { self.info.as_ref() }
    }

    /// The task's context.
    pub(crate) fn context(&self) -> &Captured {
        &self.context
    }

    /// Brings the thread's count up to date after a change of `request` or the flags.
    pub(crate) fn recount(&self) {
        self.base.count(self.base.request.get() != 0 || self.base.has(UNWINDING));
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.base.orphan_children();
        self.base.count(false);
    }
}

struct RestoreTask {
    scope: *const Base,
    task: *const TaskInfo,
    waker: *const Waker,
}

impl Drop for RestoreTask {
    fn drop(&mut self) {
        THREAD.with(|thread| {
            thread.scope.set(self.scope);
            thread.task.set(self.task);
            thread.waker.set(self.waker);
        });
    }
}
