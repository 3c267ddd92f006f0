//! Queues against a naive model that is written as a list: random operations with random cancels, step by step.
//!
//! Ten tasks (slots) start, poll and drop operations. The model says of each poll whether it is ready, of each
//! step who is woken by it, and of each state who must have been woken by now.

mod driver;
mod support;

use std::collections::VecDeque;
use std::ops::Deref;

use asyncio_queue::{GetError, LifoQueue, PriorityQueue, PutError, Queue, Storage};
use support::Random;
use support::model::{SEEDS, SLOTS, STEPS, Slot, Waiters, check_woken};

/// asyncio's queue, with lists.
#[derive(Default)]
struct QueueModel {
    maxsize: usize,
    order: Order,
    items: VecDeque<u32>,
    reserved: usize,
    getters: Waiters,
    putters: Waiters,
    /// The item that a waiting put holds.
    held: [u32; SLOTS],
    shut_down: bool,
}

/// Which item leaves first.
#[derive(Clone, Copy, Debug, Default)]
enum Order {
    #[default]
    First,
    Last,
    Lowest,
}

impl QueueModel {
    fn full(&self) -> bool {
        self.maxsize > 0 && self.items.len() + self.reserved >= self.maxsize
    }

    fn next(&mut self) -> Option<u32> {
        let lowest = self.items.iter().min();
        match self.order {
            Order::First => self.items.pop_front(),
            Order::Last => self.items.pop_back(),
            Order::Lowest => {
                let at = self.items.iter().position(|item| Some(item) == lowest)?;
                self.items.remove(at)
            }
        }
    }

    fn put_nowait(&mut self, item: u32) -> Result<(), PutError<u32>> {
        if self.shut_down {
            return Err(PutError::ShutDown(item));
        }
        if self.full() {
            return Err(PutError::Full(item));
        }
        self.items.push_back(item);
        self.getters.notify_one();
        Ok(())
    }

    fn get_nowait(&mut self) -> Result<u32, GetError> {
        match self.next() {
            Some(item) => {
                self.putters.notify_one();
                Ok(item)
            }
            None if self.shut_down => Err(GetError::ShutDown),
            None => Err(GetError::Empty),
        }
    }

    /// The next poll of a slot that waits; what a `put` or `get` returns, as an item and whether it went well.
    fn poll(&mut self, slot: usize) -> Option<(bool, u32)> {
        if self.getters.is_notified(slot) {
            let result = match self.get_nowait() {
                Ok(item) => (true, item),
                Err(GetError::ShutDown) => (false, 0),
                Err(GetError::Empty) => {
                    self.getters.rejoin(slot);
                    return None;
                }
            };
            self.getters.leave(slot);
            return Some(result);
        }
        if self.putters.is_notified(slot) {
            let item = self.held[slot];
            if self.full() && !self.shut_down {
                self.putters.rejoin(slot);
                return None;
            }
            self.putters.leave(slot);
            return Some((self.put_nowait(item).is_ok(), item));
        }
        None
    }

    fn drop(&mut self, slot: usize) {
        if self.getters.entry(slot).is_some() {
            if self.getters.leave(slot) && !self.items.is_empty() {
                self.getters.notify_one();
            }
        } else if self.putters.leave(slot) && !self.full() {
            self.putters.notify_one();
        }
    }
}

/// Behaviour: XTR-06.
#[test]
fn a_queue_agrees_with_its_model_under_random_cancels() {
    check_queue(Order::First, |maxsize| Box::new(Queue::new(maxsize)));
}

#[test]
fn a_lifo_queue_agrees_with_its_model_under_random_cancels() {
    check_queue(Order::Last, LifoQueue::new);
}

#[test]
fn a_priority_queue_agrees_with_its_model_under_random_cancels() {
    check_queue(Order::Lowest, PriorityQueue::new);
}

fn check_queue<S: Storage<u32>, Q: Deref<Target = Queue<u32, S>>>(
    order: Order,
    make: impl Fn(usize) -> Q,
) {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let maxsize = random.below(4);
        let queue = make(maxsize);
        let mut rooms = Vec::new();
        let mut model = QueueModel { maxsize, order, ..QueueModel::default() };
        let mut slots: [Slot<'_, (bool, u32)>; SLOTS] = Slot::all();
        let put = async |item| match queue.put(item).await {
            Ok(()) => (true, item),
            Err(error) => (false, error.into_inner()),
        };
        let get = async || match queue.get().await {
            Ok(item) => (true, item),
            Err(_) => (false, 0),
        };
        for step in 0..STEPS {
            let context = (seed, step);
            let slot = random.below(SLOTS);
            // Some of them are equal.
            let item = (step * 7 % 31) as u32;
            let idle = slots[slot].future.is_none();
            match random.below(23) {
                0..5 if idle => {
                    let expected = match model.get_nowait() {
                        Ok(item) => Some((true, item)),
                        Err(GetError::ShutDown) => Some((false, 0)),
                        Err(GetError::Empty) => {
                            model.getters.join(slot);
                            None
                        }
                    };
                    assert_eq!(slots[slot].start(get()), expected, "{context:?}");
                }
                5..10 if idle => {
                    let expected = match model.put_nowait(item) {
                        Ok(()) => Some((true, item)),
                        Err(PutError::ShutDown(item)) => Some((false, item)),
                        Err(PutError::Full(item)) => {
                            model.held[slot] = item;
                            model.putters.join(slot);
                            None
                        }
                    };
                    assert_eq!(slots[slot].start(put(item)), expected, "{context:?}");
                }
                0..13 if !idle => {
                    assert_eq!(slots[slot].poll(), model.poll(slot), "{context:?}");
                }
                13..16 if !idle => {
                    slots[slot].future = None;
                    model.drop(slot);
                }
                16 | 17 => assert_eq!(queue.get_nowait(), model.get_nowait(), "{context:?}"),
                18 => assert_eq!(queue.put_nowait(item), model.put_nowait(item), "{context:?}"),
                19 if random.below(STEPS / 2) == 0 => {
                    let immediate = random.below(2) == 0;
                    queue.shutdown(immediate);
                    model.shut_down = true;
                    if immediate {
                        model.items.clear();
                    }
                    model.getters.notify_all();
                    model.putters.notify_all();
                }
                20 => {
                    let expected = !model.shut_down && !model.full();
                    model.reserved += usize::from(expected);
                    let room = queue.reserve_nowait();
                    assert_eq!(room.is_ok(), expected, "{context:?}");
                    rooms.extend(room);
                }
                21 if !rooms.is_empty() => {
                    rooms.pop();
                    model.reserved -= 1;
                    model.putters.notify_one();
                }
                22 => {
                    if let Some(room) = rooms.pop() {
                        model.reserved -= 1;
                        if model.shut_down {
                            model.putters.notify_one();
                        } else {
                            model.put_nowait(item).unwrap();
                        }
                        assert_eq!(room.put(item).is_err(), model.shut_down, "{context:?}");
                    }
                }
                _ => {}
            }
            let (getters, putters) = (&mut model.getters, &mut model.putters);
            check_woken(&slots, &mut [getters, putters], context);
            let statistics = queue.statistics();
            assert_eq!(statistics.qsize, model.items.len(), "{context:?}");
            assert_eq!(statistics.reserved, rooms.len(), "{context:?}");
            assert_eq!(statistics.getters, model.getters.line.len(), "{context:?}");
            assert_eq!(statistics.putters, model.putters.line.len(), "{context:?}");
            assert_eq!(statistics.woken_getters, model.getters.notified(), "{context:?}");
            assert_eq!(statistics.woken_putters, model.putters.notified(), "{context:?}");
            // Nobody sleeps in front of an item or of room unless somebody is on the way to it.
            assert!(
                model.items.is_empty()
                    || !model.getters.has_unnotified()
                    || model.getters.some_notified(),
                "{context:?}"
            );
            assert!(
                model.full() || !model.putters.has_unnotified() || model.putters.some_notified(),
                "{context:?}"
            );
        }
    }
}
