//! `masked`: requests wait outside, and come in afterwards.

mod driver;

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use asyncio_coro::hooks::SkipReason;
use asyncio_coro::task::TaskEnd;
use asyncio_coro::{
    CancelScope, Deadline, catch_cancel, current_task, deadline_scope, masked, try_finally,
    yield_now,
};
use futures_util::future::{Either, join, select};

use driver::{Log, Reports, TestClock, TestTask, poll_once, yield_times};

fn is_cancelled<T>(end: Option<Result<T, TaskEnd>>) -> bool {
    matches!(end, Some(Err(TaskEnd::Cancelled)))
}

#[test]
fn a_request_is_held_back_and_delivered_at_the_next_wait() {
    let log = Log::default();
    let mut task = TestTask::new(async {
        masked(async {
            yield_times(5).await;
            log.push("whole");
        })
        .await;
        log.push("after");
        yield_now().await;
        log.push("never");
    });
    assert!(task.step().is_none());
    task.handle().cancel();
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["whole", "after"]);
}

#[test]
fn a_value_that_is_the_last_thing_stands() {
    let mut task = TestTask::new(masked(async {
        yield_now().await;
        7
    }));
    assert!(task.step().is_none());
    task.handle().cancel();
    assert!(matches!(task.run(), Some(Ok(7))));
}

#[test]
fn a_second_request_does_not_cut_a_masked_part_of_a_cleanup_but_what_follows() {
    let reports = Reports::collect();
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(try_finally(pending::<()>(), async move || {
        masked(async {
            yield_times(5).await;
            l.push("masked");
        })
        .await;
        yield_times(5).await;
        l.push("never");
    }));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.step().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["masked"]);
    assert_eq!(reports.reasons(), [SkipReason::Cut]);
}

#[test]
fn what_is_inside_can_still_be_cancelled_from_inside() {
    let clock = TestClock::install();
    let scope = CancelScope::new();
    let mut task = TestTask::new(masked(async {
        scope.cancel();
        let by_hand = scope.run(pending::<()>()).await;
        let in_time =
            deadline_scope(Deadline::After(Duration::from_secs(1)), pending::<()>()).await;
        by_hand.is_err() && in_time.is_err()
    }));
    assert!(task.run().is_none());
    clock.advance(Duration::from_secs(1));
    assert!(matches!(task.run(), Some(Ok(true))));
}

#[test]
fn a_deadline_around_it_waits_for_it() {
    let clock = TestClock::install();
    let log = Log::default();
    let mut task = TestTask::new(async {
        let after = Deadline::After(Duration::from_secs(1));
        let body = async {
            masked(yield_times(3)).await;
            log.push("whole");
            pending::<()>().await;
        };
        deadline_scope(after, body).await.is_err()
    });
    assert!(task.step().is_none());
    clock.advance(Duration::from_secs(2));
    assert!(matches!(task.run(), Some(Ok(true))));
    assert_eq!(log.take(), ["whole"]);
}

#[test]
fn a_branch_beside_it_unwinds_at_once() {
    let log = Log::default();
    let mut task = TestTask::new(async {
        let beside = try_finally(pending::<()>(), async || log.push("beside"));
        let inside = masked(async {
            yield_times(5).await;
            log.push("masked");
        });
        join(beside, inside).await;
    });
    assert!(task.step().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["beside", "masked"]);
}

#[test]
fn a_request_made_inside_is_held_back_too() {
    let log = Log::default();
    let mut task = TestTask::new(async {
        let caught = catch_cancel(async {
            masked(async {
                current_task().unwrap().cancel();
                yield_now().await;
                log.push("whole");
            })
            .await;
            yield_now().await;
        })
        .await;
        caught.is_err()
    });
    assert!(matches!(task.run(), Some(Ok(true))));
    assert_eq!(log.take(), ["whole"]);
}

#[test]
fn a_scope_that_already_unwinds_brings_its_request_along() {
    let log = Log::default();
    let mut task = TestTask::new(async {
        let mut cleaned = Box::pin(try_finally(pending::<()>(), async || {
            yield_times(3).await;
            log.push("cleaned");
        }));
        catch_cancel(async {
            poll_once(cleaned.as_mut()).await;
            current_task().unwrap().cancel();
            // Decides to unwind here, and is then polled behind the mask.
            poll_once(cleaned.as_mut()).await;
            masked(cleaned.as_mut()).await;
        })
        .await
        .is_err()
    });
    assert!(matches!(task.run(), Some(Ok(true))));
    assert_eq!(log.take(), ["cleaned"]);
}

#[test]
fn a_body_that_never_ends_is_dropped_with_its_task_and_its_cleanup_reported() {
    let reports = Reports::collect();
    let mut task = TestTask::new(masked(try_finally(pending::<()>(), async || ())));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none());
    drop(task);
    assert_eq!(reports.reasons(), [SkipReason::Dropped]);
}

#[test]
fn dropping_it_drops_the_body() {
    futures_lite::future::block_on(async {
        let (masked, other) = (pin!(masked(pending::<()>())), pin!(yield_now()));
        let ended = select(masked, other).await;
        assert!(matches!(ended, Either::Right(_)));
    });
}
