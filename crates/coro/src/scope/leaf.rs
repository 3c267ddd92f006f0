#![expect(unsafe_code, reason = "what is waited for is asked while nobody polls it")]
//! `LeafScope`: waiting for something that is cancelled by asking it, such as another task.
//!
//! A request to cancel is found by a scope when it is polled; but asyncio's goes down from task to awaited task at once, as
//! far as it gets, so that the innermost one unwinds in the next tick, however many await each other. So a scope that waits
//! for tasks lets them be found while it rests: see N8 of the tree.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::node::{CIRCLE, Leaf, Node, UNWINDING, UNWOUND, outside};
use crate::request::{Request, Wakers};
use crate::task::TaskRef;

/// Something that runs elsewhere and that a [`LeafScope`] waits for.
pub trait Join {
    /// What it ends with.
    type Output;

    /// Waits for its end. Not called again once it was ready.
    fn poll_join(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output>;

    /// Whether this end means that it was cancelled.
    fn is_cancelled(output: &Self::Output) -> bool;
}

/// A [`Join`] that knows how to hand a request down.
pub trait HandDown: Join {
    /// Asks it to end, because the waiting task is to be cancelled, with what that request said. Called once for each
    /// request, at the next poll, never while it is polled itself.
    fn hand_down(self: Pin<&mut Self>, message: Option<Arc<str>>);
}

/// A [`Join`] that waits for tasks: a request goes on down to them at once, whoever polls whom.
///
/// # Safety
///
/// Its functions only look, note something in a `Cell`, and call `found`: they poll, wake and drop nothing, and call nothing
/// that might, such as code of a user's.
pub unsafe trait JoinTasks: Join {
    /// Calls `found` with each task that has not ended, in the order in which they are to be asked.
    fn each_task(&self, found: &mut dyn FnMut(TaskRef));

    /// Those that [`each_task`](JoinTasks::each_task) has just found are about to be asked to unwind.
    fn asked(&self) {}
}

/// How a request goes on down.
enum Down<J> {
    /// When the scope is polled.
    Later(fn(Pin<&mut J>, Option<Arc<str>>)),
    /// When it is made; or when the scope is polled, if it could not be found then.
    AtOnce,
}

pin_project! {
    /// Waits for a [`Join`]; a request to cancel the waiting task is handed down to it, and waits for its end.
    ///
    /// If it was cancelled then, so is the waiting task. If it ends otherwise after all, the request is swallowed and the output
    /// delivered, as asyncio does when a task awaits another one that does not let itself be cancelled.
    ///
    /// # Cancel safety
    ///
    /// No output is lost to a request. Dropping the scope drops the [`Join`].
    ///
    /// ```
    /// use std::pin::Pin;
    /// use std::sync::Arc;
    /// use std::task::{Context, Poll};
    /// use asyncio_coro::scope::{HandDown, Join, LeafScope};
    ///
    /// struct Done(u32);
    /// impl Join for Done {
    ///     type Output = u32;
    ///     fn poll_join(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u32> {
    ///         Poll::Ready(self.0)
    ///     }
    ///     fn is_cancelled(_: &u32) -> bool {
    ///         false
    ///     }
    /// }
    /// impl HandDown for Done {
    ///     fn hand_down(self: Pin<&mut Self>, _message: Option<Arc<str>>) {}
    /// }
    /// # futures_lite::future::block_on(async {
    /// assert_eq!(LeafScope::new(Done(7)).await, 7);
    /// # });
    /// ```
    #[must_use = "futures do nothing unless awaited"]
    pub struct LeafScope<J> {
        #[pin]
        join: J,
        down: Down<J>,
        #[pin]
        leaf: Leaf,
        #[pin]
        node: Node,
    }

    impl<J> PinnedDrop for LeafScope<J> {
        fn drop(this: Pin<&mut Self>) {
            // Before what is waited for is dropped: N8.
            this.project().node.rise();
        }
    }
}

impl<J: HandDown> LeafScope<J> {
    /// Will wait for `join`.
    #[track_caller]
    pub fn new(join: J) -> Self {
        // SAFETY: there is nothing to keep.
        let leaf = unsafe { Leaf::new(None) };
        let node = Node::new(0, Location::caller());
        LeafScope { join, down: Down::Later(J::hand_down), leaf, node }
    }
}

impl<J: JoinTasks> LeafScope<J> {
    /// Will wait for the tasks of `join`.
    #[track_caller]
    pub fn of_tasks(join: J) -> Self {
        // SAFETY: it is called with what `rest` gives it, a `J`; and it keeps what a `JoinTasks` promises.
        let leaf = unsafe { Leaf::new(Some(each_task::<J>)) };
        LeafScope { join, down: Down::AtOnce, leaf, node: Node::new(0, Location::caller()) }
    }
}

/// # Safety
///
/// `join` must point to a `J`.
unsafe fn each_task<J: JoinTasks>(
    join: *const (),
    are_asked: bool,
    found: &mut dyn FnMut(TaskRef),
) {
    // SAFETY: the caller's promise.
    let join = unsafe { &*join.cast::<J>() };
    join.each_task(found);
    if are_asked {
        join.asked();
    }
}

impl<J> LeafScope<J> {
    /// What is waited for.
    pub fn get_ref(&self) -> &J {
        &self.join
    }
}

impl<J: Join> Future for LeafScope<J> {
    type Output = J::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<J::Output> {
        let mut this = self.project();
        let (node, leaf) = (this.node.as_ref(), this.leaf.as_ref());
        if node.base().has(UNWOUND) {
            node.idle(cx);
            return Poll::Pending;
        }
        let mut tried = leaf.handed.get();
        loop {
            node.rise();
            let polled = node.poll_inside(|| this.join.as_mut().poll_join(cx));
            if let Poll::Ready(output) = polled {
                return end::<J>(node, leaf.handed.get(), output, cx);
            }
            node.suspend(cx);
            if leaf.can_rest() {
                // SAFETY: all three are pinned in this scope, which calls `rise` before it touches the join again, or drops it.
                unsafe { node.rest_on(leaf, this.join.as_ref()) };
            }
            let Some(request) = node.requested() else { return Poll::Pending };
            node.unwind_for(Request { is_above: true, ..request });
            if node.base().has(CIRCLE) {
                node.rise();
                node.end_unwound();
                return Poll::Pending;
            }
            if request.epoch <= tried {
                return Poll::Pending;
            }
            tried = request.epoch;
            let message = node.message_of(request.epoch);
            match this.down {
                Down::Later(hand_down) => {
                    leaf.handed.set(request.epoch);
                    outside(|| hand_down(this.join.as_mut(), message));
                }
                Down::AtOnce => {
                    let mut wakers = Wakers::default();
                    wakers.ask_leaf(&leaf, request.epoch, message);
                    outside(|| wakers.wake());
                }
            }
            // It may be over at once, with no further wake.
        }
    }
}

/// What is waited for has ended, after the request `handed` was handed down, if that is not 0.
fn end<J: Join>(
    node: Pin<&Node>,
    handed: u64,
    output: J::Output,
    cx: &Context<'_>,
) -> Poll<J::Output> {
    // With nobody left to hand it down to, a request is met at the next suspension, unless this end is as good.
    let is_asked = handed != 0 || node.base().has(UNWINDING);
    if is_asked && J::is_cancelled(&output) {
        node.end_unwound();
        node.suspend(cx);
        outside(|| drop(output));
        return Poll::Pending;
    }
    if handed != 0 {
        node.swallow(handed);
    }
    node.finish();
    Poll::Ready(output)
}
