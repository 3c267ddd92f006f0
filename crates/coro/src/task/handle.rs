#![expect(unsafe_code, reason = "a counted handle on facts that its waker keeps alive")]
//! `TaskRef`: a counted handle on a task of any kind, and `current_task`.
//!
//! # Invariants
//!
//! * **R1, kept.** `info` is alive as long as `keep` is: promised to [`TaskRef::new`], and to
//!   [`TaskScope::new`](crate::task::TaskScope::new) for the waker of each poll.
//! * **R2, own thread.** A `TaskRef` is made on the task's own thread and, holding a raw pointer, is neither `Send` nor `Sync`.

use std::fmt;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Waker;

use crate::context::Context;
use crate::node::{Base, with_current_task};
use crate::request::Wakers;
use crate::task::{LocalInfo, TaskId, TaskInfo};

/// A handle on a task of any kind: `run`'s main future, a task of the loop, a child of a group.
///
/// It does not keep the task running, and stays usable after the task has ended. It belongs to the task's thread.
pub struct TaskRef {
    info: NonNull<TaskInfo>,
    /// The task's own waker: wakes it, and keeps `info` alive.
    keep: Waker,
}

/// The task whose step is running on this thread.
///
/// ```
/// assert!(asyncio_coro::current_task().is_none(), "no task runs here");
/// ```
#[must_use]
pub fn current_task() -> Option<TaskRef> {
    with_current_task(|info, waker| TaskRef { info, keep: waker.clone() })
}

impl TaskRef {
    /// Makes a handle from a task's facts and its waker.
    ///
    /// # Safety
    ///
    /// `info` must stay valid as long as `keep` or a clone of it exists, and the calling thread must be the one that polls
    /// the task.
    #[must_use]
    pub unsafe fn new(info: NonNull<TaskInfo>, keep: Waker) -> Self {
        TaskRef { info, keep }
    }

    /// The task's facts.
    #[must_use]
    pub fn info(&self) -> &TaskInfo {
        // SAFETY: by R1.
        unsafe { self.info.as_ref() }
    }

    /// The task's own waker.
    #[must_use]
    pub fn waker(&self) -> &Waker {
        &self.keep
    }

    /// The task's number.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.info().id()
    }

    /// Where the task was made.
    #[must_use]
    pub fn site(&self) -> &'static Location<'static> {
        self.info().site()
    }

    /// The task's name: the one it was given, or `Task-{id}`.
    #[doc(alias = "get_name")]
    #[must_use]
    pub fn name(&self) -> String {
        self.local().name()
    }

    /// The name it was given, if any.
    #[must_use]
    pub fn given_name(&self) -> Option<String> {
        self.local().given_name()
    }

    /// Gives the task a name.
    pub fn set_name(&self, name: impl Into<Box<str>>) {
        self.local().set_name(name);
    }

    /// The task's context, shared with it: what one sets in it the other sees. `None` once the task has ended.
    #[must_use]
    pub fn get_context(&self) -> Option<Context> {
        self.local().context()
    }

    /// Asks the task to unwind; false when it has ended.
    ///
    /// A task that has not begun never begins. Otherwise its scopes unwind from the inside out, each with its cleanup; a
    /// cleanup that is already running for an earlier request is cut. A request made during the very step in which the body
    /// returns counts; if the body is ready in a later step before it has waited again, its value stands.
    pub fn cancel(&self) -> bool {
        self.__cancel(None)
    }

    /// Asks the task to unwind, as [`cancel`](TaskRef::cancel) does, and says why: whoever catches the cancellation finds
    /// the message in the [`CancelledError`](crate::CancelledError), and whoever awaits the task in the task's error.
    ///
    /// A further request before the task has unwound replaces the message by its own, or by none.
    pub fn cancel_with(&self, message: impl fmt::Display) -> bool {
        self.__cancel(Some(message.to_string().into()))
    }

    /// Makes a request with or without a message. For the tiers above, which hand requests on.
    #[doc(hidden)]
    pub fn __cancel(&self, message: Option<Arc<str>>) -> bool {
        let Some(wakers) = Wakers::ask_task(self, message) else { return false };
        wakers.wake();
        true
    }

    /// Puts a request on this task alone, and wakes nobody; false when it has ended.
    pub(crate) fn ask(&self, epoch: u64, message: Option<Arc<str>>) -> bool {
        self.local().ask(epoch, message)
    }

    /// Calls `look` with the root of the task's scopes, if it has begun and not ended. `look` calls no foreign code.
    pub(crate) fn with_root(&self, look: impl FnOnce(&Base)) {
        if let Some(root) = self.local().root() {
            look(root.base());
        }
    }

    /// What the newest request to cancel the task said, if it said anything.
    #[must_use]
    pub fn cancel_message(&self) -> Option<Arc<str>> {
        self.local().cancel_message()
    }

    /// How many requests to cancel the task have been made and not taken back.
    #[must_use]
    pub fn cancelling(&self) -> u32 {
        self.local().cancelling()
    }

    /// Takes one request back and returns how many are left; see [`LocalInfo::uncancel`].
    pub fn uncancel(&self) -> u32 {
        self.local().uncancel()
    }

    /// The tasks that this one waits for now, in the order in which it began to: by awaiting them, or as one of several. Empty
    /// while its step is running, and when it waits for something else.
    ///
    /// Nothing is kept for it: it follows what a request to cancel would follow.
    #[must_use]
    pub fn awaits(&self) -> Vec<TaskRef> {
        let mut found = Vec::new();
        self.with_root(|root| {
            // Newest first.
            root.descendants()
                .filter_map(|node| node.leaf())
                .for_each(|leaf| leaf.look(&mut found));
        });
        found.reverse();
        found
    }

    /// Whether the task has been polled.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.local().is_started()
    }

    /// Whether the task has yet to end.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.local().is_live()
    }

    /// Whether the task has ended: the opposite of [`is_live`](TaskRef::is_live).
    #[must_use]
    pub fn done(&self) -> bool {
        !self.is_live()
    }

    /// Whether the task has ended, and was cancelled or dropped before it had a value.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.local().cancelled()
    }

    /// Whether the task has ended with a panic.
    #[must_use]
    pub fn panicked(&self) -> bool {
        self.local().panicked()
    }

    /// The task's state.
    #[must_use]
    pub fn local(&self) -> LocalInfo<'_> {
        // SAFETY: by R2.
        unsafe { self.info().local() }
    }
}

impl Clone for TaskRef {
    fn clone(&self) -> Self {
        TaskRef { info: self.info, keep: self.keep.clone() }
    }
}

/// Two handles are equal when they are handles on one task.
impl PartialEq for TaskRef {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for TaskRef {}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskRef")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("site", &self.site())
            .finish_non_exhaustive()
    }
}
