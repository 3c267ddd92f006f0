//! A queue between tasks, with backpressure, shutdown, and a count of what is not done yet.

mod turns;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::iter;
use std::marker::PhantomData;

use asyncio_coro::wait_list::WaitList;

use crate::error::{GetError, PutError, QueueShutDown, TaskDoneError};
use crate::items::Items;
use crate::room::Room;
use crate::storage::Storage;
use crate::turn::Turn;

pub(crate) use turns::Emptiness;
use turns::{Getting, Putting};

/// A first-in-first-out queue between tasks of one thread.
///
/// A full queue makes `put` wait, an empty one `get`. Waiting tasks are served in order, but nothing is
/// reserved for them: like asyncio's, a woken task checks again, and a newcomer that runs before it may take
/// the item or the room. A task that was woken in vain keeps its place.
///
/// Every method takes `&self`. Tasks share a queue by reference, or in an `Rc`.
///
/// # Examples
///
/// ```
/// use asyncio_queue::Queue;
/// use futures_lite::future::{block_on, zip};
///
/// let queue = Queue::new(2);
/// let producer = async {
///     for number in 1..=10 {
///         queue.put(number).await.unwrap();
///     }
///     queue.shutdown(false);
/// };
/// let consumer = async {
///     let mut sum = 0;
///     while let Ok(number) = queue.get().await {
///         sum += number;
///     }
///     sum
/// };
/// assert_eq!(block_on(zip(producer, consumer)).1, 55);
/// ```
#[doc(alias("channel", "mpsc", "bounded"))]
pub struct Queue<T, S = VecDeque<T>> {
    items: RefCell<S>,
    /// Of what the storage holds.
    item: PhantomData<T>,
    /// 0: no limit.
    maxsize: usize,
    /// Places that are kept for somebody's [`Room`].
    pub(crate) reserved: Cell<usize>,
    pub(crate) getters: WaitList,
    pub(crate) putters: WaitList,
    /// Items that were put and for which `task_done` was not called.
    unfinished: Cell<usize>,
    /// Who waits in `join`.
    joiners: WaitList,
    pub(crate) is_shutdown: Cell<bool>,
}

impl<T> Queue<T> {
    /// Makes a queue for `maxsize` items; 0 means without a limit, as in asyncio.
    ///
    /// The memory grows with the items that are really in it.
    pub const fn new(maxsize: usize) -> Self {
        Queue::with_storage(maxsize, VecDeque::new())
    }

    /// Makes a queue without a limit: `Queue::new(0)`. Its `put` never waits, so nothing slows a producer down.
    ///
    /// ```
    /// # use asyncio_queue::Queue;
    /// let queue = Queue::unbounded();
    /// queue.put_nowait('a').unwrap();
    /// assert!(!queue.full());
    /// ```
    pub const fn unbounded() -> Self {
        Queue::new(0)
    }
}

impl<T, S> Queue<T, S> {
    /// Makes a queue that keeps its items in `storage`, which says in what order they leave.
    ///
    /// `storage` is empty: what it holds already counts as there, but was never put.
    ///
    /// ```
    /// # use asyncio_queue::Queue;
    /// // A vector gives back what came last.
    /// let queue = Queue::with_storage(0, Vec::new());
    /// queue.put_nowait(1).unwrap();
    /// queue.put_nowait(2).unwrap();
    /// assert_eq!(queue.get_nowait(), Ok(2));
    /// ```
    pub const fn with_storage(maxsize: usize, storage: S) -> Self {
        Queue {
            items: RefCell::new(storage),
            item: PhantomData,
            maxsize,
            reserved: Cell::new(0),
            getters: WaitList::new(),
            putters: WaitList::new(),
            unfinished: Cell::new(0),
            joiners: WaitList::new(),
            is_shutdown: Cell::new(false),
        }
    }
}

impl<T, S: Storage<T>> Queue<T, S> {
    /// Puts `item` in, and waits for room first if the queue is full.
    ///
    /// # Cancel safety
    ///
    /// The item belongs to this future until the moment in which it goes into the queue, and then `put`
    /// returns. So a cancelled `put` has put nothing, and the item is dropped with it. If it had just been
    /// woken, another waiting `put` is woken instead.
    ///
    /// # Errors
    ///
    /// [`QueueShutDown`] with the item, if the queue is shut down, or is while this waits.
    #[doc(alias = "send")]
    pub async fn put(&self, item: T) -> Result<(), QueueShutDown<T>> {
        let mut item = item;
        loop {
            match self.put_nowait(item) {
                Ok(()) => return Ok(()),
                Err(PutError::ShutDown(item)) => return Err(QueueShutDown(item)),
                Err(PutError::Full(refused)) => item = refused,
            }
            // There is room, or no hope, when this returns; and nobody runs before the item goes in.
            Turn::new(Putting(self), &self.putters).await;
        }
    }

    /// Puts `item` in if there is room.
    ///
    /// # Errors
    ///
    /// - [`PutError::Full`] with the item.
    /// - [`PutError::ShutDown`] with the item.
    ///
    /// # Examples
    ///
    /// ```
    /// # use asyncio_queue::{PutError, Queue};
    /// let queue = Queue::new(1);
    /// assert_eq!(queue.put_nowait("a"), Ok(()));
    /// assert_eq!(queue.put_nowait("b"), Err(PutError::Full("b")));
    /// ```
    #[doc(alias("try_put", "try_send", "QueueFull"))]
    pub fn put_nowait(&self, item: T) -> Result<(), PutError<T>> {
        if self.is_shutdown.get() {
            return Err(PutError::ShutDown(item));
        }
        if self.full() {
            return Err(PutError::Full(item));
        }
        self.push(item);
        Ok(())
    }

    /// Waits for room and keeps it for an item that may not even exist yet.
    ///
    /// The way to put what must not be lost: as long as this waits there is no item that could be dropped
    /// with a cancelled `put`, and with the room in hand putting does not wait any more.
    ///
    /// # Cancel safety
    ///
    /// As `put`: nothing is reserved before this returns.
    ///
    /// # Errors
    ///
    /// [`QueueShutDown`] if the queue is shut down, or is while this waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use asyncio_queue::Queue;
    /// # futures_lite::future::block_on(async {
    /// let queue = Queue::new(1);
    /// let room = queue.reserve().await.unwrap();
    /// assert!(queue.put_nowait("another").is_err());
    /// room.put("mine").unwrap();
    /// assert_eq!(queue.get().await, Ok("mine"));
    /// # });
    /// ```
    #[doc(alias("permit", "commit"))]
    pub async fn reserve(&self) -> Result<Room<'_, T, S>, QueueShutDown> {
        loop {
            match self.reserve_nowait() {
                Ok(room) => return Ok(room),
                Err(PutError::ShutDown(())) => return Err(QueueShutDown(())),
                Err(PutError::Full(())) => Turn::new(Putting(self), &self.putters).await,
            }
        }
    }

    /// Keeps room for an item if there is any.
    ///
    /// # Errors
    ///
    /// [`PutError::Full`] or [`PutError::ShutDown`], as [`put_nowait`](Self::put_nowait).
    ///
    /// # Examples
    ///
    /// ```
    /// # use asyncio_queue::Queue;
    /// let queue: Queue<u8> = Queue::new(1);
    /// let room = queue.reserve_nowait().unwrap();
    /// assert!(queue.reserve_nowait().unwrap_err().is_full());
    /// drop(room);
    /// assert!(!queue.full());
    /// ```
    #[doc(alias = "try_reserve")]
    pub fn reserve_nowait(&self) -> Result<Room<'_, T, S>, PutError<()>> {
        if self.is_shutdown.get() {
            return Err(PutError::ShutDown(()));
        }
        if self.full() {
            return Err(PutError::Full(()));
        }
        Ok(Room::new(self))
    }

    /// Takes the next item out, and waits for one first if the queue is empty.
    ///
    /// # Cancel safety
    ///
    /// No item is lost: it leaves the queue in the moment in which `get` returns it. If a cancelled `get` had
    /// just been woken, another waiting `get` is woken instead.
    ///
    /// # Errors
    ///
    /// [`QueueShutDown`] if the queue is empty and shut down, or becomes so while this waits.
    #[doc(alias = "recv")]
    pub async fn get(&self) -> Result<T, QueueShutDown> {
        match self.get_nowait() {
            Ok(item) => Ok(item),
            Err(GetError::ShutDown) => Err(QueueShutDown(())),
            Err(GetError::Empty) => Turn::new(Getting(self), &self.getters).await,
        }
    }

    /// Takes the next item out if there is one.
    ///
    /// # Errors
    ///
    /// - [`GetError::Empty`]: there is none now.
    /// - [`GetError::ShutDown`]: there is none, and none will come.
    ///
    /// # Examples
    ///
    /// ```
    /// # use asyncio_queue::{GetError, Queue};
    /// let queue = Queue::new(1);
    /// queue.put_nowait("a").unwrap();
    /// assert_eq!(queue.get_nowait(), Ok("a"));
    /// assert_eq!(queue.get_nowait(), Err(GetError::Empty));
    /// ```
    #[doc(alias("try_get", "try_recv", "QueueEmpty"))]
    pub fn get_nowait(&self) -> Result<T, GetError> {
        // The borrow ends with this statement: what follows calls wakers.
        let item = self.items.borrow_mut().pop();
        match item {
            Some(item) => {
                self.putters.notify_one();
                Ok(item)
            }
            None if self.is_shutdown.get() => Err(GetError::ShutDown),
            None => Err(GetError::Empty),
        }
    }

    /// Moves items to the end of `batch`, as many as there are and `limit` allows; waits for the first one if
    /// the queue is empty. Returns how many they were; that is 0 only if `limit` is.
    ///
    /// # Cancel safety
    ///
    /// No item is lost: they leave the queue in the moment in which this returns.
    ///
    /// # Errors
    ///
    /// [`QueueShutDown`] if the queue is empty and shut down, or becomes so while this waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use asyncio_queue::Queue;
    /// let queue = Queue::new(0);
    /// for number in 1..=5 {
    ///     queue.put_nowait(number).unwrap();
    /// }
    /// let mut batch = Vec::new();
    /// let count = futures_lite::future::block_on(queue.get_batch(&mut batch, 3)).unwrap();
    /// assert_eq!((count, batch), (3, vec![1, 2, 3]));
    /// ```
    #[doc(alias("recv_many", "drain"))]
    pub async fn get_batch(
        &self,
        batch: &mut Vec<T>,
        limit: usize,
    ) -> Result<usize, QueueShutDown> {
        loop {
            let count = self.take_up_to(limit, batch);
            if count > 0 || limit == 0 {
                return Ok(count);
            }
            if self.is_shutdown.get() {
                return Err(QueueShutDown(()));
            }
            Turn::new(Emptiness(self), &self.getters).await;
        }
    }

    /// The items as a stream: each is what `get` would have returned. It ends when the queue is shut down and
    /// empty. Any number of streams and of calls of `get` share the items between them.
    ///
    /// Dropping it at any point loses no item. One that waits must be polled or dropped, as any waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::pin::pin;
    /// use asyncio_queue::Queue;
    /// use futures_lite::{StreamExt, future::block_on};
    ///
    /// let queue = Queue::new(0);
    /// for number in [1, 2, 3] {
    ///     queue.put_nowait(number).unwrap();
    /// }
    /// queue.shutdown(false);
    /// assert_eq!(block_on(pin!(queue.items()).fold(0, |sum, item| sum + item)), 6);
    /// ```
    #[doc(alias("stream", "iter"))]
    pub fn items(&self) -> Items<'_, T, S> {
        Items::new(self)
    }

    /// Waits until everything that was put has been worked off: `task_done` was called for each item.
    ///
    /// Returns at once if nothing is unfinished. Who waits is released when the count reaches 0, also if
    /// something new is put before they run.
    ///
    /// # Cancel safety
    ///
    /// Cancelling it changes nothing for anybody else.
    ///
    /// # Examples
    ///
    /// ```
    /// # use asyncio_queue::Queue;
    /// # use futures_lite::future::{block_on, zip};
    /// let queue = Queue::new(0);
    /// queue.put_nowait("job").unwrap();
    /// let worker = async {
    ///     let _job = queue.get().await.unwrap();
    ///     queue.task_done().unwrap();
    /// };
    /// block_on(zip(queue.join(), worker));
    /// ```
    pub async fn join(&self) {
        if self.unfinished.get() > 0 {
            self.joiners.wait().await;
        }
    }

    /// Says that the work on an item that was got is done. The last one releases those in `join`.
    ///
    /// # Errors
    ///
    /// [`TaskDoneError`] if it is called more often than items were put; nothing changes then.
    pub fn task_done(&self) -> Result<(), TaskDoneError> {
        let rest = self.unfinished.get().checked_sub(1).ok_or(TaskDoneError::new())?;
        self.unfinished.set(rest);
        if rest == 0 {
            self.joiners.notify_all();
        }
        Ok(())
    }

    /// Shuts the queue down, for good: each `put` from now on is refused, also those that wait.
    ///
    /// `get` still drains what is in the queue and is refused after that. With `immediate` the items in the
    /// queue are dropped as well, and count as done. Calling it again is no error, and `immediate` may be new.
    ///
    /// ```
    /// # use asyncio_queue::{GetError, Queue};
    /// let queue = Queue::new(0);
    /// queue.put_nowait(1).unwrap();
    /// queue.shutdown(false);
    /// assert!(queue.put_nowait(2).unwrap_err().is_shut_down());
    /// assert_eq!(queue.get_nowait(), Ok(1));
    /// assert_eq!(queue.get_nowait(), Err(GetError::ShutDown));
    /// ```
    #[doc(alias = "close")]
    pub fn shutdown(&self, immediate: bool) {
        self.is_shutdown.set(true);
        let mut discarded = Vec::new();
        if immediate {
            discarded = self.items.borrow_mut().take_all();
            let rest = self.unfinished.get().saturating_sub(discarded.len());
            self.unfinished.set(rest);
            if rest == 0 {
                self.joiners.notify_all();
            }
        }
        self.getters.notify_all();
        self.putters.notify_all();
        // Last: what items do in their drop finds the queue in its new state.
        drop(discarded);
    }

    /// How many items fit in; 0 means no limit.
    #[doc(alias = "capacity")]
    pub fn maxsize(&self) -> usize {
        self.maxsize
    }

    /// How many items are in the queue.
    #[doc(alias = "len")]
    pub fn qsize(&self) -> usize {
        self.items.borrow().len()
    }

    /// Whether no item is in the queue.
    #[doc(alias = "is_empty")]
    pub fn empty(&self) -> bool {
        self.qsize() == 0
    }

    /// Whether the items in the queue and the room that is reserved make up `maxsize`; never true without a
    /// limit.
    #[doc(alias = "is_full")]
    pub fn full(&self) -> bool {
        self.maxsize != 0 && self.qsize() + self.reserved.get() >= self.maxsize
    }

    /// Numbers for an observer.
    ///
    /// ```
    /// # use asyncio_queue::Queue;
    /// let queue = Queue::new(0);
    /// queue.put_nowait(()).unwrap();
    /// assert_eq!(queue.statistics().unfinished, 1);
    /// ```
    pub fn statistics(&self) -> QueueStatistics {
        QueueStatistics {
            qsize: self.qsize(),
            maxsize: self.maxsize,
            reserved: self.reserved.get(),
            getters: self.getters.len(),
            putters: self.putters.len(),
            joiners: self.joiners.len(),
            woken_getters: self.getters.notified(),
            woken_putters: self.putters.notified(),
            unfinished: self.unfinished.get(),
            is_shutdown: self.is_shutdown.get(),
            get_waits: self.getters.statistics().waits,
            put_waits: self.putters.statistics().waits,
        }
    }

    /// Without the items: their `Debug` is foreign code, and would run inside our borrow.
    pub(crate) fn debug_as(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statistics = self.statistics();
        f.debug_struct(name)
            .field("maxsize", &statistics.maxsize)
            .field("qsize", &statistics.qsize)
            .field("getters", &statistics.getters)
            .field("putters", &statistics.putters)
            .field("unfinished", &statistics.unfinished)
            .field("is_shutdown", &statistics.is_shutdown)
            .finish_non_exhaustive()
    }

    /// Puts `item` in, into room that its caller has found.
    pub(crate) fn push(&self, item: T) {
        self.items.borrow_mut().push(item);
        self.unfinished.set(self.unfinished.get() + 1);
        self.getters.notify_one();
    }

    /// Takes at most `limit` items out, and lets as many others in.
    fn take_up_to(&self, limit: usize, batch: &mut Vec<T>) -> usize {
        let before = batch.len();
        {
            let mut items = self.items.borrow_mut();
            let next = iter::from_fn(|| items.pop());
            batch.extend(next.take(limit));
        }
        let count = batch.len() - before;
        for _ in 0..count {
            if !self.putters.notify_one() {
                break;
            }
        }
        count
    }
}

impl<T> Default for Queue<T> {
    /// A queue without a limit, as `asyncio.Queue()` is.
    fn default() -> Self {
        Queue::unbounded()
    }
}

impl<T, S: Storage<T>> fmt::Debug for Queue<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.debug_as("Queue", f)
    }
}

/// What [`Queue::statistics`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStatistics {
    /// Items in the queue.
    pub qsize: usize,
    /// How many fit in; 0 means no limit.
    pub maxsize: usize,
    /// Places that are kept by [`reserve`](Queue::reserve).
    pub reserved: usize,
    /// Who waits for an item, those included that are woken and have not run yet.
    pub getters: usize,
    /// Who waits for room, counted alike.
    pub putters: usize,
    /// Who waits in `join`, counted alike.
    pub joiners: usize,
    /// How many of the `getters` are woken and have not run yet. If that stays so, somebody keeps a future of this queue
    /// without polling it, and the item it was woken for waits with it: a *futurelock*.
    pub woken_getters: usize,
    /// How many of the `putters` are woken and have not run yet; room may wait with them.
    pub woken_putters: usize,
    /// Items that were put and for which `task_done` was not called.
    pub unfinished: usize,
    /// Whether the queue is shut down.
    pub is_shutdown: bool,
    /// How often a `get` had to wait.
    pub get_waits: u64,
    /// How often a `put` had to wait.
    pub put_waits: u64,
}
