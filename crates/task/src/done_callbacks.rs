//! Done callbacks: what is called when a task has ended, by its loop.
//!
//! They are kept by the loop's registry under the task's number, not in the task: what a task carries beside its future
//! may be dropped on any thread, and few tasks have callbacks. A mark on the task says that there are some.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;

use asyncio_coro::context::Captured;
use asyncio_coro::task::{LocalInfo, TaskId, TaskRef};
use asyncio_loop::{EventLoop, get_running_loop};

use crate::join_error::Identity;
use crate::report;

/// Names a done callback of a task, to remove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallbackId(u64);

/// A task that has ended, as its done callbacks see it: which one it is, and how it ended. Its value belongs to who
/// holds the handle.
pub struct DoneTask {
    identity: Identity,
    cancelled: bool,
    panicked: bool,
    message: Option<Arc<str>>,
}

impl DoneTask {
    pub(crate) fn new(local: LocalInfo<'_>) -> Self {
        Self {
            identity: Identity::from(local),
            cancelled: local.cancelled(),
            panicked: local.panicked(),
            message: local.cancel_message(),
        }
    }

    /// The task's number.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.identity.id
    }

    /// The task's name when it ended.
    #[must_use]
    pub fn name(&self) -> &str {
        self.identity.name()
    }

    /// Where the task was created.
    #[must_use]
    pub fn site(&self) -> &'static Location<'static> {
        self.identity.site
    }

    /// Whether it was cancelled.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.cancelled
    }

    /// What whoever cancelled it had to say.
    #[must_use]
    pub fn cancel_message(&self) -> Option<&str> {
        self.message.as_deref().filter(|_| self.cancelled)
    }

    /// Whether it panicked.
    #[must_use]
    pub fn panicked(&self) -> bool {
        self.panicked
    }
}

impl fmt::Debug for DoneTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DoneTask")
            .field("name", &self.name())
            .field("cancelled", &self.cancelled)
            .field("panicked", &self.panicked)
            .finish_non_exhaustive()
    }
}

/// What is to be called, in the context in which it was registered.
struct Callback {
    call: Box<dyn FnOnce(&DoneTask)>,
    context: Captured,
}

impl Callback {
    fn soon(self, event_loop: &EventLoop, task: DoneTask) {
        let Self { call, context } = self;
        event_loop.call_soon_in(context, move || call(&task));
    }
}

/// The done callbacks of all tasks of one loop.
#[derive(Default)]
pub(crate) struct DoneCallbacks {
    of: RefCell<HashMap<TaskId, Vec<(CallbackId, Callback)>>>,
    next: Cell<u64>,
}

impl DoneCallbacks {
    /// Has `callback` called when the task has ended; soon, if it has.
    pub(crate) fn add(
        &self,
        event_loop: &EventLoop,
        local: LocalInfo<'_>,
        call: Box<dyn FnOnce(&DoneTask)>,
    ) -> CallbackId {
        let callback = Callback { call, context: Captured::copy() };
        let id = CallbackId(self.next.get());
        self.next.set(id.0 + 1);
        if local.is_live() {
            local.__mark();
            self.of.borrow_mut().entry(local.info().id()).or_default().push((id, callback));
        } else {
            callback.soon(event_loop, DoneTask::new(local));
        }
        id
    }

    /// Forgets a callback; false if there is none of that number.
    pub(crate) fn remove(&self, task: TaskId, id: CallbackId) -> bool {
        let mut all = self.of.borrow_mut();
        let Some(callbacks) = all.get_mut(&task) else { return false };
        let Some(at) = callbacks.iter().position(|(other, _)| *other == id) else { return false };
        let removed = callbacks.remove(at);
        drop(all);
        drop(removed);
        true
    }

    /// The task has ended: its callbacks are due.
    #[cold]
    pub(crate) fn ended(&self, task: &TaskRef) {
        let Some(callbacks) = self.of.borrow_mut().remove(&task.id()) else { return };
        let event_loop = get_running_loop().ok();
        for (_, callback) in callbacks {
            let done = DoneTask::new(task.local());
            // A callback that is not to be called is dropped, in the midst of the end of its task.
            let given = catch_unwind(AssertUnwindSafe(|| {
                if let Some(event_loop) = &event_loop {
                    callback.soon(event_loop, done);
                }
            }));
            if let Err(payload) = given {
                report::panic(Identity::from(task.local()), payload);
            }
        }
    }

    /// The loop is closed: nobody will be called any more.
    pub(crate) fn clear(&self) {
        let left = self.of.take();
        drop(left);
    }
}
