//! `Semaphore`: permits, strict order, and permits of waiters that are cancelled.

mod driver;
mod support;

use std::pin::pin;

use asyncio_queue::Semaphore;
use futures_lite::future::yield_now;
use support::{Log, Tasks, World, block_on, cancel_everywhere, poll};

/// Behaviour: LCK-28.
#[test]
fn debug_shows_the_value_and_who_waits() {
    let semaphore = Semaphore::new(1);
    assert_eq!(format!("{semaphore:?}"), "Semaphore { value: 1, waiters: 0 }");
    let permit = semaphore.acquire_nowait().unwrap();
    let mut wait = pin!(semaphore.acquire());
    assert!(poll(wait.as_mut()).is_pending());
    assert_eq!(format!("{semaphore:?}"), "Semaphore { value: 0, waiters: 1 }");
    assert_eq!(format!("{permit:?}"), "SemaphorePermit { .. }");
    let statistics = semaphore.statistics();
    assert_eq!((statistics.value, statistics.waiters, statistics.waits), (0, 1, 1));
}

/// Behaviour: LCK-27.
#[test]
fn a_semaphore_of_zero_is_locked_and_its_type_has_no_negative_value() {
    let semaphore = Semaphore::new(usize::MIN);
    assert!(semaphore.locked());
    assert!(semaphore.acquire_nowait().is_err());
    semaphore.release();
    assert!(!semaphore.locked());
    assert_eq!(semaphore.value(), 1);
}

/// Behaviour: LCK-29.
#[test]
fn two_releases_serve_exactly_two_of_those_who_wait() {
    let semaphore = Semaphore::new(3);
    let log = Log::default();
    let mut tasks = Tasks::default();
    let _permits = [semaphore.acquire_nowait().unwrap(), semaphore.acquire_nowait().unwrap()];
    let enter = async |number: u32| {
        semaphore.acquire().await.forget();
        log.borrow_mut().push(number);
    };
    for number in 1..=4 {
        tasks.spawn(enter(number));
    }
    tasks.settle();
    assert_eq!(*log.borrow(), [1]);
    assert!(semaphore.locked());
    assert_eq!(semaphore.statistics().waiters, 3);
    semaphore.release();
    semaphore.release();
    assert_eq!(semaphore.value(), 0, "both are taken on behalf of those who wait");
    tasks.settle();
    assert_eq!(*log.borrow(), [1, 2, 3]);
    assert_eq!((semaphore.value(), semaphore.statistics().waiters), (0, 1));
}

/// Behaviour: LCK-30.
#[test]
fn a_cancelled_waiter_is_gone() {
    let semaphore = Semaphore::new(0);
    let mut wait = Box::pin(semaphore.acquire());
    assert!(poll(wait.as_mut()).is_pending());
    drop(wait);
    assert_eq!(semaphore.statistics().waiters, 0);
}

/// Behaviour: LCK-31, LCK-32.
#[test]
fn one_release_serves_the_first_that_was_not_cancelled() {
    let semaphore = Semaphore::new(0);
    let log = Log::default();
    let mut tasks = Tasks::default();
    let enter = async |number: u32| {
        semaphore.acquire().await.forget();
        log.borrow_mut().push(number);
    };
    let ids: Vec<_> = (1..=4).map(|number| tasks.spawn(enter(number))).collect();
    tasks.settle();
    tasks.cancel(ids[0]);
    tasks.cancel(ids[1]);
    semaphore.release();
    tasks.settle();
    assert_eq!(*log.borrow(), [3]);
    assert!(!tasks.is_done(ids[3]));
    assert!(semaphore.locked());
}

/// Behaviour: LCK-33.
#[test]
fn a_permit_handed_to_a_waiter_that_is_cancelled_comes_back() {
    let semaphore = Semaphore::new(1);
    let permit = semaphore.acquire_nowait().unwrap();
    let mut wait = Box::pin(semaphore.acquire());
    assert!(poll(wait.as_mut()).is_pending());
    drop(permit);
    assert_eq!(semaphore.value(), 0);
    assert!(semaphore.locked());
    drop(wait);
    assert_eq!(semaphore.value(), 1);
    drop(block_on(semaphore.acquire()));
}

/// Behaviour: LCK-35.
#[test]
fn who_releases_and_acquires_again_goes_to_the_end() {
    let semaphore = Semaphore::new(1);
    let log = Log::default();
    let twice = async |number: u32| {
        for round in [0, 10] {
            let _permit = semaphore.acquire().await;
            log.borrow_mut().push(round + number);
            yield_now().await;
        }
    };
    let mut tasks = Tasks::default();
    for number in 1..=3 {
        tasks.spawn(twice(number));
    }
    tasks.settle();
    assert_eq!(*log.borrow(), [1, 2, 3, 11, 12, 13]);
}

/// Behaviour: LCK-35.
#[test]
fn a_woken_task_that_releases_and_acquires_again_is_served_last() {
    let semaphore = Semaphore::new(1);
    let log = Log::default();
    let take = async |number: u32| {
        let permit = semaphore.acquire().await;
        log.borrow_mut().push(number);
        permit
    };
    let mut tasks = Tasks::default();
    tasks.spawn(async { take(1).await.forget() });
    tasks.spawn(async {
        drop(take(2).await);
        drop(take(4).await);
    });
    tasks.spawn(async { drop(take(3).await) });
    tasks.settle();
    assert_eq!(*log.borrow(), [1]);
    semaphore.release();
    tasks.settle();
    assert_eq!(*log.borrow(), [1, 2, 3, 4]);
    assert!(tasks.all_done());
}

/// Behaviour: LCK-35.
#[test]
fn newcomers_during_releases_queue_behind_those_who_were_woken() {
    let semaphore = Semaphore::new(0);
    let log = Log::default();
    let take = async |number: u32| {
        semaphore.acquire().await.forget();
        log.borrow_mut().push(number);
    };
    let mut tasks = Tasks::default();
    let first = tasks.spawn(take(1));
    tasks.spawn(take(2));
    tasks.settle();
    // Four permits for two who wait: two are left over, and yet nobody may overtake.
    for _ in 0..4 {
        semaphore.release();
    }
    assert_eq!(semaphore.value(), 2);
    assert!(semaphore.locked());
    assert!(semaphore.acquire_nowait().is_err());
    let mut newcomers = [Box::pin(take(3)), Box::pin(take(4))];
    for newcomer in &mut newcomers {
        assert!(poll(newcomer.as_mut()).is_pending());
    }
    // The first one is cancelled: its permit is the newcomers', but the second one is served first.
    tasks.cancel(first);
    tasks.settle();
    for newcomer in &mut newcomers {
        assert!(poll(newcomer.as_mut()).is_ready());
    }
    assert_eq!(*log.borrow(), [2, 3, 4]);
    assert_eq!(semaphore.value(), 1);
    assert!(!semaphore.locked());
}

#[test]
fn an_acquire_cancelled_anywhere_loses_no_permit_and_no_wake_up() {
    let another: fn(&mut World<Semaphore>) = |world| {
        let (semaphore, log) = (world.tool.clone(), world.log.clone());
        world.tasks.spawn(async move {
            let _permit = semaphore.acquire().await;
            yield_now().await;
            log.borrow_mut().push(1);
        });
        world.tasks.tick();
    };
    let tick: fn(&mut World<Semaphore>) = |world| world.tasks.tick();
    let release: fn(&mut World<Semaphore>) = |world| world.tool.release();
    for events in [
        [another, another, release, tick, tick, tick],
        [another, release, another, release, tick, tick],
        [release, another, tick, another, tick, tick],
    ] {
        cancel_everywhere(
            || Semaphore::new(0),
            |semaphore, _| async move {
                let _permit = semaphore.acquire().await;
                yield_now().await;
            },
            &events,
            |world, count| {
                world.tasks.settle();
                let released =
                    events[..count].iter().filter(|e| std::ptr::fn_addr_eq(**e, release)).count();
                assert_eq!(world.tool.value(), released, "a permit was lost");
                assert!(released == 0 || world.tasks.all_done(), "a waiter was not woken");
            },
        );
    }
}
