//! How a cancelled task unwinds: from the inside out, each scope with its cleanup, every wait with a bound.

mod driver;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use asyncio_coro::hooks::{Report, SkipReason};
use asyncio_coro::task::TaskEnd;
use asyncio_coro::{
    CancelScope, CancelledError, catch_cancel, current_task, isolate, try_finally, yield_now,
};
use futures_lite::future::block_on;
use futures_util::future::{LocalBoxFuture, join, join3, select};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};

use driver::{Log, Reports, TestTask, poll_once, poll_up_to, yield_times};

type Parking = Rc<RefCell<Option<LocalBoxFuture<'static, ()>>>>;

fn is_cancelled<T>(end: Option<Result<T, TaskEnd>>) -> bool {
    matches!(end, Some(Err(TaskEnd::Cancelled)))
}

/// Never ready by itself; cleans up in `n` steps, then writes `name`.
async fn cleaned(log: Log, n: u32, name: &'static str) {
    try_finally(pending::<()>(), async || {
        yield_times(n).await;
        log.push(name);
    })
    .await;
}

#[test]
fn a_cleanup_runs_after_a_body_that_returns() {
    let log = Log::default();
    let value = block_on(try_finally(
        async {
            log.push("body");
            7
        },
        async || {
            yield_now().await;
            log.push("cleanup");
        },
    ));
    assert_eq!((value, log.take()), (7, vec!["body", "cleanup"]));
}

/// Behaviour: TSK-43.
#[test]
fn scopes_unwind_from_the_inside_out_and_cleanups_await() {
    let log = Log::default();
    let (inner, outer) = (log.clone(), log.clone());
    let mut task = TestTask::new(try_finally(cleaned(inner, 3, "inner"), async move || {
        yield_times(2).await;
        outer.push("outer");
    }));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["inner", "outer"]);
}

#[test]
fn branches_clean_up_side_by_side_each_at_its_own_pace() {
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(async move {
        let mut branches: FuturesUnordered<_> = [(1, "a"), (5, "b"), (3, "c")]
            .into_iter()
            .map(|(n, name)| cleaned(l.clone(), n, name))
            .collect();
        while branches.next().await.is_some() {}
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["a", "c", "b"]);
}

#[test]
fn a_scope_behind_a_hundred_busy_futures_is_still_cleaned_up() {
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(async move {
        // FuturesUnordered polls a few of its futures at a time.
        let mut all = FuturesUnordered::new();
        for _ in 0..100 {
            all.push(yield_times(u32::MAX).boxed_local());
        }
        all.push(cleaned(l, 3, "cleanup").boxed_local());
        while all.next().await.is_some() {}
    });
    for _ in 0..300 {
        assert!(task.step().is_none());
    }
    task.handle().cancel();
    assert!(is_cancelled((0..3000).find_map(|_| task.step())));
    assert_eq!(log.take(), ["cleanup"]);
}

#[test]
fn a_part_of_a_task_is_cancelled_by_its_own_scope_and_the_task_goes_on() {
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(async move {
        let scope = CancelScope::new();
        let mut part = pin!(scope.run(cleaned(l.clone(), 2, "cleanup")));
        poll_once(part.as_mut()).await;
        scope.cancel();
        assert!(part.await.is_err());
        l.push("went on");
        7
    });
    assert!(matches!(task.run(), Some(Ok(7))));
    assert_eq!(log.take(), ["cleanup", "went on"]);
}

#[test]
fn a_started_scope_that_nobody_polls_is_reported_and_does_not_hold_up_the_task() {
    let reports = Reports::collect();
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(async move {
        let mut parked = pin!(cleaned(l, 0, "cleanup"));
        poll_once(parked.as_mut()).await;
        pending::<()>().await;
    });
    task.handle().set_name("parker");
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()), "the task wakes itself until the bound is reached");
    assert!(log.take().is_empty());
    let reports = reports.take();
    let [Report::SkippedCleanup { task, site, reason, .. }] = &reports[..] else {
        panic!("one report, not {reports:?}");
    };
    assert_eq!(*reason, SkipReason::Parked);
    assert_eq!(site.file(), file!());
    assert_eq!(task.as_ref().map(|task| &task.name[..]), Some("parker"));
    assert!(reports[0].to_string().contains("nobody polled the scope any more (in task parker)"));
}

#[test]
fn a_scope_parked_in_the_middle_of_its_cleanup_does_not_hold_up_the_task() {
    let reports = Reports::collect();
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(async move {
        let scope = CancelScope::new();
        let mut part = pin!(scope.run(cleaned(l, 100, "cleanup")));
        poll_once(part.as_mut()).await;
        scope.cancel(); // as a timeout does
        poll_once(part.as_mut()).await;
        pending::<()>().await; // as a select does whose other branch has won
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert!(log.take().is_empty());
    assert_eq!(reports.reasons(), [SkipReason::Cut]);
}

/// A scope is polled first in task a, then in task b.
fn moved(
    log: &Log,
) -> (TestTask<LocalBoxFuture<'static, ()>>, TestTask<LocalBoxFuture<'static, ()>>) {
    let parking = Parking::default();
    let (give, take, log) = (parking.clone(), parking, log.clone());
    let mut a = TestTask::new(
        async move {
            let mut scope = cleaned(log, 2, "cleanup").boxed_local();
            poll_once(scope.as_mut()).await;
            give.replace(Some(scope));
            pending::<()>().await;
        }
        .boxed_local(),
    );
    assert!(a.run().is_none());
    let mut b = TestTask::new(
        async move {
            let scope = take.take().expect("it was parked");
            scope.await;
        }
        .boxed_local(),
    );
    assert!(b.run().is_none());
    (a, b)
}

#[test]
fn a_scope_that_has_moved_to_another_task_holds_up_neither() {
    let log = Log::default();
    let (mut a, mut b) = moved(&log);
    a.handle().cancel();
    assert!(is_cancelled(a.run()));
    assert!(b.run().is_none());
    assert!(log.take().is_empty(), "the request to a does not reach it");
    b.handle().cancel();
    assert!(is_cancelled(b.run()));
    assert_eq!(log.take(), ["cleanup"]);
}

#[test]
fn a_scope_that_has_moved_to_another_task_cleans_up_with_that_one() {
    let log = Log::default();
    let (mut a, mut b) = moved(&log);
    b.handle().cancel();
    assert!(is_cancelled(b.run()));
    assert_eq!(log.take(), ["cleanup"]);
    assert!(a.run().is_none());
    a.handle().cancel();
    assert!(is_cancelled(a.run()));
}

#[test]
fn a_scope_that_moves_while_it_unwinds_takes_its_new_task_along() {
    let log = Log::default();
    let parking = Parking::default();
    let (give, take, l) = (parking.clone(), parking, log.clone());
    let mut a = TestTask::new(async move {
        let mut scope = cleaned(l, 3, "moved").boxed_local();
        poll_once(scope.as_mut()).await;
        current_task().unwrap().cancel();
        poll_once(scope.as_mut()).await;
        give.replace(Some(scope));
        pending::<()>().await;
    });
    assert!(is_cancelled(a.run()));
    let l = log.clone();
    let mut b = TestTask::new(async move {
        let scope = take.take().expect("it was parked");
        join(cleaned(l, 1, "neighbour"), scope).await;
    });
    assert!(is_cancelled(b.run()), "unwinding wins");
    // The cleanup of `moved` finds no newer request in b: it ends.
    let mut ends = log.take();
    ends.sort_unstable();
    assert_eq!(ends, ["moved", "neighbour"]);
}

#[test]
fn a_select_that_is_won_by_another_branch_cuts_a_cleanup_and_that_is_reported() {
    let reports = Reports::collect();
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(async move {
        let slow = cleaned(l.clone(), 5, "cleanup").boxed_local();
        let other = yield_times(4).boxed_local();
        drop(select(slow, other).await);
        l.push("went on");
        yield_now().await;
        l.push("not reached");
    });
    assert!(task.step().is_none());
    assert!(task.step().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["went on"], "to its next suspension");
    assert_eq!(reports.reasons(), [SkipReason::Cut]);
}

#[test]
fn a_scope_dropped_while_its_body_runs_is_reported() {
    let reports = Reports::collect();
    let mut scope = Box::pin(cleaned(Log::default(), 0, "cleanup"));
    assert!(poll_up_to(scope.as_mut(), 1).is_none());
    assert!(reports.reasons().is_empty());
    drop(scope);
    assert_eq!(reports.reasons(), [SkipReason::Dropped]);
}

#[test]
fn a_scope_that_never_began_owes_no_cleanup() {
    let reports = Reports::collect();
    drop(Box::pin(cleaned(Log::default(), 0, "cleanup")));
    drop(try_finally(async {}, async || {}));
    assert!(reports.reasons().is_empty());
}

#[test]
fn a_foreign_block_on_inside_isolate_is_reached_by_no_request() {
    let flag = Rc::new(Cell::new(false));
    let f = flag.clone();
    let mut task = TestTask::new(async move {
        poll_fn(|_| if f.get() { Poll::Ready(()) } else { Poll::Pending }).await;
        let name = isolate(|| {
            block_on(async {
                try_finally(yield_times(3), async || yield_now().await).await;
                current_task().unwrap().name()
            })
        });
        assert_eq!(name, current_task().unwrap().name(), "it is still the same task");
        7
    });
    assert!(task.run().is_none());
    flag.set(true);
    task.handle().cancel();
    assert!(matches!(task.run(), Some(Ok(7))));
}

#[test]
fn a_second_request_cuts_a_cleanup_and_that_is_reported() {
    let reports = Reports::collect();
    let log = Log::default();
    let l = log.clone();
    let mut task =
        TestTask::new(try_finally(cleaned(log.clone(), u32::MAX, "endless"), async move || {
            yield_now().await;
            l.push("outer");
        }));
    assert!(task.run().is_none());
    task.handle().cancel();
    for _ in 0..10 {
        assert!(task.step().is_none());
    }
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["outer"], "the cleanup further out begins after the request");
    assert_eq!(reports.reasons(), [SkipReason::Cut]);
}

#[test]
fn scopes_inside_a_cleanup_unwind_before_it_is_cut() {
    let reports = Reports::collect();
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(try_finally(pending::<()>(), async move || {
        cleaned(l, 3, "inside").await;
    }));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none(), "the first request does not reach the scope in the cleanup");
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["inside"]);
    assert_eq!(reports.reasons(), [SkipReason::Cut]);
}

#[test]
fn a_request_made_while_a_value_is_cleaned_up_after_costs_the_value() {
    let reports = Reports::collect();
    let mut task = TestTask::new(try_finally(async { 7 }, async || pending().await));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()), "as an exception in Python's finally replaces the value");
    assert_eq!(reports.reasons(), [SkipReason::Cut]);
}

#[test]
fn a_value_ready_in_the_pass_of_the_request_stands_and_the_cleanup_runs() {
    let log = Log::default();
    let l = log.clone();
    let ready = Rc::new(Cell::new(false));
    let r = ready.clone();
    let mut task = TestTask::new(async move {
        let body = poll_fn(move |_| if r.get() { Poll::Ready(7) } else { Poll::Pending });
        let value = try_finally(body, async || {
            yield_times(3).await;
            l.push("cleanup");
        })
        .await;
        assert_eq!(value, 7);
        l.push("value");
        yield_now().await;
        l.push("not reached");
    });
    assert!(task.run().is_none());
    ready.set(true);
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["cleanup", "value"], "the request is delivered at the next suspension");
}

#[test]
fn a_request_made_inside_the_step_reaches_scopes_that_were_polled_before_it() {
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(async move {
        join3(
            cleaned(l.clone(), 2, "before"),
            async {
                current_task().unwrap().cancel();
                pending::<()>().await;
            },
            cleaned(l.clone(), 1, "after"),
        )
        .await;
    });
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["after", "before"]);
}

#[test]
fn a_scope_cancelled_in_the_very_first_poll_of_everything_unwinds() {
    // None of these nodes is linked when the request is made, behind a container that polls only what was woken.
    let log = Log::default();
    let l = log.clone();
    let scope = CancelScope::new();
    let handle = scope.clone();
    let mut task = TestTask::new(async move {
        scope
            .run(async {
                let inner = CancelScope::new();
                let _: Result<(), _> = inner
                    .run(async {
                        let mut all = FuturesUnordered::new();
                        all.push(cleaned(l, 1, "cleanup").boxed_local());
                        all.push(async { handle.cancel() }.boxed_local());
                        while all.next().await.is_some() {}
                    })
                    .await;
            })
            .await
    });
    assert!(matches!(task.run(), Some(Ok(Err(CancelledError { .. })))));
    assert_eq!(log.take(), ["cleanup"]);
}

#[test]
fn a_request_withdrawn_after_a_scope_has_begun_to_unwind_stands() {
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(async move {
        join(cleaned(l.clone(), 3, "a"), cleaned(l.clone(), 1, "b")).await;
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.step().is_none());
    assert_eq!(task.handle().uncancel(), 0);
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["b", "a"]);
}

#[test]
fn with_no_task_and_no_loop_a_scope_is_a_plain_future() {
    let log = Log::default();
    let value = block_on(async {
        let one = try_finally(async { 1 }, async || log.push("cleanup")).await;
        let two = catch_cancel(async { 2 }).await.unwrap();
        one + two
    });
    assert_eq!((value, log.take()), (3, vec!["cleanup"]));
}

#[test]
fn a_forgotten_scope_does_not_hold_up_its_task_for_ever() {
    let reports = Reports::collect();
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(async move {
        let mut forgotten = cleaned(l.clone(), 0, "forgotten").boxed_local();
        poll_once(forgotten.as_mut()).await;
        std::mem::forget(forgotten);
        cleaned(l, 2, "cleanup").await;
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["cleanup"]);
    assert_eq!(reports.reasons(), [SkipReason::Parked]);
}

#[test]
fn a_forgotten_scope_whose_task_is_gone_leaves_the_thread_in_order() {
    let outer = Box::pin(async {
        let mut forgotten = cleaned(Log::default(), 0, "forgotten").boxed_local();
        poll_once(forgotten.as_mut()).await;
        std::mem::forget(forgotten);
        pending::<()>().await;
    });
    let mut task = TestTask::new(outer);
    assert!(task.run().is_none());
    drop(task);
    scopes_unwind_from_the_inside_out_and_cleanups_await();
}

#[test]
fn a_parent_that_is_forgotten_outlives_its_children_and_the_reverse() {
    let parking = Parking::default();
    let give = parking.clone();
    let mut parent = Box::pin(try_finally(
        async move {
            let mut child = cleaned(Log::default(), 0, "child").boxed_local();
            poll_once(child.as_mut()).await;
            give.replace(Some(child));
            pending::<()>().await;
        },
        async || (),
    ));
    assert!(poll_up_to(parent.as_mut(), 1).is_none());
    std::mem::forget(parent);
    let _reports = Reports::collect();
    drop(parking.take());
}

#[test]
fn a_dropped_task_reports_the_cleanups_it_owes() {
    let reports = Reports::collect();
    let mut task = TestTask::new(async {
        join(cleaned(Log::default(), 0, "a"), cleaned(Log::default(), 0, "b")).await;
    });
    assert!(task.run().is_none());
    let handle = task.handle();
    drop(task);
    assert_eq!(reports.reasons(), [SkipReason::Dropped; 2]);
    assert!(!handle.is_live());
    assert!(!handle.cancel());
}

#[test]
fn the_thread_has_nothing_outstanding_after_all_that() {
    // Were a request left behind, a scope polled later would look for it, and find one that is nobody's.
    let mut task = TestTask::new(async {
        let scope: Pin<Box<dyn Future<Output = ()>>> = Box::pin(cleaned(Log::default(), 0, "x"));
        let _reports = Reports::collect();
        drop(select(scope, Box::pin(yield_now())).await);
        7
    });
    assert!(matches!(task.run(), Some(Ok(7))));
}
