//! What the tests share: a log of events, wakers that count, and reports that are kept.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

use asyncio_coro::try_finally;
use asyncio_loop::{EventLoop, get_running_loop};
use asyncio_task::{ExceptionGroup, sleep};

/// Events in the order in which they happened.
#[derive(Clone, Default)]
pub struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub fn push(&self, event: impl Into<String>) {
        self.0.borrow_mut().push(event.into());
    }

    /// What has happened since the last call.
    pub fn take(&self) -> Vec<String> {
        self.0.take()
    }

    /// Logs `event` when dropped.
    pub fn on_drop(&self, event: &'static str) -> OnDrop {
        OnDrop(self.clone(), event)
    }
}

pub struct OnDrop(Log, &'static str);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.push(self.1);
    }
}

/// Counts its wakes.
#[derive(Default)]
pub struct Wakes(AtomicUsize);

impl Wakes {
    pub fn new() -> (Arc<Self>, Waker) {
        let wakes = Arc::new(Self::default());
        (wakes.clone(), Waker::from(wakes))
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The running loop.
pub fn here() -> EventLoop {
    get_running_loop().expect("a loop runs")
}

/// Keeps what is reported to the running loop's exception handler, as text.
pub fn reports() -> Log {
    let log = Log::default();
    here().set_exception_handler({
        let log = log.clone();
        move |_, context| log.push(context.to_string())
    });
    log
}

/// Runs `main` on a loop whose clock jumps, and says how much time passed on it.
pub fn run<T>(main: impl Future<Output = T>) -> T {
    asyncio_loop::testing::run(main).expect("the main future is not cancelled")
}

/// The time that `body` took on the loop's clock.
pub async fn timed<T>(body: impl Future<Output = T>) -> (T, Duration) {
    let start = here().time();
    let value = body.await;
    (value, here().time() - start)
}

/// Gives the waker of the current task.
pub async fn my_waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

/// What a child gives.
pub type Outcome<T = ()> = Result<T, &'static str>;

/// Sleeps for ever, and logs when it has been unwound.
pub async fn parked(log: &Log, name: &str) -> Outcome {
    try_finally(pending::<()>(), async || log.push(format!("{name} unwound"))).await;
    Ok(())
}

/// Logs and succeeds.
pub async fn note(log: &Log, event: &str) -> Outcome {
    log.push(event);
    Ok(())
}

/// Sleeps, then fails.
pub async fn fail_after(seconds: u64, error: &'static str) -> Outcome {
    sleep(secs(seconds)).await;
    Err(error)
}

/// The errors of a group that failed.
pub fn errors<T>(result: Result<T, ExceptionGroup<&'static str>>) -> Vec<&'static str> {
    result.map(drop).expect_err("it fails").into_errors()
}
