//! Tasks made by way of the loop, and task factories.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use asyncio_coro::yield_now;
use asyncio_loop::EventLoop;
use asyncio_task::{
    Builder, TaskLoopExt, create_task, create_try_task, eager_task_factory, gather, try_gather,
};
use support::{Log, here, reports, run};

/// What `f` panics with.
fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).map(|_| ()).unwrap_err();
    payload.downcast_ref::<String>().map_or_else(
        || payload.downcast_ref::<&str>().copied().unwrap_or_default().to_owned(),
        String::clone,
    )
}

/// Behaviour: TSK-01, TSK-05.
#[test]
fn a_task_belongs_to_the_loop_that_made_it() {
    for _ in 0..2 {
        let event_loop = EventLoop::new().unwrap();
        let task = event_loop.create_task(async {
            yield_now().await;
            here().handle()
        });
        let home = event_loop.run_until_complete(task).unwrap().unwrap();
        assert!(home.same_loop(&event_loop.handle()));
        event_loop.close().unwrap();
    }
    let message = panic_of(|| create_task(async {}));
    assert!(message.starts_with("create_task: no running event loop"), "{message}");
}

#[test]
fn tasks_and_callbacks_given_to_an_idle_loop_keep_their_order() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let note = |event: &'static str| {
        let log = log.clone();
        move || log.push(event)
    };
    let task = |event| {
        let note = note(event);
        async move { note() }
    };
    event_loop.call_soon(note("callback"));
    let first = event_loop.create_task(task("task"));
    event_loop.call_soon(note("another callback"));
    let second = event_loop.create_task(task("another task"));
    event_loop.call_soon({
        let event_loop = event_loop.clone();
        move || event_loop.stop()
    });
    event_loop.run_forever().unwrap();
    assert!(first.done() && second.done());
    assert_eq!(log.take(), ["callback", "task", "another callback", "another task"]);
    event_loop.close().unwrap();
}

/// Behaviour: TSK-26, BEV-38.
#[test]
fn a_closed_loop_takes_no_task_and_its_future_is_dropped_in_silence() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let reported = log.clone();
    event_loop.set_exception_handler(move |_, context| reported.push(context.to_string()));
    event_loop.close().unwrap();
    let guard = log.on_drop("future dropped");
    let task = event_loop.create_task(async move {
        let _guard = guard;
        unreachable!("the loop is closed");
    });
    assert_eq!(log.take(), ["future dropped"]);
    assert!(task.done() && task.cancelled());
    assert!(event_loop.all_tasks().is_empty());
    assert_eq!(task.site().file(), file!());
}

/// Behaviour: TSK-84.
#[test]
fn gather_needs_a_running_loop_to_make_tasks_of_futures() {
    let message = panic_of(|| gather([ready(1)]));
    assert!(message.starts_with("gather: no running event loop"), "{message}");
    let event_loop = EventLoop::new().unwrap();
    let gathered = event_loop.run_until_complete(async { gather([ready(1), ready(2)]).await });
    assert_eq!(gathered.unwrap().unwrap(), [1, 2]);
    event_loop.close().unwrap();
}

/// Behaviour: BEV-37.
#[test]
fn a_factory_is_asked_about_every_task_however_it_is_made() {
    run(async {
        let made = Rc::new(RefCell::new(Vec::new()));
        let names = made.clone();
        here().set_task_factory(move |builder| {
            let name = format!("{}#{}", builder.get_name().unwrap_or("task"), names.borrow().len());
            names.borrow_mut().push(name.clone());
            builder.name(name)
        });
        let task = create_task(ready(()));
        assert_eq!(task.get_name(), "task#0");
        let task = Builder::new().name("mine").create_task(ready(()));
        assert_eq!(task.get_name(), "mine#1");
        assert_eq!(here().create_task(ready(())).get_name(), "task#2");
        drop(create_try_task(ready(Ok::<_, String>(()))));
        gather([ready(1)]).await.unwrap();
        try_gather([ready(Ok::<_, String>(1))]).await.unwrap();
        assert_eq!(made.borrow().len(), 6);
    });
}

#[test]
fn a_factory_may_make_tasks_itself_and_be_replaced_while_it_is_asked() {
    run(async {
        let inner = Rc::new(Cell::new(None));
        let kept = inner.clone();
        here().set_task_factory(move |builder| {
            here().reset_task_factory();
            kept.set(Some(create_task(ready("made by the factory"))));
            builder
        });
        assert_eq!(create_task(ready(1)).await.unwrap(), 1);
        assert_eq!(inner.take().unwrap().await.unwrap(), "made by the factory");
    });
}

#[test]
fn a_factory_that_panics_makes_no_task() {
    run(async {
        here().set_task_factory(|_| panic!("no more tasks today"));
        let log = Log::default();
        let guard = log.on_drop("future dropped");
        let message = panic_of(move || create_task(async move { drop(guard) }));
        assert_eq!(message, "no more tasks today");
        assert_eq!(log.take(), ["future dropped"]);
        assert!(here().all_tasks().is_empty());
    });
}

#[test]
fn a_factory_of_one_loop_has_nothing_to_say_on_another() {
    let make = || EventLoop::new().unwrap();
    let (eager, lazy) = (make(), make());
    eager.set_task_factory(eager_task_factory);
    let is_eager = |event_loop: &EventLoop| {
        event_loop.run_until_complete(async { create_task(ready(())).done() }).unwrap()
    };
    assert!(is_eager(&eager) && !is_eager(&lazy));
    eager.close().unwrap();
    lazy.close().unwrap();
}

#[test]
fn a_loop_drops_its_factory_when_it_is_closed() {
    let event_loop = EventLoop::new().unwrap();
    let captured = Rc::new(());
    let kept = captured.clone();
    event_loop.set_task_factory(move |builder| {
        let _captured = &captured;
        builder
    });
    event_loop.close().unwrap();
    assert_eq!(Rc::strong_count(&kept), 1);
}

fn failing(error: &'static str) -> impl Future<Output = Result<u8, std::io::Error>> {
    ready(Err(std::io::Error::other(error)))
}

#[test]
fn an_error_that_nobody_awaits_is_reported_with_name_and_site() {
    run(async {
        let reports = reports();
        let (task, line) = (create_try_task(failing("disk full")), line!());
        task.set_name("writer");
        drop(task);
        yield_now().await;
        let told = reports.take();
        assert_eq!(told.len(), 1);
        for part in
            ["nobody awaits it", "task: writer", &format!("{}:{line}:", file!()), "disk full"]
        {
            assert!(told[0].contains(part), "{part} in {}", told[0]);
        }

        let held = create_try_task(failing("disk full again"));
        yield_now().await;
        assert!(reports.take().is_empty(), "somebody may still ask");
        drop(held);
        assert!(reports.take()[0].contains("disk full again"));
    });
}

#[test]
fn an_error_that_somebody_has_seen_and_a_value_are_not_reported() {
    run(async {
        let reports = reports();
        create_try_task(failing("awaited")).await.unwrap().unwrap_err();
        let looked_at = create_try_task(failing("looked at"));
        let taken = create_try_task(failing("taken"));
        let cancelled = create_try_task(failing("cancelled when it had failed"));
        let good = create_try_task(ready(Ok::<_, std::io::Error>(7)));
        let detached = create_try_task(ready(Ok::<_, std::io::Error>(7)));
        drop(detached);
        let never = create_try_task(pending::<Result<(), std::io::Error>>());
        never.cancel();
        yield_now().await;
        assert_eq!(looked_at.with_result(|result| result.as_ref().unwrap().is_err()), Some(true));
        assert!(taken.take_result().unwrap().unwrap().is_err());
        assert!(!cancelled.cancel());
        drop((looked_at, taken, cancelled, good, never));
        assert!(reports.take().is_empty());
    });
}
