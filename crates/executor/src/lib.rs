#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod run_in_executor;

mod default_executor;
mod job;
mod thread_pool;

mod getaddrinfo;

mod process;
mod spawn_process;
mod watch;

mod error;

pub use default_executor::set_default_executor;
pub use error::{StillRunning, SubmitError, SubmitErrorReason};
pub use getaddrinfo::getaddrinfo;
pub use run_in_executor::{RunInExecutor, ToThread, run_in_executor, to_thread};
pub use spawn_process::{Child, spawn_process};
pub use thread_pool::{ThreadPoolExecutor, ThreadPoolStatistics};
