//! `masked`: a part of a task that no request from outside reaches.

use std::future::Future;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::node::{Node, SHIELD, UNWOUND};
use crate::request::may_drop;
use crate::task::drop_body;

/// Runs `body` to its end, and holds back requests to cancel it: they are delivered afterwards.
///
/// For the few steps of a cleanup that must not be cut in between, such as the two halves of a commit. Deadlines and
/// [`CancelScope`](crate::CancelScope)s inside the body reach it; those outside wait, as does whoever cancels the task. A
/// request that was held back reaches the task when it next waits, so a body that is the last thing its task does ends it with
/// its value.
///
/// # How it ends when the body does not
///
/// No request makes it end: give the body a [deadline](crate::deadline_scope) of its own. At the end of a program nothing waits
/// for ever: when the grace period of the event loop is over the body is dropped, and the loop reports the task by
/// name; a cleanup inside that is skipped thereby is reported too. Under any runtime the same is done by whoever drops the task.
///
/// # Cancel safety
///
/// Dropping the future drops the body.
///
/// ```
/// use asyncio_coro::{CancelScope, masked, yield_now};
/// # futures_lite::future::block_on(async {
/// let mut log = Vec::new();
/// let scope = CancelScope::new();
/// let ended = scope.run(async {
///     scope.cancel();
///     masked(async {
///         log.push("first half");
///         yield_now().await;
///         log.push("second half");
///     })
///     .await;
///     yield_now().await; // delivered here
///     log.push("never");
/// });
/// assert!(ended.await.is_err());
/// assert_eq!(log, ["first half", "second half"]);
/// # });
/// ```
#[track_caller]
pub fn masked<F: Future>(body: F) -> Masked<F> {
    Masked { body: Some(body), node: Node::new(SHIELD, Location::caller()) }
}

pin_project! {
    /// The future of [`masked`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Masked<F> {
        #[pin]
        body: Option<F>,
        #[pin]
        node: Node,
    }
}

impl<F: Future> Future for Masked<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let node = this.node.as_ref();
        if node.base().has(UNWOUND) {
            node.idle(cx);
            return Poll::Pending;
        }
        let mut body = this.body.as_mut();
        let polled = node
            .poll_inside(|| body.as_mut().as_pin_mut().expect("not polled after its end").poll(cx));
        if let Poll::Ready(value) = polled {
            node.finish();
            return Poll::Ready(value);
        }
        node.suspend(cx);
        // Not from above, but a scope that was moved in here may bring a request along.
        let Some(request) = node.requested() else { return Poll::Pending };
        node.unwind_for(request);
        if !may_drop(node.base(), cx) {
            return Poll::Pending;
        }
        if let Some(payload) = drop_body(body) {
            node.finish();
            resume_unwind(payload);
        }
        node.end_unwound();
        Poll::Pending
    }
}
