#![expect(unsafe_code, reason = "a guard of one word, which a `RefMut` is not, reaches the data")]
//! A lock over data, first come, first served.
//!
//! # Invariants
//!
//! - **L1, one guard.** A guard is made only by `take`, which finds the lock free and locks it. Only the guard's drop
//!   frees it again, so a lock has at most one guard; one that is forgotten leaves it locked for ever.
//! - **L2, only through it.** While a guard exists, nothing but that guard makes a reference to the data, for as long as
//!   it is borrowed itself. What owns the lock or has it by `&mut` has no guard beside it: guards borrow the lock.
//! - **L3, one thread.** A `Lock` is not `Sync`, so all of this happens on one thread.

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr;

use asyncio_coro::wait_list::WaitList;

use crate::error::WouldBlock;
use crate::turn::{Resource, Turn};

/// A lock over a `T`, for tasks of one thread that must keep it *across an await*.
///
/// For a change without an await in it a `Cell` or `RefCell` is enough. The lock is fair as asyncio's is: it
/// is taken at once only if it is free and nobody waits; otherwise whoever asks queues up. A release leaves
/// the lock free and wakes the first waiter, and until that one runs newcomers queue behind it.
///
/// It is not reentrant: acquiring it twice in one task waits for ever. A panic while it is held does not
/// poison it; it is released. A guard that is forgotten (`mem::forget`) leaves it locked.
///
/// # Examples
///
/// ```
/// use asyncio_queue::Lock;
/// use futures_lite::future::{block_on, yield_now, zip};
///
/// let total = Lock::new(0);
/// let add = async |amount| {
///     let mut total = total.acquire().await;
///     let before = *total;
///     yield_now().await; // nobody comes in between
///     *total = before + amount;
/// };
/// block_on(zip(add(1), add(2)));
/// assert_eq!(total.into_inner(), 3);
/// ```
#[doc(alias = "Mutex")]
#[derive(Default)]
pub struct Lock<T: ?Sized = ()> {
    waiters: WaitList,
    locked: Cell<bool>,
    value: UnsafeCell<T>,
}

impl<T> Lock<T> {
    /// Makes an unlocked lock over `value`.
    pub const fn new(value: T) -> Self {
        Lock { waiters: WaitList::new(), locked: Cell::new(false), value: UnsafeCell::new(value) }
    }

    /// Takes the data out.
    ///
    /// ```
    /// # use asyncio_queue::Lock;
    /// assert_eq!(Lock::new(7).into_inner(), 7);
    /// ```
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Lock<T> {
    /// The data, without locking: who has the lock exclusively needs no lock.
    ///
    /// ```
    /// # use asyncio_queue::Lock;
    /// let mut lock = Lock::new(7);
    /// *lock.get_mut() += 1;
    /// assert_eq!(*lock.acquire_nowait().unwrap(), 8);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Waits for the lock and takes it; the guard gives it back when it is dropped.
    ///
    /// Without contention this touches two cells, and does not suspend.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it loses its place in the queue and nothing else. If it had just been woken, the lock
    /// passes on to the next waiter.
    #[doc(alias = "lock")]
    pub async fn acquire(&self) -> LockGuard<'_, T> {
        match self.acquire_nowait() {
            Ok(guard) => guard,
            Err(_) => Turn::new(self, &self.waiters).await,
        }
    }

    /// Takes the lock if it is free and nobody waits for it.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] if it is locked, or if others came first.
    ///
    /// # Examples
    ///
    /// ```
    /// # use asyncio_queue::Lock;
    /// let lock = Lock::new(());
    /// let guard = lock.acquire_nowait().unwrap();
    /// assert!(lock.acquire_nowait().is_err());
    /// drop(guard);
    /// assert!(lock.acquire_nowait().is_ok());
    /// ```
    #[doc(alias = "try_lock")]
    pub fn acquire_nowait(&self) -> Result<LockGuard<'_, T>, WouldBlock> {
        if self.waiters.is_empty() { self.take() } else { None }.ok_or(WouldBlock::new())
    }

    /// Whether somebody holds it. A free lock may still be promised to a waiter that has not run yet.
    #[doc(alias = "is_locked")]
    pub fn locked(&self) -> bool {
        self.locked.get()
    }

    /// Numbers for an observer.
    ///
    /// ```
    /// # use asyncio_queue::Lock;
    /// let lock = Lock::new(());
    /// let _guard = lock.acquire_nowait();
    /// assert!(lock.statistics().locked);
    /// ```
    pub fn statistics(&self) -> LockStatistics {
        LockStatistics {
            locked: self.locked(),
            waiters: self.waiters.len(),
            woken: self.waiters.notified(),
            waits: self.waiters.statistics().waits,
        }
    }
}

impl<'a, T: ?Sized> Resource for &'a Lock<T> {
    type Taken = LockGuard<'a, T>;

    fn take(self) -> Option<LockGuard<'a, T>> {
        if self.locked.replace(true) { None } else { Some(LockGuard { lock: self }) }
    }

    fn pass_on(self) {
        if !self.locked() {
            self.waiters.notify_one();
        }
    }
}

impl<T: ?Sized> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LockStatistics { locked, waiters, .. } = self.statistics();
        f.debug_struct("Lock").field("locked", &locked).field("waiters", &waiters).finish()
    }
}

impl<T> From<T> for Lock<T> {
    fn from(value: T) -> Self {
        Lock::new(value)
    }
}

/// Access to the data of a [`Lock`]; dropping it releases the lock.
#[must_use = "the lock is released at once if the guard is dropped"]
#[doc(alias = "MutexGuard")]
pub struct LockGuard<'a, T: ?Sized = ()> {
    lock: &'a Lock<T>,
}

impl<T: ?Sized> LockGuard<'_, T> {
    pub(crate) fn is_of(&self, lock: &Lock<T>) -> bool {
        ptr::eq(&self.lock.waiters, &lock.waiters)
    }
}

impl<T: ?Sized> Deref for LockGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: by L1 this is the only guard, and by L2 a `&mut` to the data would borrow it mutably.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for LockGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: by L1 this is the only guard, and by L2 any reference to the data borrows it.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T: ?Sized> Drop for LockGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Free before the next one is woken: its waker may be what asks. None is woken already, since only who was woken
        // last, or found nobody waiting, can have taken the lock.
        self.lock.locked.set(false);
        self.lock.waiters.notify_one();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for LockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for LockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// What [`Lock::statistics`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockStatistics {
    /// Whether somebody holds the lock.
    pub locked: bool,
    /// Who waits, those included that are woken and have not run yet.
    pub waiters: usize,
    /// How many of these are woken and have not run yet. If that stays so, somebody keeps a future of this tool without
    /// polling it, and all behind it wait: a *futurelock*.
    pub woken: usize,
    /// How often somebody had to wait.
    pub waits: u64,
}
