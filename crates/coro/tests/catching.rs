//! Who may swallow a request: `catch_cancel` and cancel scopes, each only what is theirs.

mod driver;

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use asyncio_coro::hooks::SkipReason;
use asyncio_coro::task::TaskEnd;
use asyncio_coro::{
    CancelScope, CancelledError, catch_cancel, current_task, try_finally, yield_now,
};
use futures_util::FutureExt;
use futures_util::future::{join, select};

use driver::{Log, Reports, TestTask, poll_once, yield_times};

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

/// Behaviour: TSK-38.
#[test]
fn catch_cancel_swallows_a_request_to_the_task_which_then_goes_on() {
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(async move {
        let caught = catch_cancel(cleaned(&l, 2, "cleanup")).await;
        assert!(caught.is_err());
        yield_times(3).await;
        42
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(matches!(task.run(), Some(Ok(42))));
    assert_eq!(log.take(), ["cleanup"]);
}

/// Behaviour: TSK-48.
#[test]
fn a_caught_request_stays_counted_until_it_is_taken_back() {
    let mut task = TestTask::new(async {
        assert!(catch_cancel(pending::<()>()).await.is_err());
        let me = current_task().unwrap();
        assert_eq!(me.cancelling(), 1);
        yield_now().await;
        assert_eq!(me.uncancel(), 0);
        yield_now().await;
        assert!(catch_cancel(pending::<()>()).await.is_err(), "a later one works");
        me.cancelling()
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(matches!(task.run(), Some(Ok(1))));
}

/// Behaviour: XTR-05.
#[test]
fn two_requests_before_delivery_are_one_to_catch() {
    let mut task = TestTask::new(async {
        assert!(catch_cancel(pending::<()>()).await.is_err());
        yield_now().await;
        current_task().unwrap().cancelling()
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    task.handle().cancel();
    assert!(matches!(task.run(), Some(Ok(2))));
}

#[test]
fn each_request_is_swallowed_once() {
    let mut task = TestTask::new(async {
        assert!(catch_cancel(pending::<()>()).await.is_err());
        assert!(catch_cancel(pending::<()>()).await.is_err());
        5
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none(), "one request, one of the two");
    task.handle().cancel();
    assert!(matches!(task.run(), Some(Ok(5))));
}

#[test]
fn a_branch_that_swallows_does_not_save_its_neighbours() {
    for swallower_first in [true, false] {
        let log = Log::default();
        let l = log.clone();
        let mut task = TestTask::new(async move {
            let swallower = catch_cancel(pending::<()>()).map(|_| ());
            let other = cleaned(&l, 3, "cleanup");
            if swallower_first {
                join(swallower, other).await;
            } else {
                join(other, swallower).await;
            }
        });
        assert!(task.run().is_none());
        task.handle().cancel();
        assert!(is_cancelled(task.run()), "unwinding wins, whoever is polled first");
        assert_eq!(log.take(), ["cleanup"]);
    }
}

#[test]
fn branches_that_all_swallow_save_the_task() {
    let mut task = TestTask::new(async {
        let (a, b) = join(catch_cancel(pending::<()>()), catch_cancel(pending::<()>())).await;
        assert!(a.is_err() && b.is_err());
        yield_now().await;
        7
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(matches!(task.run(), Some(Ok(7))));
}

#[test]
fn what_is_swallowed_deep_inside_is_left_to_the_scopes_beside_the_way() {
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(async move {
        let deep = async {
            let nested = catch_cancel(async {
                let caught = catch_cancel(pending::<()>()).await;
                l.push("caught");
                caught.unwrap_err()
            });
            let _ = join(nested, cleaned(&l, 2, "beside")).await;
        };
        let _ = join(CancelScope::new().run(deep), cleaned(&l, 1, "further out")).await;
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["caught", "further out", "beside"]);
}

#[test]
fn a_neighbour_in_its_own_cleanup_is_cut_by_a_request_that_somebody_swallows() {
    for swallower_first in [true, false] {
        let reports = Reports::collect();
        let mut task = TestTask::new(async move {
            let swallower = catch_cancel(pending::<()>()).map(|_| ());
            let cleaning = try_finally(async {}, async || pending().await);
            if swallower_first {
                join(swallower, cleaning).await;
            } else {
                join(cleaning, swallower).await;
            }
        });
        assert!(task.run().is_none());
        task.handle().cancel();
        assert!(is_cancelled(task.run()));
        assert_eq!(reports.reasons(), [SkipReason::Cut]);
    }
}

#[test]
fn a_request_that_a_cleanup_masks_cannot_be_swallowed_inside_it() {
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(async move {
        try_finally(pending::<()>(), async || {
            let scope = CancelScope::new();
            let mut inside = pin!(scope.run(catch_cancel(pending::<()>())));
            poll_once(inside.as_mut()).await;
            scope.cancel();
            assert!(matches!(inside.await, Ok(Err(_))), "catch_cancel took the scope's request");
            l.push("cleanup");
        })
        .await;
        l.push("not reached");
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["cleanup"]);
}

#[test]
fn a_scope_converts_its_own_request_and_the_one_around_it_goes_on() {
    let (inner, outer) = (CancelScope::new(), CancelScope::new());
    let (i, o) = (inner.clone(), outer.clone());
    let mut task =
        TestTask::new(async move { o.run(async { i.run(pending::<()>()).await }).await });
    assert!(task.run().is_none());
    inner.cancel();
    assert!(matches!(task.run(), Some(Ok(Ok(Err(CancelledError { .. }))))));
    assert!(inner.cancelled_caught() && !outer.cancelled_caught());
    assert!(inner.cancel_called() && !outer.cancel_called());
}

#[test]
fn a_scope_converts_its_own_request_also_if_a_branch_in_it_swallowed_that() {
    let log = Log::default();
    let scope = CancelScope::new();
    let (s, l) = (scope.clone(), log.clone());
    let mut task = TestTask::new(async move {
        let swallower = async {
            assert!(catch_cancel(pending::<()>()).await.is_err());
            // Begun too late to be reached by what was swallowed, and told all the same.
            cleaned(&l, 5, "late").await;
        };
        assert!(s.run(join(swallower, cleaned(&l, 3, "slow"))).await.is_err());
        yield_now().await;
        7
    });
    assert!(task.run().is_none());
    scope.cancel();
    assert!(matches!(task.run(), Some(Ok(7))));
    assert_eq!(log.take(), ["slow", "late"]);
}

#[test]
fn scopes_around_one_that_swallows_go_on_too() {
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(async move {
        let body = CancelScope::new().run(async {
            assert!(catch_cancel(cleaned(&l, 2, "inner")).await.is_err());
            yield_times(3).await;
            42
        });
        try_finally(body, async || l.push("outer")).await
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(matches!(task.run(), Some(Ok(Ok(42)))));
    assert_eq!(log.take(), ["inner", "outer"]);
}

#[test]
fn a_masked_request_is_delivered_after_the_cleanup_that_masked_it() {
    let log = Log::default();
    let (l, ready) = (log.clone(), Rc::new(Cell::new(false)));
    let r = ready.clone();
    let mut task = TestTask::new(async move {
        let body = poll_fn(|_| if r.get() { Poll::Ready(()) } else { Poll::Pending });
        try_finally(body, async || {
            let scope = CancelScope::new();
            scope.cancel();
            assert!(matches!(scope.run(catch_cancel(pending::<()>())).await, Ok(Err(_))));
            l.push("swallowed what was the scope's");
        })
        .await;
        yield_now().await;
        l.push("not reached");
    });
    assert!(task.run().is_none());
    ready.set(true);
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["swallowed what was the scope's"]);
}

#[test]
fn with_an_inner_and_an_outer_request_at_once_the_outer_scope_wins() {
    let (inner, outer) = (CancelScope::new(), CancelScope::new());
    let (i, o) = (inner.clone(), outer.clone());
    let mut task = TestTask::new(async move { o.run(i.run(pending::<()>())).await });
    assert!(task.run().is_none());
    inner.cancel();
    outer.cancel();
    assert!(matches!(task.run(), Some(Ok(Err(CancelledError { .. })))));
    assert!(outer.cancelled_caught() && !inner.cancelled_caught());
}

#[test]
fn an_outer_scope_cuts_the_cleanup_of_an_inner_one_and_reports() {
    let reports = Reports::collect();
    let log = Log::default();
    let (inner, outer) = (CancelScope::new(), CancelScope::new());
    let (i, o, l) = (inner.clone(), outer.clone(), log.clone());
    let mut task = TestTask::new(async move { o.run(i.run(cleaned(&l, 50, "late"))).await });
    assert!(task.run().is_none());
    inner.cancel();
    for _ in 0..5 {
        assert!(task.step().is_none());
    }
    outer.cancel();
    assert!(matches!(task.run(), Some(Ok(Err(_)))));
    assert!(log.take().is_empty());
    assert_eq!(reports.reasons(), [SkipReason::Cut]);
}

#[test]
fn a_scope_cancelled_before_its_body_stops_it_at_its_first_suspension() {
    let log = Log::default();
    let l = log.clone();
    let scope = CancelScope::new();
    scope.cancel();
    let mut task = TestTask::new(async move {
        let ended = scope
            .run(async {
                l.push("began");
                yield_now().await;
                l.push("not reached");
            })
            .await;
        assert!(ended.is_err());
        assert_eq!(scope.run(async { 7 }).await, Ok(7), "what is ready is not thrown away");
    });
    assert!(matches!(task.run(), Some(Ok(()))));
    assert_eq!(log.take(), ["began"]);
}

#[test]
fn cancelling_a_scope_again_does_not_cut_its_cleanup() {
    let log = Log::default();
    let scope = CancelScope::new();
    let (s, l) = (scope.clone(), log.clone());
    let mut task = TestTask::new(async move { s.run(cleaned(&l, 5, "cleanup")).await });
    assert!(task.run().is_none());
    scope.cancel();
    assert!(task.step().is_none());
    scope.cancel();
    assert!(matches!(task.run(), Some(Ok(Err(_)))));
    assert_eq!(log.take(), ["cleanup"]);
}

#[test]
fn a_scope_that_is_gone_is_no_longer_reached_by_its_handle() {
    let scope = CancelScope::new();
    let mut task = TestTask::new({
        let scope = scope.clone();
        async move {
            let part = pin!(scope.run(pending::<()>()));
            let _ = select(part, pin!(yield_now())).await;
            7
        }
    });
    assert!(matches!(task.run(), Some(Ok(7))));
    scope.cancel();
    assert!(!scope.cancelled_caught());
}

#[test]
#[should_panic(expected = "a CancelScope runs one body at a time")]
fn a_scope_runs_one_body_at_a_time() {
    let scope = CancelScope::new();
    futures_lite::future::block_on(join(scope.run(yield_now()), scope.run(yield_now()))).0.unwrap();
}

#[test]
fn a_shield_keeps_requests_from_above_out_but_not_its_own() {
    let log = Log::default();
    let scope = CancelScope::new().shielded(true);
    let (s, l) = (scope.clone(), log.clone());
    let mut task = TestTask::new(async move {
        let ended = s.run(cleaned(&l, 1, "cleanup")).await;
        assert!(ended.is_err());
        l.push("after the shield");
        yield_now().await;
        l.push("not reached");
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    for _ in 0..2000 {
        assert!(task.step().is_none());
    }
    scope.cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["cleanup", "after the shield"]);
}

#[test]
fn a_shield_that_is_lowered_lets_the_waiting_request_in() {
    let log = Log::default();
    let scope = CancelScope::new().shielded(true);
    let (s, l) = (scope.clone(), log.clone());
    let mut task = TestTask::new(async move { s.run(cleaned(&l, 1, "cleanup")).await });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none());
    assert!(scope.is_shielded());
    scope.set_shielded(false);
    assert!(is_cancelled(task.run()), "the outer request wins");
    assert_eq!(log.take(), ["cleanup"]);
}

/// Behaviour: TSK-50.
#[test]
fn a_request_to_a_shielded_task_can_be_withdrawn() {
    let release = Rc::new(Cell::new(false));
    let r = release.clone();
    let scope = CancelScope::new().shielded(true);
    let mut task = TestTask::new(async move {
        let wait = poll_fn(|_| if r.get() { Poll::Ready(()) } else { Poll::Pending });
        scope.run(wait).await.unwrap();
        yield_now().await;
        7
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none());
    assert_eq!(task.handle().uncancel(), 0);
    release.set(true);
    assert!(matches!(task.run(), Some(Ok(7))));
}
