//! What every kind of task shares: its end, its facts, and requests to cancel it.

mod driver;

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::Poll;

use asyncio_coro::task::{TaskEnd, TaskInfo, TaskScope};
use asyncio_coro::{current_task, yield_now};

use driver::TestTask;

#[test]
fn a_task_ends_with_the_value_of_its_body() {
    let mut task = TestTask::new(async {
        yield_now().await;
        7
    });
    assert!(task.handle().is_live() && !task.handle().is_started());
    assert!(matches!(task.run(), Some(Ok(7))));
    assert!(!task.handle().is_live());
    assert!(!task.handle().cancel(), "it has ended");
}

/// Behaviour: TSK-31.
#[test]
fn a_task_cancelled_before_its_first_step_never_runs() {
    let ran = Rc::new(Cell::new(false));
    let ran2 = ran.clone();
    let mut task = TestTask::new(async move { ran2.set(true) });
    assert!(task.handle().cancel());
    assert!(matches!(task.run(), Some(Err(TaskEnd::Cancelled))));
    assert!(!ran.get());
}

#[test]
fn a_task_uncancelled_before_its_first_step_runs() {
    let mut task = TestTask::new(async { 7 });
    task.handle().cancel();
    assert_eq!(task.handle().uncancel(), 0);
    assert!(matches!(task.run(), Some(Ok(7))));
}

/// Behaviour: TSK-40.
#[test]
fn a_request_made_during_the_last_step_ends_the_task_cancelled() {
    let mut task = TestTask::new(async { current_task().unwrap().cancel() });
    assert!(matches!(task.run(), Some(Err(TaskEnd::Cancelled))));
}

#[test]
fn a_value_ready_in_the_step_after_the_request_stands() {
    let ready = Rc::new(Cell::new(false));
    let ready2 = ready.clone();
    let mut task =
        TestTask::new(poll_fn(move |_| if ready2.get() { Poll::Ready(7) } else { Poll::Pending }));
    assert!(task.step().is_none());
    task.handle().cancel();
    ready.set(true);
    assert!(matches!(task.step(), Some(Ok(7))));
}

/// Behaviour: TSK-47.
#[test]
fn requests_are_counted_and_taken_back_one_by_one() {
    let mut task = TestTask::new(pending::<()>());
    assert!(task.step().is_none());
    let handle = task.handle();
    assert_eq!(handle.cancelling(), 0);
    assert!(handle.cancel());
    assert!(handle.cancel());
    assert_eq!(handle.cancelling(), 2);
    assert_eq!(handle.uncancel(), 1);
    assert!(matches!(task.step(), Some(Err(TaskEnd::Cancelled))), "one request is left");
    assert_eq!((handle.uncancel(), handle.uncancel()), (0, 0));
}

/// Behaviour: TSK-50.
#[test]
fn a_request_withdrawn_before_delivery_leaves_nothing_behind() {
    let mut task = TestTask::new(async {
        yield_now().await;
        yield_now().await;
        7
    });
    assert!(task.step().is_none());
    task.handle().cancel();
    assert_eq!(task.handle().uncancel(), 0);
    assert!(matches!(task.run(), Some(Ok(7))));
}

#[test]
fn the_current_task_is_known_inside_a_step_only() {
    assert!(current_task().is_none());
    let mut task = TestTask::new(async {
        let id = current_task().unwrap().id();
        let mut inner = TestTask::new(async { current_task().unwrap().id() });
        let Some(Ok(inner_id)) = inner.run() else { panic!("the inner task returns") };
        assert_ne!(id, inner_id);
        assert_eq!(current_task().unwrap().id(), id, "the outer one is current again");
        id
    });
    let id = task.handle().id();
    assert!(matches!(task.run(), Some(Ok(found)) if found == id));
    assert!(current_task().is_none());
}

#[test]
fn a_task_has_a_number_a_site_and_a_name() {
    let (a, b) = (TestTask::new(async {}), TestTask::new(async {}));
    assert!(a.handle().id() < b.handle().id());
    assert_eq!(a.handle().name(), format!("Task-{}", a.handle().id()));
    a.handle().set_name("writer");
    assert_eq!(a.handle().name(), "writer");
    assert_eq!(TaskInfo::new().site().file(), file!());
}

#[test]
fn a_panic_in_the_body_is_the_tasks_end() {
    let mut task = TestTask::new(async {
        yield_now().await;
        panic!("in the body");
    });
    let Some(Err(TaskEnd::Panicked(payload))) = task.run() else { panic!("it panicked") };
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"in the body"));
}

#[test]
fn a_task_is_lean() {
    assert!(size_of::<TaskInfo>() <= 40);
    let body = size_of_val(&pending::<u64>()).max(8);
    assert!(size_of::<TaskScope<std::future::Pending<u64>>>() <= body + 48);
}
