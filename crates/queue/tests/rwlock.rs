//! `RwLock`: who may be in together, and in what order they come.

mod driver;
mod support;

use std::cell::Cell;
use std::pin::pin;

use asyncio_queue::RwLock;
use futures_lite::future::yield_now;
use support::{Log, Tasks, World, cancel_everywhere, poll};

#[test]
fn readers_share_and_a_writer_is_alone() {
    let mut lock = RwLock::from(1);
    {
        let (one, other) = (lock.read_nowait().unwrap(), lock.read_nowait().unwrap());
        assert_eq!((*one, *other), (1, 1));
        assert!(lock.write_nowait().is_err());
        assert_eq!(format!("{lock:?}"), "RwLock { read: true, written: false, waiters: 0 }");
    }
    {
        let mut guard = lock.write_nowait().unwrap();
        *guard = 2;
        assert!(lock.read_nowait().is_err() && lock.write_nowait().is_err());
        assert_eq!(
            format!("{lock:?} {guard:?}"),
            "RwLock { read: false, written: true, waiters: 0 } 2"
        );
    }
    assert_eq!(format!("{:?}", lock.read_nowait().unwrap()), "2");
    *lock.get_mut() += 1;
    assert_eq!(lock.into_inner(), 3);
}

#[test]
fn they_come_in_line_and_neighbouring_readers_together() {
    let lock = RwLock::new(());
    let log = Log::default();
    let mut tasks = Tasks::default();
    let guard = lock.read_nowait().unwrap();
    for (number, writes) in [(1, true), (2, false), (3, false), (4, true), (5, false)] {
        let (lock, log) = (&lock, &log);
        tasks.spawn(async move {
            let guards = if writes {
                (Some(lock.write().await), None)
            } else {
                (None, Some(lock.read().await))
            };
            log.borrow_mut().push(number);
            yield_now().await;
            yield_now().await;
            log.borrow_mut().push(-number);
            drop(guards);
        });
    }
    tasks.settle();
    assert!(lock.read_nowait().is_err(), "a reader passes a writer");
    assert_eq!((lock.statistics().waiters, lock.statistics().waits), (5, 5));
    drop(guard);
    tasks.settle();
    assert_eq!(*log.borrow(), [1, -1, 2, 3, -2, -3, 4, -4, 5, -5]);
}

#[test]
fn readers_go_in_when_the_writer_before_them_gives_up() {
    for woken in [false, true] {
        let lock = RwLock::new(());
        let first = lock.read_nowait().unwrap();
        let mut writer = Box::pin(lock.write());
        assert!(poll(writer.as_mut()).is_pending());
        let (mut one, mut other) = (pin!(lock.read()), pin!(lock.read()));
        assert!(poll(one.as_mut()).is_pending() && poll(other.as_mut()).is_pending());
        let mut first = Some(first);
        if woken {
            first = None;
        }
        drop(writer);
        assert!(poll(one).is_ready());
        assert!(poll(other).is_ready());
        drop(first);
    }
}

#[test]
fn an_acquisition_cancelled_anywhere_loses_no_wake_up() {
    fn hold(world: &mut World<RwLock<u32>>, writes: bool) {
        let (lock, log) = (world.tool.clone(), world.log.clone());
        world.tasks.spawn(async move {
            if writes {
                let mut guard = lock.write().await;
                yield_now().await;
                *guard += 1;
            } else {
                let guard = lock.read().await;
                let before = *guard;
                yield_now().await;
                assert_eq!(*guard, before);
            }
            log.borrow_mut().push(1);
        });
        world.tasks.tick();
    }
    let read: fn(&mut World<RwLock<u32>>) = |world| hold(world, false);
    let write: fn(&mut World<RwLock<u32>>) = |world| hold(world, true);
    let tick: fn(&mut World<RwLock<u32>>) = |world| world.tasks.tick();
    for events in [[read, write, read, tick, tick, read], [write, read, read, tick, write, tick]] {
        for writes in [false, true] {
            let holders = Cell::new(0);
            cancel_everywhere(
                || RwLock::new(0),
                |lock, _| async move {
                    if writes {
                        *lock.write().await += 1;
                    } else {
                        let _guard = lock.read().await;
                        yield_now().await;
                    }
                },
                &events,
                |world, count| {
                    world.tasks.settle();
                    assert!(world.tasks.all_done(), "after {count} events");
                    assert!(world.tool.write_nowait().is_ok());
                    assert_eq!(world.tool.statistics().waiters, 0);
                    holders.set(holders.get() + world.log.borrow().len());
                },
            );
            assert!(holders.get() > 0);
        }
    }
}
