//! Waiting for one's turn at a resource: the one future under `Lock`, `Semaphore` and `Queue`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asyncio_coro::wait_list::{Wait, WaitList};
use pin_project_lite::pin_project;

/// What a waiter waits for. A shared reference in a coat, so `Copy`.
pub(crate) trait Resource: Copy {
    /// What the waiter gets.
    type Taken;

    /// Called by a waiter that was notified. `None` if a newcomer was quicker: then it waits on, in its place.
    fn take(self) -> Option<Self::Taken>;

    /// A waiter was notified, but will not come: whatever its notification stood for is for the next one.
    fn pass_on(self);
}

pin_project! {
    /// Waits in a list until it is notified and the resource can be taken.
    ///
    /// The rule against lost wake-ups is here, and only here: dropped between its notification and its next
    /// poll, it passes the notification on.
    #[must_use = "futures do nothing unless polled"]
    pub(crate) struct Turn<'a, R>
    where
        R: Resource,
    {
        resource: R,
        #[pin]
        wait: Wait<'a>,
    }

    impl<R: Resource> PinnedDrop for Turn<'_, R> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.wait.leave() {
                this.resource.pass_on();
            }
        }
    }
}

impl<'a, R: Resource> Turn<'a, R> {
    /// Does not look at the resource: its caller has found that it must wait.
    pub(crate) fn new(resource: R, waiters: &'a WaitList) -> Self {
        Turn { resource, wait: waiters.wait() }
    }
}

impl<R: Resource> Future for Turn<'_, R> {
    type Output = R::Taken;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R::Taken> {
        let mut this = self.project();
        loop {
            ready!(this.wait.as_mut().poll(cx));
            if let Some(taken) = this.resource.take() {
                return Poll::Ready(taken);
            }
            this.wait.as_mut().rejoin();
        }
    }
}
