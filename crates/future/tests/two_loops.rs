//! Two loops on one thread, one after the other, and futures that stray from one to the other.

use std::panic::{AssertUnwindSafe, catch_unwind};

use asyncio_future::Future;
use asyncio_loop::EventLoop;
use futures_lite::future::block_on;

fn two_loops() -> [EventLoop; 2] {
    [EventLoop::new().unwrap(), EventLoop::new().unwrap()]
}

fn panic_of<T>(f: impl FnOnce() -> T) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).map(drop).unwrap_err();
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => String::from(*payload.downcast::<&str>().unwrap()),
    }
}

#[test]
fn awaiting_a_pending_future_of_another_loop_panics_and_says_why() {
    let [mine, other] = two_loops();
    let made = other.run_until_complete(async { Future::<u8>::new() }).unwrap();
    for future in [made, Future::new_in(&other)] {
        let text = panic_of(|| mine.run_until_complete(async { (&future).await }));
        assert!(text.contains("attached to a different loop"), "{text}");
        let text = panic_of(|| mine.run_until_complete(future.wait_done()));
        assert!(text.contains("attached to a different loop"), "{text}");
        // On its own loop, and where no loop runs, it is as good as before.
        future.set_result(7).unwrap();
        assert_eq!(other.run_until_complete(async { (&future).await }).unwrap(), Ok(7));
        assert_eq!(block_on(async { (&future).await }), Ok(7));
    }
}

#[test]
fn a_future_that_is_done_or_belongs_to_no_loop_may_be_awaited_anywhere() {
    let [mine, other] = two_loops();
    let done = Future::new_in(&other);
    done.set_result(1).unwrap();
    assert_eq!(mine.run_until_complete(async { done.await }).unwrap(), Ok(1));

    let free = Future::<u8>::new();
    let setter = free.clone();
    mine.call_soon(move || setter.set_result(2).unwrap());
    assert_eq!(mine.run_until_complete(async { free.await }).unwrap(), Ok(2));
}
