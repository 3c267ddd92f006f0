//! Those who wait for one thing, from any thread.
//!
//! An event is asked to notify only if a count says that somebody waits: a load instead of a lock. Two rules
//! make that safe, and the models in `tests/loom.rs` fail without either:
//!
//! - who waits counts itself and listens, then a fence, and *then* looks at the thing once more;
//! - who changes the thing changes it, then a fence, and *then* looks at the count.
//!
//! So at least one of the two sees the other. What is lost with a listener that was notified and is dropped,
//! the event itself passes on.

use std::time::Instant;

use super::parts::{AtomicU64, AtomicUsize, Event, Listener, Ordering, fence};

/// A line of waiters, first in, first out.
pub(super) struct Line {
    event: Event,
    /// How many wait, or are about to.
    waiting: AtomicUsize,
    /// How often somebody had to.
    waits: AtomicU64,
}

impl Line {
    pub(super) fn new() -> Self {
        Line { event: Event::new(), waiting: AtomicUsize::new(0), waits: AtomicU64::new(0) }
    }

    /// Waits until `attempt` succeeds; it has failed once already. A waiter that was woken in vain goes to the
    /// end of the line.
    pub(super) async fn wait<T>(&self, mut attempt: impl FnMut() -> Option<T>) -> T {
        let _waiter = self.count();
        loop {
            let listener = self.event.listen();
            fence(Ordering::SeqCst);
            if let Some(taken) = attempt() {
                return taken;
            }
            listener.await;
            if let Some(taken) = attempt() {
                return taken;
            }
        }
    }

    /// As [`wait`](Self::wait), but blocks the thread.
    pub(super) fn wait_blocking<T>(&self, mut attempt: impl FnMut() -> Option<T>) -> T {
        let _waiter = self.count();
        loop {
            let listener = self.event.listen();
            fence(Ordering::SeqCst);
            if let Some(taken) = attempt() {
                return taken;
            }
            listener.wait();
            if let Some(taken) = attempt() {
                return taken;
            }
        }
    }

    /// As [`wait_blocking`](Self::wait_blocking), until `deadline`; `None` if that came first.
    pub(super) fn wait_until<T>(
        &self,
        deadline: Instant,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let _waiter = self.count();
        loop {
            let listener = self.event.listen();
            fence(Ordering::SeqCst);
            if let Some(taken) = attempt() {
                return Some(taken);
            }
            // One that is notified too late is notified nevertheless, or passes that on.
            listener.wait_deadline(deadline)?;
            if let Some(taken) = attempt() {
                return Some(taken);
            }
        }
    }

    /// Wakes the first who is not woken yet. What it waits for has changed before.
    #[inline]
    pub(super) fn notify_one(&self) {
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.event.notify_additional_relaxed(1);
        }
    }

    /// Wakes all. What they wait for has changed before.
    pub(super) fn notify_all(&self) {
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.event.notify_additional_relaxed(usize::MAX);
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How often somebody had to wait.
    pub(super) fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    fn count(&self) -> Waiter<'_> {
        self.waits.fetch_add(1, Ordering::Relaxed);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiter(self)
    }
}

/// Who has it is counted.
struct Waiter<'a>(&'a Line);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
