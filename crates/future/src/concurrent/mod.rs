//! Futures between threads: asyncio's `concurrent.futures.Future`, as a promise and its future.
//!
//! A [`Promise`] is the side that computes, a [`Future`] the side that waits: by `.await` on any
//! runtime, or by blocking in [`Future::result`]. Python has one object for both; two types make
//! "set twice" and "result taken twice" impossible to write.
//!
//! ```text
//!            set_running_or_notify_cancel         set_result, set_panic
//!   Pending ───────────────1────────────► Running ─────────3─────────► Finished │ Panicked
//!      │  └───────────────────────────2──────────────────────────────────▲
//!      │ Future::cancel, or the promise was dropped                       │ result, .await
//!      └───────────4────────────► Cancelled ◄──5── Running (promise dropped)   └──6──► Taken
//! ```
//! Edges 1 to 6 are taken under the one mutex of the pair; values, wakers and callbacks are
//! called and dropped outside it.

mod error;
mod future;
mod promise;
mod shared;

pub use self::error::ResultError;
pub use self::future::Future;
pub use self::promise::Promise;
pub use self::shared::Completion;

use std::sync::Arc;

use self::shared::Shared;

/// Makes a promise and the future of its result.
///
/// # Examples
///
/// ```
/// use asyncio_future::concurrent;
///
/// let (promise, future) = concurrent::promise();
/// let worker = std::thread::spawn(move || promise.set_result(6 * 7));
/// assert_eq!(future.result(None).unwrap(), 42);
/// worker.join().unwrap().unwrap();
/// ```
pub fn promise<T>() -> (Promise<T>, Future<T>) {
    let shared = Arc::new(Shared::new());
    (Promise::new(Arc::clone(&shared)), Future::new(shared))
}
