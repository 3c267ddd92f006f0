//! Timeouts: what they convert, what they let pass, what they wait for.

mod support;

use std::cell::Cell;
use std::future::{Future, pending, ready};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use asyncio_coro::{catch_cancel, try_finally, yield_now};
use asyncio_task::{create_task, current_task, shield, sleep, timeout, timeout_at, wait_for};
use support::{Log, here, millis, run, secs, timed};

/// Behaviour: TMO-01, TMO-10.
#[test]
fn a_body_that_takes_too_long_is_unwound_and_the_task_goes_on() {
    run(async {
        let start = here().time();
        let (late, elapsed) = timed(timeout(millis(10), sleep(secs(10)))).await;
        assert_eq!(late.unwrap_err().to_string(), "timed out");
        assert_eq!(elapsed, millis(10));
        assert!(timeout_at(start + millis(20), sleep(secs(10))).await.is_err());
        assert_eq!(here().time() - start, millis(20));
        assert_eq!(current_task().unwrap().cancelling(), 0);
        sleep(secs(1)).await;
    });
}

/// Behaviour: TMO-02, WF-02, WF-08.
#[test]
fn the_cleanup_of_the_body_is_over_before_the_error_is_given() {
    run(async {
        let log = Log::default();
        let body = try_finally(pending::<()>(), async || {
            sleep(secs(1)).await;
            log.push("cleaned up");
        });
        let (late, elapsed) = timed(timeout(secs(1), body)).await;
        assert!(late.is_err());
        assert_eq!((elapsed, log.take()), (secs(2), vec!["cleaned up".to_owned()]));
    });
}

/// Behaviour: TMO-04.
#[test]
fn none_is_no_timeout() {
    run(async {
        assert!(timeout(None, sleep(secs(1000))).await.is_ok());
        assert!(timeout_at(None, sleep(secs(1000))).await.is_ok());
    });
}

/// Behaviour: TMO-05.
#[test]
fn a_timeout_of_zero_fires_at_the_first_wait_even_for_a_sleep_of_zero() {
    run(async {
        let past = here().time() - secs(1);
        assert!(timeout(Duration::ZERO, sleep(secs(1))).await.is_err());
        assert!(timeout(Duration::ZERO, sleep(Duration::ZERO)).await.is_err());
        assert!(timeout_at(past, sleep(Duration::ZERO)).await.is_err());
    });
}

#[test]
fn a_body_that_is_ready_at_once_needs_neither_time_nor_loop() {
    let mut ready_body = pin!(timeout(Duration::ZERO, ready(7)));
    let polled = ready_body.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(polled, Poll::Ready(Ok(7)));
}

/// Behaviour: TMO-06.
#[test]
fn an_error_of_the_body_passes_through() {
    run(async {
        let result = timeout(secs(1), async { Err::<(), _>("own error") }).await;
        assert_eq!(result, Ok(Err("own error")));
    });
}

/// Behaviour: TMO-09, TMO-18.
#[test]
fn a_request_from_outside_is_not_taken_for_a_timeout() {
    run(async {
        let task = create_task(async {
            let _ = catch_cancel(pending::<()>()).await;
            timeout(secs(10), sleep(secs(20))).await.unwrap_err();
        });
        yield_now().await;
        task.cancel();
        yield_now().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

/// Behaviour: TMO-11.
#[test]
fn of_two_timeouts_that_are_due_together_the_outer_one_is_told() {
    run(async {
        let when = here().time() + secs(1);
        let inner_seen = Cell::new(false);
        let outer = timeout_at(when, async {
            let _ = timeout_at(when, sleep(secs(5))).await;
            inner_seen.set(true);
        });
        assert!(outer.await.is_err());
        assert!(!inner_seen.get());
    });
}

/// Behaviour: TMO-16.
#[test]
fn a_timeout_inside_the_cleanup_of_a_timeout_is_its_own() {
    run(async {
        let inner = Cell::new(false);
        let body = try_finally(pending::<()>(), async || {
            inner.set(timeout(secs(1), sleep(secs(5))).await.is_err());
        });
        let (outer, elapsed) = timed(timeout(secs(1), body)).await;
        assert!(outer.is_err() && inner.get());
        assert_eq!(elapsed, secs(2));
    });
}

/// Behaviour: TMO-17.
#[test]
fn a_timeout_works_in_a_task_that_has_swallowed_a_request() {
    run(async {
        let task = create_task(async {
            let _ = catch_cancel(pending::<()>()).await;
            timeout(secs(1), sleep(secs(5))).await.is_err()
        });
        yield_now().await;
        task.cancel();
        assert!(task.await.unwrap());
    });
}

/// Behaviour: WF-01, WF-10.
#[test]
fn cancelling_a_timeout_around_a_task_cancels_that_task_and_waits_for_it() {
    run(async {
        for delay in [None, Some(secs(50))] {
            let log = Log::default();
            let events = log.clone();
            let inner = create_task(async move {
                try_finally(pending::<()>(), async || {
                    sleep(secs(1)).await;
                    events.push("inner has ended");
                })
                .await;
            });
            let outer = create_task(timeout(delay, inner));
            yield_now().await;
            outer.cancel();
            assert!(outer.await.unwrap_err().is_cancelled());
            assert_eq!(log.take(), ["inner has ended"]);
        }
    });
}

/// Behaviour: WF-06.
#[test]
fn a_body_that_is_ready_in_the_poll_of_its_deadline_wins() {
    run(async {
        assert_eq!(timeout(secs(1), sleep(secs(1))).await, Ok(()));
    });
}

/// Behaviour: WF-07.
#[test]
fn a_task_that_returns_a_value_although_its_time_is_up_is_heard() {
    run(async {
        let inner = create_task(async {
            let _ = catch_cancel(pending::<()>()).await;
            42
        });
        assert_eq!(timeout(secs(1), inner).await.unwrap().unwrap(), 42);
        assert_eq!(
            timeout(secs(1), async { catch_cancel(pending::<()>()).await.is_err() }).await,
            Ok(true)
        );
    });
}

/// Behaviour: WF-09.
#[test]
fn a_panic_while_the_body_unwinds_goes_on() {
    run(async {
        let task =
            create_task(timeout(secs(1), try_finally(pending::<()>(), async || panic!("own"))));
        assert!(task.await.unwrap_err().is_panic());
    });
}

/// Behaviour: WF-03, WF-05.
#[test]
fn wait_for_gives_the_value_of_a_done_task_and_cancels_a_late_one() {
    run(async {
        for delay in [Some(Duration::ZERO), Some(millis(100)), None] {
            let done = create_task(async { 7 });
            yield_now().await;
            assert_eq!(wait_for(done, delay).await.unwrap().unwrap(), 7);
        }

        let begun = Rc::new(Cell::new(false));
        let seen = begun.clone();
        let fresh = create_task(async move { seen.set(true) });
        assert!(wait_for(fresh, Duration::ZERO).await.is_err());
        assert!(!begun.get());

        let (late, elapsed) = timed(wait_for(sleep(secs(10)), millis(100))).await;
        assert_eq!((late.is_err(), elapsed), (true, millis(100)));
        let (done, elapsed) = timed(wait_for(sleep(secs(10)), None)).await;
        assert_eq!((done.is_ok(), elapsed), (true, secs(10)));
    });
}

/// Here the value is delivered, and the request is met at the next suspension: neither is lost.
///
/// Behaviour: WF-11.
#[test]
fn a_request_in_the_tick_in_which_the_inner_task_ended_is_not_lost_and_neither_is_its_result() {
    run(async {
        let kept = Rc::new(Cell::new(None));
        let result = kept.clone();
        let inner = create_task(async {
            sleep(secs(1)).await;
            42
        });
        let outer = create_task(async move {
            result.set(Some(wait_for(inner, secs(5)).await.unwrap().unwrap()));
            sleep(secs(1)).await;
        });
        let (ended, elapsed) = timed(async move {
            // Wakes in the tick in which the inner task does, after it.
            yield_now().await;
            sleep(secs(1)).await;
            outer.cancel();
            outer.await
        })
        .await;
        assert!(ended.unwrap_err().is_cancelled());
        assert_eq!((kept.get(), elapsed), (Some(42), secs(1)));
    });
}

/// Behaviour: WF-12.
#[test]
fn wait_for_a_shield_leaves_the_task_running() {
    run(async {
        let mut task = create_task(async {
            sleep(secs(1)).await;
            "ended"
        });
        for delay in [Duration::ZERO, millis(10)] {
            assert!(wait_for(shield(&mut task), delay).await.is_err());
            assert!(!task.done() && task.cancelling() == 0);
        }
        assert_eq!(wait_for(shield(&mut task), None).await.unwrap().unwrap(), "ended");
    });
}
