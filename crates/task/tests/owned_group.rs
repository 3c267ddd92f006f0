//! `OwnedTaskGroup`: groups kept in a struct.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::Poll;

use asyncio_coro::{CancelScope, catch_cancel, try_finally, yield_now};
use asyncio_task::{
    OwnedTaskGroup, StartError, TaskStatus, all_tasks, create_task, current_task, gather, sleep,
    timeout,
};
use support::{Log, Outcome, errors, fail_after, my_waker, reports, run, secs, timed};

type Group = OwnedTaskGroup<&'static str>;

/// What a child does that waits for ever, and cleans up for a second.
async fn tidy(log: Log, name: &'static str) -> Outcome {
    try_finally(pending::<()>(), async || {
        sleep(secs(1)).await;
        log.push(format!("{name} unwound"));
    })
    .await;
    Ok(())
}

// ---- all well

#[test]
fn children_run_and_join_waits_for_a_moment_without_any() {
    run(async {
        let group = Rc::new(Group::new());
        assert!(group.is_empty());
        group.join().await.unwrap();
        let inside = group.clone();
        let child = group.create_task(async move {
            sleep(secs(1)).await;
            inside.create_task(async {
                sleep(secs(2)).await;
                Ok(())
            });
            Ok(7)
        });
        assert_eq!(group.len(), 1);
        let (joined, elapsed) = timed(group.join()).await;
        assert_eq!((joined, elapsed), (Ok(()), secs(3)));
        assert_eq!(child.await.unwrap(), 7);
        // It stays open.
        group.create_task(fail_after(1, "later"));
        assert!(!group.is_closed());
        assert_eq!(errors(group.join().await), ["later"]);
    });
}

#[test]
fn a_child_is_a_task_in_every_respect() {
    run(async {
        let group = Group::new();
        let first = line!();
        let child = group.create_task(async {
            yield_now().await;
            let me = current_task().unwrap();
            assert_eq!(me.name(), "child");
            assert!(all_tasks().contains(&me));
            Ok(me.id())
        });
        child.set_name("child");
        assert_eq!((child.site().file(), child.site().line()), (file!(), first + 1));
        let mut names: Vec<_> = all_tasks().iter().map(|task| task.name()).collect();
        names.sort();
        assert_eq!(names, ["OwnedTaskGroup", "child"]);
        let id = child.id();
        assert_eq!(child.await.unwrap(), id);
    });
}

#[test]
fn a_group_may_be_made_before_there_is_a_loop_and_used_by_one_only() {
    let group = Group::new();
    run(async {
        group.create_task(async { Ok(()) });
        group.join().await.unwrap();
        group.create_task(tidy(Log::default(), "left to the end of the loop"));
        yield_now().await;
    });
    assert!(group.is_closed() && group.is_empty());
    run(async {
        assert!(group.create_task(async { Ok(()) }).cancelled());
        group.join().await.unwrap();
    });
}

#[test]
fn only_children_that_were_woken_are_polled() {
    const CHILDREN: usize = 1_000;
    run(async {
        let (polls, wakers) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
        let group = Group::new();
        for _ in 0..CHILDREN {
            let (polls, wakers) = (polls.clone(), wakers.clone());
            group.create_task(async move {
                let waker = my_waker().await;
                wakers.borrow_mut().push(waker);
                poll_fn(|_| {
                    polls.set(polls.get() + 1);
                    Poll::<Outcome>::Pending
                })
                .await
            });
        }
        for _ in 0..3 {
            yield_now().await;
        }
        assert_eq!(polls.get(), CHILDREN);
        let wakers = wakers.take();
        for round in 1..=50 {
            wakers[round * 7].wake_by_ref();
            yield_now().await;
            yield_now().await;
            assert_eq!(polls.get(), CHILDREN + round);
        }
        group.aclose().await.unwrap();
    });
}

// ---- errors

#[test]
fn the_first_error_cancels_the_others_and_waits_for_join() {
    run(async {
        let log = Log::default();
        let group = Group::new();
        group.create_task(tidy(log.clone(), "sibling"));
        group.create_task(async {
            let _ = catch_cancel(pending::<()>()).await;
            fail_after(1, "second").await
        });
        let failing = group.create_task(fail_after(1, "first"));
        sleep(secs(5)).await;
        assert_eq!(log.take(), ["sibling unwound"]);
        assert!(group.is_empty() && group.is_closed());
        assert!(group.create_task(async { Ok(()) }).cancelled());
        let error = failing.await.unwrap_err();
        assert!(error.to_string().contains("its group has the error"), "{error}");
        assert_eq!(errors(group.join().await), ["first", "second"]);
        // They have been given.
        assert_eq!(group.join().await, Ok(()));
    });
}

#[test]
fn of_several_who_join_one_gets_the_errors_and_all_come_back() {
    run(async {
        let group = Rc::new(Group::new());
        group.create_task(fail_after(1, "boom"));
        let joined = gather((0..3).map(|_| {
            let group = group.clone();
            async move { group.join().await.map_or_else(|group| group.len(), |()| 0) }
        }));
        assert_eq!(joined.await.unwrap(), [1, 0, 0]);
    });
}

#[test]
fn a_supervising_group_hands_each_error_over_and_goes_on() {
    run(async {
        let reports = reports();
        let seen = Log::default();
        let log = seen.clone();
        let group = Group::supervising(move |task, error| {
            log.push(format!("{} {error}", task.name()));
            assert_ne!(error, "worst", "no handler for it");
        });
        for (name, error) in [("a", "bad"), ("b", "worst"), ("c", "bad again")] {
            group.create_task(fail_after(1, error)).set_name(name);
        }
        let survivor = group.create_task(async {
            sleep(secs(2)).await;
            Ok("alive")
        });
        group.create_task::<(), _>(async { panic!("lost its mind") }).set_name("d");
        assert_eq!(group.join().await, Ok(()));
        assert_eq!(survivor.await.unwrap(), "alive");
        assert_eq!(seen.take(), ["a bad", "b worst", "c bad again"]);
        let reports = reports.take();
        assert_eq!(reports.len(), 2, "{reports:?}");
        assert!(reports[0].contains("lost its mind") && reports[0].contains("task: d"));
        assert!(reports[1].contains("no handler for it") && reports[1].contains("task: b"));
    });
}

#[test]
fn a_panic_of_a_child_cancels_the_others_and_goes_on_in_join() {
    run(async {
        let log = Log::default();
        let task = create_task({
            let log = log.clone();
            async move {
                let group = Group::new();
                group.create_task(tidy(log, "sibling"));
                group.create_task::<(), _>(async {
                    sleep(secs(1)).await;
                    panic!("child")
                });
                let _ = group.join().await;
            }
        });
        assert_eq!(task.await.unwrap_err().into_panic().downcast_ref(), Some(&"child"));
        assert_eq!(log.take(), ["sibling unwound"]);
    });
}

// ---- cancelling

#[test]
fn aclose_cancels_the_children_and_waits_for_their_cleanup() {
    run(async {
        let log = Log::default();
        let group = Group::new();
        group.create_task(tidy(log.clone(), "a"));
        group.create_task(tidy(log.clone(), "b"));
        sleep(secs(1)).await;
        let (closed, elapsed) = timed(group.aclose()).await;
        assert_eq!((closed, elapsed), (Ok(()), secs(1)));
        assert_eq!(log.take(), ["a unwound", "b unwound"]);
        assert!(group.is_closed());
        assert_eq!(group.aclose().await, Ok(()));
        assert!(all_tasks().is_empty(), "the driver has ended");
    });
}

#[test]
fn who_is_cancelled_in_join_leaves_the_children_alone() {
    run(async {
        let group = Group::new();
        let child = group.create_task(async {
            sleep(secs(3)).await;
            Ok("value")
        });
        assert!(timeout(secs(1), group.join()).await.is_err());
        assert!(!child.done() && !group.is_closed());
        group.join().await.unwrap();
        assert_eq!(child.await.unwrap(), "value");
    });
}

#[test]
fn a_child_may_cancel_and_drop_the_group_it_is_in() {
    run(async {
        let log = Log::default();
        let place = Rc::new(RefCell::new(Some(Group::new())));
        let (inside, sibling) = (place.clone(), log.clone());
        if let Some(group) = &*place.borrow() {
            group.create_task(tidy(sibling, "sibling"));
            group.create_task(async move {
                sleep(secs(1)).await;
                inside.take();
                yield_now().await;
                Err::<(), _>("never gets here")
            });
        }
        sleep(secs(5)).await;
        assert!(place.borrow().is_none());
        assert_eq!(log.take(), ["sibling unwound"]);
        assert!(all_tasks().is_empty());
    });
}

#[test]
fn a_dropped_group_cancels_its_children_and_reports_what_nobody_took() {
    run(async {
        let (log, reports) = (Log::default(), reports());
        let group = Group::new();
        group.create_task(tidy(log.clone(), "child"));
        group.create_task(async {
            let _ = catch_cancel(pending::<()>()).await;
            Err::<(), _>("too late for anybody")
        });
        yield_now().await;
        yield_now().await;
        drop(group);
        assert!(log.take().is_empty() && reports.take().is_empty());
        sleep(secs(1)).await;
        yield_now().await;
        yield_now().await;
        assert_eq!(log.take(), ["child unwound"]);
        let seen = reports.take();
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert!(seen[0].contains("too late for anybody") && seen[0].contains(file!()));

        let group = Group::new();
        group.create_task(fail_after(1, "never joined"));
        sleep(secs(2)).await;
        assert!(reports.take().is_empty(), "it may still be joined");
        drop(group);
        assert!(reports.take()[0].contains("never joined"));

        let group = Group::new();
        group.create_task::<(), _>(async { panic!("nor this") });
        sleep(secs(1)).await;
        drop(group);
        let seen = reports.take();
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert!(seen[0].contains("group that was dropped") && seen[0].contains("nor this"));
    });
}

#[test]
fn a_group_without_children_is_dropped_without_a_trace() {
    drop(Group::new());
    run(async {
        let reports = reports();
        let group = Group::new();
        group.create_task(async { Ok(()) });
        group.join().await.unwrap();
        drop(group);
        yield_now().await;
        yield_now().await;
        assert!(all_tasks().is_empty() && reports.take().is_empty());
    });
}

#[test]
fn the_end_of_the_loop_cancels_the_children_and_waits_for_them() {
    let log = Log::default();
    let kept = RefCell::new(None);
    run(async {
        let group = Group::new();
        group.create_task(tidy(log.clone(), "child"));
        group.create_task(async {
            let _ = catch_cancel(pending::<()>()).await;
            Err::<(), _>("while the loop ended")
        });
        yield_now().await;
        yield_now().await;
        kept.replace(Some(group));
    });
    assert_eq!(log.take(), ["child unwound"]);
    let group = kept.take().unwrap();
    assert_eq!(run(async { errors(group.join().await) }), ["while the loop ended"]);
}

#[test]
fn a_child_made_while_the_driver_is_cancelled_is_refused() {
    run(async {
        let group = Rc::new(Group::new());
        let (inside, refused) = (group.clone(), Rc::new(Cell::new(false)));
        let seen = refused.clone();
        group.create_task(async move {
            try_finally(pending::<()>(), async || {
                seen.set(inside.create_task(async { Ok(()) }).cancelled());
            })
            .await;
            Ok(())
        });
        yield_now().await;
        yield_now().await;
        let driver = all_tasks().into_iter().find(|task| task.name() == "OwnedTaskGroup");
        assert!(driver.unwrap().cancel());
        group.join().await.unwrap();
        assert!(refused.get() && group.is_closed());
    });
}

// ---- start

#[test]
fn start_works_as_in_a_scope() {
    run(async {
        let group = Group::new();
        let started = group.start(async |status| {
            sleep(secs(1)).await;
            status.started(8080);
            Outcome::Ok("ended")
        });
        let (port, server) = started.await.unwrap();
        assert_eq!((port, server.await.unwrap()), (8080, "ended"));
        let failed = group.start(async |_: TaskStatus<()>| fail_after(1, "no socket").await);
        assert!(matches!(failed.await, Err(StartError::Failed("no socket"))));
        assert!(!group.is_closed());
        let scope = CancelScope::new();
        let stop = scope.clone();
        group.create_task(async move {
            sleep(secs(1)).await;
            stop.cancel();
            Ok(())
        });
        let cancelled = group.start(async |_: TaskStatus<()>| pending::<Outcome>().await);
        assert!(scope.run(cancelled).await.is_err());
        group.join().await.unwrap();
        group.aclose().await.unwrap();
        let refused = group.start(async |_: TaskStatus<()>| Outcome::Ok(())).await;
        assert!(matches!(refused, Err(StartError::Join(_))));
    });
}
