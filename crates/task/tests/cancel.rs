//! Cancelling tasks: what unwinds, what stands, what is swallowed.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::Poll;

use asyncio_coro::{catch_cancel, try_finally, yield_now};
use asyncio_task::{TaskGroup, create_task, current_task, shield, sleep, timeout};
use support::{Log, here, millis, run, secs, timed};

/// Behaviour: TSK-29.
#[test]
fn a_cancelled_sleeper_ends_cancelled_without_time_passing() {
    run(async {
        let task = create_task(sleep(secs(10)));
        yield_now().await;
        let start = here().time();
        assert!(task.cancel());
        yield_now().await;
        assert!(task.done() && task.cancelled());
        assert!(!task.cancel(), "it has ended");
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(here().time(), start);
    });
}

/// Behaviour: TSK-31.
#[test]
fn a_task_cancelled_before_its_first_step_never_runs() {
    run(async {
        let ran = Rc::new(Cell::new(false));
        let mark = ran.clone();
        let task = create_task(async move { mark.set(true) });
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(!ran.get());
    });
}

/// Behaviour: TSK-37.
#[test]
fn a_task_that_catches_its_cancellation_may_return_a_value() {
    run(async {
        let log = Log::default();
        let events = log.clone();
        let task = create_task(async move {
            yield_now().await;
            let caught = catch_cancel(async {
                let _guard = events.on_drop("inner future dropped");
                pending::<()>().await;
            })
            .await;
            assert!(caught.is_err());
            42
        });
        yield_now().await;
        yield_now().await;
        task.cancel();
        assert_eq!(task.await.unwrap(), 42);
        assert_eq!(log.take(), ["inner future dropped"]);
    });
}

/// Behaviour: TSK-38.
#[test]
fn what_a_task_awaits_after_swallowing_a_cancellation_is_not_cancelled() {
    run(async {
        let task = create_task(async {
            let _ = catch_cancel(pending::<()>()).await;
            sleep(secs(1)).await;
            "slept"
        });
        yield_now().await;
        task.cancel();
        assert_eq!(task.await.unwrap(), "slept");
    });
}

/// Behaviour: TSK-40.
#[test]
fn a_task_that_cancels_itself_and_returns_ends_cancelled() {
    run(async {
        let task = create_task(async {
            current_task().unwrap().cancel();
            "never seen"
        });
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

/// Behaviour: TSK-41.
#[test]
fn a_task_that_cancels_itself_and_then_awaits_another_cancels_that_too() {
    run(async {
        let inner = create_task(pending::<()>());
        let ids = inner.id();
        let outer = create_task(async move {
            current_task().unwrap().cancel();
            let _ = inner.await;
        });
        assert!(outer.await.unwrap_err().is_cancelled());
        assert!(asyncio_task::all_tasks().iter().all(|task| task.id() != ids));
    });
}

/// Behaviour: TSK-43.
#[test]
fn cancelling_a_waiting_task_unwinds_the_awaited_one_first() {
    run(async {
        let log = Log::default();
        let events = log.clone();
        let outer = create_task(async move {
            let _outer = events.on_drop("outer");
            let inner_events = events.clone();
            let inner = create_task(async move {
                let _inner = inner_events.on_drop("inner");
                try_finally(pending::<()>(), async || {
                    sleep(secs(1)).await;
                    inner_events.push("inner cleaned up");
                })
                .await;
            });
            inner.await.unwrap();
        });
        yield_now().await;
        yield_now().await;
        outer.cancel();
        let ((), elapsed) = timed(async { drop(outer.await.unwrap_err()) }).await;
        assert_eq!(elapsed, secs(1));
        assert_eq!(log.take(), ["inner cleaned up", "inner", "outer"]);
    });
}

/// Behaviour: TSK-35.
#[test]
fn cancelling_the_awaited_task_gives_an_error_to_who_awaits_it() {
    run(async {
        let inner = Rc::new(RefCell::new(Some(create_task(pending::<()>()))));
        let id = inner.borrow().as_ref().unwrap().id();
        let outer = create_task(async move {
            let inner = inner.borrow_mut().take().unwrap();
            inner.await.unwrap_err().is_cancelled()
        });
        yield_now().await;
        asyncio_task::all_tasks().iter().find(|task| task.id() == id).unwrap().cancel();
        assert!(outer.await.unwrap());
    });
}

#[test]
fn a_value_that_the_awaited_task_returns_after_all_is_delivered_and_the_request_swallowed() {
    run(async {
        let outer = create_task(async {
            let inner = create_task(async {
                let _ = catch_cancel(pending::<()>()).await;
                sleep(secs(1)).await;
                "after all"
            });
            let value = inner.await.unwrap();
            sleep(secs(1)).await;
            value
        });
        yield_now().await;
        yield_now().await;
        outer.cancel();
        let (value, elapsed) = timed(outer).await;
        assert_eq!((value.unwrap(), elapsed), ("after all", secs(2)));
    });
}

#[test]
fn a_panic_of_the_awaited_task_while_it_unwinds_is_delivered() {
    run(async {
        let outer = create_task(async {
            let inner = create_task(try_finally(pending::<()>(), async || panic!("cleanup")));
            inner.await.unwrap_err().is_panic()
        });
        yield_now().await;
        yield_now().await;
        outer.cancel();
        assert!(outer.await.unwrap());
    });
}

/// Behaviour: TSK-44.
#[test]
fn a_sleeper_cancelled_by_a_timer_ends_at_that_time() {
    run(async {
        let task = Rc::new(create_task(sleep(secs(10))));
        here().call_later(millis(100), {
            let task = task.clone();
            move || {
                task.cancel();
            }
        });
        let (cancelled, elapsed) = timed(async {
            while !task.done() {
                sleep(millis(50)).await;
            }
            task.cancelled()
        })
        .await;
        assert!(cancelled);
        assert!(elapsed <= millis(150));
    });
}

/// Behaviour: TSK-47.
#[test]
fn cancelling_counts_requests() {
    run(async {
        let task = create_task(sleep(secs(10)));
        yield_now().await;
        assert_eq!(task.cancelling(), 0);
        assert!(task.cancel());
        assert_eq!(task.cancelling(), 1);
        assert!(format!("{task:?}").contains("cancelling"));
        assert!(task.cancel());
        assert_eq!(task.cancelling(), 2);
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

/// Behaviour: TSK-48.
#[test]
fn uncancel_takes_requests_back_and_a_later_one_works() {
    run(async {
        let task = create_task(async {
            let _ = catch_cancel(pending::<()>()).await;
            let me = current_task().unwrap();
            assert_eq!(me.cancelling(), 1);
            assert_eq!(me.uncancel(), 0);
            sleep(secs(1)).await;
            pending::<()>().await;
        });
        yield_now().await;
        task.cancel();
        sleep(secs(2)).await;
        assert!(!task.done());
        assert_eq!(task.cancelling(), 0);
        task.cancel();
        yield_now().await;
        assert!(task.cancelled());
        assert_eq!(task.uncancel(), 0);
        assert!(task.cancelled(), "taking it back comes too late");
    });
}

/// Behaviour: TSK-50.
#[test]
fn a_request_taken_back_before_its_delivery_is_withdrawn() {
    run(async {
        let task = create_task(async {
            yield_now().await;
            "undisturbed"
        });
        yield_now().await;
        task.cancel();
        assert_eq!(task.uncancel(), 0);
        assert_eq!(task.await.unwrap(), "undisturbed");
    });
}

/// Behaviour: TSK-49.
#[test]
fn a_timeout_made_by_hand_converts_only_its_own_request() {
    run(async {
        let task = create_task(async {
            let me = current_task().unwrap();
            let timer = here().call_later(secs(1), {
                let me = me.clone();
                move || {
                    me.cancel();
                }
            });
            let timed_out = catch_cancel(sleep(secs(10))).await.is_err();
            timer.cancel();
            let is_ours = me.uncancel() == 0;
            (timed_out, is_ours, me.cancelling())
        });
        assert_eq!(task.await.unwrap(), (true, true, 0));
    });
}

#[test]
fn a_ready_result_is_not_thrown_away_by_a_request_that_was_not_delivered() {
    run(async {
        let gate = Rc::new(Cell::new(false));
        let open = gate.clone();
        let task =
            create_task(poll_fn(
                move |_| {
                    if open.get() { Poll::Ready("ready") } else { Poll::Pending }
                },
            ));
        yield_now().await;
        gate.set(true);
        task.cancel();
        assert_eq!(task.await.unwrap(), "ready");
    });
}

#[test]
fn a_request_in_the_tick_in_which_the_awaited_task_ended_does_not_throw_its_value_away() {
    run(async {
        let gate = Rc::new(Cell::new(false));
        let open = gate.clone();
        let outer =
            create_task(async move {
                let inner = create_task(poll_fn(move |_| {
                    if open.get() { Poll::Ready("kept") } else { Poll::Pending }
                }));
                inner.await.unwrap()
            });
        yield_now().await;
        yield_now().await;
        gate.set(true);
        asyncio_task::all_tasks()[1].waker().wake_by_ref();
        yield_now().await;
        // The inner task has ended, the outer one has been woken and has not run.
        assert_eq!(asyncio_task::all_tasks().len(), 1);
        outer.cancel();
        assert_eq!(outer.await.unwrap(), "kept");
    });
}

#[test]
fn every_scope_of_a_task_cleans_up_from_the_inside_out() {
    run(async {
        let log = Log::default();
        let events = log.clone();
        let task = create_task(async move {
            try_finally(
                try_finally(pending::<()>(), async || {
                    yield_now().await;
                    events.push("inner");
                }),
                async || {
                    sleep(secs(1)).await;
                    events.push("outer");
                },
            )
            .await;
            events.push("never");
        });
        yield_now().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["inner", "outer"]);
    });
}

#[test]
fn a_second_request_cuts_a_cleanup_so_that_no_task_is_immortal() {
    run(async {
        let task = create_task(try_finally(pending::<()>(), async || pending().await));
        yield_now().await;
        task.cancel();
        sleep(secs(100)).await;
        assert!(!task.done());
        task.cancel();
        yield_now().await;
        assert!(task.cancelled());
    });
}

/// Behaviour: TSK-79, TSK-82.
#[test]
fn a_shielded_task_goes_on_when_the_awaiting_one_is_cancelled() {
    run(async {
        let log = Log::default();
        let events = log.clone();
        let outer = create_task(async move {
            let inside = events.clone();
            let mut inner = create_task(async move {
                sleep(secs(1)).await;
                inside.push("inner done");
            });
            shield(&mut inner).await.unwrap();
            events.push("never");
        });
        yield_now().await;
        yield_now().await;
        outer.cancel();
        assert!(outer.await.unwrap_err().is_cancelled());
        sleep(secs(2)).await;
        assert_eq!(log.take(), ["inner done"]);
    });
}

/// Behaviour: TSK-78, TSK-81.
#[test]
fn a_shield_gives_value_cancellation_and_panic_of_the_task_inside() {
    run(async {
        let mut value = create_task(async { 7 });
        assert_eq!(shield(&mut value).await.unwrap(), 7);
        let mut done = create_task(async { 8 });
        yield_now().await;
        assert!(done.done());
        assert_eq!(shield(&mut done).await.unwrap(), 8);
        let mut cancelled = create_task(pending::<()>());
        cancelled.cancel();
        assert!(shield(&mut cancelled).await.unwrap_err().is_cancelled());
        let mut panicked = create_task(async { panic!("inside") });
        assert!(shield::<()>(&mut panicked).await.unwrap_err().is_panic());
    });
}

/// Behaviour: TSK-80.
#[test]
fn a_panic_in_a_shielded_task_that_was_left_behind_is_reported_once() {
    run(async {
        let reports = support::reports();
        let outer = create_task(async {
            let mut inner = create_task(async {
                sleep(secs(1)).await;
                panic!("left behind");
            });
            let _: Result<(), _> = shield(&mut inner).await;
        });
        yield_now().await;
        yield_now().await;
        outer.cancel();
        sleep(secs(2)).await;
        let reports = reports.take();
        assert_eq!(reports.len(), 1);
        assert!(reports[0].contains("left behind"), "{}", reports[0]);
    });
}

#[test]
fn a_task_knows_that_it_was_cancelled_also_when_its_result_has_been_taken() {
    run(async {
        let mut task = create_task(pending::<()>());
        task.cancel();
        assert!(!task.cancelled(), "it has yet to unwind");
        assert!(shield(&mut task).await.unwrap_err().is_cancelled());
        assert!(task.cancelled());
        let child = TaskGroup::scope(async |group| {
            let mut child = group.create_task(pending::<Result<(), &str>>());
            child.cancel();
            assert!(shield(&mut child).await.unwrap_err().is_cancelled());
            Ok(child)
        });
        assert!(child.await.unwrap().cancelled());
    });
}

/// Behaviour: WF-12.
#[test]
fn a_timeout_around_a_shield_leaves_the_task_running() {
    run(async {
        let mut task = create_task(async {
            sleep(secs(2)).await;
            "later"
        });
        for delay in [secs(0), secs(1)] {
            assert!(timeout(delay, shield(&mut task)).await.is_err());
            assert!(!task.done());
        }
        assert_eq!(timeout(None, shield(&mut task)).await.unwrap().unwrap(), "later");
    });
}
