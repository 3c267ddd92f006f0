//! Children made with a builder: name, context, eager start.

mod support;

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;

use asyncio_coro::{Context, ContextVar, catch_cancel, yield_now};
use asyncio_task::{
    Builder, OwnedTaskGroup, TaskGroup, TaskLoopExt, all_tasks, create_task, current_task,
    eager_task_factory,
};
use support::{Log, Outcome, errors, here, note, parked, reports, run};

static REQUEST: ContextVar<u32> = ContextVar::new("request");

fn eager() -> Builder {
    Builder::new().eager_start(true)
}

/// Behaviour: TG-05.
#[test]
fn a_child_has_the_name_and_the_context_it_is_given() {
    run(async {
        REQUEST.set(1);
        let shared = Context::new();
        let group = TaskGroup::scope(async |group| {
            let named = Builder::new().name("child").context(shared.clone());
            let child = group.create_task_with(named, async {
                let me = current_task().unwrap().name();
                let before = REQUEST.get();
                REQUEST.set(2);
                Ok((me, before))
            });
            assert_eq!(child.get_name(), "child");
            let (name, before) = child.await.unwrap();
            assert_eq!((name.as_str(), before), ("child", None));
            // The given context is shared, the usual one is a copy.
            let copy = group.create_task(async { Ok(REQUEST.get()) });
            assert_eq!(copy.await.unwrap(), Some(1));
            Outcome::Ok(())
        });
        group.await.unwrap();
        assert_eq!((REQUEST.get(), shared.get(&REQUEST)), (Some(1), Some(2)));
    });
}

#[test]
fn an_eager_child_takes_its_first_step_at_once() {
    run(async {
        let log = Log::default();
        TaskGroup::scope(async |group| {
            current_task().unwrap().set_name("outer");
            let child = group.create_task_with(eager(), async {
                log.push("first");
                assert_ne!(current_task().unwrap().name(), "outer");
                yield_now().await;
                log.push("second");
                Ok(())
            });
            assert_eq!(current_task().unwrap().name(), "outer");
            log.push("created");
            let done = group.create_task_with(eager(), async { Ok(7) });
            assert!(done.done() && !child.done());
            assert_eq!(done.await.unwrap(), 7);
            Outcome::Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["first", "created", "second"]);
        assert!(all_tasks().is_empty());
    });
}

/// Behaviour: TG-13.
#[test]
fn an_eager_child_that_fails_at_once_cancels_its_creator_where_that_waits() {
    run(async {
        let log = Log::default();
        let result = TaskGroup::scope(async |group| {
            group.create_task_with(eager(), async {
                let failed = group.create_task_with(eager(), async { Err::<(), _>("at once") });
                assert!(failed.done());
                log.push("has the handle");
                parked(&log, "creator").await
            });
            log.push("so has the body");
            parked(&log, "body").await
        });
        assert_eq!(errors(result.await), ["at once"]);
        let seen = log.take();
        assert_eq!(seen[..2], ["has the handle", "so has the body"]);
        assert!(seen.contains(&"creator unwound".into()) && seen.contains(&"body unwound".into()));
    });
}

/// Behaviour: TG-39.
#[test]
fn an_eager_child_that_cancels_its_group_in_its_first_step_hangs_nobody() {
    run(async {
        let log = Log::default();
        let result = TaskGroup::scope(async |group| {
            let child = group.create_task_with(eager(), async {
                group.cancel();
                parked(&log, "child").await
            });
            assert!(child.done() && child.cancelled());
            parked(&log, "body").await
        });
        assert!(result.await.unwrap_err().is_empty());
        assert_eq!(log.take(), ["child unwound", "body unwound"]);
        let ended = TaskGroup::scope(async |group| {
            group.create_task_with(eager(), async {
                group.cancel();
                Ok(())
            });
            Outcome::Ok("value")
        });
        assert_eq!(ended.await, Ok("value"));
    });
}

#[test]
fn a_panic_of_an_eager_child_is_the_groups() {
    run(async {
        let task = create_task(async {
            let _ = TaskGroup::scope(async |group| -> Outcome {
                let child = group.create_task_with::<(), _>(eager(), async { panic!("at once") });
                assert!(child.done());
                pending().await
            })
            .await;
        });
        assert_eq!(task.await.unwrap_err().into_panic().downcast_ref(), Some(&"at once"));
    });
}

#[test]
fn the_loops_factory_makes_children_eager_too() {
    run(async {
        here().set_task_factory(eager_task_factory);
        let log = Log::default();
        TaskGroup::scope(async |group| {
            group.create_task(note(&log, "eager"));
            let late = Builder::new().eager_start(false);
            group.create_task_with(late, note(&log, "lazy"));
            log.push("body");
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["eager", "body", "lazy"]);
    });
}

#[test]
fn eager_children_of_an_owned_group_are_heard_of() {
    run(async {
        let reports = reports();
        let count = Rc::new(Cell::new(0));
        let counter = count.clone();
        let group = OwnedTaskGroup::supervising(move |_, error: &str| {
            assert_eq!(error, "reset");
            counter.set(counter.get() + 1);
        });
        for _ in 0..3 {
            group.create_task_with(eager(), async { Err::<(), _>("reset") });
        }
        group.create_task_with::<(), _>(eager(), async { panic!("lost") });
        yield_now().await;
        yield_now().await;
        assert_eq!(count.get(), 3);
        assert!(reports.take().concat().contains("lost"));
        group.join().await.unwrap();

        let group = OwnedTaskGroup::new();
        let sibling = group.create_task_with(eager(), async {
            let _ = catch_cancel(pending::<()>()).await;
            Ok("told")
        });
        group.create_task_with(eager(), async { Err::<(), _>("at once") });
        assert_eq!(sibling.await.unwrap(), "told");
        assert_eq!(errors(group.join().await), ["at once"]);
    });
}

#[test]
fn a_group_that_takes_no_more_still_names_the_task_it_refuses() {
    run(async {
        let group = TaskGroup::scope(async |group| {
            group.cancel();
            let refused = group.create_task_with(eager().name("late"), async { Outcome::Ok(()) });
            assert_eq!((refused.get_name().as_str(), refused.cancelled()), ("late", true));
            Ok(())
        });
        assert_eq!(group.await, Ok(()));
    });
}
