//! What `call_soon_threadsafe` returns: a callback that any thread can cancel.
//!
//! Invariant I1: the pointer of such a callback's [`Entry`] is an `Arc<SendCallback<F>>` made raw, and owns a count of it;
//! the vtable is the one of the same `F`. `run` and `discard` take the count back, and entries call one of them once (I1
//! of `ready.rs`). Its content is `Send`, so either may be called on any thread.
#![expect(unsafe_code, reason = "a callback's place in the ready queue is a raw reference to it")]

use std::fmt;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;

use asyncio_coro::context::Captured;

use crate::handle::call;
use crate::ready::{Entry, EntryVTable};
use crate::turn::Turn;
use crate::work::Work;

/// A callback that was given to a loop by [`call_soon_threadsafe`](crate::LoopHandle::call_soon_threadsafe), and that
/// any thread may still cancel. Dropping the handle changes nothing; the callback still runs.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{EventLoop, testing};
///
/// let event_loop = EventLoop::new()?;
/// let handle = event_loop.handle().call_soon_threadsafe(|| unreachable!("it was cancelled"))?;
/// std::thread::spawn(move || {
///     handle.cancel();
///     assert!(handle.cancelled());
/// })
/// .join()
/// .unwrap();
/// testing::run_once(&event_loop)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ThreadSafeHandle {
    callback: Arc<dyn AnyCallback>,
}

impl ThreadSafeHandle {
    /// Drops the callback, here, unless it has already run. While the loop's thread runs it, this blocks until it has
    /// returned; inside the callback itself it does not. So afterwards the callback does not run, nor ever will.
    ///
    /// # Examples
    ///
    /// See [`ThreadSafeHandle`].
    pub fn cancel(&self) {
        self.callback.cancel();
    }

    /// Was it cancelled? Blocks as [`cancel`](Self::cancel) does. A callback that was queued when its loop was closed is
    /// cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// let event_loop = asyncio_loop::EventLoop::new()?;
    /// let handle = event_loop.handle().call_soon_threadsafe(|| unreachable!())?;
    /// assert!(!handle.cancelled());
    /// event_loop.close()?;
    /// assert!(handle.cancelled());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancelled(&self) -> bool {
        self.callback.cancelled()
    }
}

impl fmt::Debug for ThreadSafeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A text about it must not wait for it.
        f.debug_struct("ThreadSafeHandle")
            .field("cancelled", &self.callback.is_marked_cancelled())
            .field("site", &self.callback.site())
            .finish()
    }
}

/// A callback of any type.
trait AnyCallback: Send + Sync {
    fn cancel(&self);
    fn cancelled(&self) -> bool;
    fn is_marked_cancelled(&self) -> bool;
    fn site(&self) -> &'static Location<'static>;
}

/// A callback from any thread, shared by its handle and its entry: one allocation.
struct SendCallback<F> {
    turn: Turn<F>,
    /// Whether its entry is run in the context that is meant for it. A context and its values stay on their thread, so that
    /// otherwise it begins with none.
    has_context: bool,
    site: &'static Location<'static>,
}

impl<F: Send> AnyCallback for SendCallback<F> {
    fn cancel(&self) {
        self.turn.cancel();
    }

    fn cancelled(&self) -> bool {
        self.turn.cancelled()
    }

    fn is_marked_cancelled(&self) -> bool {
        self.turn.is_marked_cancelled()
    }

    fn site(&self) -> &'static Location<'static> {
        self.site
    }
}

impl<F: FnOnce() + Send + 'static> SendCallback<F> {
    const VTABLE: &'static EntryVTable =
        &EntryVTable { run: Self::run, drop: Self::discard, describe: Self::describe };

    /// # Safety
    ///
    /// `ptr` is an `Arc<Self>` made raw, whose count this call takes over.
    unsafe fn run(ptr: NonNull<()>) {
        // SAFETY: the caller keeps I1.
        let this = unsafe { Arc::<Self>::from_raw(ptr.as_ptr().cast_const().cast()) };
        if this.has_context {
            Self::take_turn(this);
        } else {
            Captured::empty().run(|| Self::take_turn(this));
        }
    }

    fn take_turn(this: Arc<Self>) {
        match Arc::try_unwrap(this) {
            // Nobody keeps a handle, as mostly: then there is nobody to take turns with.
            Ok(Self { turn, site, .. }) => {
                if let Some(callback) = turn.into_callback() {
                    call(callback, site);
                }
            }
            Err(this) => this.turn.run(|callback| call(callback, this.site)),
        }
    }

    /// # Safety
    ///
    /// As [`Self::run`].
    unsafe fn discard(ptr: NonNull<()>) {
        // SAFETY: the caller keeps I1.
        let this = unsafe { Arc::<Self>::from_raw(ptr.as_ptr().cast_const().cast()) };
        // It will never run, and a handle that is kept must say so.
        this.turn.cancel();
    }

    /// # Safety
    ///
    /// `ptr` is an `Arc<Self>` made raw, whose count is not taken over.
    unsafe fn describe(ptr: NonNull<()>) -> Work {
        // SAFETY: the caller keeps I1.
        let this = unsafe { ptr.cast::<Self>().as_ref() };
        Work::Callback { site: this.site }
    }
}

/// Makes a callback's handle and its entry, which is run in the callback's context if that `has_context`.
#[track_caller]
pub(crate) fn send_callback<F: FnOnce() + Send + 'static>(
    callback: F,
    has_context: bool,
) -> (ThreadSafeHandle, Entry) {
    let shared =
        Arc::new(SendCallback { turn: Turn::new(callback), has_context, site: Location::caller() });
    let raw = Arc::into_raw(shared.clone()).cast_mut().cast();
    let ptr = NonNull::new(raw).expect("an Arc is not null");
    // SAFETY: by I1: the pointer is a count of `shared`, the vtable that of the same `F`.
    let entry = unsafe { Entry::new(ptr, SendCallback::<F>::VTABLE) };
    (ThreadSafeHandle { callback: shared }, entry)
}
