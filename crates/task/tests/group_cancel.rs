//! Groups that are cancelled: from outside, by a timeout, by themselves.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

use asyncio_coro::{catch_cancel, try_finally, yield_now};
use asyncio_task::{TaskGroup, create_task, current_task, sleep, timeout};
use support::{Log, Outcome, errors, fail_after, here, millis, parked, reports, run, secs, timed};

// ---- cancelled from outside

/// Behaviour: TG-15.
#[test]
fn cancelling_who_waits_for_a_group_cancels_and_awaits_its_children() {
    run(async {
        let log = Log::default();
        let inside = log.clone();
        let task = create_task(async move {
            let log = &inside;
            TaskGroup::scope(async |group| {
                for name in ["a", "b", "c"] {
                    group.create_task(parked(log, name));
                }
                Ok(())
            })
            .await
        });
        yield_now().await;
        yield_now().await;
        yield_now().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["a unwound", "b unwound", "c unwound"]);
    });
}

/// Behaviour: TG-16.
#[test]
fn the_body_unwinds_first_while_the_children_still_run() {
    run(async {
        let log = Log::default();
        let inside = log.clone();
        let task = create_task(async move {
            let log = &inside;
            TaskGroup::scope(async |group| {
                group.create_task(async {
                    let _guard = log.on_drop("child unwound");
                    for n in 0.. {
                        sleep(millis(400)).await;
                        log.push(format!("child {n}"));
                    }
                    Ok(())
                });
                try_finally(pending::<()>(), async || {
                    sleep(secs(1)).await;
                    log.push("body unwound");
                })
                .await;
                Outcome::Ok(())
            })
            .await
        });
        yield_now().await;
        yield_now().await;
        yield_now().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["child 0", "child 1", "body unwound", "child unwound"]);
    });
}

/// Behaviour: TG-20.
#[test]
fn a_group_without_children_passes_a_cancellation_through() {
    run(async {
        let task = create_task(TaskGroup::scope(async |_| pending::<Outcome>().await));
        yield_now().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

/// Behaviour: TG-17.
#[test]
fn errors_of_children_while_they_are_cancelled_replace_the_cancellation() {
    run(async {
        let task = create_task(async {
            let group = TaskGroup::scope(async |group| {
                for error in ["one", "two"] {
                    group.create_task(async move {
                        let _ = catch_cancel(pending::<()>()).await;
                        Err::<(), _>(error)
                    });
                }
                Ok(())
            });
            errors(group.await)
        });
        for _ in 0..3 {
            yield_now().await;
        }
        task.cancel();
        assert_eq!(task.await.unwrap(), ["one", "two"]);
    });
}

/// Behaviour: TG-18.
#[test]
fn a_body_that_turns_its_cancellation_into_an_error_gives_that_error() {
    run(async {
        let task = create_task(async {
            let group = TaskGroup::scope(async |_| -> Outcome {
                let _ = catch_cancel(pending::<()>()).await;
                Err("instead")
            });
            errors(group.await)
        });
        yield_now().await;
        task.cancel();
        assert_eq!(task.await.unwrap(), ["instead"]);
    });
}

/// Behaviour: TG-26.
#[test]
fn a_child_error_and_a_request_from_outside_give_the_group_then_the_cancellation() {
    run(async {
        let log = Log::default();
        let inside = log.clone();
        let task = create_task(async move {
            let group = TaskGroup::scope(async |group| -> Outcome {
                group.create_task(fail_after(1, "child"));
                pending().await
            });
            let errors = errors(group.await);
            inside.push(errors.concat());
            inside.push(format!("cancelling {}", current_task().unwrap().cancelling()));
            sleep(secs(0)).await;
            inside.push("never");
        });
        let victim = Rc::new(RefCell::new(Some(task)));
        // In the tick in which the child's timer fires, before the group hears of it.
        here().call_later(secs(1), {
            let victim = victim.clone();
            move || {
                victim.borrow().as_ref().map(|task| task.cancel());
            }
        });
        sleep(secs(2)).await;
        let task = victim.take().unwrap();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["child", "cancelling 1"]);
    });
}

/// Behaviour: TG-19.
#[test]
fn a_child_that_fails_while_the_body_unwinds_is_heard() {
    run(async {
        let task = create_task(async {
            let group = TaskGroup::scope(async |group| -> Outcome {
                group.create_task(fail_after(1, "child"));
                try_finally(pending::<()>(), async || sleep(secs(2)).await).await;
                Ok(())
            });
            errors(group.await)
        });
        for _ in 0..3 {
            yield_now().await;
        }
        task.cancel();
        assert_eq!(task.await.unwrap(), ["child"]);
    });
}

#[test]
fn an_error_of_the_body_is_not_lost_to_a_request_while_the_children_end() {
    run(async {
        let task = create_task(async {
            let group = TaskGroup::scope(async |group| -> Outcome {
                group.create_task(async {
                    try_finally(pending::<()>(), async || sleep(secs(2)).await).await;
                    Ok(())
                });
                sleep(secs(1)).await;
                Err("body")
            });
            (errors(group.await), current_task().unwrap().cancelling())
        });
        sleep(secs(2)).await;
        task.cancel();
        assert_eq!(task.await.unwrap(), (vec!["body"], 1));
    });
}

#[test]
fn a_second_request_from_outside_cancels_the_children_again() {
    run(async {
        let log = Log::default();
        let inside = log.clone();
        let task = create_task(async move {
            let log = &inside;
            TaskGroup::scope(async |group| {
                group.create_task(async {
                    for n in 0..2 {
                        let _ = catch_cancel(pending::<()>()).await;
                        log.push(format!("request {n}"));
                    }
                    Outcome::Ok(())
                });
                Ok(())
            })
            .await
        });
        for _ in 0..3 {
            yield_now().await;
        }
        for n in 0..2 {
            assert!(!task.done());
            assert!(task.cancel());
            for _ in 0..3 {
                yield_now().await;
            }
            assert_eq!(log.take(), [format!("request {n}")]);
        }
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_request_from_outside_does_not_cancel_the_children_of_an_aborting_group_again() {
    run(async {
        let log = Log::default();
        let inside = log.clone();
        let task = create_task(async move {
            let log = &inside;
            let group = TaskGroup::scope(async |group| -> Outcome {
                group.create_task(async {
                    try_finally(pending::<()>(), async || {
                        sleep(secs(5)).await;
                        log.push("cleaned up");
                    })
                    .await;
                    Ok(())
                });
                group.create_task(fail_after(1, "child"));
                pending().await
            });
            errors(group.await)
        });
        sleep(secs(2)).await;
        task.cancel();
        assert_eq!(task.await.unwrap(), ["child"]);
        assert_eq!(log.take(), ["cleaned up"]);
    });
}

/// Behaviour: XTR-13.
#[test]
fn each_block_leaves_the_count_of_requests_as_it_found_it_but_for_those_from_outside() {
    run(async {
        let counts = Rc::new(RefCell::new(Vec::new()));
        let task = create_task({
            let counts = counts.clone();
            async move {
                let count = || counts.borrow_mut().push(current_task().unwrap().cancelling());
                let outer = TaskGroup::scope(async |outer| -> Outcome {
                    outer.create_task(async {
                        sleep(secs(9)).await;
                        Err::<(), _>("outer child")
                    });
                    let late = timeout(secs(1), async {
                        let inner = TaskGroup::scope(async |inner| -> Outcome {
                            inner.create_task(fail_after(2, "never comes to it"));
                            pending().await
                        });
                        let _ = inner.await;
                    });
                    assert!(late.await.is_err());
                    count(); // after a timeout around a group
                    let failed = TaskGroup::scope(async |inner| -> Outcome {
                        inner.create_task(fail_after(1, "inner child"));
                        let _ = timeout(secs(5), pending::<()>()).await;
                        Ok(())
                    });
                    assert_eq!(errors(failed.await), ["inner child"]);
                    count(); // after a group that has aborted itself, around a timeout
                    let outside = timeout(secs(5), async {
                        let _ = catch_cancel(pending::<()>()).await;
                        sleep(secs(5)).await; // the deadline comes first
                    });
                    assert!(outside.await.is_err());
                    count(); // after a request from outside, which was swallowed, and a deadline
                    pending().await
                });
                assert_eq!(errors(outer.await), ["outer child"]);
                count(); // after a group that was aborted, with that request
                current_task().unwrap().uncancel();
                count();
            }
        });
        sleep(secs(3)).await;
        task.cancel();
        task.await.unwrap();
        assert_eq!(*counts.borrow(), [0, 0, 1, 1, 0]);
    });
}

/// Behaviour: TMO-19.
#[test]
fn errors_of_a_group_come_out_of_a_timeout_that_made_them() {
    run(async {
        let body = TaskGroup::scope(async |group| -> Outcome {
            group.create_task(async {
                let _ = catch_cancel(pending::<()>()).await;
                Err::<(), _>("child")
            });
            let _ = catch_cancel(pending::<()>()).await;
            Err("body")
        });
        let result = timeout(secs(1), body).await.expect("it has errors to give");
        let mut errors = errors(result);
        errors.sort_unstable();
        assert_eq!(errors, ["body", "child"]);
    });
}

#[test]
fn a_timeout_around_a_group_unwinds_it() {
    run(async {
        let log = Log::default();
        let body = TaskGroup::scope(async |group| {
            group.create_task(parked(&log, "child"));
            parked(&log, "body").await
        });
        assert!(timeout(secs(1), body).await.is_err());
        assert_eq!(log.take(), ["body unwound", "child unwound"]);
    });
}

// ---- cancel()

/// Behaviour: TG-33, TG-34.
#[test]
fn cancel_ends_body_and_children_without_an_error() {
    run(async {
        let log = Log::default();
        let group = TaskGroup::scope(async |group| -> Outcome {
            for name in ["a", "b"] {
                group.create_task(parked(&log, name));
            }
            yield_now().await;
            yield_now().await;
            group.cancel();
            yield_now().await;
            log.push("never");
            Ok(())
        });
        let (result, elapsed) = timed(timeout(secs(1), group)).await;
        assert!(result.unwrap().unwrap_err().is_empty());
        assert_eq!(elapsed, secs(0));
        assert_eq!(log.take(), ["a unwound", "b unwound"]);
        sleep(secs(0)).await;
    });
}

/// Behaviour: TG-35, TG-37.
#[test]
fn cancel_may_be_called_twice_and_closes_the_group_to_new_children() {
    run(async {
        let result = TaskGroup::scope(async |group| {
            group.cancel();
            group.cancel();
            assert!(group.create_task(async { Outcome::Ok(()) }).cancelled());
            Ok("had a value already")
        });
        assert_eq!(result.await, Ok("had a value already"));
    });
}

/// Behaviour: TG-36.
#[test]
fn a_group_cancelled_before_all_else_stops_its_body_where_it_first_waits() {
    run(async {
        let log = Log::default();
        let group = TaskGroup::scope(async |group| -> Outcome {
            group.cancel();
            log.push("still in the first step");
            yield_now().await;
            log.push("never");
            Ok(())
        });
        assert_eq!(group.await.or_else(|group| group.into_result()), Ok(()));
        assert_eq!(log.take(), ["still in the first step"]);
    });
}

/// Behaviour: TG-38.
#[test]
fn errors_of_a_cancelled_group_are_given_all_the_same() {
    run(async {
        let result = TaskGroup::scope(async |group| {
            group.create_task(async {
                group.cancel();
                Err::<(), _>("raised after cancel")
            });
            pending::<Outcome>().await
        });
        assert_eq!(errors(result.await), ["raised after cancel"]);
        let result = TaskGroup::scope(async |group| {
            group.create_task(try_finally(async { Err::<(), _>("raised first") }, async || {
                yield_now().await;
                group.cancel();
            }));
            pending::<Outcome>().await
        });
        assert_eq!(errors(result.await), ["raised first"]);
    });
}

/// Behaviour: TG-40.
#[test]
fn a_request_from_outside_wins_over_cancel() {
    run(async {
        let task = create_task(async {
            let _ = TaskGroup::scope(async |group| {
                group.create_task(async {
                    sleep(secs(1)).await;
                    group.cancel();
                    Outcome::Ok(())
                });
                try_finally(pending::<()>(), async || sleep(secs(1)).await).await;
                Ok(())
            })
            .await;
            "went on"
        });
        sleep(secs(1)).await;
        yield_now().await;
        yield_now().await;
        assert!(!task.done());
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_cleanup_of_the_body_may_wait_for_as_many_turns_of_the_children_as_it_takes() {
    run(async {
        let (log, reports) = (Log::default(), reports());
        let task = create_task({
            let log = log.clone();
            async move {
                let place = RefCell::new(None::<Waker>);
                let over = Cell::new(false);
                let group = TaskGroup::scope(async |group| {
                    group.create_task(async {
                        while place.borrow().is_none() {
                            yield_now().await;
                        }
                        for _ in 0..5_000 {
                            yield_now().await;
                        }
                        over.set(true);
                        place.take().expect("the cleanup waits").wake();
                        pending::<Outcome>().await
                    });
                    let until_over = poll_fn(|cx| {
                        place.replace(Some(cx.waker().clone()));
                        if over.get() { Poll::Ready(()) } else { Poll::Pending }
                    });
                    try_finally(pending::<()>(), async || {
                        until_over.await;
                        log.push("clean");
                    })
                    .await;
                    Outcome::Ok(())
                });
                group.await.expect("nobody fails");
            }
        });
        yield_now().await;
        yield_now().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["clean"]);
        assert!(reports.take().is_empty());
    });
}
