//! Timeouts that are asked and moved while their body runs.

mod support;

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use asyncio_coro::{catch_cancel, try_finally, yield_now};
use asyncio_loop::testing::{ClockMode, run_with, virtual_loop};
use asyncio_task::{TaskGroup, Timeout, create_task, current_task, sleep, timeout};
use support::{here, millis, run, secs, timed};

/// Behaviour: TMO-01, TMO-05.
#[test]
fn a_timeout_knows_when_it_is_due_and_that_it_has_expired() {
    run(async {
        let kept = RefCell::new(None);
        let start = here().time();
        let late = Timeout::scope(millis(10), async |limit| {
            assert_eq!((limit.when(), limit.expired()), (Some(start + millis(10)), false));
            kept.replace(Some(limit.clone()));
            sleep(secs(10)).await;
        });
        let (late, elapsed) = timed(late).await;
        assert_eq!((late.unwrap_err().to_string(), elapsed), ("timed out".to_owned(), millis(10)));
        assert!(kept.take().unwrap().expired());

        let past = start - secs(1);
        for late in [
            Timeout::scope(Duration::ZERO, async |limit| {
                assert_eq!(limit.when(), Some(here().time()));
                sleep(Duration::ZERO).await;
            })
            .await,
            Timeout::scope_at(past, async |limit| {
                assert_eq!(limit.when(), Some(past));
                sleep(Duration::ZERO).await;
            })
            .await,
        ] {
            assert!(late.is_err());
        }
    });
}

/// Behaviour: TMO-04.
#[test]
fn a_timeout_of_none_has_no_deadline() {
    run(async {
        let value = Timeout::scope(None, async |limit| {
            assert_eq!(limit.when(), None);
            sleep(secs(1000)).await;
            7
        });
        assert_eq!(value.await, Ok(7));
        assert_eq!(Timeout::scope_at(None, async |limit| limit.when()).await, Ok(None));
        assert_eq!(Timeout::scope(Duration::MAX, async |limit| limit.when()).await, Ok(None));
    });
}

/// Behaviour: TMO-06.
#[test]
fn an_error_of_the_body_is_no_expiry() {
    run(async {
        let result = Timeout::scope(secs(1), async |limit| Err::<(), _>(limit.clone())).await;
        assert!(!result.unwrap().unwrap_err().expired());
    });
}

/// Behaviour: TMO-11.
#[test]
fn of_two_timeouts_that_are_due_together_both_have_expired() {
    run(async {
        let when = here().time() + secs(1);
        let inner_limit = RefCell::new(None);
        let outer = Timeout::scope_at(when, async |outer| {
            let inner = Timeout::scope_at(when, async |inner| {
                inner_limit.replace(Some((inner.clone(), outer.clone())));
                sleep(secs(5)).await;
            });
            let _ = inner.await;
            unreachable!("the outer one is told");
        });
        assert!(outer.await.is_err());
        let (inner, outer) = inner_limit.take().unwrap();
        assert!(inner.expired() && outer.expired());
    });
}

/// Behaviour: TMO-12.
#[test]
fn nested_timeouts_of_a_blocked_thread_are_told_each_in_turn() {
    let (event_loop, clock) = virtual_loop(ClockMode::AutoJump).unwrap();
    run_with(&event_loop, async move {
        let start = here().time();
        let outer = timeout(secs(3), async {
            let inner = timeout(secs(1), async {
                yield_now().await;
                clock.advance(secs(2)); // the thread is blocked past the inner deadline
                sleep(secs(10)).await;
            });
            assert!(inner.await.is_err());
            assert_eq!(here().time() - start, secs(2));
            clock.advance(secs(2));
            sleep(secs(10)).await;
        });
        assert!(outer.await.is_err());
        assert_eq!(here().time() - start, secs(4));
    })
    .unwrap();
}

/// Behaviour: TMO-13, TMO-09.
#[test]
fn a_deadline_that_was_moved_and_taken_away_leaves_a_request_from_outside_what_it_is() {
    run(async {
        let limit = Rc::new(RefCell::new(None));
        let kept = limit.clone();
        let task = create_task(Timeout::scope(secs(1), async move |limit| {
            limit.reschedule(limit.when().unwrap() + secs(5)).unwrap();
            kept.replace(Some(limit.clone()));
            sleep(secs(3)).await;
            limit.reschedule(None).unwrap();
            assert_eq!(limit.when(), None);
            sleep(secs(1000)).await;
        }));
        sleep(secs(100)).await;
        assert!(!task.done());
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(!limit.take().unwrap().expired());
    });
}

#[test]
fn a_deadline_is_moved_from_outside_while_the_body_waits() {
    run(async {
        let limit = Rc::new(RefCell::new(None));
        let kept = limit.clone();
        let task = create_task(async move {
            let (late, elapsed) = timed(Timeout::scope(None, async move |limit| {
                kept.replace(Some(limit.clone()));
                pending::<()>().await;
            }))
            .await;
            assert!(late.is_err());
            elapsed
        });
        yield_now().await;
        let limit = limit.take().unwrap();
        limit.reschedule(here().time() + secs(5)).unwrap();
        sleep(secs(1)).await;
        limit.reschedule(here().time() + secs(9)).unwrap();
        assert_eq!(task.await.unwrap(), secs(10));
    });
}

/// Before it is entered there is no handle, so only three of the four errors can come up.
///
/// Behaviour: TMO-14.
#[test]
fn a_deadline_cannot_be_moved_any_more_when_the_body_unwinds_or_has_ended() {
    run(async {
        let when = here().time() + secs(60);
        let error = |limit: &Timeout| limit.reschedule(when).unwrap_err().to_string();
        let limit = Timeout::scope(secs(1), async |limit| limit.clone()).await.unwrap();
        assert_eq!(error(&limit), "cannot move the deadline of a timeout that is finished");

        let kept = RefCell::new(None);
        let late = Timeout::scope(secs(1), async |limit| {
            kept.replace(Some(limit.clone()));
            try_finally(pending::<()>(), async || {
                assert_eq!(error(limit), "cannot move the deadline of a timeout that is expiring");
                assert_eq!(format!("{limit:?}"), "<Timeout [expiring]>");
            })
            .await;
        });
        assert!(late.await.is_err());
        let limit = kept.take().unwrap();
        assert_eq!(error(&limit), "cannot move the deadline of a timeout that is expired");
    });
}

/// Behaviour: TMO-20.
#[test]
fn a_timeout_shows_its_state_and_how_long_it_has_left() {
    run(async {
        let kept = Cell::new(None);
        let shown = Timeout::scope(Duration::from_micros(1_234_567), async |limit| {
            kept.set(Some(limit.clone()));
            format!("{limit:?}")
        });
        assert_eq!(shown.await.unwrap(), "<Timeout [active] when=+1.235s>");
        assert_eq!(format!("{:?}", kept.take().unwrap()), "<Timeout [finished]>");

        let shown = Timeout::scope(None, async |limit| format!("{limit:?}"));
        assert_eq!(shown.await.unwrap(), "<Timeout [active] when=None>");

        let late = Timeout::scope(Duration::ZERO, async |limit| {
            kept.set(Some(limit.clone()));
            pending::<()>().await;
        });
        assert!(late.await.is_err());
        assert_eq!(format!("{:?}", kept.take().unwrap()), "<Timeout [expired]>");
    });
}

/// Behaviour: XTR-13.
#[test]
fn timeouts_and_groups_leave_the_tasks_count_of_requests_as_it_was() {
    run(async {
        let task = create_task(async {
            let me = current_task().unwrap();
            let mut counts = vec![me.cancelling()];
            assert!(Timeout::scope(secs(1), async |_| pending::<()>().await).await.is_err());
            counts.push(me.cancelling());
            assert!(catch_cancel(timeout(secs(50), pending::<()>())).await.is_err());
            counts.push(me.cancelling());
            assert!(timeout(secs(1), pending::<()>()).await.is_err());
            counts.push(me.cancelling());
            // An outer timeout in whose body a group fails in which a timeout has expired, and the other way round.
            let outer = timeout(secs(9), async {
                let failed = TaskGroup::scope(async |group| {
                    let late = async { timeout(secs(1), sleep(secs(5))).await.map_err(drop) };
                    group.create_task(late);
                    pending::<Result<(), ()>>().await
                });
                counts.push(failed.await.map_err(|_| me.cancelling()).unwrap_err());
                let _ = TaskGroup::scope(async |group| {
                    group.create_task(pending::<Result<(), ()>>());
                    Ok(())
                })
                .await;
            });
            assert!(outer.await.is_err());
            counts.push(me.cancelling());
            counts
        });
        sleep(secs(2)).await;
        task.cancel();
        assert_eq!(task.await.unwrap(), [0, 0, 1, 1, 1, 1]);
    });
}
