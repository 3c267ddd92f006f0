//! Forms for several threads: `Send + Sync`, with blocking calls beside the async ones.
//!
//! The loop-local forms pay nothing for these: they share the errors with them and no code.
//!
//! ```
//! use std::{sync::Arc, thread};
//! use asyncio_queue::sync;
//! use futures_lite::future::block_on;
//!
//! let results = Arc::new(sync::Queue::new(2));
//! let worker = {
//!     let results = results.clone();
//!     thread::spawn(move || {
//!         for number in 1..=4 {
//!             results.put_blocking(number).unwrap();
//!         }
//!         results.shutdown(false);
//!     })
//! };
//! let sum = block_on(async {
//!     let mut sum = 0;
//!     while let Ok(number) = results.get().await {
//!         sum += number;
//!     }
//!     sum
//! });
//! worker.join().unwrap();
//! assert_eq!(sum, 10);
//! ```

mod line;
mod queue;

#[cfg(asyncio_loom)]
mod model;

pub use queue::{Queue, QueueStatistics};

/// What the forms here are made of. With `--cfg asyncio_loom` these are models, whose every interleaving the
/// tests in `tests/loom.rs` try: our own atomics are loom's, the queue and the event are stand-ins that
/// promise no more than the real ones.
#[cfg(not(asyncio_loom))]
mod parts {
    pub(super) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

    pub(super) use concurrent_queue::{ConcurrentQueue, PopError, PushError};
    pub(super) use event_listener::{Event, Listener};
}

#[cfg(asyncio_loom)]
mod parts {
    pub(super) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

    pub(super) use super::model::{ConcurrentQueue, Event, Listener, PopError, PushError};
}
