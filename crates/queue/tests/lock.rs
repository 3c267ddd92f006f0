//! `Lock`: order, fairness, cancellation, and the guard.

mod driver;
mod support;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

use asyncio_queue::Lock;
use futures_lite::future::yield_now;
use support::{Log, Tasks, World, block_on, cancel_everywhere, poll};

/// Behaviour: LCK-01.
#[test]
fn debug_shows_whether_it_is_locked_and_who_waits() {
    let lock = Lock::new(());
    assert_eq!(format!("{lock:?}"), "Lock { locked: false, waiters: 0 }");
    let guard = lock.acquire_nowait().unwrap();
    let mut wait = pin!(lock.acquire());
    assert!(poll(wait.as_mut()).is_pending());
    assert_eq!(format!("{lock:?}"), "Lock { locked: true, waiters: 1 }");
    let statistics = lock.statistics();
    assert_eq!((statistics.locked, statistics.waiters, statistics.waits), (true, 1, 1));
    drop(guard);
    assert_eq!(format!("{lock:?}"), "Lock { locked: false, waiters: 1 }");
}

/// Behaviour: LCK-03.
#[test]
fn each_release_lets_exactly_the_next_one_in() {
    let lock = Lock::new(());
    let log = Log::default();
    let enter = async |number: u32, rounds: u32| {
        let _guard = lock.acquire().await;
        log.borrow_mut().push(number);
        for _ in 0..rounds {
            yield_now().await;
        }
    };
    let mut tasks = Tasks::default();
    let guard = lock.acquire_nowait().unwrap();
    for number in 1..=3 {
        tasks.spawn(enter(number, 2));
    }
    tasks.settle();
    assert!(log.borrow().is_empty());
    drop(guard);
    // The lock is free now, and yet a newcomer does not get it.
    assert!(!lock.locked());
    assert!(lock.acquire_nowait().is_err());
    tasks.spawn(enter(4, 0));
    for expected in [&[1][..], &[1], &[1], &[1, 2], &[1, 2], &[1, 2], &[1, 2, 3]] {
        tasks.tick();
        assert_eq!(*log.borrow(), expected);
    }
    tasks.settle();
    assert_eq!(*log.borrow(), [1, 2, 3, 4]);
    assert!(!lock.locked());
}

/// Behaviour: LCK-04.
#[test]
fn a_cancelled_waiter_is_gone() {
    let lock = Lock::new(());
    let _guard = lock.acquire_nowait().unwrap();
    let mut wait = Box::pin(lock.acquire());
    assert!(poll(wait.as_mut()).is_pending());
    assert_eq!(lock.statistics().waiters, 1);
    drop(wait);
    assert_eq!(lock.statistics().waiters, 0);
}

/// Behaviour: LCK-05.
#[test]
fn release_and_cancellation_of_the_first_waiter_in_one_tick_let_the_second_in() {
    for cancelled_first in [false, true] {
        let lock = Lock::new(());
        let mut tasks = Tasks::default();
        let guard = lock.acquire_nowait().unwrap();
        let enter = async || drop(lock.acquire().await);
        let first = tasks.spawn(enter());
        let second = tasks.spawn(enter());
        tasks.settle();
        if cancelled_first {
            tasks.cancel(first);
            drop(guard);
        } else {
            drop(guard);
            tasks.cancel(first);
        }
        tasks.settle();
        assert!(tasks.is_done(second));
    }
}

/// Behaviour: LCK-06.
#[test]
fn a_woken_waiter_that_is_cancelled_passes_the_lock_to_the_next_only() {
    let lock = Lock::new(());
    let guard = lock.acquire_nowait().unwrap();
    let mut waits = [0; 3].map(|_| Box::pin(lock.acquire()));
    for wait in &mut waits {
        assert!(poll(wait.as_mut()).is_pending());
    }
    drop(guard);
    let [first, mut second, mut third] = waits;
    drop(first);
    assert!(poll(third.as_mut()).is_pending());
    let std::task::Poll::Ready(guard) = poll(second.as_mut()) else {
        panic!("the second one was not woken")
    };
    assert!(poll(third.as_mut()).is_pending());
    drop(guard);
    assert!(poll(third.as_mut()).is_ready());
}

/// Behaviour: LCK-07.
#[test]
fn the_lock_goes_to_a_later_task_if_the_first_waiter_is_cancelled_after_the_release() {
    let lock = Lock::new(0);
    let mut tasks = Tasks::default();
    let mut guard = lock.acquire_nowait().unwrap();
    *guard = 1;
    let first = tasks.spawn(async { *lock.acquire().await = 2 });
    tasks.settle();
    drop(guard);
    tasks.cancel(first);
    assert!(!lock.locked());
    tasks.spawn(async { *lock.acquire().await += 10 });
    tasks.settle();
    assert!(tasks.all_done());
    assert_eq!(*lock.acquire_nowait().unwrap(), 11);
}

/// Behaviour: LCK-09.
#[test]
fn the_guard_locks_for_as_long_as_it_lives_on_every_way_out() {
    let lock = Lock::from(String::new());
    block_on(async {
        let mut guard = lock.acquire().await;
        guard.push('a');
        assert!(lock.locked());
        assert_eq!(format!("{guard} {guard:?}"), "a \"a\"");
    });
    assert!(!lock.locked());
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut guard = block_on(lock.acquire());
        guard.push('b');
        panic!("while it is held");
    }));
    assert!(outcome.is_err());
    assert!(!lock.locked());
    assert_eq!(lock.into_inner(), "ab");
}

#[test]
fn an_unsized_value_can_be_locked() {
    let mut lock: Box<Lock<[u8]>> = Box::new(Lock::new([1, 2, 3]));
    lock.acquire_nowait().unwrap()[0] = 7;
    assert_eq!(lock.get_mut(), [7, 2, 3]);
}

#[test]
fn a_forgotten_guard_leaves_the_lock_locked() {
    let lock = Lock::new(());
    std::mem::forget(lock.acquire_nowait().unwrap());
    assert!(lock.locked());
    assert!(poll(pin!(lock.acquire())).is_pending());
    let error = lock.acquire_nowait().unwrap_err();
    assert_eq!(error.to_string(), "acquiring would have to wait");
}

#[test]
fn many_tasks_never_meet_inside() {
    let (lock, inside) = (Lock::new(0), Cell::new(false));
    let mut tasks = Tasks::default();
    for number in 0..20 {
        let (lock, inside) = (&lock, &inside);
        tasks.spawn(async move {
            for round in 0..5 {
                let mut guard = lock.acquire().await;
                assert!(!inside.replace(true));
                for _ in 0..(number + round) % 3 {
                    yield_now().await;
                }
                *guard += 1;
                inside.set(false);
            }
        });
    }
    tasks.settle();
    assert!(tasks.all_done());
    drop(tasks);
    assert_eq!(lock.into_inner(), 100);
}

#[test]
fn an_acquire_cancelled_anywhere_loses_no_lock_and_no_wake_up() {
    let hold: fn(&mut World<Lock<()>>) = |world| {
        // A task that takes the lock, and releases it two of its steps later.
        let (lock, log) = (world.tool.clone(), world.log.clone());
        world.tasks.spawn(async move {
            let _guard = lock.acquire().await;
            yield_now().await;
            yield_now().await;
            log.borrow_mut().push(1);
        });
        world.tasks.tick();
    };
    let tick: fn(&mut World<Lock<()>>) = |world| world.tasks.tick();
    for events in [[hold, hold, tick, tick, tick, tick], [hold, tick, hold, tick, tick, tick]] {
        cancel_everywhere(
            || Lock::new(()),
            |lock, log| async move {
                yield_now().await;
                let _guard = lock.acquire().await;
                yield_now().await;
                log.borrow_mut().push(100);
            },
            &events,
            |world, count| {
                world.tasks.settle();
                assert!(world.tasks.all_done(), "a waiter was not woken");
                assert!(!world.tool.locked());
                assert_eq!(world.tool.statistics().waiters, 0);
                let holders = events[..count].iter().filter(|event| is(**event, hold)).count();
                assert_eq!(world.log.borrow().iter().filter(|&&n| n == 1).count(), holders);
            },
        );
    }
}

/// Whether two events are the same one.
fn is(a: fn(&mut World<Lock<()>>), b: fn(&mut World<Lock<()>>)) -> bool {
    std::ptr::fn_addr_eq(a, b)
}

#[test]
fn a_waiter_that_was_woken_and_is_never_polled_shows_in_the_statistics() {
    let lock = Lock::new(());
    let guard = lock.acquire_nowait().unwrap();
    let (mut kept, mut behind) = (Box::pin(lock.acquire()), pin!(lock.acquire()));
    assert!(poll(kept.as_mut()).is_pending() && poll(behind.as_mut()).is_pending());
    assert_eq!(lock.statistics().woken, 0);
    drop(guard);
    assert!(poll(behind.as_mut()).is_pending(), "the lock is free, and it is not its turn");
    let statistics = lock.statistics();
    assert_eq!((statistics.locked, statistics.waiters, statistics.woken), (false, 2, 1));
    drop(kept);
    assert!(poll(behind).is_ready());
}
