//! Done callbacks, and looking at the result of a task that has ended.

mod support;

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use asyncio_coro::{Context, ContextVar, yield_now};
use asyncio_loop::EventLoop;
use asyncio_task::{Builder, DoneTask, Task, TaskGroup, TaskLoopExt, create_task};
use support::{Log, here, reports, run};

/// A callback that logs what it sees.
fn note(log: &Log, prefix: &'static str) -> impl FnOnce(&DoneTask) + 'static {
    let log = log.clone();
    move |task| {
        let how = match (task.cancelled(), task.panicked()) {
            (true, _) => "cancelled",
            (_, true) => "panicked",
            _ => "done",
        };
        log.push(format!("{prefix}: {} {how} {:?}", task.name(), task.cancel_message()));
    }
}

#[test]
fn callbacks_are_called_by_the_loop_in_the_order_in_which_they_were_added() {
    run(async {
        let log = Log::default();
        let task = create_task(async {});
        task.set_name("worker");
        for prefix in ["first", "second", "third"] {
            task.add_done_callback(note(&log, prefix));
        }
        yield_now().await;
        assert!(task.done());
        assert!(log.take().is_empty(), "never inline");
        yield_now().await;
        let seen = ["first", "second", "third"].map(|prefix| format!("{prefix}: worker done None"));
        assert_eq!(log.take(), seen);
    });
}

#[test]
fn a_callback_learns_how_the_task_ended() {
    run(async {
        let log = Log::default();
        let reports = reports();
        let cancelled = create_task(pending::<()>());
        let panicked: Task<()> = create_task(async { panic!("oh") });
        let swallowed = create_task(async {
            let _ = asyncio_coro::catch_cancel(pending::<()>()).await;
        });
        for (task, name) in [(&cancelled, "a"), (&panicked, "b"), (&swallowed, "c")] {
            task.set_name(name);
            task.add_done_callback(note(&log, ">"));
        }
        yield_now().await;
        cancelled.cancel_with("enough");
        swallowed.cancel_with("not heard");
        yield_now().await;
        yield_now().await;
        let seen = [">: b panicked None", ">: a cancelled Some(\"enough\")", ">: c done None"];
        assert_eq!(log.take(), seen);
        assert!(reports.take().is_empty(), "somebody holds the handle");
        assert!(panicked.await.unwrap_err().is_panic());
    });
}

#[test]
fn a_callback_added_after_the_end_is_called_soon() {
    run(async {
        let log = Log::default();
        let task = create_task(async {});
        task.set_name("early");
        yield_now().await;
        let id = task.add_done_callback(note(&log, "late"));
        assert!(!task.remove_done_callback(id), "it is due");
        assert!(log.take().is_empty());
        yield_now().await;
        assert_eq!(log.take(), ["late: early done None"]);
    });
}

/// Behaviour: TSK-11.
#[test]
fn a_task_and_its_callbacks_run_in_the_contexts_they_were_given() {
    static USER: ContextVar<&str> = ContextVar::new("user");
    run(async {
        let context = Context::new();
        context.run(|| USER.set("ada"));
        let task = Builder::new().context(context.clone()).create_task(async {
            let seen = USER.get();
            USER.set("grace");
            seen
        });
        assert!(task.get_context().unwrap().ptr_eq(&context));
        let seen = Rc::new(Cell::new(None));
        let sink = seen.clone();
        USER.set("who registers");
        task.add_done_callback(move |_| sink.set(USER.get()));
        USER.set("later");
        assert_eq!(task.await.unwrap(), Some("ada"));
        assert_eq!(context.get(&USER), Some("grace"), "it is shared");
        yield_now().await;
        assert_eq!(seen.get(), Some("who registers"));
    });
}

#[test]
fn a_removed_callback_is_dropped_and_never_called() {
    run(async {
        let log = Log::default();
        let task = create_task(async {});
        task.set_name("t");
        let guard = log.on_drop("dropped");
        let first = task.add_done_callback(move |_| drop(guard));
        task.add_done_callback(note(&log, "kept"));
        assert!(task.remove_done_callback(first));
        assert_eq!(log.take(), ["dropped"]);
        assert!(!task.remove_done_callback(first));
        yield_now().await;
        yield_now().await;
        assert_eq!(log.take(), ["kept: t done None"]);
    });
}

#[test]
fn callbacks_outlive_the_handle() {
    run(async {
        let log = Log::default();
        let task = create_task(yield_now());
        task.set_name("detached");
        task.add_done_callback(note(&log, "then"));
        drop(task);
        for _ in 0..3 {
            yield_now().await;
        }
        assert_eq!(log.take(), ["then: detached done None"]);
    });
}

#[test]
fn a_callback_may_do_anything_and_its_panic_is_reported() {
    run(async {
        let reports = reports();
        let log = Log::default();
        let task = create_task(async {});
        let again = log.clone();
        task.add_done_callback(move |_| {
            let next = create_task(async {});
            next.set_name("next");
            next.add_done_callback(note(&again, "chained"));
        });
        task.add_done_callback(|_| panic!("in a callback"));
        for _ in 0..4 {
            yield_now().await;
        }
        assert_eq!(log.take(), ["chained: next done None"]);
        let told = reports.take();
        assert!(told.len() == 1 && told[0].contains("in a callback"), "{told:?}");
    });
}

#[test]
fn a_child_of_a_group_has_callbacks_too() {
    run(async {
        let log = Log::default();
        let ended = TaskGroup::scope(async |group| {
            let child = group.create_task(async {
                yield_now().await;
                Ok::<_, String>(())
            });
            child.set_name("child");
            child.add_done_callback(note(&log, "then"));
            child.await.unwrap();
            Ok(())
        });
        ended.await.unwrap();
        yield_now().await;
        assert_eq!(log.take(), ["then: child done None"]);
    });
}

#[test]
fn a_loop_that_is_closed_first_drops_the_callbacks() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let guard = log.on_drop("dropped");
    let task = event_loop.create_task(pending::<()>());
    event_loop
        .run_until_complete(async {
            task.add_done_callback(move |_| {
                let _guard = guard;
                unreachable!("the loop is closed")
            });
        })
        .unwrap();
    event_loop.close().unwrap();
    assert_eq!(log.take(), ["dropped"]);
    assert!(task.cancelled());
}

#[test]
fn a_destructor_of_a_callback_that_panics_at_the_end_is_reported() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("bomb");
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let reports = log.clone();
    event_loop.set_exception_handler(move |_, context| reports.push(context.to_string()));
    let task = event_loop.create_task(pending::<()>());
    let bomb = Bomb;
    event_loop.run_until_complete(async { task.add_done_callback(move |_| drop(bomb)) }).unwrap();
    event_loop.close().unwrap();
    let told = log.take();
    assert!(told.len() == 1 && told[0].contains("bomb"), "{told:?}");
}

#[test]
fn a_result_can_be_looked_at_and_taken_without_awaiting() {
    run(async {
        let task = create_task(async { vec![1, 2, 3] });
        assert!(task.take_result().is_none() && task.with_result(|_| ()).is_none());
        yield_now().await;
        for _ in 0..2 {
            assert_eq!(task.with_result(|result| result.as_ref().unwrap().len()), Some(3));
        }
        let looked =
            catch_unwind(AssertUnwindSafe(|| task.with_result(|_| panic!("while looking"))));
        assert!(looked.map(|_: Option<()>| ()).is_err());
        assert_eq!(task.take_result().unwrap().unwrap(), [1, 2, 3]);
        assert!(task.take_result().is_none() && task.with_result(|_| ()).is_none());
    });
}

#[test]
fn a_result_looked_at_is_not_there_for_who_looks_meanwhile() {
    run(async {
        let task = Rc::new(create_task(async { 7 }));
        yield_now().await;
        let inner = task.clone();
        assert_eq!(task.with_result(|_| inner.take_result().is_none()), Some(true));
        assert_eq!(task.take_result().unwrap().unwrap(), 7);
    });
}

/// Behaviour: TSK-30.
#[test]
fn a_message_is_seen_by_who_looks_who_awaits_and_who_is_called_back() {
    run(async {
        let seen = Rc::new(RefCell::new(None));
        let task = create_task(pending::<()>());
        task.add_done_callback({
            let seen = seen.clone();
            move |task| *seen.borrow_mut() = task.cancel_message().map(String::from)
        });
        yield_now().await;
        task.cancel_with("first");
        task.cancel_with(5); // no text, and it replaces what has not been delivered
        yield_now().await;
        let looked = task
            .with_result(|result| result.as_ref().unwrap_err().cancel_message().map(String::from));
        assert_eq!(looked.unwrap().as_deref(), Some("5"));
        assert_eq!(task.await.unwrap_err().cancel_message(), Some("5"));
        yield_now().await;
        assert_eq!(seen.take().as_deref(), Some("5"));

        let silent = create_task(pending::<()>());
        silent.cancel();
        assert_eq!(silent.await.unwrap_err().cancel_message(), None);
    });
}

/// Behaviour: TSK-59.
#[test]
fn a_panic_that_was_looked_at_is_not_reported() {
    run(async {
        let reports = reports();
        let task: Task<()> = create_task(async { panic!("seen") });
        yield_now().await;
        let is_panic = task.with_result(|result| result.as_ref().unwrap_err().is_panic());
        assert_eq!(is_panic, Some(true));
        drop(task);
        assert!(reports.take().is_empty());
        let count = Rc::new(Cell::new(0));
        let counted = count.clone();
        here().set_exception_handler(move |_, _| counted.set(counted.get() + 1));
        let unseen: Task<()> = create_task(async { panic!("unseen") });
        yield_now().await;
        assert!(unseen.done());
        drop(unseen);
        assert_eq!(count.get(), 1);
    });
}
