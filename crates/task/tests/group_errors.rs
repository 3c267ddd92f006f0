//! Groups in which children or the body fail or panic, and groups within groups.

mod support;

use std::cell::Cell;
use std::future::{Future, pending};

use asyncio_coro::{
    AsyncContextManager, ExitReason, async_with, catch_cancel, try_finally, yield_now,
};
use asyncio_task::{ExceptionGroup, TaskGroup, all_tasks, create_task, current_task, sleep};
use support::{Log, Outcome, errors, fail_after, millis, note, parked, reports, run, secs, timed};

// ---- errors

/// Behaviour: TG-06.
#[test]
fn a_failing_child_has_its_siblings_and_the_body_cancelled_and_awaited() {
    run(async {
        let log = Log::default();
        let group = TaskGroup::scope(async |group| -> Outcome {
            group.create_task(async {
                try_finally(pending::<()>(), async || {
                    sleep(secs(1)).await;
                    log.push("sibling unwound");
                })
                .await;
                Ok(())
            });
            group.create_task(fail_after(1, "boom"));
            parked(&log, "body").await
        });
        let (result, elapsed) = timed(group).await;
        assert_eq!(errors(result), ["boom"]);
        assert_eq!(elapsed, secs(2));
        assert_eq!(log.take(), ["body unwound", "sibling unwound"]);
    });
}

/// Behaviour: TG-07.
#[test]
fn children_that_fail_in_one_tick_are_all_in_the_group() {
    run(async {
        let group = TaskGroup::scope(async |group| -> Outcome {
            for error in ["first", "second", "third"] {
                group.create_task(fail_after(1, error));
            }
            sleep(secs(10)).await;
            Ok(())
        });
        let (result, elapsed) = timed(group).await;
        assert_eq!((errors(result), elapsed), (vec!["first", "second", "third"], secs(1)));
    });
}

#[test]
fn errors_come_in_the_order_of_completion() {
    run(async {
        let result = TaskGroup::scope(async |group| {
            group.create_task(async {
                let _ = catch_cancel(pending::<()>()).await;
                fail_after(2, "created first, failed last").await
            });
            group.create_task(async {
                let _ = catch_cancel(pending::<()>()).await;
                fail_after(1, "second").await
            });
            group.create_task(fail_after(1, "first"));
            Ok(())
        });
        assert_eq!(errors(result.await), ["first", "second", "created first, failed last"]);
    });
}

/// Behaviour: TG-08.
#[test]
fn a_failing_body_has_the_children_cancelled_and_its_error_in_the_group() {
    run(async {
        for waits in [false, true] {
            let log = Log::default();
            let result = TaskGroup::scope(async |group| -> Outcome {
                group.create_task(parked(&log, "child"));
                if waits {
                    sleep(secs(1)).await;
                }
                Err("body")
            });
            assert_eq!(errors(result.await), ["body"]);
            let expected: &[&str] = if waits { &["child unwound"] } else { &[] };
            assert_eq!(log.take(), expected);
        }
    });
}

/// Behaviour: TG-09.
#[test]
fn an_error_of_the_body_while_it_is_being_cancelled_comes_last() {
    run(async {
        let result = TaskGroup::scope(async |group| -> Outcome {
            group.create_task(fail_after(1, "child"));
            let _ = catch_cancel(pending::<()>()).await;
            Err("body")
        });
        assert_eq!(errors(result.await), ["child", "body"]);
        assert_eq!(current_task().unwrap().cancelling(), 0);
    });
}

#[test]
fn an_error_of_a_child_that_is_cancelled_in_the_same_step_is_heard() {
    run(async {
        let log = Log::default();
        let result = TaskGroup::scope(async |group| {
            group.create_task(async {
                current_task().expect("a child is a task").cancel();
                Outcome::<()>::Err("all the same")
            });
            group.create_task(parked(&log, "sibling"));
            pending::<Outcome>().await
        });
        assert_eq!(errors(result.await), ["all the same"]);
    });
}

/// Behaviour: TG-11.
#[test]
fn endlessly_spawning_children_are_stopped_by_one_that_fails() {
    fn spawn_on<'scope>(group: &'scope TaskGroup<'scope, '_, &'static str>) {
        group.create_task(async move {
            sleep(millis(10)).await;
            spawn_on(group);
            spawn_on(group);
            sleep(secs(100)).await;
            Ok(())
        });
    }
    run(async {
        let group = TaskGroup::scope(async |group| {
            group.create_task(fail_after(0, "enough").boxed_after(millis(55)));
            spawn_on(group);
            Ok(())
        });
        let (result, elapsed) = timed(group).await;
        assert_eq!((errors(result), elapsed), (vec!["enough"], millis(55)));
        assert!(all_tasks().is_empty());
    });
}

trait After: Future + Sized {
    async fn boxed_after(self, delay: std::time::Duration) -> Self::Output {
        sleep(delay).await;
        self.await
    }
}

impl<F: Future> After for F {}

/// Behaviour: TG-12, TG-30.
#[test]
fn a_group_that_aborts_takes_no_more() {
    run(async {
        let log = Log::default();
        let result = TaskGroup::scope(async |group| -> Outcome {
            group.create_task(async {
                let _ = catch_cancel(pending::<()>()).await;
                let guard = log.on_drop("future dropped");
                let log = &log;
                let late = group.create_task(async move {
                    let _guard = guard;
                    note(log, "ran").await
                });
                log.push("created");
                assert!(late.done() && late.cancelled() && !late.cancel());
                assert!(late.await.unwrap_err().is_cancelled());
                Ok(())
            });
            group.create_task(fail_after(1, "boom"));
            pending().await
        });
        assert_eq!(errors(result.await), ["boom"]);
        assert_eq!(log.take(), ["future dropped", "created"]);
    });
}

/// Behaviour: TG-13.
#[test]
fn a_child_created_by_a_child_that_fails_in_its_first_step_cancels_its_creator() {
    run(async {
        let log = Log::default();
        let result = TaskGroup::scope(async |group| {
            group.create_task(async {
                group.create_task(async { Err::<(), _>("at once") });
                parked(&log, "creator").await
            });
            Ok(())
        });
        assert_eq!(errors(result.await), ["at once"]);
        assert_eq!(log.take(), ["creator unwound"]);
    });
}

/// Behaviour: TG-14.
#[test]
fn no_cancellation_leaks_into_the_code_after_the_group() {
    run(async {
        let task = create_task(async {
            let group = TaskGroup::scope(async |group| -> Outcome {
                group.create_task(fail_after(0, "boom"));
                pending().await
            });
            assert_eq!(errors(group.await), ["boom"]);
            for _ in 0..3 {
                sleep(secs(0)).await;
            }
            sleep(secs(1)).await;
            current_task().unwrap().cancelling()
        });
        assert_eq!(task.await.unwrap(), 0);
    });
}

#[test]
fn awaiting_a_child_that_failed_unwinds_the_body_as_in_asyncio() {
    run(async {
        let log = Log::default();
        let result = TaskGroup::scope(async |group| -> Outcome {
            let child = group.create_task(fail_after(1, "child"));
            let _guard = log.on_drop("body unwound");
            let told = child.await;
            log.push("told");
            told.map_err(|_| "a second error for the same failure")
        });
        assert_eq!(errors(result.await), ["child"]);
        assert_eq!(log.take(), ["body unwound"]);
    });
}

#[test]
fn who_catches_that_is_told_that_the_child_failed() {
    run(async {
        let result = TaskGroup::scope(async |group| -> Outcome {
            let child = group.create_task(fail_after(1, "child"));
            let _ = catch_cancel(pending::<()>()).await;
            let error = child.await.unwrap_err();
            assert!(!error.is_cancelled() && !error.is_panic());
            assert!(error.to_string().contains("failed; its group has the error"), "{error}");
            Ok(())
        });
        assert_eq!(errors(result.await), ["child"]);
    });
}

/// Fails in its exit; a cleanup cannot fail itself, so it leaves the error to the body.
struct FailingExit<'a>(&'a Cell<Option<&'static str>>);

impl AsyncContextManager for FailingExit<'_> {
    type Entered = ();

    async fn aenter(&mut self) {}

    async fn aexit(self, (): (), how: ExitReason) {
        assert_eq!(how, ExitReason::Cancelled);
        sleep(secs(1)).await;
        self.0.set(Some("exit"));
    }
}

/// Behaviour: TG-10.
#[test]
fn an_error_in_the_exit_of_a_context_manager_joins_that_of_the_child() {
    run(async {
        let task = create_task(async {
            let group = TaskGroup::scope(async |group| -> Outcome {
                group.create_task(fail_after(1, "child"));
                let failed = Cell::new(None);
                let left = async_with(FailingExit(&failed), async |()| pending::<()>().await);
                let _ = catch_cancel(left).await;
                failed.take().map_or(Ok(()), Err)
            });
            let errors = errors(group.await);
            (errors, current_task().unwrap().cancelling())
        });
        assert_eq!(task.await.unwrap(), (vec!["child", "exit"], 0));
    });
}

/// Behaviour: TG-28.
#[test]
fn errors_of_every_kind_are_grouped_whichever_of_them_is_the_bodys() {
    #[derive(Debug, PartialEq)]
    struct Exit(u8);
    impl std::fmt::Display for Exit {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "exit {}", self.0)
        }
    }
    impl std::error::Error for Exit {}
    type Any = Box<dyn std::error::Error>;

    run(async {
        for body_exits in [false, true] {
            let result = TaskGroup::scope(async |group| -> Result<(), Any> {
                group.create_task(async {
                    sleep(secs(1)).await;
                    Err::<(), Any>(if body_exits { "child".into() } else { Exit(3).into() })
                });
                let _ = catch_cancel(pending::<()>()).await;
                Err(if body_exits { Exit(3).into() } else { "body".into() })
            });
            let (exits, others) = result.await.unwrap_err().split(|error| error.is::<Exit>());
            let (exits, others) = (exits.unwrap(), others.unwrap());
            assert_eq!(exits.errors()[0].downcast_ref(), Some(&Exit(3)));
            assert_eq!(others.errors()[0].to_string(), if body_exits { "child" } else { "body" });
        }
    });
}

// ---- nesting

/// Behaviour: TG-21.
#[test]
fn errors_of_an_inner_group_nest_in_those_of_the_outer_one() {
    run(async {
        let result = TaskGroup::scope(async |outer| {
            outer.create_task(async {
                TaskGroup::scope(async |inner| {
                    inner.create_task(async {
                        let _ = catch_cancel(pending::<()>()).await;
                        Err::<(), _>("inner child")
                    });
                    pending::<Outcome>().await
                })
                .await
            });
            yield_now().await;
            yield_now().await;
            yield_now().await;
            Err::<(), _>(ExceptionGroup::clone(&one_error().await))
        });
        let group = result.await.unwrap_err();
        let nested: Vec<_> = group.into_iter().map(ExceptionGroup::into_errors).collect();
        assert_eq!(nested, [vec!["inner child"], vec!["one"]]);
    });
}

async fn one_error() -> ExceptionGroup<&'static str> {
    TaskGroup::scope(async |_| Err::<(), _>("one")).await.unwrap_err()
}

/// Behaviour: TG-22.
#[test]
fn a_failure_in_the_outer_group_cancels_the_inner_one_which_adds_nothing() {
    run(async {
        let log = Log::default();
        let result = TaskGroup::scope(async |outer| -> Outcome {
            outer.create_task(async {
                let inner = TaskGroup::scope(async |inner| {
                    inner.create_task(parked(&log, "inner child"));
                    parked(&log, "inner body").await
                });
                inner.await.map_err(|_| "inner group")
            });
            outer.create_task(fail_after(1, "outer child"));
            parked(&log, "outer body").await
        });
        assert_eq!(errors(result.await), ["outer child"]);
        assert_eq!(log.take(), ["inner body unwound", "outer body unwound", "inner child unwound"]);
    });
}

// ---- panics

#[test]
fn a_panic_of_a_child_goes_on_out_of_the_group_after_the_others_have_cleaned_up() {
    run(async {
        let log = Log::default();
        let inside = log.clone();
        let task = create_task(async move {
            let log = &inside;
            let _ = TaskGroup::scope(async |group| {
                group.create_task(parked(log, "sibling"));
                let bomb = group.create_task(async {
                    sleep(secs(1)).await;
                    if secs(1) > secs(0) {
                        panic!("child");
                    }
                    Outcome::Ok(())
                });
                let _ = catch_cancel(pending::<()>()).await;
                let error = bomb.await.unwrap_err();
                log.push(error.into_panic().downcast_ref::<String>().unwrap().as_str());
                Ok(())
            })
            .await;
        });
        let error = task.await.unwrap_err();
        assert_eq!(error.into_panic().downcast_ref(), Some(&"child"));
        assert_eq!(log.take(), ["sibling unwound", "child"]);
    });
}

/// Behaviour: TG-27.
#[test]
fn a_panic_of_the_body_of_an_aborting_group_goes_on_bare() {
    run(async {
        let task = create_task(async {
            let _: Outcome = TaskGroup::scope(async |group| {
                group.create_task(fail_after(1, "child"));
                let _ = catch_cancel(pending::<()>()).await;
                panic!("interrupted")
            })
            .await
            .map_err(|_| "grouped");
        });
        assert_eq!(task.await.unwrap_err().into_panic().downcast_ref(), Some(&"interrupted"));
    });
}

#[test]
fn a_panic_of_the_body_goes_on_after_the_children_have_cleaned_up() {
    run(async {
        let log = Log::default();
        let inside = log.clone();
        let task = create_task(async move {
            let log = &inside;
            let _: Result<(), ExceptionGroup<&str>> = TaskGroup::scope(async |group| {
                group.create_task(async {
                    try_finally(pending::<()>(), async || {
                        sleep(secs(1)).await;
                        log.push("child unwound");
                    })
                    .await;
                    Ok(())
                });
                yield_now().await;
                yield_now().await;
                panic!("body")
            })
            .await;
        });
        assert_eq!(task.await.unwrap_err().into_panic().downcast_ref(), Some(&"body"));
        assert_eq!(log.take(), ["child unwound"]);
    });
}

#[test]
fn further_panics_of_a_group_are_reported() {
    run(async {
        let reports = reports();
        let task = create_task(async {
            let _: Result<(), ExceptionGroup<&str>> = TaskGroup::scope(async |group| {
                for n in 0..2 {
                    group.create_task::<(), _>(async move { panic!("number {n}") });
                }
                Ok(())
            })
            .await;
        });
        let payload = task.await.unwrap_err().into_panic();
        assert_eq!(payload.downcast_ref::<String>().unwrap(), "number 0");
        let reports = reports.take();
        assert_eq!(reports.len(), 1);
        assert!(reports[0].contains("number 1"), "{}", reports[0]);
    });
}
