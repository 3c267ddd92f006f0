//! Cleanups that decide for themselves, and resources that come back: `finally_with`, `with`, `async_with`.

mod driver;

use std::cell::Cell;
use std::future::pending;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use asyncio_coro::hooks::SkipReason;
use asyncio_coro::scope::{Cleanup, Newer, finally_with};
use asyncio_coro::task::TaskEnd;
use asyncio_coro::{AsyncContextManager, ExitReason, async_with, catch_cancel, with, yield_now};

use driver::{Log, Reports, TestTask, yield_times};

fn is_cancelled<T>(end: Option<Result<T, TaskEnd>>) -> bool {
    matches!(end, Some(Err(TaskEnd::Cancelled)))
}

/// A cleanup like a task group's: is over when the test says so, and is told of newer requests.
#[derive(Clone, Default)]
struct Group(Rc<GroupState>);

#[derive(Default)]
struct GroupState {
    is_over: Cell<bool>,
    polls: Cell<u32>,
    newer: Cell<u32>,
    is_cut: Cell<bool>,
    ends_when_told: Cell<bool>,
    saves: Cell<Option<u32>>,
    waker: Cell<Option<Waker>>,
}

impl Group {
    fn finish(&self) {
        self.0.is_over.set(true);
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }
}

impl Cleanup<u32> for Group {
    fn poll_cleanup(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.polls.set(self.0.polls.get() + 1);
        self.0.waker.set(Some(cx.waker().clone()));
        if self.0.is_over.get() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn on_newer_request(self: Pin<&mut Self>) -> Newer {
        self.0.newer.set(self.0.newer.get() + 1);
        self.0.is_over.set(self.0.ends_when_told.get());
        if self.0.is_cut.get() { Newer::Cut } else { Newer::Keep }
    }

    fn recover(self: Pin<&mut Self>) -> Option<u32> {
        self.0.saves.get()
    }
}

#[test]
fn a_cleanup_that_keeps_is_told_of_each_newer_request_once_and_goes_on() {
    let group = Group::default();
    let mut task = TestTask::new(finally_with(pending(), group.clone()));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none());
    assert_eq!(group.0.newer.get(), 0, "the first one was the body's");
    task.handle().cancel();
    for _ in 0..5 {
        assert!(task.step().is_none());
    }
    assert_eq!(group.0.newer.get(), 1);
    task.handle().cancel();
    assert!(task.step().is_none());
    assert_eq!(group.0.newer.get(), 2);
    group.finish();
    assert!(is_cancelled(task.run()));
}

#[test]
fn a_cleanup_that_is_over_once_it_is_told_needs_no_further_wake() {
    let group = Group::default();
    group.0.ends_when_told.set(true);
    let mut task = TestTask::new(finally_with(pending(), group.clone()));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.step()), "in one step");
}

#[test]
fn a_cleanup_that_says_cut_is_cut() {
    let reports = Reports::collect();
    let group = Group::default();
    group.0.is_cut.set(true);
    group.0.saves.set(Some(7));
    let mut task = TestTask::new(finally_with(pending(), group.clone()));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()), "and saves nothing");
    assert_eq!((group.0.newer.get(), reports.reasons()), (1, vec![SkipReason::Cut]));
}

#[test]
fn a_cleanup_may_replace_the_cancellation_by_a_value_and_the_request_stands() {
    let group = Group::default();
    group.0.saves.set(Some(7));
    let (g, log) = (group.clone(), Log::default());
    let l = log.clone();
    let mut task = TestTask::new(async move {
        assert_eq!(finally_with(pending(), g).await, 7);
        l.push("value");
        yield_now().await;
        l.push("not reached");
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none());
    group.finish();
    assert!(is_cancelled(task.run()));
    assert_eq!((log.take(), task.handle().cancelling()), (vec!["value"], 1));
}

#[test]
fn a_value_outlives_newer_requests_that_its_cleanup_keeps_out() {
    let group = Group::default();
    let (g, log) = (group.clone(), Log::default());
    let l = log.clone();
    let mut task = TestTask::new(async move {
        let value = finally_with(async { 7 }, g).await;
        l.push("value");
        assert!(catch_cancel(pending::<()>()).await.is_err(), "the request was still to come");
        value
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none());
    assert_eq!(group.0.newer.get(), 1);
    group.finish();
    assert!(matches!(task.run(), Some(Ok(7))));
    assert_eq!(log.take(), ["value"]);
}

#[test]
fn with_gives_the_resource_to_the_cleanup_when_the_body_is_cancelled() {
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(with(
        vec![1],
        async |list| {
            list.push(2);
            pending::<()>().await;
        },
        async move |list| {
            yield_times(2).await;
            assert_eq!(list, [1, 2]);
            l.push("goodbye");
        },
    ));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["goodbye"]);
}

#[test]
fn with_gives_the_resource_to_the_cleanup_when_the_body_panics() {
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(with(
        String::from("conn"),
        async |_conn| -> u32 {
            yield_now().await;
            panic!("in the body")
        },
        async move |conn| {
            drop(conn);
            l.push("goodbye");
        },
    ));
    assert!(matches!(task.run(), Some(Err(TaskEnd::Panicked(_)))));
    assert_eq!(log.take(), ["goodbye"]);
}

#[test]
fn with_drops_the_resource_when_it_is_dropped_and_says_where_it_was_made() {
    let reports = Reports::collect();
    let resource = Rc::new(());
    let mut task = TestTask::new(with(
        resource.clone(),
        async |_: &mut Rc<()>| pending::<()>().await,
        async |_| {},
    ));
    assert!(task.run().is_none());
    drop(task);
    assert_eq!(Rc::strong_count(&resource), 1);
    let reports = reports.take();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].to_string().contains(file!()), "{}", reports[0]);
}

struct Manager {
    log: Log,
    enter_steps: u32,
}

impl AsyncContextManager for Manager {
    type Entered = Log;

    async fn aenter(&mut self) -> Log {
        yield_times(self.enter_steps).await;
        self.log.push("enter");
        self.log.clone()
    }

    async fn aexit(self, entered: Log, how: ExitReason) {
        yield_now().await;
        entered.push(match how {
            ExitReason::Returned => "returned",
            ExitReason::Cancelled => "cancelled",
            ExitReason::Panicked => "panicked",
            _ => "?",
        });
    }
}

#[test]
fn a_context_manager_is_left_however_its_body_ends() {
    let log = Log::default();
    let manager = || Manager { log: log.clone(), enter_steps: 1 };

    let mut task = TestTask::new(async_with(manager(), async |log| {
        log.push("body");
        7
    }));
    assert!(matches!(task.run(), Some(Ok(7))));
    assert_eq!(log.take(), ["enter", "body", "returned"]);

    let mut task = TestTask::new(async_with(manager(), async |_| pending::<()>().await));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["enter", "cancelled"]);

    let mut task = TestTask::new(async_with(manager(), async |_| -> u32 { panic!("in the body") }));
    assert!(matches!(task.run(), Some(Err(TaskEnd::Panicked(_)))));
    assert_eq!(log.take(), ["enter", "panicked"]);
}

#[test]
fn a_context_manager_cancelled_while_it_is_entered_is_not_left() {
    let log = Log::default();
    let manager = Manager { log: log.clone(), enter_steps: 5 };
    let mut task = TestTask::new(async_with(manager, async |_| ()));
    assert!(task.step().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert!(log.take().is_empty());
}
