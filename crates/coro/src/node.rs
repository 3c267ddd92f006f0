#![expect(
    unsafe_code,
    reason = "the scope tree is an intrusive list of nodes pinned in their own futures"
)]
//! The tree of cancellation scopes: who polls whom, on this thread, now.
//!
//! A scope's [`Node`] lies inside the scope's own future, so that a scope allocates nothing. A task's outermost scope is a
//! [`Root`], which has no parent and no siblings and is therefore leaner: tasks are many. Both begin with a [`Base`]. This
//! module, with those below it, holds every pointer of the tree and nothing else; the rules of cancellation, in `request.rs`, use it through
//! iterators and contain no unsafe code. Rejected: `Rc` nodes (an allocation, and a list entry, for each `timeout` around a
//! future that is ready at once).
//!
//! # Invariants
//!
//! * **N1, pinned.** A pointer to a node or root is made only from a `Pin`, and both types are `!Unpin`. So the memory stays
//!   where it is, and valid, until `Drop` has run; a scope that is leaked by `mem::forget` stays valid for ever.
//! * **N2, linked means alive.** A node with `LINKED` set is in the child list of the node or root in its `parent` field,
//!   exactly once. `Drop` of a node takes it out of its parent's list; `Drop` of a node or root orphans all of its children
//!   (no parent, not linked). So a pointer in `parent` of a linked node, in `first_child`, `prev` or `next` is never dangling.
//! * **N3, current means on the stack.** `THREAD.scope` is null or points to a node or root whose poll is running below us on
//!   this thread's stack: only [`Node::poll_inside`], [`Root::step`] and `isolate` set it, and their guards restore it when
//!   they return or unwind. What is being polled is pinned and borrowed for that long, so it is alive. `THREAD.task` and
//!   `THREAD.waker` follow the same rule.
//! * **N4, on loan from the stack.** A node that is not `LINKED` has a non-null `parent` only while its own poll runs; the
//!   parent is then the scope that polls it, alive by N3.
//! * **N5, whole pointers.** A `*const Base` without the flag `ROOT` was cast from a pointer to the whole `Node`, one with
//!   it from a pointer to the whole `Root`; both are `repr(C)` and begin with the base. So it may be cast back.
//! * **N6, no foreign code while looking.** No poll, destructor, waker or reporter runs while a reference or iterator made
//!   from such a pointer lives, apart from those to what is on the stack. Wakers are moved out of the nodes, and called later.
//! * **N7, handles.** A [`Slot`] is null or points to the node of a pinned [`Held`] that shares it; `Drop` of that `Held`
//!   resets it.
//! * **N8, leaves.** `leaf` of a node is null, or points to the pinned [`Leaf`] of the `LeafScope` that the node lies in: set
//!   after a pending poll of what is waited for, reset before that is polled again, and before it is dropped. For that long
//!   the leaf's `join` points to what is waited for, which is pinned beside the node, and nobody has it by `&mut`.
//! * **N9, one thread.** Nodes and roots are neither `Send` nor `Sync` (they hold raw pointers), and `THREAD` is thread-local.

mod held;
mod leaf;
mod root;
mod thread;

use std::cell::Cell;
use std::marker::PhantomPinned;
use std::panic::Location;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Waker};

use crate::hooks::{self, SkipReason, TaskLabel};
use thread::THREAD;

pub(crate) use held::{HasSlot, Held, Slot};
pub(crate) use leaf::Leaf;
pub(crate) use root::Root;
pub(crate) use thread::{
    OLDEST_EPOCH, current_task_ptr, forget_current, fresh_epoch, newest_epoch, outside,
    outstanding, with_current_context, with_current_scope, with_current_task,
};

/// What every scope has, and nearly all that a task's root has.
pub(crate) struct Base {
    first_child: Cell<*const Node>,
    /// The epoch of the newest request addressed to this scope and not yet swallowed; 0 for none.
    pub(crate) request: Cell<u64>,
    /// The number of this scope's polls of its body. Only compared for equality, so that it may wrap.
    pub(crate) pass: Cell<u16>,
    /// Passes in a row in which a scope that is to unwind polled none of its live inner scopes.
    pub(crate) grace: Cell<u16>,
    flags: Cell<u32>,
}

/// A scope, pinned in its own future.
#[repr(C)]
pub(crate) struct Node {
    base: Base,
    /// The scope that polled this one last, while linked; see N2 and N4.
    parent: Cell<*const Base>,
    prev: Cell<*const Node>,
    next: Cell<*const Node>,
    /// What the last poll was given; taken when the scope is woken, stored again at its next poll.
    waker: Cell<Option<Waker>>,
    /// The epoch of a request from above that a sibling has swallowed but that is still this scope's; 0 for none.
    pub(crate) inherited: Cell<u64>,
    /// The epoch it unwinds for; while `CLEANING`, the newest epoch when the cleanup began, which masks all up to it.
    pub(crate) epoch: Cell<u64>,
    /// Where the scope was made: for reports.
    pub(crate) site: &'static Location<'static>,
    /// The parent's pass in which this scope was polled last.
    pub(crate) polled_in: Cell<u16>,
    /// The parent's pass in which this scope began, if that was while the parent unwound.
    pub(crate) born_in: Cell<u16>,
    /// What it waits for, if that can be asked without being polled.
    leaf: Cell<*const Leaf>,
    _pin: PhantomPinned,
}

/// The `Base` is a `Root`'s.
const ROOT: u32 = 1 << 0;
/// In its parent's list of children.
const LINKED: u32 = 1 << 1;
/// The body has been polled.
pub(crate) const STARTED: u32 = 1 << 2;
/// To unwind, or unwinding.
pub(crate) const UNWINDING: u32 = 1 << 3;
/// Has unwound for a request above itself: stays pending for ever, its parent must drop it.
pub(crate) const UNWOUND: u32 = 1 << 4;
/// Unwinds, or has unwound, for a request addressed above itself.
pub(crate) const ABOVE: u32 = 1 << 5;
/// The cleanup is what is being polled.
pub(crate) const CLEANING: u32 = 1 << 6;
/// The cleanup is to be cut as soon as its own inner scopes have unwound.
pub(crate) const CUTTING: u32 = 1 << 7;
/// Requests from above do not reach this scope.
pub(crate) const SHIELD: u32 = 1 << 8;
/// Woken by a parent that is to unwind, and not polled since.
pub(crate) const PROBED: u32 = 1 << 9;
/// Counted in `THREAD.outstanding`.
const COUNTED: u32 = 1 << 10;
/// Owes a cleanup once it has started.
pub(crate) const HAS_CLEANUP: u32 = 1 << 11;
/// Its skipped cleanup has been reported.
pub(crate) const REPORTED: u32 = 1 << 12;
/// A request was once addressed to this very scope.
pub(crate) const OWN: u32 = 1 << 13;
/// Has ended.
pub(crate) const DONE: u32 = 1 << 14;
/// The scope of a generator's body. What is in it when its owner drops it may still be cleaned up.
pub(crate) const GENERATOR: u32 = 1 << 15;
/// Asked to unwind, or its cleanup to be cut, once more while it did so.
pub(crate) const TWICE: u32 = 1 << 16;
/// Began while its parent unwound.
pub(crate) const LATE: u32 = 1 << 17;
/// Began after its parent had been asked twice: nobody waits for it.
pub(crate) const TOO_LATE: u32 = 1 << 18;
/// What it inherited was addressed above its parent.
pub(crate) const BEYOND: u32 = 1 << 19;
/// Waits for a task that, over however many others, waits for this one: it is not to wait any longer.
pub(crate) const CIRCLE: u32 = 1 << 20;

impl Base {
    const fn new(flags: u32) -> Self {
        Base {
            first_child: Cell::new(ptr::null()),
            request: Cell::new(0),
            pass: Cell::new(0),
            grace: Cell::new(0),
            flags: Cell::new(flags),
        }
    }

    /// Whether any of `flags` is set.
    #[inline]
    pub(crate) fn has(&self, flags: u32) -> bool {
        self.flags.get() & flags != 0
    }

    pub(crate) fn set(&self, flags: u32) {
        self.flags.set(self.flags.get() | flags);
    }

    pub(crate) fn clear(&self, flags: u32) {
        self.flags.set(self.flags.get() & !flags);
    }

    /// Keeps this scope's part of the thread's count of outstanding requests.
    fn count(&self, is_outstanding: bool) {
        if is_outstanding == self.has(COUNTED) {
            return;
        }
        THREAD.with(|thread| {
            let count = thread.outstanding.get();
            if is_outstanding {
                self.set(COUNTED);
                thread.outstanding.set(count + 1);
            } else {
                self.clear(COUNTED);
                thread.outstanding.set(count - 1);
            }
        });
    }

    pub(crate) fn children(&self) -> Children<'_> {
        // SAFETY: by N2, null or a live node.
        Children { next: unsafe { self.first_child.get().as_ref() } }
    }

    /// Every scope below this one, each before its own children.
    pub(crate) fn descendants(&self) -> Descendants<'_> {
        Descendants { top: self, next: self.children().next }
    }

    /// Moves out the wakers of every scope below this one, to be woken in the order in which the scopes were linked.
    pub(crate) fn take_wakers(&self, into: &mut Vec<Waker>) {
        let from = into.len();
        into.extend(self.descendants().filter_map(Node::take_waker));
        into[from..].reverse();
    }

    /// Cuts all children off; they are nobody's from then on.
    pub(crate) fn orphan_children(&self) {
        let mut next = self.first_child.replace(ptr::null());
        // SAFETY: by N2, null or a live node.
        while let Some(child) = unsafe { next.as_ref() } {
            next = child.next.get();
            child.forget_links();
        }
    }
}

impl Node {
    pub(crate) const fn new(flags: u32, site: &'static Location<'static>) -> Self {
        Node {
            base: Base::new(flags),
            parent: Cell::new(ptr::null()),
            prev: Cell::new(ptr::null()),
            next: Cell::new(ptr::null()),
            waker: Cell::new(None),
            inherited: Cell::new(0),
            epoch: Cell::new(0),
            site,
            polled_in: Cell::new(0),
            born_in: Cell::new(0),
            leaf: Cell::new(ptr::null()),
            _pin: PhantomPinned,
        }
    }

    /// Polls the body or the cleanup: runs `poll` with this scope as the current one, below the scope that polls it now.
    ///
    /// When `poll` panics the scope has ended: nobody may poll it again.
    #[inline]
    pub(crate) fn poll_inside<R>(self: Pin<&Self>, poll: impl FnOnce() -> R) -> R {
        let this = self.get_ref();
        let outer = THREAD.with(|thread| thread.scope.replace(self.as_base()));
        let mut inside = Inside { node: this, outer, panicked: true };
        self.adopt(outer);
        this.base.set(STARTED);
        this.base.pass.set(this.base.pass.get().wrapping_add(1));
        let result = poll();
        inside.panicked = false;
        result
    }

    /// After a pending poll: links the scope to the one that polls it, and keeps the waker. Says whether the waker is a new one.
    #[inline]
    pub(crate) fn suspend(self: Pin<&Self>, cx: &Context<'_>) -> bool {
        if !self.base.has(LINKED) {
            self.link();
        }
        let old = self.waker.take();
        if old.as_ref().is_some_and(|old| old.will_wake(cx.waker())) {
            self.waker.set(old);
            return false;
        }
        drop(old);
        self.waker.set(Some(cx.waker().clone()));
        true
    }

    /// A poll in which there is nothing to poll: the scope has unwound, and whoever polls it now must learn of it.
    pub(crate) fn idle(self: Pin<&Self>, cx: &Context<'_>) {
        self.poll_inside(|| ());
        self.suspend(cx);
    }

    /// Nobody polls the scope for now: it leaves the tree, and whoever polled it need not wait for it.
    pub(crate) fn rest(&self) {
        self.unlink();
        drop(self.waker.take());
    }

    /// Whether the scope is linked to the one that is being polled now.
    pub(crate) fn is_below_current(&self) -> bool {
        let current = THREAD.with(|thread| thread.scope.get());
        self.base.has(LINKED) && ptr::eq(self.parent.get(), current)
    }

    /// Makes `current`, the scope that polls us now, our parent for the length of the poll.
    fn adopt(self: Pin<&Self>, current: *const Base) {
        if self.base.has(LINKED) && self.parent.get() != current {
            self.unlink();
        }
        self.parent.set(current);
        // SAFETY: by N3, null or being polled.
        if let Some(current) = unsafe { current.as_ref() } {
            self.polled_in.set(current.pass.get());
            if !self.base.has(STARTED) && current.has(UNWINDING) {
                self.begin_late(current);
            }
        }
        self.base.clear(PROBED);
    }

    /// The first poll, by a scope that may be unwinding: one whose cleanup runs undisturbed is not.
    #[cold]
    fn begin_late(&self, current: &Base) {
        if current.has(CLEANING) && !current.has(CUTTING) {
            return;
        }
        self.born_in.set(current.pass.get());
        // A second request of this very pass is not known to the parent before it has been polled.
        let is_asked_again = match self.parent() {
            Some(Above::Node(parent)) if !parent.base.has(CLEANING) => {
                parent.look_up().is_some_and(|request| request.epoch > parent.epoch.get())
            }
            _ => false,
        };
        let is_too_late = is_asked_again || current.has(TWICE);
        self.base.set(if is_too_late { LATE | TOO_LATE } else { LATE });
    }

    fn link(self: Pin<&Self>) {
        let current = THREAD.with(|thread| thread.scope.get());
        // SAFETY: by N3, null or being polled.
        let Some(parent) = (unsafe { current.as_ref() }) else { return };
        let this = ptr::from_ref(self.get_ref());
        let first = parent.first_child.replace(this);
        // SAFETY: by N2, null or a live node.
        if let Some(first) = unsafe { first.as_ref() } {
            first.prev.set(this);
        }
        self.next.set(first);
        self.parent.set(current);
        self.base.set(LINKED);
    }

    /// Leaves the parent's list, if it is in one.
    pub(crate) fn unlink(&self) {
        if !self.base.has(LINKED) {
            return;
        }
        let (prev, next) = (self.prev.get(), self.next.get());
        // SAFETY: by N2, null or a live node.
        match unsafe { prev.as_ref() } {
            Some(prev) => prev.next.set(next),
            None => {
                // SAFETY: by N2, a linked node's parent is alive.
                let parent = unsafe { &*self.parent.get() };
                parent.first_child.set(next);
            }
        }
        // SAFETY: by N2, null or a live node.
        if let Some(next) = unsafe { next.as_ref() } {
            next.prev.set(prev);
        }
        self.forget_links();
    }

    fn forget_links(&self) {
        self.parent.set(ptr::null());
        self.prev.set(ptr::null());
        self.next.set(ptr::null());
        self.base.clear(LINKED);
    }

    fn as_base(self: Pin<&Self>) -> *const Base {
        // Cast from the whole node, not borrowed from its field: N5.
        ptr::from_ref(self.get_ref()).cast()
    }

    #[inline]
    pub(crate) fn base(&self) -> &Base {
        &self.base
    }

    /// The scope above this one.
    pub(crate) fn parent(&self) -> Option<Above<'_>> {
        // SAFETY: null, or alive by N2 (linked) or N4 (not linked).
        unsafe { Above::from_pointer(self.parent.get()) }
    }

    pub(crate) fn take_waker(&self) -> Option<Waker> {
        self.waker.take()
    }

    /// Brings the thread's count up to date after a change of `request`, `inherited` or the flags.
    pub(crate) fn recount(&self) {
        let is_asked = self.base.request.get() != 0 || self.inherited.get() != 0;
        self.base.count(is_asked || self.base.has(UNWINDING | UNWOUND));
    }

    /// The task this scope is part of, by its name.
    pub(crate) fn task_label(&self) -> Option<TaskLabel> {
        self.root().map(|root| root.info().label())
    }

    /// What the request of this epoch said, if it was made on the task and is its newest.
    pub(crate) fn message_of(&self, epoch: u64) -> Option<Arc<str>> {
        self.root()?.info().message_of(epoch)
    }

    /// The end of the chain.
    fn root(&self) -> Option<&Root> {
        let mut above = self.parent()?;
        loop {
            match above {
                Above::Root(root) => return Some(root),
                Above::Node(node) => above = node.parent()?,
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let report = self.skipped(SkipReason::Dropped);
        self.unlink();
        self.base.orphan_children();
        self.base.count(false);
        if let Some(report) = report {
            hooks::report(report);
        }
    }
}

/// Ends a poll of [`Node::poll_inside`].
struct Inside<'a> {
    node: &'a Node,
    outer: *const Base,
    panicked: bool,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        THREAD.with(|thread| thread.scope.set(self.outer));
        if !self.node.base.has(LINKED) {
            self.node.parent.set(ptr::null());
        }
        if self.panicked {
            self.node.finish();
        }
    }
}

/// One scope on the way up.
#[derive(Clone, Copy)]
pub(crate) enum Above<'a> {
    Node(&'a Node),
    Root(&'a Root),
}

impl<'a> Above<'a> {
    /// The scope of which `base` is the base; `None` if it is null.
    ///
    /// # Safety
    ///
    /// A `base` that is not null must be valid for `'a`.
    unsafe fn from_pointer(base: *const Base) -> Option<Self> {
        // SAFETY: as promised.
        let is_root = unsafe { base.as_ref() }?.has(ROOT);
        if is_root {
            // SAFETY: as promised, and by N5 it is the base of a root.
            return Some(Above::Root(unsafe { &*base.cast() }));
        }
        // SAFETY: as promised, and by N5 it is the base of a node.
        Some(Above::Node(unsafe { &*base.cast() }))
    }

    pub(crate) fn base(self) -> &'a Base {
        match self {
            Above::Node(node) => &node.base,
            Above::Root(root) => root.base(),
        }
    }

    pub(crate) fn parent(self) -> Option<Above<'a>> {
        match self {
            Above::Node(node) => node.parent(),
            Above::Root(_) => None,
        }
    }
}

/// The scopes linked to one, newest first.
#[derive(Clone)]
pub(crate) struct Children<'a> {
    next: Option<&'a Node>,
}

impl<'a> Iterator for Children<'a> {
    type Item = &'a Node;

    fn next(&mut self) -> Option<&'a Node> {
        let node = self.next?;
        // SAFETY: by N2, null or a live node; by N6, nothing was dropped since `node` was found.
        self.next = unsafe { node.next.get().as_ref() };
        Some(node)
    }
}

/// Every scope below one; takes no stack and no memory.
pub(crate) struct Descendants<'a> {
    top: &'a Base,
    next: Option<&'a Node>,
}

impl<'a> Iterator for Descendants<'a> {
    type Item = &'a Node;

    fn next(&mut self) -> Option<&'a Node> {
        let node = self.next?;
        self.next = node.base.children().next.or_else(|| {
            let mut at = node;
            loop {
                // SAFETY: by N2, null or a live node; by N6, nothing was dropped since `at` was found.
                if let Some(sibling) = unsafe { at.next.get().as_ref() } {
                    return Some(sibling);
                }
                match at.parent()? {
                    Above::Node(parent) if !ptr::eq(&parent.base, self.top) => at = parent,
                    _ => return None,
                }
            }
        });
        Some(node)
    }
}
