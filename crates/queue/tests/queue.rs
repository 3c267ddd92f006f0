//! `Queue`: order, waiting, cancellation, `join`, shutdown.

mod driver;
mod support;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::pin;
use std::rc::Rc;

use asyncio_queue::{GetError, PutError, Queue, QueueShutDown, TaskDoneError};
use futures_lite::future::{yield_now, zip};
use support::{Log, Tasks, World, block_on, cancel_everywhere, poll};

/// Behaviour: QUE-01.
#[test]
fn debug_shows_sizes_waiters_and_shutdown() {
    let queue = Queue::new(1);
    queue.put_nowait('a').unwrap();
    let mut put = pin!(queue.put('b'));
    assert!(poll(put.as_mut()).is_pending());
    assert_eq!(
        format!("{queue:?}"),
        "Queue { maxsize: 1, qsize: 1, getters: 0, putters: 1, unfinished: 1, is_shutdown: false, .. }"
    );
    queue.shutdown(true);
    let statistics = queue.statistics();
    assert_eq!((statistics.maxsize, statistics.qsize, statistics.putters), (1, 0, 1));
    assert_eq!((statistics.unfinished, statistics.is_shutdown), (0, true));
    assert_eq!((statistics.get_waits, statistics.put_waits), (0, 1));
    assert!(poll(put).is_ready());
    assert_eq!(queue.statistics().putters, 0);
}

/// Behaviour: QUE-04.
#[test]
fn a_third_put_into_a_queue_of_two_waits_for_a_get() {
    let queue = Queue::new(2);
    assert_eq!(queue.maxsize(), 2);
    let put_all = async {
        for item in 1..=3 {
            queue.put(item).await.unwrap();
        }
    };
    let mut put_all = pin!(put_all);
    assert!(poll(put_all.as_mut()).is_pending());
    assert!(queue.full());
    assert_eq!(queue.qsize(), 2);
    assert!(poll(put_all.as_mut()).is_pending());
    assert_eq!(block_on(queue.get()), Ok(1));
    assert!(poll(put_all).is_ready());
    assert_eq!(block_on(queue.get()), Ok(2));
    assert_eq!(block_on(queue.get()), Ok(3));
    assert!(queue.empty());
}

/// Behaviour: QUE-05, QUE-11, QUE-18.
#[test]
fn who_waits_is_woken_by_the_other_side() {
    let queue = Queue::new(1);
    let got = Cell::new(0);
    let mut tasks = Tasks::default();
    let getter = tasks.spawn(async { got.set(queue.get().await.unwrap()) });
    tasks.settle();
    assert!(!tasks.is_done(getter));
    queue.put_nowait(1).unwrap();
    tasks.settle();
    assert_eq!(got.get(), 1);

    queue.put_nowait(2).unwrap();
    let putter = tasks.spawn(async { queue.put(3).await.unwrap() });
    tasks.settle();
    assert!(!tasks.is_done(putter));
    assert_eq!(queue.get_nowait(), Ok(2));
    tasks.settle();
    assert!(tasks.is_done(putter));
    assert_eq!(queue.get_nowait(), Ok(3));
}

/// Behaviour: QUE-06.
#[test]
fn the_nowait_forms_fail_on_empty_and_full_and_give_the_item_back() {
    let queue = Queue::new(1);
    assert_eq!(queue.get_nowait(), Err(GetError::Empty));
    queue.put_nowait("a").unwrap();
    let error = queue.put_nowait("b").unwrap_err();
    assert_eq!(error, PutError::Full("b"));
    assert!(error.is_full() && !error.is_shut_down());
    assert_eq!(error.to_string(), "queue is full");
    assert_eq!(error.into_inner(), "b");
    assert_eq!(GetError::Empty.to_string(), "queue is empty");
}

/// Behaviour: QUE-07.
#[test]
fn an_item_goes_to_the_second_getter_if_the_first_is_cancelled() {
    let queue = Queue::new(0);
    let got = Cell::new(0);
    let mut tasks = Tasks::default();
    let first = tasks.spawn(async { got.set(queue.get().await.unwrap()) });
    let second = tasks.spawn(async { got.set(10 + queue.get().await.unwrap()) });
    tasks.settle();
    tasks.cancel(first);
    queue.put_nowait(1).unwrap();
    tasks.settle();
    assert!(tasks.is_done(second));
    assert_eq!(got.get(), 11);
}

/// Behaviour: QUE-08.
#[test]
fn two_waiting_putters_deliver_in_order() {
    let queue = Queue::new(1);
    queue.put_nowait('x').unwrap();
    let mut tasks = Tasks::default();
    tasks.spawn(async { queue.put('a').await.unwrap() });
    tasks.spawn(async { queue.put('b').await.unwrap() });
    tasks.settle();
    for expected in ['x', 'a', 'b'] {
        assert_eq!(queue.get_nowait(), Ok(expected));
        tasks.settle();
    }
    assert!(tasks.all_done());
}

/// Behaviour: QUE-09.
#[test]
fn a_producer_and_a_consumer_finish_over_a_queue_of_one() {
    let queue = Queue::new(1);
    let producer = async {
        for number in 0..5 {
            queue.put(Some(number)).await.unwrap();
        }
        queue.put(None).await.unwrap();
    };
    let consumer = async {
        let mut got = Vec::new();
        while let Some(number) = queue.get().await.unwrap() {
            got.push(number);
        }
        got
    };
    assert_eq!(block_on(zip(producer, consumer)).1, [0, 1, 2, 3, 4]);
}

/// Behaviour: QUE-10.
#[test]
fn a_cancelled_getter_or_putter_leaves_no_trace() {
    let queue = Queue::new(1);
    let mut get = Box::pin(queue.get());
    assert!(poll(get.as_mut()).is_pending());
    assert_eq!(queue.statistics().getters, 1);
    drop(get);
    assert_eq!(queue.statistics().getters, 0);
    queue.put_nowait(1).unwrap();
    let mut put = Box::pin(queue.put(2));
    assert!(poll(put.as_mut()).is_pending());
    assert_eq!(queue.statistics().putters, 1);
    drop(put);
    assert_eq!(queue.statistics().putters, 0);
    assert_eq!((queue.get_nowait(), queue.get_nowait()), (Ok(1), Err(GetError::Empty)));
}

/// Behaviour: QUE-12.
#[test]
fn an_item_stays_if_the_getter_it_woke_is_cancelled() {
    let queue = Queue::new(0);
    let mut get = Box::pin(queue.get());
    assert!(poll(get.as_mut()).is_pending());
    queue.put_nowait(1).unwrap();
    drop(get);
    assert_eq!(block_on(queue.get()), Ok(1));
}

/// Behaviour: QUE-13.
#[test]
fn a_woken_getter_that_is_cancelled_passes_its_wake_up_on() {
    let queue = Queue::new(0);
    let log = Log::default();
    let mut tasks = Tasks::default();
    let getters = [0, 10, 20].map(|offset| {
        let (queue, log) = (&queue, &log);
        tasks.spawn(async move {
            let item: u32 = queue.get().await.unwrap();
            log.borrow_mut().push(offset + item);
        })
    });
    tasks.settle();
    queue.put_nowait(1).unwrap();
    queue.put_nowait(2).unwrap();
    tasks.cancel(getters[0]);
    tasks.settle();
    assert!(tasks.all_done());
    assert_eq!(*log.borrow(), [11, 22]);
}

/// Behaviour: QUE-14, QUE-20.
#[test]
fn room_freed_for_a_putter_that_is_cancelled_can_be_used_by_another() {
    let queue = Queue::new(1);
    queue.put_nowait(1).unwrap();
    let mut put = Box::pin(queue.put(2));
    assert!(poll(put.as_mut()).is_pending());
    assert_eq!(queue.get_nowait(), Ok(1));
    drop(put);
    assert!(queue.empty());
    block_on(queue.put(3)).unwrap();
    assert_eq!(queue.get_nowait(), Ok(3));
    assert_eq!(queue.get_nowait(), Err(GetError::Empty));
    assert_eq!(queue.statistics().unfinished, 2);
}

/// Behaviour: QUE-16.
#[test]
fn a_put_into_an_unbounded_queue_never_waits() {
    let queue = Queue::default();
    for number in 0..100 {
        assert_eq!(poll(pin!(queue.put(number))), std::task::Poll::Ready(Ok(())));
        assert!(!queue.full());
    }
    assert_eq!((queue.qsize(), queue.maxsize()), (100, 0));
}

/// Behaviour: QUE-17.
#[test]
fn a_cancelled_putter_puts_nothing_and_the_others_do() {
    let queue = Queue::new(1);
    let mut tasks = Tasks::default();
    queue.put_nowait('x').unwrap();
    let putters = ['a', 'b', 'c'].map(|item| {
        let queue = &queue;
        tasks.spawn(async move { queue.put(item).await.unwrap() })
    });
    tasks.settle();
    tasks.cancel(putters[1]);
    for expected in ['x', 'a', 'c'] {
        assert_eq!(queue.get_nowait(), Ok(expected));
        tasks.settle();
    }
    assert_eq!(queue.get_nowait(), Err(GetError::Empty));
    assert!(tasks.all_done());
}

/// Behaviour: QUE-19.
#[test]
fn draining_with_get_nowait_lets_every_waiting_put_through() {
    let queue = Queue::new(2);
    let got = RefCell::new(Vec::new());
    let mut tasks = Tasks::default();
    for number in 0..10 {
        let queue = &queue;
        tasks.spawn(async move { queue.put(number).await.unwrap() });
    }
    tasks.spawn(async {
        while got.borrow().len() < 10 {
            match queue.get_nowait() {
                Ok(number) => got.borrow_mut().push(number),
                Err(_) => yield_now().await,
            }
        }
    });
    tasks.settle();
    assert!(tasks.all_done());
    assert_eq!(*got.borrow(), (0..10).collect::<Vec<_>>());
}

/// Behaviour: QUE-21.
#[test]
fn join_waits_until_every_item_is_done() {
    let queue = Queue::new(0);
    let error: TaskDoneError = queue.task_done().unwrap_err();
    assert_eq!(error.to_string(), "task_done() called more often than items were put");
    block_on(queue.join());
    block_on(queue.join());

    let (sum, joined) = (Cell::new(0), Cell::new(false));
    for number in 0..100 {
        queue.put_nowait(number).unwrap();
    }
    let mut tasks = Tasks::default();
    tasks.spawn(async {
        queue.join().await;
        joined.set(true);
    });
    for _ in 0..2 {
        tasks.spawn(async {
            while let Ok(number) = queue.get().await {
                yield_now().await;
                assert!(!joined.get());
                sum.set(sum.get() + number);
                queue.task_done().unwrap();
            }
        });
    }
    tasks.settle();
    assert!(joined.get());
    assert_eq!(sum.get(), 4950);
    assert!(queue.task_done().is_err());
    queue.shutdown(false);
    tasks.settle();
    assert!(tasks.all_done());
}

#[test]
fn a_join_is_released_at_zero_also_if_more_is_put_before_it_runs() {
    let queue = Queue::new(0);
    queue.put_nowait(1).unwrap();
    let mut join = pin!(queue.join());
    assert!(poll(join.as_mut()).is_pending());
    assert_eq!(queue.statistics().joiners, 1);
    queue.task_done().unwrap();
    queue.put_nowait(2).unwrap();
    assert!(poll(join).is_ready());
    assert!(poll(pin!(queue.join())).is_pending());
}

/// Behaviour: QUE-22.
#[test]
fn after_shutdown_of_an_empty_queue_everything_is_refused() {
    let queue = Queue::new(1);
    let got = Cell::new(None);
    let mut tasks = Tasks::default();
    tasks.spawn(async { got.set(Some(queue.get().await)) });
    tasks.settle();
    queue.shutdown(false);
    tasks.settle();
    assert_eq!(got.get(), Some(Err(QueueShutDown(()))));
    assert_eq!(block_on(queue.get()), Err(QueueShutDown(())));
    assert_eq!(queue.get_nowait(), Err(GetError::ShutDown));
    assert_eq!(block_on(queue.put(1)), Err(QueueShutDown(1)));
    assert_eq!(queue.put_nowait(2), Err(PutError::ShutDown(2)));
    block_on(queue.join());
    queue.shutdown(false);
}

#[test]
fn a_shut_down_queue_is_drained_and_waiting_putters_get_their_items_back() {
    let queue = Queue::new(1);
    queue.put_nowait(1).unwrap();
    let mut put = pin!(queue.put(2));
    assert!(poll(put.as_mut()).is_pending());
    let mut join = pin!(queue.join());
    assert!(poll(join.as_mut()).is_pending());
    queue.shutdown(false);
    assert_eq!(block_on(put), Err(QueueShutDown(2)));
    assert_eq!(block_on(queue.get()), Ok(1));
    assert_eq!(block_on(queue.get()), Err(QueueShutDown(())));
    assert!(poll(join.as_mut()).is_pending(), "an item that was got is still being worked on");
    queue.task_done().unwrap();
    assert!(poll(join).is_ready());
}

/// Behaviour: QUE-24.
#[test]
fn an_immediate_shutdown_drops_the_items_and_releases_join() {
    let queue = Queue::new(0);
    let item = Rc::new(());
    queue.put_nowait(item.clone()).unwrap();
    queue.put_nowait(item.clone()).unwrap();
    let mut join = pin!(queue.join());
    assert!(poll(join.as_mut()).is_pending());
    queue.shutdown(true);
    assert_eq!(Rc::strong_count(&item), 1);
    assert!(poll(join).is_ready());
    assert!(queue.empty());
    assert_eq!(queue.get_nowait(), Err(GetError::ShutDown));
    assert!(queue.task_done().is_err());
}

#[test]
fn an_immediate_shutdown_waits_for_the_item_that_is_being_worked_on() {
    let queue = Queue::new(0);
    queue.put_nowait(1).unwrap();
    queue.put_nowait(2).unwrap();
    assert_eq!(queue.get_nowait(), Ok(1));
    let mut join = pin!(queue.join());
    assert!(poll(join.as_mut()).is_pending());
    queue.shutdown(false);
    queue.shutdown(true);
    assert!(poll(join.as_mut()).is_pending());
    queue.task_done().unwrap();
    assert!(poll(join).is_ready());
}

#[test]
fn an_item_may_use_the_queue_while_it_is_dropped() {
    struct Item(Rc<Queue<Option<Item>>>);
    impl Drop for Item {
        fn drop(&mut self) {
            assert!(self.0.empty());
            assert!(self.0.put_nowait(None).unwrap_err().is_shut_down());
        }
    }
    let queue = Rc::new(Queue::new(0));
    queue.put_nowait(Some(Item(queue.clone()))).unwrap();
    queue.shutdown(true);
    assert_eq!(Rc::strong_count(&queue), 1);
}

#[test]
fn a_getter_that_was_woken_in_vain_keeps_its_place() {
    let queue = Queue::new(0);
    let (mut first, mut second) = (pin!(queue.get()), pin!(queue.get()));
    assert!(poll(first.as_mut()).is_pending());
    assert!(poll(second.as_mut()).is_pending());
    queue.put_nowait(1).unwrap();
    assert_eq!(queue.get_nowait(), Ok(1), "a newcomer is quicker");
    assert!(poll(first.as_mut()).is_pending());
    queue.put_nowait(2).unwrap();
    assert!(poll(second.as_mut()).is_pending());
    assert_eq!(block_on(first), Ok(2));
}

#[test]
fn a_getter_or_putter_that_was_woken_and_is_never_polled_shows_in_the_statistics() {
    let queue = Queue::new(1);
    let (mut kept, mut behind) = (Box::pin(queue.get()), pin!(queue.get()));
    assert!(poll(kept.as_mut()).is_pending() && poll(behind.as_mut()).is_pending());
    queue.put_nowait(1).unwrap();
    let statistics = queue.statistics();
    assert_eq!((statistics.qsize, statistics.getters, statistics.woken_getters), (1, 2, 1));
    drop(kept);
    assert!(poll(behind).is_ready());
    assert_eq!(queue.statistics().woken_getters, 0);

    queue.put_nowait(2).unwrap();
    let (mut kept, mut behind) = (Box::pin(queue.put(3)), pin!(queue.put(4)));
    assert!(poll(kept.as_mut()).is_pending() && poll(behind.as_mut()).is_pending());
    assert_eq!(queue.get_nowait(), Ok(2));
    let statistics = queue.statistics();
    assert_eq!((statistics.qsize, statistics.putters, statistics.woken_putters), (0, 2, 1));
    drop(kept);
    assert!(poll(behind).is_ready());
    assert_eq!(queue.statistics().woken_putters, 0);
}

#[test]
fn a_cancelled_put_drops_its_item_and_only_its_own() {
    let queue = Queue::new(1);
    let item = Rc::new(());
    queue.put_nowait(item.clone()).unwrap();
    let mut put = Box::pin(queue.put(item.clone()));
    assert!(poll(put.as_mut()).is_pending());
    assert_eq!(Rc::strong_count(&item), 3);
    drop(put);
    assert_eq!(Rc::strong_count(&item), 2);
    drop(queue);
    assert_eq!(Rc::strong_count(&item), 1);
}

/// Behaviour: XTR-06.
#[test]
fn a_get_cancelled_anywhere_loses_no_item_and_no_wake_up() {
    let put: fn(&mut World<Queue<u32>>) = |world| world.tool.put_nowait(1).unwrap();
    let steal: fn(&mut World<Queue<u32>>) = |world| {
        let stolen = world.tool.get_nowait();
        world.log.borrow_mut().extend(stolen);
    };
    let another: fn(&mut World<Queue<u32>>) = |world| {
        let (queue, log) = (world.tool.clone(), world.log.clone());
        world.tasks.spawn(async move {
            let item = queue.get().await;
            log.borrow_mut().extend(item);
        });
        world.tasks.tick();
    };
    for events in [[put, another, put, steal], [another, put, steal, put], [another, put, put, put]]
    {
        cancel_everywhere(
            || Queue::new(0),
            |queue, log| async move {
                let item = queue.get().await;
                log.borrow_mut().extend(item);
            },
            &events,
            |world, _| {
                world.tasks.settle();
                let queue = &world.tool;
                assert_eq!(world.log.borrow().len() + queue.qsize(), queue.statistics().unfinished);
                assert!(queue.empty() || queue.statistics().getters == 0, "a getter was not woken");
            },
        );
    }
}

#[test]
fn a_put_cancelled_anywhere_loses_no_room_and_no_wake_up() {
    let get: fn(&mut World<Queue<u32>>) = |world| {
        let item = world.tool.get_nowait();
        world.log.borrow_mut().extend(item);
    };
    let refill: fn(&mut World<Queue<u32>>) = |world| {
        let _full = world.tool.put_nowait(0);
    };
    let another: fn(&mut World<Queue<u32>>) = |world| {
        let queue = world.tool.clone();
        world.tasks.spawn(async move { queue.put(2).await.unwrap() });
        world.tasks.tick();
    };
    for events in
        [[another, get, get, get], [another, get, refill, get], [another, another, get, get]]
    {
        cancel_everywhere(
            || {
                let queue = Queue::new(1);
                queue.put_nowait(0).unwrap();
                queue
            },
            |queue, _| async move { queue.put(1).await.unwrap() },
            &events,
            |world, _| {
                world.tasks.settle();
                let queue = &world.tool;
                assert_eq!(world.log.borrow().len() + queue.qsize(), queue.statistics().unfinished);
                assert!(queue.full() || queue.statistics().putters == 0, "a putter was not woken");
                assert!(queue.qsize() <= 1);
            },
        );
    }
}

#[test]
fn a_join_cancelled_anywhere_disturbs_no_other() {
    let done: fn(&mut World<Queue<u32>>) = |world| world.tool.task_done().unwrap();
    let another: fn(&mut World<Queue<u32>>) = |world| {
        let (queue, log) = (world.tool.clone(), world.log.clone());
        world.tasks.spawn(async move {
            queue.join().await;
            log.borrow_mut().push(1);
        });
        world.tasks.tick();
    };
    cancel_everywhere(
        || {
            let queue = Queue::new(0);
            queue.put_nowait(0).unwrap();
            queue.put_nowait(0).unwrap();
            queue
        },
        |queue, _| async move { queue.join().await },
        &[another, done, done],
        |world, count| {
            world.tasks.settle();
            assert_eq!(world.tasks.all_done(), count == 0 || count == 3);
            assert_eq!(world.tool.statistics().joiners, usize::from(count == 1 || count == 2));
        },
    );
}

#[test]
fn items_leave_in_the_order_in_which_they_came() {
    let queue = Queue::new(3);
    let mut expected = VecDeque::new();
    for round in 0..50 {
        while queue.put_nowait(round).is_ok() {
            expected.push_back(round);
        }
        for _ in 0..round % 3 + 1 {
            assert_eq!(queue.get_nowait().ok(), expected.pop_front());
        }
    }
}
