//! A condition: waiting for a change of what a lock protects.

use std::borrow::Borrow;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::mem;
use std::pin::pin;

use asyncio_coro::wait_list::WaitList;

use crate::error::WouldBlock;
use crate::lock::{Lock, LockGuard};
use crate::turn::{Resource, Turn};

/// A [`Lock`] and those who wait until what it protects has changed.
///
/// Who holds the lock may [`wait`](Self::wait): that releases it, waits for a notification, and takes it
/// again. The guard goes in and comes out, so that nothing can be read in between. Who has changed something
/// notifies, while it still holds the lock; who is notified goes on after it is released, one after the other.
///
/// The lock belongs to the condition, or is one that others use as well: `Condition::with_lock(&lock)`, or with
/// an `Rc` of it. Several conditions may share one.
///
/// A waiter may also be woken without reason, as in asyncio, when one that was notified was cancelled; so check
/// again, or use [`wait_for`](Self::wait_for).
///
/// # Examples
///
/// ```
/// use asyncio_queue::Condition;
/// use futures_lite::future::{block_on, zip};
///
/// let fuel = Condition::new(0);
/// let drive = async {
///     let tank = fuel.acquire().await;
///     let mut tank = fuel.wait_for(tank, |litres| *litres >= 10).await;
///     *tank -= 10;
/// };
/// let fill_up = async {
///     let mut tank = fuel.acquire().await;
///     *tank += 12;
///     fuel.notify(&tank, 1);
/// };
/// block_on(zip(drive, fill_up));
/// assert_eq!(fuel.into_lock().into_inner(), 2);
/// ```
#[doc(alias("Condvar", "condition variable"))]
pub struct Condition<T: ?Sized = (), L = Lock<T>> {
    waiters: WaitList,
    value: PhantomData<fn() -> Box<T>>,
    lock: L,
}

impl<T> Condition<T> {
    /// Makes a condition with an unlocked lock over `value`.
    pub const fn new(value: T) -> Self {
        Condition { waiters: WaitList::new(), value: PhantomData, lock: Lock::new(value) }
    }
}

impl<T: ?Sized, L: Borrow<Lock<T>>> Condition<T, L> {
    /// Makes a condition of a lock that others may use as well.
    ///
    /// ```
    /// # use asyncio_queue::{Condition, Lock};
    /// let lock = Lock::new(());
    /// let (not_empty, not_full) = (Condition::with_lock(&lock), Condition::with_lock(&lock));
    /// let guard = not_empty.acquire_nowait().unwrap();
    /// assert!(lock.locked() && not_full.locked());
    /// not_full.notify_all(&guard);
    /// ```
    pub const fn with_lock(lock: L) -> Self {
        Condition { waiters: WaitList::new(), value: PhantomData, lock }
    }

    /// The lock.
    pub fn lock(&self) -> &Lock<T> {
        self.lock.borrow()
    }

    /// Takes the lock out.
    pub fn into_lock(self) -> L {
        self.lock
    }

    /// Waits for the lock and takes it: [`Lock::acquire`].
    ///
    /// # Cancel safety
    ///
    /// As `Lock::acquire`.
    pub async fn acquire(&self) -> LockGuard<'_, T> {
        self.lock().acquire().await
    }

    /// Takes the lock if it is free: [`Lock::acquire_nowait`].
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] if it is locked, or if others came first.
    pub fn acquire_nowait(&self) -> Result<LockGuard<'_, T>, WouldBlock> {
        self.lock().acquire_nowait()
    }

    /// Whether somebody holds the lock.
    pub fn locked(&self) -> bool {
        self.lock().locked()
    }

    /// Releases the lock, waits until it is notified, and takes the lock again.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it does not return: the guard is gone, and the lock is left to others. If it had been
    /// notified already, the notification passes on to the next waiter.
    ///
    /// # Panics
    ///
    /// If `guard` is of another lock.
    #[doc(alias = "notified")]
    pub async fn wait<'a>(&'a self, guard: LockGuard<'a, T>) -> LockGuard<'a, T> {
        self.check(&guard);
        let mut guard = Some(guard);
        {
            let mut turn = pin!(Turn::new(Notification(&self.waiters), &self.waiters));
            poll_fn(|cx| {
                // It stands in the line before the lock is free: whoever comes then can notify it.
                let polled = turn.as_mut().poll(cx);
                drop(guard.take());
                polled
            })
            .await;
        }
        let unused = PassOn(&self.waiters);
        let guard = self.lock().acquire().await;
        mem::forget(unused);
        guard
    }

    /// Waits until `predicate` holds, and returns with the lock taken; returns at once if it holds already.
    ///
    /// It is checked at the beginning and after each notification.
    ///
    /// # Cancel safety
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// If `guard` is of another lock.
    #[doc(alias = "wait_while")]
    pub async fn wait_for<'a>(
        &'a self,
        guard: LockGuard<'a, T>,
        mut predicate: impl FnMut(&mut T) -> bool,
    ) -> LockGuard<'a, T> {
        self.wait_for_some(guard, |value| predicate(value).then_some(())).await.0
    }

    /// As [`wait_for`](Self::wait_for), and returns what `predicate` found.
    ///
    /// # Cancel safety
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// If `guard` is of another lock.
    ///
    /// # Examples
    ///
    /// ```
    /// # use asyncio_queue::Condition;
    /// # futures_lite::future::block_on(async {
    /// let stack = Condition::new(vec![1, 2]);
    /// let guard = stack.acquire().await;
    /// let (_guard, top) = stack.wait_for_some(guard, |stack| stack.pop()).await;
    /// assert_eq!(top, 2);
    /// # });
    /// ```
    pub async fn wait_for_some<'a, R>(
        &'a self,
        mut guard: LockGuard<'a, T>,
        mut predicate: impl FnMut(&mut T) -> Option<R>,
    ) -> (LockGuard<'a, T>, R) {
        self.check(&guard);
        loop {
            if let Some(found) = predicate(&mut guard) {
                return (guard, found);
            }
            guard = self.wait(guard).await;
        }
    }

    /// Wakes the first `n` of those who wait and are not woken yet. They go on when `guard` is released.
    ///
    /// # Panics
    ///
    /// If `guard` is of another lock.
    #[doc(alias = "notify_one")]
    pub fn notify(&self, guard: &LockGuard<'_, T>, n: usize) {
        self.check(guard);
        let mut rest = n;
        while rest > 0 && self.waiters.notify_one() {
            rest -= 1;
        }
    }

    /// Wakes all who wait. They go on when `guard` is released.
    ///
    /// # Panics
    ///
    /// If `guard` is of another lock.
    pub fn notify_all(&self, guard: &LockGuard<'_, T>) {
        self.check(guard);
        self.waiters.notify_all();
    }

    /// Numbers for an observer.
    ///
    /// ```
    /// # use asyncio_queue::Condition;
    /// assert_eq!(Condition::new(()).statistics().waiters, 0);
    /// ```
    pub fn statistics(&self) -> ConditionStatistics {
        ConditionStatistics {
            locked: self.locked(),
            waiters: self.waiters.len(),
            woken: self.waiters.notified(),
            waits: self.waiters.statistics().waits,
        }
    }

    #[track_caller]
    fn check(&self, guard: &LockGuard<'_, T>) {
        assert!(guard.is_of(self.lock()), "the guard must be of the condition's own lock");
    }
}

impl<T: Default> Default for Condition<T> {
    fn default() -> Self {
        Condition::new(T::default())
    }
}

impl<T: ?Sized, L: Borrow<Lock<T>>> fmt::Debug for Condition<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConditionStatistics { locked, waiters, .. } = self.statistics();
        f.debug_struct("Condition").field("locked", &locked).field("waiters", &waiters).finish()
    }
}

/// Being notified; nobody can be quicker.
#[derive(Clone, Copy)]
struct Notification<'a>(&'a WaitList);

impl Resource for Notification<'_> {
    type Taken = ();

    fn take(self) -> Option<()> {
        Some(())
    }

    fn pass_on(self) {
        self.0.notify_one();
    }
}

/// The notification of a waiter that has not got the lock back yet.
struct PassOn<'a>(&'a WaitList);

impl Drop for PassOn<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// What [`Condition::statistics`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConditionStatistics {
    /// Whether somebody holds the lock.
    pub locked: bool,
    /// Who waits for a notification, those included that are woken and have not run yet.
    pub waiters: usize,
    /// How many of these are woken and have not run yet. If that stays so, somebody keeps a future of this tool without
    /// polling it, and all behind it wait: a *futurelock*.
    pub woken: usize,
    /// How often somebody had to wait for one.
    pub waits: u64,
}
