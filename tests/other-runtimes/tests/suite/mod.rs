//! All tests of the queue crate, as they are; `crate::driver` drives them.

#[path = "../../../../crates/queue/tests/allocations.rs"]
mod allocations;

#[path = "../../../../crates/queue/tests/barrier.rs"]
mod barrier;

#[path = "../../../../crates/queue/tests/bounded_semaphore.rs"]
mod bounded_semaphore;

#[path = "../../../../crates/queue/tests/capacity_limiter.rs"]
mod capacity_limiter;

#[path = "../../../../crates/queue/tests/condition.rs"]
mod condition;

#[path = "../../../../crates/queue/tests/event.rs"]
mod event;

#[path = "../../../../crates/queue/tests/kinds.rs"]
mod kinds;

#[path = "../../../../crates/queue/tests/lock.rs"]
mod lock;

#[path = "../../../../crates/queue/tests/lock_models.rs"]
mod lock_models;

#[path = "../../../../crates/queue/tests/notice_models.rs"]
mod notice_models;

#[path = "../../../../crates/queue/tests/queue.rs"]
mod queue;

#[path = "../../../../crates/queue/tests/queue_models.rs"]
mod queue_models;

#[path = "../../../../crates/queue/tests/rwlock.rs"]
mod rwlock;

#[path = "../../../../crates/queue/tests/schedules.rs"]
mod schedules;

#[path = "../../../../crates/queue/tests/semaphore.rs"]
mod semaphore;

#[path = "../../../../crates/queue/tests/threads.rs"]
mod threads;

#[path = "../../../../crates/queue/tests/watch.rs"]
mod watch;
