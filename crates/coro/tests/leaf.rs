//! Leaf scopes: a request is handed down once, and its answer decides.

mod driver;

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use asyncio_coro::scope::{HandDown, Join, LeafScope};
use asyncio_coro::task::TaskEnd;
use asyncio_coro::{current_task, try_finally, yield_now};
use futures_util::future::join;

use driver::{Log, TestTask};

/// Something that runs elsewhere; the test decides how it ends.
#[derive(Clone, Default)]
struct Child(Rc<State>);

#[derive(Default)]
struct State {
    asked: Cell<u32>,
    /// Ends by itself as soon as it is asked.
    is_quick: Cell<bool>,
    end: Cell<Option<Result<u32, Gone>>>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Gone;

impl Child {
    fn end(&self, with: Result<u32, Gone>) {
        self.0.end.set(Some(with));
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }

    fn asked(&self) -> u32 {
        self.0.asked.get()
    }
}

impl Join for Child {
    type Output = Result<u32, Gone>;

    fn poll_join(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.waker.replace(Some(cx.waker().clone()));
        self.0.end.take().map_or(Poll::Pending, Poll::Ready)
    }

    fn is_cancelled(output: &Self::Output) -> bool {
        output.is_err()
    }
}

impl HandDown for Child {
    fn hand_down(self: Pin<&mut Self>, _: Option<Arc<str>>) {
        self.0.asked.set(self.0.asked.get() + 1);
        if self.0.is_quick.get() {
            self.0.end.set(Some(Err(Gone)));
        }
    }
}

#[test]
fn without_a_request_the_output_is_delivered_whatever_it_is() {
    for end in [Ok(7), Err(Gone)] {
        let child = Child::default();
        let mut task = TestTask::new(LeafScope::new(child.clone()));
        assert!(task.run().is_none());
        child.end(end);
        assert!(matches!(task.run(), Some(Ok(found)) if found == end));
        assert_eq!(child.asked(), 0);
    }
}

#[test]
fn a_request_is_handed_down_once_and_waits_for_the_child() {
    let child = Child::default();
    let mut task = TestTask::new(LeafScope::new(child.clone()));
    assert!(task.run().is_none());
    task.handle().cancel();
    for _ in 0..2000 {
        assert!(task.step().is_none());
    }
    assert_eq!(child.asked(), 1);
    child.end(Err(Gone));
    assert!(matches!(task.run(), Some(Err(TaskEnd::Cancelled))));
}

#[test]
fn a_child_that_is_gone_as_soon_as_it_is_asked_ends_the_task_in_one_step() {
    let child = Child::default();
    child.0.is_quick.set(true);
    let mut task = TestTask::new(LeafScope::new(child.clone()));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(matches!(task.step(), Some(Err(TaskEnd::Cancelled))));
}

#[test]
fn a_child_that_returns_a_value_after_all_swallows_the_request() {
    let child = Child::default();
    let c = child.clone();
    let mut task = TestTask::new(async move {
        let value = LeafScope::new(c).await.unwrap();
        yield_now().await;
        value + current_task().unwrap().cancelling()
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none());
    child.end(Ok(7));
    assert!(matches!(task.run(), Some(Ok(8))), "the request stays counted");
}

#[test]
fn a_value_that_was_ready_before_the_request_was_handed_down_leaves_the_request_standing() {
    let child = Child::default();
    let (c, log) = (child.clone(), Log::default());
    let l = log.clone();
    let mut task = TestTask::new(async move {
        LeafScope::new(c).await.unwrap();
        l.push("value");
        yield_now().await;
        l.push("not reached");
    });
    assert!(task.run().is_none());
    child.end(Ok(7));
    task.handle().cancel();
    assert!(matches!(task.run(), Some(Err(TaskEnd::Cancelled))));
    assert_eq!((log.take(), child.asked()), (vec!["value"], 0));
}

#[test]
fn a_newer_request_is_handed_down_again() {
    let child = Child::default();
    let mut task = TestTask::new(LeafScope::new(child.clone()));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none());
    assert_eq!(child.asked(), 2);
    child.end(Ok(7));
    assert!(matches!(task.run(), Some(Ok(Ok(7)))));
}

#[test]
fn a_request_newer_than_the_one_handed_down_is_not_swallowed() {
    let child = Child::default();
    let c = child.clone();
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(async move {
        LeafScope::new(c).await.unwrap();
        l.push("value");
        yield_now().await;
        l.push("not reached");
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none());
    child.end(Ok(7));
    task.handle().cancel();
    assert!(matches!(task.run(), Some(Err(TaskEnd::Cancelled))));
    assert_eq!(log.take(), ["value"]);
}

#[test]
fn cleanups_around_a_leaf_wait_for_the_child() {
    let child = Child::default();
    let (c, log) = (child.clone(), Log::default());
    let l = log.clone();
    let mut task = TestTask::new(async move {
        try_finally(LeafScope::new(c), async || l.push("cleanup")).await.unwrap();
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none());
    assert!(log.take().is_empty());
    child.end(Err(Gone));
    assert!(matches!(task.run(), Some(Err(TaskEnd::Cancelled))));
    assert_eq!(log.take(), ["cleanup"]);
}

#[test]
fn two_children_are_both_asked_and_one_value_does_not_save_the_task() {
    let (a, b) = (Child::default(), Child::default());
    let (a2, b2) = (a.clone(), b.clone());
    let mut task = TestTask::new(async move {
        let _ = join(LeafScope::new(a2), LeafScope::new(b2)).await;
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(task.run().is_none());
    assert_eq!((a.asked(), b.asked()), (1, 1));
    a.end(Ok(7));
    assert!(task.run().is_none());
    b.end(Err(Gone));
    assert!(matches!(task.run(), Some(Err(TaskEnd::Cancelled))));
}

#[test]
fn what_is_waited_for_can_be_looked_at() {
    let child = Child::default();
    let leaf = LeafScope::new(child.clone());
    leaf.get_ref().end(Ok(7));
    assert_eq!(futures_lite::future::block_on(leaf), Ok(7));
}
