//! Wakers that do more than wake: nothing of the tree is in our hands while they run.

mod driver;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use asyncio_coro::{CancelScope, try_finally, yield_now};
use futures_util::future::{LocalBoxFuture, join};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};

use driver::{Log, Reports, TestTask};

thread_local! {
    static VICTIM: RefCell<Option<LocalBoxFuture<'static, ()>>> = const { RefCell::new(None) };
    static WAKES: Cell<usize> = const { Cell::new(0) };
}

/// Drops the victim as soon as it is woken.
struct Dropper;

impl Wake for Dropper {
    fn wake(self: Arc<Self>) {
        WAKES.set(WAKES.get() + 1);
        drop(VICTIM.take());
    }
}

/// Polls the victim as soon as it is woken, in the middle of whatever wakes it.
struct Poller;

impl Wake for Poller {
    fn wake(self: Arc<Self>) {
        poll_victim(&Waker::from(self));
    }
}

fn poll_victim(waker: &Waker) {
    let Some(mut victim) = VICTIM.take() else { return };
    if victim.as_mut().poll(&mut Context::from_waker(waker)).is_pending() {
        VICTIM.set(Some(victim));
    }
}

/// A body with scopes beside each other and inside each other.
fn body(log: Log) -> impl Future<Output = ()> {
    let cleaned = |name| {
        let log = log.clone();
        try_finally(pending::<()>(), async move || {
            yield_now().await;
            log.push(name);
        })
    };
    let mut all: FuturesUnordered<_> = [cleaned("a"), cleaned("b")].into_iter().collect();
    join(cleaned("c"), async move { while all.next().await.is_some() {} }).map(|_| ())
}

#[test]
fn a_waker_that_drops_the_scope_which_is_cancelled_is_harmless() {
    let reports = Reports::collect();
    let log = Log::default();
    let scope = CancelScope::new();
    let run = scope.run(body(log.clone())).map(|_| ()).boxed_local();
    VICTIM.set(Some(run));
    poll_victim(&Waker::from(Arc::new(Dropper)));
    scope.cancel();
    assert!(WAKES.get() > 0);
    assert!(VICTIM.take().is_none());
    assert!(log.take().is_empty());
    assert_eq!(reports.reasons().len(), 3);
}

#[test]
fn a_waker_that_drops_the_task_which_is_cancelled_is_harmless() {
    struct Shared(Pin<Box<dyn Future<Output = ()>>>);
    let reports = Reports::collect();
    let mut task = TestTask::new(async {
        // The scopes inside are polled with a waker that is not the task's.
        let mut inner = Shared(Box::pin(body(Log::default())));
        std::future::poll_fn(move |_| {
            let waker = Waker::from(Arc::new(Dropper));
            inner.0.as_mut().poll(&mut Context::from_waker(&waker))
        })
        .await;
    });
    assert!(task.step().is_none());
    let handle = task.handle();
    VICTIM.set(Some(Box::pin(async move {
        let _held = task;
        pending().await
    })));
    assert!(handle.cancel());
    assert!(VICTIM.take().is_none());
    assert!(!handle.is_live());
    assert_eq!(reports.reasons().len(), 3);
}

#[test]
fn a_waker_that_polls_at_once_unwinds_inside_cancel() {
    let log = Log::default();
    let scope = CancelScope::new();
    VICTIM.set(Some(scope.run(body(log.clone())).map(|_| ()).boxed_local()));
    poll_victim(&Waker::from(Arc::new(Poller)));
    scope.cancel();
    // The steps of the cleanups wake from inside a poll, where this waker finds nothing to poll.
    let mut rest = pin!(std::future::poll_fn(|_| {
        poll_victim(Waker::noop());
        VICTIM.with_borrow(|victim| if victim.is_some() { Poll::Pending } else { Poll::Ready(()) })
    }));
    assert!(driver::poll_up_to(rest.as_mut(), 20).is_some());
    assert!(scope.cancelled_caught());
    let mut names = log.take();
    names.sort_unstable();
    assert_eq!(names, ["a", "b", "c"]);
}
