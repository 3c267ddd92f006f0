//! Rows about other threads.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Instant;

use super::Found;
use super::kit::{Runtime, Threads};

/// A task wakes a thread, which wakes the task: there and back.
pub fn thread_wake<R: Runtime>(n: u64) -> Found {
    #[derive(Default)]
    struct Court {
        /// Odd: the thread's turn.
        turn: AtomicU64,
        waker: Mutex<Option<Waker>>,
        is_over: AtomicBool,
    }

    R::run(async {
        let court = Arc::new(Court::default());
        let theirs = court.clone();
        let thread = thread::spawn(move || {
            while !theirs.is_over.load(Ordering::Acquire) {
                if theirs.turn.load(Ordering::Acquire) % 2 == 0 {
                    thread::park();
                    continue;
                }
                let waker = theirs.waker.lock().unwrap().take();
                theirs.turn.fetch_add(1, Ordering::Release);
                waker.unwrap().wake();
            }
        });
        let start = Instant::now();
        for _ in 0..n {
            let mut has_served = false;
            poll_fn(|cx| {
                if !has_served {
                    has_served = true;
                    *court.waker.lock().unwrap() = Some(cx.waker().clone());
                    court.turn.fetch_add(1, Ordering::Release);
                    thread.thread().unpark();
                    return Poll::Pending;
                }
                match court.turn.load(Ordering::Acquire) % 2 {
                    0 => Poll::Ready(()),
                    _ => Poll::Pending,
                }
            })
            .await;
        }
        let found = Found::since(start, n);
        court.is_over.store(true, Ordering::Release);
        thread.thread().unpark();
        thread.join().unwrap();
        found
    })
}

/// One call in another thread after the other.
pub fn to_thread<R: Threads>(n: u64) -> Found {
    R::run(async {
        R::to_thread(|| 0).await;
        let mut sum = 0;
        let start = Instant::now();
        for n in 0..n {
            sum += R::to_thread(move || n).await;
        }
        assert_eq!(sum, n * (n - 1) / 2);
        Found::since(start, n)
    })
}
