//! A semaphore that cannot be released too often.

use std::cell::Cell;
use std::fmt;

use crate::error::{ReleaseError, WouldBlock};
use crate::semaphore::{Semaphore, SemaphorePermit};

/// A [`Semaphore`] that never has more permits than in the beginning: a `release` without an `acquire` fails.
///
/// Permits give themselves back, so there is something to release only for one that was
/// [forgotten](BoundedSemaphorePermit::forget).
///
/// # Examples
///
/// ```
/// use asyncio_queue::BoundedSemaphore;
/// use futures_lite::future::block_on;
///
/// let semaphore = BoundedSemaphore::new(1);
/// block_on(async {
///     semaphore.acquire().await.forget();
///     assert!(semaphore.locked());
///     assert!(semaphore.release().is_ok());
///     assert!(semaphore.release().is_err());
/// });
/// ```
pub struct BoundedSemaphore {
    semaphore: Semaphore,
    bound: usize,
    /// Permits that were forgotten and not yet released.
    forgotten: Cell<usize>,
}

impl BoundedSemaphore {
    /// Makes a semaphore with `value` permits, which is also the most it can ever have.
    pub const fn new(value: usize) -> Self {
        BoundedSemaphore { semaphore: Semaphore::new(value), bound: value, forgotten: Cell::new(0) }
    }

    /// Waits for a permit and takes it: [`Semaphore::acquire`].
    ///
    /// # Cancel safety
    ///
    /// As `Semaphore::acquire`.
    #[inline]
    pub async fn acquire(&self) -> BoundedSemaphorePermit<'_> {
        let permit = self.semaphore.acquire().await;
        BoundedSemaphorePermit { permit, forgotten: &self.forgotten }
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
    /// # use asyncio_queue::BoundedSemaphore;
    /// let semaphore = BoundedSemaphore::new(1);
    /// let _permit = semaphore.acquire_nowait().unwrap();
    /// assert!(semaphore.acquire_nowait().is_err());
    /// ```
    #[inline]
    pub fn acquire_nowait(&self) -> Result<BoundedSemaphorePermit<'_>, WouldBlock> {
        let permit = self.semaphore.acquire_nowait()?;
        Ok(BoundedSemaphorePermit { permit, forgotten: &self.forgotten })
    }

    /// Gives back a permit that was forgotten, and to the first waiter if there is one.
    ///
    /// # Errors
    ///
    /// [`ReleaseError`] if there is none; nothing changes then.
    pub fn release(&self) -> Result<(), ReleaseError> {
        let rest = self.forgotten.get().checked_sub(1).ok_or(ReleaseError::new())?;
        self.forgotten.set(rest);
        self.semaphore.release();
        Ok(())
    }

    /// Whether `acquire` would have to wait: no permit is free, or others wait already.
    #[inline]
    pub fn locked(&self) -> bool {
        self.semaphore.locked()
    }

    /// Permits that are free now.
    pub fn value(&self) -> usize {
        self.semaphore.value()
    }

    /// Numbers for an observer.
    ///
    /// ```
    /// # use asyncio_queue::BoundedSemaphore;
    /// assert_eq!(BoundedSemaphore::new(3).statistics().bound, 3);
    /// ```
    pub fn statistics(&self) -> BoundedSemaphoreStatistics {
        let inner = self.semaphore.statistics();
        BoundedSemaphoreStatistics {
            value: inner.value,
            bound: self.bound,
            forgotten: self.forgotten.get(),
            waiters: inner.waiters,
            woken: inner.woken,
            waits: inner.waits,
        }
    }
}

impl fmt::Debug for BoundedSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BoundedSemaphoreStatistics { value, bound, waiters, .. } = self.statistics();
        f.debug_struct("BoundedSemaphore")
            .field("value", &value)
            .field("bound", &bound)
            .field("waiters", &waiters)
            .finish()
    }
}

/// A permit of a [`BoundedSemaphore`]; dropping it releases it.
#[must_use = "the permit goes back at once if it is dropped"]
pub struct BoundedSemaphorePermit<'a> {
    permit: SemaphorePermit<'a>,
    forgotten: &'a Cell<usize>,
}

impl BoundedSemaphorePermit<'_> {
    /// Keeps the permit until somebody [releases](BoundedSemaphore::release) it.
    ///
    /// ```
    /// # use asyncio_queue::BoundedSemaphore;
    /// let semaphore = BoundedSemaphore::new(1);
    /// semaphore.acquire_nowait().unwrap().forget();
    /// assert_eq!(semaphore.value(), 0);
    /// assert_eq!(semaphore.release(), Ok(()));
    /// ```
    pub fn forget(self) {
        self.forgotten.set(self.forgotten.get() + 1);
        self.permit.forget();
    }
}

impl fmt::Debug for BoundedSemaphorePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedSemaphorePermit").finish_non_exhaustive()
    }
}

/// What [`BoundedSemaphore::statistics`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BoundedSemaphoreStatistics {
    /// Permits that are free now.
    pub value: usize,
    /// The most there can be.
    pub bound: usize,
    /// Permits that were forgotten, and may be released.
    pub forgotten: usize,
    /// Who waits, those included that are woken and have not run yet.
    pub waiters: usize,
    /// As [`SemaphoreStatistics::woken`](crate::SemaphoreStatistics::woken).
    pub woken: usize,
    /// How often somebody had to wait.
    pub waits: u64,
}
