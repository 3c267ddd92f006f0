//! Tasks: made, named, awaited, listed, left alone.

mod support;

use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use asyncio_coro::yield_now;
use asyncio_loop::get_running_loop;
use asyncio_task::{
    Task, all_tasks, create_task, current_task, gather, register_task, shield, sleep,
};
use support::{Log, here, millis, reports, run, secs};

/// Behaviour: TSK-05.
#[test]
fn a_task_gives_its_value_to_who_awaits_it() {
    let value = run(async {
        let rc = Rc::new(7);
        create_task(async move { *rc }).await.unwrap()
    });
    assert_eq!(value, 7);
}

/// Behaviour: TSK-01.
#[test]
fn create_task_without_a_running_loop_panics_and_says_why() {
    let panic = std::panic::catch_unwind(|| drop(create_task(async {}))).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.starts_with("create_task: "), "{text}");
    assert!(get_running_loop().is_err());
}

/// Behaviour: TSK-20.
#[test]
fn nested_tasks_add_up() {
    async fn level(depth: u32) -> u32 {
        if depth == 0 {
            return 1;
        }
        let left = create_task(Box::pin(level(depth - 1)));
        let right = create_task(Box::pin(level(depth - 1)));
        left.await.unwrap() + right.await.unwrap()
    }
    assert_eq!(run(level(6)), 64);
}

#[test]
fn a_task_takes_its_first_step_in_the_tick_after_its_creation() {
    run(async {
        let log = Log::default();
        let events = log.clone();
        create_task(async move { events.push("step") });
        log.push("created");
        yield_now().await;
        log.push("a tick later");
        assert_eq!(log.take(), ["created", "step", "a tick later"]);
    });
}

#[test]
fn tasks_and_callbacks_run_in_the_order_in_which_they_were_queued() {
    run(async {
        let log = Log::default();
        for n in 0..6 {
            let events = log.clone();
            if n % 2 == 0 {
                create_task(async move {
                    events.push(format!("task {n}"));
                    yield_now().await;
                    events.push(format!("task {n} again"));
                });
            } else {
                here().call_soon(move || events.push(format!("callback {n}")));
            }
        }
        yield_now().await;
        let first = ["task 0", "callback 1", "task 2", "callback 3", "task 4", "callback 5"];
        assert_eq!(log.take(), first);
        yield_now().await;
        assert_eq!(log.take(), ["task 0 again", "task 2 again", "task 4 again"]);
    });
}

/// Behaviour: TSK-09.
#[test]
fn default_names_count_up_and_given_names_replace_them() {
    run(async {
        let (first, second) = (create_task(async {}), create_task(async {}));
        assert_eq!(first.get_name(), format!("Task-{}", first.id()));
        assert!(second.id() > first.id());
        first.set_name("worker");
        assert_eq!(first.get_name(), "worker");
        first.await.unwrap();
        second.await.unwrap();
    });
}

/// Behaviour: TSK-19.
#[test]
fn a_task_knows_where_it_was_created() {
    run(async {
        let (task, line) = (create_task(async {}), line!());
        assert_eq!((task.site().file(), task.site().line()), (file!(), line));
    });
}

/// Behaviour: TSK-16.
#[test]
fn debug_text_shows_state_name_and_site() {
    run(async {
        let task = create_task(pending::<()>());
        task.set_name("idle");
        let text = format!("{task:?}");
        assert!(text.starts_with("<Task pending name=\"idle\" created at "), "{text}");
        task.cancel();
        assert!(format!("{task:?}").contains("cancelling"));
        yield_now().await;
        assert!(format!("{task:?}").contains("<Task cancelled"));
        let task = create_task(async { 1 });
        yield_now().await;
        assert!(format!("{task:?}").contains("<Task finished"));
        assert_eq!(task.await.unwrap(), 1, "looking at it did not take its value");
        let task = create_task(async { panic!("no such file") });
        yield_now().await;
        assert!(format!("{task:?}").starts_with("<Task panicked name="), "{task:?}");
        assert!(task.await.map(|(): ()| ()).unwrap_err().is_panic());
    });
}

/// Behaviour: TSK-17.
#[test]
fn debug_text_names_the_tasks_that_a_task_waits_for() {
    run(async {
        let [one, two, three] = ["one", "two", "three"].map(|name| {
            let task = create_task(sleep(secs(1)));
            task.set_name(name);
            task
        });
        let waiter = create_task(async move {
            one.await.unwrap();
            gather([two, three]).await.unwrap();
        });
        let wait_for = || {
            let text = format!("{waiter:?}");
            text.split_once(" wait_for=")
                .map(|(_, rest)| rest.split_once(" created").unwrap().0.to_owned())
        };
        assert_eq!(wait_for(), None, "it has not started");
        yield_now().await;
        assert_eq!(wait_for().as_deref(), Some("[\"one\"]"));
        let inner = all_tasks().into_iter().find(|task| task.id() == waiter.id()).unwrap();
        assert_eq!(inner.awaits()[0].name(), "one");
        assert!(inner.awaits()[0].awaits().is_empty(), "it waits for a timer");
        sleep(millis(1500)).await;
        assert_eq!(wait_for(), None);
        assert!(waiter.done() && inner.awaits().is_empty());
    });
}

/// Behaviour: TSK-22.
#[test]
fn a_task_that_awaits_itself_gets_an_error() {
    run(async {
        let own = Rc::new(RefCell::new(None::<Task<String>>));
        let mine = own.clone();
        let told = Rc::new(RefCell::new(String::new()));
        let tell = told.clone();
        let task = create_task(async move {
            yield_now().await;
            let me = mine.borrow_mut().take().unwrap();
            let error = me.await.unwrap_err();
            assert!(!error.is_cancelled() && !error.is_panic());
            *tell.borrow_mut() = error.to_string();
            String::new()
        });
        task.set_name("narcissus");
        *own.borrow_mut() = Some(task);
        for _ in 0..3 {
            yield_now().await;
        }
        assert_eq!(*told.borrow(), "task narcissus cannot await itself");
    });
}

/// Behaviour: TSK-85.
#[test]
fn current_task_is_the_one_whose_step_is_running() {
    assert!(current_task().is_none());
    run(async {
        let main = current_task().unwrap().id();
        let ids = Rc::new(RefCell::new(Vec::new()));
        let tasks = [(); 2].map(|()| {
            let ids = ids.clone();
            create_task(async move {
                for _ in 0..2 {
                    ids.borrow_mut().push(current_task().unwrap().id());
                    yield_now().await;
                }
            })
        });
        let [first, second] = [tasks[0].id(), tasks[1].id()];
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*ids.borrow(), [first, second, first, second]);
        assert_eq!(current_task().unwrap().id(), main);
    });
    assert!(current_task().is_none());
}

#[test]
fn all_tasks_lists_the_live_ones_oldest_first() {
    run(async {
        let tasks = [1, 3, 2].map(|n| create_task(sleep(secs(n))));
        let ids = || all_tasks().iter().map(|task| task.id()).collect::<Vec<_>>();
        let [a, b, c] = [tasks[0].id(), tasks[1].id(), tasks[2].id()];
        assert_eq!(ids(), [a, b, c]);
        sleep(secs(2)).await;
        sleep(secs(0)).await;
        assert_eq!(ids(), [b]);
        // Takes a free slot, and is the youngest all the same.
        let d = create_task(pending::<()>()).id();
        assert_eq!(ids(), [b, d]);
        all_tasks()[1].cancel();
        sleep(secs(2)).await;
        assert!(all_tasks().is_empty());
    });
}

/// Behaviour: TSK-87.
#[test]
fn a_foreign_task_is_listed_while_it_is_registered_and_not_done() {
    run(async {
        let foreign = create_task(yield_now());
        let task = all_tasks().remove(0);
        let main = current_task().unwrap();
        let registered = register_task(&main);
        assert_eq!(all_tasks(), [task.clone(), main.clone()]);
        drop(registered);
        assert_eq!(all_tasks(), std::slice::from_ref(&task));
        foreign.await.unwrap();
        let registered = register_task(&task);
        assert!(task.done() && all_tasks().is_empty(), "it has ended");
        drop(registered);
    });
}

#[test]
fn a_task_goes_on_when_its_handle_is_dropped() {
    run(async {
        let log = Log::default();
        let events = log.clone();
        drop(create_task(async move {
            sleep(secs(1)).await;
            events.push("still here");
        }));
        sleep(secs(2)).await;
        assert_eq!(log.take(), ["still here"]);
    });
}

#[test]
fn a_task_that_nobody_else_refers_to_does_not_vanish() {
    run(async {
        let woken = Rc::new(Cell::new(false));
        let end = woken.clone();
        // It drops the only waker it was given, and is woken by nobody but the registry's.
        drop(create_task(poll_fn(move |_| {
            end.set(true);
            Poll::<()>::Pending
        })));
        yield_now().await;
        assert!(woken.get());
        assert_eq!(all_tasks().len(), 1);
        all_tasks()[0].cancel();
        yield_now().await;
        assert!(all_tasks().is_empty());
    });
}

#[test]
fn a_dropped_join_detaches_and_the_value_is_dropped_with_the_task() {
    run(async {
        let log = Log::default();
        let guard = log.on_drop("value dropped");
        let task = create_task(async move {
            sleep(secs(1)).await;
            guard
        });
        {
            let mut joining = pin!(task);
            poll_fn(|cx| {
                assert!(joining.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        assert!(log.take().is_empty());
        sleep(secs(2)).await;
        assert_eq!(log.take(), ["value dropped"]);
    });
}

#[test]
fn a_finished_task_keeps_its_value_until_the_handle_goes() {
    run(async {
        let log = Log::default();
        let guard = log.on_drop("value dropped");
        let task = create_task(async move { guard });
        yield_now().await;
        assert!(task.done() && !task.cancelled());
        assert!(log.take().is_empty());
        drop(task);
        assert_eq!(log.take(), ["value dropped"]);
    });
}

#[test]
#[should_panic(expected = "awaited again")]
fn a_task_gives_its_value_once() {
    run(async {
        let mut task = pin!(create_task(async { 1 }));
        task.as_mut().await.unwrap();
        task.as_mut().await.unwrap();
    });
}

#[test]
fn a_panic_is_delivered_to_who_awaits_and_reported_to_nobody() {
    run(async {
        let reports = reports();
        let task = create_task(async { panic!("at the {}", String::from("disco")) });
        task.set_name("dancer");
        let error: asyncio_task::JoinError = task.await.map(|(): ()| ()).unwrap_err();
        assert!(error.is_panic() && !error.is_cancelled());
        assert_eq!(error.name(), "dancer");
        assert!(error.site().file().ends_with("task.rs"));
        assert!(error.to_string().contains("task dancer, created at "), "{error}");
        assert!(error.to_string().ends_with("panicked: at the disco"), "{error}");
        assert_eq!(error.into_panic().downcast_ref::<String>().unwrap(), "at the disco");
        assert!(reports.take().is_empty());
    });
}

#[test]
fn a_panic_is_reported_at_once_with_name_and_site_when_nobody_holds_the_handle() {
    run(async {
        let reports = reports();
        let (task, line) = (create_task(async { panic!("unseen") }), line!());
        task.set_name("ghost");
        drop::<Task<()>>(task);
        yield_now().await;
        let reports = reports.take();
        assert_eq!(reports.len(), 1);
        for part in ["nobody awaits it", "task: ghost", &format!("{}:{line}:", file!()), "unseen"] {
            assert!(reports[0].contains(part), "{part} in {}", reports[0]);
        }
    });
}

/// Behaviour: BEV-30.
#[test]
fn a_panic_that_was_never_awaited_is_reported_when_the_handle_is_dropped() {
    run(async {
        let reports = reports();
        let task: Task<()> = create_task(async { panic!("late") });
        task.set_name("held");
        yield_now().await;
        assert!(task.done());
        assert!(reports.take().is_empty(), "somebody may still ask");
        drop(task);
        let told = reports.take();
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("never awaited") && told[0].contains("held"), "{}", told[0]);
        let cancelled = create_task(pending::<()>());
        cancelled.cancel();
        yield_now().await;
        drop(cancelled);
        assert!(reports.take().is_empty(), "being cancelled is no news");
    });
}

/// Behaviour: TSK-46.
#[test]
fn who_cancels_a_task_that_has_failed_wants_no_report() {
    run(async {
        let reports = reports();
        let task: Task<()> = create_task(async { panic!("too late") });
        yield_now().await;
        assert!(!task.cancel() && !task.cancelled());
        drop(task);
        assert!(reports.take().is_empty());
    });
}

/// An error that remembers where it was made.
#[derive(Debug)]
struct Traced(Backtrace);

#[inline(never)]
fn fail_far_below() -> Result<(), Traced> {
    Err(Traced(Backtrace::force_capture()))
}

/// Behaviour: TSK-24.
#[test]
fn the_error_of_a_task_keeps_its_backtrace() {
    run(async {
        let task = create_task(async { fail_far_below() });
        yield_now().await;
        let seen =
            task.with_result(|result| result.as_ref().unwrap().as_ref().unwrap_err().0.to_string());
        assert!(seen.unwrap().contains("fail_far_below"));
        let Traced(backtrace) = task.await.unwrap().unwrap_err();
        assert!(backtrace.to_string().contains("fail_far_below"));
        // A panic comes out as what it was, too.
        let payload =
            create_task(async { std::panic::panic_any(Traced(Backtrace::force_capture())) })
                .await
                .map(|(): ()| ())
                .unwrap_err()
                .into_panic();
        assert!(
            payload.downcast_ref::<Traced>().unwrap().0.to_string().contains("keeps_its_backtrace")
        );
    });
}

#[test]
fn the_loop_goes_on_after_a_panic() {
    run(async {
        let _reports = reports();
        let others = [1, 2].map(|n| create_task(async move { sleep(secs(n)).await }));
        drop(create_task(async { panic!("one of many") }));
        for other in others {
            other.await.unwrap();
        }
    });
}

#[test]
fn a_task_may_drop_its_own_handle_while_it_runs() {
    run(async {
        let reports = reports();
        let own = Rc::new(RefCell::new(None::<Task<()>>));
        let mine = own.clone();
        *own.borrow_mut() = Some(create_task(async move {
            yield_now().await;
            drop(mine.borrow_mut().take());
            panic!("alone");
        }));
        for _ in 0..3 {
            yield_now().await;
        }
        assert_eq!(reports.take().len(), 1);
    });
}

#[test]
fn large_futures_work_like_small_ones() {
    run(async {
        let large = [7_u8; 10_000];
        let task = create_task(async move {
            yield_now().await;
            large.iter().map(|&n| usize::from(n)).sum::<usize>()
        });
        assert_eq!(task.await.unwrap(), 70_000);
    });
}

#[test]
fn a_fan_out_of_ten_thousand_tasks_comes_back() {
    let sum: usize = run(async {
        let tasks: Vec<_> = (0..10_000)
            .map(|n| {
                create_task(async move {
                    sleep(std::time::Duration::from_micros(n % 97)).await;
                    1
                })
            })
            .collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, 10_000);
}

/// A coroutine is shielded by making it a task, and that takes a loop.
///
/// Behaviour: TSK-84.
#[test]
fn what_is_to_be_shielded_is_made_a_task_on_the_running_loop() {
    run(async {
        assert_eq!(shield(&mut create_task(async { 7 })).await.unwrap(), 7);
    });
    let outside = std::panic::catch_unwind(|| {
        let mut shielded = Box::pin(async { shield(&mut create_task(async { 7 })).await });
        let _ =
            shielded.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    });
    let text = outside.unwrap_err();
    assert_eq!(
        text.downcast_ref::<String>().unwrap(),
        "create_task: no running event loop in this thread"
    );
}
