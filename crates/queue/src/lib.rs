#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod event;
mod lock;
mod queue;
mod semaphore;

mod error;
mod turn;

pub use error::{GetError, PutError, QueueShutDown, TaskDoneError, WouldBlock};
pub use event::{Event, EventStatistics};
pub use lock::{Lock, LockGuard, LockStatistics};
pub use queue::{Queue, QueueStatistics};
pub use semaphore::{Semaphore, SemaphorePermit, SemaphoreStatistics};
