#![expect(unsafe_code, reason = "a handle reaches a scope that is pinned elsewhere")]
//! A scope with a handle that reaches it while it runs. See N7 of the tree.

use std::cell::Cell;
use std::panic::Location;
use std::pin::Pin;
use std::ptr;
use std::rc::Rc;

use pin_project_lite::pin_project;

use super::Node;

/// Where the handle of a scope finds the scope while it runs.
pub(crate) struct Slot(Cell<*const Node>);

/// What the handle of a scope shares with it.
pub(crate) trait HasSlot {
    fn slot(&self) -> &Slot;
}

pin_project! {
    /// A node that a handle can reach.
    pub(crate) struct Held<S: HasSlot> {
        #[pin]
        node: Node,
        shared: Rc<S>,
    }

    impl<S: HasSlot> PinnedDrop for Held<S> {
        fn drop(this: Pin<&mut Self>) {
            let slot = &this.shared.slot().0;
            if ptr::eq(slot.get(), &this.node) {
                slot.set(ptr::null());
            }
        }
    }
}

impl<S: HasSlot> Held<S> {
    pub(crate) fn new(site: &'static Location<'static>, shared: Rc<S>) -> Self {
        Held { node: Node::new(0, site), shared }
    }

    /// From now on the handle reaches this node. False when it reaches another one that is still there.
    pub(crate) fn attach(self: Pin<&Self>) -> bool {
        let slot = &self.shared.slot().0;
        if !slot.get().is_null() {
            return false;
        }
        slot.set(ptr::from_ref(self.node().get_ref()));
        true
    }

    /// The scope has ended.
    pub(crate) fn detach(self: Pin<&Self>) {
        self.shared.slot().0.set(ptr::null());
    }

    pub(crate) fn node(self: Pin<&Self>) -> Pin<&Node> {
        self.project_ref().node
    }

    pub(crate) fn shared(self: Pin<&Self>) -> &S {
        &self.get_ref().shared
    }
}

impl Slot {
    pub(crate) const fn new() -> Self {
        Slot(Cell::new(ptr::null()))
    }

    /// Calls `change` with the scope, while it runs. `change` calls no foreign code: N6.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&Node) -> R) -> Option<R> {
        // SAFETY: null, or a node whose `Held` is yet to be dropped, by N7.
        unsafe { self.0.get().as_ref() }.map(change)
    }
}
