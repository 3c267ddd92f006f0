//! A thread's future on the loop.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread;

use asyncio_future::{concurrent, wrap_future};
use asyncio_loop::{EventLoop, run};

/// Behaviour: FUT-15, FUT-16.
#[test]
fn a_result_from_another_thread_arrives_on_the_loop() {
    run(async {
        let (promise, source) = concurrent::promise();
        let worker = thread::spawn(move || promise.set_result(thread::current().id()).unwrap());
        let wrapper = wrap_future(source).unwrap();
        let here = Rc::new(Cell::new(None));
        let sink = Rc::clone(&here);
        wrapper.add_done_callback(move |_| sink.set(Some(thread::current().id())));
        let there = (&wrapper).await.unwrap();
        assert_eq!(there, worker.thread().id());
        worker.join().unwrap();
        asyncio_coro::yield_now().await;
        assert_eq!(here.get(), Some(thread::current().id()), "callbacks run on the loop");
    })
    .unwrap();
}

/// Behaviour: FUT-16. (Its last part; and what is wrapped is never a loop's future, the types see to that.)
#[test]
fn without_a_running_loop_there_is_nothing_to_wrap_for() {
    let (_promise, source) = concurrent::promise::<u8>();
    assert!(wrap_future(source).is_err());
}

/// Behaviour: FUT-17.
#[test]
fn cancelling_the_wrapper_cancels_the_source() {
    run(async {
        let (promise, source) = concurrent::promise::<u8>();
        let wrapper = wrap_future(source).unwrap();
        assert!(wrapper.cancel());
        // A callback of the wrapper's: it takes a tick.
        asyncio_coro::yield_now().await;
        assert!(promise.is_cancelled());
        assert!(!promise.set_running_or_notify_cancel());
    })
    .unwrap();
}

/// Behaviour: FUT-17.
#[test]
fn if_the_source_has_its_result_only_the_wrapper_is_cancelled() {
    run(async {
        let witness = Arc::new(());
        let (promise, source) = concurrent::promise();
        promise.set_result(Arc::clone(&witness)).unwrap();
        let wrapper = wrap_future(source).unwrap();
        assert!(wrapper.cancel());
        for _ in 0..3 {
            asyncio_coro::yield_now().await;
        }
        assert!(wrapper.cancelled());
        assert_eq!(Arc::strong_count(&witness), 1, "the result is dropped");
    })
    .unwrap();
}

#[test]
fn a_wrapper_that_somebody_else_completes_leaves_the_source_alone() {
    run(async {
        let (promise, source) = concurrent::promise::<u8>();
        let wrapper = wrap_future(source).unwrap();
        wrapper.set_result(1).unwrap();
        asyncio_coro::yield_now().await;
        assert!(!promise.is_cancelled());
        promise.set_result(2).unwrap();
        asyncio_coro::yield_now().await;
        assert_eq!(wrapper.await, Ok(1));
    })
    .unwrap();
}

/// Behaviour: FUT-15.
#[test]
fn a_source_that_is_cancelled_cancels_the_wrapper() {
    run(async {
        let (promise, source) = concurrent::promise::<u8>();
        let wrapper = wrap_future(source).unwrap();
        let worker = thread::spawn(move || drop(promise));
        assert!(wrapper.await.is_err());
        worker.join().unwrap();
    })
    .unwrap();
}

/// Behaviour: FUT-15.
#[test]
fn a_panic_of_the_source_is_reported_and_cancels_the_wrapper() {
    let event_loop = EventLoop::new().unwrap();
    let reports = Rc::new(Cell::new(0));
    let count = Rc::clone(&reports);
    event_loop.set_exception_handler(move |_, _| count.set(count.get() + 1));
    event_loop
        .run_until_complete(async {
            let (promise, source) = concurrent::promise::<u8>();
            promise.set_panic(Box::new("meant to")).unwrap();
            assert!(wrap_future(source).unwrap().await.is_err());
        })
        .unwrap();
    assert_eq!(reports.get(), 1);
    event_loop.close().unwrap();
}

#[test]
fn a_wrapper_whose_loop_was_closed_is_let_go_and_the_late_result_is_dropped() {
    let witness = Arc::new(());
    let dropped = Rc::new(());
    let (promise, source) = concurrent::promise();
    let event_loop = EventLoop::new().unwrap();
    event_loop
        .run_until_complete(async {
            let seen = Rc::clone(&dropped);
            wrap_future(source).unwrap().add_done_callback(move |_| unreachable!("{seen:?}"));
        })
        .unwrap();
    event_loop.close().unwrap();
    assert_eq!(Rc::strong_count(&dropped), 1, "the wrapper went with its loop");
    let (tx, rx) = mpsc::channel();
    let late = Arc::clone(&witness);
    thread::spawn(move || tx.send(promise.set_result(late).is_ok()).unwrap()).join().unwrap();
    // Whether it is refused or dropped: it does not call into the loop, and does not leak.
    let _ = rx.recv().unwrap();
    assert_eq!(Arc::strong_count(&witness), 1);
}

#[test]
fn many_results_from_four_threads_all_arrive() {
    run(async {
        let (promises, wrappers): (Vec<_>, Vec<_>) = (0..1000_usize)
            .map(|_| concurrent::promise())
            .map(|(promise, source)| (promise, wrap_future(source).unwrap()))
            .unzip();
        let mut promises = promises.into_iter().enumerate();
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let mine = Vec::from_iter(promises.by_ref().take(250));
                thread::spawn(move || {
                    for (number, promise) in mine {
                        promise.set_result(number).unwrap();
                    }
                })
            })
            .collect();
        for (number, wrapper) in wrappers.into_iter().enumerate() {
            assert_eq!(wrapper.await, Ok(number));
        }
        for worker in workers {
            worker.join().unwrap();
        }
    })
    .unwrap();
}
