#![expect(unsafe_code, reason = "a task's facts are read on any thread, its state on one")]
//! `TaskInfo`: the facts about a task, which outlive its future.
//!
//! # Invariants
//!
//! * **I1, facts.** `id` and `site` never change; any thread may read them.
//! * **I2, state.** The other fields are read and written only through [`LocalInfo`], which is neither `Send` nor `Sync` and
//!   is made only by [`TaskInfo::local`], whose caller promises to be on the task's own thread. The one exception is the
//!   destructor, which frees `extra`: it has the info to itself, and what is in there is `Send`.
//! * **I3, core.** While `STARTED` is set and `ENDED` is not, `core` points to the task's pinned [`Root`]: from the first poll of
//!   the `TaskScope` until before the root is dropped. A root that is leaked stays valid for ever, as it is pinned.
//! * **I4, kept context.** Before and after that, `core` is null, or the task's `Context` as a raw `Rc` that it owns. The
//!   `TaskScope` takes out the one that the task begins with when it is polled first or dropped. The one that is kept at the
//!   task's end is taken out by whoever asked for that. Where they do not, because they were leaked, it is leaked too.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::context::{Captured, Context};
use crate::hooks::TaskLabel;
use crate::node::Root;
use crate::task::TaskEnd;

/// The number of a task: unique in the process, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

impl TaskId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        TaskId(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The name of a task that was given none: `Task-{id}`.
    #[must_use]
    pub fn default_name(self) -> String {
        format!("Task-{self}")
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The facts about a task, which outlive its future. 40 bytes.
///
/// Any thread may ask for [`id`](TaskInfo::id) and [`site`](TaskInfo::site). All else belongs to the task's own thread and
/// is behind [`local`](TaskInfo::local), or safely behind a [`TaskRef`](crate::task::TaskRef).
///
/// ```
/// use asyncio_coro::task::TaskInfo;
/// let info = TaskInfo::new();
/// assert!(info.site().file().ends_with(".rs"));
/// ```
pub struct TaskInfo {
    id: TaskId,
    site: &'static Location<'static>,
    core: Cell<*const ()>,
    extra: Cell<Option<Box<Extra>>>,
    cancelling: Cell<u32>,
    flags: Cell<u32>,
}

/// What few tasks have; the others pay one pointer for it.
#[derive(Default)]
struct Extra {
    name: Option<Box<str>>,
    message: Option<Message>,
}

/// What the newest request to cancel said.
struct Message {
    /// The request; 0 for one from before the first step.
    epoch: u64,
    text: Arc<str>,
}

// By I2.
const _: () = {
    const fn sendable<T: Send>() {}
    sendable::<Extra>();
};

/// The body's first poll has begun.
const STARTED: u32 = 1 << 0;
/// The task has ended, or its future was dropped.
const ENDED: u32 = 1 << 1;
/// Cancelled before its first poll.
const CANCEL_EARLY: u32 = 1 << 2;
/// It ended cancelled, or its future was dropped.
const CANCELLED: u32 = 1 << 3;
/// It ended with a panic.
const PANICKED: u32 = 1 << 4;
/// An upper tier keeps something about it.
const MARKED: u32 = 1 << 5;

// SAFETY: by I2, the cells are touched on one thread only, and the destructor may run on any.
unsafe impl Send for TaskInfo {}
// SAFETY: by I1 and I2, a shared reference gives other threads only what never changes.
unsafe impl Sync for TaskInfo {}

impl TaskInfo {
    /// A new task's facts, with the caller as its spawn site.
    #[track_caller]
    #[must_use]
    #[expect(clippy::new_without_default, reason = "the spawn site of a default would be nowhere")]
    pub fn new() -> Self {
        Self::with_site(Location::caller())
    }

    /// A new task's facts, with the given spawn site.
    #[must_use]
    pub fn with_site(site: &'static Location<'static>) -> Self {
        TaskInfo {
            id: TaskId::next(),
            site,
            core: Cell::new(ptr::null()),
            extra: Cell::new(None),
            cancelling: Cell::new(0),
            flags: Cell::new(0),
        }
    }

    /// The task's number.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Where the task was made.
    #[must_use]
    pub fn site(&self) -> &'static Location<'static> {
        self.site
    }

    /// The task's state, which only its own thread may see.
    ///
    /// # Safety
    ///
    /// The calling thread must be the one that polls the task.
    #[must_use]
    pub unsafe fn local(&self) -> LocalInfo<'_> {
        LocalInfo { info: self, _not_send: PhantomData }
    }
}

impl fmt::Debug for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskInfo")
            .field("id", &self.id)
            .field("site", &self.site)
            .finish_non_exhaustive()
    }
}

/// A task's state, seen on the task's own thread.
#[derive(Clone, Copy)]
pub struct LocalInfo<'a> {
    info: &'a TaskInfo,
    _not_send: PhantomData<*const ()>,
}

impl<'a> LocalInfo<'a> {
    /// What any thread may see of the task.
    #[must_use]
    pub fn info(self) -> &'a TaskInfo {
        self.info
    }

    /// The name given by [`set_name`](LocalInfo::set_name), or `Task-{id}`.
    #[must_use]
    pub fn name(self) -> String {
        self.given_name().unwrap_or_else(|| self.info.id.default_name())
    }

    /// The name given by [`set_name`](LocalInfo::set_name), if any: for who wants to put off making the default one.
    #[must_use]
    pub fn given_name(self) -> Option<String> {
        self.extra(|extra| extra.name.as_deref().map(String::from))
    }

    /// Gives the task a name.
    pub fn set_name(self, name: impl Into<Box<str>>) {
        let name = name.into();
        self.extra_mut(|extra| extra.name = Some(name));
    }

    /// What the newest request to cancel the task said, if it said anything.
    #[must_use]
    pub fn cancel_message(self) -> Option<Arc<str>> {
        self.extra(|extra| extra.message.as_ref().map(|message| message.text.clone()))
    }

    /// What the request of this epoch said, if it was made on the task and is its newest.
    pub(crate) fn message_of(self, epoch: u64) -> Option<Arc<str>> {
        self.extra(|extra| {
            let message = extra.message.as_ref().filter(|message| message.epoch == epoch)?;
            Some(message.text.clone())
        })
    }

    /// How many requests to cancel the task have been made and not taken back by [`uncancel`](LocalInfo::uncancel).
    #[must_use]
    pub fn cancelling(self) -> u32 {
        self.info.cancelling.get()
    }

    /// Takes one request back and returns how many are left. The last one taken back before any scope of the task has begun
    /// to unwind for it is withdrawn: the task goes on as if it had never been made.
    pub fn uncancel(self) -> u32 {
        let left = self.info.cancelling.get().saturating_sub(1);
        self.info.cancelling.set(left);
        if left == 0 {
            self.clear(CANCEL_EARLY);
            if let Some(root) = self.root() {
                root.withdraw();
            }
        }
        left
    }

    /// Counts a request to cancel the task and puts it on the root; false when the task has ended. The message takes the place
    /// of that of an earlier request, also if there is none.
    pub(crate) fn ask(self, epoch: u64, message: Option<Arc<str>>) -> bool {
        if !self.is_live() {
            return false;
        }
        self.info.cancelling.set(self.info.cancelling.get().saturating_add(1));
        let epoch = match self.root() {
            Some(root) => {
                root.ask(epoch);
                epoch
            }
            None => {
                self.set(CANCEL_EARLY);
                0
            }
        };
        if message.is_some() || self.has_extra() {
            let message = message.map(|text| Message { epoch, text });
            self.extra_mut(|extra| extra.message = message);
        }
        true
    }

    /// Whether the task has been polled.
    #[must_use]
    pub fn is_started(self) -> bool {
        self.has(STARTED)
    }

    /// Whether the task has yet to end: its future exists and has not returned, panicked or unwound.
    #[must_use]
    pub fn is_live(self) -> bool {
        !self.has(ENDED)
    }

    /// Whether the task has ended, and was cancelled or dropped before it had a value.
    #[must_use]
    pub fn cancelled(self) -> bool {
        self.has(CANCELLED)
    }

    /// Whether the task has ended with a panic.
    #[must_use]
    pub fn panicked(self) -> bool {
        self.has(PANICKED)
    }

    /// Marks the task for the tier above, which keeps something about it elsewhere.
    #[doc(hidden)]
    pub fn __mark(self) {
        self.set(MARKED);
    }

    /// Whether the task is [marked](LocalInfo::__mark).
    #[doc(hidden)]
    #[must_use]
    pub fn __is_marked(self) -> bool {
        self.has(MARKED)
    }

    /// The task's context: what is set in it is seen by the task, and what the task sets in it. `None` once the task has ended,
    /// unless it was [kept](crate::task::TaskScope::keep_context).
    #[must_use]
    pub fn context(self) -> Option<Context> {
        if let Some(root) = self.root() {
            return Some(root.context().context());
        }
        let context = match self.take_kept() {
            Some(context) => context,
            None if self.has(STARTED | ENDED) => return None,
            None => Context::new(),
        };
        self.keep(context.clone());
        Some(context)
    }

    /// Keeps the context of a task that has yet to begin, or has ended.
    pub(crate) fn keep(self, context: Context) {
        let other = self.take_kept();
        debug_assert!(self.root().is_none() && self.info.core.get().is_null());
        self.info.core.set(Rc::into_raw(context.0).cast());
        drop(other);
    }

    /// Takes out the context that is kept for a task which has yet to begin, or has ended.
    pub(crate) fn take_kept(self) -> Option<Context> {
        if self.root().is_some() {
            return None;
        }
        let kept = self.info.core.replace(ptr::null());
        if kept.is_null() {
            return None;
        }
        // SAFETY: by I4, an `Rc` that was owned by the cell and now is by us.
        Some(Context(unsafe { Rc::from_raw(kept.cast()) }))
    }

    /// Takes out the context that was [kept](crate::task::TaskScope::keep_context) when the task ended; an empty one if none was.
    #[must_use]
    pub fn take_context(self) -> Captured {
        let kept = if self.has(ENDED) { self.take_kept() } else { None };
        kept.map_or_else(Captured::empty, Captured::from)
    }

    /// Drops the context that was [kept](crate::task::TaskScope::keep_context) when the task ended.
    #[inline]
    pub fn drop_kept_context(self) {
        if self.has(ENDED) && !self.info.core.get().is_null() {
            self.drop_kept();
        }
    }

    #[cold]
    fn drop_kept(self) {
        drop(self.take_kept());
    }

    #[cold]
    fn begin_in_early(self, root: Pin<&Root>) {
        root.context().slot().set(self.take_kept());
    }

    /// Begins the task: from now on requests go to `root`. Says whether it was cancelled, or ended, before.
    pub(crate) fn start(self, root: Pin<&Root>) -> bool {
        if !self.info.core.get().is_null() {
            self.begin_in_early(root);
        }
        self.set(STARTED);
        self.info.core.set(root.as_core().cast());
        self.has(CANCEL_EARLY | ENDED)
    }

    /// Ends a task for which there will be no [`TaskScope`](crate::task::TaskScope): it was cancelled before it was made.
    pub fn never_begin(self) {
        if !self.has(STARTED) {
            let early = self.take_kept();
            self.end(Some(&TaskEnd::Cancelled));
            drop(early);
        }
    }

    /// Ends the task: from now on requests are refused. A context from before its beginning was taken out.
    pub(crate) fn end(self, how: Option<&TaskEnd>) {
        self.info.core.set(ptr::null());
        self.set(match how {
            None => ENDED,
            Some(TaskEnd::Cancelled) => ENDED | CANCELLED,
            Some(TaskEnd::Panicked(_)) => ENDED | PANICKED,
        });
    }

    pub(crate) fn root(&self) -> Option<&Root> {
        if self.info.flags.get() & (STARTED | ENDED) != STARTED {
            return None;
        }
        // SAFETY: by I3, alive.
        unsafe { self.info.core.get().cast::<Root>().as_ref() }
    }

    fn has_extra(self) -> bool {
        let extra = self.info.extra.take();
        let is_there = extra.is_some();
        self.info.extra.set(extra);
        is_there
    }

    /// Looks at what few tasks have. `look` calls nothing of a user's.
    fn extra<R>(self, look: impl FnOnce(&Extra) -> Option<R>) -> Option<R> {
        let extra = self.info.extra.take();
        let seen = extra.as_deref().and_then(look);
        self.info.extra.set(extra);
        seen
    }

    /// Changes what few tasks have. `change` calls nothing of a user's.
    fn extra_mut(self, change: impl FnOnce(&mut Extra)) {
        let mut extra = self.info.extra.take().unwrap_or_default();
        change(&mut extra);
        self.info.extra.set(Some(extra));
    }

    fn has(self, flag: u32) -> bool {
        self.info.flags.get() & flag != 0
    }

    fn set(self, flag: u32) {
        self.info.flags.set(self.info.flags.get() | flag);
    }

    fn clear(self, flag: u32) {
        self.info.flags.set(self.info.flags.get() & !flag);
    }
}

impl TaskInfo {
    /// The task's name and number, for a report made by one of its own scopes, which are on its thread.
    pub(crate) fn label(&self) -> TaskLabel {
        // SAFETY: a `Root` is on the task's own thread, and only a root leads here.
        let local = unsafe { self.local() };
        TaskLabel { id: self.id, name: local.name() }
    }

    /// What the request of this epoch said, for one of the task's own scopes, which are on its thread.
    pub(crate) fn message_of(&self, epoch: u64) -> Option<Arc<str>> {
        // SAFETY: as above.
        unsafe { self.local() }.message_of(epoch)
    }
}
