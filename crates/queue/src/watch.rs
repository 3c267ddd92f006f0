//! A value that changes, of which only the latest counts.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use asyncio_coro::wait_list::WaitList;

/// The latest value of something, and a way to wait for the next one.
///
/// Values in between are skipped by those who are slow. Whoever follows it keeps the [`Version`] that it has
/// seen; so there is nothing to register, and nothing that a cancelled task leaves behind.
///
/// # Examples
///
/// ```
/// use asyncio_queue::Watch;
/// use futures_lite::future::{block_on, zip};
///
/// let level = Watch::new(0);
/// let follow = async {
///     let mut seen = level.version();
///     while *level.get() < 3 {
///         seen = level.changed(seen).await;
///     }
/// };
/// let drive = async {
///     for value in 1..=3 {
///         level.set(value);
///     }
/// };
/// block_on(zip(follow, drive));
/// ```
#[doc(alias("latest", "signal"))]
pub struct Watch<T> {
    value: RefCell<Rc<T>>,
    version: Cell<u64>,
    waiters: WaitList,
}

impl<T> Watch<T> {
    /// Makes one with a first value.
    pub fn new(value: T) -> Self {
        Watch {
            value: RefCell::new(Rc::new(value)),
            version: Cell::new(0),
            waiters: WaitList::new(),
        }
    }

    /// Replaces the value, equal or not, and wakes all who wait for a change.
    #[doc(alias("send", "publish"))]
    pub fn set(&self, value: T) {
        let former = self.value.replace(Rc::new(value));
        self.version.set(self.version.get() + 1);
        self.waiters.notify_all();
        // Last: what it does in its drop finds the new value.
        drop(former);
    }

    /// The latest value. It stays as it is, whatever comes after it.
    #[doc(alias = "borrow")]
    pub fn get(&self) -> Rc<T> {
        self.value.borrow().clone()
    }

    /// Says which value is the latest.
    pub fn version(&self) -> Version {
        Version(self.version.get())
    }

    /// Waits until there is a later value than the one of `seen`, and returns the version of the latest.
    ///
    /// # Cancel safety
    ///
    /// Cancelling it changes nothing for anybody else, and misses nothing: ask again with the same `seen`.
    pub async fn changed(&self, seen: Version) -> Version {
        while self.version() == seen {
            self.waiters.wait().await;
        }
        self.version()
    }

    /// Waits until the latest value is one for which `predicate` holds, and returns it; at once if it is.
    ///
    /// # Cancel safety
    ///
    /// Cancelling it changes nothing for anybody else.
    ///
    /// # Examples
    ///
    /// ```
    /// # use asyncio_queue::Watch;
    /// let watch = Watch::new(7);
    /// assert_eq!(*futures_lite::future::block_on(watch.wait_for(|value| *value > 5)), 7);
    /// ```
    pub async fn wait_for(&self, mut predicate: impl FnMut(&T) -> bool) -> Rc<T> {
        loop {
            let (version, value) = (self.version(), self.get());
            if predicate(&value) {
                return value;
            }
            drop(value);
            self.changed(version).await;
        }
    }

    /// Numbers for an observer.
    ///
    /// ```
    /// # use asyncio_queue::Watch;
    /// assert_eq!(Watch::new(()).statistics().changes, 0);
    /// ```
    pub fn statistics(&self) -> WatchStatistics {
        WatchStatistics {
            changes: self.version.get(),
            waiters: self.waiters.len(),
            waits: self.waiters.statistics().waits,
        }
    }
}

impl<T> fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WatchStatistics { changes, waiters, waits: _ } = self.statistics();
        f.debug_struct("Watch")
            .field("changes", &changes)
            .field("waiters", &waiters)
            .finish_non_exhaustive()
    }
}

/// Which of the values of a [`Watch`] somebody has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(u64);

/// What [`Watch::statistics`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchStatistics {
    /// How often the value was replaced.
    pub changes: u64,
    /// Who waits for a change, those included that are woken and have not run yet.
    pub waiters: usize,
    /// How often somebody had to wait.
    pub waits: u64,
}
