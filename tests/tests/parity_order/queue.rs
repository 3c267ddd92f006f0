//! Queues and locks: who has the next item, the next turn.

use std::rc::Rc;

use asyncio::queue::{LockGuard, SemaphorePermit};
use asyncio::{Lock, Queue, ReturnWhen, Semaphore, Task, create_task, sleep, wait};

use crate::twin::{Log, or_gives_up, py, same, tick, units};

async fn ticks(count: usize) {
    for _ in 0..count {
        tick().await;
    }
}

async fn all(mut tasks: Vec<Task<()>>) {
    wait(&mut tasks, None, ReturnWhen::AllCompleted).await;
}

#[test]
fn a_queue_hands_on_in_turn_as_in_cpython() {
    fn getter(log: &Log, queue: &Rc<Queue<String>>, n: usize) -> Task<()> {
        let (log, queue, name) = (log.clone(), queue.clone(), format!("getter {n}"));
        create_task(async move {
            log.line(format!("{name} waits"));
            let item = or_gives_up(&log, &name, queue.get()).await.unwrap();
            log.line(format!("{name} got {item}"));
            queue.task_done().unwrap();
        })
    }

    fn putter(log: &Log, queue: &Rc<Queue<String>>, n: usize) -> Task<()> {
        let (log, queue, item) = (log.clone(), queue.clone(), format!("item {n}"));
        create_task(async move {
            log.line(format!("{item} waits"));
            or_gives_up(&log, &item, queue.put(item.clone())).await.unwrap();
            log.line(format!("{item} is in"));
        })
    }

    same(include_str!("../../parity/queue_hand_off.log"), |log, _, _| async move {
        let queue = Rc::new(Queue::new(1));
        let getters = [0, 1, 2, 3].map(|n| getter(&log, &queue, n));
        ticks(5).await;
        getters[1].cancel();
        ticks(5).await;
        for item in ["x", "y", "z"] {
            log.line(format!("main puts {item}"));
            queue.put(item.into()).await.unwrap();
        }
        ticks(5).await;
        log.line(format!("size: {}", queue.qsize()));

        log.line("main puts 0");
        queue.put_nowait("0".into()).unwrap();
        let putters = [0, 1, 2, 3].map(|n| putter(&log, &queue, n));
        ticks(5).await;
        putters[2].cancel();
        ticks(5).await;
        log.line(format!("full: {}", py(queue.full())));
        while let Ok(item) = queue.get_nowait() {
            log.line(format!("main got {item}"));
            queue.task_done().unwrap();
            ticks(5).await;
        }

        let mut tasks: Vec<_> = (0..3).map(|n| getter(&log, &queue, n)).collect();
        tasks.extend((0..3).map(|n| putter(&log, &queue, n)));
        all(tasks).await;
        log.line(format!("empty: {}", py(queue.empty())));

        queue.put("last".into()).await.unwrap();
        let joiners = ["first", "second"].map(|name| {
            let (log, queue) = (log.clone(), queue.clone());
            create_task(async move {
                queue.join().await;
                log.line(format!("{name} has joined"));
            })
        });
        ticks(5).await;
        log.line(format!("main got {}", queue.get_nowait().unwrap()));
        queue.task_done().unwrap();
        log.line("main has done it");
        all(joiners.into()).await;
        log.line("main ends");
    });
}

/// What is handed on.
enum Turn {
    Lock(Lock<()>),
    Semaphore(Semaphore),
}

/// Its holder's place.
enum Held<'a> {
    Lock { _guard: LockGuard<'a, ()> },
    Semaphore { _permit: SemaphorePermit<'a> },
}

impl Turn {
    async fn acquire(&self) -> Held<'_> {
        match self {
            Turn::Lock(lock) => Held::Lock { _guard: lock.acquire().await },
            Turn::Semaphore(it) => Held::Semaphore { _permit: it.acquire().await },
        }
    }

    fn locked(&self) -> bool {
        match self {
            Turn::Lock(lock) => lock.locked(),
            Turn::Semaphore(semaphore) => semaphore.locked(),
        }
    }
}

/// A waiter that is cancelled in the tick in which its turn comes is not logged: here it has its turn first (XTR-04).
#[test]
fn locks_and_semaphores_are_handed_on_in_turn_as_in_cpython() {
    fn start<const N: usize>(
        log: &Log,
        turn: &Rc<Turn>,
        names: [&'static str; N],
    ) -> Vec<Task<()>> {
        let start = |name| {
            let (log, turn) = (log.clone(), turn.clone());
            create_task(async move {
                log.line(format!("{name} asks"));
                let body = async {
                    let _held = turn.acquire().await;
                    log.line(format!("{name} holds"));
                    sleep(units(1)).await;
                    log.line(format!("{name} lets go"));
                };
                or_gives_up(&log, name, body).await;
                log.line(format!("{name} ends"));
            })
        };
        names.map(start).into()
    }

    same(include_str!("../../parity/lock_and_semaphore.log"), |log, _, _| async move {
        for (kind, turn) in
            [("lock", Turn::Lock(Lock::new(()))), ("semaphore", Turn::Semaphore(Semaphore::new(1)))]
        {
            log.line(format!("{kind}:"));
            let turn = Rc::new(turn);
            let tasks = start(&log, &turn, ["a", "b", "c", "d"]);
            sleep(units(1) / 2).await;
            tasks[1].cancel();
            all(tasks).await;
            log.line(format!("locked: {}", py(turn.locked())));

            let tasks = start(&log, &turn, ["e", "f"]);
            sleep(units(1) / 2).await;
            tasks[0].cancel();
            all(tasks).await;

            let again = create_task({
                let (log, turn) = (log.clone(), turn.clone());
                async move {
                    for n in 0..2 {
                        log.line(format!("again asks {n}"));
                        let _held = turn.acquire().await;
                        log.line(format!("again holds {n}"));
                        sleep(units(1)).await;
                    }
                }
            });
            let mut tasks = start(&log, &turn, ["waits"]);
            tasks.push(again);
            all(tasks).await;
        }

        let turn = Rc::new(Turn::Semaphore(Semaphore::new(2)));
        let tasks = start(&log, &turn, ["p", "q", "r", "s", "t"]);
        sleep(units(1) / 2).await;
        if let Turn::Semaphore(semaphore) = &*turn {
            semaphore.release();
        }
        log.line("one more");
        all(tasks).await;
        log.line(format!("locked: {}", py(turn.locked())));
    });
}
