//! Futures between threads.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use asyncio_future::concurrent::{self, Completion, Promise, ResultError};
use asyncio_loop::EventLoop;
use futures_lite::future::{block_on, poll_once};

#[test]
fn both_sides_may_go_to_and_be_shared_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Promise<std::cell::Cell<u8>>>();
    check::<concurrent::Future<std::cell::Cell<u8>>>();
}

#[test]
fn a_blocking_result_wakes_up_when_another_thread_sets_it() {
    let (promise, future) = concurrent::promise();
    let setter = thread::spawn(move || promise.set_result(vec![1, 2]));
    assert_eq!(future.result(None).unwrap(), [1, 2]);
    setter.join().unwrap().unwrap();
}

#[test]
fn an_await_wakes_up_when_another_thread_sets_it() {
    for round in 0..500 {
        let (promise, future) = concurrent::promise();
        let setter = thread::spawn(move || promise.set_result(round));
        assert_eq!(block_on(future), Ok(round));
        setter.join().unwrap().unwrap();
    }
}

#[test]
fn a_timeout_gives_the_future_back_and_cancels_nothing() {
    let (promise, future) = concurrent::promise();
    let error = future.result(Some(Duration::from_millis(1))).unwrap_err();
    assert!(error.is_timeout() && !error.is_cancelled());
    let ResultError::TimedOut(future) = error else { unreachable!() };
    assert!(!future.done());
    promise.set_result("late").unwrap();
    assert_eq!(future.result(Some(Duration::ZERO)).unwrap(), "late");
}

#[test]
fn a_timeout_beyond_the_end_of_the_clock_is_no_timeout() {
    let (promise, future) = concurrent::promise();
    let setter = thread::spawn(move || promise.set_result(()));
    future.result(Some(Duration::MAX)).unwrap();
    setter.join().unwrap().unwrap();
}

#[test]
fn cancelling_a_pending_one_refuses_start_and_result() {
    let (promise, future) = concurrent::promise();
    assert!(future.cancel() && future.cancelled() && future.done());
    assert!(future.cancel(), "cancelled is cancelled, as concurrent.futures has it");
    assert!(promise.is_cancelled());
    assert!(!promise.set_running_or_notify_cancel());
    let refused = promise.set_result(String::from("mine")).unwrap_err();
    assert!(refused.is_cancelled());
    assert_eq!(refused.into_inner(), "mine");
    assert!(future.result(None).unwrap_err().is_cancelled());
}

#[test]
fn what_runs_cannot_be_cancelled() {
    let (promise, future) = concurrent::promise();
    assert!(promise.set_running_or_notify_cancel());
    assert!(future.running() && !future.cancel() && !future.cancelled());
    promise.set_result(1).unwrap();
    assert!(!future.running() && !future.cancel());
    assert_eq!(future.result(None).unwrap(), 1);
}

#[test]
fn of_cancel_and_start_exactly_one_wins() {
    for _ in 0..2_000 {
        let (promise, future) = concurrent::promise::<()>();
        let together = Arc::new(Barrier::new(2));
        let starter = thread::spawn({
            let together = Arc::clone(&together);
            move || {
                together.wait();
                // The promise comes back: dropped while it runs, it would cancel after all.
                (promise.set_running_or_notify_cancel(), promise)
            }
        });
        together.wait();
        let cancelled = future.cancel();
        let (started, _promise) = starter.join().unwrap();
        assert_ne!(cancelled, started);
    }
}

#[test]
fn a_promise_dropped_without_a_result_cancels_its_future() {
    let (promise, future) = concurrent::promise::<u8>();
    let dropper = thread::spawn(move || drop(promise));
    assert!(block_on(future).is_err());
    dropper.join().unwrap();

    let (promise, future) = concurrent::promise::<u8>();
    assert!(promise.set_running_or_notify_cancel());
    drop(promise);
    assert!(future.cancelled());
}

#[test]
fn a_promise_that_was_kept_does_not_cancel_when_it_is_dropped() {
    let (promise, future) = concurrent::promise();
    promise.set_result(1).unwrap();
    assert!(!future.cancelled());
    assert_eq!(block_on(future), Ok(1));
}

#[test]
fn a_panic_goes_on_in_who_takes_the_result() {
    let (promise, future) = concurrent::promise::<()>();
    promise.set_panic(Box::new(7_u32)).unwrap();
    assert!(future.done() && !future.cancelled());
    let payload = catch_unwind(AssertUnwindSafe(|| block_on(future))).unwrap_err();
    assert_eq!(*payload.downcast::<u32>().unwrap(), 7);
}

#[test]
fn callbacks_run_in_order_on_the_thread_that_completes() {
    let (promise, future) = concurrent::promise();
    let log = Arc::new(Mutex::new(Vec::new()));
    for number in 0..3 {
        let log = Arc::clone(&log);
        future.add_done_callback(move |how| {
            log.lock().unwrap().push((number, how, thread::current().id()));
        });
    }
    let setter = thread::spawn(move || {
        promise.set_result(()).unwrap();
        thread::current().id()
    });
    let there = setter.join().unwrap();
    let expected = [0, 1, 2].map(|number| (number, Completion::Finished, there));
    assert_eq!(*log.lock().unwrap(), expected);
}

#[test]
fn a_callback_added_when_done_runs_at_once() {
    let (promise, future) = concurrent::promise::<()>();
    drop(promise);
    let (tx, rx) = mpsc::channel();
    future.add_done_callback(move |how| tx.send(how).unwrap());
    assert_eq!(rx.try_recv(), Ok(Completion::Cancelled));
}

#[test]
fn a_callback_that_panics_harms_neither_the_others_nor_the_setter() {
    let (promise, future) = concurrent::promise();
    let (tx, rx) = mpsc::channel();
    future.add_done_callback(|_| panic!("this one is meant to"));
    future.add_done_callback(move |how| tx.send(how).unwrap());
    promise.set_result(5).unwrap();
    assert_eq!(rx.try_recv(), Ok(Completion::Finished));
    assert_eq!(future.result(None).unwrap(), 5);
}

#[test]
fn any_number_of_threads_may_wait() {
    let patience = Duration::from_secs(60);
    // Nobody can see that all of them wait; of many rounds, they do in some.
    for _ in 0..100 {
        let (promise, future) = concurrent::promise();
        let (future, begun) = (Arc::new(future), Instant::now());
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let future = Arc::clone(&future);
                thread::spawn(move || future.wait(Some(patience)))
            })
            .collect();
        thread::yield_now();
        promise.set_result(9).unwrap();
        for thread in waiting {
            assert!(thread.join().unwrap(), "every waiter sees it done");
        }
        assert!(begun.elapsed() < patience, "a waiter was not woken");
        assert_eq!(block_on(Arc::into_inner(future).unwrap()), Ok(9));
    }
}

#[test]
fn an_await_that_was_dropped_loses_no_result() {
    block_on(async {
        let (promise, mut future) = concurrent::promise();
        assert!(poll_once(&mut future).await.is_none());
        promise.set_result(3).unwrap();
        assert_eq!(future.await, Ok(3));
    });
}

#[test]
fn the_newest_waker_is_the_one_that_is_woken() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let counts = [0, 1].map(|_| Arc::new(Count(AtomicUsize::new(0))));
    let wakers = counts.each_ref().map(|count| Waker::from(Arc::clone(count)));
    let (promise, mut future) = concurrent::promise();
    let mut poll =
        |waker| Future::poll(std::pin::Pin::new(&mut future), &mut Context::from_waker(waker));
    assert!(poll(&wakers[0]).is_pending());
    assert!(poll(&wakers[1]).is_pending());
    promise.set_result(()).unwrap();
    assert_eq!(counts.map(|count| count.0.load(Ordering::SeqCst)), [0, 1]);
    assert_eq!(poll(&wakers[1]), Poll::Ready(Ok(())));
}

#[test]
fn the_value_of_a_future_that_was_dropped_is_dropped() {
    let witness = Arc::new(());
    let (promise, future) = concurrent::promise();
    drop(future);
    promise.set_result(Arc::clone(&witness)).unwrap();
    assert_eq!(Arc::strong_count(&witness), 1);
}

#[test]
fn a_promise_hears_that_its_future_is_cancelled() {
    let (promise, future) = concurrent::promise::<()>();
    let (sender, heard) = mpsc::channel();
    promise.add_done_callback(move |how| sender.send(how).unwrap());
    assert!(heard.try_recv().is_err());
    assert!(thread::spawn(move || future.cancel()).join().unwrap());
    assert_eq!(heard.recv(), Ok(Completion::Cancelled));
}

#[test]
fn a_panic_that_nobody_retrieves_is_reported_once_when_both_sides_are_gone() {
    let event_loop = EventLoop::new().unwrap();
    let reports = Rc::new(RefCell::new(Vec::new()));
    let sink = reports.clone();
    event_loop.set_exception_handler(move |_, context| sink.borrow_mut().push(context.to_string()));
    let broken = |text: &'static str| {
        let (promise, future) = concurrent::promise::<u8>();
        promise.set_panic(Box::new(text)).unwrap();
        future
    };
    event_loop
        .run_until_complete(async {
            drop(broken("dropped"));
            assert_eq!(reports.borrow().len(), 1);
            let taken = broken("taken");
            assert!(catch_unwind(AssertUnwindSafe(|| taken.result(None))).is_err());
            let (promise, future) = concurrent::promise::<u8>();
            drop(future);
            assert_eq!(reports.borrow().len(), 1);
            promise.set_panic(Box::new("into the void")).unwrap();
        })
        .unwrap();
    let reports = reports.take();
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert!(reports[0].contains("dropped") && reports[1].contains("into the void"), "{reports:?}");
    event_loop.close().unwrap();
}
