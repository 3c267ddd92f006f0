//! `Watch` and `Broadcast`: the latest of something, or all of it.

mod driver;
mod support;

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;

use asyncio_queue::{Broadcast, BroadcastError, QueueShutDown, Subscriber, Watch};
use support::{Log, Tasks, World, block_on, cancel_everywhere, poll};

#[test]
fn a_watcher_sees_the_latest_and_may_skip_what_was_in_between() {
    let watch = Watch::new(0);
    let seen = watch.version();
    {
        let mut changed = pin!(watch.changed(seen));
        assert!(poll(changed.as_mut()).is_pending());
        let former = watch.get();
        watch.set(1);
        watch.set(2);
        assert!(poll(changed).is_ready());
        assert_eq!((*former, *watch.get()), (0, 2));
    }
    // Whoever has not looked yet does not wait.
    let now = block_on(watch.changed(seen));
    assert_eq!(now, watch.version());
    assert!(poll(pin!(watch.changed(now))).is_pending());
    let statistics = watch.statistics();
    assert_eq!((statistics.changes, statistics.waiters, statistics.waits), (2, 0, 2));
    assert_eq!(format!("{watch:?}"), "Watch { changes: 2, waiters: 0, .. }");
}

#[test]
fn a_value_is_replaced_before_the_former_one_is_dropped() {
    struct Nosy(Rc<RefCell<Vec<u32>>>, Rc<Watch<Option<Nosy>>>);
    impl Drop for Nosy {
        fn drop(&mut self) {
            let latest = self.1.get();
            self.0.borrow_mut().push(u32::from(latest.is_some()));
        }
    }
    let (log, watch) = (Rc::default(), Rc::new(Watch::new(None)));
    watch.set(Some(Nosy(Rc::clone(&log), watch.clone())));
    watch.set(None);
    assert_eq!(*log.borrow(), [0]);
}

#[test]
fn a_wait_for_a_change_cancelled_anywhere_disturbs_no_other() {
    let another: fn(&mut World<Watch<u32>>) = |world| {
        let (watch, log) = (world.tool.clone(), world.log.clone());
        world.tasks.spawn(async move {
            let value = watch.wait_for(|value| *value >= 2).await;
            log.borrow_mut().push(*value);
        });
        world.tasks.tick();
    };
    cancel_everywhere(
        || Watch::new(0),
        |watch, _| async move {
            let seen = watch.changed(watch.version()).await;
            watch.changed(seen).await;
            watch.wait_for(|value| *value > 7).await;
        },
        &[another, |world| world.tool.set(1), another, |world| world.tool.set(2)],
        |world, count| {
            world.tasks.settle();
            let expected: &[u32] = if count == 4 { &[2, 2] } else { &[] };
            assert_eq!(*world.log.borrow(), expected);
        },
    );
}

#[test]
fn a_wait_for_a_value_cancelled_anywhere_disturbs_no_other() {
    let another: fn(&mut World<Watch<u32>>) = |world| {
        let (watch, log) = (world.tool.clone(), world.log.clone());
        world.tasks.spawn(async move {
            let value = *watch.wait_for(|value| *value > 1).await;
            log.borrow_mut().push(value);
        });
        world.tasks.tick();
    };
    cancel_everywhere(
        || Watch::new(0),
        |watch, log| async move {
            let value = *watch.wait_for(|value| *value > 1).await;
            log.borrow_mut().push(100 + value);
        },
        // The first change wakes all in vain.
        &[another, |world| world.tool.set(1), another, |world| world.tool.set(7)],
        |world, count| {
            world.tasks.settle();
            let theirs = world.log.borrow().iter().filter(|&&value| value == 7).count();
            assert_eq!(theirs, if count == 4 { 2 } else { 0 });
            assert!(world.log.borrow().iter().all(|value| [7, 107].contains(value)));
            let waiting = [0, 1, 1, 2, 0][count];
            assert_eq!(world.tool.statistics().waiters, waiting, "after {count} events");
        },
    );
}

#[test]
fn each_subscriber_gets_all_from_its_subscription_on() {
    let news = Rc::new(Broadcast::new(3));
    news.put(0).unwrap();
    let log = Log::default();
    let mut tasks = Tasks::default();
    for number in [10, 20] {
        let mut reader = Subscriber::new(news.clone());
        let log = &log;
        tasks.spawn(async move {
            loop {
                match reader.get().await {
                    Ok(item) => log.borrow_mut().push(number + *item),
                    Err(error) => return assert_eq!(error, BroadcastError::ShutDown),
                }
            }
        });
    }
    tasks.settle();
    assert_eq!((news.statistics().subscribers, news.statistics().waiters), (2, 2));
    news.put(1).unwrap();
    news.put(2).unwrap();
    tasks.settle();
    news.put(3).unwrap();
    news.shutdown();
    assert_eq!(news.put(4), Err(QueueShutDown(4)));
    tasks.settle();
    assert!(tasks.all_done());
    assert_eq!(*log.borrow(), [11, 12, 21, 22, 13, 23]);
    let shown = "Broadcast { kept: 3, capacity: 3, subscribers: 0, is_shutdown: true, .. }";
    assert_eq!(format!("{news:?}"), shown);
}

#[test]
fn a_shutdown_wakes_the_subscribers_that_wait() {
    let news: Broadcast<u8> = Broadcast::new(1);
    let mut tasks = Tasks::default();
    for mut reader in [(); 2].map(|()| news.subscribe()) {
        tasks.spawn(async move { assert_eq!(reader.get().await, Err(BroadcastError::ShutDown)) });
    }
    tasks.settle();
    assert_eq!(news.statistics().waiters, 2);
    news.shutdown();
    tasks.settle();
    assert!(tasks.all_done());
}

#[test]
fn who_is_too_slow_is_told_how_much_it_missed() {
    let news = Broadcast::new(2);
    let mut reader = news.subscribe();
    assert_eq!(reader.get_nowait(), Ok(None));
    for item in 1..=5 {
        news.put(item).unwrap();
    }
    let error = block_on(reader.get()).unwrap_err();
    assert_eq!(error, BroadcastError::Lagged(3));
    assert_eq!(error.to_string(), "missed 3 items");
    assert_eq!(*block_on(reader.get()).unwrap(), 4);
    news.put(6).unwrap();
    assert_eq!(*block_on(reader.get()).unwrap(), 5);
    assert_eq!(*block_on(reader.get()).unwrap(), 6);
    assert_eq!((news.statistics().kept, news.statistics().sent), (2, 6));
    // Even of 0 places there is one.
    assert_eq!(Broadcast::<u8>::new(0).statistics().capacity, 1);
}

#[test]
fn a_get_of_a_subscriber_cancelled_anywhere_misses_nothing() {
    for polls in 0..8_u32 {
        let news = Broadcast::new(4);
        let mut reader = news.subscribe();
        let mut got = Vec::new();
        for item in 0..3 {
            {
                let mut get = pin!(reader.get());
                let first = poll(get.as_mut()).is_pending();
                assert!(first);
                news.put(item).unwrap();
                if polls >> item & 1 == 1 {
                    let std::task::Poll::Ready(item) = poll(get) else { panic!("it is there") };
                    got.push(*item.unwrap());
                }
            }
            while let Some(item) = reader.get_nowait().unwrap() {
                got.push(*item);
            }
        }
        assert_eq!(got, [0, 1, 2]);
        assert_eq!(news.statistics().waiters, 0);
    }
}
