//! `try_finally`: a body, and a cleanup that may await and runs however the body ends.

use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::hooks::SkipReason;
use crate::node::{CUTTING, HAS_CLEANUP, Node, UNWOUND, outside};
use crate::panics::{self, Payload, drop_caught};
use crate::request::may_drop;
use crate::task::drop_body;

/// Runs `body`, then `cleanup`, however the body ends: with a value, by a panic, or because it is cancelled.
///
/// The cleanup may await. A request to cancel the task, made before it begins, does not reach it; a newer one cuts it, so that
/// no cleanup makes a task immortal. When body or cleanup panics, the panic goes on after the cleanup.
///
/// Body and cleanup exist at the same time, so they cannot both borrow one thing mutably; [`with`](crate::with) is for that.
///
/// # Cancel safety
///
/// This is what makes other things cancel safe. Two ways remain to skip a cleanup, and both are reported
/// ([`Report::SkippedCleanup`](crate::hooks::Report)): dropping the future once its body has begun, as `select` does with the
/// branch that lost; and keeping the future without polling it while the task is cancelled. A body that was never polled owes
/// no cleanup.
///
/// # Panics
///
/// With the panic of the body, of its destructor, or of the cleanup.
///
/// ```
/// use std::cell::Cell;
/// # futures_lite::future::block_on(async {
/// let open = Cell::new(true);
/// let answer = asyncio_coro::try_finally(async { 6 * 7 }, async || open.set(false)).await;
/// assert_eq!(answer, 42);
/// assert!(!open.get());
/// # });
/// ```
#[doc(alias = "finally")]
#[track_caller]
pub fn try_finally<F: Future>(
    body: F,
    cleanup: impl AsyncFnOnce(),
) -> impl Future<Output = F::Output> {
    // The closure makes the call's future nameable: its type is inferred.
    finally_with(body, Once::new(move || cleanup()))
}

/// A cleanup that decides for itself what a newer request does to it, and may save a body that was cancelled.
///
/// For the tiers above: a task group hands a newer request to its children and goes on waiting for them.
pub trait Cleanup<T> {
    /// Runs the cleanup; called once the body is gone. No request made before that reaches what is polled here.
    fn poll_cleanup(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;

    /// Whether there is anything to clean up, asked after each poll of the body: what is skipped while there is nothing is not
    /// reported.
    fn is_owed(&self) -> bool {
        true
    }

    /// A newer request has come while the cleanup was pending. Called once for each.
    fn on_newer_request(self: Pin<&mut Self>) -> Newer {
        Newer::Cut
    }

    /// The cleanup has been cut: the scopes inside it have unwound. True when there is more to run, which the request that
    /// cut it does not reach; what was running is dropped, and reported where that is due, in here. The scope then unwinds
    /// after the rest.
    fn on_cut(self: Pin<&mut Self>) -> bool {
        false
    }

    /// Asked when the cleanup of a body that was cancelled is over and was not cut.
    ///
    /// With a value the scope ends with that value, as if the body had returned it; the request stands, and reaches the task
    /// at its next suspension. With `None` the scope has unwound.
    fn recover(self: Pin<&mut Self>) -> Option<T> {
        None
    }
}

/// What a newer request does to a running cleanup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newer {
    /// The cleanup is dropped, after the scopes inside it have unwound; the skipped rest is reported.
    Cut,
    /// The cleanup goes on, and is no longer reached by that request.
    Keep,
}

/// [`try_finally`] with a [`Cleanup`] in place of a function.
///
/// # Cancel safety
///
/// As [`try_finally`].
///
/// # Panics
///
/// As [`try_finally`].
///
/// ```
/// use std::pin::Pin;
/// use std::task::{Context, Poll};
/// use asyncio_coro::scope::{Cleanup, finally_with};
///
/// struct Goodbye;
/// impl<T> Cleanup<T> for Goodbye {
///     fn poll_cleanup(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
///         Poll::Ready(())
///     }
/// }
/// # futures_lite::future::block_on(async {
/// assert_eq!(finally_with(async { 7 }, Goodbye).await, 7);
/// # });
/// ```
#[track_caller]
pub fn finally_with<F: Future, C: Cleanup<F::Output>>(body: F, cleanup: C) -> Finally<F, C> {
    Finally {
        body: Some(body),
        cleanup: Some(cleanup),
        end: None,
        node: Node::new(HAS_CLEANUP, Location::caller()),
    }
}

impl<F: Future, C> Finally<F, C> {
    /// Names another place as the one where the scope was made, for reports: that of whom it was made for.
    pub fn made_at(mut self, site: &'static Location<'static>) -> Self {
        self.node.site = site;
        self
    }
}

pin_project! {
    /// The future of [`finally_with`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Finally<F: Future, C> {
        #[pin]
        body: Option<F>,
        #[pin]
        cleanup: Option<C>,
        end: Option<End<F::Output>>,
        // Last: when body or cleanup is dropped too early, the node reports it afterwards.
        #[pin]
        node: Node,
    }
}

impl<F: Future, C: Cleanup<F::Output>> Future for Finally<F, C> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let node = this.node.as_ref();
        if this.end.is_none() {
            let polled = poll_body(node, this.body, cx);
            let cleanup = this.cleanup.as_ref().as_pin_ref().expect("the cleanup has not begun");
            node.owe(cleanup.is_owed());
            let Poll::Ready(end) = polled else { return Poll::Pending };
            *this.end = Some(end);
        }
        poll_cleanup(node, this.cleanup.as_mut(), this.end, cx)
    }
}

/// How a body ended.
pub(crate) enum End<T> {
    Value(T),
    Panicked(Payload),
    Unwound,
}

/// The first half: polls the body until it has ended and is gone. The node is ready for the cleanup then.
pub(crate) fn poll_body<F: Future>(
    node: Pin<&Node>,
    mut body: Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
) -> Poll<End<F::Output>> {
    let polled = node.poll_inside(|| {
        catch_unwind(AssertUnwindSafe(|| {
            body.as_mut().as_pin_mut().expect("the body has not ended").poll(cx)
        }))
    });
    let end = match polled {
        Ok(Poll::Pending) => {
            node.suspend(cx);
            let Some(request) = node.requested() else { return Poll::Pending };
            node.unwind_for(request);
            if !may_drop(node.base(), cx) {
                return Poll::Pending;
            }
            End::Unwound
        }
        Ok(Poll::Ready(value)) => End::Value(value),
        Err(payload) => End::Panicked(payload),
    };
    let dropped = drop_body(body);
    node.begin_cleanup();
    Poll::Ready(match dropped {
        Some(payload) => end.panicked_in_drop(payload),
        None => end,
    })
}

/// The second half: polls the cleanup, then ends as the body did.
pub(crate) fn poll_cleanup<T, C: Cleanup<T>>(
    node: Pin<&Node>,
    mut cleanup: Pin<&mut Option<C>>,
    end: &mut Option<End<T>>,
    cx: &mut Context<'_>,
) -> Poll<T> {
    if node.base().has(UNWOUND) {
        node.idle(cx);
        return Poll::Pending;
    }
    let mut was_cut = false;
    loop {
        let polled = node.poll_inside(|| {
            catch_unwind(AssertUnwindSafe(|| {
                cleanup.as_mut().as_pin_mut().expect("the cleanup has not ended").poll_cleanup(cx)
            }))
        });
        match polled {
            Ok(Poll::Ready(())) => break,
            Err(payload) => {
                end.replace(End::Panicked(payload)).into_iter().for_each(End::discard);
                break;
            }
            Ok(Poll::Pending) => {}
        }
        node.suspend(cx);
        let Some(request) = node.requested() else { return Poll::Pending };
        if node.is_newer(request) && !node.base().has(CUTTING) {
            let newer = outside(|| {
                let cleanup = cleanup.as_mut().as_pin_mut().expect("the cleanup has not ended");
                catch_unwind(AssertUnwindSafe(|| cleanup.on_newer_request()))
            });
            match newer {
                Ok(Newer::Cut) => {}
                Ok(Newer::Keep) => {
                    node.mask_newest();
                    continue;
                }
                Err(payload) => {
                    end.replace(End::Panicked(payload)).into_iter().for_each(End::discard);
                    break;
                }
            }
        }
        // The scopes inside the cleanup unwind first, as they do in a body.
        node.cut();
        if !may_drop(node.base(), cx) {
            return Poll::Pending;
        }
        match end.take() {
            Some(End::Panicked(payload)) => *end = Some(End::Panicked(payload)),
            overtaken => {
                overtaken.into_iter().for_each(End::discard);
                *end = Some(End::Unwound);
            }
        }
        let goes_on = outside(|| {
            let cleanup = cleanup.as_mut().as_pin_mut().expect("the cleanup has not ended");
            catch_unwind(AssertUnwindSafe(|| cleanup.on_cut()))
        });
        match goes_on {
            Ok(true) => {
                node.resume_cleanup();
                continue;
            }
            Ok(false) => {}
            Err(payload) => {
                end.replace(End::Panicked(payload)).into_iter().for_each(End::discard);
            }
        }
        was_cut = true;
        node.report_skipped(SkipReason::Cut);
        break;
    }
    settle(node, cleanup, end, was_cut, cx)
}

/// Cleanup done or cut: drops it, and ends the scope.
fn settle<T, C: Cleanup<T>>(
    node: Pin<&Node>,
    mut cleanup: Pin<&mut Option<C>>,
    end: &mut Option<End<T>>,
    was_cut: bool,
    cx: &mut Context<'_>,
) -> Poll<T> {
    let mut last = end.take().expect("the body has ended");
    if matches!(last, End::Unwound) && !was_cut {
        let saved = outside(|| {
            let cleanup = cleanup.as_mut().as_pin_mut().expect("the cleanup is still there");
            catch_unwind(AssertUnwindSafe(|| cleanup.recover()))
        });
        match saved {
            Ok(Some(value)) => last = End::Value(value),
            Ok(None) => {}
            Err(payload) => last = End::Panicked(payload),
        }
    }
    if let Some(payload) = drop_body(cleanup) {
        last = last.panicked_in_drop(payload);
    }
    match last {
        End::Value(value) => {
            node.finish();
            Poll::Ready(value)
        }
        End::Panicked(payload) => {
            node.finish();
            resume_unwind(payload)
        }
        End::Unwound => {
            *end = Some(End::Unwound);
            node.end_unwound();
            node.suspend(cx);
            Poll::Pending
        }
    }
}

impl<T> End<T> {
    /// The first panic goes on; a value is lost to it.
    fn panicked_in_drop(self, payload: Payload) -> Self {
        match self {
            End::Panicked(first) => {
                panics::discard(payload);
                End::Panicked(first)
            }
            end => {
                end.discard();
                End::Panicked(payload)
            }
        }
    }

    /// Drops what a later event has overtaken.
    fn discard(self) {
        let payload = match self {
            End::Panicked(payload) => Some(payload),
            End::Value(value) => outside(|| drop_caught(value)),
            End::Unwound => None,
        };
        payload.into_iter().for_each(panics::discard);
    }
}

pin_project! {
    /// A cleanup given as a function: called when the body is gone, cut by a newer request.
    #[project = OnceProjection]
    pub(crate) enum Once<C, Fut> {
        Waiting { call: Option<C> },
        Running { #[pin] future: Fut },
    }
}

impl<C: FnOnce() -> Fut, Fut: Future<Output = ()>> Once<C, Fut> {
    pub(crate) fn new(call: C) -> Self {
        Once::Waiting { call: Some(call) }
    }
}

impl<T, C: FnOnce() -> Fut, Fut: Future<Output = ()>> Cleanup<T> for Once<C, Fut> {
    fn poll_cleanup(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.as_mut().project() {
                OnceProjection::Waiting { call } => {
                    let call = call.take().expect("a cleanup is called once");
                    self.set(Once::Running { future: call() });
                }
                OnceProjection::Running { future } => return future.poll(cx),
            }
        }
    }
}
