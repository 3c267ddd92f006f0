#![doc = include_str!("../README.md")]

mod barrier;
mod bounded_semaphore;
mod broadcast;
mod capacity_limiter;
mod condition;
mod event;
mod lifo;
mod lock;
mod priority;
mod queue;
mod rwlock;
mod semaphore;
mod storage;
pub mod sync;
mod watch;

mod error;
mod items;
mod room;
mod turn;

pub use barrier::{Barrier, BarrierState, BarrierStatistics};
pub use bounded_semaphore::{BoundedSemaphore, BoundedSemaphorePermit, BoundedSemaphoreStatistics};
pub use broadcast::{Broadcast, BroadcastStatistics, Subscriber};
pub use capacity_limiter::{CapacityLimiter, CapacityLimiterStatistics, CapacityToken};
pub use condition::{Condition, ConditionStatistics};
pub use error::{
    BroadcastError, BrokenBarrierError, GetError, NoPartiesError, PutError, QueueShutDown,
    ReleaseError, TaskDoneError, WouldBlock,
};
pub use event::{Event, EventStatistics};
pub use items::Items;
pub use lifo::LifoQueue;
pub use lock::{Lock, LockGuard, LockStatistics};
pub use priority::{LowestFirst, LowestKeyFirst, PriorityQueue};
pub use queue::{Queue, QueueStatistics};
pub use room::Room;
pub use rwlock::{RwLock, RwLockReadGuard, RwLockStatistics, RwLockWriteGuard};
pub use semaphore::{Semaphore, SemaphorePermit, SemaphoreStatistics};
pub use storage::Storage;
pub use watch::{Version, Watch, WatchStatistics};
