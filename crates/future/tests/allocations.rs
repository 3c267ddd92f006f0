//! What a future allocates, counted on the test's own thread.

use std::future::IntoFuture;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use asyncio_counting_allocator::allocations_of;
use asyncio_future::{Future, concurrent};

fn poll<F: std::future::Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_future_is_one_allocation_and_its_first_awaiter_none() {
    let count = allocations_of(|| {
        let future = Future::new();
        let mut awaiter = pin!((&future).into_future());
        assert!(poll(awaiter.as_mut()).is_pending());
        assert!(poll(awaiter.as_mut()).is_pending());
        future.set_result(1).unwrap();
        assert_eq!(poll(awaiter), Poll::Ready(Ok(1)));
    });
    assert_eq!(count, 1);
}

#[test]
fn a_first_callback_is_no_more_than_its_own_box() {
    let captured = [0_u64; 4];
    let count = allocations_of(|| {
        let future = Future::new();
        future.add_done_callback(move |_| assert_eq!(captured.len(), 4));
        future.set_result(1).unwrap();
    });
    assert_eq!(count, 2);
}

#[test]
fn those_who_come_and_go_leave_nothing_behind() {
    let future = Future::<u8>::new();
    let mut stays = pin!(future.wait_done());
    assert!(poll(stays.as_mut()).is_pending());
    let come_and_go = || {
        let (mut first, mut second) = (pin!(future.wait_done()), pin!(future.wait_done()));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    };
    come_and_go();
    assert_eq!(allocations_of(|| (0..10_000).for_each(|_| come_and_go())), 0);
}

#[test]
fn a_promise_and_its_future_are_one_allocation() {
    let count = allocations_of(|| {
        let (promise, future) = concurrent::promise();
        promise.set_result(1).unwrap();
        assert_eq!(future.result(None).unwrap(), 1);
    });
    assert_eq!(count, 1);
}
