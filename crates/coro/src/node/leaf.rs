#![expect(unsafe_code, reason = "what a scope waits for is asked while nobody polls it")]
//! What a scope waits for, as a request to cancel finds it on its way down. See N8 of the tree.

use std::cell::Cell;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::ptr;

use super::Node;
use crate::task::TaskRef;

/// Beside the node of a scope that waits for something: how a request goes on down.
pub(crate) struct Leaf {
    /// The newest request handed down; 0 for none.
    pub(crate) handed: Cell<u64>,
    /// What is waited for while it rests; else null.
    join: Cell<*const ()>,
    /// `None` if it must be polled to be asked.
    each: Option<Each>,
    _pin: PhantomPinned,
}

/// Calls its last argument with each task waited for that has not ended, in the order in which they are to be asked; the
/// second says whether they are.
///
/// Its first argument must be the join of the leaf. It calls no foreign code.
pub(crate) type Each = unsafe fn(*const (), bool, &mut dyn FnMut(TaskRef));

impl Leaf {
    /// # Safety
    ///
    /// `each` must keep what its type says, for the joins given to [`Node::rest_on`] with this leaf.
    pub(crate) const unsafe fn new(each: Option<Each>) -> Self {
        Leaf { handed: Cell::new(0), join: Cell::new(ptr::null()), each, _pin: PhantomPinned }
    }

    /// Adds each task waited for, the last one first. If all have ended nobody takes the request, and it is not handed down.
    pub(crate) fn hand_down(&self, epoch: u64, tasks: &mut Vec<TaskRef>) {
        let before = tasks.len();
        self.each(true, tasks);
        if tasks.len() > before {
            self.handed.set(epoch);
        }
    }

    /// Adds each task waited for, the last one first.
    pub(crate) fn look(&self, tasks: &mut Vec<TaskRef>) {
        self.each(false, tasks);
    }

    fn each(&self, are_asked: bool, tasks: &mut Vec<TaskRef>) {
        let join = self.join.get();
        let Some(each) = self.each.filter(|_| !join.is_null()) else { return };
        let before = tasks.len();
        // SAFETY: by N8, `join` is the join of this leaf, and nobody has it by `&mut`.
        unsafe { each(join, are_asked, &mut |task| tasks.push(task)) };
        tasks[before..].reverse();
    }

    /// Whether it can be asked without being polled.
    pub(crate) fn can_rest(&self) -> bool {
        self.each.is_some()
    }
}

impl Node {
    /// What this scope waits for can be asked through `leaf` from now on, until [`Node::rise`].
    ///
    /// # Safety
    ///
    /// `leaf` and `join` must be pinned beside this node, and [`Node::rise`] be called before one of them is moved, dropped, or
    /// used by `&mut`.
    pub(crate) unsafe fn rest_on<J>(&self, leaf: Pin<&Leaf>, join: Pin<&J>) {
        leaf.join.set(ptr::from_ref(join.get_ref()).cast());
        self.leaf.set(ptr::from_ref(leaf.get_ref()));
    }

    /// What this scope waits for is about to be polled or dropped.
    #[inline]
    pub(crate) fn rise(&self) {
        if let Some(leaf) = self.leaf() {
            leaf.join.set(ptr::null());
            self.leaf.set(ptr::null());
        }
    }

    /// What it waits for, if that can be asked without being polled. To be looked at only: N6.
    #[inline]
    pub(crate) fn leaf(&self) -> Option<&Leaf> {
        // SAFETY: by N8, null or alive.
        unsafe { self.leaf.get().as_ref() }
    }
}
