#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod builder;
mod create;
mod task;
mod task_loop;

mod done_callbacks;
mod join_error;
mod output;
mod registry;
mod report;
mod spawn;

mod members;
mod ready;

mod as_completed;
mod gather;
mod interval;
mod shield;
mod sleep;
mod staggered_race;
mod timeout;
mod wait;

mod group;

mod run_coroutine_threadsafe;

#[cfg(doctest)]
mod refused;

pub use asyncio_coro::task::{TaskId, TaskRef, current_task};

pub use self::as_completed::{AsCompleted, Limited, NextCompleted, Unlimited, as_completed};
pub use self::builder::Builder;
pub use self::create::{create_task, create_try_task};
pub use self::done_callbacks::{CallbackId, DoneTask};
pub use self::gather::{
    Gather, GatherError, GatherResults, Gatherable, gather, gather_results, try_gather,
};
pub use self::group::{ExceptionGroup, OwnedTaskGroup, StartError, TaskGroup, TaskStatus};
pub use self::interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use self::join_error::JoinError;
pub use self::registry::{Registered, all_tasks, register_task};
pub use self::run_coroutine_threadsafe::{TaskLoopHandleExt, run_coroutine_threadsafe};
pub use self::shield::shield;
pub use self::sleep::{Sleep, sleep, sleep_until};
pub use self::staggered_race::{RaceLost, RaceWon, staggered_race};
pub use self::task::Task;
pub use self::task_loop::{TaskFactory, TaskLoopExt, eager_task_factory};
pub use self::timeout::{
    RescheduleError, Timed, Timeout, TimeoutError, timeout, timeout_at, wait_for,
};
pub use self::wait::{ReturnWhen, wait};
