//! `Condition`: the lock on return, who is notified, and notifications that pass on.

mod driver;
mod support;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use asyncio_queue::{Condition, Lock, LockGuard};
use futures_lite::future::yield_now;
use support::{Log, Tasks, World, block_on, cancel_everywhere, poll};

/// Behaviour: LCK-14.
#[test]
fn notify_wakes_in_order_and_each_must_get_the_lock_again() {
    let condition = Condition::new(());
    let log = Log::default();
    let mut tasks = Tasks::default();
    for number in 1..=3 {
        let (condition, log) = (&condition, &log);
        tasks.spawn(async move {
            let guard = condition.acquire().await;
            let guard = condition.wait(guard).await;
            log.borrow_mut().push(number);
            // Keeps the lock for one tick.
            yield_now().await;
            drop(guard);
        });
    }
    tasks.settle();
    assert!(!condition.locked());
    let guard = condition.acquire_nowait().unwrap();
    condition.notify(&guard, 1);
    tasks.settle();
    assert!(log.borrow().is_empty(), "the lock is held");
    drop(guard);
    tasks.settle();
    assert_eq!(*log.borrow(), [1]);

    let guard = condition.acquire_nowait().unwrap();
    condition.notify(&guard, 1);
    condition.notify(&guard, 2);
    tasks.settle();
    assert_eq!(*log.borrow(), [1]);
    drop(guard);
    tasks.tick();
    assert_eq!(*log.borrow(), [1, 2]);
    tasks.settle();
    assert_eq!(*log.borrow(), [1, 2, 3]);
    assert!(tasks.all_done() && !condition.locked());
}

/// That it cannot be used without a lock, the types see to; here, that it must be the right one.
/// Behaviour: LCK-15.
#[test]
fn a_guard_of_another_lock_is_refused() {
    let (condition, other) = (Condition::new(0), Lock::new(0));
    let refused = |body: &dyn Fn()| {
        let message =
            *catch_unwind(AssertUnwindSafe(body)).unwrap_err().downcast::<&str>().unwrap();
        assert_eq!(message, "the guard must be of the condition's own lock");
    };
    refused(&|| condition.notify(&other.acquire_nowait().unwrap(), 1));
    refused(&|| condition.notify_all(&other.acquire_nowait().unwrap()));
    refused(&|| drop(block_on(condition.wait(other.acquire_nowait().unwrap()))));
    refused(&|| {
        drop(block_on(condition.wait_for(other.acquire_nowait().unwrap(), |_| true)));
    });
    assert!(!other.locked() && !condition.locked());
}

/// Behaviour: LCK-19.
#[test]
fn wait_for_checks_at_each_notification_and_returns_what_it_found() {
    let condition = Condition::new(0_u32);
    let checks = Cell::new(0);
    let found = Cell::new(0);
    let mut tasks = Tasks::default();
    tasks.spawn(async {
        let guard = condition.acquire().await;
        let (_guard, value) = condition
            .wait_for_some(guard, |value| {
                checks.set(checks.get() + 1);
                (*value > 2).then_some(*value * 10)
            })
            .await;
        found.set(value);
    });
    tasks.settle();
    for round in 1..=3 {
        assert_eq!((checks.get(), found.get()), (round, 0));
        let mut value = condition.acquire_nowait().unwrap();
        *value += 1;
        condition.notify(&value, 1);
        drop(value);
        tasks.settle();
    }
    assert_eq!((checks.get(), found.get()), (4, 30));
    assert!(tasks.all_done());
    // What holds already is not waited for.
    let guard = condition.acquire_nowait().unwrap();
    assert!(poll(pin!(condition.wait_for(guard, |value| *value == 3))).is_ready());
    assert_eq!(condition.statistics().waits, 3);
}

/// Behaviour: LCK-20.
#[test]
fn notifications_are_for_those_who_wait_and_not_kept() {
    let condition = Condition::new(());
    let woken = Cell::new(0);
    let wait = async || {
        let guard = condition.acquire().await;
        drop(condition.wait(guard).await);
        woken.set(woken.get() + 1);
    };
    let mut tasks = Tasks::default();
    let notify = |n| condition.notify(&condition.acquire_nowait().unwrap(), n);
    notify(5);
    for _ in 0..3 {
        tasks.spawn(wait());
    }
    tasks.settle();
    for round in 0..3 {
        assert_eq!(woken.get(), round);
        notify(1);
        tasks.settle();
    }
    assert_eq!(woken.get(), 3);
    for _ in 0..3 {
        tasks.spawn(wait());
    }
    tasks.settle();
    notify(0);
    tasks.settle();
    assert_eq!(woken.get(), 3);
    notify(2048);
    tasks.settle();
    assert_eq!(woken.get(), 6);
    for _ in 0..3 {
        tasks.spawn(wait());
    }
    tasks.settle();
    condition.notify_all(&condition.acquire_nowait().unwrap());
    tasks.settle();
    assert_eq!(woken.get(), 9);
    assert!(tasks.all_done());
}

/// Behaviour: LCK-21.
#[test]
fn debug_shows_the_lock_and_who_waits() {
    let condition = Condition::<()>::default();
    assert_eq!(format!("{condition:?}"), "Condition { locked: false, waiters: 0 }");
    let guard = condition.acquire_nowait().unwrap();
    assert_eq!(format!("{condition:?}"), "Condition { locked: true, waiters: 0 }");
    let mut wait = pin!(condition.wait(guard));
    assert!(poll(wait.as_mut()).is_pending());
    assert_eq!(format!("{condition:?}"), "Condition { locked: false, waiters: 1 }");
    let statistics = condition.statistics();
    assert_eq!((statistics.locked, statistics.waiters, statistics.waits), (false, 1, 1));
}

/// Behaviour: LCK-22.
#[test]
fn a_shared_lock_shows_on_both_sides() {
    let lock = Rc::new(Lock::new(1));
    let condition = Condition::with_lock(lock.clone());
    let borrowed = Condition::with_lock(&*lock);
    block_on(async {
        let guard = condition.acquire().await;
        assert!(lock.locked() && borrowed.locked() && condition.locked());
        assert!(lock.acquire_nowait().is_err());
        // A guard of the lock serves all its conditions.
        borrowed.notify_all(&guard);
        drop(guard);
        let guard = lock.acquire().await;
        assert!(condition.locked() && condition.acquire_nowait().is_err());
        assert!(poll(pin!(condition.wait(guard))).is_pending());
        assert!(!lock.locked());
    });
    assert!(std::ptr::eq(condition.lock(), &*lock));
    assert!(!condition.into_lock().locked());
    assert_eq!(*lock.acquire_nowait().unwrap(), 1);
}

/// An executor may poll inside of a wake: then the release itself brings the notification.
#[test]
fn who_gets_the_lock_by_the_release_of_a_wait_can_notify_that_wait() {
    type Acquire = Pin<Box<dyn Future<Output = LockGuard<'static, ()>>>>;
    thread_local! {
        static CONDITION: &'static Condition = Box::leak(Box::default());
        static ACQUIRE: RefCell<Option<Acquire>> = const { RefCell::new(None) };
    }
    struct PollsAtOnce;
    impl Wake for PollsAtOnce {
        fn wake(self: Arc<Self>) {
            let mut acquire = ACQUIRE.take().unwrap();
            let Poll::Ready(guard) = poll(acquire.as_mut()) else { panic!("it is free") };
            CONDITION.with(|condition| *condition).notify(&guard, 1);
        }
    }
    let condition = CONDITION.with(|condition| *condition);
    let guard = condition.acquire_nowait().unwrap();
    let mut acquire: Acquire = Box::pin(condition.acquire());
    let waker = Waker::from(Arc::new(PollsAtOnce));
    assert!(acquire.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    ACQUIRE.set(Some(acquire));
    let mut wait = pin!(condition.wait(guard));
    assert!(poll(wait.as_mut()).is_pending());
    assert!(poll(wait).is_ready());
}

#[test]
fn a_waiter_cancelled_after_its_notification_passes_it_on() {
    for holds_the_lock in [false, true] {
        let condition = Condition::new(());
        let wait = async || drop(condition.wait(condition.acquire().await).await);
        let mut tasks = Tasks::default();
        let (first, second, third) =
            (tasks.spawn(wait()), tasks.spawn(wait()), tasks.spawn(wait()));
        tasks.settle();
        let guard = condition.acquire_nowait().unwrap();
        condition.notify(&guard, 1);
        if holds_the_lock {
            // It has resumed, and waits for the lock.
            tasks.settle();
        }
        tasks.cancel(first);
        drop(guard);
        tasks.settle();
        assert!(tasks.is_done(second) && !tasks.is_done(third));
        assert!(!condition.locked());
    }
}

#[test]
fn a_wait_cancelled_anywhere_loses_no_notification_and_no_lock() {
    let wait: fn(&mut World<Condition<u32>>) = |world| {
        let (condition, log) = (world.tool.clone(), world.log.clone());
        world.tasks.spawn(async move {
            let guard = condition.acquire().await;
            *condition.wait_for(guard, |tokens| *tokens > 0).await -= 1;
            log.borrow_mut().push(1);
        });
        world.tasks.settle();
    };
    let notify: fn(&mut World<Condition<u32>>) = |world| {
        let condition = world.tool.clone();
        world.tasks.spawn(async move {
            let mut tokens = condition.acquire().await;
            *tokens += 1;
            condition.notify(&tokens, 1);
            yield_now().await;
        });
        world.tasks.tick();
    };
    cancel_everywhere(
        || Condition::new(0),
        |condition, log| async move {
            let guard = condition.acquire().await;
            *condition.wait_for(guard, |tokens| *tokens > 0).await -= 1;
            log.borrow_mut().push(100);
        },
        &[wait, notify, |world| world.tasks.tick(), wait, notify, notify],
        |world, count| {
            world.tasks.settle();
            let (waiters, notified) =
                [(0, 0), (1, 0), (1, 1), (1, 1), (2, 1), (2, 2), (2, 3)][count];
            let ours = usize::from(world.log.borrow().contains(&100));
            let theirs = world.log.borrow().iter().filter(|&&who| who == 1).count();
            assert_eq!(theirs, waiters.min(notified - ours), "after {count} events");
            assert!(!world.tool.locked());
            assert_eq!(world.tool.statistics().waiters, waiters - theirs);
        },
    );
}
