//! A queue between tasks, with backpressure, shutdown, and a count of what is not done yet.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::mem;

use asyncio_coro::wait_list::WaitList;

use crate::error::{GetError, PutError, QueueShutDown, TaskDoneError};
use crate::turn::{Resource, Turn};

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
pub struct Queue<T> {
    items: RefCell<VecDeque<T>>,
    /// 0: no limit.
    maxsize: usize,
    getters: WaitList,
    putters: WaitList,
    /// Items that were put and for which `task_done` was not called.
    unfinished: Cell<usize>,
    /// Who waits in `join`.
    joiners: WaitList,
    is_shutdown: Cell<bool>,
}

impl<T> Queue<T> {
    /// Makes a queue for `maxsize` items; 0 means without a limit, as in asyncio.
    ///
    /// The memory grows with the items that are really in it.
    pub const fn new(maxsize: usize) -> Self {
        Queue {
            items: RefCell::new(VecDeque::new()),
            maxsize,
            getters: WaitList::new(),
            putters: WaitList::new(),
            unfinished: Cell::new(0),
            joiners: WaitList::new(),
            is_shutdown: Cell::new(false),
        }
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
        self.items.borrow_mut().push_back(item);
        self.unfinished.set(self.unfinished.get() + 1);
        self.getters.notify_one();
        Ok(())
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
        let item = self.items.borrow_mut().pop_front();
        match item {
            Some(item) => {
                self.putters.notify_one();
                Ok(item)
            }
            None if self.is_shutdown.get() => Err(GetError::ShutDown),
            None => Err(GetError::Empty),
        }
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
        let mut discarded = VecDeque::new();
        if immediate {
            discarded = mem::take(&mut *self.items.borrow_mut());
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

    /// Whether `maxsize` items are in the queue; never true without a limit.
    #[doc(alias = "is_full")]
    pub fn full(&self) -> bool {
        self.maxsize != 0 && self.qsize() >= self.maxsize
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
            getters: self.getters.len(),
            putters: self.putters.len(),
            joiners: self.joiners.len(),
            unfinished: self.unfinished.get(),
            is_shutdown: self.is_shutdown.get(),
            get_waits: self.getters.statistics().waits,
            put_waits: self.putters.statistics().waits,
        }
    }
}

impl<T> Default for Queue<T> {
    /// A queue without a limit, as `asyncio.Queue()` is.
    fn default() -> Self {
        Queue::unbounded()
    }
}

impl<T> fmt::Debug for Queue<T> {
    // Without the items: their `Debug` is foreign code, and would run inside our borrow.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statistics = self.statistics();
        f.debug_struct("Queue")
            .field("maxsize", &statistics.maxsize)
            .field("qsize", &statistics.qsize)
            .field("getters", &statistics.getters)
            .field("putters", &statistics.putters)
            .field("unfinished", &statistics.unfinished)
            .field("is_shutdown", &statistics.is_shutdown)
            .finish_non_exhaustive()
    }
}

/// The next item of a queue, as what a `get` waits for.
struct Getting<'a, T>(&'a Queue<T>);

impl<T> Clone for Getting<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Getting<'_, T> {}

impl<T> Resource for Getting<'_, T> {
    type Taken = Result<T, QueueShutDown>;

    fn take(self) -> Option<Self::Taken> {
        match self.0.get_nowait() {
            Ok(item) => Some(Ok(item)),
            Err(GetError::ShutDown) => Some(Err(QueueShutDown(()))),
            Err(GetError::Empty) => None,
        }
    }

    fn pass_on(self) {
        if !self.0.empty() {
            self.0.getters.notify_one();
        }
    }
}

/// Room in a queue, as what a `put` waits for. The item stays with the `put`.
struct Putting<'a, T>(&'a Queue<T>);

impl<T> Clone for Putting<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Putting<'_, T> {}

impl<T> Resource for Putting<'_, T> {
    type Taken = ();

    fn take(self) -> Option<()> {
        (self.0.is_shutdown.get() || !self.0.full()).then_some(())
    }

    fn pass_on(self) {
        if !self.0.full() {
            self.0.putters.notify_one();
        }
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
    /// Who waits in `get`, those included that are woken and have not run yet.
    pub getters: usize,
    /// Who waits in `put`, counted alike.
    pub putters: usize,
    /// Who waits in `join`, counted alike.
    pub joiners: usize,
    /// Items that were put and for which `task_done` was not called.
    pub unfinished: usize,
    /// Whether the queue is shut down.
    pub is_shutdown: bool,
    /// How often a `get` had to wait.
    pub get_waits: u64,
    /// How often a `put` had to wait.
    pub put_waits: u64,
}
