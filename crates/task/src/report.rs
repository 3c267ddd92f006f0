//! Where panics go that nobody awaits: the loop's exception handler.

use std::any::Any;
use std::error::Error;
use std::panic::Location;

use asyncio_loop::{ExceptionContext, report_exception};

use crate::join_error::{Identity, JoinError, message};

/// A task panicked, or a destructor of what it left did, and nobody holds its handle.
pub(crate) fn panic(task: Identity, payload: Box<dyn Any + Send>) {
    let context = ExceptionContext::new("task panicked and nobody awaits it").with_panic(payload);
    report_exception(context.with_task(task.name().to_owned()).with_site(task.site));
}

/// A task of `create_try_task` failed, and nobody holds its handle.
pub(crate) fn error(task: Identity, error: Box<dyn Error>) {
    let context = ExceptionContext::new("task failed and nobody awaits it").with_error(error);
    report_exception(context.with_task(task.name().to_owned()).with_site(task.site));
}

/// A handle is dropped that knows how its task ended, and has never told anybody.
pub(crate) fn unseen(error: JoinError) {
    if let Some((task, payload)) = error.split_panic() {
        let context =
            ExceptionContext::new("task panicked and was never awaited").with_panic(payload);
        report_exception(context.with_task(task.name().to_owned()).with_site(task.site));
    }
}

/// The closure of a `run_coroutine_threadsafe` panicked instead of making a coroutine; the panic goes to who waits for it.
pub(crate) fn not_started(payload: &(dyn Any + Send), site: &'static Location<'static>) {
    let text = message(payload);
    let context = format!("run_coroutine_threadsafe could not start its coroutine: {text}");
    report_exception(ExceptionContext::new(context).with_site(site));
}

/// A child panicked, and its group has another panic to go on with.
pub(crate) fn lost_panic(payload: Box<dyn Any + Send>) {
    report_exception(ExceptionContext::new("further panic in a TaskGroup").with_panic(payload));
}

/// A child panicked, or a destructor of what it left did, and its group was dropped: nobody is left to go on with it.
pub(crate) fn unjoined_panic(payload: Box<dyn Any + Send>) {
    let context = ExceptionContext::new("panic in a task group that was dropped");
    report_exception(context.with_panic(payload));
}

/// A child panicked in a group that goes on.
pub(crate) fn child_panic(task: Identity, payload: Box<dyn Any + Send>) {
    let context = ExceptionContext::new("panic in a child of an OwnedTaskGroup");
    report_exception(
        context.with_panic(payload).with_task(task.name().to_owned()).with_site(task.site),
    );
}

/// A child failed, and its group was dropped before anybody joined it.
pub(crate) fn unjoined(site: &'static Location<'static>, error: String) {
    let context = ExceptionContext::new("unhandled error in an OwnedTaskGroup that was dropped");
    report_exception(context.with_error(error).with_site(site));
}

/// The handler of a group's errors panicked.
pub(crate) fn handler(task: Identity, payload: Box<dyn Any + Send>) {
    let context = ExceptionContext::new("panic in the error handler of an OwnedTaskGroup");
    report_exception(
        context.with_panic(payload).with_task(task.name().to_owned()).with_site(task.site),
    );
}

/// The waker of whoever awaits a child panicked.
pub(crate) fn waker(task: Identity, payload: Box<dyn Any + Send>) {
    let context = ExceptionContext::new("panic in the waker of who awaits a task");
    report_exception(
        context.with_panic(payload).with_task(task.name().to_owned()).with_site(task.site),
    );
}
