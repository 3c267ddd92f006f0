#![doc = include_str!("../README.md")]

mod cancelled;
pub mod context;
mod generator;
pub mod hooks;
mod isolate;
mod node;
mod panics;
#[cfg(doctest)]
mod refused;
mod request;
pub mod scope;
pub mod task;
pub mod wait_list;
mod yield_now;

pub use cancelled::CancelledError;
pub use context::{Context, ContextVar, copy_context};
pub use futures_lite::{Stream, StreamExt};
pub use generator::{
    AsyncClose, AsyncGenerator, Next, TryYielder, Yielder, aclosing, generator, scoped_generator,
    try_generator,
};
pub use isolate::isolate;
pub use scope::{
    AsyncContextManager, AsyncExitStack, CancelScope, CatchCancel, Deadline, DeadlineElapsed,
    DeadlineScope, ExitReason, async_with, catch_cancel, deadline_scope, masked, try_finally, with,
};
pub use task::current_task;
pub use yield_now::yield_now;
