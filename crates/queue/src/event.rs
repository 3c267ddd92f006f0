//! An event: a flag that tasks can wait for.

use std::cell::Cell;
use std::fmt;

use asyncio_coro::wait_list::WaitList;

/// A flag that any number of tasks can wait for.
///
/// Initially it is not set. [`set`](Event::set) releases everybody who waits *now*, even if
/// [`clear`](Event::clear) follows before they run.
///
/// # Examples
///
/// ```
/// use asyncio_queue::Event;
/// use futures_lite::future::{block_on, zip};
///
/// let ready = Event::new();
/// block_on(zip(ready.wait(), async { ready.set() }));
/// assert!(ready.is_set());
/// ```
#[doc(alias("Notify", "ManualResetEvent"))]
#[derive(Default)]
pub struct Event {
    is_set: Cell<bool>,
    waiters: WaitList,
}

impl Event {
    /// Makes an event that is not set.
    pub const fn new() -> Self {
        Event { is_set: Cell::new(false), waiters: WaitList::new() }
    }

    /// Sets the flag and wakes all who wait. Does nothing if it is set already.
    #[doc(alias = "notify_waiters")]
    pub fn set(&self) {
        if !self.is_set.replace(true) {
            self.waiters.notify_all();
        }
    }

    /// Takes the flag back: who waits from now on waits for the next `set`.
    pub fn clear(&self) {
        self.is_set.set(false);
    }

    /// Whether the flag is set.
    ///
    /// ```
    /// # use asyncio_queue::Event;
    /// let event = Event::new();
    /// event.set();
    /// assert!(event.is_set());
    /// event.clear();
    /// assert!(!event.is_set());
    /// ```
    #[inline]
    pub fn is_set(&self) -> bool {
        self.is_set.get()
    }

    /// Waits until the flag is set; returns at once if it is.
    ///
    /// # Cancel safety
    ///
    /// Cancelling it changes nothing for anybody else: a `set` is not used up by who sees it.
    #[doc(alias = "notified")]
    #[inline]
    pub async fn wait(&self) {
        if !self.is_set.get() {
            self.waiters.wait().await;
        }
    }

    /// Numbers for an observer.
    ///
    /// ```
    /// # use asyncio_queue::Event;
    /// assert_eq!(Event::new().statistics().waiters, 0);
    /// ```
    pub fn statistics(&self) -> EventStatistics {
        EventStatistics {
            is_set: self.is_set(),
            waiters: self.waiters.len(),
            waits: self.waiters.statistics().waits,
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EventStatistics { is_set, waiters, waits: _ } = self.statistics();
        f.debug_struct("Event").field("is_set", &is_set).field("waiters", &waiters).finish()
    }
}

/// What [`Event::statistics`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventStatistics {
    /// Whether the flag is set.
    pub is_set: bool,
    /// Who waits, those included that are woken and have not run yet.
    pub waiters: usize,
    /// How often somebody had to wait.
    pub waits: u64,
}
