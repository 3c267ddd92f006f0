//! `sync::Queue`: what `Queue` does, and what threads do to it.
#![cfg(not(asyncio_loom))]

mod driver;
mod support;

use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use asyncio_queue::sync::Queue;
use asyncio_queue::{GetError, PutError, QueueShutDown};
use futures_lite::future::zip;
use support::{Log, Tasks, World, block_on, cancel_everywhere, poll};

const ITEMS: u64 = 10_000_000;
const PRODUCERS: u64 = 4;

#[test]
fn four_producers_and_four_consumers_lose_and_double_none_of_ten_million_items() {
    let queue = Queue::new(1024);
    // None is lost and none comes twice if their number, their sum and the sum of their squares are right.
    let (count, sum, squares) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let queue = &queue;
                scope.spawn(move || {
                    let mine = (producer..ITEMS).step_by(PRODUCERS as usize);
                    if producer % 2 == 0 {
                        mine.for_each(|item| queue.put_blocking(item).unwrap());
                    } else {
                        block_on(async {
                            for item in mine {
                                queue.put(item).await.unwrap();
                            }
                        });
                    }
                })
            })
            .collect();
        for consumer in 0..4 {
            let (queue, count, sum, squares) = (&queue, &count, &sum, &squares);
            scope.spawn(move || {
                let mut last = [None; PRODUCERS as usize];
                let (mut counted, mut summed, mut squared) = (0_u64, 0_u64, 0_u64);
                let mut see = |item: u64| {
                    let of_producer = &mut last[(item % PRODUCERS) as usize];
                    assert!(*of_producer < Some(item), "out of order");
                    *of_producer = Some(item);
                    counted += 1;
                    summed += item;
                    squared = squared.wrapping_add(item.wrapping_mul(item));
                };
                if consumer % 2 == 0 {
                    while let Ok(item) = queue.get_blocking() {
                        see(item);
                    }
                } else {
                    block_on(async {
                        while let Ok(item) = queue.get().await {
                            see(item);
                        }
                    });
                }
                count.fetch_add(counted, Ordering::Relaxed);
                sum.fetch_add(summed, Ordering::Relaxed);
                squares.fetch_add(squared, Ordering::Relaxed);
            });
        }
        for producer in producers {
            producer.join().unwrap();
        }
        queue.shutdown(false);
    });
    let expected = (0..ITEMS).fold(0_u64, |sum, item| sum.wrapping_add(item.wrapping_mul(item)));
    assert_eq!(count.into_inner(), ITEMS);
    assert_eq!(sum.into_inner(), ITEMS * (ITEMS - 1) / 2);
    assert_eq!(squares.into_inner(), expected);
    assert!(queue.empty());
}

#[test]
fn a_thread_pool_and_a_loop_share_a_queue() {
    let (jobs, results) = (Queue::new(2), Queue::new(2));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Ok(number) = jobs.get_blocking() {
                    results.put_blocking(number * number).unwrap();
                    jobs.task_done().unwrap();
                }
            });
        }
        let feed = async {
            for number in 1..=100_u64 {
                jobs.put(number).await.unwrap();
            }
            jobs.join().await;
            jobs.shutdown(false);
            results.shutdown(false);
        };
        let collect = async {
            let mut sum = 0;
            while let Ok(square) = results.get().await {
                sum += square;
            }
            sum
        };
        assert_eq!(block_on(zip(feed, collect)).1, 338_350);
    });
    jobs.join_blocking();
}

#[test]
fn a_call_with_a_timeout_gives_up_hands_the_item_back_and_leaves_no_trace() {
    let (soon, long) = (Duration::from_millis(1), Duration::from_secs(60));
    let queue = Queue::new(1);
    assert_eq!(queue.get_timeout(soon), Err(GetError::Empty));
    assert_eq!(queue.put_timeout(1, Duration::ZERO), Ok(()));
    assert_eq!(queue.put_timeout(2, soon), Err(PutError::Full(2)));
    let statistics = queue.statistics();
    assert_eq!((statistics.getters, statistics.putters, statistics.unfinished), (0, 0, 1));
    thread::scope(|scope| {
        let put = scope.spawn(|| queue.put_timeout(3, long));
        assert_eq!(queue.get_timeout(Duration::MAX), Ok(1));
        assert_eq!(put.join().unwrap(), Ok(()));
        assert_eq!(queue.get_timeout(long), Ok(3));
        let get = scope.spawn(|| queue.get_timeout(Duration::MAX));
        queue.shutdown(false);
        assert_eq!(get.join().unwrap(), Err(GetError::ShutDown));
    });
    assert_eq!(queue.get_timeout(long), Err(GetError::ShutDown));
    assert_eq!(queue.put_timeout(4, Duration::MAX), Err(PutError::ShutDown(4)));
}

#[test]
fn those_who_give_up_lose_no_item_and_no_wake_up_of_those_who_do_not() {
    const EACH: u64 = 20_000;
    let (queue, instant) = (Queue::new(2), Duration::from_nanos(1));
    let sum = thread::scope(|scope| {
        let producers = [true, false].map(|is_patient| {
            let queue = &queue;
            scope.spawn(move || {
                for item in 0..EACH {
                    if is_patient {
                        queue.put_blocking(item).unwrap();
                    } else {
                        while queue.put_timeout(item, instant).is_err() {}
                    }
                }
            })
        });
        let consumers = [true, false].map(|is_patient| {
            let queue = &queue;
            scope.spawn(move || {
                let mut sum = 0;
                loop {
                    let got = if is_patient {
                        queue.get_blocking().map_err(|_| GetError::ShutDown)
                    } else {
                        queue.get_timeout(instant)
                    };
                    match got {
                        Ok(item) => sum += item,
                        Err(GetError::ShutDown) => return sum,
                        Err(_) => {}
                    }
                }
            })
        });
        for producer in producers {
            producer.join().unwrap();
        }
        queue.shutdown(false);
        consumers.map(|consumer| consumer.join().unwrap()).iter().sum::<u64>()
    });
    assert_eq!(sum, EACH * (EACH - 1));
    assert_eq!((queue.statistics().getters, queue.statistics().putters), (0, 0));
}

#[test]
fn it_keeps_the_rules_of_the_queue_of_one_thread() {
    let queue = Queue::new(2);
    assert_eq!((queue.maxsize(), queue.qsize(), queue.empty(), queue.full()), (2, 0, true, false));
    assert_eq!(queue.get_nowait(), Err(GetError::Empty));
    queue.put_nowait(1).unwrap();
    block_on(queue.put(2)).unwrap();
    assert_eq!(queue.put_nowait(3), Err(PutError::Full(3)));
    let shown = "Queue { maxsize: 2, qsize: 2, getters: 0, putters: 0, unfinished: 2, is_shutdown: false, .. }";
    assert_eq!(format!("{queue:?}"), shown);
    {
        let mut put = pin!(queue.put(3));
        assert!(poll(put.as_mut()).is_pending());
        assert_eq!(queue.statistics().putters, 1);
        assert_eq!(queue.get_blocking(), Ok(1));
        assert!(poll(put).is_ready());
    }
    assert_eq!(queue.statistics().put_waits, 1);
    let mut join = pin!(queue.join());
    assert!(poll(join.as_mut()).is_pending());
    queue.shutdown(false);
    assert_eq!(block_on(queue.put(4)), Err(QueueShutDown(4)));
    assert_eq!(queue.put_blocking(4), Err(QueueShutDown(4)));
    assert_eq!((block_on(queue.get()), queue.get_nowait()), (Ok(2), Ok(3)));
    assert_eq!(block_on(queue.get()), Err(QueueShutDown(())));
    assert_eq!(queue.get_blocking(), Err(QueueShutDown(())));
    for _ in 0..3 {
        assert!(poll(join.as_mut()).is_pending());
        queue.task_done().unwrap();
    }
    assert!(poll(join).is_ready());
    assert!(queue.task_done().is_err());
    assert_eq!(Queue::<u8>::default().maxsize(), 0);
}

#[test]
fn a_shutdown_at_once_drops_the_items_and_releases_all() {
    let queue = Queue::new(1);
    queue.put_nowait(1).unwrap();
    let mut tasks = Tasks::default();
    tasks.spawn(async { assert_eq!(queue.put(2).await, Err(QueueShutDown(2))) });
    tasks.spawn(async { queue.join().await });
    tasks.settle();
    assert_eq!(queue.statistics().joiners, 1);
    queue.shutdown(true);
    tasks.settle();
    assert!(tasks.all_done());
    let statistics = queue.statistics();
    assert!(statistics.is_shutdown);
    assert_eq!((statistics.qsize, statistics.unfinished, statistics.joiners), (0, 0, 0));
}

#[test]
fn a_joiner_does_not_miss_a_zero_that_is_gone_when_it_runs() {
    let queue = Queue::unbounded();
    queue.put_nowait(1).unwrap();
    let mut join = pin!(queue.join());
    assert!(poll(join.as_mut()).is_pending());
    queue.task_done().unwrap();
    queue.put_nowait(2).unwrap();
    assert!(poll(join).is_ready());
}

/// Events for a queue of one place: puts, gets and joins of others.
const EVENTS: [fn(&mut World<Queue<u32>>); 4] = [
    |world| {
        let queue = world.tool.clone();
        world.tasks.spawn(async move { queue.put(1).await.unwrap() });
        world.tasks.tick();
    },
    |world| {
        let (queue, log) = (world.tool.clone(), world.log.clone());
        world.tasks.spawn(async move {
            let item = queue.get().await.unwrap();
            log.borrow_mut().push(item);
        });
        world.tasks.tick();
    },
    |world| {
        let queue = world.tool.clone();
        world.tasks.spawn(async move { queue.put(2).await.unwrap() });
        world.tasks.tick();
    },
    |world| {
        let (queue, log) = (world.tool.clone(), world.log.clone());
        world.tasks.spawn(async move {
            let item = queue.get().await.unwrap();
            log.borrow_mut().push(item);
        });
        world.tasks.tick();
    },
];

/// That all that was put is in the log or still to be had, once, and nobody waits for nothing.
fn nothing_is_lost(world: &mut World<Queue<u32>>, count: usize) {
    world.tasks.settle();
    let mut items = Vec::new();
    while let Ok(item) = world.tool.get_nowait() {
        items.push(item);
        world.tasks.settle();
    }
    items.extend(world.log.borrow().iter());
    let statistics = world.tool.statistics();
    // Nobody calls `task_done` here: this is how many were put.
    assert_eq!(items.len(), statistics.unfinished, "{items:?} after {count} events");
    items.sort_unstable();
    items.dedup();
    assert_eq!(items.len(), statistics.unfinished, "one was got twice");
    assert_eq!(statistics.putters, 0);
}

#[test]
fn a_put_cancelled_anywhere_loses_no_room() {
    let put = |queue: Rc<Queue<u32>>, _: Log<u32>| async move {
        queue.put(100).await.unwrap();
        queue.put(101).await.unwrap();
    };
    cancel_everywhere(|| Queue::new(1), put, &EVENTS, nothing_is_lost);
}

#[test]
fn a_get_cancelled_anywhere_loses_no_item() {
    let get = |queue: Rc<Queue<u32>>, log: Log<u32>| async move {
        let item = queue.get().await.unwrap();
        log.borrow_mut().push(item);
    };
    cancel_everywhere(|| Queue::new(1), get, &EVENTS, nothing_is_lost);
}

#[test]
fn a_join_cancelled_anywhere_disturbs_no_other() {
    let join: fn(&mut World<Queue<u32>>) = |world| {
        let (queue, log) = (world.tool.clone(), world.log.clone());
        world.tasks.spawn(async move {
            queue.join().await;
            log.borrow_mut().push(1);
        });
        world.tasks.tick();
    };
    cancel_everywhere(
        || {
            let queue = Queue::new(0);
            queue.put_nowait(1).unwrap();
            queue
        },
        |queue, _| async move { queue.join().await },
        &[join, |world| world.tool.task_done().unwrap(), join],
        |world, count| {
            world.tasks.settle();
            assert_eq!(world.log.borrow().len(), [0, 0, 1, 2][count]);
        },
    );
}
