//! Panics in bodies, destructors and cleanups: the cleanup runs, then the panic goes on, and never out of a task.

mod driver;

use std::cell::Cell;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use asyncio_coro::hooks::{Report, SkipReason};
use asyncio_coro::scope::{Cleanup, HandDown, Join, LeafScope, Newer, finally_with};
use asyncio_coro::task::TaskEnd;
use asyncio_coro::{CancelScope, catch_cancel, current_task, try_finally, yield_now};
use futures_lite::future::block_on;
use futures_util::future::join;

use driver::{Log, Reports, TestTask, poll_up_to, yield_times};

struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("{}", self.0);
        }
    }
}

/// The text of the panic that `future` ends with.
fn panic_of<F: Future>(future: F) -> String {
    let payload = catch_unwind(AssertUnwindSafe(|| block_on(future))).err().expect("it panics");
    text(&payload)
}

fn text(payload: &Box<dyn std::any::Any + Send>) -> String {
    match payload.downcast_ref::<&str>() {
        Some(text) => (*text).to_owned(),
        None => payload.downcast_ref::<String>().expect("a text").clone(),
    }
}

fn panic_of_task<T>(end: Option<Result<T, TaskEnd>>) -> String {
    match end {
        Some(Err(TaskEnd::Panicked(payload))) => text(&payload),
        _ => panic!("the task has not panicked"),
    }
}

#[test]
fn a_panic_in_the_body_goes_on_after_the_cleanup() {
    let log = Log::default();
    let body = async {
        yield_now().await;
        panic!("in the body")
    };
    let text = panic_of(try_finally(body, async || {
        yield_times(3).await;
        log.push("cleanup");
    }));
    assert_eq!((&text[..], log.take()), ("in the body", vec!["cleanup"]));
}

#[test]
fn a_panic_in_the_bodys_destructor_goes_on_after_the_cleanup() {
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(try_finally(
        async {
            let _bomb = Bomb("in the destructor");
            pending::<()>().await;
        },
        async move || {
            yield_times(3).await;
            l.push("cleanup");
        },
    ));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert_eq!(panic_of_task(task.run()), "in the destructor");
    assert_eq!(log.take(), ["cleanup"]);
}

#[test]
fn a_panic_in_the_cleanup_replaces_a_value_a_cancellation_and_a_panic() {
    let text = panic_of(try_finally(async { 7 }, async || panic!("in the cleanup")));
    assert_eq!(text, "in the cleanup");

    let text = panic_of(try_finally(async { panic!("first") }, async || panic!("second")));
    assert_eq!(text, "second");

    let mut task = TestTask::new(try_finally(pending::<()>(), async || {
        yield_now().await;
        panic!("in the cleanup")
    }));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert_eq!(panic_of_task(task.run()), "in the cleanup");
}

#[test]
fn a_panic_survives_a_cleanup_that_is_cut() {
    let reports = Reports::collect();
    let mut task = TestTask::new(try_finally(async { panic!("first") }, async || pending().await));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert_eq!(panic_of_task(task.run()), "first");
    assert_eq!(reports.reasons(), [SkipReason::Cut]);
}

#[test]
fn a_panic_passes_through_every_scope_and_each_cleans_up() {
    let log = Log::default();
    let (a, b) = (log.clone(), log.clone());
    let mut task = TestTask::new(async move {
        try_finally(
            async {
                let inner = try_finally(async { panic!("deep") }, async || a.push("inner"));
                let scope = CancelScope::new();
                catch_cancel(scope.run(inner)).await.unwrap().unwrap();
            },
            async || {
                yield_now().await;
                b.push("outer");
            },
        )
        .await;
    });
    assert_eq!(panic_of_task(task.run()), "deep");
    assert_eq!(log.take(), ["inner", "outer"]);
    assert!(current_task().is_none(), "nothing is left current");
}

#[test]
fn a_scope_dropped_by_the_panic_of_its_neighbour_is_reported() {
    let reports = Reports::collect();
    let mut task = TestTask::new(async {
        let bystander = try_finally(pending::<()>(), async || {});
        join(bystander, async { panic!("neighbour") }).await;
    });
    assert_eq!(panic_of_task(task.run()), "neighbour");
    assert_eq!(reports.reasons(), [SkipReason::Dropped]);
}

#[test]
fn a_panic_in_what_catch_cancel_and_a_scope_throw_away_goes_on() {
    let mut task = TestTask::new(catch_cancel(async {
        let _bomb = Bomb("thrown away");
        pending::<()>().await;
    }));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert_eq!(panic_of_task(task.run()), "thrown away");

    let scope = CancelScope::new();
    let s = scope.clone();
    let mut task = TestTask::new(async move {
        s.run(async {
            let _bomb = Bomb("thrown away");
            pending::<()>().await;
        })
        .await
    });
    assert!(task.run().is_none());
    scope.cancel();
    assert_eq!(panic_of_task(task.run()), "thrown away");
}

#[test]
fn a_scope_whose_body_panicked_and_was_caught_holds_up_nobody() {
    let mut task = TestTask::new(async {
        let mut broken = Box::pin(catch_cancel(async {
            yield_now().await;
            panic!("caught by hand");
        }));
        assert!(poll_up_to(broken.as_mut(), 1).is_none());
        assert!(catch_unwind(AssertUnwindSafe(|| poll_up_to(broken.as_mut(), 1))).is_err());
        pending::<()>().await;
        drop(broken);
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(matches!(task.step(), Some(Err(TaskEnd::Cancelled))), "in one step");
}

#[test]
fn a_task_whose_destructor_panics_when_it_unwinds_ends_with_that_panic() {
    let mut task = TestTask::new(async {
        let _bomb = Bomb("bomb");
        pending::<()>().await;
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert_eq!(panic_of_task(task.run()), "bomb");
}

#[test]
fn a_task_cancelled_before_its_first_step_whose_destructor_panics_ends_with_that_panic() {
    let bomb = Bomb("bomb");
    let mut task = TestTask::new(async move { drop(bomb) });
    task.handle().cancel();
    assert_eq!(panic_of_task(task.run()), "bomb");
}

#[test]
fn a_task_that_is_dropped_does_not_panic_but_reports() {
    let reports = Reports::collect();
    let mut task = TestTask::new(async {
        let _bomb = Bomb("bomb");
        pending::<()>().await;
    });
    task.handle().set_name("bomber");
    assert!(task.run().is_none());
    drop(task);
    let reports = reports.take();
    let [Report::DropPanicked { task, message, .. }] = &reports[..] else {
        panic!("one report, not {reports:?}");
    };
    assert_eq!(message, "bomb");
    assert_eq!(task.as_ref().map(|task| &task.name[..]), Some("bomber"));
    assert_eq!(reports[0].to_string(), "a destructor panicked: bomb (in task bomber)");
}

#[test]
fn a_value_that_panics_when_a_late_request_throws_it_away_is_the_tasks_end() {
    let mut task = TestTask::new(async {
        current_task().unwrap().cancel();
        Bomb("value")
    });
    assert_eq!(panic_of_task(task.run()), "value");
}

#[test]
fn a_reporter_that_panics_harms_nobody() {
    use asyncio_coro::hooks::{Reporter, set_reporter};
    struct Angry;
    impl Reporter for Angry {
        fn report(&self, _: Report) {
            panic!("angry");
        }
    }
    let previous = set_reporter(Some(std::rc::Rc::new(Angry)));
    let mut scope = Box::pin(try_finally(pending::<()>(), async || {}));
    assert!(poll_up_to(scope.as_mut(), 1).is_none());
    drop(scope);
    set_reporter(previous);
}

/// A join, or a cleanup, that panics where it is told to.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Poll,
    HandDown,
    IsCancelled,
    Newer,
    Recover,
}

struct Broken(Place);

thread_local! {
    static IS_ASKED: Cell<bool> = const { Cell::new(false) };
}

impl Join for Broken {
    type Output = Place;

    fn poll_join(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Place> {
        match (IS_ASKED.get(), self.0) {
            (false, _) => Poll::Pending,
            (true, Place::Poll) => panic!("poll_join"),
            (true, place) => Poll::Ready(place),
        }
    }

    fn is_cancelled(place: &Place) -> bool {
        assert!(*place != Place::IsCancelled, "is_cancelled");
        true
    }
}

impl HandDown for Broken {
    fn hand_down(self: Pin<&mut Self>, _: Option<Arc<str>>) {
        IS_ASKED.set(true);
        assert!(self.0 != Place::HandDown, "hand_down");
    }
}

impl Cleanup<()> for Broken {
    fn poll_cleanup(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.0 {
            Place::Poll => panic!("poll_cleanup"),
            Place::Newer if !IS_ASKED.replace(true) => Poll::Pending,
            Place::Newer => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    fn on_newer_request(self: Pin<&mut Self>) -> Newer {
        panic!("on_newer_request")
    }

    fn recover(self: Pin<&mut Self>) -> Option<()> {
        assert!(self.0 != Place::Recover, "recover");
        None
    }
}

#[test]
fn a_panic_in_a_join_ends_the_task_wherever_it_comes() {
    for place in [Place::Poll, Place::HandDown, Place::IsCancelled] {
        IS_ASKED.set(false);
        let log = Log::default();
        let l = log.clone();
        let mut task = TestTask::new(try_finally(
            async move {
                let _ = LeafScope::new(Broken(place)).await;
            },
            async move || {
                yield_now().await;
                l.push("cleanup");
            },
        ));
        assert!(task.run().is_none());
        task.handle().cancel();
        panic_of_task(task.run());
        assert_eq!(log.take(), ["cleanup"]);
    }
}

#[test]
fn a_panic_in_a_cleanup_ends_the_task_wherever_it_comes() {
    for place in [Place::Poll, Place::Newer, Place::Recover] {
        IS_ASKED.set(false);
        let mut task = TestTask::new(finally_with(pending::<()>(), Broken(place)));
        assert!(task.run().is_none());
        task.handle().cancel();
        let mut end = task.run_up_to(3);
        if place == Place::Newer {
            assert!(end.is_none());
            task.handle().cancel();
            end = task.run_up_to(3);
        }
        panic_of_task(end);
    }
    assert!(current_task().is_none());
}
