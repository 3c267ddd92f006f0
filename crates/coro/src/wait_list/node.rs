//! One waiter of a list, and the states it goes through. See the picture and the invariants of the list.

use std::cell::Cell;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::WaitList;
use super::chain::Link;

/// One waiter. All methods take the list that its holder knows, always the same one.
pub(super) struct Node {
    pub(super) state: Cell<State>,
    /// Its place; 0 before the first wait. Kept by `rejoin`.
    pub(super) ticket: Cell<u64>,
    /// Whom to wake; there exactly in `Waiting` and `Waking`.
    pub(super) waker: Cell<Option<Waker>>,
    pub(super) previous: Cell<Option<Link>>,
    pub(super) next: Cell<Option<Link>>,
    _pinned: PhantomPinned,
}

impl Node {
    pub(super) const fn new() -> Self {
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
    pub(super) fn poll(self: Pin<&Self>, list: &WaitList, cx: &mut Context<'_>) -> Poll<()> {
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
    pub(super) fn leave(self: Pin<&Self>, list: &WaitList) -> bool {
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

    pub(super) fn rejoin(&self) {
        if self.state.get() == State::Resumed {
            self.state.set(State::Rejoining);
        }
    }

    pub(super) fn is_notified(&self) -> bool {
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
pub(super) enum State {
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
