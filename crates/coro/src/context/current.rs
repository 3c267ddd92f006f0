//! Which context is current on a thread.
//!
//! Three places may hold it: the root scope of the running task, what [`enter`] put here, and the thread itself. A task
//! step that begins inside an `enter` has its own context until it ends, and so it is noted in which task's step each
//! `enter` was made: it counts while that task is still the innermost. So a step costs nothing for it.
//!
//! A place that holds `None` is a context that is empty and that nobody has asked for yet; it is made when somebody does.
//! While no context exists on the thread, every place holds `None`.

use std::cell::Cell;

use super::Context;
use crate::node;
use crate::task::TaskInfo;

/// A place that holds the context of somebody; `None` while it is empty and nobody has asked for it.
pub(crate) type Slot = Cell<Option<Context>>;

thread_local! {
    /// Whether any context was ever made on this thread.
    static IN_USE: Cell<bool> = const { Cell::new(false) };
    /// The number of the context that was made last.
    static LAST_ID: Cell<u64> = const { Cell::new(0) };
    /// In which task's step the innermost `enter` was made; a null pointer for none.
    static ENTERED_IN: Cell<Option<*const TaskInfo>> = const { Cell::new(None) };
    /// What the innermost `enter` entered.
    static ENTERED: Slot = const { Cell::new(None) };
    /// The thread's own context.
    static THREAD: Slot = const { Cell::new(None) };
}

/// Whether any context was ever made on this thread.
#[inline]
pub(super) fn in_use() -> bool {
    IN_USE.get()
}

/// The number of a new context, by which contexts come into use.
pub(super) fn next_id() -> u64 {
    IN_USE.set(true);
    LAST_ID.set(LAST_ID.get() + 1);
    LAST_ID.get()
}

/// The current context, if anybody has asked for it yet.
#[inline]
pub(super) fn peek() -> Option<Context> {
    if !in_use() {
        return None;
    }
    with_slot(look).flatten()
}

/// The current context. `None` only while the values of the thread are being destroyed.
pub(super) fn materialise() -> Option<Context> {
    with_slot(get_or_make)
}

/// The context in `slot`, if anybody has asked for it yet.
pub(super) fn look(slot: &Slot) -> Option<Context> {
    let context = slot.take();
    slot.set(context.clone());
    context
}

/// The context in `slot`.
pub(crate) fn get_or_make(slot: &Slot) -> Context {
    let context = slot.take().unwrap_or_default();
    slot.set(Some(context.clone()));
    context
}

/// Calls `f`, which runs nobody else's code, with the place of the current context.
fn with_slot<R>(f: impl FnOnce(&Slot) -> R) -> Option<R> {
    let task = node::current_task_ptr();
    if ENTERED_IN.get() == Some(task) {
        ENTERED.try_with(f).ok()
    } else if task.is_null() {
        THREAD.try_with(f).ok()
    } else {
        node::with_current_context(f)
    }
}

/// Makes `context` the current one until the guard is dropped.
pub(super) fn enter(context: Context) -> Entered {
    let outer = ENTERED.try_with(|slot| slot.replace(Some(context))).ok().flatten();
    let outer_in = ENTERED_IN.replace(Some(node::current_task_ptr()));
    Entered { outer, outer_in }
}

/// A context is current until this is dropped.
pub(super) struct Entered {
    outer: Option<Context>,
    outer_in: Option<*const TaskInfo>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        ENTERED_IN.set(self.outer_in);
        let outer = self.outer.take();
        let left = ENTERED.try_with(|slot| slot.replace(outer));
        drop(left);
    }
}

/// Moves what the current place holds to `slot`.
#[cold]
pub(super) fn move_to(slot: &Slot) {
    if let Some(context) = with_slot(Cell::take).flatten() {
        let unwanted = slot.replace(Some(context));
        drop(unwanted);
    }
}
