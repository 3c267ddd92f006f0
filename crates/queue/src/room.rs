//! Room in a queue that is kept for one item.

use std::collections::VecDeque;
use std::fmt;
use std::mem;

use crate::error::QueueShutDown;
use crate::queue::Queue;
use crate::storage::Storage;

/// A place in a [`Queue`]; made by [`Queue::reserve`]. Dropping it gives the place to the next `put`.
#[must_use = "the room is given back at once if it is dropped"]
#[doc(alias("Permit", "Slot"))]
pub struct Room<'a, T, S = VecDeque<T>> {
    queue: &'a Queue<T, S>,
}

impl<'a, T, S> Room<'a, T, S> {
    /// Takes a place that its caller has found free.
    pub(crate) fn new(queue: &'a Queue<T, S>) -> Self {
        queue.reserved.set(queue.reserved.get() + 1);
        Room { queue }
    }
}

impl<T, S: Storage<T>> Room<'_, T, S> {
    /// Puts the item into the place that was kept for it, without waiting.
    ///
    /// # Errors
    ///
    /// [`QueueShutDown`] with the item, if the queue was shut down in the meantime.
    ///
    /// # Examples
    ///
    /// ```
    /// # use asyncio_queue::Queue;
    /// let queue = Queue::new(2);
    /// let (first, second) = (queue.reserve_nowait().unwrap(), queue.reserve_nowait().unwrap());
    /// first.put("in time").unwrap();
    /// queue.shutdown(false);
    /// assert_eq!(second.put("late").unwrap_err().into_inner(), "late");
    /// ```
    #[doc(alias("commit", "send"))]
    pub fn put(self, item: T) -> Result<(), QueueShutDown<T>> {
        if self.queue.is_shutdown.get() {
            return Err(QueueShutDown(item));
        }
        let queue = self.queue;
        mem::forget(self);
        queue.reserved.set(queue.reserved.get() - 1);
        queue.push(item);
        Ok(())
    }
}

impl<T, S> Drop for Room<'_, T, S> {
    fn drop(&mut self) {
        self.queue.reserved.set(self.queue.reserved.get() - 1);
        self.queue.putters.notify_one();
    }
}

impl<T, S> fmt::Debug for Room<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").finish_non_exhaustive()
    }
}
