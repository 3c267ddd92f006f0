//! Eager tasks: the first step is taken inside `create_task`.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use asyncio_coro::{catch_cancel, yield_now};
use asyncio_loop::EventLoop;
use asyncio_task::{
    Builder, Task, TaskLoopExt, all_tasks, create_task, current_task, eager_task_factory, gather,
    sleep,
};
use support::{Log, here, reports, run, secs};

fn eager<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
    Builder::new().eager_start(true).create_task(future)
}

fn my_name() -> Option<String> {
    current_task().map(|task| task.name())
}

/// What a future gives at its first poll.
async fn at_once<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// Behaviour: EAG-01.
#[test]
fn the_factory_can_be_set_read_and_reset_and_makes_ordinary_tasks() {
    run(async {
        assert!(here().task_factory().is_none());
        here().set_task_factory(eager_task_factory);
        let factory = here().task_factory().unwrap();
        assert_eq!(factory(Builder::new()).get_eager_start(), Some(true));
        let task: Task<u32> = create_task(async { 7 });
        assert!(task.done());
        assert_eq!(task.await.unwrap(), 7);
        here().reset_task_factory();
        assert!(here().task_factory().is_none());
        assert!(!create_task(async {}).done());
    });
}

/// Behaviour: EAG-02.
#[test]
fn a_task_that_has_nothing_to_wait_for_is_done_at_once_and_never_queued() {
    run(async {
        let task = eager(async { String::from("value") });
        assert!(task.done() && !task.cancelled());
        assert!(matches!(at_once(task).await, Poll::Ready(Ok(value)) if value == "value"));

        let failed = eager(async { panic!("no value") });
        assert!(failed.done(), "the panic is the task's");
        let error = failed.await.map(|(): ()| ()).unwrap_err();
        assert_eq!(error.into_panic().downcast_ref(), Some(&"no value"));
    });
}

/// Behaviour: EAG-03.
#[test]
fn what_an_eager_task_has_set_can_be_read_at_once() {
    run(async {
        let future = asyncio_future::Future::new();
        let setter = future.clone();
        let task = eager(async move { setter.set_result("set").unwrap() });
        assert_eq!(future.result(), Ok("set"));
        task.await.unwrap();
    });
}

/// Behaviour: EAG-05.
#[test]
fn an_eager_task_is_cancelled_once_it_waits_and_not_when_it_has_ended() {
    run(async {
        let ended = eager(async { 7 });
        assert!(!ended.cancel_with("late") && !ended.cancelled());
        assert_eq!(ended.await.unwrap(), 7);

        let waiting = eager(pending::<()>());
        assert!(!waiting.done());
        assert!(waiting.cancel_with("stop waiting"));
        assert_eq!(waiting.cancelling(), 1);
        let error = waiting.await.unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!(error.cancel_message(), Some("stop waiting"));
    });
}

#[test]
fn a_task_that_cancels_itself_in_its_eager_step_ends_cancelled() {
    run(async {
        let task = eager(async { assert!(current_task().unwrap().cancel()) });
        assert!(task.done() && task.cancelled());
        let waiting = eager(async {
            current_task().unwrap().cancel();
            pending::<()>().await;
        });
        assert!(waiting.done() && waiting.cancelled(), "it unwound in that very step");
        assert!(waiting.await.unwrap_err().is_cancelled());
        let swallowed = eager(async {
            current_task().unwrap().cancel();
            catch_cancel(pending::<()>()).await.is_err()
        });
        assert!(swallowed.await.unwrap());
    });
}

/// Behaviour: EAG-06.
#[test]
fn current_task_is_the_new_one_in_its_eager_step_and_then_the_callers_again() {
    run(async {
        let outer = create_task(async {
            let names = Rc::new(RefCell::new(Vec::new()));
            let seen = names.clone();
            let inner = Builder::new().name("inner").eager_start(true).create_task(async move {
                seen.borrow_mut().push(my_name());
                let innermost = Builder::new().name("innermost").eager_start(true);
                let deeper = seen.clone();
                let task =
                    innermost.create_task(async move { deeper.borrow_mut().push(my_name()) });
                task.await.unwrap();
                yield_now().await;
                seen.borrow_mut().push(my_name());
            });
            let after = my_name();
            inner.await.unwrap();
            let names = names.take().into_iter().map(Option::unwrap).collect::<Vec<_>>();
            (names, after.unwrap(), my_name().unwrap())
        });
        outer.set_name("outer");
        let (names, after, later) = outer.await.unwrap();
        assert_eq!(names, ["inner", "innermost", "inner"]);
        assert_eq!((after.as_str(), later.as_str()), ("outer", "outer"));
        here().call_soon(|| {
            assert!(current_task().is_none());
            eager(async { assert!(current_task().is_some()) });
            assert!(current_task().is_none());
        });
        let reports = reports();
        yield_now().await;
        assert!(reports.take().is_empty());
    });
}

/// Behaviour: EAG-07.
#[test]
fn all_tasks_has_an_eager_task_until_it_has_ended() {
    fn count() -> usize {
        all_tasks().len()
    }
    run(async {
        let ended = eager(async { count() });
        assert_eq!(count(), 0);
        assert_eq!(ended.await.unwrap(), 1, "it was listed during its step");

        let waiting = eager(yield_now());
        assert_eq!(all_tasks()[0].id(), waiting.id());
        waiting.await.unwrap();
        assert_eq!(count(), 0);
    });
}

/// Behaviour: EAG-10.
#[test]
fn what_a_builder_says_comes_before_what_the_factory_says() {
    run(async {
        let name = || async { my_name().unwrap() };
        let at_once = Builder::new().eager_start(true).name("early").create_task(name());
        assert!(at_once.done(), "no factory is needed");
        assert_eq!(at_once.await.unwrap(), "early");

        here().set_task_factory(eager_task_factory);
        let deferred = Builder::new().eager_start(false).name("late").create_task(name());
        assert!(!deferred.done());
        assert_eq!(deferred.await.unwrap(), "late");
    });
}

/// Behaviour: TSK-113.
#[test]
fn a_task_that_is_not_eager_has_not_started_before_somebody_waits() {
    run(async {
        let log = Log::default();
        let events = log.clone();
        let task =
            Builder::new().eager_start(false).create_task(async move { events.push("started") });
        assert!(log.take().is_empty());
        task.await.unwrap();
        assert_eq!(log.take(), ["started"]);
    });
}

#[test]
fn a_loop_that_does_not_run_takes_no_eager_step() {
    let event_loop = EventLoop::new().unwrap();
    let is_started = Rc::new(Cell::new(false));
    let mark = is_started.clone();
    let builder = Builder::new().eager_start(true);
    let task = event_loop.create_task_with(builder, async move { mark.set(true) });
    assert!(!is_started.get() && !task.done());
    event_loop.run_until_complete(task).unwrap().unwrap();
    assert!(is_started.get());
    event_loop.close().unwrap();
}

#[test]
fn a_task_woken_in_its_eager_step_goes_on_in_the_next_tick() {
    run(async {
        let log = Log::default();
        let events = log.clone();
        let task = eager(async move {
            events.push("first step");
            yield_now().await;
            events.push("second step");
        });
        log.push("created");
        here().call_soon({
            let log = log.clone();
            move || log.push("callback")
        });
        task.await.unwrap();
        assert_eq!(log.take(), ["first step", "created", "second step", "callback"]);
    });
}

#[test]
fn eager_tasks_may_nest() {
    fn nest(depth: u32) -> Pin<Box<dyn Future<Output = u32>>> {
        Box::pin(
            async move { if depth == 0 { 0 } else { eager(nest(depth - 1)).await.unwrap() + 1 } },
        )
    }
    run(async {
        let task = eager(nest(50));
        assert!(task.done());
        assert_eq!(task.await.unwrap(), 50);
        assert!(all_tasks().is_empty());
    });
}

#[test]
fn an_eager_task_whose_handle_goes_at_once_runs_on_and_is_heard() {
    run(async {
        let reports = reports();
        let done = Rc::new(Cell::new(false));
        let mark = done.clone();
        drop(eager(async move {
            sleep(secs(1)).await;
            mark.set(true);
        }));
        drop(eager(async { panic!("in the eager step") }));
        assert!(reports.take()[0].contains("in the eager step"));
        sleep(secs(2)).await;
        assert!(done.get());
    });
}

/// Awaits coroutines, one in the other, and says in the end how many tasks there are.
fn chain(length: u32) -> Pin<Box<dyn Future<Output = usize>>> {
    Box::pin(async move { if length == 0 { all_tasks().len() } else { chain(length - 1).await } })
}

/// Gathers `width` of itself, `depth` deep, and counts the tasks.
fn tree(width: usize, depth: u32) -> Pin<Box<dyn Future<Output = usize>>> {
    Box::pin(async move {
        if depth == 0 {
            return 1;
        }
        let below = gather((0..width).map(|_| tree(width, depth - 1))).await.unwrap();
        1 + below.into_iter().sum::<usize>()
    })
}

/// Behaviour: EAG-12.
#[test]
fn no_eager_task_is_scheduled_that_has_nothing_to_wait_for() {
    run(async {
        // One lazily, for the main coroutine; none is made for the coroutines that it awaits.
        assert_eq!(create_task(chain(100)).await.unwrap(), 1);
        let lazy = create_task(tree(5, 4));
        assert!(!lazy.done());
        assert_eq!(lazy.await.unwrap(), 781);

        let made = Rc::new(Cell::new(0));
        let count = made.clone();
        here().set_task_factory(move |builder| {
            count.set(count.get() + 1);
            eager_task_factory(builder)
        });
        let eager = create_task(chain(100));
        assert!(eager.done());
        // Done before the next tick: none of them has gone through the ready queue.
        let eager = create_task(tree(5, 4));
        assert!(eager.done());
        assert_eq!(eager.await.unwrap(), 781);
        assert_eq!(made.get(), 1 + 781);
    });
}
