//! `catch_cancel`: `except CancelledError`.

use std::future::Future;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::CancelledError;
use crate::node::Node;
use crate::request::{Request, may_drop};
use crate::task::drop_body;

/// Runs `body`; when it is cancelled, from wherever, swallows the request and says so: asyncio's `except CancelledError`.
///
/// The body's own scopes unwind first, with their cleanup. Then the task goes on; it must end soon by itself, or be
/// cancelled again. Its count of requests stays until [`uncancel`](crate::task::TaskRef::uncancel).
///
/// # Cancel safety
///
/// A value that is ready is never thrown away: the body is polled before anybody looks for a request.
///
/// # Errors
///
/// [`CancelledError`] when the body was cancelled.
///
/// ```
/// use asyncio_coro::{CancelScope, CancelledError, catch_cancel};
/// # futures_lite::future::block_on(async {
/// assert_eq!(catch_cancel(async { 7 }).await, Ok(7));
///
/// let scope = CancelScope::new();
/// let caught = scope.run(async {
///     scope.cancel();
///     catch_cancel(std::future::pending::<()>()).await
/// });
/// assert!(matches!(caught.await, Ok(Err(CancelledError { .. }))));
/// # });
/// ```
#[doc(alias = "except CancelledError")]
#[track_caller]
pub fn catch_cancel<F: Future>(body: F) -> CatchCancel<F> {
    CatchCancel { body: Some(body), node: Node::new(0, Location::caller()) }
}

pin_project! {
    /// The future of [`catch_cancel`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct CatchCancel<F> {
        #[pin]
        body: Option<F>,
        #[pin]
        node: Node,
    }
}

impl<F: Future> Future for CatchCancel<F> {
    type Output = Result<F::Output, CancelledError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let node = this.node.as_ref();
        let mut body = this.body.as_mut();
        let polled = node
            .poll_inside(|| body.as_mut().as_pin_mut().expect("not polled after its end").poll(cx));
        if let Poll::Ready(value) = polled {
            node.finish();
            return Poll::Ready(Ok(value));
        }
        node.suspend(cx);
        let Some(request) = node.requested() else { return Poll::Pending };
        // Whoever asked, it ends here: nothing above needs to follow.
        node.unwind_for(Request { is_above: false, ..request });
        if !may_drop(node.base(), cx) {
            return Poll::Pending;
        }
        if let Some(payload) = drop_body(body) {
            node.finish();
            resume_unwind(payload);
        }
        let newest = node.look_up().map_or(request.epoch, |newest| newest.epoch);
        let message = node.message_of(newest);
        node.swallow(newest);
        node.finish();
        Poll::Ready(Err(CancelledError::__with_message(message)))
    }
}
