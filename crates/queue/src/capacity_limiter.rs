//! A limit to how many may do something at a time, which can be changed on the way.

use std::cell::Cell;
use std::fmt;

use asyncio_coro::wait_list::WaitList;

use crate::error::WouldBlock;
use crate::turn::{Resource, Turn};

/// A semaphore whose number of permits, here tokens, can be changed: trio's `CapacityLimiter`.
///
/// Strictly first in, first out. Fewer tokens than are out take effect as they come back.
///
/// # Examples
///
/// ```
/// use asyncio_queue::CapacityLimiter;
///
/// # futures_lite::future::block_on(async {
/// let connections = CapacityLimiter::new(1);
/// let one = connections.acquire().await;
/// assert!(connections.acquire_nowait().is_err());
/// connections.set_total_tokens(2);
/// let other = connections.acquire().await;
/// assert_eq!(connections.borrowed_tokens(), 2);
/// # drop((one, other));
/// # });
/// ```
pub struct CapacityLimiter {
    total: Cell<usize>,
    /// Tokens that somebody holds, or that a woken waiter has been given.
    borrowed: Cell<usize>,
    /// A waiter that is notified owns a token.
    waiters: WaitList,
}

impl CapacityLimiter {
    /// Makes a limiter with `total_tokens` tokens.
    pub const fn new(total_tokens: usize) -> Self {
        CapacityLimiter {
            total: Cell::new(total_tokens),
            borrowed: Cell::new(0),
            waiters: WaitList::new(),
        }
    }

    /// Waits for a token and borrows it; it goes back when it is dropped.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it loses its place in the line and nothing else. If a token had been taken for it already,
    /// that goes back and to the next waiter.
    pub async fn acquire(&self) -> CapacityToken<'_> {
        match self.acquire_nowait() {
            Ok(token) => token,
            Err(_) => Turn::new(self, &self.waiters).await,
        }
    }

    /// Borrows a token if there is one and nobody waits for it.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`] otherwise.
    pub fn acquire_nowait(&self) -> Result<CapacityToken<'_>, WouldBlock> {
        if self.available_tokens() == 0 || !self.waiters.is_empty() {
            return Err(WouldBlock::new());
        }
        self.borrowed.set(self.borrowed.get() + 1);
        Ok(CapacityToken { limiter: self })
    }

    /// How many may be borrowed at a time.
    pub fn total_tokens(&self) -> usize {
        self.total.get()
    }

    /// Changes how many may be borrowed at a time, and lets in whoever waits and may come now.
    ///
    /// ```
    /// # use asyncio_queue::CapacityLimiter;
    /// let limiter = CapacityLimiter::new(2);
    /// let (one, other) = (limiter.acquire_nowait().unwrap(), limiter.acquire_nowait().unwrap());
    /// limiter.set_total_tokens(1);
    /// drop(one);
    /// assert!(limiter.acquire_nowait().is_err());
    /// drop(other);
    /// assert!(limiter.acquire_nowait().is_ok());
    /// ```
    pub fn set_total_tokens(&self, total_tokens: usize) {
        self.total.set(total_tokens);
        self.hand_out();
    }

    /// How many are borrowed, those included that a woken waiter is about to get.
    pub fn borrowed_tokens(&self) -> usize {
        self.borrowed.get()
    }

    /// How many may be borrowed now.
    pub fn available_tokens(&self) -> usize {
        self.total.get().saturating_sub(self.borrowed.get())
    }

    /// Numbers for an observer.
    ///
    /// ```
    /// # use asyncio_queue::CapacityLimiter;
    /// assert_eq!(CapacityLimiter::new(3).statistics().total_tokens, 3);
    /// ```
    pub fn statistics(&self) -> CapacityLimiterStatistics {
        CapacityLimiterStatistics {
            total_tokens: self.total_tokens(),
            borrowed_tokens: self.borrowed_tokens(),
            waiters: self.waiters.len(),
            woken: self.waiters.notified(),
            waits: self.waiters.statistics().waits,
        }
    }

    /// Gives tokens to waiters, as far as they go.
    fn hand_out(&self) {
        while self.available_tokens() > 0 && self.waiters.has_waiters() {
            self.borrowed.set(self.borrowed.get() + 1);
            self.waiters.notify_one();
        }
    }

    fn give_back(&self) {
        self.borrowed.set(self.borrowed.get() - 1);
        self.hand_out();
    }
}

impl<'a> Resource for &'a CapacityLimiter {
    type Taken = CapacityToken<'a>;

    fn take(self) -> Option<CapacityToken<'a>> {
        let token = CapacityToken { limiter: self };
        // Newcomers may have queued behind this waiter though there were tokens for them.
        self.hand_out();
        Some(token)
    }

    fn pass_on(self) {
        self.give_back();
    }
}

impl fmt::Debug for CapacityLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statistics = self.statistics();
        f.debug_struct("CapacityLimiter")
            .field("total_tokens", &statistics.total_tokens)
            .field("borrowed_tokens", &statistics.borrowed_tokens)
            .field("waiters", &statistics.waiters)
            .finish()
    }
}

/// A token of a [`CapacityLimiter`]; dropping it gives it back.
#[must_use = "the token goes back at once if it is dropped"]
pub struct CapacityToken<'a> {
    limiter: &'a CapacityLimiter,
}

impl Drop for CapacityToken<'_> {
    fn drop(&mut self) {
        self.limiter.give_back();
    }
}

impl fmt::Debug for CapacityToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapacityToken").finish_non_exhaustive()
    }
}

/// What [`CapacityLimiter::statistics`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CapacityLimiterStatistics {
    /// How many may be borrowed at a time.
    pub total_tokens: usize,
    /// How many are borrowed.
    pub borrowed_tokens: usize,
    /// Who waits, those included that are woken and have not run yet.
    pub waiters: usize,
    /// How many of these are woken and have not run yet. If that stays so, somebody keeps a future of this tool without
    /// polling it, and all behind it wait: a *futurelock*.
    pub woken: usize,
    /// How often somebody had to wait.
    pub waits: u64,
}
