//! Deadlines: when they pass, what they convert, what they cost.

mod driver;

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use asyncio_coro::hooks::SkipReason;
use asyncio_coro::task::TaskEnd;
use asyncio_coro::{
    CancelScope, Deadline, DeadlineElapsed, catch_cancel, deadline_scope, try_finally,
};

use driver::{Log, Reports, TestClock, TestTask, yield_times};

const SECOND: Duration = Duration::from_secs(1);

fn is_cancelled<T>(end: Option<Result<T, TaskEnd>>) -> bool {
    matches!(end, Some(Err(TaskEnd::Cancelled)))
}

fn cleaned(log: &Log, n: u32, name: &'static str) -> impl Future<Output = ()> + use<> {
    let log = log.clone();
    try_finally(pending(), async move || {
        yield_times(n).await;
        log.push(name);
    })
}

#[test]
fn a_deadline_cancels_the_body_and_waits_for_its_cleanup() {
    let clock = TestClock::install();
    let log = Log::default();
    let l = log.clone();
    let mut task =
        TestTask::new(deadline_scope(Deadline::After(SECOND), cleaned(&l, 2, "cleanup")));
    assert!(task.run().is_none());
    clock.advance(SECOND / 2);
    assert!(task.run().is_none());
    assert_eq!(clock.armed(), 1);
    clock.advance(SECOND / 2);
    assert!(task.wakes() > 0, "its timer woke it");
    assert!(matches!(task.run(), Some(Ok(Err(DeadlineElapsed { .. })))));
    assert_eq!(log.take(), ["cleanup"]);
    assert_eq!(clock.armed(), 0);
}

#[test]
fn a_body_that_is_ready_at_once_touches_neither_clock_nor_timer() {
    let clock = TestClock::install();
    let mut task = TestTask::new(deadline_scope(Deadline::After(Duration::ZERO), async { 7 }));
    assert!(matches!(task.run(), Some(Ok(Ok(7)))));
    assert_eq!(clock.readings.get(), 0);
}

#[test]
fn a_body_that_waits_has_the_clock_read_once_a_poll() {
    let clock = TestClock::install();
    let mut task = TestTask::new(deadline_scope(Deadline::After(SECOND), pending::<()>()));
    for polls in 1..4 {
        assert!(task.step().is_none());
        assert_eq!((clock.readings.get(), clock.armed()), (polls, 1));
    }
}

#[test]
fn a_deadline_that_has_passed_already_ends_the_body_at_its_first_suspension() {
    let clock = TestClock::install();
    for when in [Deadline::After(Duration::ZERO), Deadline::At(clock.at(Duration::ZERO))] {
        let log = Log::default();
        let l = log.clone();
        let mut task = TestTask::new(deadline_scope(when, cleaned(&l, 2, "cleanup")));
        assert!(matches!(task.run(), Some(Ok(Err(_)))));
        assert_eq!((log.take(), clock.armed()), (vec!["cleanup"], 0));
    }
}

#[test]
fn a_body_that_ends_in_the_pass_in_which_its_deadline_passes_has_ended_in_time() {
    let clock = TestClock::install();
    let ready = Rc::new(Cell::new(false));
    let r = ready.clone();
    let body = poll_fn(move |_| if r.get() { Poll::Ready(7) } else { Poll::Pending });
    let mut task = TestTask::new(deadline_scope(Deadline::After(SECOND), body));
    assert!(task.run().is_none());
    ready.set(true);
    clock.advance(SECOND);
    assert!(matches!(task.run(), Some(Ok(Ok(7)))));
}

#[test]
fn a_deadline_takes_its_timer_back_when_the_body_ends_or_is_dropped() {
    let clock = TestClock::install();
    let mut task = TestTask::new(deadline_scope(Deadline::After(SECOND), yield_times(2)));
    assert!(matches!(task.run(), Some(Ok(Ok(())))));
    assert_eq!(clock.armed(), 0);
    let mut task = TestTask::new(deadline_scope(Deadline::After(SECOND), pending::<()>()));
    assert!(task.run().is_none());
    assert_eq!(clock.armed(), 1);
    drop(task);
    assert_eq!(clock.armed(), 0);
}

#[test]
fn a_deadline_too_far_to_say_and_never_need_no_timer() {
    let clock = TestClock::install();
    for when in [Deadline::After(Duration::MAX), Deadline::Never] {
        let mut task = TestTask::new(deadline_scope(when, yield_times(3)));
        assert!(matches!(task.run(), Some(Ok(Ok(())))));
        assert_eq!(clock.armed(), 0);
    }
}

#[test]
fn a_request_to_the_task_is_not_a_deadlines_to_convert() {
    let clock = TestClock::install();
    let mut task = TestTask::new(deadline_scope(Deadline::After(SECOND), pending::<()>()));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(clock.armed(), 0);
}

/// Behaviour: XTR-12.
#[test]
fn a_request_to_the_task_in_the_pass_of_the_deadline_wins() {
    let clock = TestClock::install();
    for deadline_first in [true, false] {
        let mut task = TestTask::new(deadline_scope(Deadline::After(SECOND), pending::<()>()));
        assert!(task.run().is_none());
        if deadline_first {
            clock.advance(SECOND);
            task.handle().cancel();
        } else {
            task.handle().cancel();
            clock.advance(SECOND);
        }
        assert!(is_cancelled(task.run()));
        assert_eq!(task.handle().cancelling(), 1);
    }
}

#[test]
fn of_two_deadlines_at_one_time_the_outer_reports() {
    let clock = TestClock::install();
    let when = Deadline::At(clock.at(SECOND));
    let mut task = TestTask::new(deadline_scope(when, deadline_scope(when, pending::<()>())));
    assert!(task.run().is_none());
    clock.advance(SECOND);
    assert!(matches!(task.run(), Some(Ok(Err(_)))));
}

#[test]
fn an_outer_deadline_during_an_inner_cleanup_cuts_it_and_reports() {
    let reports = Reports::collect();
    let clock = TestClock::install();
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(deadline_scope(
        Deadline::After(2 * SECOND),
        deadline_scope(
            Deadline::After(SECOND),
            try_finally(pending::<()>(), async move || {
                pending::<()>().await;
                l.push("not reached");
            }),
        ),
    ));
    assert!(task.run().is_none());
    clock.advance(SECOND);
    assert!(task.run().is_none());
    clock.advance(SECOND);
    assert!(matches!(task.run(), Some(Ok(Err(_)))), "the outer one, not Ok(Err(_))");
    assert!(log.take().is_empty());
    assert_eq!(reports.reasons(), [SkipReason::Cut]);
}

#[test]
fn a_deadline_works_after_an_earlier_request_was_swallowed() {
    let clock = TestClock::install();
    let mut task = TestTask::new(async {
        assert!(catch_cancel(pending::<()>()).await.is_err());
        assert!(deadline_scope(Deadline::After(SECOND), pending::<()>()).await.is_err());
        deadline_scope(Deadline::After(SECOND), pending::<()>()).await
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none());
    clock.advance(SECOND);
    assert!(task.run().is_none(), "the second deadline is still ahead");
    task.handle().cancel();
    assert!(is_cancelled(task.run()), "a new request is not the deadline's");
}

#[test]
#[should_panic(expected = "a deadline needs a clock")]
fn a_deadline_without_a_clock_panics_when_the_body_waits() {
    let mut task = Box::pin(deadline_scope(Deadline::After(SECOND), pending::<()>()));
    let _ = driver::poll_up_to(task.as_mut(), 1);
}

#[test]
fn the_deadline_of_a_scope_can_be_moved_while_it_runs() {
    let clock = TestClock::install();
    let scope = CancelScope::new().with_deadline(clock.at(SECOND));
    let s = scope.clone();
    let mut task = TestTask::new(async move { s.run(pending::<()>()).await });
    assert!(task.run().is_none());
    scope.set_deadline(Some(clock.at(3 * SECOND)));
    assert!(task.run().is_none());
    clock.advance(2 * SECOND);
    assert!(task.run().is_none());
    assert_eq!(clock.armed(), 1);
    scope.set_deadline(None);
    assert!(task.run().is_none());
    assert_eq!(clock.armed(), 0);
    scope.set_deadline(Some(clock.at(SECOND)));
    assert!(matches!(task.run(), Some(Ok(Err(_)))));
    assert!(scope.cancel_called() && scope.cancelled_caught());
}
