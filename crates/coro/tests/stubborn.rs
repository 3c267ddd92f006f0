//! Bodies that will not end: new scopes while they unwind, cleanups without end, requests swallowed half-way.

mod driver;

use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use asyncio_coro::hooks::SkipReason;
use asyncio_coro::task::TaskEnd;
use asyncio_coro::{CancelScope, catch_cancel, try_finally, yield_now};
use futures_lite::future::FutureExt;
use futures_util::future::{LocalBoxFuture, join};

use driver::{Log, Reports, TestTask, yield_times};

fn is_cancelled<T>(end: Option<Result<T, TaskEnd>>) -> bool {
    matches!(end, Some(Err(TaskEnd::Cancelled)))
}

/// A scope whose cleanup never ends.
fn without_end() -> LocalBoxFuture<'static, ()> {
    Box::pin(try_finally(pending::<()>(), async || pending().await))
}

/// At each poll a new scope whose cleanup never ends; the old one is dropped.
async fn replaces() {
    loop {
        without_end().or(yield_now()).await;
    }
}

/// At each poll a new scope whose cleanup never ends, beside the old ones, of which only the new one is polled.
async fn piles_up() {
    let pile = RefCell::new(Vec::new());
    poll_fn(|cx| {
        let mut new = without_end();
        assert!(new.as_mut().poll(cx).is_pending());
        pile.borrow_mut().push(new);
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// The same, and all of them are polled.
async fn polls_the_pile() {
    let pile: RefCell<Vec<Pin<Box<dyn Future<Output = ()>>>>> = RefCell::default();
    poll_fn(|cx| {
        pile.borrow_mut().push(without_end());
        for scope in pile.borrow_mut().iter_mut() {
            assert!(scope.as_mut().poll(cx).is_pending());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

#[test]
fn scopes_that_begin_in_every_pass_hold_up_nobody_for_ever() {
    let _reports = Reports::collect();
    for body in [Box::pin(replaces()) as LocalBoxFuture<'_, ()>, Box::pin(piles_up())] {
        let mut task = TestTask::new(body);
        assert!(task.run_up_to(3).is_none());
        task.handle().cancel();
        assert!(is_cancelled(task.run_up_to(2_000)));
    }
}

#[test]
fn the_same_inside_a_scope_and_inside_a_cleanup_that_is_cut() {
    let reports = Reports::collect();
    let log = Log::default();
    let l = log.clone();
    let mut task =
        TestTask::new(try_finally(try_finally(pending::<()>(), replaces), async move || {
            l.push("outer");
        }));
    assert!(task.run_up_to(3).is_none());
    task.handle().cancel();
    assert!(task.run_up_to(2_000).is_none(), "a cleanup may take as long as it likes");
    task.handle().cancel();
    assert!(is_cancelled(task.run_up_to(2_000)));
    assert_eq!(log.take(), ["outer"]);
    assert!(reports.reasons().contains(&SkipReason::Cut));
}

#[test]
fn a_second_request_ends_a_body_that_makes_new_scopes_and_polls_them_all() {
    let _reports = Reports::collect();
    for inside in [false, true] {
        let body: LocalBoxFuture<'_, ()> = if inside {
            Box::pin(try_finally(polls_the_pile(), async || ()))
        } else {
            Box::pin(polls_the_pile())
        };
        let mut task = TestTask::new(body);
        assert!(task.run_up_to(3).is_none());
        task.handle().cancel();
        assert!(task.run_up_to(50).is_none(), "as long as cleanups run it waits");
        task.handle().cancel();
        assert!(is_cancelled(task.run_up_to(50)), "inside {inside}");
    }
}

#[test]
fn a_branch_that_begins_only_while_its_task_unwinds_still_cleans_up() {
    let reports = Reports::collect();
    let log = Log::default();
    let (slow, late) = (log.clone(), log.clone());
    let mut task = TestTask::new(join(
        try_finally(pending::<()>(), async move || {
            yield_times(3).await;
            slow.push("slow");
        }),
        async move {
            yield_times(2).await;
            try_finally(pending::<()>(), async || {
                yield_times(8).await;
                late.push("late");
            })
            .await;
        },
    ));
    assert!(task.step().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["slow", "late"]);
    assert!(reports.take().is_empty());
}

/// One branch swallows the request to the task and cancels the scope around itself; the other one unwinds for the task.
fn swallowed_half_way(log: &Log) -> impl Future<Output = ()> {
    let log = log.clone();
    async move {
        let scope = CancelScope::new();
        let handle = scope.clone();
        let catcher = async move {
            drop(catch_cancel(pending::<()>()).await);
            handle.cancel();
            pending::<()>().await;
        };
        let cleaned = try_finally(pending::<()>(), async || {
            yield_times(3).await;
            log.push("cleaned");
        });
        drop(scope.run(join(catcher, cleaned)).await);
        log.push("converted");
    }
}

#[test]
fn a_scope_does_not_convert_a_request_from_above_that_one_branch_swallowed_and_another_follows() {
    let log = Log::default();
    let mut task = TestTask::new(async {
        swallowed_half_way(&log).await;
        pending::<()>().await;
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["cleaned"]);
}

#[test]
fn a_scope_whose_own_request_was_swallowed_converts_it_when_there_is_no_other() {
    let log = Log::default();
    let scope = CancelScope::new();
    let handle = scope.clone();
    let mut task = TestTask::new(async {
        let catcher = async move {
            drop(catch_cancel(pending::<()>()).await);
            pending::<()>().await;
        };
        let cleaned = try_finally(pending::<()>(), async || {
            yield_times(3).await;
            log.push("cleaned");
        });
        scope.run(join(catcher, cleaned)).await.is_err()
    });
    assert!(task.run().is_none());
    handle.cancel();
    assert!(matches!(task.run(), Some(Ok(true))));
    assert_eq!(log.take(), ["cleaned"]);
}

#[test]
fn of_two_requests_swallowed_at_once_the_outer_one_wins_whichever_is_newer() {
    for outer_first in [false, true] {
        let log = Log::default();
        let scope = CancelScope::new();
        let handle = scope.clone();
        let l = log.clone();
        let mut task = TestTask::new(async move {
            let catcher = async {
                drop(catch_cancel(pending::<()>()).await);
                pending::<()>().await;
            };
            let cleaned = try_finally(pending::<()>(), async || {
                yield_times(3).await;
                l.push("cleaned");
            });
            drop(scope.run(join(catcher, cleaned)).await);
            l.push("converted");
            pending::<()>().await;
        });
        assert!(task.run().is_none());
        if outer_first {
            task.handle().cancel();
            handle.cancel();
        } else {
            handle.cancel();
            task.handle().cancel();
        }
        assert!(is_cancelled(task.run()), "outer first: {outer_first}");
        assert_eq!(log.take(), ["cleaned"]);
    }
}

#[test]
fn a_branch_that_was_left_a_request_and_ends_with_a_value_leaves_the_scope_its_own() {
    let log = Log::default();
    let scope = CancelScope::new();
    let handle = scope.clone();
    let gate = Rc::new(RefCell::new(None));
    let opened = gate.clone();
    let l = log.clone();
    let mut task = TestTask::new(async move {
        let catcher = async {
            drop(catch_cancel(pending::<()>()).await);
            l.push("caught");
            pending::<()>().await;
        };
        // Ready in the very pass in which it would have to unwind.
        let branch = try_finally(
            poll_fn(|cx| {
                if opened.borrow_mut().take().is_some() {
                    return Poll::Ready(());
                }
                l.push("waits");
                let _ = cx;
                Poll::Pending
            }),
            async || (),
        );
        let ended = scope.run(join(catcher, branch)).await;
        ended.is_err()
    });
    assert!(task.run().is_none());
    *gate.borrow_mut() = Some(());
    task.handle().cancel();
    assert!(task.run().is_none(), "the request is swallowed, and the branch has its value");
    handle.cancel();
    assert!(matches!(task.run(), Some(Ok(true))));
    assert_eq!(log.take(), ["waits", "caught"]);
}

#[test]
fn what_begins_after_two_requests_were_swallowed_is_waited_for_like_anything_else() {
    let (log, reports) = (Log::default(), Reports::collect());
    let inside = log.clone();
    let mut task = TestTask::new(async move {
        assert!(catch_cancel(without_end()).await.is_err());
        asyncio_coro::current_task().unwrap().cancel();
        try_finally(async {}, async || {
            yield_times(3).await;
            inside.push("clean");
        })
        .await;
        pending::<()>().await;
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none(), "its cleanup goes on");
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["clean"]);
    assert_eq!(reports.reasons(), [SkipReason::Cut], "the one that was asked twice");
}
