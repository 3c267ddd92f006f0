//! One sender, many receivers, each of which gets everything, or is told how much it missed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use asyncio_coro::wait_list::WaitList;

use crate::error::{BroadcastError, QueueShutDown};

/// Sends each item to all who subscribed before.
///
/// Sending never waits. The last so many items are kept, whoever has read them; a subscriber that falls behind
/// by more gets [`BroadcastError::Lagged`] once, with the number of items that it missed, and goes on with the
/// oldest that is left.
///
/// # Examples
///
/// ```
/// use asyncio_queue::{Broadcast, BroadcastError};
/// use futures_lite::future::block_on;
///
/// let news = Broadcast::new(2);
/// let (mut quick, mut slow) = (news.subscribe(), news.subscribe());
/// for item in 1..=3 {
///     news.put(item).unwrap();
///     assert_eq!(*block_on(quick.get()).unwrap(), item);
/// }
/// assert_eq!(block_on(slow.get()), Err(BroadcastError::Lagged(1)));
/// assert_eq!(*block_on(slow.get()).unwrap(), 2);
/// ```
#[doc(alias("pubsub", "fan-out"))]
pub struct Broadcast<T> {
    /// The latest items, at most `capacity`.
    items: RefCell<VecDeque<Rc<T>>>,
    capacity: usize,
    /// The number of the next item; the last one in `items` is one below.
    next: Cell<u64>,
    waiters: WaitList,
    subscribers: Cell<usize>,
    is_shutdown: Cell<bool>,
}

impl<T> Broadcast<T> {
    /// Makes one that keeps the last `capacity` items, and at least one.
    pub const fn new(capacity: usize) -> Self {
        Broadcast {
            items: RefCell::new(VecDeque::new()),
            capacity: if capacity == 0 { 1 } else { capacity },
            next: Cell::new(0),
            waiters: WaitList::new(),
            subscribers: Cell::new(0),
            is_shutdown: Cell::new(false),
        }
    }

    /// Sends an item to all subscribers. It never waits: who is too slow misses something.
    ///
    /// # Errors
    ///
    /// [`QueueShutDown`] with the item, after [`shutdown`](Self::shutdown).
    #[doc(alias("send", "publish"))]
    pub fn put(&self, item: T) -> Result<(), QueueShutDown<T>> {
        if self.is_shutdown.get() {
            return Err(QueueShutDown(item));
        }
        let item = Rc::new(item);
        let oldest = {
            let mut items = self.items.borrow_mut();
            let oldest = if items.len() == self.capacity { items.pop_front() } else { None };
            items.push_back(item);
            oldest
        };
        self.next.set(self.next.get() + 1);
        self.waiters.notify_all();
        // Last: what it does in its drop finds the new state.
        drop(oldest);
        Ok(())
    }

    /// Subscribes to all items from now on. To give a task its own handle: `Subscriber::new(rc)`.
    pub fn subscribe(&self) -> Subscriber<T, &Self> {
        Subscriber::new(self)
    }

    /// No more items will come: subscribers get what is left, and then an error.
    ///
    /// ```
    /// # use asyncio_queue::{Broadcast, BroadcastError};
    /// let news = Broadcast::new(1);
    /// let mut reader = news.subscribe();
    /// news.put("last").unwrap();
    /// news.shutdown();
    /// assert_eq!(reader.get_nowait().unwrap().as_deref(), Some(&"last"));
    /// assert_eq!(reader.get_nowait(), Err(BroadcastError::ShutDown));
    /// ```
    pub fn shutdown(&self) {
        self.is_shutdown.set(true);
        self.waiters.notify_all();
    }

    /// Numbers for an observer.
    ///
    /// ```
    /// # use asyncio_queue::Broadcast;
    /// let news: Broadcast<u8> = Broadcast::new(4);
    /// let _reader = news.subscribe();
    /// assert_eq!(news.statistics().subscribers, 1);
    /// ```
    pub fn statistics(&self) -> BroadcastStatistics {
        BroadcastStatistics {
            kept: self.items.borrow().len(),
            capacity: self.capacity,
            sent: self.next.get(),
            subscribers: self.subscribers.get(),
            waiters: self.waiters.len(),
            is_shutdown: self.is_shutdown.get(),
            waits: self.waiters.statistics().waits,
        }
    }

    /// The item of that number, or how many are gone up to the oldest that is left, or nothing yet.
    fn find(&self, number: u64) -> Result<Option<Rc<T>>, BroadcastError> {
        let items = self.items.borrow();
        let oldest = self.next.get() - items.len() as u64;
        if number < oldest {
            return Err(BroadcastError::Lagged(oldest - number));
        }
        match items.get((number - oldest) as usize) {
            Some(item) => Ok(Some(item.clone())),
            None if self.is_shutdown.get() => Err(BroadcastError::ShutDown),
            None => Ok(None),
        }
    }
}

impl<T> fmt::Debug for Broadcast<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statistics = self.statistics();
        f.debug_struct("Broadcast")
            .field("kept", &statistics.kept)
            .field("capacity", &statistics.capacity)
            .field("subscribers", &statistics.subscribers)
            .field("is_shutdown", &statistics.is_shutdown)
            .finish_non_exhaustive()
    }
}

/// Receives the items of a [`Broadcast`], which it borrows or, as an `Rc`, keeps.
pub struct Subscriber<T, B: Deref<Target = Broadcast<T>>> {
    broadcast: B,
    /// The number of the item to get next.
    next: u64,
}

impl<T, B: Deref<Target = Broadcast<T>>> Subscriber<T, B> {
    /// Subscribes to all items from now on.
    ///
    /// ```
    /// # use std::rc::Rc;
    /// # use asyncio_queue::{Broadcast, Subscriber};
    /// let news = Rc::new(Broadcast::new(4));
    /// let mut reader = Subscriber::new(news.clone());
    /// news.put(1).unwrap();
    /// assert_eq!(reader.get_nowait().unwrap().as_deref(), Some(&1));
    /// ```
    pub fn new(broadcast: B) -> Self {
        broadcast.subscribers.set(broadcast.subscribers.get() + 1);
        let next = broadcast.next.get();
        Subscriber { broadcast, next }
    }

    /// Waits for the next item.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it has got nothing and missed nothing.
    ///
    /// # Errors
    ///
    /// - [`BroadcastError::Lagged`] with the number of items that are lost; the next call goes on behind them.
    /// - [`BroadcastError::ShutDown`]: all has been got, and nothing more will come.
    #[doc(alias = "recv")]
    pub async fn get(&mut self) -> Result<Rc<T>, BroadcastError> {
        loop {
            if let Some(item) = self.get_nowait()? {
                return Ok(item);
            }
            self.broadcast.waiters.wait().await;
        }
    }

    /// The next item if there is one.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn get_nowait(&mut self) -> Result<Option<Rc<T>>, BroadcastError> {
        let found = self.broadcast.find(self.next);
        match found {
            Ok(Some(_)) => self.next += 1,
            Err(BroadcastError::Lagged(missed)) => self.next += missed,
            Ok(None) | Err(BroadcastError::ShutDown) => {}
        }
        found
    }
}

impl<T, B: Deref<Target = Broadcast<T>>> Drop for Subscriber<T, B> {
    fn drop(&mut self) {
        self.broadcast.subscribers.set(self.broadcast.subscribers.get() - 1);
    }
}

impl<T, B: Deref<Target = Broadcast<T>>> fmt::Debug for Subscriber<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").field("next", &self.next).finish_non_exhaustive()
    }
}

/// What [`Broadcast::statistics`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BroadcastStatistics {
    /// Items that are kept for those who have not got them.
    pub kept: usize,
    /// The most that are kept.
    pub capacity: usize,
    /// Items that were ever sent.
    pub sent: u64,
    /// How many subscribers there are.
    pub subscribers: usize,
    /// How many of them wait, those included that are woken and have not run yet.
    pub waiters: usize,
    /// Whether it is shut down.
    pub is_shutdown: bool,
    /// How often somebody had to wait.
    pub waits: u64,
}
