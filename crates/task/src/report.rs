//! Where panics go that nobody awaits: the loop's exception handler.

use std::any::Any;
use std::panic::Location;

use asyncio_coro::hooks;
use asyncio_loop::{ExceptionContext, get_running_loop};

use crate::join_error::{Identity, JoinError, message};

/// A task panicked, or a destructor of what it left did, and nobody holds its handle.
pub(crate) fn panic(task: Identity, payload: Box<dyn Any + Send>) {
    let context = ExceptionContext::new("task panicked and nobody awaits it").with_panic(payload);
    send(context.with_task(task.name().to_owned()).with_site(task.site));
}

/// A handle is dropped that knows how its task ended, and has never told anybody.
pub(crate) fn unseen(error: JoinError) {
    if let Some((task, payload)) = error.split_panic() {
        let context =
            ExceptionContext::new("task panicked and was never awaited").with_panic(payload);
        send(context.with_task(task.name().to_owned()).with_site(task.site));
    }
}

/// The closure of a `run_coroutine_threadsafe` panicked instead of making a coroutine; the panic goes to who waits for it.
pub(crate) fn not_started(payload: &(dyn Any + Send), site: &'static Location<'static>) {
    let text = message(payload);
    let context = format!("run_coroutine_threadsafe could not start its coroutine: {text}");
    send(ExceptionContext::new(context).with_site(site));
}

/// A child panicked, and its group has another panic to go on with, or was dropped.
pub(crate) fn lost_panic(payload: Box<dyn Any + Send>) {
    send(ExceptionContext::new("further panic in a TaskGroup").with_panic(payload));
}

/// A child panicked in a group that goes on.
pub(crate) fn child_panic(task: Identity, payload: Box<dyn Any + Send>) {
    let context = ExceptionContext::new("panic in a child of an OwnedTaskGroup");
    send(context.with_panic(payload).with_task(task.name().to_owned()).with_site(task.site));
}

/// A child failed, and its group was dropped before anybody joined it.
pub(crate) fn unjoined(site: &'static Location<'static>, error: String) {
    let context = ExceptionContext::new("unhandled error in an OwnedTaskGroup that was dropped");
    send(context.with_error(error).with_site(site));
}

/// The handler of a group's errors panicked.
pub(crate) fn handler(task: Identity, payload: Box<dyn Any + Send>) {
    let context = ExceptionContext::new("panic in the error handler of an OwnedTaskGroup");
    send(context.with_panic(payload).with_task(task.name().to_owned()).with_site(task.site));
}

/// The waker of whoever awaits a child panicked.
pub(crate) fn waker(task: Identity, payload: Box<dyn Any + Send>) {
    let context = ExceptionContext::new("panic in the waker of who awaits a task");
    send(context.with_panic(payload).with_task(task.name().to_owned()).with_site(task.site));
}

fn send(context: ExceptionContext) {
    match get_running_loop() {
        Ok(event_loop) => event_loop.call_exception_handler(context),
        // The loop is being closed, or this is another runtime's thread.
        Err(_) => hooks::log_error(format_args!("{context}")),
    }
}
