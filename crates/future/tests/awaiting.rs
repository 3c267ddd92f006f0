//! Awaiting a loop's future.
#![expect(unsafe_code, reason = "a waker whose clone does more than clone")]

use std::cell::RefCell;
use std::future::Future as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use asyncio_coro::{CancelScope, CancelledError};
use asyncio_future::Future;
use asyncio_loop::{get_running_loop, run, testing};
use futures_lite::future::{block_on, poll_once, zip};

async fn wait<T: Clone + 'static>(future: &Future<T>) -> Result<T, CancelledError> {
    future.await
}

#[test]
fn a_future_that_is_done_is_awaited_without_suspending() {
    block_on(async {
        let future = Future::new();
        future.set_result(1).unwrap();
        assert_eq!(poll_once(pin!(wait(&future))).await, Some(Ok(1)));
    });
}

#[test]
fn several_awaiters_each_get_the_result() {
    let sum = run(async {
        let future = Future::new();
        let setter = future.clone();
        get_running_loop().unwrap().call_soon(move || setter.set_result(20).unwrap());
        let (a, b) = zip(wait(&future), zip(wait(&future), wait(&future))).await;
        a.unwrap() + b.0.unwrap() + b.1.unwrap()
    });
    assert_eq!(sum.unwrap(), 60);
}

#[test]
fn awaiters_of_a_future_that_is_cancelled_are_told_so() {
    run(async {
        let future = Future::<u8>::new();
        let canceller = future.clone();
        get_running_loop().unwrap().call_soon(move || assert!(canceller.cancel()));
        assert!((&future).await.is_err());
        assert!(future.await.is_err());
    })
    .unwrap();
}

#[test]
fn a_loop_future_needs_no_loop() {
    let future = Future::new();
    let setter = future.clone();
    let (result, ()) = block_on(zip(wait(&future), async move {
        futures_lite::future::yield_now().await;
        setter.set_result("spam").unwrap();
    }));
    assert_eq!(result, Ok("spam"));
}

#[test]
fn an_await_that_is_dropped_leaves_no_trace_and_loses_nothing() {
    block_on(async {
        let future = Future::new();
        for _ in 0..3 {
            let mut first = Box::pin(wait(&future));
            let mut second = Box::pin(wait(&future));
            assert!(poll_once(&mut first).await.is_none());
            assert!(poll_once(&mut second).await.is_none());
            assert!(poll_once(&mut first).await.is_none(), "polled again, listed once");
            assert_eq!(format!("{future:?}"), "<Future pending cb=[<awaiter>, <awaiter>]>");
        }
        assert_eq!(format!("{future:?}"), "<Future pending>");
        future.set_result(5).unwrap();
        assert_eq!(future.await, Ok(5));
    });
}

#[test]
fn resuming_an_awaiter_costs_one_tick() {
    let log = Rc::new(RefCell::new(Vec::new()));
    testing::run(async {
        let event_loop = get_running_loop().unwrap();
        let future = Future::new();
        let setter = future.clone();
        let (first, second) = (Rc::clone(&log), Rc::clone(&log));
        event_loop.call_soon(move || {
            setter.set_result(()).unwrap();
            get_running_loop().unwrap().call_soon(move || second.borrow_mut().push("after"));
            first.borrow_mut().push("set");
        });
        future.await.unwrap();
        log.borrow_mut().push("resumed");
        futures_lite::future::yield_now().await;
    })
    .unwrap();
    assert_eq!(*log.borrow(), ["set", "resumed", "after"]);
}

/// As asyncio: `task.cancel()` cancels the future that the task awaits.
#[test]
fn cancelling_who_awaits_a_future_cancels_the_future_for_all() {
    run(async {
        let future = Future::<u8>::new();
        let scope = CancelScope::new();
        let canceller = scope.clone();
        get_running_loop().unwrap().call_soon(move || canceller.cancel());
        let (scoped, other) = zip(scope.run(wait(&future)), wait(&future)).await;
        assert!(scoped.is_err(), "the scope was cancelled: {scoped:?}");
        assert!(other.is_err() && future.cancelled());
    })
    .unwrap();
}

#[test]
fn cancelling_who_waits_for_done_leaves_the_future_alone() {
    run(async {
        let future = Future::new();
        let scope = CancelScope::new();
        let canceller = scope.clone();
        get_running_loop().unwrap().call_soon(move || canceller.cancel());
        assert!(scope.run(future.wait_done()).await.is_err());
        assert!(!future.done());
        future.set_result(3).unwrap();
        future.wait_done().await;
        assert_eq!(future.take_result(), Ok(3));
    })
    .unwrap();
}

/// Behaviour: FUT-18. (Here a refused result is a value, which one may ignore.)
#[test]
fn a_result_for_a_future_cancelled_meanwhile_is_dropped_silently() {
    let future = Future::new();
    future.cancel();
    let witness = Rc::new(());
    let _ = future.set_result(Rc::clone(&witness));
    assert_eq!(Rc::strong_count(&witness), 1);
}

#[test]
fn awaiting_what_somebody_took_panics_and_says_why() {
    let future = Future::new();
    future.set_result(1).unwrap();
    future.take_result().unwrap();
    let payload = catch_unwind(AssertUnwindSafe(|| block_on(wait(&future)))).unwrap_err();
    assert!(payload.downcast::<String>().unwrap().contains("taken already"));
}

/// Panics when it is woken.
struct Angry;

impl Wake for Angry {
    fn wake(self: Arc<Self>) {
        panic!("a waker");
    }
}

#[test]
fn a_waker_that_panics_costs_the_other_awaiters_nothing() {
    let future = Future::new();
    let (mut first, mut second) = (pin!(future.wait_done()), pin!(future.wait_done()));
    let angry = Waker::from(Arc::new(Angry));
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Waker::from(Arc::new(Counting(count.clone())));
    assert!(first.as_mut().poll(&mut Context::from_waker(&angry)).is_pending());
    assert!(second.as_mut().poll(&mut Context::from_waker(&counting)).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| future.set_result(7))).is_err());
    assert_eq!((count.load(Ordering::Relaxed), future.result()), (1, Ok(7)));
}

struct Counting(Arc<AtomicUsize>);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_future_completed_while_its_awaiters_waker_is_cloned_is_seen_at_once() {
    use std::task::{RawWaker, RawWakerVTable};
    thread_local! {
        static FUTURE: Future<u8> = Future::new();
    }
    fn clone(_: *const ()) -> RawWaker {
        let _ = FUTURE.with(|future| future.set_result(7));
        RawWaker::new(std::ptr::null(), &TABLE)
    }
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, |_| {}, |_| {}, |_| {});
    // SAFETY: the table's functions use no data.
    let waker = unsafe { Waker::new(std::ptr::null(), &TABLE) };
    let future = FUTURE.with(Future::clone);
    let mut wait = pin!(future.wait_done());
    assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
    assert_eq!(future.result(), Ok(7));
}
