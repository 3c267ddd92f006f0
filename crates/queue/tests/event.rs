//! `Event`: who is released by `set`, and what `clear` changes.

mod driver;
mod support;

use std::pin::pin;

use asyncio_queue::Event;
use support::{Log, Tasks, Woken, World, block_on, cancel_everywhere, poll};

/// Behaviour: LCK-10.
#[test]
fn debug_shows_the_flag_and_who_waits() {
    let event = Event::new();
    assert_eq!(format!("{event:?}"), "Event { is_set: false, waiters: 0 }");
    let mut wait = pin!(event.wait());
    assert!(poll(wait.as_mut()).is_pending());
    assert_eq!(format!("{event:?}"), "Event { is_set: false, waiters: 1 }");
    event.set();
    assert!(poll(wait).is_ready());
    assert_eq!(format!("{event:?}"), "Event { is_set: true, waiters: 0 }");
    let statistics = event.statistics();
    assert_eq!((statistics.is_set, statistics.waiters, statistics.waits), (true, 0, 1));
}

/// Behaviour: LCK-11.
#[test]
fn set_releases_all_and_who_finds_it_set_passes_first() {
    let event = Event::new();
    let log = Log::default();
    let wait = async |number: u32| {
        event.wait().await;
        log.borrow_mut().push(number);
    };
    let mut tasks = Tasks::default();
    let waiting: Vec<_> = (1..=3).map(|number| tasks.spawn(wait(number))).collect();
    tasks.settle();
    assert!(log.borrow().is_empty());
    // Spawned first and so ahead in the ready queue, it finds the flag set when it runs.
    let late = tasks.spawn(wait(4));
    event.set();
    tasks.tick();
    assert_eq!(*log.borrow(), [4, 1, 2, 3]);
    assert!(waiting.into_iter().chain([late]).all(|id| tasks.is_done(id)));
}

/// Behaviour: LCK-12.
#[test]
fn waiting_for_a_set_event_returns_at_once_and_a_cancelled_waiter_is_gone() {
    let event = Event::new();
    let mut wait = Box::pin(event.wait());
    assert!(poll(wait.as_mut()).is_pending());
    assert_eq!(event.statistics().waiters, 1);
    drop(wait);
    assert_eq!(event.statistics().waiters, 0);
    event.set();
    block_on(event.wait());
    assert_eq!(event.statistics().waits, 1);
}

/// Behaviour: LCK-13.
#[test]
fn who_waits_at_a_set_is_released_exactly_once_even_if_clear_follows() {
    let event = Event::default();
    event.clear();
    assert!(!event.is_set());
    let (woken, waker) = Woken::new();
    let mut wait = pin!(event.wait());
    assert!(wait.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    event.set();
    event.clear();
    event.set();
    event.set();
    assert_eq!(woken.take(), 1);
    event.clear();
    assert!(poll(wait).is_ready());
    assert!(poll(pin!(event.wait())).is_pending());
}

#[test]
fn a_wait_cancelled_anywhere_disturbs_no_other() {
    let another: fn(&mut World<Event>) = |world| {
        let (event, log) = (world.tool.clone(), world.log.clone());
        world.tasks.spawn(async move {
            event.wait().await;
            log.borrow_mut().push(1);
        });
        world.tasks.tick();
    };
    cancel_everywhere(
        Event::new,
        |event, _| async move { event.wait().await },
        &[another, another, |world| world.tool.set(), |world| world.tool.clear()],
        |world, count| {
            world.tasks.settle();
            assert_eq!(world.log.borrow().len(), if count >= 3 { 2 } else { 0 });
            assert_eq!(world.tool.statistics().waiters, if count >= 3 { 0 } else { count });
        },
    );
}
