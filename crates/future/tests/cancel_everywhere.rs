//! Every wait of this tier, cancelled at each of its suspension points.

use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use asyncio_cancel_everywhere::{Case, Way, between_events, on_loop};
use asyncio_coro::yield_now;
use asyncio_future::concurrent::{self, Promise};
use asyncio_future::{Future, wrap_future};
use asyncio_loop::get_running_loop;

/// Has `set` called by the loop in a minute.
fn in_a_minute(set: impl FnOnce() + 'static) {
    get_running_loop().unwrap().call_later(Duration::from_secs(60), set);
}

/// A future that gets 7 in a minute.
fn seven_in_a_minute() -> Future<u8> {
    let future = Future::new();
    let setter = future.clone();
    // Refused if it is cancelled by then.
    in_a_minute(move || _ = setter.set_result(7));
    future
}

/// Nobody waits for it any more.
fn nobody_is_listed<T: std::fmt::Debug>(future: &Future<T>) {
    assert!(!format!("{future:?}").contains("<awaiter>"), "{future:?}");
}

/// The main future may have been queued ahead of them.
async fn callbacks_ran() {
    yield_now().await;
    yield_now().await;
}

#[test]
fn an_await_that_is_dropped_leaves_the_result_and_one_that_is_asked_cancels_the_future() {
    let points = on_loop(
        async || {
            let future = seven_in_a_minute();
            (future.clone(), async move { future.await })
        },
        async |future, case| {
            nobody_is_listed(&future);
            match (case.way, case.point) {
                (Way::Requested, 1) => {
                    assert_eq!(case.output, None);
                    assert!(future.cancelled(), "the request is handed down");
                }
                (Way::Requested, 0) => assert!(future.cancelled(), "it runs to its first wait"),
                (Way::RequestedWoken | Way::Never, _) => {
                    assert_eq!(case.output, Some(Ok(7)), "what is ready is delivered");
                }
                _ => assert_eq!(future.await, Ok(7), "the next one gets it"),
            }
        },
    );
    assert_eq!(points, 1);
}

#[test]
fn an_await_that_is_cancelled_serves_the_others_that_wait() {
    on_loop(
        async || {
            let future = seven_in_a_minute();
            let served = Rc::new(RefCell::new(Vec::new()));
            for _ in 0..3 {
                let sink = served.clone();
                future.add_done_callback(move |future| sink.borrow_mut().push(future.cancelled()));
            }
            ((future.clone(), served), async move { future.await })
        },
        async |(future, served), _| {
            future.wait_done().await;
            callbacks_ran().await;
            assert_eq!(*served.borrow(), [future.cancelled(); 3]);
        },
    );
}

#[test]
fn a_wait_for_the_end_leaves_the_future_alone_however_it_ends() {
    let points = on_loop(
        async || {
            let future = seven_in_a_minute();
            (future.clone(), async move { future.wait_done().await })
        },
        async |future, _| {
            nobody_is_listed(&future);
            future.wait_done().await;
            assert_eq!(future.take_result(), Ok(7));
        },
    );
    assert_eq!(points, 1);
}

#[test]
fn a_wrapper_asked_to_end_cancels_its_source_and_one_dropped_does_not() {
    let points = on_loop(
        async || {
            let (promise, source) = concurrent::promise();
            let kept = Rc::new(RefCell::new(Some(promise)));
            let promise = kept.clone();
            in_a_minute(move || {
                let set = promise.take().map(|promise: Promise<u8>| promise.set_result(7));
                assert!(set.is_none_or(|set| set.is_ok() || set.unwrap_err().is_cancelled()));
            });
            let wrapper = wrap_future(source).unwrap();
            (kept, async move { wrapper.await })
        },
        async |kept, case: Case<_>| {
            callbacks_ran().await;
            let is_cancelled = kept.borrow().as_ref().is_some_and(|promise| promise.is_cancelled());
            assert_eq!(is_cancelled, case.way == Way::Requested, "{case}");
            assert!(case.output.is_none_or(|output| output == Ok(7)));
        },
    );
    assert_eq!(points, 1);
}

#[test]
fn an_await_of_a_future_between_threads_by_reference_loses_nothing() {
    type Shared = Rc<RefCell<concurrent::Future<u8>>>;
    let points = on_loop(
        async || {
            let (promise, future) = concurrent::promise();
            in_a_minute(move || promise.set_result(7).unwrap());
            let future: Shared = Rc::new(RefCell::new(future));
            let awaited = future.clone();
            (future, poll_fn(move |cx| Pin::new(&mut *awaited.borrow_mut()).poll(cx)))
        },
        async |future, case| {
            if case.output.is_some() {
                assert_eq!(case.output, Some(Ok(7)));
                return;
            }
            assert!(!future.borrow().cancelled(), "who waits cancels nothing");
            assert_eq!(poll_fn(|cx| Pin::new(&mut *future.borrow_mut()).poll(cx)).await, Ok(7));
        },
    );
    assert_eq!(points, 1);
}

/// No loop, no scope: any runtime. The promise is kept, broken, or its future cancelled under the awaiter.
#[test]
fn an_await_that_owns_a_future_between_threads_leaves_a_promise_that_can_be_kept() {
    type World = (Option<Promise<Rc<()>>>, Rc<()>);
    let keep: fn(&mut World) = |(promise, value)| {
        if let Some(promise) = promise.take() {
            promise.set_result(value.clone()).unwrap();
        }
    };
    let break_it: fn(&mut World) = |(promise, _)| *promise = None;
    for events in [[keep, keep], [break_it, keep]] {
        between_events(
            || {
                let (promise, future) = concurrent::promise();
                ((Some(promise), Rc::new(())), future)
            },
            &events,
            |world, case| {
                let is_held = matches!(case.output, Some(Ok(_)));
                assert_eq!(Rc::strong_count(&world.1), 1 + usize::from(is_held), "{case}");
                keep(world);
                assert_eq!(Rc::strong_count(&world.1), 1 + usize::from(is_held), "it is dropped");
            },
        );
    }
}
