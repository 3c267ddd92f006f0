#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod future;

mod awaiting;
mod debug_text;
mod exception;
mod subscribers;

pub mod concurrent;

mod error;
#[cfg(doctest)]
mod refused;
mod report;
mod wrap;

pub use awaiting::{Awaiting, WaitDone};
pub use error::{InvalidStateError, ResultError};
pub use future::Future;
pub use subscribers::CallbackId;
pub use wrap::wrap_future;
