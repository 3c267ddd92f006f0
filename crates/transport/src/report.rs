//! What goes to the loop's exception handler.

use std::any::Any;
use std::io;

use asyncio_loop::ExceptionContext;

use crate::selector_transport::SelectorTransport;

pub(crate) fn report_panic(
    transport: &SelectorTransport,
    method: &'static str,
    payload: Box<dyn Any + Send>,
) {
    let message = format!("fatal error: protocol.{method}() panicked on {transport:?}");
    let context = ExceptionContext::new(message).with_panic(payload);
    transport.event_loop.call_exception_handler(context);
}

pub(crate) fn report_error(transport: &SelectorTransport, error: &io::Error) {
    let context = ExceptionContext::new(format!("fatal error: {error} on {transport:?}"));
    transport.event_loop.call_exception_handler(context);
}
