//! What `call_soon` and `call_later` return: a callback that can still be cancelled.
//!
//! Invariant I1: the pointer of a callback's [`Entry`] is an `Rc<Callback<F>>` made raw, and owns it; the vtable is the
//! one of the same `F`. Each of its functions takes the pointer back, and entries call one of them once (I1 of
//! `ready.rs`).
#![expect(unsafe_code, reason = "a callback's place in the ready queue is a raw reference to it")]

use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::ptr::NonNull;
use std::rc::{Rc, Weak};
use std::time::Instant;

use asyncio_coro::Context;
use asyncio_coro::context::Captured;

use crate::event_loop::Inner;
use crate::exception::ExceptionContext;
use crate::ready::{Entry, EntryVTable};
use crate::running;
use crate::timers::TimerKey;
use crate::work::Work;

/// A callback in the ready queue. Dropping the handle changes nothing; the callback still runs.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{EventLoop, testing};
///
/// let event_loop = EventLoop::new()?;
/// let handle = event_loop.call_soon(|| unreachable!("it was cancelled"));
/// handle.cancel();
/// assert!(handle.cancelled());
/// testing::run_once(&event_loop)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Handle {
    callback: Rc<dyn AnyCallback>,
}

impl Handle {
    /// Drops the callback, unless it has already run. Once it was called the loop skips the handle.
    pub fn cancel(&self) {
        self.callback.cancel();
    }

    /// Was it cancelled? A callback given to a closed loop is cancelled from the start.
    pub fn cancelled(&self) -> bool {
        self.callback.cancelled()
    }

    /// The context that it runs in, or ran in.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::EventLoop;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let context = asyncio_coro::Context::new();
    /// let handle = event_loop.call_soon_in(&context, || ());
    /// assert!(handle.get_context().ptr_eq(&context));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn get_context(&self) -> Context {
        self.callback.context()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let site = self.callback.site();
        f.debug_struct("Handle").field("cancelled", &self.cancelled()).field("site", &site).finish()
    }
}

/// A callback that waits for its time. Dropping the handle changes nothing; the callback still runs.
///
/// # Examples
///
/// ```
/// use asyncio_loop::EventLoop;
/// use std::time::Duration;
///
/// let event_loop = EventLoop::new()?;
/// let timer = event_loop.call_later(Duration::from_secs(60), || unreachable!());
/// assert!(timer.when() > event_loop.time());
/// timer.cancel();
/// assert!(timer.cancelled());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct TimerHandle {
    handle: Handle,
    when: Instant,
    key: Option<TimerKey>,
    inner: Weak<Inner>,
}

impl TimerHandle {
    pub(crate) fn new(
        handle: Handle,
        when: Instant,
        key: Option<TimerKey>,
        inner: Weak<Inner>,
    ) -> Self {
        Self { handle, when, key, inner }
    }

    /// Drops the callback and takes the timer out, unless it has already run.
    pub fn cancel(&self) {
        self.handle.cancel();
        if let (Some(key), Some(inner)) = (self.key, self.inner.upgrade()) {
            inner.cancel_timer(key);
        }
    }

    /// Was it cancelled? A timer given to a closed loop is cancelled from the start.
    pub fn cancelled(&self) -> bool {
        self.handle.cancelled()
    }

    /// The context that it runs in, or ran in.
    pub fn get_context(&self) -> Context {
        self.handle.get_context()
    }

    /// When it is due, on the loop's clock.
    pub fn when(&self) -> Instant {
        self.when
    }
}

/// Two handles are equal when they are handles on one timer.
impl PartialEq for TimerHandle {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.handle.callback, &other.handle.callback)
    }
}

impl Eq for TimerHandle {}

/// The one that is due earlier is less. Of two timers with one deadline neither is.
impl PartialOrd for TimerHandle {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.when.cmp(&other.when) {
            Ordering::Equal => (self == other).then_some(Ordering::Equal),
            unequal => Some(unequal),
        }
    }
}

impl Hash for TimerHandle {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.when.hash(state);
    }
}

impl fmt::Debug for TimerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerHandle")
            .field("handle", &self.handle)
            .field("when", &self.when)
            .finish()
    }
}

/// A callback of any type.
trait AnyCallback {
    fn cancel(&self);
    fn cancelled(&self) -> bool;
    fn context(&self) -> Context;
    fn site(&self) -> &'static Location<'static>;
}

/// A callback of the loop's own thread, shared by its handle and its entry: one allocation.
struct Callback<F> {
    /// None once it ran or was cancelled.
    callback: Cell<Option<F>>,
    cancelled: Cell<bool>,
    context: Captured,
    site: &'static Location<'static>,
}

impl<F> AnyCallback for Callback<F> {
    fn cancel(&self) {
        self.cancelled.set(true);
        drop(self.callback.take());
    }

    fn cancelled(&self) -> bool {
        self.cancelled.get()
    }

    fn context(&self) -> Context {
        self.context.context()
    }

    fn site(&self) -> &'static Location<'static> {
        self.site
    }
}

impl<F: FnOnce() + 'static> Callback<F> {
    const VTABLE: &'static EntryVTable =
        &EntryVTable { run: Self::run, drop: Self::discard, describe: Self::describe };

    /// # Safety
    ///
    /// `ptr` is an `Rc<Self>` made raw, whose count this call takes over.
    unsafe fn run(ptr: NonNull<()>) {
        // SAFETY: the caller keeps I1.
        let this = unsafe { Rc::<Self>::from_raw(ptr.as_ptr().cast_const().cast()) };
        if let Some(callback) = this.callback.take() {
            this.context.run(|| call(callback, this.site));
        }
    }

    /// # Safety
    ///
    /// As [`Self::run`].
    unsafe fn discard(ptr: NonNull<()>) {
        // SAFETY: the caller keeps I1.
        let this = unsafe { Rc::<Self>::from_raw(ptr.as_ptr().cast_const().cast()) };
        // The loop was closed: it will never run, and a handle that is kept must say so.
        this.cancel();
    }

    /// # Safety
    ///
    /// `ptr` is an `Rc<Self>` made raw, whose count is not taken over.
    unsafe fn describe(ptr: NonNull<()>) -> Work {
        // SAFETY: the caller keeps I1.
        let this = unsafe { ptr.cast::<Self>().as_ref() };
        Work::Callback { site: this.site }
    }
}

/// Makes the handle and the entry of a callback that runs in `context`.
#[track_caller]
pub(crate) fn callback<F: FnOnce() + 'static>(context: Captured, callback: F) -> (Handle, Entry) {
    callback_at(Location::caller(), context, callback)
}

/// Makes the handle and the entry of a callback that somebody gave us at `site`.
pub(crate) fn callback_at<F: FnOnce() + 'static>(
    site: &'static Location<'static>,
    context: Captured,
    callback: F,
) -> (Handle, Entry) {
    let shared = Rc::new(Callback {
        callback: Cell::new(Some(callback)),
        cancelled: Cell::new(false),
        context,
        site,
    });
    let raw = Rc::into_raw(shared.clone()).cast_mut().cast();
    let ptr = NonNull::new(raw).expect("an Rc is not null");
    // SAFETY: by I1: the pointer is a count of `shared`, the vtable that of the same `F`.
    let entry = unsafe { Entry::new(ptr, Callback::<F>::VTABLE) };
    (Handle { callback: shared }, entry)
}

/// Makes an entry that runs `entry`, which must be of this thread's loop, in `context`.
#[track_caller]
pub(crate) fn in_context(context: Captured, entry: Entry) -> Entry {
    /// Discards what was not run.
    struct Owned(Option<Entry>);
    impl Drop for Owned {
        fn drop(&mut self) {
            self.0.take().into_iter().for_each(Entry::discard);
        }
    }
    let mut owned = Owned(Some(entry));
    callback(context, move || owned.0.take().into_iter().for_each(Entry::run)).1
}

/// Calls a callback of the running loop, in whose context we are; a panic goes to the loop's exception handler.
pub(crate) fn call(callback: impl FnOnce(), site: &'static Location<'static>) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(callback)) {
        let context =
            ExceptionContext::new("exception in callback").with_site(site).with_panic(panic);
        running::report_exception(context);
    }
}
