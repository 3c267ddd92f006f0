//! Rows about tasks.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

use super::Found;
use super::kit::{Cancel, Runtime};
use crate::heap;

/// Spawns empty tasks and joins them, a thousand at a time.
pub fn spawn_join<R: Runtime>(n: u64) -> Found {
    R::run(async {
        let mut tasks = Vec::with_capacity(1_000);
        let mut round = async |count| {
            tasks.extend((0..count).map(|_| R::spawn(async {})));
            for task in tasks.drain(..) {
                task.await;
            }
        };
        round(1_000).await;
        let start = Instant::now();
        let mut left = n;
        while left > 0 {
            let count = left.min(1_000);
            round(count).await;
            left -= count;
        }
        Found::since(start, n)
    })
}

/// Tasks that do nothing but yield.
fn yield_among<R: Runtime>(n: u64, tasks: u64) -> Found {
    R::run(async {
        let each = (n / tasks).max(1);
        let start = Instant::now();
        let tasks: Vec<_> = (0..tasks)
            .map(|_| {
                R::spawn(async move {
                    for _ in 0..each {
                        R::yield_now().await;
                    }
                })
            })
            .collect();
        let operations = each * tasks.len() as u64;
        for task in tasks {
            task.await;
        }
        Found::since(start, operations)
    })
}

pub fn yield_2<R: Runtime>(n: u64) -> Found {
    yield_among::<R>(n, 2)
}

pub fn yield_1000<R: Runtime>(n: u64) -> Found {
    yield_among::<R>(n, 1_000)
}

/// Two tasks wake each other in turn.
pub fn wake<R: Runtime>(n: u64) -> Found {
    #[derive(Default)]
    struct Baton {
        holder: Cell<usize>,
        wakers: [RefCell<Option<Waker>>; 2],
    }

    async fn player(baton: Rc<Baton>, me: usize, turns: u64) {
        for _ in 0..turns {
            poll_fn(|cx| {
                if baton.holder.get() == me {
                    return Poll::Ready(());
                }
                let mut waker = baton.wakers[me].borrow_mut();
                if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    *waker = Some(cx.waker().clone());
                }
                Poll::Pending
            })
            .await;
            baton.holder.set(1 - me);
            if let Some(waker) = &*baton.wakers[1 - me].borrow() {
                waker.wake_by_ref();
            }
        }
    }

    R::run(async {
        let baton = Rc::new(Baton::default());
        let start = Instant::now();
        let players = [0, 1].map(|me| R::spawn(player(baton.clone(), me, n / 2)));
        for player in players {
            player.await;
        }
        Found::since(start, n / 2 * 2)
    })
}

/// What a task that waits costs in memory, beyond its future, which is empty.
pub fn parked_bytes<R: Runtime>(n: u64) -> Found {
    R::run(async {
        let mut tasks = Vec::with_capacity(n as usize);
        let first = R::spawn(async {});
        first.await;
        let before = heap::bytes();
        tasks.extend((0..n).map(|_| R::spawn(pending())));
        R::spawn(async {}).await;
        let bytes = (heap::bytes() - before) / n as f64;
        // Taking them down is not what is measured.
        std::mem::forget(tasks);
        println!("operations {n}\nbytes {bytes}");
        std::process::exit(0)
    })
}

/// Cancels tasks that wait, and waits for their ends.
pub fn cancel<R: Cancel>(n: u64) -> Found {
    R::run(async {
        let tasks: Vec<_> = (0..n).map(|_| R::spawn(pending())).collect();
        R::spawn(async {}).await; // all of them wait now
        let start = Instant::now();
        R::cancel_all(tasks).await;
        Found::since(start, n)
    })
}
