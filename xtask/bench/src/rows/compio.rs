//! compio's rows, on io_uring. It has no locks, channels or groups of its own.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use ::compio::runtime::{JoinHandle, Runtime as Compio, spawn, spawn_blocking};
use ::compio::time::{sleep, timeout};

use super::kit::{Cancel, Runtime, Threads, Timers};
use super::{Row, tasks, threads, timers};

pub struct OnUring;

pub fn rows() -> Vec<Row> {
    vec![
        Row("spawn_join", 1_000_000, tasks::spawn_join::<OnUring>),
        Row("yield_2", 2_000_000, tasks::yield_2::<OnUring>),
        Row("yield_1000", 2_000_000, tasks::yield_1000::<OnUring>),
        Row("wake", 2_000_000, tasks::wake::<OnUring>),
        Row("parked_bytes", 100_000, tasks::parked_bytes::<OnUring>),
        Row("cancel", 100_000, tasks::cancel::<OnUring>),
        Row("timer_insert_drop", 1_000_000, timers::timer_insert_drop::<OnUring>),
        Row("timer_insert_drop_1m", 300_000, timers::timer_insert_drop_1m::<OnUring>),
        Row("timer_fire", 100_000, timers::timer_fire::<OnUring>),
        Row("lateness", 10_000, timers::lateness::<OnUring>),
        Row("timeout_ready", 1_000_000, timers::timeout_ready::<OnUring>),
        Row("thread_wake", 20_000, threads::thread_wake::<OnUring>),
        Row("to_thread", 20_000, threads::to_thread::<OnUring>),
    ]
}

impl Runtime for OnUring {
    type Task = JoinHandle<()>;

    fn run<T>(main: impl Future<Output = T>) -> T {
        Compio::new().expect("starts").block_on(main)
    }

    fn spawn(body: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
        spawn(body)
    }
}

impl Cancel for OnUring {
    async fn cancel_all(tasks: Vec<JoinHandle<()>>) {
        for task in tasks {
            assert!(task.cancel().await.is_none());
        }
    }
}

impl Timers for OnUring {
    type Sleep = Pin<Box<dyn Future<Output = ()>>>;

    /// Its `sleep` is an `async fn`, whose type has no name; the box counts against it where it need not.
    fn sleep(delay: Duration) -> Self::Sleep {
        Box::pin(sleep(delay))
    }

    async fn timeout(delay: Duration, body: impl Future<Output = u64>) -> u64 {
        timeout(delay, body).await.expect("in time")
    }
}

impl Threads for OnUring {
    async fn to_thread(f: impl FnOnce() -> u64 + Send + 'static) -> u64 {
        spawn_blocking(f).await.expect("it returns")
    }
}
