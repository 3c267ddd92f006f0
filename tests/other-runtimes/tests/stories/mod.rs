//! Real tasks of a foreign executor on each tool, some of them aborted on the way.
#![allow(dead_code, reason = "who cannot spawn uses a part of it")]

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;

use asyncio_queue::{Barrier, Condition, Event, Lock, PriorityQueue, Queue, Semaphore};
use futures_lite::future::{yield_now, zip};

/// Spawns a task; what it returns aborts the task, and must be kept for as long as the task is to run.
pub(crate) type Spawn<'a> = dyn Fn(Pin<Box<dyn Future<Output = ()>>>) -> Abort + 'a;
type Abort = Box<dyn Fn()>;

/// Runs them all.
pub(crate) async fn all(spawn: &Spawn<'_>) {
    queue(spawn).await;
    tools(spawn).await;
    all_in_one_task().await;
}

/// Workers share a queue; every other one is aborted again and again, and no job is lost but those in its hands.
async fn queue(spawn: &Spawn<'_>) {
    let (jobs, results) = (Rc::new(Queue::new(3)), Rc::new(PriorityQueue::new(0)));
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let (jobs, results) = (jobs.clone(), results.clone());
        tasks.push(spawn(Box::pin(async move {
            while let Ok(job) = jobs.get().await {
                results.put_nowait(job).unwrap();
                jobs.task_done().unwrap();
                yield_now().await;
            }
        })));
    }
    for job in 0..200_u32 {
        // One that gets nothing, since it is aborted while it waits, or before it has begun.
        let idle = jobs.clone();
        let waiting = spawn(Box::pin(async move {
            let room = idle.reserve().await.unwrap();
            yield_now().await;
            drop(room);
        }));
        if job % 2 == 0 {
            yield_now().await;
        }
        waiting();
        jobs.put(job).await.unwrap();
    }
    jobs.join().await;
    jobs.shutdown(false);
    for job in 0..200 {
        assert_eq!(results.get_nowait(), Ok(job));
    }
    assert!(results.empty());
}

/// Twelve tasks pass a lock, a semaphore, a condition and a barrier; four are aborted on the way.
async fn tools(spawn: &Spawn<'_>) {
    struct Tools {
        lock: Lock<u32>,
        two: Semaphore,
        inside: Cell<u32>,
        turn: Condition<u32>,
        barrier: Barrier,
        done: Event,
        order: RefCell<Vec<u32>>,
    }
    let tools = Rc::new(Tools {
        lock: Lock::new(0),
        two: Semaphore::new(2),
        inside: Cell::new(0),
        turn: Condition::new(0),
        barrier: Barrier::new(8).unwrap(),
        done: Event::new(),
        order: RefCell::default(),
    });
    let work = async |tools: Rc<Tools>, number: Option<u32>| {
        {
            let _permit = tools.two.acquire().await;
            tools.inside.set(tools.inside.get() + 1);
            assert!(tools.inside.get() <= 2);
            let mut count = tools.lock.acquire().await;
            tools.inside.set(tools.inside.get() - 1);
            *count += 1;
            yield_now().await;
        }
        // Those to be aborted stop here.
        let number = match number {
            Some(number) => number,
            None => std::future::pending().await,
        };
        let guard = tools.turn.acquire().await;
        let mut turn = tools.turn.wait_for(guard, |turn| *turn == number).await;
        tools.order.borrow_mut().push(number);
        *turn += 1;
        tools.turn.notify_all(&turn);
        drop(turn);
        if tools.barrier.wait().await.unwrap() == 7 {
            tools.done.set();
        }
    };
    let mut tasks = Vec::new();
    let mut doomed = Vec::new();
    for number in (0..8).rev() {
        tasks.push(spawn(Box::pin(work(tools.clone(), Some(number)))));
        if number % 2 == 0 {
            doomed.push(spawn(Box::pin(work(tools.clone(), None))));
        }
    }
    for _ in 0..3 {
        yield_now().await;
    }
    // Until all twelve have been inside.
    while *tools.lock.acquire().await < 12 {
        yield_now().await;
    }
    doomed.iter().for_each(|abort| abort());
    tools.done.wait().await;
    assert_eq!(*tools.order.borrow(), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!((tools.two.value(), tools.lock.locked()), (2, false));
}

/// What needs no tasks: two ends of one future.
pub(crate) async fn all_in_one_task() {
    let queue = Queue::new(1);
    let produce = async {
        for number in 0..100_u32 {
            queue.put(number).await.unwrap();
        }
        queue.shutdown(false);
    };
    let consume = async {
        let mut batch = Vec::new();
        while queue.get_batch(&mut batch, 10).await.is_ok() {}
        batch
    };
    assert_eq!(zip(produce, consume).await.1, (0..100).collect::<Vec<_>>());
}
