//! Prints what each operation costs, in nanoseconds: `cargo run --release -p asyncio-queue --example measure`.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use asyncio_coro::wait_list::WaitList;
use asyncio_queue::{Event, Lock, Queue, Semaphore};

const ROUNDS: u32 = 2_000_000;

fn main() {
    let lock = Lock::new(0_u64);
    measure("lock, free: acquire and release", 1, || *now(lock.acquire()) += 1);

    let semaphore = Semaphore::new(1);
    measure("semaphore, free: acquire and release", 1, || drop(now(semaphore.acquire())));

    let event = Event::new();
    event.set();
    measure("event, set: wait", 1, || now(event.wait()));

    let queue = Queue::new(128);
    measure("queue of 128: put and get", 128, || {
        for number in 0..128_u64 {
            now(queue.put(number)).expect("not shut down");
        }
        for _ in 0..128 {
            black_box(now(queue.get()).expect("not shut down"));
        }
    });

    let list = WaitList::new();
    measure("wait list: register, notify, resume", 1, || {
        let mut wait = pin!(list.wait());
        assert!(poll(wait.as_mut()).is_pending());
        list.notify_one();
        assert!(poll(wait).is_ready());
    });

    let mut waits: Vec<_> = (0..100).map(|_| Box::pin(semaphore.acquire())).collect();
    measure("semaphore with 100 waiters: wait, hand over, resume", 100, || {
        let permit = now(semaphore.acquire());
        for wait in &mut waits {
            wait.set(semaphore.acquire());
            assert!(poll(wait.as_mut()).is_pending());
        }
        drop(permit);
        for wait in &mut waits {
            drop(now(wait.as_mut()));
        }
    });
}

fn measure(what: &str, operations: u32, mut body: impl FnMut()) {
    let rounds = ROUNDS / operations;
    body();
    let start = Instant::now();
    for _ in 0..rounds {
        body();
    }
    let nanoseconds = start.elapsed().as_secs_f64() * 1e9 / f64::from(rounds * operations);
    println!("{nanoseconds:8.2} ns  {what}");
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls a future that is ready at once.
fn now<F: Future>(future: F) -> F::Output {
    match poll(pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it had to wait"),
    }
}
