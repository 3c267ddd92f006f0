//! Drives tasks and futures by hand, one poll at a time.
#![allow(dead_code, reason = "each test file uses its own part")]
#![expect(unsafe_code, reason = "a task's scope is made with a promise that an Arc keeps")]

use std::future::Future;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use asyncio_coro::task::{TaskEnd, TaskInfo, TaskRef, TaskScope};

/// A task without a loop: stepped by the test, whether or not it was woken.
pub(crate) struct TestTask<F: Future> {
    scope: Pin<Box<TaskScope<F>>>,
    keep: Arc<Keep>,
}

/// Keeps a task's facts alive, counts its wakes.
pub(crate) struct Keep {
    info: TaskInfo,
    wakes: AtomicUsize,
}

impl Wake for Keep {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
    }
}

impl<F: Future> TestTask<F> {
    #[track_caller]
    pub(crate) fn new(body: F) -> Self {
        let keep = Arc::new(Keep { info: TaskInfo::new(), wakes: AtomicUsize::new(0) });
        // SAFETY: the waker of every poll is the Arc that owns the info, and `self` holds one until the scope is dropped.
        let scope = unsafe { TaskScope::new(body, NonNull::from(&keep.info)) };
        TestTask { scope: Box::pin(scope), keep }
    }

    pub(crate) fn handle(&self) -> TaskRef {
        // SAFETY: the waker is the Arc that owns the info; the test stays on its thread.
        unsafe { TaskRef::new(NonNull::from(&self.keep.info), Waker::from(self.keep.clone())) }
    }

    pub(crate) fn step(&mut self) -> Option<Result<F::Output, TaskEnd>> {
        let waker = Waker::from(self.keep.clone());
        match self.scope.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(end) => Some(end),
            Poll::Pending => None,
        }
    }

    /// Steps until the task ends, as long as it has been woken since its last step.
    pub(crate) fn run(&mut self) -> Option<Result<F::Output, TaskEnd>> {
        loop {
            self.keep.wakes.store(0, Ordering::Relaxed);
            if let Some(end) = self.step() {
                return Some(end);
            }
            if self.keep.wakes.load(Ordering::Relaxed) == 0 {
                return None;
            }
        }
    }

    /// How often it was woken since the last step of `run`.
    pub(crate) fn wakes(&self) -> usize {
        self.keep.wakes.load(Ordering::Relaxed)
    }
}

/// Polls `future` at most `max` times with a waker that does nothing.
pub(crate) fn poll_up_to<F: Future>(mut future: Pin<&mut F>, max: usize) -> Option<F::Output> {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..max {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return Some(value);
        }
    }
    None
}
