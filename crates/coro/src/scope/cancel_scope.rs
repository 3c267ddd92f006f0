//! `CancelScope`: a part of a task that is cancelled by itself, from anywhere on its thread.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use pin_project_lite::pin_project;

use crate::CancelledError;
use crate::node::{HasSlot, Held, Node, SHIELD, Slot, UNWOUND};
use crate::request::may_drop;
use crate::scope::alarm::Alarm;
use crate::task::drop_body;

/// A handle on a part of a task: cancels it, sets its deadline, shields it. What trio calls by this name.
///
/// [`run`](CancelScope::run) is the part; the handle can be cloned and given away on its thread, and used before, while and
/// after the body runs. It is one allocation; for a plain deadline, [`deadline_scope`](crate::deadline_scope) needs none.
///
/// ```
/// use asyncio_coro::CancelScope;
/// # futures_lite::future::block_on(async {
/// let scope = CancelScope::new();
/// let stop = scope.clone();
/// let ended = scope.run(async {
///     stop.cancel(); // from a callback, say
///     std::future::pending::<()>().await
/// });
/// assert!(ended.await.is_err());
/// assert!(scope.cancelled_caught());
/// # });
/// ```
#[derive(Clone)]
pub struct CancelScope {
    shared: Rc<Shared>,
}

struct Shared {
    deadline: Cell<Option<Instant>>,
    is_shielded: Cell<bool>,
    is_called: Cell<bool>,
    is_caught: Cell<bool>,
    slot: Slot,
}

impl CancelScope {
    /// A scope without a deadline or shield.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a scope is an identity, not a value")]
    pub fn new() -> Self {
        CancelScope {
            shared: Rc::new(Shared {
                deadline: Cell::new(None),
                is_shielded: Cell::new(false),
                is_called: Cell::new(false),
                is_caught: Cell::new(false),
                slot: Slot::new(),
            }),
        }
    }

    /// The same scope, cancelled at `deadline` of the thread's [clock](crate::hooks::Clock).
    #[must_use]
    pub fn with_deadline(self, deadline: Instant) -> Self {
        self.set_deadline(Some(deadline));
        self
    }

    /// The same scope, shielded or not; see [`set_shielded`](CancelScope::set_shielded).
    #[must_use]
    pub fn shielded(self, is_shielded: bool) -> Self {
        self.set_shielded(is_shielded);
        self
    }

    /// Runs `body` as the part of the task that this handle is on.
    ///
    /// Converts only its own request: with an outer one at the same time, the outer one wins.
    ///
    /// # Cancel safety
    ///
    /// A value that is ready is never thrown away: the body is polled before anybody looks for a request.
    ///
    /// # Errors
    ///
    /// [`CancelledError`] when the body was cancelled by this handle or for its deadline, and has cleaned up.
    ///
    /// # Panics
    ///
    /// When another body runs on this handle. When there is a deadline, the body waits, and this thread has no
    /// [clock](crate::hooks::set_clock).
    #[track_caller]
    pub fn run<F: Future>(&self, body: F) -> RunScope<F> {
        RunScope {
            body: Some(body),
            is_attached: false,
            alarm: Alarm::new(),
            held: Held::new(Location::caller(), self.shared.clone()),
        }
    }

    /// Cancels the body at its next suspension, also one that has yet to begin. Calling it again does nothing.
    pub fn cancel(&self) {
        if self.shared.is_called.replace(true) {
            return;
        }
        let wakers = self.shared.slot.with(|node| {
            let mut wakers = node.ask();
            wakers.extend(node.take_waker());
            wakers
        });
        if let Some(wakers) = wakers {
            wakers.wake();
        }
    }

    /// Whether [`cancel`](CancelScope::cancel) was called, or the deadline has passed while the body ran.
    #[must_use]
    pub fn cancel_called(&self) -> bool {
        self.shared.is_called.get()
    }

    /// Whether a body was cancelled by this handle, and [`run`](CancelScope::run) has returned the error.
    #[must_use]
    pub fn cancelled_caught(&self) -> bool {
        self.shared.is_caught.get()
    }

    /// When the body is cancelled, if it has a deadline.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.shared.deadline.get()
    }

    /// Moves the deadline, or takes it away.
    #[doc(alias = "reschedule")]
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        self.shared.deadline.set(deadline);
        self.look_again();
    }

    /// Whether requests from above are kept out.
    #[must_use]
    pub fn is_shielded(&self) -> bool {
        self.shared.is_shielded.get()
    }

    /// Keeps requests from above out of the body, or lets them in again. Its own cancel and deadline still reach it.
    pub fn set_shielded(&self, is_shielded: bool) {
        self.shared.is_shielded.set(is_shielded);
        self.look_again();
    }

    /// Lets the running scope see what has changed; if it is to unwind now, it wakes the scopes inside.
    fn look_again(&self) {
        let waker = self.shared.slot.with(|node| {
            self.shared.shield(node);
            node.take_waker()
        });
        if let Some(waker) = waker.flatten() {
            waker.wake();
        }
    }
}

impl fmt::Debug for CancelScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelScope")
            .field("deadline", &self.deadline())
            .field("is_shielded", &self.is_shielded())
            .field("cancel_called", &self.cancel_called())
            .field("cancelled_caught", &self.cancelled_caught())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// The deadline has passed: the scope asks itself to unwind, unless it has been asked.
    fn expire(&self, node: Pin<&Node>) {
        if !self.is_called.replace(true) {
            node.ask().wake();
        }
    }

    fn shield(&self, node: &Node) {
        if self.is_shielded.get() {
            node.base().set(SHIELD);
        } else {
            node.base().clear(SHIELD);
        }
    }
}

impl HasSlot for Shared {
    fn slot(&self) -> &Slot {
        &self.slot
    }
}

pin_project! {
    /// The future of [`CancelScope::run`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct RunScope<F> {
        #[pin]
        body: Option<F>,
        is_attached: bool,
        alarm: Alarm,
        #[pin]
        held: Held<Shared>,
    }
}

impl<F: Future> Future for RunScope<F> {
    type Output = Result<F::Output, CancelledError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let held = this.held.as_ref();
        let (node, shared) = (held.node(), held.shared());
        if node.base().has(UNWOUND) {
            node.idle(cx);
            return Poll::Pending;
        }
        if !*this.is_attached {
            assert!(held.attach(), "a CancelScope runs one body at a time");
            *this.is_attached = true;
            shared.shield(&node);
            if shared.is_called.get() {
                node.ask().wake();
            }
        }
        // Before the body is polled, so that the scopes in it find the request in this very pass.
        if this.alarm.has_rung(shared.deadline.get()) {
            shared.expire(node);
        }
        let mut body = this.body.as_mut();
        let polled = node
            .poll_inside(|| body.as_mut().as_pin_mut().expect("not polled after its end").poll(cx));
        if let Poll::Ready(value) = polled {
            this.alarm.clear();
            node.finish();
            held.detach();
            return Poll::Ready(Ok(value));
        }
        let is_new = node.suspend(cx);
        match shared.deadline.get() {
            Some(when) if !shared.is_called.get() => {
                if this.alarm.set(when, cx.waker(), is_new) {
                    shared.expire(node);
                }
            }
            _ => this.alarm.clear(),
        }
        let Some(request) = node.requested() else { return Poll::Pending };
        node.unwind_for(request);
        if !may_drop(node.base(), cx) {
            return Poll::Pending;
        }
        this.alarm.clear();
        if let Some(payload) = drop_body(body) {
            node.finish();
            held.detach();
            resume_unwind(payload);
        }
        if node.look_up().unwrap_or(request).is_above {
            node.end_unwound();
            return Poll::Pending;
        }
        node.finish();
        held.detach();
        shared.is_caught.set(true);
        Poll::Ready(Err(CancelledError::__new()))
    }
}
