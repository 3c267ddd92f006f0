//! The intrusive waiter list: order, counting, cancellation, wakers that come back, and waiters that are forgotten.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use asyncio_coro::wait_list::WaitList;

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn waiters_are_notified_in_the_order_of_their_first_poll() {
    let list = WaitList::new();
    let (mut a, mut b, mut c) = (pin!(list.wait()), pin!(list.wait()), pin!(list.wait()));
    assert!(poll(b.as_mut()).is_pending());
    assert!(poll(a.as_mut()).is_pending());
    assert!(poll(c.as_mut()).is_pending());
    assert!(list.notify_one());
    assert!(b.is_notified() && !a.is_notified() && !c.is_notified());
    assert!(list.notify_one());
    assert!(a.is_notified() && !c.is_notified());
    assert!(poll(b).is_ready());
    assert!(poll(a).is_ready());
    assert!(poll(c).is_pending());
}
