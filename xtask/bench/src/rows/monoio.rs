//! monoio's rows, on io_uring and on epoll. It has no way to cancel a task, and no locks, channels or groups of its own;
//! as it is by default, its wakers must stay on their thread.

use std::future::Future;
use std::time::Duration;

use ::monoio::task::JoinHandle;
use ::monoio::time::{Sleep, TimeDriver, sleep, timeout};
use ::monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

use super::kit::{Runtime, Timers};
use super::{Row, tasks, timers};

pub struct OnUring;
pub struct OnEpoll;

fn rows_of<R: Timers>() -> Vec<Row> {
    vec![
        Row("spawn_join", 2_000_000, tasks::spawn_join::<R>),
        Row("yield_2", 2_000_000, tasks::yield_2::<R>),
        Row("yield_1000", 2_000_000, tasks::yield_1000::<R>),
        Row("wake", 2_000_000, tasks::wake::<R>),
        Row("parked_bytes", 100_000, tasks::parked_bytes::<R>),
        Row("timer_insert_drop", 1_000_000, timers::timer_insert_drop::<R>),
        Row("timer_insert_drop_1m", 1_000_000, timers::timer_insert_drop_1m::<R>),
        Row("timer_fire", 100_000, timers::timer_fire::<R>),
        Row("lateness", 10_000, timers::lateness::<R>),
        Row("timeout_ready", 1_000_000, timers::timeout_ready::<R>),
    ]
}

pub fn rows() -> Vec<Row> {
    rows_of::<OnUring>()
}

pub fn rows_on_epoll() -> Vec<Row> {
    rows_of::<OnEpoll>()
}

macro_rules! runtime {
    ($name:ident, $driver:ty) => {
        impl Runtime for $name {
            type Task = JoinHandle<()>;

            fn run<T>(main: impl Future<Output = T>) -> T {
                let builder = RuntimeBuilder::<TimeDriver<$driver>>::new();
                builder.build().expect("starts").block_on(main)
            }

            fn spawn(body: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
                ::monoio::spawn(body)
            }
        }

        impl Timers for $name {
            type Sleep = Sleep;

            fn sleep(delay: Duration) -> Sleep {
                sleep(delay)
            }

            async fn timeout(delay: Duration, body: impl Future<Output = u64>) -> u64 {
                timeout(delay, body).await.expect("in time")
            }
        }
    };
}

runtime!(OnUring, IoUringDriver);
runtime!(OnEpoll, LegacyDriver);
