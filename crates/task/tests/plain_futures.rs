//! Tasks that wait for plain futures: how they subscribe, and what a cancel does to both.

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;

use asyncio_coro::yield_now;
use asyncio_future::Future;
use asyncio_loop::{EventLoop, get_running_loop, run, testing};
use asyncio_task::{JoinError, create_task, gather};

/// Behaviour: TSK-25.
#[test]
fn a_task_waits_in_line_with_the_callbacks_and_resumes_in_the_next_tick() {
    let event_loop = EventLoop::new().unwrap();
    let log = Rc::new(RefCell::new(Vec::new()));
    let note = |entry: &'static str| {
        let log = log.clone();
        move |_: &Future<u8>| log.borrow_mut().push(entry)
    };
    let future = Future::new_in(&event_loop);
    future.add_done_callback(note("first"));
    let (awaited, waiter) = (future.clone(), log.clone());
    event_loop.call_soon(move || {
        drop(create_task(async move {
            assert_eq!(awaited.await, Ok(7));
            waiter.borrow_mut().push("task");
        }));
    });
    testing::run_once(&event_loop).unwrap();
    testing::run_once(&event_loop).unwrap();
    assert!(format!("{future:?}").ends_with(", <awaiter>]>"), "{future:?}");
    future.add_done_callback(note("last"));
    future.set_result(7).unwrap();
    assert_eq!(log.borrow().len(), 0, "never inline");
    testing::run_once(&event_loop).unwrap();
    assert_eq!(*log.borrow(), ["first", "task", "last"]);
    event_loop.close().unwrap();
}

/// Behaviour: TSK-36. (That the future was cancelled is a value here; the task's own request is met where it waits next.)
#[test]
fn cancelled_in_one_tick_both_the_future_and_the_task_are_cancelled() {
    run(async {
        for task_first in [false, true] {
            let future = Future::<u8>::new();
            let (awaited, seen) = (future.clone(), Rc::new(RefCell::new(None)));
            let sink = seen.clone();
            let task = create_task(async move {
                *sink.borrow_mut() = Some(awaited.await);
                yield_now().await;
                12
            });
            yield_now().await;
            if task_first {
                assert!(task.cancel());
            }
            assert!(future.cancel());
            if !task_first {
                assert!(task.cancel());
            }
            assert!(task.await.unwrap_err().is_cancelled());
            assert!(future.cancelled() && matches!(*seen.borrow(), Some(Err(_))));
        }
    })
    .unwrap();
}

/// Behaviour: TSK-42.
#[test]
fn cancelling_a_task_that_waits_for_a_future_cancels_it_and_leaves_its_line() {
    run(async {
        let future = Future::<u8>::new();
        let awaited = future.clone();
        let task = create_task(async move { awaited.await });
        yield_now().await;
        assert_eq!(format!("{future:?}"), "<Future pending cb=[<awaiter>]>");
        assert!(task.cancel_with("enough"));
        let error = task.await.unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!(error.cancel_message(), Some("enough"));
        assert_eq!(format!("{future:?}"), "<Future cancelled>");
        let heard = future.await.unwrap_err();
        assert_eq!(heard.message(), Some("enough"), "the request is handed on with what it said");
    })
    .unwrap();
}

/// What asyncio loses here: the result is delivered, and the request met where the task waits next.
#[test]
fn a_cancel_that_comes_when_the_awaited_future_is_done_loses_no_result() {
    run(async {
        let future = Future::<u8>::new();
        let (awaited, seen) = (future.clone(), Rc::new(RefCell::new(None)));
        let sink = seen.clone();
        let task = create_task(async move {
            *sink.borrow_mut() = Some(awaited.await);
            pending::<()>().await;
        });
        yield_now().await;
        future.set_result(7).unwrap();
        assert!(task.cancel());
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(*seen.borrow(), Some(Ok(7)));
    })
    .unwrap();
}

fn text_of(error: &JoinError) -> String {
    assert!(error.is_panic());
    error.to_string()
}

/// Behaviour: TSK-21.
#[test]
fn a_task_that_awaits_a_future_of_another_loop_fails_and_says_why() {
    let other = EventLoop::new().unwrap();
    let future = Future::<u8>::new_in(&other);
    run(async {
        let awaited = future.clone();
        let error = create_task(async move { awaited.await }).await.unwrap_err();
        let text = text_of(&error);
        assert!(text.contains("attached to a different loop"), "{text}");
        assert!(!future.done(), "whoever waits for it at home can go on");
    })
    .unwrap();
    other.close().unwrap();
}

/// Behaviour: TSK-94. (There is always a loop that runs; it need not be taken from the children.)
#[test]
fn a_gather_of_futures_of_two_loops_fails_and_says_why() {
    let other = EventLoop::new().unwrap();
    let strange = Future::<u8>::new_in(&other);
    run(async {
        let mine = Future::<u8>::new();
        let setter = mine.clone();
        get_running_loop().unwrap().call_soon(move || setter.set_result(1).unwrap());
        let error = gather([mine, strange.clone()]).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("attached to a different loop"), "{text}");
    })
    .unwrap();
    other.close().unwrap();
}
