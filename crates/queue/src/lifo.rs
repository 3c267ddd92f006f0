//! A queue that gives back what came last.

use std::fmt;
use std::ops::Deref;

use crate::queue::Queue;

/// A last-in-first-out queue: a [`Queue`] in everything but the order of its items.
///
/// # Examples
///
/// ```
/// use asyncio_queue::LifoQueue;
/// use futures_lite::future::block_on;
///
/// let queue = LifoQueue::new(0);
/// block_on(async {
///     queue.put('a').await.unwrap();
///     queue.put('b').await.unwrap();
///     assert_eq!(queue.get().await, Ok('b'));
///     assert_eq!(queue.get().await, Ok('a'));
/// });
/// ```
#[doc(alias("stack", "LIFO"))]
pub struct LifoQueue<T>(Queue<T, Vec<T>>);

impl<T> LifoQueue<T> {
    /// Makes a queue for `maxsize` items; 0 means without a limit.
    ///
    /// ```
    /// # use asyncio_queue::LifoQueue;
    /// let queue = LifoQueue::new(1);
    /// queue.put_nowait('a').unwrap();
    /// assert!(queue.full());
    /// ```
    pub const fn new(maxsize: usize) -> Self {
        LifoQueue(Queue::with_storage(maxsize, Vec::new()))
    }

    /// Makes a queue without a limit: `LifoQueue::new(0)`. Its `put` never waits, so nothing slows a producer down.
    ///
    /// ```
    /// # use asyncio_queue::LifoQueue;
    /// let queue = LifoQueue::unbounded();
    /// queue.put_nowait('a').unwrap();
    /// queue.put_nowait('b').unwrap();
    /// assert_eq!((queue.full(), queue.get_nowait()), (false, Ok('b')));
    /// ```
    pub const fn unbounded() -> Self {
        LifoQueue::new(0)
    }
}

impl<T> Deref for LifoQueue<T> {
    type Target = Queue<T, Vec<T>>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> Default for LifoQueue<T> {
    /// A queue without a limit.
    fn default() -> Self {
        LifoQueue::new(0)
    }
}

impl<T> fmt::Debug for LifoQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug_as("LifoQueue", f)
    }
}
