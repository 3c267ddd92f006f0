//! `start`: children that say when they are ready for others.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use asyncio_coro::{CancelScope, catch_cancel, try_finally, yield_now};
use asyncio_task::{StartError, TaskGroup, TaskStatus, create_task, current_task, sleep, timeout};
use support::{Log, Outcome, errors, fail_after, parked, run, secs, timed};

/// Starts after a second, then goes on until cancelled.
async fn serve(log: &Log, status: TaskStatus<u16>) -> Outcome {
    sleep(secs(1)).await;
    status.started(8080);
    parked(log, "server").await
}

#[test]
fn start_waits_for_the_value_and_the_child_goes_on() {
    run(async {
        let log = Log::default();
        let group = TaskGroup::scope(async |group| {
            let started = group.start(async |status| serve(&log, status).await);
            let (started, elapsed) = timed(started).await;
            let (port, server) = started.map_err(|_| "not started")?;
            assert_eq!((port, elapsed, server.done()), (8080, secs(1), false));
            sleep(secs(1)).await;
            assert!(log.take().is_empty());
            server.cancel();
            assert!(server.await.unwrap_err().is_cancelled());
            Ok(port)
        });
        assert_eq!(group.await, Ok(8080));
        assert_eq!(log.take(), ["server unwound"]);
    });
}

#[test]
fn a_started_child_may_give_a_value_that_borrows_and_end_with_another() {
    run(async {
        let (name, text) = (String::from("name"), String::from("text"));
        let group = TaskGroup::scope(async |group| {
            let started = group.start(async |status: TaskStatus<&str>| {
                status.started(&name);
                yield_now().await;
                Ok::<_, &str>(text.as_str())
            });
            let (name, child) = started.await.map_err(|_| "not started")?;
            Ok((name, child.await.map_err(|_| "no value")?))
        });
        assert_eq!(group.await, Ok(("name", "text")));
    });
}

#[test]
fn a_child_that_fails_before_it_has_started_gives_its_error_to_start_alone() {
    run(async {
        let group = TaskGroup::scope(async |group| {
            let started = group.start(async |_: TaskStatus<()>| fail_after(1, "no socket").await);
            assert!(matches!(started.await, Err(StartError::Failed("no socket"))));
            // The group goes on.
            let child = group.create_task(async { Ok(7) });
            Ok(child.await.unwrap())
        });
        assert_eq!(group.await, Ok(7));
    });
}

#[test]
fn a_child_that_fails_after_it_has_started_fails_the_group() {
    run(async {
        let log = Log::default();
        let group = TaskGroup::scope(async |group| -> Outcome {
            let started = group.start(async |status| {
                status.started(());
                fail_after(1, "late").await
            });
            started.await.map_err(|_| "not started")?;
            parked(&log, "body").await
        });
        assert_eq!(errors(group.await), ["late"]);
        assert_eq!(log.take(), ["body unwound"]);
    });
}

#[test]
fn a_child_that_ends_or_is_cancelled_without_having_started_is_an_error_of_start() {
    run(async {
        let group = TaskGroup::scope(async |group| {
            let silent = group.start(async |_: TaskStatus<()>| Outcome::Ok(())).await;
            assert!(matches!(silent, Err(StartError::NotStarted)));
            let cancelled = group
                .start(async |_: TaskStatus<()>| {
                    current_task().unwrap().cancel();
                    pending::<Outcome>().await
                })
                .await;
            let Err(StartError::Join(error)) = cancelled else { panic!("{cancelled:?}") };
            assert!(error.is_cancelled());
            Ok(())
        });
        assert_eq!(group.await, Ok(()));
    });
}

#[test]
fn a_panic_before_the_child_has_started_is_the_groups() {
    run(async {
        let task = create_task(async {
            let _ = TaskGroup::scope(async |group| -> Outcome {
                let started = group.start::<(), (), _>(async |_| panic!("no start")).await;
                let Err(StartError::Join(error)) = started else { panic!("{started:?}") };
                assert!(error.is_panic());
                Ok(())
            })
            .await;
        });
        assert_eq!(task.await.unwrap_err().into_panic().downcast_ref(), Some(&"no start"));
    });
}

#[test]
fn cancelling_start_cancels_the_child_and_waits_for_its_cleanup() {
    run(async {
        let log = Log::default();
        let group = TaskGroup::scope(async |group| {
            let start = group.start(async |_: TaskStatus<()>| {
                try_finally(pending::<()>(), async || {
                    sleep(secs(1)).await;
                    log.push("cleaned up");
                })
                .await;
                Outcome::Ok(())
            });
            let (result, elapsed) = timed(timeout(secs(1), start)).await;
            assert!(result.is_err());
            assert_eq!((log.take(), elapsed), (vec![String::from("cleaned up")], secs(2)));
            Ok(())
        });
        assert_eq!(group.await, Ok(()));
    });
}

#[test]
fn a_child_whose_start_is_cancelled_and_that_fails_in_its_unwinding_is_heard() {
    run(async {
        let group = TaskGroup::scope(async |group| {
            let start = group.start(async |_: TaskStatus<()>| {
                let _ = catch_cancel(pending::<()>()).await;
                Err::<(), _>("while unwinding")
            });
            let result = timeout(secs(1), start).await;
            assert!(matches!(result, Ok(Err(StartError::Failed("while unwinding")))));
            Ok(())
        });
        assert_eq!(group.await, Ok(()));
    });
}

#[test]
fn a_child_that_starts_when_its_starter_is_being_cancelled_is_cancelled_all_the_same() {
    run(async {
        let log = Log::default();
        let group = TaskGroup::scope(async |group| {
            let scope = CancelScope::new();
            let start = group.start(async |status| {
                let status = Cell::new(Some(status));
                try_finally(pending::<()>(), async || {
                    status.take().unwrap().started(());
                    sleep(secs(1)).await;
                    log.push("cleaned up");
                })
                .await;
                Outcome::Ok(())
            });
            let stop = scope.clone();
            group.create_task(async move {
                sleep(secs(1)).await;
                stop.cancel();
                Ok(())
            });
            assert!(scope.run(start).await.is_err());
            assert_eq!(log.take(), ["cleaned up"]);
            Ok(())
        });
        assert_eq!(group.await, Ok(()));
    });
}

#[test]
fn cancelling_the_group_while_a_child_starts_unwinds_both() {
    run(async {
        let log = Log::default();
        let group = TaskGroup::scope(async |group| -> Outcome {
            group.create_task(async {
                sleep(secs(1)).await;
                group.cancel();
                Ok(())
            });
            let start = group.start(async |_: TaskStatus<()>| parked(&log, "child").await);
            let _guard = log.on_drop("body unwound");
            let started = start.await;
            log.push("told");
            started.map(drop).map_err(|_| "an error for a cancellation")
        });
        let group = group.await.unwrap_err();
        assert!(group.is_empty(), "{group}");
        assert_eq!(log.take(), ["child unwound", "body unwound"]);
    });
}

#[test]
fn starting_in_a_group_that_takes_no_more_is_an_error() {
    run(async {
        let ran = Cell::new(false);
        let group = TaskGroup::scope(async |group| {
            group.cancel();
            let refused = catch_cancel(group.start(async |_: TaskStatus<()>| {
                ran.set(true);
                Outcome::Ok(())
            }))
            .await;
            assert!(!matches!(refused, Ok(Ok(_))) && !ran.get());
            Ok(())
        });
        assert_eq!(group.await, Ok(()));
    });
}

/// Polls `start` once, and goes on with it pending.
async fn begin(mut start: Pin<&mut impl Future>) {
    let begun = poll_fn(|cx| Poll::Ready(start.as_mut().poll(cx).is_pending()));
    assert!(begun.await);
}

#[test]
fn a_start_that_is_dropped_cancels_the_child_and_leaves_its_error_to_the_group() {
    run(async {
        let group = TaskGroup::scope(async |group| -> Outcome {
            let mut start = Box::pin(group.start(async |status| {
                status.started("nobody wants it");
                Err::<(), _>("never")
            }));
            begin(start.as_mut()).await;
            drop(start);
            // The child has not begun: it never does.
            yield_now().await;
            let mut start = Box::pin(group.start(async |_: TaskStatus<()>| {
                let _ = catch_cancel(pending::<()>()).await;
                Err::<(), _>("heard")
            }));
            begin(start.as_mut()).await;
            yield_now().await;
            yield_now().await;
            drop(start);
            pending().await
        });
        assert_eq!(errors(group.await), ["heard"]);
    });
}

#[test]
fn an_error_that_nobody_took_before_start_was_dropped_is_the_groups() {
    run(async {
        let group = TaskGroup::scope(async |group| -> Outcome {
            let mut start =
                Box::pin(group.start(async |_: TaskStatus<()>| Err::<(), _>("failed unseen")));
            begin(start.as_mut()).await;
            sleep(secs(1)).await;
            drop(start);
            pending().await
        });
        assert_eq!(errors(group.await), ["failed unseen"]);
    });
}

#[test]
fn a_status_may_be_kept_and_called_from_elsewhere() {
    run(async {
        let kept = Rc::new(RefCell::new(None));
        let group = TaskGroup::scope(async |group| {
            group.create_task(async {
                sleep(secs(2)).await;
                let status: TaskStatus<&str> = kept.take().unwrap();
                status.started("by another");
                Ok(())
            });
            let start = group.start(async |status| {
                kept.replace(Some(status));
                sleep(secs(5)).await;
                Outcome::Ok(())
            });
            let (started, elapsed) = timed(start).await;
            let value = started.map_err(|_| "not started")?.0;
            assert_eq!((value, elapsed), ("by another", secs(2)));
            Ok(())
        });
        assert_eq!(group.await, Ok(()));
    });
}
