//! `LeafScope`: waiting for something that is cancelled by asking it, such as another task.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::node::{Node, UNWOUND, outside};
use crate::request::Request;

/// Something that runs elsewhere and that a [`LeafScope`] waits for.
pub trait Join {
    /// What it ends with.
    type Output;

    /// Waits for its end. Not called again once it was ready.
    fn poll_join(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output>;

    /// Asks it to end, because the waiting task is to be cancelled, with what that request said. Called once for each
    /// request, never while it is polled.
    fn hand_down(self: Pin<&mut Self>, message: Option<Arc<str>>);

    /// Whether this end means that it was cancelled.
    fn is_cancelled(output: &Self::Output) -> bool;
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
    /// use asyncio_coro::scope::{Join, LeafScope};
    ///
    /// struct Done(u32);
    /// impl Join for Done {
    ///     type Output = u32;
    ///     fn poll_join(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u32> {
    ///         Poll::Ready(self.0)
    ///     }
    ///     fn hand_down(self: Pin<&mut Self>, _message: Option<Arc<str>>) {}
    ///     fn is_cancelled(_: &u32) -> bool {
    ///         false
    ///     }
    /// }
    /// # futures_lite::future::block_on(async {
    /// assert_eq!(LeafScope::new(Done(7)).await, 7);
    /// # });
    /// ```
    #[must_use = "futures do nothing unless awaited"]
    pub struct LeafScope<J> {
        #[pin]
        join: J,
        // The newest request handed down; 0 for none.
        handed: u64,
        #[pin]
        node: Node,
    }
}

impl<J: Join> LeafScope<J> {
    /// Will wait for `join`.
    #[track_caller]
    pub fn new(join: J) -> Self {
        LeafScope { join, handed: 0, node: Node::new(0, Location::caller()) }
    }

    /// What is waited for.
    pub fn get_ref(&self) -> &J {
        &self.join
    }

    /// What is waited for, pinned.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut J> {
        self.project().join
    }
}

impl<J: Join> Future for LeafScope<J> {
    type Output = J::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<J::Output> {
        let mut this = self.project();
        let node = this.node.as_ref();
        if node.base().has(UNWOUND) {
            node.idle(cx);
            return Poll::Pending;
        }
        loop {
            let polled = node.poll_inside(|| this.join.as_mut().poll_join(cx));
            if let Poll::Ready(output) = polled {
                return end::<J>(node, *this.handed, output, cx);
            }
            node.suspend(cx);
            let Some(request) = node.requested() else { return Poll::Pending };
            node.unwind_for(Request { is_above: true, ..request });
            if request.epoch <= *this.handed {
                return Poll::Pending;
            }
            *this.handed = request.epoch;
            // It may be over at once, with no further wake.
            let message = node.message_of(request.epoch);
            outside(|| this.join.as_mut().hand_down(message));
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
    if handed == 0 {
        node.finish();
        return Poll::Ready(output);
    }
    if J::is_cancelled(&output) {
        node.end_unwound();
        node.suspend(cx);
        outside(|| drop(output));
        return Poll::Pending;
    }
    node.swallow(handed);
    node.finish();
    Poll::Ready(output)
}
