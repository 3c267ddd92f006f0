//! `Wait` and `RcWait`: the futures that wait in a list.
#![expect(unsafe_code, reason = "a waiter finds its list by a pointer that its holder vouches for")]

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::WaitList;
use super::node::Node;

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

impl<'a> Wait<'a> {
    pub(super) fn new(list: &'a WaitList) -> Self {
        Wait { list: ListRef::new(list), node: Node::new(), borrow: PhantomData }
    }

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
    ///
    /// The owner must own the list: one that borrows it could outlive it.
    ///
    /// ```compile_fail,E0597
    /// # use std::{future::Future, rc::Rc, task::{Context, Waker}};
    /// # use asyncio_coro::wait_list::{RcWait, WaitList};
    /// struct Borrows<'a>(&'a WaitList);
    /// let mut wait;
    /// let list = WaitList::new(); // is dropped before `wait`
    /// wait = Box::pin(RcWait::new(Rc::new(Borrows(&list)), |owner| owner.0));
    /// let _ = wait.as_mut().poll(&mut Context::from_waker(Waker::noop()));
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
    pub fn new(owner: Rc<T>, list: impl FnOnce(&T) -> &WaitList) -> Self
    where
        // Without it `T` could borrow a list that dies before this: an `Rc` may be dropped when what its content
        // borrows is gone already.
        T: 'static,
    {
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
