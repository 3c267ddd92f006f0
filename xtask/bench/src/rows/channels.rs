//! Rows about handing things over between two tasks of one thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use super::Found;
use super::kit::{Channel, Oneshot, Runtime};

fn hand_over<R: Runtime, C: Channel>(n: u64, capacity: usize) -> Found {
    R::run(async {
        let (sender, mut receiver) = C::new(capacity);
        let start = Instant::now();
        let getter = R::spawn(async move {
            for n in 0..n {
                assert_eq!(C::receive(&mut receiver).await, n);
            }
        });
        let putter = R::spawn(async move {
            for n in 0..n {
                C::send(&sender, n).await;
            }
        });
        putter.await;
        getter.await;
        Found::since(start, n)
    })
}

pub fn queue_1<R: Runtime, C: Channel>(n: u64) -> Found {
    hand_over::<R, C>(n, 1)
}

pub fn queue_128<R: Runtime, C: Channel>(n: u64) -> Found {
    hand_over::<R, C>(n, 128)
}

/// A capacity of 0 is none. Blocks of 1 000, so that memory is not what is measured.
pub fn queue_unbounded<R: Runtime, C: Channel>(n: u64) -> Found {
    R::run(async {
        let (sender, mut receiver) = C::new(0);
        let start = Instant::now();
        let getter = R::spawn(async move {
            for n in 0..n {
                assert_eq!(C::receive(&mut receiver).await, n);
            }
        });
        let putter = R::spawn(async move {
            for n in 0..n {
                C::send(&sender, n).await;
                if n % 1_000 == 999 {
                    R::yield_now().await;
                }
            }
        });
        putter.await;
        getter.await;
        Found::since(start, n)
    })
}

/// Two tasks, each of which resolves what the other waits for.
pub fn future_ping_pong<R: Runtime, O: Oneshot>(n: u64) -> Found {
    type Slot<S> = Rc<RefCell<Option<S>>>;

    async fn player<R: Runtime, O: Oneshot>(
        mine: Slot<O::Sender>,
        theirs: Slot<O::Sender>,
        n: u64,
    ) {
        for n in 0..n {
            let (sender, receiver) = O::new();
            *mine.borrow_mut() = Some(sender);
            let other = theirs.borrow_mut().take();
            if let Some(other) = other {
                O::send(other, n);
            }
            O::receive(receiver).await;
        }
        let other = theirs.borrow_mut().take();
        if let Some(other) = other {
            O::send(other, n);
        }
    }

    R::run(async {
        let slots: [Slot<O::Sender>; 2] = Default::default();
        let start = Instant::now();
        let ping = R::spawn(player::<R, O>(slots[0].clone(), slots[1].clone(), n / 2));
        let pong = R::spawn(player::<R, O>(slots[1].clone(), slots[0].clone(), n / 2));
        ping.await;
        pong.await;
        Found::since(start, n / 2 * 2)
    })
}
