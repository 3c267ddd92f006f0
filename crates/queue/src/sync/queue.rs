//! A queue that threads and loops share.

use std::fmt;
use std::time::{Duration, Instant};

use super::line::Line;
use super::parts::{AtomicUsize, ConcurrentQueue, Ordering, PopError, PushError};
use crate::error::{GetError, PutError, QueueShutDown, TaskDoneError};

/// A first-in-first-out queue between threads, of which any may run a loop.
///
/// What it does it does as [`Queue`](crate::Queue), and it is `Send + Sync`: each call that may wait has a form
/// that suspends the task and one that blocks the thread; `put_timeout` and `get_timeout` block it for a time. Share it in an [`Arc`](std::sync::Arc). A waiter that
/// was woken in vain, since another thread was quicker, goes to the end of the line. It has no other order of
/// items, no reserved room, no batches and no stream.
///
/// # Examples
///
/// ```
/// use asyncio_queue::sync::Queue;
/// use futures_lite::future::block_on;
///
/// let queue = Queue::new(1);
/// std::thread::scope(|scope| {
///     scope.spawn(|| queue.put_blocking("from a thread").unwrap());
///     assert_eq!(block_on(queue.get()), Ok("from a thread"));
/// });
/// ```
#[doc(alias("channel", "mpmc", "janus"))]
pub struct Queue<T> {
    items: ConcurrentQueue<T>,
    getters: Line,
    putters: Line,
    /// Items that were put and for which `task_done` was not called. Counted before an item can be got, and so
    /// for a moment also for one that is refused.
    unfinished: AtomicUsize,
    /// How often `unfinished` has come down to 0: who waits in `join` must not miss it.
    finished: AtomicUsize,
    joiners: Line,
}

impl<T> Queue<T> {
    /// Makes a queue for `maxsize` items; 0 means without a limit, as in asyncio.
    ///
    /// The memory for `maxsize` items is taken at once.
    pub fn new(maxsize: usize) -> Self {
        let items = match maxsize {
            0 => ConcurrentQueue::unbounded(),
            _ => ConcurrentQueue::bounded(maxsize),
        };
        Queue {
            items,
            getters: Line::new(),
            putters: Line::new(),
            unfinished: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            joiners: Line::new(),
        }
    }

    /// Makes a queue without a limit: `Queue::new(0)`. Its `put` never waits, so nothing slows a producer down.
    pub fn unbounded() -> Self {
        Queue::new(0)
    }

    /// Puts `item` in, and waits for room first if the queue is full.
    ///
    /// # Cancel safety
    ///
    /// A cancelled `put` has put nothing; the item is dropped with it. If it had just been woken, another
    /// waiting `put` is woken instead.
    ///
    /// # Errors
    ///
    /// [`QueueShutDown`] with the item, if the queue is shut down, or is while this waits.
    #[doc(alias = "send")]
    pub async fn put(&self, item: T) -> Result<(), QueueShutDown<T>> {
        match self.put_nowait(item) {
            Ok(()) => Ok(()),
            Err(PutError::ShutDown(item)) => Err(QueueShutDown(item)),
            Err(PutError::Full(item)) => {
                let mut item = Some(item);
                self.putters.wait(|| self.try_put(&mut item)).await
            }
        }
    }

    /// As [`put`](Self::put), but blocks the thread. Not for a thread that runs a loop.
    ///
    /// # Errors
    ///
    /// As `put`.
    #[doc(alias = "send_blocking")]
    pub fn put_blocking(&self, item: T) -> Result<(), QueueShutDown<T>> {
        match self.put_nowait(item) {
            Ok(()) => Ok(()),
            Err(PutError::ShutDown(item)) => Err(QueueShutDown(item)),
            Err(PutError::Full(item)) => {
                let mut item = Some(item);
                self.putters.wait_blocking(|| self.try_put(&mut item))
            }
        }
    }

    /// As [`put_blocking`](Self::put_blocking), but waits for room at most for `timeout` of real time.
    ///
    /// # Errors
    ///
    /// - [`PutError::Full`] with the item, if it still is when the time is over.
    /// - [`PutError::ShutDown`] with the item, if the queue is shut down, or is while this waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use asyncio_queue::{PutError, sync::Queue};
    /// # use std::time::Duration;
    /// let queue = Queue::new(1);
    /// assert_eq!(queue.put_timeout("a", Duration::ZERO), Ok(()));
    /// assert_eq!(queue.put_timeout("b", Duration::from_millis(1)), Err(PutError::Full("b")));
    /// ```
    #[doc(alias = "send_timeout")]
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
        let item = match self.put_nowait(item) {
            Err(PutError::Full(item)) => item,
            done => return done,
        };
        let Some(deadline) = Instant::now().checked_add(timeout) else {
            return self.put_blocking(item).map_err(|QueueShutDown(item)| PutError::ShutDown(item));
        };
        let mut item = Some(item);
        match self.putters.wait_until(deadline, || self.try_put(&mut item)) {
            Some(result) => result.map_err(|QueueShutDown(item)| PutError::ShutDown(item)),
            None => Err(PutError::Full(item.expect("a failed attempt puts it back"))),
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
    /// # use asyncio_queue::{PutError, sync::Queue};
    /// let queue = Queue::new(1);
    /// assert_eq!(queue.put_nowait("a"), Ok(()));
    /// assert_eq!(queue.put_nowait("b"), Err(PutError::Full("b")));
    /// ```
    #[doc(alias("try_put", "try_send"))]
    pub fn put_nowait(&self, item: T) -> Result<(), PutError<T>> {
        self.unfinished.fetch_add(1, Ordering::Relaxed);
        match self.items.push(item) {
            Ok(()) => {
                self.getters.notify_one();
                Ok(())
            }
            Err(refused) => {
                self.finish(1);
                Err(match refused {
                    PushError::Full(item) => PutError::Full(item),
                    PushError::Closed(item) => PutError::ShutDown(item),
                })
            }
        }
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
        match self.try_get() {
            Some(result) => result,
            None => self.getters.wait(|| self.try_get()).await,
        }
    }

    /// As [`get`](Self::get), but blocks the thread. Not for a thread that runs a loop.
    ///
    /// # Errors
    ///
    /// As `get`.
    #[doc(alias = "recv_blocking")]
    pub fn get_blocking(&self) -> Result<T, QueueShutDown> {
        match self.try_get() {
            Some(result) => result,
            None => self.getters.wait_blocking(|| self.try_get()),
        }
    }

    /// As [`get_blocking`](Self::get_blocking), but waits for an item at most for `timeout` of real time.
    ///
    /// # Errors
    ///
    /// - [`GetError::Empty`]: there still is none when the time is over.
    /// - [`GetError::ShutDown`]: there is none, and none will come.
    ///
    /// # Examples
    ///
    /// ```
    /// # use asyncio_queue::{GetError, sync::Queue};
    /// # use std::time::Duration;
    /// let queue = Queue::new(1);
    /// assert_eq!(queue.get_timeout(Duration::from_millis(1)), Err(GetError::Empty));
    /// queue.put_nowait("a").unwrap();
    /// assert_eq!(queue.get_timeout(Duration::ZERO), Ok("a"));
    /// ```
    #[doc(alias = "recv_timeout")]
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
        let result = match (self.try_get(), Instant::now().checked_add(timeout)) {
            (Some(result), _) => Some(result),
            (None, None) => Some(self.get_blocking()),
            (None, Some(deadline)) => self.getters.wait_until(deadline, || self.try_get()),
        };
        result.ok_or(GetError::Empty)?.map_err(|QueueShutDown(())| GetError::ShutDown)
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
    /// # use asyncio_queue::{GetError, sync::Queue};
    /// let queue = Queue::new(1);
    /// queue.put_nowait("a").unwrap();
    /// assert_eq!(queue.get_nowait(), Ok("a"));
    /// assert_eq!(queue.get_nowait(), Err(GetError::Empty));
    /// ```
    #[doc(alias("try_get", "try_recv"))]
    pub fn get_nowait(&self) -> Result<T, GetError> {
        match self.items.pop() {
            Ok(item) => {
                self.putters.notify_one();
                Ok(item)
            }
            Err(PopError::Empty) => Err(GetError::Empty),
            Err(PopError::Closed) => Err(GetError::ShutDown),
        }
    }

    /// Waits until everything that was put has been worked off: `task_done` was called for each item.
    ///
    /// # Cancel safety
    ///
    /// Cancelling it changes nothing for anybody else.
    pub async fn join(&self) {
        let before = self.finished.load(Ordering::Acquire);
        if !self.is_finished(before) {
            self.joiners.wait(|| self.is_finished(before).then_some(())).await;
        }
    }

    /// As [`join`](Self::join), but blocks the thread. Not for a thread that runs a loop.
    pub fn join_blocking(&self) {
        let before = self.finished.load(Ordering::Acquire);
        if !self.is_finished(before) {
            self.joiners.wait_blocking(|| self.is_finished(before).then_some(()));
        }
    }

    /// Says that the work on an item that was got is done. The last one releases those in `join`.
    ///
    /// # Errors
    ///
    /// [`TaskDoneError`] if it is called more often than items were put. (In the moment in which another thread
    /// is refused an item, a call too many may pass.)
    pub fn task_done(&self) -> Result<(), TaskDoneError> {
        if self.finish(1) { Ok(()) } else { Err(TaskDoneError::new()) }
    }

    /// Shuts the queue down, for good: each `put` from now on is refused, also those that wait.
    ///
    /// `get` still drains what is in the queue and is refused after that. With `immediate` the items in the
    /// queue are dropped as well, and count as done.
    ///
    /// ```
    /// # use asyncio_queue::{GetError, sync::Queue};
    /// let queue = Queue::new(0);
    /// queue.put_nowait(1).unwrap();
    /// queue.shutdown(true);
    /// assert!(queue.put_nowait(2).unwrap_err().is_shut_down());
    /// assert_eq!(queue.get_nowait(), Err(GetError::ShutDown));
    /// ```
    #[doc(alias = "close")]
    pub fn shutdown(&self, immediate: bool) {
        self.items.close();
        self.getters.notify_all();
        self.putters.notify_all();
        if immediate {
            while let Ok(item) = self.items.pop() {
                self.finish(1);
                drop(item);
            }
        }
    }

    /// How many items fit in; 0 means no limit.
    #[doc(alias = "capacity")]
    pub fn maxsize(&self) -> usize {
        self.items.capacity().unwrap_or(0)
    }

    /// How many items were in the queue a moment ago.
    #[doc(alias = "len")]
    pub fn qsize(&self) -> usize {
        self.items.len()
    }

    /// Whether no item was in the queue a moment ago.
    #[doc(alias = "is_empty")]
    pub fn empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether `maxsize` items were in the queue a moment ago; never true without a limit.
    #[doc(alias = "is_full")]
    pub fn full(&self) -> bool {
        self.items.is_full()
    }

    /// Numbers for an observer, each from a moment of its own.
    ///
    /// ```
    /// # use asyncio_queue::sync::Queue;
    /// let queue = Queue::new(0);
    /// queue.put_nowait(()).unwrap();
    /// assert_eq!(queue.statistics().unfinished, 1);
    /// ```
    pub fn statistics(&self) -> QueueStatistics {
        QueueStatistics {
            qsize: self.qsize(),
            maxsize: self.maxsize(),
            getters: self.getters.len(),
            putters: self.putters.len(),
            joiners: self.joiners.len(),
            unfinished: self.unfinished.load(Ordering::Relaxed),
            is_shutdown: self.items.is_closed(),
            get_waits: self.getters.waits(),
            put_waits: self.putters.waits(),
        }
    }

    /// What a `get` returns, or `None` if it has to wait.
    fn try_get(&self) -> Option<Result<T, QueueShutDown>> {
        match self.get_nowait() {
            Ok(item) => Some(Ok(item)),
            Err(GetError::ShutDown) => Some(Err(QueueShutDown(()))),
            Err(GetError::Empty) => None,
        }
    }

    /// What a `put` returns, or `None` if it has to wait; then the item is back in its place.
    fn try_put(&self, item: &mut Option<T>) -> Option<Result<(), QueueShutDown<T>>> {
        match self.put_nowait(item.take()?) {
            Ok(()) => Some(Ok(())),
            Err(PutError::ShutDown(item)) => Some(Err(QueueShutDown(item))),
            Err(PutError::Full(refused)) => {
                *item = Some(refused);
                None
            }
        }
    }

    /// Whether `unfinished` is 0, or was since `before`.
    fn is_finished(&self, before: usize) -> bool {
        self.unfinished.load(Ordering::Acquire) == 0
            || self.finished.load(Ordering::Acquire) != before
    }

    /// Counts `count` items as done; false if there are not so many.
    fn finish(&self, count: usize) -> bool {
        let less = |unfinished: usize| unfinished.checked_sub(count);
        match self.unfinished.fetch_update(Ordering::AcqRel, Ordering::Relaxed, less) {
            Ok(before) => {
                if before == count {
                    self.finished.fetch_add(1, Ordering::Release);
                    self.joiners.notify_all();
                }
                true
            }
            Err(_) => false,
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

/// What [`Queue::statistics`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStatistics {
    /// Items in the queue.
    pub qsize: usize,
    /// How many fit in; 0 means no limit.
    pub maxsize: usize,
    /// Tasks and threads that wait for an item.
    pub getters: usize,
    /// Tasks and threads that wait for room.
    pub putters: usize,
    /// Tasks and threads that wait in `join`.
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
