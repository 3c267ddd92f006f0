//! Sleeping: in order, for nothing, cut short, for ever.

mod support;

use std::future::{Future, pending};
use std::task::Context;
use std::time::Duration;

use asyncio_coro::yield_now;
use asyncio_loop::testing;
use asyncio_task::{create_task, sleep, sleep_until, timeout};
use support::{Log, here, millis, run, secs, timed};

/// Behaviour: TSK-77.
#[test]
fn sleeping_for_nothing_lets_what_is_ready_run_once() {
    run(async {
        let log = Log::default();
        for n in 0..2 {
            let events = log.clone();
            here().call_soon(move || {
                events.push(format!("first {n}"));
                let again = events.clone();
                here().call_soon(move || again.push(format!("second {n}")));
            });
        }
        let ((), elapsed) = timed(sleep(Duration::ZERO)).await;
        assert_eq!(elapsed, Duration::ZERO);
        assert_eq!(log.take(), ["first 0", "first 1"]);
    });
}

#[test]
fn sleeping_until_a_time_that_has_passed_takes_one_tick() {
    run(async {
        let task = create_task(pending::<()>());
        sleep_until(here().time()).await;
        task.cancel();
        sleep_until(here().time() - millis(1)).await;
        assert!(task.done());
    });
}

/// Behaviour: TSK-74.
#[test]
fn two_halves_of_a_sleep_add_up() {
    run(async {
        let ((), elapsed) = timed(async {
            sleep(millis(50)).await;
            sleep(millis(50)).await;
        })
        .await;
        assert_eq!(elapsed, millis(100));
    });
}

#[test]
fn sleepers_wake_by_deadline_and_those_of_equal_deadline_in_order() {
    run(async {
        let log = Log::default();
        for (n, delay) in [(0, 3), (1, 1), (2, 3), (3, 2), (4, 1)] {
            let events = log.clone();
            create_task(async move {
                sleep(secs(delay)).await;
                events.push(format!("{n}"));
            });
        }
        sleep(secs(4)).await;
        assert_eq!(log.take(), ["1", "4", "3", "0", "2"]);
    });
}

/// Behaviour: TSK-76.
#[test]
fn a_dropped_sleep_leaves_no_timer() {
    let (event_loop, _clock) = testing::virtual_loop(testing::ClockMode::AutoJump).unwrap();
    let start = event_loop.time();
    testing::run_with(&event_loop, async {
        let task = create_task(sleep(secs(10)));
        yield_now().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        // The clock would jump to a timer that were left before this one.
        sleep(secs(20)).await;
    })
    .unwrap();
    assert_eq!(event_loop.time() - start, secs(20));
}

#[test]
fn a_sleep_polled_with_another_waker_wakes_that_one() {
    run(async {
        let mut nap = Box::pin(sleep(secs(1)));
        let (wakes, waker) = support::Wakes::new();
        assert!(nap.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let task = create_task(nap);
        sleep(secs(2)).await;
        assert!(task.done());
        assert_eq!(wakes.count(), 0);
    });
}

#[test]
fn a_sleep_beyond_what_a_clock_can_show_is_for_ever() {
    run(async {
        assert!(timeout(secs(1), sleep(Duration::MAX)).await.is_err());
    });
}
