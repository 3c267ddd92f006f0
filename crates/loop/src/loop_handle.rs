//! The door for other threads.

use std::fmt;
use std::ptr;
use std::sync::Arc;

use asyncio_coro::context::Captured;

use crate::error::LoopClosed;
use crate::event_loop::{Inner, State};
use crate::handle::in_context;
use crate::ready::Entry;
use crate::remote::Shared;
use crate::running;
use crate::thread_safe_handle::{ThreadSafeHandle, send_callback};

/// A handle on a loop that may be sent to other threads and cloned freely. It does not keep the loop alive.
///
/// # Examples
///
/// ```
/// use asyncio_loop::EventLoop;
///
/// let event_loop = EventLoop::new()?;
/// let handle = event_loop.handle();
/// let stopper = event_loop.clone();
/// let thread = std::thread::spawn(move || {
///     handle.call_soon_threadsafe(|| asyncio_loop::get_running_loop().unwrap().stop())
/// });
/// event_loop.run_forever().unwrap();
/// thread.join().unwrap().unwrap();
/// assert!(!stopper.is_running());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct LoopHandle {
    shared: Arc<Shared>,
}

impl LoopHandle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Calls `callback` on the loop's thread, from whichever thread this is called. Wakes the loop if it waits.
    ///
    /// From the loop's own thread it queues like [`call_soon`](crate::EventLoop::call_soon), in one order with it.
    /// The callbacks of one thread run in the order in which it gave them. Any thread may cancel one by the handle that is
    /// returned. A signal handler must not call this: it allocates.
    ///
    /// Given by the loop's own thread while the loop runs, it runs in a copy of the current
    /// [context](asyncio_coro::context). Contexts do not cross threads: from elsewhere, it runs in an empty one.
    ///
    /// # Errors
    ///
    /// [`LoopClosed`] when the loop is closed or gone; the callback is dropped here then. A loop that is closed later
    /// drops the callback on its own thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{EventLoop, testing};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// std::thread::spawn(move || handle.call_soon_threadsafe(move || sender.send(7).unwrap()))
    ///     .join()
    ///     .unwrap()?;
    /// testing::run_once(&event_loop)?;
    /// assert_eq!(receiver.recv()?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn call_soon_threadsafe(
        &self,
        callback: impl FnOnce() + Send + 'static,
    ) -> Result<ThreadSafeHandle, LoopClosed> {
        let context = if self.is_current() { Captured::copy() } else { Captured::empty() };
        let (handle, entry) = send_callback(callback, !context.is_empty());
        let entry = if context.is_empty() { entry } else { in_context(context, entry) };
        match self.push(entry) {
            Ok(()) => Ok(handle),
            Err(refused) => {
                // Its content is `Send`, so it may be dropped here.
                refused.discard();
                Err(LoopClosed::of(&self.shared))
            }
        }
    }

    /// Appends an entry to the loop's ready queue: directly on the loop's own thread while it runs, through the door
    /// for other threads otherwise.
    ///
    /// An entry that comes after the loop was closed is forgotten, that is, leaked: the loop has dropped everything
    /// that was alive before that, and no other thread may run or drop what was the loop's.
    ///
    /// # Examples
    ///
    /// See [`Entry::new`].
    pub fn schedule(&self, entry: Entry) {
        // An entry has no destructor, so dropping it forgets it.
        drop(self.push(entry));
    }

    /// Like [`schedule`](Self::schedule), if this thread is inside this loop now; gives the entry back if not.
    ///
    /// It touches this handle's memory only before it appends the entry, so that the handle may lie in what the entry
    /// owns.
    ///
    /// # Errors
    ///
    /// The entry, when another thread, another loop or no loop is where we are, or this one is closed.
    ///
    /// # Examples
    ///
    /// See [`Entry::new`] for how to make an entry.
    #[inline]
    pub fn schedule_here(&self, entry: Entry) -> Result<(), Entry> {
        running::with(|inner| match inner {
            Some(inner) if self.is_of(inner) && inner.state.get() != State::Closed => {
                inner.ready.push(entry);
                Ok(())
            }
            _ => Err(entry),
        })
    }

    /// Is the loop closed, or gone?
    ///
    /// # Examples
    ///
    /// ```
    /// let event_loop = asyncio_loop::EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// drop(event_loop);
    /// assert!(handle.is_closed());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Is this thread inside this loop now, running it or closing it? Then [`schedule`](Self::schedule) appends directly
    /// and touches neither this handle's memory nor anything shared after that.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::EventLoop;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// assert!(!handle.is_current());
    /// assert!(event_loop.run_until_complete(async { handle.is_current() })?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_current(&self) -> bool {
        running::with(|inner| inner.is_some_and(|inner| self.is_of(inner)))
    }

    /// Do both handles lead to the same loop?
    pub fn same_loop(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Queues an entry, or gives it back: the loop is closed.
    pub(crate) fn push(&self, entry: Entry) -> Result<(), Entry> {
        self.schedule_here(entry).or_else(|entry| self.shared.push(entry))
    }

    fn is_of(&self, inner: &Inner) -> bool {
        ptr::eq(&*inner.shared, &*self.shared)
    }
}

impl fmt::Debug for LoopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopHandle").field("is_closed", &self.is_closed()).finish()
    }
}
