//! What a runtime must have for a row to be measured on it.

use std::future::Future;
use std::time::Duration;

/// Runs futures and spawns tasks, on one thread.
pub trait Runtime: 'static {
    type Task: Future;
    fn run<T>(main: impl Future<Output = T>) -> T;
    fn spawn(body: impl Future<Output = ()> + 'static) -> Self::Task;
    /// The runtime's own, where it has one.
    async fn yield_now() {
        ::smol::future::yield_now().await;
    }
}

/// Sleeps.
pub trait Timers: Runtime {
    type Sleep: Future + 'static;
    fn sleep(delay: Duration) -> Self::Sleep;
    /// Waits for `body` up to `delay`; the body is in time here.
    async fn timeout(delay: Duration, body: impl Future<Output = u64>) -> u64;
}

/// Cancels tasks and waits for their ends.
pub trait Cancel: Runtime {
    async fn cancel_all(tasks: Vec<Self::Task>);
}

/// Runs functions in other threads.
pub trait Threads: Runtime {
    async fn to_thread(f: impl FnOnce() -> u64 + Send + 'static) -> u64;
}

/// A queue with one end to put and one to get.
pub trait Channel: 'static {
    type Sender: 'static;
    type Receiver: 'static;
    fn new(capacity: usize) -> (Self::Sender, Self::Receiver);
    async fn send(sender: &Self::Sender, item: u64);
    async fn receive(receiver: &mut Self::Receiver) -> u64;
}

/// A result that will exist.
pub trait Oneshot: 'static {
    type Sender: 'static;
    type Receiver: 'static;
    fn new() -> (Self::Sender, Self::Receiver);
    fn send(sender: Self::Sender, value: u64);
    async fn receive(receiver: Self::Receiver) -> u64;
}

/// A lock, or a semaphore of one.
pub trait Lock: 'static {
    fn new() -> Self;
    async fn hold(&self, during: impl AsyncFnOnce());
}
