//! `CapacityLimiter`: so many at a time, also when that changes.

mod driver;
mod support;

use std::pin::pin;

use asyncio_queue::CapacityLimiter;
use futures_lite::future::yield_now;
use support::{World, cancel_everywhere, poll};

#[test]
fn tokens_go_to_those_who_came_first() {
    let limiter = CapacityLimiter::new(1);
    let token = limiter.acquire_nowait().unwrap();
    let (mut first, mut second) = (pin!(limiter.acquire()), pin!(limiter.acquire()));
    assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    drop(token);
    assert!(limiter.acquire_nowait().is_err());
    assert!(poll(second.as_mut()).is_pending());
    let std::task::Poll::Ready(token) = poll(first) else { panic!("it was not woken") };
    assert_eq!(
        format!("{limiter:?}"),
        "CapacityLimiter { total_tokens: 1, borrowed_tokens: 1, waiters: 1 }"
    );
    drop(token);
    assert!(poll(second).is_ready());
    assert_eq!((limiter.available_tokens(), limiter.statistics().waits), (1, 2));
}

#[test]
fn more_tokens_let_waiters_in_and_fewer_take_effect_as_they_come_back() {
    let limiter = CapacityLimiter::new(0);
    let mut waits = [0; 3].map(|_| Box::pin(limiter.acquire()));
    for wait in &mut waits {
        assert!(poll(wait.as_mut()).is_pending());
    }
    limiter.set_total_tokens(2);
    assert_eq!((limiter.total_tokens(), limiter.borrowed_tokens()), (2, 2));
    limiter.set_total_tokens(1);
    let [mut first, second, mut third] = waits;
    let first = poll(first.as_mut());
    assert!(first.is_ready());
    // It had been given a token that it does not fetch; but there are too many out.
    drop(second);
    assert!(poll(third.as_mut()).is_pending());
    drop(first);
    assert!(poll(third.as_mut()).is_ready());
}

#[test]
fn a_newcomer_behind_a_woken_waiter_gets_the_other_free_token() {
    let limiter = CapacityLimiter::new(2);
    let tokens = [(); 2].map(|()| limiter.acquire_nowait().unwrap());
    let (mut woken, mut newcomer) = (pin!(limiter.acquire()), pin!(limiter.acquire()));
    assert!(poll(woken.as_mut()).is_pending());
    drop(tokens);
    assert!(poll(newcomer.as_mut()).is_pending());
    let token = poll(woken);
    assert!(token.is_ready());
    // The first one is still at work.
    assert!(poll(newcomer).is_ready());
    drop(token);
}

#[test]
fn an_acquire_cancelled_anywhere_loses_no_token() {
    let hold: fn(&mut World<CapacityLimiter>) = |world| {
        let limiter = world.tool.clone();
        world.tasks.spawn(async move {
            let _token = limiter.acquire().await;
            yield_now().await;
        });
        world.tasks.tick();
    };
    cancel_everywhere(
        || CapacityLimiter::new(1),
        |limiter, _| async move {
            let _token = limiter.acquire().await;
            yield_now().await;
        },
        &[
            hold,
            hold,
            |world| world.tool.set_total_tokens(2),
            hold,
            |world| world.tool.set_total_tokens(1),
            |world| world.tasks.tick(),
        ],
        |world, _| {
            world.tasks.settle();
            assert!(world.tasks.all_done());
            assert_eq!((world.tool.borrowed_tokens(), world.tool.statistics().waiters), (0, 0));
        },
    );
}
