//! What `.await` on a future is, and the wait that leaves the result where it is.

use std::fmt;
use std::future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use asyncio_coro::CancelledError;
use asyncio_coro::scope::{HandDown, Join};

use crate::error::ResultError;
use crate::future::Future;
use crate::subscribers::CallbackId;

/// A place among those who wait for a future; left when dropped.
struct Place<T> {
    future: Future<T>,
    id: Option<CallbackId>,
}

impl<T> Place<T> {
    /// Whether the future is done; if not, `cx` will be woken.
    fn poll_done(&mut self, cx: &mut Context<'_>) -> bool {
        if self.future.done() {
            // Once it is done the list has let go of everybody.
            self.id = None;
            return true;
        }
        if self.id.is_none() {
            assert!(self.future.is_at_home(), "{}", ANOTHER_LOOP);
        }
        self.id = Some(self.future.subscribe(cx.waker(), self.id));
        // Cloning a waker is code of the user's, which may just have completed the future.
        let done = self.future.done();
        if done {
            self.leave();
        }
        done
    }

    fn leave(&mut self) {
        if let Some(id) = self.id.take() {
            self.future.unsubscribe(id);
        }
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The wait inside `future.await`: a join, because cancelling the awaiting task cancels the future.
pub struct Awaiting<T> {
    place: Place<T>,
}

impl<T> Awaiting<T> {
    pub(crate) fn new(future: Future<T>) -> Self {
        Self { place: Place { future, id: None } }
    }
}

impl<T: Clone + 'static> Join for Awaiting<T> {
    type Output = Result<T, CancelledError>;

    fn poll_join(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.place.poll_done(cx) {
            return Poll::Pending;
        }
        Poll::Ready(match self.place.future.result() {
            Ok(value) => Ok(value),
            Err(ResultError::Cancelled(cancelled)) => Err(cancelled),
            Err(error) => panic!("an awaited future has no result for its awaiter: {error}"),
        })
    }

    fn is_cancelled(output: &Self::Output) -> bool {
        output.is_err()
    }
}

impl<T: Clone + 'static> HandDown for Awaiting<T> {
    fn hand_down(self: Pin<&mut Self>, message: Option<Arc<str>>) {
        self.place.future.cancel_because(message);
    }
}

impl<T> fmt::Debug for Awaiting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Awaiting").field("done", &self.place.future.done()).finish()
    }
}

/// Waits until a future is done; from [`Future::wait_done`].
#[must_use = "futures do nothing unless awaited"]
pub struct WaitDone<T> {
    place: Place<T>,
}

impl<T> WaitDone<T> {
    pub(crate) fn new(future: Future<T>) -> Self {
        Self { place: Place { future, id: None } }
    }
}

impl<T> future::Future for WaitDone<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.place.poll_done(cx) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl<T> fmt::Debug for WaitDone<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitDone").field("done", &self.place.future.done()).finish()
    }
}

const ANOTHER_LOOP: &str = "a future that is awaited is attached to a different loop than the one that runs; \
     make it on this loop, or use a concurrent::Future, which may be awaited anywhere";
