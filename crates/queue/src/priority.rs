//! A queue that gives back the lowest item first.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fmt;
use std::mem;
use std::ops::Deref;

use crate::queue::Queue;
use crate::storage::Storage;

/// A queue that gives back its lowest item first: a [`Queue`] in everything but the order of its items.
///
/// Items that compare equal leave in the order in which they came. Comparing them, or asking for the key of
/// one, must not use the very queue: that panics.
///
/// # Examples
///
/// ```
/// use asyncio_queue::PriorityQueue;
///
/// let queue = PriorityQueue::new(0);
/// for job in [(2, "sweep"), (1, "cook"), (3, "sleep")] {
///     queue.put_nowait(job).unwrap();
/// }
/// assert_eq!(queue.get_nowait(), Ok((1, "cook")));
/// assert_eq!(queue.get_nowait(), Ok((2, "sweep")));
/// ```
#[doc(alias("heap", "heapq"))]
pub struct PriorityQueue<T, S = LowestFirst<T>>(Queue<T, S>);

impl<T: Ord> PriorityQueue<T> {
    /// Makes a queue for `maxsize` items; 0 means without a limit.
    ///
    /// ```
    /// # use std::cmp::Reverse;
    /// # use asyncio_queue::PriorityQueue;
    /// // The highest first:
    /// let queue = PriorityQueue::new(2);
    /// queue.put_nowait(Reverse(1)).unwrap();
    /// queue.put_nowait(Reverse(2)).unwrap();
    /// assert_eq!(queue.get_nowait(), Ok(Reverse(2)));
    /// ```
    pub fn new(maxsize: usize) -> Self {
        PriorityQueue(Queue::with_storage(maxsize, LowestFirst::default()))
    }

    /// Makes a queue without a limit: `PriorityQueue::new(0)`. Its `put` never waits, so nothing slows a producer down.
    ///
    /// ```
    /// # use asyncio_queue::PriorityQueue;
    /// let queue = PriorityQueue::unbounded();
    /// queue.put_nowait(2).unwrap();
    /// queue.put_nowait(1).unwrap();
    /// assert_eq!((queue.full(), queue.get_nowait()), (false, Ok(1)));
    /// ```
    pub fn unbounded() -> Self {
        PriorityQueue::new(0)
    }
}

impl<T, K: Ord, F: Fn(&T) -> K> PriorityQueue<T, LowestKeyFirst<T, K, F>> {
    /// Makes a queue that compares a key of its items, not the items; `key` is called once for each, when it
    /// is put.
    ///
    /// ```
    /// # use asyncio_queue::PriorityQueue;
    /// struct Job { rank: u32, name: &'static str }
    ///
    /// let queue = PriorityQueue::with_key(0, |job: &Job| job.rank);
    /// queue.put_nowait(Job { rank: 7, name: "late" }).unwrap_or_default();
    /// queue.put_nowait(Job { rank: 1, name: "early" }).unwrap_or_default();
    /// assert_eq!(queue.get_nowait().map(|job| job.name), Ok("early"));
    /// ```
    pub fn with_key(maxsize: usize, key: F) -> Self {
        PriorityQueue(Queue::with_storage(maxsize, LowestKeyFirst::new(key)))
    }
}

impl<T, S> Deref for PriorityQueue<T, S> {
    type Target = Queue<T, S>;

    #[inline]
    fn deref(&self) -> &Queue<T, S> {
        &self.0
    }
}

impl<T: Ord> Default for PriorityQueue<T> {
    /// A queue without a limit.
    fn default() -> Self {
        PriorityQueue::new(0)
    }
}

impl<T, S: Storage<T>> fmt::Debug for PriorityQueue<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug_as("PriorityQueue", f)
    }
}

/// The storage of [`PriorityQueue::new`]: a heap of items.
pub struct LowestFirst<T> {
    heap: Heap<T, ()>,
}

impl<T: Ord> Default for LowestFirst<T> {
    fn default() -> Self {
        LowestFirst { heap: Heap::new() }
    }
}

impl<T: Ord> Storage<T> for LowestFirst<T> {
    fn push(&mut self, item: T) {
        self.heap.push(item, ());
    }

    fn pop(&mut self) -> Option<T> {
        self.heap.pop().map(|ranked| ranked.rank)
    }

    fn len(&self) -> usize {
        self.heap.entries.len()
    }

    fn take_all(&mut self) -> Vec<T> {
        self.heap.take_all().map(|ranked| ranked.rank).collect()
    }
}

impl<T> fmt::Debug for LowestFirst<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LowestFirst").finish_non_exhaustive()
    }
}

/// The storage of [`PriorityQueue::with_key`]: a heap of items by their keys.
pub struct LowestKeyFirst<T, K, F> {
    heap: Heap<K, T>,
    key: F,
}

impl<T, K: Ord, F: Fn(&T) -> K> LowestKeyFirst<T, K, F> {
    /// Makes an empty heap.
    pub fn new(key: F) -> Self {
        LowestKeyFirst { heap: Heap::new(), key }
    }
}

impl<T, K: Ord, F: Fn(&T) -> K> Storage<T> for LowestKeyFirst<T, K, F> {
    fn push(&mut self, item: T) {
        self.heap.push((self.key)(&item), item);
    }

    fn pop(&mut self) -> Option<T> {
        self.heap.pop().map(|ranked| ranked.load)
    }

    fn len(&self) -> usize {
        self.heap.entries.len()
    }

    fn take_all(&mut self) -> Vec<T> {
        self.heap.take_all().map(|ranked| ranked.load).collect()
    }
}

impl<T, K, F> fmt::Debug for LowestKeyFirst<T, K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LowestKeyFirst").finish_non_exhaustive()
    }
}

/// A heap with the lowest rank on top, and of equal ranks the one that came first.
struct Heap<R, T> {
    entries: BinaryHeap<Reverse<Ranked<R, T>>>,
    /// How many ever came.
    pushed: u64,
}

impl<R: Ord, T> Heap<R, T> {
    fn new() -> Self {
        Heap { entries: BinaryHeap::new(), pushed: 0 }
    }

    fn push(&mut self, rank: R, load: T) {
        self.pushed += 1;
        self.entries.push(Reverse(Ranked { rank, number: self.pushed, load }));
    }

    fn pop(&mut self) -> Option<Ranked<R, T>> {
        self.entries.pop().map(|Reverse(ranked)| ranked)
    }

    fn take_all(&mut self) -> impl Iterator<Item = Ranked<R, T>> {
        mem::take(&mut self.entries).into_vec().into_iter().map(|Reverse(ranked)| ranked)
    }
}

/// What lies in a heap, compared by its rank and by when it came.
struct Ranked<R, T> {
    rank: R,
    number: u64,
    load: T,
}

impl<R: Ord, T> Ord for Ranked<R, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank).then(self.number.cmp(&other.number))
    }
}

impl<R: Ord, T> PartialOrd for Ranked<R, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: Ord, T> PartialEq for Ranked<R, T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<R: Ord, T> Eq for Ranked<R, T> {}
