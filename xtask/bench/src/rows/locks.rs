//! Rows about locks and semaphores.

use std::rc::Rc;
use std::time::Instant;

use super::Found;
use super::kit::{Lock, Runtime};

/// Nobody else wants it.
pub fn free<R: Runtime, L: Lock>(n: u64) -> Found {
    R::run(async {
        let lock = L::new();
        let start = Instant::now();
        for _ in 0..n {
            lock.hold(async || ()).await;
        }
        Found::since(start, n)
    })
}

/// A hundred tasks want it at any time; whoever has it yields once.
pub fn wanted<R: Runtime, L: Lock>(n: u64) -> Found {
    R::run(async {
        let lock = Rc::new(L::new());
        let each = (n / 100).max(1);
        let start = Instant::now();
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let lock = lock.clone();
                R::spawn(async move {
                    for _ in 0..each {
                        lock.hold(async || R::yield_now().await).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
        Found::since(start, each * 100)
    })
}
