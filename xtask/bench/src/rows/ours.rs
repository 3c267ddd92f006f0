//! Our rows.

use std::cell::Cell;
use std::future::{Future, ready};
use std::time::{Duration, Instant};

use asyncio::task::{Sleep, Task};

use super::kit::{Cancel, Channel, Lock, Oneshot, Runtime, Threads, Timers};
use super::{Found, Row, channels, locks, tasks, threads, timers};

pub struct Ours;

pub fn rows() -> Vec<Row> {
    vec![
        Row("spawn_join", 1_000_000, tasks::spawn_join::<Ours>),
        Row("yield_2", 2_000_000, tasks::yield_2::<Ours>),
        Row("yield_1000", 2_000_000, tasks::yield_1000::<Ours>),
        Row("wake", 2_000_000, tasks::wake::<Ours>),
        Row("parked_bytes", 100_000, tasks::parked_bytes::<Ours>),
        Row("cancel", 100_000, tasks::cancel::<Ours>),
        Row("timer_insert_drop", 1_000_000, timers::timer_insert_drop::<Ours>),
        Row("timer_insert_drop_1m", 1_000_000, timers::timer_insert_drop_1m::<Ours>),
        Row("timer_fire", 100_000, timers::timer_fire::<Ours>),
        Row("lateness", 10_000, timers::lateness::<Ours>),
        Row("timeout_ready", 3_000_000, timers::timeout_ready::<Ours>),
        Row("queue_1", 500_000, channels::queue_1::<Ours, Queue>),
        Row("queue_128", 2_000_000, channels::queue_128::<Ours, Queue>),
        Row("queue_unbounded", 2_000_000, channels::queue_unbounded::<Ours, Queue>),
        Row("future_ping_pong", 1_000_000, channels::future_ping_pong::<Ours, Future1>),
        Row("lock_free", 5_000_000, locks::free::<Ours, asyncio::Lock>),
        Row("lock_100", 500_000, locks::wanted::<Ours, asyncio::Lock>),
        Row("semaphore_free", 5_000_000, locks::free::<Ours, asyncio::Semaphore>),
        Row("semaphore_100", 500_000, locks::wanted::<Ours, asyncio::Semaphore>),
        Row("thread_wake", 20_000, threads::thread_wake::<Ours>),
        Row("to_thread", 20_000, threads::to_thread::<Ours>),
        Row("gather_1000", 1_000_000, gather_1000),
        Row("group_1000", 1_000_000, group_1000),
    ]
}

pub fn rows_of_async_channel() -> Vec<Row> {
    use super::smol::AsyncChannel;
    vec![
        Row("queue_1", 500_000, channels::queue_1::<Ours, AsyncChannel>),
        Row("queue_128", 2_000_000, channels::queue_128::<Ours, AsyncChannel>),
        Row("queue_unbounded", 2_000_000, channels::queue_unbounded::<Ours, AsyncChannel>),
    ]
}

pub fn rows_of_flume() -> Vec<Row> {
    vec![
        Row("queue_1", 500_000, channels::queue_1::<Ours, Flume>),
        Row("queue_128", 2_000_000, channels::queue_128::<Ours, Flume>),
        Row("queue_unbounded", 2_000_000, channels::queue_unbounded::<Ours, Flume>),
    ]
}

impl Runtime for Ours {
    type Task = Task<()>;

    fn run<T>(main: impl Future<Output = T>) -> T {
        asyncio::run(main).expect("nobody stops the loop")
    }

    fn spawn(body: impl Future<Output = ()> + 'static) -> Task<()> {
        asyncio::create_task(body)
    }

    async fn yield_now() {
        asyncio::yield_now().await;
    }
}

impl Timers for Ours {
    type Sleep = Sleep;

    fn sleep(delay: Duration) -> Sleep {
        asyncio::sleep(delay)
    }

    async fn timeout(delay: Duration, body: impl Future<Output = u64>) -> u64 {
        asyncio::timeout(delay, body).await.expect("in time")
    }
}

impl Cancel for Ours {
    async fn cancel_all(tasks: Vec<Task<()>>) {
        for task in &tasks {
            task.cancel();
        }
        for task in tasks {
            assert!(task.await.is_err_and(|error| error.is_cancelled()));
        }
    }
}

impl Threads for Ours {
    async fn to_thread(f: impl FnOnce() -> u64 + Send + 'static) -> u64 {
        asyncio::to_thread(f).await
    }
}

pub struct Queue;

impl Channel for Queue {
    type Sender = std::rc::Rc<asyncio::Queue<u64>>;
    type Receiver = Self::Sender;

    fn new(capacity: usize) -> (Self::Sender, Self::Receiver) {
        let queue = std::rc::Rc::new(asyncio::Queue::new(capacity));
        (queue.clone(), queue)
    }

    async fn send(queue: &Self::Sender, item: u64) {
        queue.put(item).await.expect("not shut down");
    }

    async fn receive(queue: &mut Self::Receiver) -> u64 {
        queue.get().await.expect("not shut down")
    }
}

pub struct Flume;

impl Channel for Flume {
    type Sender = flume::Sender<u64>;
    type Receiver = flume::Receiver<u64>;

    fn new(capacity: usize) -> (Self::Sender, Self::Receiver) {
        if capacity == 0 { flume::unbounded() } else { flume::bounded(capacity) }
    }

    async fn send(sender: &Self::Sender, item: u64) {
        sender.send_async(item).await.expect("open");
    }

    async fn receive(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv_async().await.expect("open")
    }
}

pub struct Future1;

impl Oneshot for Future1 {
    type Sender = asyncio::future::Future<u64>;
    type Receiver = asyncio::future::Future<u64>;

    fn new() -> (Self::Sender, Self::Receiver) {
        let future = asyncio::future::Future::new();
        (future.clone(), future)
    }

    fn send(sender: Self::Sender, value: u64) {
        sender.set_result(value).expect("not done yet");
    }

    async fn receive(receiver: Self::Receiver) -> u64 {
        receiver.await.expect("not cancelled")
    }
}

impl Lock for asyncio::Lock {
    fn new() -> Self {
        asyncio::Lock::new(())
    }

    async fn hold(&self, during: impl AsyncFnOnce()) {
        let _guard = self.acquire().await;
        during().await;
    }
}

impl Lock for asyncio::Semaphore {
    fn new() -> Self {
        asyncio::Semaphore::new(1)
    }

    async fn hold(&self, during: impl AsyncFnOnce()) {
        let _permit = self.acquire().await;
        during().await;
    }
}

fn gather_1000(n: u64) -> Found {
    Ours::run(async {
        let start = Instant::now();
        for _ in 0..n / 1_000 {
            let all = asyncio::gather((0..1_000_u64).map(ready)).await.expect("all return");
            assert_eq!(all.iter().sum::<u64>(), 499_500);
        }
        Found::since(start, n)
    })
}

fn group_1000(n: u64) -> Found {
    Ours::run(async {
        let borrowed = 1;
        let start = Instant::now();
        for _ in 0..n / 1_000 {
            let sum = Cell::new(0);
            let done: Result<(), asyncio::ExceptionGroup<()>> =
                asyncio::TaskGroup::scope(async |group| {
                    for n in 0..1_000_u64 {
                        let (sum, borrowed) = (&sum, &borrowed);
                        group.create_task(async move {
                            sum.set(sum.get() + n + borrowed);
                            Ok(())
                        });
                    }
                    Ok(())
                })
                .await;
            done.expect("all return");
            assert_eq!(sum.get(), 500_500);
        }
        Found::since(start, n)
    })
}
