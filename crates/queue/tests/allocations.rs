//! What allocates nothing: counted by an allocator.

mod driver;
mod support;

use std::future::Future;
use std::pin::pin;

use asyncio_counting_allocator::allocations_of;
use asyncio_queue::{
    Barrier, BoundedSemaphore, CapacityLimiter, Condition, Event, LifoQueue, Lock, PriorityQueue,
    Queue, RwLock, Semaphore, Storage, sync,
};
use futures_lite::StreamExt;
use support::poll;

/// Polls a future that must be ready at once.
fn now<F: Future>(future: F) -> F::Output {
    match poll(pin!(future)) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("it had to wait"),
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations_of(|| drop(Box::new(1))), 1);
}

/// What a round of puts and gets allocates when it is not the first one.
fn of_a_round<S: Storage<u32>>(queue: &Queue<u32, S>) -> usize {
    let mut batch = Vec::with_capacity(128);
    let mut round = || {
        for number in 0..128 {
            now(queue.put(number)).unwrap();
        }
        // One that waits at each end, and is served.
        let mut put = pin!(queue.put(128));
        assert!(poll(put.as_mut()).is_pending());
        for _ in 0..64 {
            now(queue.get()).unwrap();
        }
        assert!(poll(put).is_ready());
        now(queue.reserve()).unwrap().put(129).unwrap();
        assert_eq!(now(queue.get_batch(&mut batch, 128)), Ok(66));
        batch.clear();
        let mut get = pin!(queue.get());
        assert!(poll(get.as_mut()).is_pending());
        let mut items = pin!(queue.items());
        assert!(poll(pin!(items.next())).is_pending());
        queue.put_nowait(0).unwrap();
        queue.put_nowait(0).unwrap();
        assert!(poll(get).is_ready());
        assert!(poll(pin!(items.next())).is_ready());
        for _ in 0..132 {
            queue.task_done().unwrap();
        }
    };
    round();
    allocations_of(round)
}

#[test]
fn a_bounded_queue_allocates_nothing_in_the_steady_state() {
    assert_eq!(of_a_round(&Queue::new(128)), 0);
    assert_eq!(of_a_round(&LifoQueue::new(128)), 0);
    assert_eq!(of_a_round(&PriorityQueue::new(128)), 0);
}

#[test]
fn a_bounded_queue_for_threads_allocates_nothing_unless_somebody_waits() {
    let queue = sync::Queue::new(128);
    let round = || {
        for number in 0..128 {
            now(queue.put(number)).unwrap();
        }
        for number in 0..128 {
            assert_eq!(now(queue.get()), Ok(number));
        }
    };
    assert_eq!(allocations_of(round), 0);
}

#[test]
fn the_other_tools_never_allocate_either() {
    let (condition, barrier) = (Condition::new(0), Barrier::new(2).unwrap());
    let (bounded, limiter, lock) =
        (BoundedSemaphore::new(1), CapacityLimiter::new(1), RwLock::new(0));
    assert_eq!(
        allocations_of(|| {
            let mut wait = pin!(condition.wait(now(condition.acquire())));
            assert!(poll(wait.as_mut()).is_pending());
            condition.notify(&now(condition.acquire()), 1);
            assert!(poll(wait).is_ready());
            let mut first = pin!(barrier.wait());
            assert!(poll(first.as_mut()).is_pending());
            assert!(poll(pin!(barrier.wait())).is_ready() && poll(first).is_ready());
            let held = (now(bounded.acquire()), now(limiter.acquire()), now(lock.read()));
            let (mut permit, mut token) = (pin!(bounded.acquire()), pin!(limiter.acquire()));
            let mut write = pin!(lock.write());
            assert!(poll(permit.as_mut()).is_pending() && poll(token.as_mut()).is_pending());
            assert!(poll(write.as_mut()).is_pending());
            drop(held);
            assert!(poll(permit).is_ready() && poll(token).is_ready() && poll(write).is_ready());
        }),
        0
    );
}

#[test]
fn locks_semaphores_and_events_never_allocate() {
    let (lock, semaphore, event) = (Lock::new(0), Semaphore::new(1), Event::new());
    assert_eq!(
        allocations_of(|| {
            let guard = now(lock.acquire());
            let permit = now(semaphore.acquire());
            let (mut locked, mut taken) = (pin!(lock.acquire()), pin!(semaphore.acquire()));
            let mut unset = pin!(event.wait());
            assert!(poll(locked.as_mut()).is_pending());
            assert!(poll(taken.as_mut()).is_pending());
            assert!(poll(unset.as_mut()).is_pending());
            drop((guard, permit));
            event.set();
            assert!(poll(locked).is_ready());
            assert!(poll(taken).is_ready());
            assert!(poll(unset).is_ready());
        }),
        0
    );
}
