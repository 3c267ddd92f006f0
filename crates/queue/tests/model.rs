//! Random operations with random cancels, step by step against naive models that are written as lists.
//!
//! Ten tasks (slots) start, poll and drop operations. The model says of each poll whether it is ready, of each
//! step who is woken by it, and of each state who must have been woken by now.

mod driver;
mod support;

use std::collections::VecDeque;
use std::fmt::Debug;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use asyncio_queue::{
    GetError, LifoQueue, Lock, LockGuard, PriorityQueue, PutError, Queue, Semaphore,
    SemaphorePermit, Storage,
};
use support::{Random, Woken};

const SLOTS: usize = 10;
const SEEDS: u64 = 10_000;
const STEPS: usize = 40;

/// A task that runs one operation at a time.
struct Slot<'a, T> {
    future: Option<Pin<Box<dyn Future<Output = T> + 'a>>>,
    woken: Arc<Woken>,
    waker: Waker,
}

impl<'a, T> Slot<'a, T> {
    fn all() -> [Self; SLOTS] {
        [(); SLOTS].map(|()| {
            let (woken, waker) = Woken::new();
            Slot { future: None, woken, waker }
        })
    }

    fn start(&mut self, future: impl Future<Output = T> + 'a) -> Option<T> {
        self.future = Some(Box::pin(future));
        self.poll()
    }

    fn poll(&mut self) -> Option<T> {
        let mut cx = Context::from_waker(&self.waker);
        match self.future.as_mut().expect("started").as_mut().poll(&mut cx) {
            Poll::Ready(output) => {
                self.future = None;
                Some(output)
            }
            Poll::Pending => None,
        }
    }
}

/// Those who wait, in the order of their coming, and whether each is notified.
#[derive(Default)]
struct Waiters {
    line: Vec<(u64, usize, bool)>,
    tickets: u64,
    woken: Vec<usize>,
}

impl Waiters {
    fn join(&mut self, slot: usize) {
        self.tickets += 1;
        self.line.push((self.tickets, slot, false));
    }

    fn leave(&mut self, slot: usize) -> bool {
        let place = self.line.iter().position(|entry| entry.1 == slot).expect("it waits");
        self.line.remove(place).2
    }

    fn notify_one(&mut self) -> bool {
        let first = self.line.iter_mut().find(|entry| !entry.2);
        if let Some(entry) = first {
            entry.2 = true;
            self.woken.push(entry.1);
            return true;
        }
        false
    }

    fn notify_all(&mut self) {
        while self.notify_one() {}
    }

    fn entry(&mut self, slot: usize) -> Option<&mut (u64, usize, bool)> {
        self.line.iter_mut().find(|entry| entry.1 == slot)
    }

    fn is_notified(&mut self, slot: usize) -> bool {
        self.entry(slot).is_some_and(|entry| entry.2)
    }

    fn some_notified(&self) -> bool {
        self.line.iter().any(|entry| entry.2)
    }

    fn has_unnotified(&self) -> bool {
        self.line.iter().any(|entry| !entry.2)
    }
}

/// That exactly those were woken of whom the models say it.
fn check_woken<T>(slots: &[Slot<'_, T>], models: &mut [&mut Waiters], context: impl Debug) {
    let mut expected = [0; SLOTS];
    for model in models {
        for slot in model.woken.drain(..) {
            expected[slot] += 1;
        }
    }
    let woken: Vec<_> = slots.iter().map(|slot| slot.woken.take()).collect();
    assert_eq!(woken, expected, "{context:?}");
}

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
                    self.getters.entry(slot).unwrap().2 = false;
                    return None;
                }
            };
            self.getters.leave(slot);
            return Some(result);
        }
        if self.putters.is_notified(slot) {
            let item = self.held[slot];
            if self.full() && !self.shut_down {
                self.putters.entry(slot).unwrap().2 = false;
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

#[test]
fn a_lock_agrees_with_its_model_under_random_cancels() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let lock = Lock::new(());
        let mut slots: [Slot<'_, LockGuard<'_>>; SLOTS] = Slot::all();
        let mut waiters = Waiters::default();
        let mut guard = None;
        for step in 0..STEPS {
            let context = (seed, step);
            let slot = random.below(SLOTS);
            let mut got = None;
            let mut may_take = false;
            match random.below(8) {
                0..3 if slots[slot].future.is_none() => {
                    may_take = guard.is_none() && waiters.line.is_empty();
                    if !may_take {
                        waiters.join(slot);
                    }
                    got = slots[slot].start(lock.acquire());
                }
                0..4 if slots[slot].future.is_some() => {
                    may_take = waiters.is_notified(slot);
                    if may_take {
                        waiters.leave(slot);
                    }
                    got = slots[slot].poll();
                }
                4 if slots[slot].future.is_some() => {
                    slots[slot].future = None;
                    if waiters.leave(slot) && guard.is_none() {
                        waiters.notify_one();
                    }
                }
                5 => {
                    may_take = guard.is_none() && waiters.line.is_empty();
                    got = lock.acquire_nowait().ok();
                }
                6 | 7 => {
                    let released = guard.take().is_some();
                    if released && !waiters.some_notified() {
                        waiters.notify_one();
                    }
                }
                _ => {}
            }
            assert_eq!(got.is_some(), may_take, "{context:?}");
            guard = guard.or(got);
            check_woken(&slots, &mut [&mut waiters], context);
            assert_eq!(lock.locked(), guard.is_some(), "{context:?}");
            assert_eq!(lock.statistics().waiters, waiters.line.len(), "{context:?}");
            assert!(
                guard.is_some() || waiters.line.is_empty() || waiters.some_notified(),
                "nobody is on the way to a free lock: {context:?}"
            );
        }
    }
}

#[test]
fn a_semaphore_agrees_with_its_model_under_random_cancels() {
    fn hand_out(value: &mut usize, waiters: &mut Waiters) {
        while *value > 0 && waiters.notify_one() {
            *value -= 1;
        }
    }
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let mut value = random.below(4);
        let semaphore = Semaphore::new(value);
        let mut slots: [Slot<'_, SemaphorePermit<'_>>; SLOTS] = Slot::all();
        let mut waiters = Waiters::default();
        let mut permits = Vec::new();
        let mut total = value;
        for step in 0..STEPS {
            let context = (seed, step);
            let slot = random.below(SLOTS);
            let mut got = None;
            let mut may_take = false;
            match random.below(16) {
                0..6 if slots[slot].future.is_none() => {
                    may_take = value > 0 && waiters.line.is_empty();
                    if may_take {
                        value -= 1;
                    } else {
                        waiters.join(slot);
                    }
                    got = slots[slot].start(semaphore.acquire());
                }
                0..8 if slots[slot].future.is_some() => {
                    may_take = waiters.is_notified(slot);
                    if may_take {
                        waiters.leave(slot);
                        hand_out(&mut value, &mut waiters);
                    }
                    got = slots[slot].poll();
                }
                8 | 9 if slots[slot].future.is_some() => {
                    slots[slot].future = None;
                    if waiters.leave(slot) {
                        value += 1;
                        hand_out(&mut value, &mut waiters);
                    }
                }
                10 => {
                    may_take = value > 0 && waiters.line.is_empty();
                    value -= usize::from(may_take);
                    got = semaphore.acquire_nowait().ok();
                }
                11 if total < 6 => {
                    total += 1;
                    value += 1;
                    semaphore.release();
                    hand_out(&mut value, &mut waiters);
                }
                12.. if !permits.is_empty() => {
                    drop(permits.swap_remove(random.below(permits.len())));
                    value += 1;
                    hand_out(&mut value, &mut waiters);
                }
                _ => {}
            }
            assert_eq!(got.is_some(), may_take, "{context:?}");
            permits.extend(got);
            check_woken(&slots, &mut [&mut waiters], context);
            let promised = waiters.line.iter().filter(|entry| entry.2).count();
            assert_eq!(semaphore.value(), value, "{context:?}");
            assert_eq!(value + permits.len() + promised, total, "{context:?}");
            assert_eq!(semaphore.locked(), value == 0 || !waiters.line.is_empty(), "{context:?}");
            assert!(
                value == 0 || !waiters.has_unnotified() || promised > 0,
                "nobody is on the way to a free permit: {context:?}"
            );
        }
    }
}
