//! The body of a generator with its scope, behind a pointer that forgets which future it is.

use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::node::{DONE, GENERATOR, HAS_CLEANUP, Node, UNWOUND};
use crate::panics::{self, Payload};
use crate::request::{Wakers, may_drop};
use crate::task::drop_body;

pub(super) type BoxBody<'a> = Pin<Box<dyn Body + 'a>>;

/// What a poll of a body has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Pending,
    /// The body is gone.
    Ended,
    /// The body is gone for a request from above: whoever polls it must unwind too.
    Unwound,
}

pub(super) trait Body {
    /// Polls the body. When it panics, the body is gone before the panic goes on.
    fn step(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Stage;

    /// After a pending step: follows a request, if there is one, and drops the body once it may be dropped.
    fn follow(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Stage;

    /// Asks the body to unwind. A cleanup of it that runs already goes on, unless `is_forced`.
    fn ask(self: Pin<&Self>, is_forced: bool) -> Wakers;

    /// Takes the body out of the tree of whoever polled it. False when it is gone.
    fn rest(self: Pin<&Self>) -> bool;

    /// Whether somebody waits for the next item: it is in the tree of whoever does.
    fn is_awaited(self: Pin<&Self>) -> bool;

    /// Whether a scope in it still has to clean up.
    fn owes_cleanup(self: Pin<&Self>) -> bool;

    /// Drops the body where it stands; what is skipped thereby is reported.
    fn abandon(self: Pin<&mut Self>) -> Option<Payload>;
}

pub(super) fn boxed<'a>(
    site: &'static Location<'static>,
    body: impl Future<Output = ()> + 'a,
) -> BoxBody<'a> {
    Box::pin(Scoped { body: Some(body), node: Node::new(GENERATOR, site) })
}

pin_project! {
    struct Scoped<F> {
        #[pin]
        body: Option<F>,
        #[pin]
        node: Node,
    }
}

impl<F: Future<Output = ()>> Body for Scoped<F> {
    fn step(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Stage {
        let mut this = self.project();
        let node = this.node.as_ref();
        if node.base().has(UNWOUND) {
            // Who polled it last waits for its other scopes, and may poll it on. For anybody else it has ended.
            if !node.is_below_current() {
                return Stage::Ended;
            }
            node.idle(cx);
            return Stage::Unwound;
        }
        let mut body = this.body.as_mut();
        let polled = node.poll_inside(|| {
            catch_unwind(AssertUnwindSafe(|| {
                body.as_mut().as_pin_mut().expect("not polled after its end").poll(cx)
            }))
        });
        let panicked = match polled {
            Ok(Poll::Pending) => {
                node.suspend(cx);
                return Stage::Pending;
            }
            Ok(Poll::Ready(())) => None,
            Err(payload) => Some(payload),
        };
        let dropped = drop_body(body);
        node.finish();
        end(panicked, dropped)
    }

    fn follow(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Stage {
        let this = self.project();
        let node = this.node.as_ref();
        let Some(request) = node.requested() else { return Stage::Pending };
        node.unwind_for(request);
        if !may_drop(node.base(), cx) {
            return Stage::Pending;
        }
        if let Some(payload) = drop_body(this.body) {
            node.finish();
            resume_unwind(payload);
        }
        // The request may have come with a scope from a task that polled the body earlier; with nobody above, it ends here.
        if node.look_up().unwrap_or(request).is_above && node.parent().is_some() {
            node.end_unwound();
            return Stage::Unwound;
        }
        node.finish();
        Stage::Ended
    }

    fn ask(self: Pin<&Self>, is_forced: bool) -> Wakers {
        let node = self.project_ref().node;
        if is_forced { node.ask() } else { node.ask_gently() }
    }

    fn rest(self: Pin<&Self>) -> bool {
        let node = self.project_ref().node;
        node.rest();
        !node.base().has(UNWOUND | DONE)
    }

    fn is_awaited(self: Pin<&Self>) -> bool {
        self.project_ref().node.parent().is_some()
    }

    fn owes_cleanup(self: Pin<&Self>) -> bool {
        let node = self.project_ref().node.get_ref();
        let owes = |node: &Node| node.base().has(HAS_CLEANUP) && !node.base().has(UNWOUND | DONE);
        node.base().descendants().any(owes)
    }

    fn abandon(self: Pin<&mut Self>) -> Option<Payload> {
        let this = self.project();
        let payload = drop_body(this.body);
        this.node.as_ref().finish();
        payload
    }
}

/// The body has ended, maybe with a panic, and has been dropped, maybe with another.
fn end(panicked: Option<Payload>, dropped: Option<Payload>) -> Stage {
    let payload = match (panicked, dropped) {
        (Some(first), second) => {
            second.into_iter().for_each(panics::discard);
            Some(first)
        }
        (None, second) => second,
    };
    match payload {
        Some(payload) => resume_unwind(payload),
        None => Stage::Ended,
    }
}
