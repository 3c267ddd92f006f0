//! tokio's rows: the current_thread scheduler as a `LocalRuntime`, which needs no `LocalSet`.

use std::future::{Future, ready};
use std::time::{Duration, Instant};

use ::tokio::runtime::{Builder, LocalOptions};
use ::tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use ::tokio::task::{JoinHandle, JoinSet, spawn_blocking, spawn_local};
use ::tokio::time::{Sleep, sleep, timeout};

use super::kit::{Cancel, Channel, Lock, Oneshot, Runtime, Threads, Timers};
use super::{Found, Row, channels, locks, tasks, threads, timers};

pub struct Tokio;

pub fn rows() -> Vec<Row> {
    vec![
        Row("spawn_join", 1_000_000, tasks::spawn_join::<Tokio>),
        Row("yield_2", 2_000_000, tasks::yield_2::<Tokio>),
        Row("yield_1000", 2_000_000, tasks::yield_1000::<Tokio>),
        Row("wake", 2_000_000, tasks::wake::<Tokio>),
        Row("parked_bytes", 100_000, tasks::parked_bytes::<Tokio>),
        Row("cancel", 100_000, tasks::cancel::<Tokio>),
        Row("timer_insert_drop", 1_000_000, timers::timer_insert_drop::<Tokio>),
        Row("timer_insert_drop_1m", 1_000_000, timers::timer_insert_drop_1m::<Tokio>),
        Row("timer_fire", 100_000, timers::timer_fire::<Tokio>),
        Row("lateness", 10_000, timers::lateness::<Tokio>),
        Row("timeout_ready", 1_000_000, timers::timeout_ready::<Tokio>),
        Row("queue_1", 500_000, channels::queue_1::<Tokio, Bounded>),
        Row("queue_128", 1_000_000, channels::queue_128::<Tokio, Bounded>),
        Row("queue_unbounded", 1_000_000, channels::queue_unbounded::<Tokio, Unbounded>),
        Row("future_ping_pong", 1_000_000, channels::future_ping_pong::<Tokio, Once>),
        Row("lock_free", 2_000_000, locks::free::<Tokio, Mutex<()>>),
        Row("lock_100", 500_000, locks::wanted::<Tokio, Mutex<()>>),
        Row("semaphore_free", 2_000_000, locks::free::<Tokio, Semaphore>),
        Row("semaphore_100", 500_000, locks::wanted::<Tokio, Semaphore>),
        Row("thread_wake", 20_000, threads::thread_wake::<Tokio>),
        Row("to_thread", 20_000, threads::to_thread::<Tokio>),
        Row("gather_1000", 500_000, gather_1000),
        Row("group_1000", 500_000, group_1000),
    ]
}

impl Runtime for Tokio {
    type Task = JoinHandle<()>;

    fn run<T>(main: impl Future<Output = T>) -> T {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_all().build_local(LocalOptions::default()).expect("starts");
        runtime.block_on(main)
    }

    fn spawn(body: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
        spawn_local(body)
    }

    async fn yield_now() {
        ::tokio::task::yield_now().await;
    }
}

impl Timers for Tokio {
    type Sleep = Sleep;

    fn sleep(delay: Duration) -> Sleep {
        sleep(delay)
    }

    async fn timeout(delay: Duration, body: impl Future<Output = u64>) -> u64 {
        timeout(delay, body).await.expect("in time")
    }
}

impl Cancel for Tokio {
    async fn cancel_all(tasks: Vec<JoinHandle<()>>) {
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            assert!(task.await.is_err_and(|error| error.is_cancelled()));
        }
    }
}

impl Threads for Tokio {
    async fn to_thread(f: impl FnOnce() -> u64 + Send + 'static) -> u64 {
        spawn_blocking(f).await.expect("it returns")
    }
}

pub struct Bounded;

impl Channel for Bounded {
    type Sender = mpsc::Sender<u64>;
    type Receiver = mpsc::Receiver<u64>;

    fn new(capacity: usize) -> (Self::Sender, Self::Receiver) {
        mpsc::channel(capacity)
    }

    async fn send(sender: &Self::Sender, item: u64) {
        sender.send(item).await.expect("open");
    }

    async fn receive(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv().await.expect("open")
    }
}

pub struct Unbounded;

impl Channel for Unbounded {
    type Sender = mpsc::UnboundedSender<u64>;
    type Receiver = mpsc::UnboundedReceiver<u64>;

    fn new(_: usize) -> (Self::Sender, Self::Receiver) {
        mpsc::unbounded_channel()
    }

    async fn send(sender: &Self::Sender, item: u64) {
        sender.send(item).expect("open");
    }

    async fn receive(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv().await.expect("open")
    }
}

pub struct Once;

impl Oneshot for Once {
    type Sender = oneshot::Sender<u64>;
    type Receiver = oneshot::Receiver<u64>;

    fn new() -> (Self::Sender, Self::Receiver) {
        oneshot::channel()
    }

    fn send(sender: Self::Sender, value: u64) {
        sender.send(value).expect("awaited");
    }

    async fn receive(receiver: Self::Receiver) -> u64 {
        receiver.await.expect("sent")
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
        let _permit = self.acquire().await.expect("open");
        during().await;
    }
}

/// `join_all` of spawned tasks: gather's children are tasks.
fn gather_1000(n: u64) -> Found {
    Tokio::run(async {
        let start = Instant::now();
        for _ in 0..n / 1_000 {
            let tasks = (0..1_000_u64).map(|n| spawn_local(ready(n)));
            let all = futures::future::join_all(tasks).await;
            let sum: u64 = all.into_iter().map(|done| done.expect("all return")).sum();
            assert_eq!(sum, 499_500);
        }
        Found::since(start, n)
    })
}

fn group_1000(n: u64) -> Found {
    Tokio::run(async {
        let borrowed = 1;
        let start = Instant::now();
        for _ in 0..n / 1_000 {
            let mut set = JoinSet::new();
            for n in 0..1_000_u64 {
                set.spawn_local(async move { n + borrowed });
            }
            let mut sum = 0;
            while let Some(done) = set.join_next().await {
                sum += done.expect("all return");
            }
            assert_eq!(sum, 500_500);
        }
        Found::since(start, n)
    })
}
