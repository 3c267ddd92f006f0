//! Context variables in tasks: whose values a task begins with, and who sees what it sets.

mod support;

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;

use asyncio_coro::{Context, ContextVar, copy_context, try_finally, yield_now};
use asyncio_future::Future;
use asyncio_task::{
    Builder, TaskGroup, TaskLoopExt, create_task, create_try_task, gather, sleep, timeout,
};
use support::{Outcome, here, millis, run, secs};

static NUMBER: ContextVar<u32> = ContextVar::new("number");

/// Sets the variable, and forgets what it was.
fn set(number: u32) {
    drop(NUMBER.set(number));
}

/// The handler of exceptions keeps the variable's value, as it sees it, and the report's first line.
fn seen_by_the_handler() -> Rc<RefCell<Vec<(Option<u32>, String)>>> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    here().set_exception_handler({
        let seen = seen.clone();
        move |_, context| seen.borrow_mut().push((NUMBER.get(), context.message().to_owned()))
    });
    seen
}

/// Behaviour: CTX-01.
#[test]
fn tasks_that_sleep_at_the_same_time_have_values_of_their_own() {
    /// How many places a number is printed with, as asyncio's test has it of `decimal`.
    static PRECISION: ContextVar<usize> = ContextVar::with_default("precision", || 6);
    fn print(number: f64) -> String {
        format!("{number:.*}", PRECISION.get().unwrap())
    }
    async fn fractions(precision: usize, number: f64) -> [String; 2] {
        PRECISION.set(precision);
        let first = print(number / 3.0);
        sleep(millis(100)).await;
        [first, print(number / 3.0 * 2.0)]
    }
    run(async {
        let all = gather([fractions(3, 3.0), fractions(6, 4.0)]).await.unwrap();
        assert_eq!(all[0], ["1.000", "2.000"]);
        assert_eq!(all[1], ["1.333333", "2.666667"]);
        assert_eq!(print(1.0), "1.000000");
    });
}

/// Behaviour: TSK-108.
#[test]
fn what_a_task_sets_its_maker_does_not_see_and_the_other_way_round() {
    run(async {
        set(1);
        let inner = create_task(async {
            assert_eq!(NUMBER.get(), Some(1));
            set(10);
            sleep(secs(2)).await;
            assert_eq!(NUMBER.get(), Some(10), "nor what its maker set later");
        });
        sleep(secs(1)).await;
        assert_eq!(NUMBER.get(), Some(1));
        set(2);
        inner.await.unwrap();
        assert_eq!(NUMBER.get(), Some(2));
    });
}

/// Behaviour: TSK-109.
#[test]
fn a_callback_of_a_future_runs_in_the_context_of_its_registration() {
    run(async {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let future = Future::new();
        set(1);
        let sink = seen.clone();
        let callback = move |set_to| {
            let seen = sink.clone();
            move |_: &Future<u32>| {
                seen.borrow_mut().push(NUMBER.get());
                set(set_to);
            }
        };
        future.add_done_callback(callback(100));
        set(2);
        future.add_done_callback(callback(200));
        set(3);
        let waiting = create_task({
            let future = future.clone();
            async move {
                set(30);
                assert_eq!(future.await, Ok(7));
                assert_eq!(NUMBER.get(), Some(30), "awaiting leaves the context as it was");
            }
        });
        let setting = create_task({
            let future = future.clone();
            async move {
                set(40);
                future.set_result(7).unwrap();
                future.add_done_callback(callback(400));
                yield_now().await;
                assert_eq!(NUMBER.get(), Some(40));
            }
        });
        waiting.await.unwrap();
        setting.await.unwrap();
        assert_eq!(*seen.borrow(), [Some(1), Some(2), Some(40)]);
        assert_eq!(NUMBER.get(), Some(3));
    });
}

#[test]
fn a_done_callback_of_a_task_runs_in_the_context_of_its_registration() {
    run(async {
        let seen = seen_by_the_handler();
        set(1);
        let task = create_task(async { set(10) });
        task.add_done_callback(|_| {
            assert_eq!(NUMBER.get(), Some(1));
            set(11);
            panic!("in a done callback");
        });
        set(2);
        task.await.unwrap();
        yield_now().await;
        assert_eq!(*seen.borrow(), [(Some(11), "exception in callback".to_owned())]);
    });
}

/// Behaviour: TSK-110.
#[test]
fn a_hundred_tasks_keep_their_values_over_many_sleeps() {
    run(async {
        set(1000);
        let tasks = (0..100_u32).map(|n| async move {
            set(n);
            for step in 0..30 {
                sleep(millis(u64::from(n * 7 % 11 + 1))).await;
                assert_eq!(NUMBER.get(), Some(n + step));
                set(n + step + 1);
            }
        });
        gather(tasks).await.unwrap();
        assert_eq!(NUMBER.get(), Some(1000));
    });
}

/// Behaviour: TSK-111.
#[test]
fn a_context_that_is_given_keeps_what_one_task_after_the_other_sets() {
    run(async {
        let context = copy_context();
        let add = || async {
            let before = NUMBER.get().unwrap_or(0);
            yield_now().await;
            set(before + 1);
        };
        let builder = || Builder::new().context(context.clone());
        builder().create_task(add()).await.unwrap();
        assert_eq!(context.get(&NUMBER), Some(1));
        builder().eager_start(true).create_task(add()).await.unwrap();
        here().create_task_with(builder(), add()).await.unwrap();
        assert_eq!(context.get(&NUMBER), Some(3));
        assert_eq!(NUMBER.get(), None);
    });
}

/// Behaviour: FU2-02.
#[test]
fn the_exception_handler_runs_in_the_context_of_the_task_or_callback_that_failed() {
    run(async {
        let seen = seen_by_the_handler();
        set(1);
        let failing = |number| async move {
            set(number);
            yield_now().await;
            panic!("in a task");
        };
        // Its handle is dropped at once, and after its end.
        drop(create_task(failing(10)));
        let held = create_task(failing(20));
        let error = create_try_task(async {
            set(30);
            yield_now().await;
            Err::<(), _>("in a task")
        });
        here().call_soon(|| {
            set(40);
            panic!("in a callback");
        });
        sleep(secs(1)).await;
        set(2);
        drop((held, error));
        let seen: Vec<_> = seen.take().into_iter().map(|(number, _)| number).collect();
        assert_eq!(seen, [Some(40), Some(10), Some(20), Some(30)]);
        assert_eq!(NUMBER.get(), Some(2));
    });
}

#[test]
fn a_task_that_has_ended_has_its_context_as_long_as_its_handle_is_there() {
    static HELD: ContextVar<Rc<()>> = ContextVar::new("held");
    run(async {
        let value = Rc::new(());
        let make = || {
            let value = value.clone();
            create_task(async move { drop(HELD.set(value)) })
        };
        let task = make();
        drop(make());
        sleep(secs(1)).await;
        assert_eq!(Rc::strong_count(&value), 2, "nobody holds the other");
        let context = task.get_context().unwrap();
        assert!(Rc::ptr_eq(&context.get(&HELD).unwrap(), &value));
        drop(context);
        task.await.unwrap();
        assert_eq!(Rc::strong_count(&value), 1);
    });
}

#[test]
fn a_child_of_a_group_has_a_context_of_its_own() {
    run(async {
        set(1);
        TaskGroup::scope(async |group| {
            set(2);
            let child = group.create_task(async {
                assert_eq!(NUMBER.get(), Some(2));
                set(10);
                sleep(secs(1)).await;
                assert_eq!(NUMBER.get(), Some(10));
                // Its own children begin with its values, and are polled inside of it.
                TaskGroup::scope(async |inner| {
                    inner.create_task(async {
                        assert_eq!(NUMBER.get(), Some(10));
                        set(100);
                        Outcome::Ok(())
                    });
                    Ok(())
                })
                .await
                .unwrap();
                assert_eq!(NUMBER.get(), Some(10));
                Outcome::Ok(())
            });
            set(3);
            child.await.unwrap();
            assert_eq!(NUMBER.get(), Some(3));
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(NUMBER.get(), Some(3), "the body runs in the task that has the group");
    });
}

#[test]
fn the_first_step_of_an_eager_task_leaves_its_makers_context_alone() {
    run(async {
        set(1);
        let task = Builder::new().eager_start(true).create_task(async {
            assert_eq!(NUMBER.get(), Some(1));
            set(2);
            yield_now().await;
            NUMBER.get()
        });
        assert_eq!(NUMBER.get(), Some(1));
        assert_eq!(task.await.unwrap(), Some(2));
        // Also in the context that its maker runs in.
        let shared = Builder::new().eager_start(true).context(Context::current());
        shared.create_task(async { set(3) }).await.unwrap();
        assert_eq!(NUMBER.get(), Some(3));
    });
}

#[test]
fn a_cleanup_and_a_destructor_of_a_cancelled_task_see_its_values() {
    struct Looks(Rc<RefCell<Vec<Option<u32>>>>);
    impl Drop for Looks {
        fn drop(&mut self) {
            self.0.borrow_mut().push(NUMBER.get());
        }
    }
    let seen = Rc::new(RefCell::new(Vec::new()));
    run(async {
        let body = |number| {
            let seen = seen.clone();
            async move {
                let looks = Looks(seen.clone());
                set(number);
                let waits = async move {
                    let _looks = looks;
                    pending::<()>().await;
                };
                try_finally(waits, async move || seen.borrow_mut().push(NUMBER.get())).await;
            }
        };
        assert!(timeout(secs(1), create_task(body(1))).await.is_err());
        sleep(secs(1)).await;
        assert_eq!(seen.take(), [Some(1), Some(1)]);
        // Left to the end of the run.
        drop(create_task(body(2)));
        yield_now().await;
    });
    assert_eq!(seen.take(), [Some(2), Some(2)]);
}
