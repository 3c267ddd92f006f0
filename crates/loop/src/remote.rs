//! The door for other threads: a lock-free queue, and one wake if the loop sleeps.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use concurrent_queue::ConcurrentQueue;

use crate::fork::Generation;
use crate::ready::Entry;
use crate::selector::Notifier;
use crate::wakeup::Wakeup;

/// The part of a loop that other threads may see. Everything in it is `Send + Sync`, and it outlives the loop.
pub(crate) struct Shared {
    /// Entries pushed from other threads (or while the loop was not running), not yet moved to the ready queue.
    queue: ConcurrentQueue<Entry>,
    wakeup: Wakeup,
    /// Ends a wait of the selector.
    notifier: Notifier,
    /// The process it was made in: others have a copy of it, and nobody who takes anything out.
    generation: Generation,
    /// Jobs outside the loop that a virtual clock must wait for.
    external: AtomicUsize,
}

impl Shared {
    pub(crate) fn new(notifier: Notifier, generation: Generation) -> Arc<Self> {
        Arc::new(Self {
            queue: ConcurrentQueue::unbounded(),
            wakeup: Wakeup::new(),
            notifier,
            generation,
            external: AtomicUsize::new(0),
        })
    }

    /// Hands an entry to the loop from wherever we are; gives it back once the loop is closed.
    pub(crate) fn push(&self, entry: Entry) -> Result<(), Entry> {
        if self.generation.is_over() {
            return Err(entry);
        }
        self.queue.push(entry).map_err(|refused| refused.into_inner())?;
        self.wake();
        Ok(())
    }

    /// Ends the loop's wait, if it is in one.
    pub(crate) fn wake(&self) {
        if !self.generation.is_over() {
            self.wakeup.wake(|| self.notifier.notify());
        }
    }

    /// Ends the wait of whoever watches the loop's descriptor.
    pub(crate) fn announce(&self) {
        self.notifier.notify();
    }

    /// Announces a wait. False: there is something to do first, or no reason to wait any more; do not block.
    pub(crate) fn fall_asleep(&self, is_reason_left: impl FnOnce() -> bool) -> bool {
        self.wakeup.fall_asleep(|| self.queue.is_empty() && is_reason_left())
    }

    /// The wait is over; no push has to end it any more.
    pub(crate) fn wake_up(&self) {
        self.wakeup.wake_up();
    }

    pub(crate) fn pop(&self) -> Option<Entry> {
        self.queue.pop().ok()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Refuses every later push. What was pushed before can still be popped; `pop` waits for a push that has begun.
    pub(crate) fn close(&self) {
        self.queue.close();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.queue.is_closed() || self.is_parents()
    }

    /// Is the loop that of a process from which this one was forked?
    pub(crate) fn is_parents(&self) -> bool {
        self.generation.is_over()
    }

    /// Is there work outside the loop that a virtual clock has to wait for?
    pub(crate) fn has_external_work(&self) -> bool {
        self.external.load(Ordering::SeqCst) > 0
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// Says that something outside the loop is at work whose end will wake it, so that a virtual clock does not jump over
/// it. Made by [`EventLoop::external_work`](crate::EventLoop::external_work); ends when dropped, on any thread.
///
/// With the real clock it has no effect.
#[derive(Debug)]
#[must_use = "the work counts only while the guard lives"]
pub struct ExternalWork {
    shared: Arc<Shared>,
}

impl ExternalWork {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        shared.external.fetch_add(1, Ordering::SeqCst);
        Self { shared }
    }
}

impl Drop for ExternalWork {
    fn drop(&mut self) {
        if self.shared.external.fetch_sub(1, Ordering::SeqCst) == 1 {
            // A loop that waited for this work only has to look at its clock again.
            self.shared.wake();
        }
    }
}
