//! The errors of this crate, one for each operation that can fail. Each gives back what was not consumed.

use std::error::Error;
use std::fmt;

/// [`Queue::put`](crate::Queue::put) or [`Queue::get`](crate::Queue::get) found the queue shut down.
///
/// After a `put` it holds the item; after a `get` it holds nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
#[doc(alias("SendError", "RecvError", "Closed"))]
pub struct QueueShutDown<T = ()>(pub T);

impl<T> QueueShutDown<T> {
    /// The item that was not put.
    ///
    /// ```
    /// # use asyncio_queue::Queue;
    /// let queue = Queue::new(1);
    /// queue.shutdown(false);
    /// let error = futures_lite::future::block_on(queue.put("late")).unwrap_err();
    /// assert_eq!(error.into_inner(), "late");
    /// ```
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for QueueShutDown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueShutDown").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for QueueShutDown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("queue is shut down")
    }
}

impl<T> Error for QueueShutDown<T> {}

/// Why [`Queue::put_nowait`](crate::Queue::put_nowait) put nothing. Holds the item.
#[derive(Clone, Copy, PartialEq, Eq)]
#[doc(alias("QueueFull", "TrySendError"))]
pub enum PutError<T> {
    /// The queue is full.
    Full(T),
    /// The queue is shut down: nothing can ever be put again.
    ShutDown(T),
}

impl<T> PutError<T> {
    /// The item that was not put.
    ///
    /// ```
    /// # use asyncio_queue::Queue;
    /// let queue = Queue::new(1);
    /// queue.put_nowait(1).unwrap();
    /// assert_eq!(queue.put_nowait(2).unwrap_err().into_inner(), 2);
    /// ```
    pub fn into_inner(self) -> T {
        match self {
            PutError::Full(item) | PutError::ShutDown(item) => item,
        }
    }

    /// Whether the queue was full: another time there may be room.
    pub fn is_full(&self) -> bool {
        matches!(self, PutError::Full(_))
    }

    /// Whether the queue was shut down.
    pub fn is_shut_down(&self) -> bool {
        matches!(self, PutError::ShutDown(_))
    }
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PutError::Full(_) => "Full(..)",
            PutError::ShutDown(_) => "ShutDown(..)",
        })
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PutError::Full(_) => "queue is full",
            PutError::ShutDown(_) => "queue is shut down",
        })
    }
}

impl<T> Error for PutError<T> {}

/// Why [`Queue::get_nowait`](crate::Queue::get_nowait) got nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias("QueueEmpty", "TryRecvError"))]
pub enum GetError {
    /// The queue is empty.
    Empty,
    /// The queue is empty and shut down: nothing will ever come again.
    ShutDown,
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GetError::Empty => "queue is empty",
            GetError::ShutDown => "queue is shut down",
        })
    }
}

impl Error for GetError {}

/// [`Queue::task_done`](crate::Queue::task_done) was called more often than items were put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskDoneError {
    _private: (),
}

impl TaskDoneError {
    pub(crate) const fn new() -> Self {
        TaskDoneError { _private: () }
    }
}

impl fmt::Display for TaskDoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task_done() called more often than items were put")
    }
}

impl Error for TaskDoneError {}

/// `acquire_nowait` of a [`Lock`](crate::Lock) or a [`Semaphore`](crate::Semaphore) would have had to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias("TryLockError", "TryAcquireError"))]
pub struct WouldBlock {
    _private: (),
}

impl WouldBlock {
    pub(crate) const fn new() -> Self {
        WouldBlock { _private: () }
    }
}

impl fmt::Display for WouldBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("acquiring would have to wait")
    }
}

impl Error for WouldBlock {}

/// A [`Barrier`](crate::Barrier) was reset or aborted while a task waited, or is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenBarrierError {
    _private: (),
}

impl BrokenBarrierError {
    pub(crate) const fn new() -> Self {
        BrokenBarrierError { _private: () }
    }
}

impl fmt::Display for BrokenBarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("barrier is broken")
    }
}

impl Error for BrokenBarrierError {}

/// A [`Barrier`](crate::Barrier) was to be made for 0 parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPartiesError {
    _private: (),
}

impl NoPartiesError {
    pub(crate) const fn new() -> Self {
        NoPartiesError { _private: () }
    }
}

impl fmt::Display for NoPartiesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a barrier of 0 parties can never be passed")
    }
}

impl Error for NoPartiesError {}

/// [`BoundedSemaphore::release`](crate::BoundedSemaphore::release) was called with all permits accounted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReleaseError {
    _private: (),
}

impl ReleaseError {
    pub(crate) const fn new() -> Self {
        ReleaseError { _private: () }
    }
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("released more often than acquired")
    }
}

impl Error for ReleaseError {}

/// Why [`Subscriber::get`](crate::Subscriber::get) got no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BroadcastError {
    /// The subscriber was too slow: so many items are lost to it.
    Lagged(u64),
    /// Everything has been got, and nothing will come any more.
    ShutDown,
}

impl fmt::Display for BroadcastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BroadcastError::Lagged(missed) => write!(f, "missed {missed} items"),
            BroadcastError::ShutDown => f.write_str("broadcast is shut down"),
        }
    }
}

impl Error for BroadcastError {}
