//! Operations that need a running loop.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use asyncio_loop::{EventLoop, TimerKey, get_running_loop, testing};

use crate::case::{Case, Way, blame};
use crate::subject::{MOST_POINTS, Subject};

/// Cancels an operation at each of its suspension points, and calls `check` on what each run leaves behind.
///
/// Each run has a fresh loop with a virtual clock, which jumps whenever there is nothing else to do. On it `set_up`
/// makes the scene (with the tasks that the operation waits for) and the operation; the operation is polled as part of
/// the main future; and when it is over `check` looks at the scene. All three may await, and none has more than a day
/// of virtual time. The last run is the one in which the operation comes through; the answer is how many suspension
/// points that had.
///
/// # Panics
///
/// When one of the three does not come to its end; and as `check` does.
///
/// # Examples
///
/// ```
/// use asyncio_cancel_everywhere::on_loop;
/// use asyncio_loop::get_running_loop;
/// use std::{cell::Cell, rc::Rc, time::Duration};
///
/// let points = on_loop(
///     async || {
///         let rang = Rc::new(Cell::new(false));
///         let bell = rang.clone();
///         let operation = async move {
///             let event_loop = get_running_loop().unwrap();
///             event_loop.call_later(Duration::from_secs(3600), move || bell.set(true));
///             asyncio_coro::yield_now().await;
///         };
///         (rang, operation)
///     },
///     async |rang, _case| assert!(!rang.get(), "an hour has not passed"),
/// );
/// assert_eq!(points, 1);
/// ```
pub fn on_loop<S, F: Future>(
    set_up: impl AsyncFn() -> (S, F),
    check: impl AsyncFn(S, Case<F::Output>),
) -> usize {
    for point in 0..=MOST_POINTS {
        for way in [Way::Dropped, Way::DroppedWoken, Way::Requested, Way::RequestedWoken] {
            if point == 0 && way.is_woken() {
                continue; // nobody wakes what has never been polled
            }
            let run = async {
                let _blame = blame(way, point, 0);
                let (scene, operation) = in_time("the set-up", set_up()).await;
                let run = run(operation, point, way);
                let case = in_time("the operation", run).await;
                let (way, passed) = (case.way, case.point);
                in_time("the check", check(scene, case)).await;
                (way, passed)
            };
            match testing::run(run) {
                Ok((Way::Never, points)) => return points,
                Ok(_) => {}
                Err(error) => panic!("no loop for the operation: {error}"),
            }
        }
    }
    panic!("the operation did not end at its suspension point {MOST_POINTS}");
}

/// Cancels the operation once it has come to `point`; or, for the `Woken` ways, instead of the poll after that.
async fn run<F: Future>(operation: F, point: usize, way: Way) -> Case<F::Output> {
    let mut subject = Subject::new(way, operation);
    let mut passed = 0;
    let came_through = poll_fn(|cx| {
        if passed == point {
            return Poll::Ready(None);
        }
        match subject.poll(cx) {
            Poll::Ready(output) => return Poll::Ready(Some(output)),
            Poll::Pending => passed += 1,
        }
        if passed == point && !way.is_woken() { Poll::Ready(None) } else { Poll::Pending }
    });
    if let Some(output) = came_through.await {
        return Case { way: Way::Never, point: passed, events: 0, output };
    }
    let output = match subject.cancel() {
        None => None,
        Some(mut left) => poll_fn(|cx| left.poll(cx)).await,
    };
    Case { way, point, events: 0, output }
}

/// Waits for `future`, but not for ever: when nothing else happens the clock jumps to the end of our patience.
async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    let mut future = pin!(future);
    let event_loop = get_running_loop().expect("`testing::run` runs one");
    let end = event_loop.time() + PATIENCE;
    let mut alarm = Alarm { event_loop, key: None };
    poll_fn(|cx| {
        let Alarm { event_loop, key } = &mut alarm;
        // The main future of a loop has one waker all the time.
        key.get_or_insert_with(|| event_loop.add_timer(end, cx.waker()));
        let polled = future.as_mut().poll(cx);
        assert!(
            polled.is_ready() || event_loop.time() < end,
            "{what} has not come to its end within a day, or is never woken"
        );
        polled
    })
    .await
}

struct Alarm {
    event_loop: EventLoop,
    key: Option<TimerKey>,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.event_loop.cancel_timer(key);
        }
    }
}

/// Longer than any operation under test sleeps; short enough to be reached if it ticks every second.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);
