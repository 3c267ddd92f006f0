//! A semaphore: a number of permits, first come, first served.

use std::cell::Cell;
use std::fmt;
use std::mem;

use asyncio_coro::wait_list::WaitList;

use crate::error::WouldBlock;
use crate::turn::{Resource, Turn};

/// A number of permits: so many tasks may be inside at a time.
///
/// Strictly first in, first out: a permit is taken at once only if there is one and nobody waits; a permit
/// that is released is taken *on behalf of* the first waiter when that one is woken, so no newcomer and no
/// quick re-acquire overtakes it.
///
/// # Examples
///
/// ```
/// use asyncio_queue::Semaphore;
/// use futures_lite::future::block_on;
///
/// let two_at_a_time = Semaphore::new(2);
/// block_on(async {
///     let _first = two_at_a_time.acquire().await;
///     let second = two_at_a_time.acquire().await;
///     assert!(two_at_a_time.locked());
///     drop(second);
///     assert!(!two_at_a_time.locked());
/// });
/// ```
pub struct Semaphore {
    /// Permits that neither somebody holds nor a woken waiter has been given.
    value: Cell<usize>,
    /// A waiter that is notified owns a permit.
    waiters: WaitList,
}

impl Semaphore {
    /// Makes a semaphore with `value` permits. With 0 it is locked until somebody [releases](Self::release).
    pub const fn new(value: usize) -> Self {
        Semaphore { value: Cell::new(value), waiters: WaitList::new() }
    }

    /// Waits for a permit and takes it; the permit goes back when it is dropped.
    ///
    /// Without contention this touches two cells, and does not suspend.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it loses its place in the queue and nothing else. If a permit had been taken for it already,
    /// the permit goes back and to the next waiter.
    #[inline]
    pub async fn acquire(&self) -> SemaphorePermit<'_> {
        match self.acquire_nowait() {
            Ok(permit) => permit,
            Err(_) => Turn::new(self, &self.waiters).await,
        }
    }

    /// Takes a permit if there is one and nobody waits for it.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] if the semaphore is [`locked`](Self::locked).
    ///
    /// # Examples
    ///
    /// ```
    /// # use asyncio_queue::Semaphore;
    /// let semaphore = Semaphore::new(1);
    /// let permit = semaphore.acquire_nowait().unwrap();
    /// assert!(semaphore.acquire_nowait().is_err());
    /// drop(permit);
    /// assert!(semaphore.acquire_nowait().is_ok());
    /// ```
    #[doc(alias = "try_acquire")]
    #[inline]
    pub fn acquire_nowait(&self) -> Result<SemaphorePermit<'_>, WouldBlock> {
        if self.locked() {
            return Err(WouldBlock::new());
        }
        self.value.set(self.value.get() - 1);
        Ok(SemaphorePermit { semaphore: self })
    }

    /// Adds a permit, and gives it to the first waiter if there is one.
    ///
    /// Permits that were acquired give themselves back; this is for those that were
    /// [forgotten](SemaphorePermit::forget) or never were there.
    ///
    /// ```
    /// # use asyncio_queue::Semaphore;
    /// let semaphore = Semaphore::new(0);
    /// semaphore.release();
    /// assert_eq!(semaphore.value(), 1);
    /// ```
    #[doc(alias = "add_permits")]
    #[inline]
    pub fn release(&self) {
        // At the very limit a permit is lost, which nobody can live to see.
        self.value.set(self.value.get().saturating_add(1));
        if self.waiters.has_waiters() {
            self.hand_out();
        }
    }

    /// Whether `acquire` would have to wait: no permit is free, or others wait already.
    #[inline]
    pub fn locked(&self) -> bool {
        self.value.get() == 0 || !self.waiters.is_empty()
    }

    /// Permits that are free now.
    #[doc(alias = "available_permits")]
    pub fn value(&self) -> usize {
        self.value.get()
    }

    /// Numbers for an observer.
    ///
    /// ```
    /// # use asyncio_queue::Semaphore;
    /// assert_eq!(Semaphore::new(3).statistics().value, 3);
    /// ```
    pub fn statistics(&self) -> SemaphoreStatistics {
        SemaphoreStatistics {
            value: self.value(),
            waiters: self.waiters.len(),
            woken: self.waiters.notified(),
            waits: self.waiters.statistics().waits,
        }
    }

    /// Gives free permits to waiters, as far as they go.
    fn hand_out(&self) {
        while self.value.get() > 0 && self.waiters.has_waiters() {
            self.value.set(self.value.get() - 1);
            self.waiters.notify_one();
        }
    }
}

impl<'a> Resource for &'a Semaphore {
    type Taken = SemaphorePermit<'a>;

    fn take(self) -> Option<SemaphorePermit<'a>> {
        let permit = SemaphorePermit { semaphore: self };
        // Newcomers may have queued behind this waiter though there were permits for them.
        self.hand_out();
        Some(permit)
    }

    fn pass_on(self) {
        self.release();
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SemaphoreStatistics { value, waiters, .. } = self.statistics();
        f.debug_struct("Semaphore").field("value", &value).field("waiters", &waiters).finish()
    }
}

/// A permit of a [`Semaphore`]; dropping it releases it.
#[must_use = "the permit goes back at once if it is dropped"]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
}

impl SemaphorePermit<'_> {
    /// Keeps the permit for good: the semaphore has one less, until somebody
    /// [releases](Semaphore::release) one.
    ///
    /// ```
    /// # use asyncio_queue::Semaphore;
    /// let semaphore = Semaphore::new(1);
    /// semaphore.acquire_nowait().unwrap().forget();
    /// assert!(semaphore.locked());
    /// ```
    pub fn forget(self) {
        mem::forget(self);
    }
}

impl Drop for SemaphorePermit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.release();
    }
}

impl fmt::Debug for SemaphorePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphorePermit").finish_non_exhaustive()
    }
}

/// What [`Semaphore::statistics`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SemaphoreStatistics {
    /// Permits that are free now.
    pub value: usize,
    /// Who waits, those included that are woken and have not run yet.
    pub waiters: usize,
    /// How many of these are woken and have not run yet. If that stays so, somebody keeps a future of this tool without
    /// polling it, and all behind it wait: a *futurelock*.
    pub woken: usize,
    /// How often somebody had to wait.
    pub waits: u64,
}
