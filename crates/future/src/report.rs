//! Where that goes which nobody retrieves: the loop's exception handler.

use asyncio_coro::hooks;
use asyncio_loop::{ExceptionContext, get_running_loop};

/// Hands it to the loop that runs on this thread; without one it is logged.
pub(crate) fn send(context: ExceptionContext) {
    match get_running_loop() {
        Ok(event_loop) => event_loop.call_exception_handler(context),
        Err(_) => hooks::log_error(format_args!("{context}")),
    }
}
