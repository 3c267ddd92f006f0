//! What the future of a group does: polls body and children, and when it is cancelled joins the children.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use asyncio_coro::CancelledError;
use asyncio_coro::scope::{Cleanup, Newer};
use pin_project_lite::pin_project;

use crate::group::TaskGroup;
use crate::group::family::{BODY, Family};
use crate::ready::Member;

/// What a body has to give: nothing if it failed, or was cut short because the group was aborted.
pub(crate) type Ended<R> = Option<R>;

pin_project! {
    /// The body and the children, until all have ended.
    pub(crate) struct Drive<'a, 'scope, 'env, E, B, O> {
        // Dropped first: what the body's destructors create is not to live.
        close: Close<'a, 'scope, 'env, E>,
        #[pin]
        body: Option<B>,
        // How the body ended.
        ended: Option<O>,
        // The body's own place among those to be polled.
        place: Arc<Member>,
        waker: Waker,
    }
}

/// Lets a group take no more children when dropped.
struct Close<'a, 'scope, 'env, E>(&'a TaskGroup<'scope, 'env, E>);

impl<'a, 'scope, 'env, E, B, O> Drive<'a, 'scope, 'env, E, B, O> {
    pub(crate) fn new(group: &'a TaskGroup<'scope, 'env, E>, body: B) -> Self {
        let place = Member::new(group.family.ready(), BODY);
        place.signal.raise();
        let waker = Waker::from(place.clone());
        Self { close: Close(group), body: Some(body), ended: None, place, waker }
    }
}

impl<E, B, R> Drive<'_, '_, '_, E, B, Ended<R>>
where
    B: Future<Output = Result<Result<R, E>, CancelledError>>,
{
    /// Polls the body, if it has not ended. Says whether it failed.
    fn poll_body(self: Pin<&mut Self>) -> bool {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else { return false };
        this.place.signal.lower();
        let Poll::Ready(ended) = body.poll(&mut Context::from_waker(this.waker)) else {
            return false;
        };
        this.place.signal.end();
        this.body.set(None);
        let (value, failed) = match ended {
            Ok(Ok(value)) => (Some(value), None),
            Ok(Err(error)) => (None, Some(error)),
            Err(CancelledError { .. }) => (None, None),
        };
        *this.ended = Some(value);
        let is_failure = failed.is_some();
        if let Some(error) = failed {
            // With the group, so that a request from outside does not cost it while the children end.
            this.close.0.family.take_last_error(error);
        }
        is_failure
    }
}

impl<E, B, R> Future for Drive<'_, '_, '_, E, B, Ended<R>>
where
    B: Future<Output = Result<Result<R, E>, CancelledError>>,
{
    type Output = Ended<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let group = self.close.0;
        let family = &group.family;
        // Body and children have their turns in the order in which they were woken. What becomes ready from here on has
        // its turn in the next tick.
        let ready = family.ready().begin(cx.waker());
        let is_failure = family.turn(ready, || self.as_mut().poll_body());
        // Not before: who was ready in this tick has had its turn in it.
        if is_failure {
            group.abort();
        }
        let this = self.project();
        match this.ended.take() {
            Some(ended) if family.is_empty() => Poll::Ready(ended),
            ended => {
                *this.ended = ended;
                Poll::Pending
            }
        }
    }
}

impl<E> Drop for Close<'_, '_, '_, E> {
    fn drop(&mut self) {
        // Children that are left are still to be cancelled, by `JoinChildren` or by `Teardown`.
        self.0.family.close();
    }
}

/// Cancels what children are left, and polls them to their end.
pub(crate) struct JoinChildren<'a, 'scope, E> {
    family: &'a Family<'scope, E>,
    begun: bool,
    /// Whether the panic of a child goes on from here, or is kept for who joins the group.
    goes_on: bool,
}

impl<'a, 'scope, E> JoinChildren<'a, 'scope, E> {
    pub(crate) fn new(family: &'a Family<'scope, E>) -> Self {
        Self { family, begun: false, goes_on: true }
    }

    /// The same, but the panic of a child stays with the family.
    pub(crate) fn keeping_panics(family: &'a Family<'scope, E>) -> Self {
        Self { family, begun: false, goes_on: false }
    }
}

impl<E, R> Cleanup<Ended<R>> for JoinChildren<'_, '_, E> {
    fn poll_cleanup(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let family = self.family;
        let ready = family.ready().begin(cx.waker());
        // An aborting group has cancelled its children, and cancelling them twice would cut their cleanup.
        if !std::mem::replace(&mut self.begun, true) && !family.is_aborting() {
            family.cancel_children();
        }
        family.turn(ready, || false);
        if !family.is_empty() {
            return Poll::Pending;
        }
        if self.goes_on {
            family.resume_panic();
        }
        Poll::Ready(())
    }

    /// To whom nobody is left, nothing is owed.
    fn is_owed(&self) -> bool {
        !self.family.is_empty()
    }

    fn on_newer_request(self: Pin<&mut Self>) -> Newer {
        self.family.cancel_children();
        Newer::Keep
    }

    /// Errors are not to be lost to a cancellation: the group gives them, and the request is met at the next suspension.
    fn recover(self: Pin<&mut Self>) -> Option<Ended<R>> {
        self.family.has_errors().then_some(None)
    }
}
