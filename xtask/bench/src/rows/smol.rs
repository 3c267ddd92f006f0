//! smol's rows: its `LocalExecutor`, and the crates it is made of.

use std::future::{Future, ready};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use ::smol::lock::{Mutex, Semaphore};
use ::smol::{LocalExecutor, Task, Timer};

use super::kit::{Cancel, Channel, Lock, Oneshot, Runtime, Threads, Timers};
use super::{Found, Row, channels, locks, tasks, threads, timers};

pub struct Smol;

pub fn rows() -> Vec<Row> {
    vec![
        Row("spawn_join", 500_000, tasks::spawn_join::<Smol>),
        Row("yield_2", 1_000_000, tasks::yield_2::<Smol>),
        Row("yield_1000", 1_000_000, tasks::yield_1000::<Smol>),
        Row("wake", 1_000_000, tasks::wake::<Smol>),
        Row("parked_bytes", 100_000, tasks::parked_bytes::<Smol>),
        Row("cancel", 100_000, tasks::cancel::<Smol>),
        Row("timer_insert_drop", 500_000, timers::timer_insert_drop::<Smol>),
        Row("timer_insert_drop_1m", 300_000, timers::timer_insert_drop_1m::<Smol>),
        Row("timer_fire", 100_000, timers::timer_fire::<Smol>),
        Row("lateness", 10_000, timers::lateness::<Smol>),
        Row("timeout_ready", 1_000_000, timers::timeout_ready::<Smol>),
        Row("queue_1", 200_000, channels::queue_1::<Smol, AsyncChannel>),
        Row("queue_128", 1_000_000, channels::queue_128::<Smol, AsyncChannel>),
        Row("queue_unbounded", 1_000_000, channels::queue_unbounded::<Smol, AsyncChannel>),
        Row("future_ping_pong", 500_000, channels::future_ping_pong::<Smol, ChannelOfOne>),
        Row("lock_free", 2_000_000, locks::free::<Smol, Mutex<()>>),
        Row("lock_100", 200_000, locks::wanted::<Smol, Mutex<()>>),
        Row("semaphore_free", 2_000_000, locks::free::<Smol, Semaphore>),
        Row("semaphore_100", 200_000, locks::wanted::<Smol, Semaphore>),
        Row("thread_wake", 20_000, threads::thread_wake::<Smol>),
        Row("to_thread", 20_000, threads::to_thread::<Smol>),
        Row("gather_1000", 200_000, gather_1000),
        Row("group_1000", 200_000, group_1000),
    ]
}

thread_local! {
    static EXECUTOR: &'static LocalExecutor<'static> = Box::leak(Box::new(LocalExecutor::new()));
}

/// The thread's executor, which is never taken down.
pub fn executor() -> &'static LocalExecutor<'static> {
    EXECUTOR.with(|executor| *executor)
}

impl Runtime for Smol {
    type Task = Task<()>;

    fn run<T>(main: impl Future<Output = T>) -> T {
        ::smol::block_on(executor().run(main))
    }

    fn spawn(body: impl Future<Output = ()> + 'static) -> Task<()> {
        executor().spawn(body)
    }
}

impl Timers for Smol {
    type Sleep = Timer;

    fn sleep(delay: Duration) -> Timer {
        Timer::after(delay)
    }

    async fn timeout(delay: Duration, body: impl Future<Output = u64>) -> u64 {
        ::smol::future::or(body, async {
            Timer::after(delay).await;
            panic!("in time")
        })
        .await
    }
}

impl Cancel for Smol {
    async fn cancel_all(tasks: Vec<Task<()>>) {
        for task in tasks {
            assert!(task.cancel().await.is_none());
        }
    }
}

impl Threads for Smol {
    async fn to_thread(f: impl FnOnce() -> u64 + Send + 'static) -> u64 {
        ::smol::unblock(f).await
    }
}

pub struct AsyncChannel;

impl Channel for AsyncChannel {
    type Sender = async_channel::Sender<u64>;
    type Receiver = async_channel::Receiver<u64>;

    fn new(capacity: usize) -> (Self::Sender, Self::Receiver) {
        if capacity == 0 { async_channel::unbounded() } else { async_channel::bounded(capacity) }
    }

    async fn send(sender: &Self::Sender, item: u64) {
        sender.send(item).await.expect("open");
    }

    async fn receive(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv().await.expect("open")
    }
}

/// It has no oneshot; a channel of one is what its users take.
pub struct ChannelOfOne;

impl Oneshot for ChannelOfOne {
    type Sender = async_channel::Sender<u64>;
    type Receiver = async_channel::Receiver<u64>;

    fn new() -> (Self::Sender, Self::Receiver) {
        async_channel::bounded(1)
    }

    fn send(sender: Self::Sender, value: u64) {
        sender.try_send(value).expect("empty and awaited");
    }

    async fn receive(receiver: Self::Receiver) -> u64 {
        receiver.recv().await.expect("sent")
    }
}

impl Lock for Mutex<()> {
    fn new() -> Self {
        Mutex::new(())
    }

    async fn hold(&self, during: impl AsyncFnOnce()) {
        let _guard = self.lock().await;
        during().await;
    }
}

impl Lock for Semaphore {
    fn new() -> Self {
        Semaphore::new(1)
    }

    async fn hold(&self, during: impl AsyncFnOnce()) {
        let _permit = self.acquire().await;
        during().await;
    }
}

/// `join_all` of spawned tasks, as tokio's row.
fn gather_1000(n: u64) -> Found {
    Smol::run(async {
        let start = Instant::now();
        for _ in 0..n / 1_000 {
            let tasks = (0..1_000_u64).map(|n| executor().spawn(ready(n)));
            let all = futures::future::join_all(tasks).await;
            assert_eq!(all.iter().sum::<u64>(), 499_500);
        }
        Found::since(start, n)
    })
}

/// It has no groups: a set of spawned tasks is what comes nearest.
fn group_1000(n: u64) -> Found {
    Smol::run(async {
        let borrowed = 1;
        let start = Instant::now();
        for _ in 0..n / 1_000 {
            let spawn = |n| executor().spawn(async move { n + borrowed });
            let mut set: FuturesUnordered<_> = (0..1_000_u64).map(spawn).collect();
            let mut sum = 0;
            while let Some(done) = set.next().await {
                sum += done;
            }
            assert_eq!(sum, 500_500);
        }
        Found::since(start, n)
    })
}
