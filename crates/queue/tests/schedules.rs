//! Ten thousand random schedules with random cancels for each tool that waits in several places.
//!
//! Tasks start, run in ticks, and are cancelled at random; at rest it must be right who still waits.

mod driver;
mod support;

use std::cell::Cell;
use std::rc::Rc;

use asyncio_queue::{
    Barrier, BarrierState, BoundedSemaphore, Broadcast, BroadcastError, CapacityLimiter, Condition,
    Event, LifoQueue, Lock, PriorityQueue, Queue, RwLock, Semaphore, Storage, Subscriber, Watch,
    sync,
};
use futures_lite::future::yield_now;
use support::{Random, Tasks};

const CASES: u64 = 10_000;

/// Runs schedules: `start` starts a task or does something else, `at_rest` is called when no task can go on.
fn schedules<'t>(mut case: impl FnMut(&mut Random) -> (Start<'t>, AtRest<'t>)) {
    for seed in 0..CASES {
        let mut random = Random::new(seed);
        let (mut start, mut at_rest) = case(&mut random);
        let mut tasks = Tasks::default();
        let mut running = Vec::new();
        for _ in 0..16 {
            match random.below(8) {
                0..4 => running.extend(start(&mut random, &mut tasks)),
                4 | 5 => tasks.tick(),
                6 if !running.is_empty() => {
                    let id = running.swap_remove(random.below(running.len()));
                    if !tasks.is_done(id) {
                        tasks.cancel(id);
                    }
                }
                6 | 7 => {
                    tasks.settle();
                    at_rest(seed);
                }
                _ => unreachable!(),
            }
        }
        tasks.settle();
        at_rest(seed);
    }
}

type Start<'t> = Box<dyn FnMut(&mut Random, &mut Tasks<'t>) -> Option<usize> + 't>;
type AtRest<'t> = Box<dyn FnMut(u64) + 't>;

/// Counts how many are inside of something, also when they are cancelled there.
struct Inside(Rc<Cell<usize>>);

impl Inside {
    fn enter(count: &Rc<Cell<usize>>, most: usize) -> Self {
        count.set(count.get() + 1);
        assert!(count.get() <= most, "too many are inside");
        Inside(count.clone())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Behaviour: XTR-07.
#[test]
fn locks_and_semaphores_lose_no_wake_up_and_let_no_more_in_than_they_may() {
    schedules(|random| {
        let permits = 1 + random.below(3);
        let tools = Rc::new((
            Lock::new(()),
            Semaphore::new(permits),
            BoundedSemaphore::new(permits),
            CapacityLimiter::new(permits),
        ));
        let counts: Rc<[Rc<Cell<usize>>; 4]> = Rc::default();
        let checked = tools.clone();
        let start: Start<'_> = Box::new(move |random, tasks| {
            let (tools, counts, steps) = (tools.clone(), counts.clone(), random.below(3));
            let kind = random.below(4);
            Some(tasks.spawn(async move {
                let (lock, semaphore, bounded, limiter) = &*tools;
                let count = &counts[kind];
                match kind {
                    0 => {
                        let _guard = lock.acquire().await;
                        let _inside = Inside::enter(count, 1);
                        for _ in 0..steps {
                            yield_now().await;
                        }
                    }
                    1 => {
                        let _permit = semaphore.acquire().await;
                        let _inside = Inside::enter(count, permits);
                        for _ in 0..steps {
                            yield_now().await;
                        }
                    }
                    2 => {
                        let permit = bounded.acquire().await;
                        let inside = Inside::enter(count, permits);
                        for _ in 0..steps {
                            yield_now().await;
                        }
                        drop(inside);
                        permit.forget();
                        bounded.release().unwrap();
                    }
                    _ => {
                        let _token = limiter.acquire().await;
                        let _inside = Inside::enter(count, permits);
                        for _ in 0..steps {
                            yield_now().await;
                        }
                    }
                }
            }))
        });
        let at_rest: AtRest<'_> = Box::new(move |seed| {
            let (lock, semaphore, bounded, limiter) = &*checked;
            assert!(!lock.locked() && lock.statistics().waiters == 0, "{seed}");
            assert_eq!((semaphore.value(), semaphore.statistics().waiters), (permits, 0), "{seed}");
            assert_eq!((bounded.value(), bounded.statistics().waiters), (permits, 0), "{seed}");
            assert_eq!(limiter.statistics().waiters, 0, "{seed}");
            assert_eq!(limiter.borrowed_tokens(), 0, "{seed}");
        });
        (start, at_rest)
    });
}

/// Behaviour: XTR-07.
#[test]
fn nobody_waits_at_a_condition_that_holds() {
    schedules(|_| {
        let condition = Rc::new(Condition::new(0_u32));
        let checked = condition.clone();
        let start: Start<'_> = Box::new(move |random, tasks| {
            let (condition, kind) = (condition.clone(), random.below(5));
            let id = tasks.spawn(async move {
                let mut tokens = condition.acquire().await;
                match kind {
                    0 => {
                        *tokens += 1;
                        condition.notify(&tokens, 1);
                        yield_now().await;
                    }
                    1 => {
                        *tokens += 2;
                        condition.notify(&tokens, 2);
                    }
                    _ => {
                        let mut tokens = condition.wait_for(tokens, |tokens| *tokens > 0).await;
                        *tokens -= 1;
                        yield_now().await;
                    }
                }
            });
            Some(id)
        });
        let at_rest: AtRest<'_> = Box::new(move |seed| {
            let tokens = *checked.acquire_nowait().expect("nobody holds the lock");
            assert!(tokens == 0 || checked.statistics().waiters == 0, "{seed}: {tokens}");
        });
        (start, at_rest)
    });
}

/// Behaviour: XTR-08.
#[test]
fn a_barrier_is_filling_or_broken_when_all_is_quiet() {
    schedules(|random| {
        let parties = 1 + random.below(4);
        let barrier = Rc::new(Barrier::new(parties).unwrap());
        let checked = barrier.clone();
        let start: Start<'_> = Box::new(move |random, tasks| {
            match random.below(24) {
                0 => barrier.abort(),
                1 | 2 => barrier.reset(),
                _ => {
                    let (barrier, again) = (barrier.clone(), random.below(2) == 0);
                    return Some(tasks.spawn(async move {
                        let result = barrier.wait().await;
                        assert!(result.map_or(true, |index| index < barrier.parties()));
                        if again {
                            _ = barrier.wait().await;
                        }
                    }));
                }
            }
            None
        });
        let at_rest: AtRest<'_> = Box::new(move |seed| {
            let statistics = checked.statistics();
            match statistics.state {
                BarrierState::Filling => {
                    assert_eq!(statistics.inside, checked.n_waiting(), "{seed}");
                    assert!(statistics.inside < parties, "{seed}: a full round waits");
                }
                BarrierState::Broken => assert_eq!(statistics.inside, 0, "{seed}"),
                state => panic!("{seed}: {state:?} at rest"),
            }
            assert_eq!(statistics.outside, 0, "{seed}");
        });
        (start, at_rest)
    });
}

#[test]
fn a_lock_for_readers_and_writers_loses_no_wake_up() {
    schedules(|_| {
        let lock = Rc::new(RwLock::new(0_u32));
        let checked = lock.clone();
        let start: Start<'_> = Box::new(move |random, tasks| {
            let (lock, steps, writes) = (lock.clone(), random.below(3), random.below(2) == 0);
            Some(tasks.spawn(async move {
                if writes {
                    let mut value = lock.write().await;
                    let before = *value;
                    for _ in 0..steps {
                        yield_now().await;
                    }
                    *value = before + 1;
                } else {
                    let value = lock.read().await;
                    let before = *value;
                    for _ in 0..steps {
                        yield_now().await;
                    }
                    assert_eq!(*value, before);
                }
            }))
        });
        let at_rest: AtRest<'_> = Box::new(move |seed| {
            assert!(checked.write_nowait().is_ok(), "{seed}");
            assert_eq!(checked.statistics().waiters, 0, "{seed}");
        });
        (start, at_rest)
    });
}

/// What a queue of any kind has gone through.
#[derive(Default)]
struct Traffic {
    put: Cell<usize>,
    got: Cell<usize>,
}

fn queue_schedules<
    S: Storage<u32> + 'static,
    Q: std::ops::Deref<Target = Queue<u32, S>> + 'static,
>(
    make: impl Fn(usize) -> Q,
) {
    schedules(|random| {
        let maxsize = 1 + random.below(2);
        let (queue, traffic) = (Rc::new(make(maxsize)), Rc::new(Traffic::default()));
        let checked = (queue.clone(), traffic.clone());
        let start: Start<'_> = Box::new(move |random, tasks| {
            let (queue, traffic, kind) = (queue.clone(), traffic.clone(), random.below(7));
            let item = random.below(9) as u32;
            Some(tasks.spawn(async move {
                let put = || traffic.put.set(traffic.put.get() + 1);
                let got = |count| traffic.got.set(traffic.got.get() + count);
                match kind {
                    0 | 1 => {
                        queue.put(item).await.unwrap();
                        put();
                    }
                    2 => {
                        let room = queue.reserve().await.unwrap();
                        yield_now().await;
                        room.put(item).unwrap();
                        put();
                    }
                    3 | 4 => {
                        queue.get().await.unwrap();
                        got(1);
                    }
                    5 => got(queue.get_batch(&mut Vec::new(), 2).await.unwrap()),
                    _ => {
                        let mut items = std::pin::pin!(queue.items());
                        futures_lite::StreamExt::next(&mut items).await.unwrap();
                        got(1);
                    }
                }
            }))
        });
        let at_rest: AtRest<'_> = Box::new(move |seed| {
            let ((queue, traffic), statistics) = (&checked, checked.0.statistics());
            assert_eq!(traffic.put.get(), traffic.got.get() + queue.qsize(), "{seed}");
            assert!(queue.empty() || statistics.getters == 0, "{seed}: {statistics:?}");
            assert!(queue.full() || statistics.putters == 0, "{seed}: {statistics:?}");
            assert_eq!(statistics.reserved, 0, "{seed}");
        });
        (start, at_rest)
    });
}

#[test]
fn queues_of_each_kind_lose_no_item_and_no_wake_up() {
    queue_schedules(|maxsize| Box::new(Queue::new(maxsize)));
    queue_schedules(LifoQueue::new);
    queue_schedules(PriorityQueue::new);
}

#[test]
fn the_queue_for_threads_loses_no_item_and_no_wake_up() {
    schedules(|random| {
        let maxsize = 1 + random.below(2);
        let (queue, traffic) = (Rc::new(sync::Queue::new(maxsize)), Rc::new(Traffic::default()));
        let checked = (queue.clone(), traffic.clone());
        let start: Start<'_> = Box::new(move |random, tasks| {
            let (queue, traffic, puts) = (queue.clone(), traffic.clone(), random.below(2) == 0);
            Some(tasks.spawn(async move {
                if puts {
                    queue.put(()).await.unwrap();
                    traffic.put.set(traffic.put.get() + 1);
                } else {
                    queue.get().await.unwrap();
                    traffic.got.set(traffic.got.get() + 1);
                }
            }))
        });
        let at_rest: AtRest<'_> = Box::new(move |seed| {
            let ((queue, traffic), statistics) = (&checked, checked.0.statistics());
            assert_eq!(traffic.put.get(), traffic.got.get() + queue.qsize(), "{seed}");
            assert!(queue.empty() || statistics.getters == 0, "{seed}: {statistics:?}");
            assert!(queue.full() || statistics.putters == 0, "{seed}: {statistics:?}");
        });
        (start, at_rest)
    });
}

#[test]
fn events_watches_and_broadcasts_reach_all_who_wait() {
    schedules(|_| {
        let tools = Rc::new((Event::new(), Watch::new(0_u32), Rc::new(Broadcast::new(2))));
        let checked = tools.clone();
        let start: Start<'_> = Box::new(move |random, tasks| {
            let (event, watch, news) = &*tools;
            let item = random.below(4) as u32;
            match random.below(8) {
                0 => event.set(),
                1 => event.clear(),
                2 => watch.set(item),
                3 => news.put(item).unwrap(),
                kind => {
                    let tools = tools.clone();
                    let reader = (kind == 7).then(|| Subscriber::new(news.clone()));
                    return Some(tasks.spawn(async move {
                        match kind {
                            4 | 5 => tools.0.wait().await,
                            6 => assert!(*tools.1.wait_for(|value| *value == item).await == item),
                            _ => {
                                let mut reader = reader.expect("it is for this");
                                let mut seen = 0;
                                while seen < 4 {
                                    seen += match reader.get().await {
                                        Ok(_) => 1,
                                        Err(BroadcastError::Lagged(missed)) => missed,
                                        Err(BroadcastError::ShutDown) => unreachable!(),
                                    };
                                }
                            }
                        }
                    }));
                }
            }
            None
        });
        let at_rest: AtRest<'_> = Box::new(move |seed| {
            let (event, _, news) = &*checked;
            assert!(!event.is_set() || event.statistics().waiters == 0, "{seed}");
            let statistics = news.statistics();
            // Each subscriber that is left has read everything, and waits.
            assert_eq!(statistics.subscribers, statistics.waiters, "{seed}");
        });
        (start, at_rest)
    });
}
