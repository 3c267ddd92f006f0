//! Where a queue keeps its items, which is what makes it a queue, a stack or a heap.

use std::collections::VecDeque;
use std::{iter, mem};

/// The items of a [`Queue`](crate::Queue), and the order in which they leave: asyncio's `_put`, `_get` and
/// `qsize`.
///
/// A `VecDeque` gives the first one first, a `Vec` the last one; [`LowestFirst`](crate::LowestFirst) and
/// [`LowestKeyFirst`](crate::LowestKeyFirst) compare. The methods are called while the queue is in the middle
/// of a change: one that uses the very queue, or lets a comparison do so, panics. After a panic in there an item
/// may be in the queue without being counted as unfinished.
///
/// # Examples
///
/// ```
/// use asyncio_queue::{Queue, Storage};
///
/// /// One place: a newer item replaces the one that nobody has fetched.
/// struct Latest<T>(Option<T>);
///
/// impl<T> Storage<T> for Latest<T> {
///     fn push(&mut self, item: T) {
///         self.0 = Some(item);
///     }
///
///     fn pop(&mut self) -> Option<T> {
///         self.0.take()
///     }
///
///     fn len(&self) -> usize {
///         usize::from(self.0.is_some())
///     }
/// }
///
/// let queue = Queue::with_storage(0, Latest(None));
/// queue.put_nowait("old").unwrap();
/// queue.put_nowait("new").unwrap();
/// assert_eq!(queue.get_nowait(), Ok("new"));
/// assert!(queue.empty());
/// ```
pub trait Storage<T> {
    /// Puts an item in. The queue has seen to it that there is room.
    fn push(&mut self, item: T);

    /// Takes the next item out.
    fn pop(&mut self) -> Option<T>;

    /// How many items there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes all items out at once, in any order: the queue is shut down, and will drop them.
    fn take_all(&mut self) -> Vec<T> {
        iter::from_fn(|| self.pop()).collect()
    }
}

/// First in, first out.
impl<T> Storage<T> for VecDeque<T> {
    #[inline]
    fn push(&mut self, item: T) {
        self.push_back(item);
    }

    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.pop_front()
    }

    #[inline]
    fn len(&self) -> usize {
        self.len()
    }

    fn take_all(&mut self) -> Vec<T> {
        mem::take(self).into()
    }
}

/// Last in, first out.
impl<T> Storage<T> for Vec<T> {
    #[inline]
    fn push(&mut self, item: T) {
        self.push(item);
    }

    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.pop()
    }

    #[inline]
    fn len(&self) -> usize {
        self.len()
    }

    fn take_all(&mut self) -> Vec<T> {
        mem::take(self)
    }
}
