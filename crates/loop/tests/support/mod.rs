//! What the tests of this crate share: a log of what ran, a sleep, and a loop of each kind.
#![allow(dead_code, reason = "no test file uses all of it")]

use std::cell::RefCell;
use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use asyncio_loop::{EventLoop, TimerKey, get_running_loop, testing};

/// What ran, in order. Clones share it.
#[derive(Debug)]
pub(crate) struct Log<T>(Rc<RefCell<Vec<T>>>);

impl<T: Debug + Clone + 'static> Log<T> {
    pub(crate) fn new() -> Self {
        Self(Rc::default())
    }

    pub(crate) fn push(&self, item: T) {
        self.0.borrow_mut().push(item);
    }

    /// A callback that logs `item`.
    pub(crate) fn entry(&self, item: T) -> impl FnOnce() + 'static {
        let log = self.clone();
        move || log.push(item)
    }

    /// A callback that logs `item` each time it is called.
    pub(crate) fn entry_again(self, item: T) -> impl FnMut() + 'static {
        move || self.push(item.clone())
    }

    pub(crate) fn items(&self) -> Vec<T> {
        self.0.borrow().clone()
    }

    /// What was logged since the last call.
    pub(crate) fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.0.borrow_mut())
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Sleeps on the running loop's clock.
pub(crate) async fn sleep(delay: Duration) {
    sleep_until(get_running_loop().expect("a loop is running").time() + delay).await;
}

/// Sleeps on the running loop's clock.
pub(crate) async fn sleep_until(when: Instant) {
    struct Timer(EventLoop, Option<TimerKey>);
    impl Drop for Timer {
        fn drop(&mut self) {
            if let Some(key) = self.1 {
                self.0.cancel_timer(key);
            }
        }
    }
    let mut timer = Timer(get_running_loop().expect("a loop is running"), None);
    poll_fn(|cx| {
        if timer.0.time() >= when {
            return Poll::Ready(());
        }
        if timer.1.is_none() {
            timer.1 = Some(timer.0.add_timer(when, cx.waker()));
        }
        Poll::Pending
    })
    .await;
}

/// Gives the loop `n` ticks.
pub(crate) async fn ticks(n: usize) {
    for _ in 0..n {
        asyncio_coro::yield_now().await;
    }
}

/// Runs a test on this system's own selector and on the portable one.
pub(crate) fn on_each_selector(test: impl Fn(EventLoop)) {
    test(EventLoop::new().unwrap());
    test(testing::portable_loop().unwrap());
}

/// Runs an async test on both selectors.
pub(crate) fn run_on_each_selector<F: Future<Output = ()>>(test: impl Fn() -> F) {
    on_each_selector(|event_loop| testing::run_with(&event_loop, test()).unwrap());
}
