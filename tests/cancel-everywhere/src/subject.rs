//! The operation of one run, and its end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use asyncio_coro::CancelScope;
use asyncio_coro::scope::RunScope;

use crate::case::Way;

/// What is polled: the operation as it is, or in a scope that can be asked to end.
pub(crate) enum Subject<F: Future> {
    Plain(Pin<Box<F>>),
    Scoped(CancelScope, Pin<Box<RunScope<F>>>),
}

impl<F: Future> Subject<F> {
    pub(crate) fn new(way: Way, operation: F) -> Self {
        if way.is_drop() {
            return Subject::Plain(Box::pin(operation));
        }
        let scope = CancelScope::new();
        let running = Box::pin(scope.run(operation));
        Subject::Scoped(scope, running)
    }

    /// Ready with what the operation gives, or with nothing if it was cancelled.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        match self {
            Subject::Plain(operation) => operation.as_mut().poll(cx).map(Some),
            Subject::Scoped(_, running) => running.as_mut().poll(cx).map(Result::ok),
        }
    }

    /// Cancels it; what is left must be polled to its end.
    pub(crate) fn cancel(self) -> Option<Self> {
        match &self {
            Subject::Plain(_) => None,
            Subject::Scoped(scope, _) => {
                scope.cancel();
                Some(self)
            }
        }
    }
}

/// Whether the operation has been woken, where no loop is there to do something about it.
#[derive(Default)]
pub(crate) struct Woken(Arc<Flag>);

#[derive(Default)]
struct Flag(AtomicBool);

impl Woken {
    pub(crate) fn poll<F: Future>(&self, subject: &mut Subject<F>) -> Poll<Option<F::Output>> {
        subject.poll(&mut Context::from_waker(&Waker::from(Arc::clone(&self.0))))
    }

    /// Whether it was woken since this was last asked.
    pub(crate) fn take(&self) -> bool {
        self.0.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// More suspension points than any operation under test has: it is polled in vain, for ever.
pub(crate) const MOST_POINTS: usize = 10_000;
