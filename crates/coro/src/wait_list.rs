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
//!   as it is borrowed ([`Wait`]) or kept ([`RcWait`]). So a list whose only waiters are forgotten ones can be
//!   moved, swapped, used and dropped; dropping a list touches no node.
//! - **I4** A list and its nodes stay on one thread: the pointers make all types here `!Send` and `!Sync`.
//! - **I5** Foreign code (a waker's clone, wake and drop) runs only while the chains are whole, and no link
//!   is kept across it: a waker may drop any waiter but the one that is borrowed for its own poll.
#![expect(unsafe_code, reason = "an intrusive list links nodes that live in their owners' futures")]

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::marker::{PhantomData, PhantomPinned};
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

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
        Wait { list: ListRef::new(self), node: Node::new(), borrow: PhantomData }
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

pin_project! {
    /// Waits in a [`WaitList`]; made by [`WaitList::wait`].
    ///
    /// Once ready it stays ready, until [`rejoin`](Wait::rejoin).
    #[must_use = "futures do nothing unless polled"]
    pub struct Wait<'a> {
        list: ListRef,
        #[pin]
        node: Node,
        borrow: PhantomData<&'a WaitList>,
    }

    impl PinnedDrop for Wait<'_> {
        fn drop(this: Pin<&mut Self>) {
            this.leave();
        }
    }
}

impl Wait<'_> {
    /// Takes the waiter out of the list, as dropping it does.
    ///
    /// Returns true if it had been notified and had not resumed: then somebody else may be due a notification.
    /// Polled again, it starts anew at the end of the list.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::pin::pin;
    /// use asyncio_coro::wait_list::WaitList;
    /// use futures_lite::future;
    ///
    /// let list = WaitList::new();
    /// let (mut first, mut second) = (pin!(list.wait()), pin!(list.wait()));
    /// assert!(future::block_on(future::poll_once(first.as_mut())).is_none());
    /// assert!(future::block_on(future::poll_once(second.as_mut())).is_none());
    /// list.notify_one();
    /// // The first one gives up after all; the second one must not be left waiting.
    /// if first.as_mut().leave() {
    ///     list.notify_one();
    /// }
    /// future::block_on(second);
    /// ```
    #[inline]
    pub fn leave(self: Pin<&mut Self>) -> bool {
        let this = self.into_ref();
        // By I3 the list is there: this is a method of a `Wait<'a>`, inside 'a.
        this.project_ref().node.leave(this.list.get())
    }

    /// Makes a waiter that has resumed wait again *in its old place*, from the next poll on.
    ///
    /// For a tool whose waiters check again after a notification and may find that a newcomer was quicker.
    /// Does nothing unless the waiter has resumed.
    pub fn rejoin(self: Pin<&mut Self>) {
        self.node.rejoin();
    }

    /// Whether it is notified and has not resumed yet.
    #[inline]
    pub fn is_notified(&self) -> bool {
        self.node.is_notified()
    }
}

impl Future for Wait<'_> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.into_ref();
        this.project_ref().node.poll(this.list.get(), cx)
    }
}

impl fmt::Debug for Wait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("state", &self.node.state.get()).finish_non_exhaustive()
    }
}

pin_project! {
    /// A [`Wait`] that keeps the owner of the list alive instead of borrowing it.
    ///
    /// For handles that share their state in an `Rc` and whose futures have a name and no lifetime.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{pin::Pin, rc::Rc};
    /// use asyncio_coro::wait_list::{RcWait, WaitList};
    /// use futures_lite::future;
    ///
    /// struct Shared { value: u8, waiters: WaitList }
    /// let shared = Rc::new(Shared { value: 7, waiters: WaitList::new() });
    /// let mut wait = Box::pin(RcWait::new(shared.clone(), |shared| &shared.waiters));
    /// assert!(future::block_on(future::poll_once(wait.as_mut())).is_none());
    /// shared.waiters.notify_all();
    /// future::block_on(wait.as_mut());
    /// assert_eq!(wait.owner().value, 7);
    /// ```
    #[must_use = "futures do nothing unless polled"]
    pub struct RcWait<T> {
        // Before `owner`: it is dropped while the list is still there.
        #[pin]
        wait: Wait<'static>,
        owner: Rc<T>,
    }
}

impl<T> RcWait<T> {
    /// Makes a waiter for the list that `list` finds in `owner`; `list` is called once, here.
    pub fn new(owner: Rc<T>, list: impl FnOnce(&T) -> &WaitList) -> Self {
        // The `Wait` has no lifetime of its own; what it says, 'static, is never shown to anybody: `owner` is
        // kept for as long as it lives (I3), and what is inside an `Rc` with a second owner neither moves nor
        // is it lent mutably.
        let list = ListRef::new(list(&owner));
        RcWait { wait: Wait { list, node: Node::new(), borrow: PhantomData }, owner }
    }

    /// What owns the list.
    pub fn owner(&self) -> &Rc<T> {
        &self.owner
    }

    /// As [`Wait::leave`].
    #[inline]
    pub fn leave(self: Pin<&mut Self>) -> bool {
        self.project().wait.leave()
    }

    /// As [`Wait::rejoin`].
    pub fn rejoin(self: Pin<&mut Self>) {
        self.project().wait.rejoin();
    }

    /// As [`Wait::is_notified`].
    #[inline]
    pub fn is_notified(&self) -> bool {
        self.wait.is_notified()
    }
}

impl<T> Future for RcWait<T> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().wait.poll(cx)
    }
}

impl<T> fmt::Debug for RcWait<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wait.fmt(f)
    }
}

/// One waiter. All methods take the list that its holder knows, always the same one.
struct Node {
    state: Cell<State>,
    /// Its place; 0 before the first wait. Kept by `rejoin`.
    ticket: Cell<u64>,
    /// Whom to wake; there exactly in `Waiting` and `Waking`.
    waker: Cell<Option<Waker>>,
    previous: Cell<Option<Link>>,
    next: Cell<Option<Link>>,
    _pinned: PhantomPinned,
}

impl Node {
    const fn new() -> Self {
        Node {
            state: Cell::new(State::Idle),
            ticket: Cell::new(0),
            waker: Cell::new(None),
            previous: Cell::new(None),
            next: Cell::new(None),
            _pinned: PhantomPinned,
        }
    }

    #[inline]
    fn poll(self: Pin<&Self>, list: &WaitList, cx: &mut Context<'_>) -> Poll<()> {
        match self.state.get() {
            State::Idle => {
                self.waker.set(Some(cx.waker().clone()));
                let ticket = list.tickets.get() + 1;
                list.tickets.set(ticket);
                self.ticket.set(ticket);
                list.queue.push_back(self);
                self.joined(list)
            }
            State::Notified => self.resumed(list),
            _ => self.poll_rarer(list, cx),
        }
    }

    fn poll_rarer(self: Pin<&Self>, list: &WaitList, cx: &mut Context<'_>) -> Poll<()> {
        if self.state.get() == State::Waiting {
            if self.is_waker(cx.waker()) {
                return Poll::Pending;
            }
            let waker = cx.waker().clone();
            // The clone is foreign code and may just have notified us.
            if self.state.get() == State::Waiting {
                drop(self.waker.replace(Some(waker)));
                return Poll::Pending;
            }
        }
        match self.state.get() {
            State::Rejoining => {
                self.waker.set(Some(cx.waker().clone()));
                list.queue.insert_by_ticket(self);
                self.joined(list)
            }
            State::Waking => {
                list.waking.unlink(self);
                self.resumed(list)
            }
            State::Notified => self.resumed(list),
            State::Idle | State::Waiting | State::Resumed => Poll::Ready(()),
        }
    }

    #[inline]
    fn joined(&self, list: &WaitList) -> Poll<()> {
        self.state.set(State::Waiting);
        list.live.set(list.live.get() + 1);
        Poll::Pending
    }

    #[inline]
    fn resumed(&self, list: &WaitList) -> Poll<()> {
        self.state.set(State::Resumed);
        list.uncount_notified();
        drop(self.waker.take());
        Poll::Ready(())
    }

    #[inline]
    fn leave(self: Pin<&Self>, list: &WaitList) -> bool {
        match self.state.get() {
            State::Idle => false,
            State::Rejoining | State::Resumed => {
                self.state.set(State::Idle);
                false
            }
            _ => self.leave_list(list),
        }
    }

    fn leave_list(self: Pin<&Self>, list: &WaitList) -> bool {
        let was_waiting = self.state.get() == State::Waiting;
        if was_waiting {
            list.queue.unlink(self);
            list.live.set(list.live.get() - 1);
        } else {
            if self.state.get() == State::Waking {
                list.waking.unlink(self);
            }
            list.uncount_notified();
        }
        self.state.set(State::Idle);
        drop(self.waker.take());
        !was_waiting
    }

    fn rejoin(&self) {
        if self.state.get() == State::Resumed {
            self.state.set(State::Rejoining);
        }
    }

    fn is_notified(&self) -> bool {
        matches!(self.state.get(), State::Waking | State::Notified)
    }

    /// Whether the waker that is stored is `waker`. Comparing calls no foreign code.
    fn is_waker(&self, waker: &Waker) -> bool {
        let stored = self.waker.take();
        let same = stored.as_ref().is_some_and(|stored| stored.will_wake(waker));
        self.waker.set(stored);
        same
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In no chain, not counted.
    Idle,
    /// In `queue`.
    Waiting,
    /// Notified, in `waking`.
    Waking,
    /// Notified, in no chain.
    Notified,
    /// As `Idle`, and ready.
    Resumed,
    /// As `Idle`, with a ticket that the next poll keeps.
    Rejoining,
}

/// A pointer to a node that is in a chain.
#[derive(Clone, Copy)]
struct Link(NonNull<Node>);

impl Link {
    #[inline]
    fn to(node: Pin<&Node>) -> Self {
        Link(NonNull::from(node.get_ref()))
    }

    /// The node. To be called on a link that was just read from a chain; the result is for the moment (I5).
    #[inline]
    fn node<'x>(self) -> Pin<&'x Node> {
        // SAFETY: by I1 a link in a chain points to a node, which by I2 is only ever borrowed shared.
        let node = unsafe { self.0.as_ref() };
        // SAFETY: by I1 it was pinned when it was linked, and pinned things stay so.
        unsafe { Pin::new_unchecked(node) }
    }
}

impl PartialEq for Link {
    fn eq(&self, other: &Link) -> bool {
        self.0 == other.0
    }
}

/// A doubly linked list of nodes. Calls no foreign code.
struct Chain {
    head: Cell<Option<Link>>,
    tail: Cell<Option<Link>>,
}

impl Chain {
    const fn new() -> Self {
        Chain { head: Cell::new(None), tail: Cell::new(None) }
    }

    #[inline]
    fn push_back(&self, node: Pin<&Node>) {
        self.insert_before(node, None);
    }

    /// Puts `node` before the first one with a later ticket. Those it passes came back before it, too.
    fn insert_by_ticket(&self, node: Pin<&Node>) {
        let mut place = self.head.get();
        while let Some(link) = place {
            let other = link.node();
            if other.ticket.get() > node.ticket.get() {
                break;
            }
            place = other.next.get();
        }
        self.insert_before(node, place);
    }

    #[inline]
    fn insert_before(&self, node: Pin<&Node>, next: Option<Link>) {
        let link = Some(Link::to(node));
        let previous = match next {
            Some(next) => next.node().previous.replace(link),
            None => self.tail.replace(link),
        };
        match previous {
            Some(previous) => previous.node().next.set(link),
            None => self.head.set(link),
        }
        node.previous.set(previous);
        node.next.set(next);
    }

    #[inline]
    fn unlink(&self, node: Pin<&Node>) {
        let (previous, next) = (node.previous.take(), node.next.take());
        match previous {
            Some(previous) => previous.node().next.set(next),
            None => self.head.set(next),
        }
        match next {
            Some(next) => next.node().previous.set(previous),
            None => self.tail.set(previous),
        }
    }

    #[inline]
    fn pop_front<'x>(&self) -> Option<Pin<&'x Node>> {
        let node = self.head.get()?.node();
        self.unlink(node);
        Some(node)
    }
}

/// Where a waiter's list is.
#[derive(Clone, Copy)]
struct ListRef(NonNull<WaitList>);

impl ListRef {
    fn new(list: &WaitList) -> Self {
        ListRef(NonNull::from(list))
    }

    /// The list. To be called by a holder that is in use, or in its drop.
    #[inline]
    fn get<'x>(self) -> &'x WaitList {
        // SAFETY: by I3 the holder still borrows or keeps the list, which is only ever borrowed shared.
        unsafe { self.0.as_ref() }
    }
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
