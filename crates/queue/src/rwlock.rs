//! A lock over data that many may read or one may change, first come, first served.

use std::cell::{Ref, RefCell, RefMut};
use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};

use asyncio_coro::wait_list::WaitList;

use crate::error::WouldBlock;
use crate::turn::{Resource, Turn};

/// A lock over a `T` for any number of readers, or one writer, that keep it *across an await*.
///
/// It is fair: readers and writers stand in one line. So a writer that waits lets no later reader pass, and
/// readers that stand behind one another go in together. A task that reads already and asks to read again may
/// therefore wait for ever, behind a writer that waits for its first guard.
///
/// # Examples
///
/// ```
/// use asyncio_queue::RwLock;
///
/// # futures_lite::future::block_on(async {
/// let config = RwLock::new(vec![1]);
/// {
///     let (one, other) = (config.read().await, config.read().await);
///     assert_eq!(*one, *other);
///     assert!(config.write_nowait().is_err());
/// }
/// config.write().await.push(2);
/// assert_eq!(config.into_inner(), [1, 2]);
/// # });
/// ```
#[doc(alias = "RWLock")]
#[derive(Default)]
pub struct RwLock<T: ?Sized> {
    /// Of those that are in a position to go on the first is woken; the others follow from one another.
    waiters: WaitList,
    /// Borrowed by the guards: its borrow flag is the lock.
    value: RefCell<T>,
}

impl<T> RwLock<T> {
    /// Makes an unlocked lock over `value`.
    pub const fn new(value: T) -> Self {
        RwLock { waiters: WaitList::new(), value: RefCell::new(value) }
    }

    /// Takes the data out.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// The data, without locking: who has the lock exclusively needs no lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Waits until it may read; the guard ends that when it is dropped.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it loses its place in the line and nothing else; those behind it move up.
    pub async fn read(&self) -> RwLockReadGuard<'_, T> {
        match self.read_nowait() {
            Ok(guard) => guard,
            Err(_) => {
                let leaving = Leaving(self);
                let guard = Turn::new(Reading(self), &self.waiters).await;
                mem::forget(leaving);
                guard
            }
        }
    }

    /// Waits until it may write; the guard ends that when it is dropped.
    ///
    /// # Cancel safety
    ///
    /// As [`read`](Self::read).
    pub async fn write(&self) -> RwLockWriteGuard<'_, T> {
        match self.write_nowait() {
            Ok(guard) => guard,
            Err(_) => {
                let leaving = Leaving(self);
                let guard = Turn::new(Writing(self), &self.waiters).await;
                mem::forget(leaving);
                guard
            }
        }
    }

    /// Reads if nobody writes or waits.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] otherwise.
    #[doc(alias = "try_read")]
    pub fn read_nowait(&self) -> Result<RwLockReadGuard<'_, T>, WouldBlock> {
        if self.waiters.is_empty() { self.take_read() } else { None }.ok_or(WouldBlock::new())
    }

    /// Writes if nobody reads, writes or waits.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] otherwise.
    #[doc(alias = "try_write")]
    pub fn write_nowait(&self) -> Result<RwLockWriteGuard<'_, T>, WouldBlock> {
        if self.waiters.is_empty() { self.take_write() } else { None }.ok_or(WouldBlock::new())
    }

    /// Numbers for an observer.
    ///
    /// ```
    /// # use asyncio_queue::RwLock;
    /// let lock = RwLock::new(());
    /// let _guard = lock.read_nowait();
    /// assert!(lock.statistics().read && !lock.statistics().written);
    /// ```
    pub fn statistics(&self) -> RwLockStatistics {
        let written = self.value.try_borrow().is_err();
        RwLockStatistics {
            read: !written && !self.is_free(),
            written,
            waiters: self.waiters.len(),
            woken: self.waiters.notified(),
            waits: self.waiters.statistics().waits,
        }
    }

    fn take_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        let value = self.value.try_borrow().ok()?;
        Some(RwLockReadGuard { value: Some(value), lock: self })
    }

    fn take_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        let value = self.value.try_borrow_mut().ok()?;
        Some(RwLockWriteGuard { value: Some(value), lock: self })
    }

    fn is_free(&self) -> bool {
        self.value.try_borrow_mut().is_ok()
    }

    /// Wakes the first in the line, unless somebody is awake already: that one wakes the next.
    fn wake_next(&self) {
        if self.waiters.notified() == 0 {
            self.waiters.notify_one();
        }
    }
}

impl<T: ?Sized> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RwLockStatistics { read, written, waiters, .. } = self.statistics();
        f.debug_struct("RwLock")
            .field("read", &read)
            .field("written", &written)
            .field("waiters", &waiters)
            .finish()
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        RwLock::new(value)
    }
}

/// Shared access to the data of an [`RwLock`].
#[must_use = "the lock is released at once if the guard is dropped"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    /// There until the drop.
    value: Option<Ref<'a, T>>,
    lock: &'a RwLock<T>,
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_deref().expect("it is there until the drop")
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        self.value = None;
        if self.lock.is_free() {
            self.lock.wake_next();
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Exclusive access to the data of an [`RwLock`].
#[must_use = "the lock is released at once if the guard is dropped"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    /// There until the drop.
    value: Option<RefMut<'a, T>>,
    lock: &'a RwLock<T>,
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_deref().expect("it is there until the drop")
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_deref_mut().expect("it is there until the drop")
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        self.value = None;
        self.lock.wake_next();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

struct Reading<'a, T: ?Sized>(&'a RwLock<T>);

impl<T: ?Sized> Clone for Reading<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Reading<'_, T> {}

impl<'a, T: ?Sized> Resource for Reading<'a, T> {
    type Taken = RwLockReadGuard<'a, T>;

    fn take(self) -> Option<Self::Taken> {
        let guard = self.0.take_read()?;
        // The next one may be a reader, too.
        self.0.wake_next();
        Some(guard)
    }

    // `Leaving` does it.
    fn pass_on(self) {}
}

struct Writing<'a, T: ?Sized>(&'a RwLock<T>);

impl<T: ?Sized> Clone for Writing<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Writing<'_, T> {}

impl<'a, T: ?Sized> Resource for Writing<'a, T> {
    type Taken = RwLockWriteGuard<'a, T>;

    fn take(self) -> Option<Self::Taken> {
        self.0.take_write()
    }

    // `Leaving` does it.
    fn pass_on(self) {}
}

/// Somebody leaves the line. Notified or not, it may have been the one whom the others waited behind.
struct Leaving<'a, T: ?Sized>(&'a RwLock<T>);

impl<T: ?Sized> Drop for Leaving<'_, T> {
    fn drop(&mut self) {
        self.0.wake_next();
    }
}

/// What [`RwLock::statistics`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RwLockStatistics {
    /// Whether somebody reads.
    pub read: bool,
    /// Whether somebody writes.
    pub written: bool,
    /// Who waits, those included that are woken and have not run yet.
    pub waiters: usize,
    /// How many of these are woken and have not run yet. If that stays so, somebody keeps a future of this tool without
    /// polling it, and all behind it wait: a *futurelock*.
    pub woken: usize,
    /// How often somebody had to wait.
    pub waits: u64,
}
