//! `deadline_scope`: a body that is cancelled at a given time; what `timeout` is made of.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use crate::node::{Node, UNWOUND};
use crate::request::may_drop;
use crate::scope::alarm::{Alarm, Moment};
use crate::task::drop_body;

/// Runs `body` and cancels it at `when`; its cleanup runs before the error is returned.
///
/// Allocates nothing, and touches neither clock nor timer when the body is ready at its first poll. Converts only its own
/// request: when the task is cancelled, or an outer deadline passes, at the same time, the outer one wins.
///
/// # Cancel safety
///
/// A value that is ready is never thrown away: a body that ends in the very poll in which the deadline has passed has ended
/// in time.
///
/// # Errors
///
/// [`DeadlineElapsed`] when the body was cancelled for the deadline.
///
/// # Panics
///
/// When the body waits and this thread has no [clock](crate::hooks::set_clock), unless `when` is [`Deadline::Never`].
///
/// ```
/// use asyncio_coro::{Deadline, deadline_scope};
/// use std::time::Duration;
/// # futures_lite::future::block_on(async {
/// let answer = deadline_scope(Deadline::After(Duration::from_secs(1)), async { 42 }).await;
/// assert_eq!(answer, Ok(42));
/// # });
/// ```
#[doc(alias = "timeout")]
#[track_caller]
pub fn deadline_scope<F: Future>(when: Deadline, body: F) -> DeadlineScope<F> {
    DeadlineScope {
        body: Some(body),
        when,
        alarm: Alarm::new(),
        node: Node::new(0, Location::caller()),
    }
}

/// When the body of a [`deadline_scope`] is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// This long after the body's first poll, if that was pending. A time too far to be an `Instant` is never.
    After(Duration),
    /// At this time of the thread's [clock](crate::hooks::Clock).
    At(Instant),
    /// Not at all.
    Never,
}

/// Says that a body was cancelled because its deadline had passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DeadlineElapsed;

impl fmt::Display for DeadlineElapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline has passed")
    }
}

impl Error for DeadlineElapsed {}

pin_project! {
    /// The future of [`deadline_scope`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct DeadlineScope<F> {
        #[pin]
        body: Option<F>,
        when: Deadline,
        alarm: Alarm,
        #[pin]
        node: Node,
    }
}

impl<F: Future> Future for DeadlineScope<F> {
    type Output = Result<F::Output, DeadlineElapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let node = this.node.as_ref();
        if node.base().has(UNWOUND) {
            node.idle(cx);
            return Poll::Pending;
        }
        // Before the body is polled, so that the scopes in it find the request in this very pass.
        if let Deadline::At(when) = *this.when {
            if this.alarm.has_rung(Some(when)) {
                expire(node, this.when, this.alarm);
            }
        }
        let mut body = this.body.as_mut();
        let polled = node
            .poll_inside(|| body.as_mut().as_pin_mut().expect("not polled after its end").poll(cx));
        if let Poll::Ready(value) = polled {
            this.alarm.clear();
            node.finish();
            return Poll::Ready(Ok(value));
        }
        let is_new = node.suspend(cx);
        let has_come = match *this.when {
            Deadline::Never => false,
            Deadline::At(when) => this.alarm.set(when, cx.waker(), is_new),
            Deadline::After(delay) => match this.alarm.start(delay, cx.waker()) {
                Moment::Now => true,
                Moment::At(when) => {
                    *this.when = Deadline::At(when);
                    false
                }
                Moment::Never => {
                    *this.when = Deadline::Never;
                    false
                }
            },
        };
        if has_come {
            expire(node, this.when, this.alarm);
        }
        let Some(request) = node.requested() else { return Poll::Pending };
        node.unwind_for(request);
        if !may_drop(node.base(), cx) {
            return Poll::Pending;
        }
        this.alarm.clear();
        if let Some(payload) = drop_body(body) {
            node.finish();
            resume_unwind(payload);
        }
        if node.look_up().unwrap_or(request).is_above {
            node.end_unwound();
            return Poll::Pending;
        }
        node.finish();
        Poll::Ready(Err(DeadlineElapsed))
    }
}

/// The time has come: the scope asks itself to unwind, once.
fn expire(node: Pin<&Node>, when: &mut Deadline, alarm: &mut Alarm) {
    alarm.clear();
    *when = Deadline::Never;
    node.ask().wake();
}
