//! `sleep`: time passes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use asyncio_loop::{EventLoop, TimerKey, get_running_loop};

use crate::ready::identity;

/// Waits for `delay` on the loop's clock, counted from the first poll: no less, and up to a tick more.
///
/// `sleep(Duration::ZERO)` lets everything that is ready run once and comes back in the next tick, like
/// [`yield_now`](asyncio_coro::yield_now). Sleepers with equal deadlines resume in the order in which they lay down. The
/// timer is made at the first poll and removed when the future is dropped.
///
/// # Panics
///
/// Panics when it is polled and no loop is running.
///
/// # Cancel safety
///
/// Nothing is lost but the time: dropping it removes the timer.
///
/// # Examples
///
/// ```
/// use asyncio_task::sleep;
/// use std::time::Duration;
///
/// asyncio_loop::testing::run(async {
///     let event_loop = asyncio_loop::get_running_loop().unwrap();
///     let start = event_loop.time();
///     sleep(Duration::from_secs(3600)).await; // on a virtual clock
///     assert_eq!(event_loop.time() - start, Duration::from_secs(3600));
/// }).unwrap();
/// ```
pub fn sleep(delay: Duration) -> Sleep {
    Sleep { state: State::New(Until::After(delay)) }
}

/// Waits until the loop's clock shows `when`; if it does already, until the next tick.
///
/// # Panics
///
/// Panics when it is polled and no loop is running.
///
/// # Cancel safety
///
/// Nothing is lost but the time.
///
/// # Examples
///
/// ```
/// use asyncio_task::sleep_until;
/// use std::time::Duration;
///
/// asyncio_loop::testing::run(async {
///     let event_loop = asyncio_loop::get_running_loop().unwrap();
///     let when = event_loop.time() + Duration::from_secs(60);
///     sleep_until(when).await;
///     assert_eq!(event_loop.time(), when);
/// }).unwrap();
/// ```
pub fn sleep_until(when: Instant) -> Sleep {
    Sleep { state: State::New(Until::At(when)) }
}

/// The future of [`sleep`] and [`sleep_until`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not polled yet.
    New(Until),
    /// Nothing to wait for: the next poll is the end.
    Yielding,
    /// In the loop's timers, which own the waker of this identity.
    Armed {
        event_loop: EventLoop,
        when: Instant,
        key: TimerKey,
        waker: (usize, usize),
    },
    /// For ever: the deadline is beyond what the clock can show.
    Never,
    Done,
}

#[derive(Clone, Copy, Debug)]
enum Until {
    After(Duration),
    At(Instant),
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.state {
            State::New(until) => {
                let until = *until;
                self.state = start(until, cx.waker());
                Poll::Pending
            }
            State::Armed { event_loop, when, key, waker } => {
                if event_loop.time() >= *when {
                    self.finish();
                    return Poll::Ready(());
                }
                if *waker != identity(cx.waker()) {
                    event_loop.cancel_timer(*key);
                    *key = event_loop.add_timer(*when, cx.waker());
                    *waker = identity(cx.waker());
                }
                Poll::Pending
            }
            State::Never => Poll::Pending,
            State::Yielding | State::Done => {
                self.state = State::Done;
                Poll::Ready(())
            }
        }
    }
}

fn start(until: Until, waker: &Waker) -> State {
    if let Until::After(Duration::ZERO) = until {
        waker.wake_by_ref();
        return State::Yielding;
    }
    let event_loop = match get_running_loop() {
        Ok(event_loop) => event_loop,
        Err(error) => panic!("sleep: {error}"),
    };
    let when = match until {
        Until::After(delay) => event_loop.time().checked_add(delay),
        Until::At(when) => Some(when),
    };
    match when {
        None => State::Never,
        Some(when) if when <= event_loop.time() => {
            waker.wake_by_ref();
            State::Yielding
        }
        Some(when) => {
            let key = event_loop.add_timer(when, waker);
            State::Armed { event_loop, when, key, waker: identity(waker) }
        }
    }
}

impl Sleep {
    /// Takes the timer out, if there is one.
    fn finish(&mut self) {
        if let State::Armed { event_loop, key, .. } = &self.state {
            event_loop.cancel_timer(*key);
        }
        self.state = State::Done;
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.finish();
    }
}
