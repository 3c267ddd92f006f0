#![doc = include_str!("../README.md")]

mod cancelled;
pub mod hooks;
mod isolate;
#[allow(dead_code, reason = "the scopes that use the rest come next")]
mod node;
mod panics;
#[allow(dead_code, reason = "the scopes that use the rest come next")]
mod request;
pub mod task;
pub mod wait_list;
mod yield_now;

pub use cancelled::CancelledError;
pub use futures_lite::{Stream, StreamExt};
pub use isolate::isolate;
pub use task::current_task;
pub use yield_now::yield_now;
