#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

// The tiers, bottom up. (The empty lines keep rustfmt from sorting them.)
#[doc(inline)]
pub use asyncio_coro as coro;

#[doc(inline)]
pub use asyncio_loop as event_loop;

#[doc(inline)]
pub use asyncio_future as future;

#[doc(inline)]
pub use asyncio_task as task;

#[doc(inline)]
pub use asyncio_executor as executor;

#[doc(inline)]
pub use asyncio_queue as queue;

#[doc(inline)]
pub use asyncio_transport as transport;

#[doc(inline)]
pub use asyncio_protocol as protocol;

#[doc(inline)]
pub use asyncio_stream as stream;

// The paved path, bottom up: what a service is written with. The rest is in the modules.
#[doc(no_inline)]
pub use asyncio_coro::{
    AsyncExitStack, CancelScope, CancelledError, async_with, catch_cancel, masked, try_finally,
    with, yield_now,
};

#[doc(no_inline)]
pub use asyncio_loop::{Exit, RunError, Runner, get_running_loop, run};

#[doc(no_inline)]
pub use asyncio_task::{
    ExceptionGroup, JoinError, ReturnWhen, Task, TaskGroup, Timeout, TimeoutError, all_tasks,
    as_completed, create_task, create_try_task, current_task, eager_task_factory, gather,
    gather_results, interval, run_coroutine_threadsafe, shield, sleep, sleep_until, timeout,
    timeout_at, try_gather, wait, wait_for,
};

#[doc(no_inline)]
pub use asyncio_executor::{run_in_executor, to_thread};

#[doc(no_inline)]
pub use asyncio_queue::{
    Barrier, BoundedSemaphore, Condition, Event, LifoQueue, Lock, PriorityQueue, Queue, Semaphore,
};

#[doc(no_inline)]
pub use asyncio_stream::{
    StreamReader, StreamWriter, create_subprocess_exec, open_connection, start_server,
};

/// Traits whose methods belong to the paved path, and nothing else: `use asyncio::prelude::*;`.
pub mod prelude {
    #[doc(no_inline)]
    pub use asyncio_coro::{AsyncClose as _, Stream as _, StreamExt as _};

    #[doc(no_inline)]
    pub use asyncio_task::{TaskLoopExt as _, TaskLoopHandleExt as _};
}
