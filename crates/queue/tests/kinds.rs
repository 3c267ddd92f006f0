//! `PriorityQueue`, `LifoQueue`, storages of one's own, reserved room, batches, and queues as streams.

mod driver;
mod support;

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;

use asyncio_queue::{
    GetError, Items, LifoQueue, PriorityQueue, PutError, Queue, QueueShutDown, Storage,
};
use futures_lite::StreamExt;
use futures_lite::future::zip;
use support::{Tasks, World, block_on, cancel_everywhere, poll};

#[test]
fn a_priority_queue_gives_the_lowest_first_and_of_equals_the_first() {
    let queue = PriorityQueue::with_key(0, |item: &(u32, char)| item.0);
    for item in [(3, 'a'), (1, 'b'), (2, 'c'), (1, 'd'), (3, 'e'), (1, 'f')] {
        queue.put_nowait(item).unwrap();
    }
    let order: String = std::iter::from_fn(|| queue.get_nowait().ok()).map(|item| item.1).collect();
    assert_eq!(order, "bdfcae");
}

#[test]
fn a_priority_queue_needs_nothing_but_an_order() {
    let queue = PriorityQueue::default();
    for word in ["pear", "apple", "fig"] {
        queue.put_nowait(word.to_owned()).unwrap();
    }
    assert_eq!(queue.get_nowait().as_deref(), Ok("apple"));
    let shown = "PriorityQueue { maxsize: 0, qsize: 2, getters: 0, putters: 0, unfinished: 3, is_shutdown: false, .. }";
    assert_eq!(format!("{queue:?}"), shown);
    queue.shutdown(true);
    assert_eq!((queue.qsize(), queue.statistics().unfinished), (0, 1));
}

#[test]
fn a_lifo_queue_gives_the_last_first() {
    let queue = LifoQueue::new(3);
    for number in 1..=3 {
        queue.put_nowait(number).unwrap();
    }
    assert_eq!(queue.put_nowait(4), Err(PutError::Full(4)));
    assert_eq!(block_on(queue.get()), Ok(3));
    queue.put_nowait(5).unwrap();
    queue.shutdown(false);
    let rest = block_on(pin!(queue.items()).collect::<Vec<_>>());
    assert_eq!(rest, [5, 2, 1]);
    assert!(format!("{queue:?}").starts_with("LifoQueue {"));
}

#[test]
fn waiting_works_with_any_storage() {
    fn work<S: Storage<u32>>(queue: &Queue<u32, S>) -> Vec<u32> {
        let produce = async {
            for number in [5, 3, 4, 1, 2] {
                queue.put(number).await.unwrap();
            }
            queue.join().await;
            queue.shutdown(false);
        };
        let consume = async {
            let mut got = Vec::new();
            while let Ok(number) = queue.get().await {
                got.push(number);
                queue.task_done().unwrap();
            }
            got
        };
        block_on(zip(produce, consume)).1
    }
    assert_eq!(work(&Queue::new(2)), [5, 3, 4, 1, 2]);
    assert_eq!(work(&LifoQueue::new(2)), [3, 5, 1, 4, 2]);
    assert_eq!(work(&PriorityQueue::new(2)), [3, 5, 1, 4, 2]);
}

#[test]
fn a_comparison_that_uses_the_queue_panics_and_the_queue_lives_on() {
    thread_local!(static QUEUE: Rc<PriorityQueue<Nosy>> = Rc::new(PriorityQueue::new(0)));
    #[derive(PartialEq, Eq)]
    struct Nosy(u32);
    impl PartialOrd for Nosy {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Nosy {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            if self.0.min(other.0) == 0 {
                QUEUE.with(|queue| queue.qsize());
            }
            self.0.cmp(&other.0)
        }
    }
    let queue = QUEUE.with(Rc::clone);
    queue.put_nowait(Nosy(2)).unwrap();
    let put = std::panic::AssertUnwindSafe(|| queue.put_nowait(Nosy(0)).is_ok());
    assert!(std::panic::catch_unwind(put).is_err());
    queue.shutdown(true);
    assert_eq!(queue.statistics().unfinished, 0);
}

#[test]
fn reserved_room_counts_and_goes_to_the_next_if_it_is_not_used() {
    let queue = Queue::new(2);
    let first = queue.reserve_nowait().unwrap();
    let second = block_on(queue.reserve()).unwrap();
    assert!(queue.full() && queue.empty());
    assert_eq!(queue.statistics().reserved, 2);
    assert_eq!(queue.put_nowait(1), Err(PutError::Full(1)));
    let mut put = pin!(queue.put(2));
    let mut reserve = pin!(queue.reserve());
    assert!(poll(put.as_mut()).is_pending());
    assert!(poll(reserve.as_mut()).is_pending());
    drop(first);
    assert!(poll(put).is_ready());
    second.put(3).unwrap();
    assert_eq!((queue.get_nowait(), queue.get_nowait()), (Ok(2), Ok(3)));
    let room = block_on(reserve).unwrap();
    assert_eq!(queue.statistics().unfinished, 2);
    queue.shutdown(false);
    assert_eq!(room.put(4), Err(QueueShutDown(4)));
    assert_eq!(queue.statistics().reserved, 0);
    assert_eq!(block_on(queue.reserve()).unwrap_err(), QueueShutDown(()));
    assert!(queue.reserve_nowait().unwrap_err().is_shut_down());
}

#[test]
fn a_batch_takes_what_is_there_and_lets_as_many_putters_in() {
    let queue = Queue::new(3);
    for number in 0..3 {
        queue.put_nowait(number).unwrap();
    }
    let mut tasks = Tasks::default();
    for number in 3..6 {
        let queue = &queue;
        tasks.spawn(async move { queue.put(number).await.unwrap() });
    }
    tasks.settle();
    let mut batch = Vec::new();
    assert_eq!(block_on(queue.get_batch(&mut batch, 2)), Ok(2));
    tasks.settle();
    assert_eq!(queue.statistics().putters, 1);
    assert_eq!(block_on(queue.get_batch(&mut batch, 0)), Ok(0));
    assert_eq!(block_on(queue.get_batch(&mut batch, usize::MAX)), Ok(3));
    tasks.settle();
    assert!(tasks.all_done());
    queue.shutdown(false);
    assert_eq!(block_on(queue.get_batch(&mut batch, 9)), Ok(1));
    assert_eq!(block_on(queue.get_batch(&mut batch, 9)), Err(QueueShutDown(())));
    assert_eq!(batch, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_stream_waits_for_items_and_ends_with_the_queue() {
    let queue = Queue::new(1);
    let sum = Cell::new(0);
    let mut tasks = Tasks::default();
    for _ in 0..2 {
        tasks.spawn(async {
            let items: Items<'_, u32> = queue.items();
            let mut items = pin!(items);
            while let Some(item) = items.next().await {
                sum.set(sum.get() + item);
            }
        });
    }
    tasks.spawn(async {
        for number in 1..=10 {
            queue.put(number).await.unwrap();
        }
        queue.shutdown(false);
    });
    tasks.settle();
    assert!(tasks.all_done());
    assert_eq!(sum.get(), 55);
    assert_eq!(queue.get_nowait(), Err(GetError::ShutDown));
}

/// What each of the ways to take or put does to a queue of one place, dropped at any point.
const EVENTS: [fn(&mut World<Queue<u32>>); 4] = [
    |world| {
        let queue = world.tool.clone();
        world.tasks.spawn(async move { queue.put(1).await.unwrap() });
        world.tasks.tick();
    },
    |world| {
        let (queue, log) = (world.tool.clone(), world.log.clone());
        world.tasks.spawn(async move {
            if let Ok(item) = queue.get().await {
                log.borrow_mut().push(item);
            }
        });
        world.tasks.tick();
    },
    |world| {
        let queue = world.tool.clone();
        world.tasks.spawn(async move { queue.put(2).await.unwrap() });
    },
    |world| world.tasks.tick(),
];

/// That each item that was put is in the log or still to be had, once.
fn nothing_is_lost(world: &mut World<Queue<u32>>, count: usize) {
    world.tasks.settle();
    while let Ok(item) = world.tool.get_nowait() {
        world.log.borrow_mut().push(item);
        world.tasks.settle();
    }
    let puts = [0, 1, 1, 2, 2][count];
    let mut items = world.log.borrow().clone();
    items.retain(|&item| item < 100);
    // A getter of the events may have taken what the cancelled operation put.
    items.sort_unstable();
    assert!(items == [1, 2][..puts], "{items:?} after {count} events");
    let statistics = world.tool.statistics();
    assert_eq!((statistics.reserved, statistics.putters), (0, 0));
}

#[test]
fn a_stream_dropped_anywhere_loses_no_item() {
    let operation = |queue: Rc<Queue<u32>>, log: support::Log<u32>| async move {
        let mut items = pin!(queue.items());
        while let Some(item) = items.next().await {
            log.borrow_mut().push(item);
        }
    };
    cancel_everywhere(|| Queue::new(1), operation, &EVENTS, nothing_is_lost);
}

#[test]
fn a_batch_cancelled_anywhere_loses_no_item() {
    let operation = |queue: Rc<Queue<u32>>, log: support::Log<u32>| async move {
        let mut batch = Vec::new();
        queue.get_batch(&mut batch, 2).await.unwrap();
        log.borrow_mut().extend(batch);
    };
    cancel_everywhere(|| Queue::new(1), operation, &EVENTS, nothing_is_lost);
}

#[test]
fn a_reservation_cancelled_anywhere_takes_no_room_and_no_wake_up() {
    let operation = |queue: Rc<Queue<u32>>, _| async move {
        let room = queue.reserve().await.unwrap();
        futures_lite::future::yield_now().await;
        room.put(100).unwrap();
    };
    cancel_everywhere(|| Queue::new(1), operation, &EVENTS, nothing_is_lost);
}
