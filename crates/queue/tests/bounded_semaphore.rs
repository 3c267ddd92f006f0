//! `BoundedSemaphore`: no more permits than in the beginning.

mod driver;
mod support;

use std::pin::pin;

use asyncio_queue::BoundedSemaphore;
use futures_lite::future::yield_now;
use support::{World, block_on, cancel_everywhere, poll};

/// Behaviour: LCK-34.
#[test]
fn a_release_above_the_start_value_is_refused() {
    let semaphore = BoundedSemaphore::new(1);
    let error = semaphore.release().unwrap_err();
    assert_eq!(error.to_string(), "released more often than acquired");
    block_on(semaphore.acquire()).forget();
    assert!(semaphore.locked());
    assert_eq!(semaphore.release(), Ok(()));
    assert!(!semaphore.locked());
    assert!(semaphore.release().is_err());
    // A permit that is held gives itself back; nobody else can release it.
    let permit = semaphore.acquire_nowait().unwrap();
    assert!(semaphore.release().is_err());
    drop(permit);
    assert_eq!(semaphore.value(), 1);
}

#[test]
fn a_released_permit_goes_to_the_first_waiter() {
    let semaphore = BoundedSemaphore::new(1);
    semaphore.acquire_nowait().unwrap().forget();
    let mut wait = pin!(semaphore.acquire());
    assert!(poll(wait.as_mut()).is_pending());
    assert_eq!(format!("{semaphore:?}"), "BoundedSemaphore { value: 0, bound: 1, waiters: 1 }");
    semaphore.release().unwrap();
    assert!(semaphore.acquire_nowait().is_err());
    assert!(poll(wait).is_ready());
    let statistics = semaphore.statistics();
    assert_eq!((statistics.value, statistics.bound, statistics.waiters), (1, 1, 0));
    assert_eq!((statistics.forgotten, statistics.waits), (0, 1));
}

#[test]
fn an_acquire_cancelled_anywhere_loses_no_permit() {
    let hold: fn(&mut World<BoundedSemaphore>) = |world| {
        let semaphore = world.tool.clone();
        world.tasks.spawn(async move {
            let _permit = semaphore.acquire().await;
            yield_now().await;
        });
        world.tasks.tick();
    };
    let tick: fn(&mut World<BoundedSemaphore>) = |world| world.tasks.tick();
    cancel_everywhere(
        || BoundedSemaphore::new(1),
        |semaphore, _| async move {
            let _permit = semaphore.acquire().await;
            yield_now().await;
        },
        &[hold, hold, tick, hold, tick],
        |world, _| {
            world.tasks.settle();
            assert!(world.tasks.all_done());
            assert_eq!(world.tool.value(), 1);
            assert!(world.tool.release().is_err());
        },
    );
}
