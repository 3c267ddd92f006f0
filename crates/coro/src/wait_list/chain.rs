//! The links between the waiters of a list. See the invariants of the list.
#![expect(unsafe_code, reason = "an intrusive list links nodes that live in their owners' futures")]

use std::cell::Cell;
use std::pin::Pin;
use std::ptr::NonNull;

use super::node::Node;

/// A pointer to a node that is in a chain.
#[derive(Clone, Copy)]
pub(super) struct Link(NonNull<Node>);

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
pub(super) struct Chain {
    head: Cell<Option<Link>>,
    tail: Cell<Option<Link>>,
}

impl Chain {
    pub(super) const fn new() -> Self {
        Chain { head: Cell::new(None), tail: Cell::new(None) }
    }

    #[inline]
    pub(super) fn push_back(&self, node: Pin<&Node>) {
        self.insert_before(node, None);
    }

    /// Puts `node` before the first one with a later ticket. Those it passes came back before it, too.
    pub(super) fn insert_by_ticket(&self, node: Pin<&Node>) {
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
    pub(super) fn unlink(&self, node: Pin<&Node>) {
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
    pub(super) fn pop_front<'x>(&self) -> Option<Pin<&'x Node>> {
        let node = self.head.get()?.node();
        self.unlink(node);
        Some(node)
    }
}
