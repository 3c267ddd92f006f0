//! The waiter list under every loop-local tool: intrusive, pinned, first in first out, without an allocation.
//!
//! A [`Wait`] is a future that carries its own list node. It joins the list at the first poll that finds
//! nothing to take, and leaves it when it resumes or is dropped. The list lives inside the tool (a lock, a
//! queue, a future) and knows nothing of it: what a notification *means* is the tool's business, and so is
//! passing on the notification of a waiter that was dropped before it could resume ([`Wait::leave`]).
//!
//! A waiter goes through these states:
//!
//! ```text
//!            1              2 notify_one                5
//!   Idle ────────► Waiting ─────────────► Notified ───────────► Resumed
//!                  ▲  │  3 notify_all        ▲ 4          ▲       │
//!                  │  └────────► Waking ─────┴────────────┘ 5     │
//!                  └──────────────────────────────────────────────┘ 6
//!
//!   1 first poll   2, 3 notified   4 its waker is called   5 next poll   6 rejoin, and the poll after it
//!   `leave` and drop go from each state back to Idle.
//! ```
//!
//! `notify_all` first moves every waiter to the chain of those to be woken, and only then calls wakers. So
//! whatever a waker does (poll, drop, notify, wait anew), each of them is notified exactly once, and a waiter
//! that comes back during the call is not notified again by it.
//!
//! # Invariants
//!
//! - **I1** A node gets into a chain only by way of `Pin<&Node>`. Its memory therefore stays valid until its
//!   holder's `Drop` has run, and that `Drop` takes it out of its chain. A holder that is forgotten
//!   (`mem::forget`) keeps its memory for ever. Either way a link that is found in a chain points to a node.
//! - **I2** Everything in a node is `'static` and in a `Cell`; nodes are touched only through shared
//!   references. `Node` is `!Unpin`, so that a `&mut` to its holder claims no exclusive access to it.
//! - **I3** Nodes point to nodes, never to a list. The holder of a node knows the list, and only for as long
//!   as it is borrowed ([`Wait`]) or kept in an `Rc` of something `'static` ([`RcWait`]). So a list whose only
//!   waiters are forgotten ones can be moved, swapped, used and dropped; dropping a list touches no node.
//! - **I4** A list and its nodes stay on one thread: the pointers make all types here `!Send` and `!Sync`.
//! - **I5** Foreign code (a waker's clone, wake and drop) runs only while the chains are whole, and no link
//!   is kept across it: a waker may drop any waiter but the one that is borrowed for its own poll.

mod chain;
mod node;
mod wait;

use std::cell::Cell;
use std::fmt;
use std::task::Waker;

use chain::Chain;
use node::State;

pub use wait::{RcWait, Wait};

/// A first-in-first-out list of waiting futures.
///
/// It stays on one thread (`!Send`), allocates nothing, and may be moved, also into and out of a tool, as long
/// as nobody waits. Each waiter is counted from the poll that registers it until it resumes or is dropped,
/// *also while it is already notified*: asyncio's rule that newcomers queue behind a woken waiter needs that.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use asyncio_coro::wait_list::WaitList;
/// use futures_lite::future;
///
/// let (list, ready) = (WaitList::new(), Cell::new(false));
/// let consumer = async {
///     while !ready.get() {
///         list.wait().await;
///     }
/// };
/// let producer = async {
///     ready.set(true);
///     assert!(list.notify_one());
/// };
/// future::block_on(future::zip(consumer, producer));
/// assert!(list.is_empty());
/// ```
pub struct WaitList {
    /// Those that wait, in the order of their tickets.
    queue: Chain,
    /// Those that `notify_all` has notified and whose waker it has not yet called.
    waking: Chain,
    /// Waiters in any state from `Waiting` to `Notified`.
    live: Cell<usize>,
    /// How many of `live` have been notified.
    notified: Cell<usize>,
    /// The last ticket given out; tickets start at 1.
    tickets: Cell<u64>,
}

impl WaitList {
    /// Makes an empty list.
    ///
    /// ```
    /// # use asyncio_coro::wait_list::WaitList;
    /// assert!(WaitList::new().is_empty());
    /// ```
    pub const fn new() -> Self {
        WaitList {
            queue: Chain::new(),
            waking: Chain::new(),
            live: Cell::new(0),
            notified: Cell::new(0),
            tickets: Cell::new(0),
        }
    }

    /// Returns a future that ends at its notification. It joins the end of the list at its first poll.
    ///
    /// # Cancel safety
    ///
    /// A dropped [`Wait`] is out of the list. If it had been notified but had not yet resumed, that
    /// notification is gone: a tool for which that matters calls [`Wait::leave`] and passes it on.
    /// A *forgotten* one (`mem::forget`) stays a waiter that never resumes; its notification is lost.
    #[inline]
    pub fn wait(&self) -> Wait<'_> {
        Wait::new(self)
    }

    /// Notifies the first waiter that is not notified yet; false if there is none.
    ///
    /// Its waker is called before this returns.
    #[inline]
    pub fn notify_one(&self) -> bool {
        let Some(node) = self.queue.pop_front() else { return false };
        node.state.set(State::Notified);
        self.notified.set(self.notified.get() + 1);
        wake(node.waker.take());
        true
    }

    /// Notifies every waiter that is not notified yet, in order, and returns how many they were.
    ///
    /// All of them count as notified before the first waker is called. One that is dropped before its turn is
    /// not woken any more.
    pub fn notify_all(&self) -> usize {
        let mut count = 0;
        while let Some(node) = self.queue.pop_front() {
            node.state.set(State::Waking);
            self.waking.push_back(node);
            count += 1;
        }
        self.notified.set(self.notified.get() + count);
        if count > 0 {
            // A waker that panics must not make the others hang: the guard's drop goes on with them.
            drop(WakeAll(self));
        }
        count
    }

    /// Whether `notify_one` would find somebody.
    #[inline]
    pub fn has_waiters(&self) -> bool {
        self.notified.get() < self.live.get()
    }

    /// How many wait, those included that are notified and have not resumed yet.
    #[inline]
    pub fn len(&self) -> usize {
        self.live.get()
    }

    /// Whether nobody waits, not even a notified waiter that has not resumed yet.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.live.get() == 0
    }

    /// How many are notified and have not resumed yet.
    #[inline]
    pub fn notified(&self) -> usize {
        self.notified.get()
    }

    /// Numbers for an observer. Reading them costs nothing to anybody else.
    ///
    /// ```
    /// # use asyncio_coro::wait_list::WaitList;
    /// let list = WaitList::new();
    /// assert_eq!(list.statistics().waiting, 0);
    /// ```
    pub fn statistics(&self) -> WaitListStatistics {
        WaitListStatistics {
            waiting: self.live.get() - self.notified.get(),
            notified: self.notified.get(),
            waits: self.tickets.get(),
        }
    }

    /// A waiter leaves `Waking` or `Notified`.
    #[inline]
    fn uncount_notified(&self) {
        self.notified.set(self.notified.get() - 1);
        self.live.set(self.live.get() - 1);
    }
}

impl Default for WaitList {
    fn default() -> Self {
        WaitList::new()
    }
}

impl fmt::Debug for WaitList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WaitListStatistics { waiting, notified, waits: _ } = self.statistics();
        f.debug_struct("WaitList").field("waiting", &waiting).field("notified", &notified).finish()
    }
}

/// What [`WaitList::statistics`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitListStatistics {
    /// Waiters that nobody has notified yet.
    pub waiting: usize,
    /// Waiters that are notified and have not resumed yet.
    pub notified: usize,
    /// How often somebody had to wait, since the list was made.
    pub waits: u64,
}

/// Calls the wakers of all in `waking` when it is dropped, also when one of them panics.
struct WakeAll<'a>(&'a WaitList);

impl Drop for WakeAll<'_> {
    fn drop(&mut self) {
        while let Some(node) = self.0.waking.pop_front() {
            node.state.set(State::Notified);
            let waker = node.waker.take();
            let others = WakeAll(self.0);
            wake(waker);
            std::mem::forget(others);
        }
    }
}

/// The one place where a waker is called.
#[inline]
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
