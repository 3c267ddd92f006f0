//! `AsyncExitStack`: exits in reverse order, each of them run or reported, whatever happens.

mod driver;

use std::cell::Cell;
use std::future::pending;
use std::pin::pin;
use std::rc::Rc;

use asyncio_coro::hooks::{Report, SkipReason};
use asyncio_coro::task::TaskEnd;
use asyncio_coro::{
    AsyncContextManager, AsyncExitStack, ExitReason, async_with, catch_cancel, current_task,
    try_finally, with, yield_now,
};
use futures_lite::future::block_on;

use driver::{Log, Reports, TestTask, poll_up_to, yield_times};

fn is_cancelled<T>(end: Option<Result<T, TaskEnd>>) -> bool {
    matches!(end, Some(Err(TaskEnd::Cancelled)))
}

fn panic_text<T>(end: Option<Result<T, TaskEnd>>) -> Option<&'static str> {
    match end {
        Some(Err(TaskEnd::Panicked(payload))) => payload.downcast_ref::<&'static str>().copied(),
        _ => None,
    }
}

/// Enters and leaves in a step each.
struct Manager(Log, &'static str);

impl AsyncContextManager for Manager {
    type Entered = u32;

    async fn aenter(&mut self) -> u32 {
        yield_now().await;
        1
    }

    async fn aexit(self, _entered: u32, how: ExitReason) {
        yield_now().await;
        self.0.push(self.1);
        self.0.push(word(how));
    }
}

fn word(how: ExitReason) -> &'static str {
    match how {
        ExitReason::Returned => "returned",
        ExitReason::Cancelled => "cancelled",
        ExitReason::Panicked => "panicked",
        _ => "?",
    }
}

/// Pushes an exit that takes `steps` steps and then writes `name`, and how it was told the body ended.
fn push<'env>(stack: &AsyncExitStack<'env>, log: &Log, steps: u32, name: &'static str) {
    let log = log.clone();
    stack.push(async move |how| {
        yield_times(steps).await;
        log.push(name);
        log.push(word(how));
    });
}

#[test]
fn exits_of_every_kind_run_in_reverse_order_after_a_body_that_returned() {
    let log = Log::default();
    let value = block_on(async_with(AsyncExitStack::new(), async |stack| {
        let first = stack.enter(Manager(log.clone(), "first")).await;
        let second = stack.enter(Manager(log.clone(), "second")).await;
        push(stack, &log, 2, "pushed");
        stack.callback(|| log.push("called"));
        assert_eq!(stack.len(), 4);
        *first += 10;
        *second += 20;
        *first + *second
    }));
    assert_eq!(value, 32);
    let expected = ["called", "pushed", "returned", "second", "returned", "first", "returned"];
    assert_eq!(log.take(), expected);
}

#[test]
fn a_manager_gets_back_what_the_body_made_of_what_it_entered() {
    struct Counter(Rc<Cell<u32>>);
    impl AsyncContextManager for Counter {
        type Entered = u32;
        async fn aenter(&mut self) -> u32 {
            0
        }
        async fn aexit(self, entered: u32, _how: ExitReason) {
            self.0.set(entered);
        }
    }
    let seen = [Rc::new(Cell::new(0)), Rc::new(Cell::new(0))];
    block_on(async_with(AsyncExitStack::new(), async |stack| {
        let mut lent = Vec::new();
        for cell in &seen {
            lent.push(stack.enter(Counter(cell.clone())).await);
        }
        for (at, value) in lent.into_iter().enumerate() {
            yield_now().await;
            *value = 7 + u32::try_from(at).unwrap();
        }
    }));
    assert_eq!([seen[0].get(), seen[1].get()], [7, 8]);
}

#[test]
fn a_cancelled_body_has_all_its_exits_run_and_each_may_wait() {
    let log = Log::default();
    let mut task = TestTask::new(async_with(AsyncExitStack::new(), async |stack| {
        stack.enter(Manager(log.clone(), "manager")).await;
        push(stack, &log, 3, "pushed");
        pending::<()>().await;
    }));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["pushed", "cancelled", "manager", "cancelled"]);
}

#[test]
fn what_was_entered_before_a_cancelled_enter_is_left_and_the_other_is_not() {
    struct NeverEntered;
    impl AsyncContextManager for NeverEntered {
        type Entered = ();
        async fn aenter(&mut self) {
            pending::<()>().await;
        }
        async fn aexit(self, (): (), _how: ExitReason) {
            unreachable!("it was not entered");
        }
    }
    let log = Log::default();
    let mut task = TestTask::new(async_with(AsyncExitStack::new(), async |stack| {
        stack.enter(Manager(log.clone(), "first")).await;
        stack.enter(NeverEntered).await;
    }));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["first", "cancelled"]);
}

#[test]
fn a_panic_in_the_body_goes_on_after_the_exits() {
    let log = Log::default();
    let mut task = TestTask::new(async_with(AsyncExitStack::new(), async |stack| {
        push(stack, &log, 1, "pushed");
        yield_now().await;
        panic!("in the body");
    }));
    assert_eq!(panic_text(task.run()), Some("in the body"));
    assert_eq!(log.take(), ["pushed", "panicked"]);
}

#[test]
fn when_an_exit_panics_the_others_run_and_learn_of_it_and_the_newest_panic_goes_on() {
    let log = Log::default();
    let mut task = TestTask::new(async_with(AsyncExitStack::new(), async |stack| {
        push(stack, &log, 1, "oldest");
        stack.callback(|| panic!("in a callback"));
        push(stack, &log, 1, "middle");
        stack.push(async |_| {
            yield_now().await;
            panic!("in an exit");
        });
        push(stack, &log, 1, "newest");
    }));
    assert_eq!(panic_text(task.run()), Some("in a callback"));
    let expected = ["newest", "returned", "middle", "panicked", "oldest", "panicked"];
    assert_eq!(log.take(), expected);
}

#[test]
fn a_second_cancel_cuts_the_exit_that_runs_and_the_others_run() {
    let reports = Reports::collect();
    let log = Log::default();
    let mut task = TestTask::new(async_with(AsyncExitStack::new(), async |stack| {
        push(stack, &log, 2, "oldest");
        stack.push(async |_| {
            try_finally(pending::<()>(), async || {
                yield_now().await;
                log.push("cleanup in the exit that is cut");
            })
            .await;
        });
        push(stack, &log, 1, "newest");
        pending::<()>().await;
    }));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none());
    assert_eq!(log.take(), ["newest", "cancelled"]);

    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["cleanup in the exit that is cut", "oldest", "cancelled"]);
    // The exit that was cut, and not once more the `async_with` around it.
    assert_eq!(reports.reasons(), [SkipReason::Cut]);
}

#[test]
fn a_manager_that_has_more_to_do_after_its_stack_is_reported_for_that() {
    struct Outer(AsyncExitStack<'static>);
    impl AsyncContextManager for Outer {
        type Entered = AsyncExitStack<'static>;
        async fn aenter(&mut self) -> Self::Entered {
            self.0.aenter().await
        }
        async fn aexit(self, entered: Self::Entered, how: ExitReason) {
            self.0.aexit(entered, how).await;
            pending::<()>().await;
        }
    }
    let reports = Reports::collect();
    let mut task = TestTask::new(async_with(Outer(AsyncExitStack::new()), async |stack| {
        stack.push(async |_| yield_now().await);
    }));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(reports.reasons(), [SkipReason::Cut]);
}

#[test]
fn each_further_cancel_cuts_one_more_exit_until_none_is_left() {
    let reports = Reports::collect();
    let mut task = TestTask::new(async {
        let stack = AsyncExitStack::new();
        for _ in 0..3 {
            stack.push(async |_| pending::<()>().await);
        }
        stack.aclose().await;
    });
    for _ in 0..3 {
        assert!(task.run().is_none());
        task.handle().cancel();
    }
    assert!(is_cancelled(task.run()));
    assert_eq!(reports.reasons(), [SkipReason::Cut; 3]);
}

#[test]
fn a_request_that_cut_an_exit_can_be_caught_after_the_others_have_run() {
    let _reports = Reports::collect();
    let log = Log::default();
    let mut task = TestTask::new(async {
        let stack = AsyncExitStack::new();
        push(&stack, &log, 1, "oldest");
        stack.push(async |_| pending::<()>().await);
        let caught = catch_cancel(stack.aclose()).await;
        yield_now().await;
        caught.is_err()
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(matches!(task.run(), Some(Ok(true))));
    assert_eq!(log.take(), ["oldest", "cancelled"]);
}

#[test]
fn a_request_from_before_the_end_does_not_reach_the_exits() {
    let log = Log::default();
    let mut task = TestTask::new(async {
        let stack = AsyncExitStack::new();
        push(&stack, &log, 3, "exit");
        current_task().unwrap().cancel();
        stack.aclose().await;
        log.push("closed");
        yield_now().await;
        log.push("never");
    });
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["exit", "returned", "closed"]);
}

#[test]
fn what_is_popped_is_left_by_whoever_holds_it_then() {
    let log = Log::default();
    let mut later = block_on(async_with(AsyncExitStack::new(), async |stack| {
        stack.enter(Manager(log.clone(), "manager")).await;
        let popped = stack.pop_all();
        assert!(stack.is_empty());
        push(stack, &log, 0, "after");
        popped
    }));
    assert_eq!(log.take(), ["after", "returned"]);
    block_on(later.pop_all().aclose());
    assert_eq!(log.take(), ["manager", "returned"]);
    assert!(later.is_empty());
}

#[test]
fn a_stack_may_be_entered_by_another_stack() {
    let log = Log::default();
    block_on(async_with(AsyncExitStack::new(), async |outer| {
        push(outer, &log, 1, "outer");
        let inner = outer.enter(AsyncExitStack::new()).await;
        push(inner, &log, 1, "inner");
    }));
    assert_eq!(log.take(), ["inner", "returned", "outer", "returned"]);
}

#[test]
fn each_exit_of_a_stack_that_is_dropped_is_reported_where_it_was_added() {
    let reports = Reports::collect();
    let held = Rc::new(());
    let stack = AsyncExitStack::new();
    let kept = held.clone();
    stack.callback(move || drop(kept));
    let line = line!() - 1;
    stack.push(async |_| {});
    drop(stack);
    assert_eq!(Rc::strong_count(&held), 1);
    let reports = reports.take();
    assert_eq!(reports.len(), 2);
    let place = format!("{}:{line}:", file!());
    assert!(reports[1].to_string().contains(&place), "{}", reports[1]);
    assert!(matches!(reports[0], Report::SkippedCleanup { reason: SkipReason::Dropped, .. }));
}

#[test]
fn a_stack_dropped_while_it_is_left_says_what_was_cut_and_what_was_skipped() {
    let reports = Reports::collect();
    {
        let stack = AsyncExitStack::new();
        stack.callback(|| unreachable!("it is skipped"));
        stack.push(async |_| pending::<()>().await);
        let mut closing = pin!(stack.aclose());
        assert!(poll_up_to(closing.as_mut(), 3).is_none());
    }
    assert_eq!(reports.reasons(), [SkipReason::Cut, SkipReason::Dropped]);
}

#[test]
fn a_destructor_that_panics_costs_the_other_exits_nothing() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    let log = Log::default();
    let mut task = TestTask::new(async_with(AsyncExitStack::new(), async |stack| {
        push(stack, &log, 1, "oldest");
        let bomb = Bomb;
        stack.push(async move |_| {
            let _bomb = bomb;
            yield_now().await;
        });
    }));
    assert_eq!(panic_text(task.run()), Some("in a destructor"));
    assert_eq!(log.take(), ["oldest", "panicked"]);
}

#[test]
fn a_stack_that_is_a_resource_is_left_by_its_owner() {
    let log = Log::default();
    block_on(with(
        AsyncExitStack::new(),
        async |stack: &mut AsyncExitStack<'_>| push(stack, &log, 1, "exit"),
        async |stack| stack.aclose().await,
    ));
    assert_eq!(log.take(), ["exit", "returned"]);
}

#[test]
fn ten_thousand_exits_take_no_stack() {
    let count = Cell::new(0);
    block_on(async {
        let stack = AsyncExitStack::new();
        for _ in 0..10_000 {
            stack.push(async |_| {
                yield_now().await;
                count.set(count.get() + 1);
            });
        }
        stack.aclose().await;
    });
    assert_eq!(count.get(), 10_000);
}
