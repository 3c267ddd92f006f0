//! What tells many at once (event, barrier, watch, broadcast) against naive models: random operations with random
//! cancels, step by step.
//!
//! Ten tasks (slots) start, poll and drop operations. The model says of each poll whether it is ready, and of each step
//! who is woken by it.

mod driver;
mod support;

use std::cell::RefCell;
use std::collections::VecDeque;

use asyncio_queue::{
    Barrier, BarrierState, Broadcast, BroadcastError, Event, Subscriber, Version, Watch,
};
use support::Random;
use support::model::{SEEDS, SLOTS, STEPS, Slot, Waiters, check_woken};

#[test]
fn an_event_agrees_with_its_model_under_random_cancels() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let event = Event::new();
        let mut slots: [Slot<'_, ()>; SLOTS] = Slot::all();
        let (mut is_set, mut waiters) = (false, Waiters::default());
        for step in 0..STEPS {
            let context = (seed, step);
            let slot = random.below(SLOTS);
            let idle = slots[slot].future.is_none();
            match random.below(16) {
                0..8 if idle => {
                    if !is_set {
                        waiters.join(slot);
                    }
                    assert_eq!(slots[slot].start(event.wait()).is_some(), is_set, "{context:?}");
                }
                0..9 if !idle => {
                    // Also if it was cleared since.
                    let notified = waiters.is_notified(slot);
                    if notified {
                        waiters.leave(slot);
                    }
                    assert_eq!(slots[slot].poll().is_some(), notified, "{context:?}");
                }
                9 | 10 if !idle => {
                    slots[slot].future = None;
                    waiters.leave(slot);
                }
                11 | 12 => {
                    event.set();
                    if !is_set {
                        waiters.notify_all();
                    }
                    is_set = true;
                }
                13.. => {
                    event.clear();
                    is_set = false;
                }
                _ => {}
            }
            check_woken(&slots, &mut [&mut waiters], context);
            assert_eq!(event.is_set(), is_set, "{context:?}");
            assert_eq!(event.statistics().waiters, waiters.line.len(), "{context:?}");
            assert!(!is_set || !waiters.has_unnotified(), "somebody sleeps: {context:?}");
        }
    }
}

/// asyncio's barrier, with lists.
struct BarrierModel {
    parties: usize,
    state: BarrierState,
    count: usize,
    numbered: usize,
    inside: Waiters,
    outside: Waiters,
}

/// What a `wait` comes to: nothing yet, or its number, or that the barrier is broken.
type Passed = Option<Result<usize, ()>>;

impl BarrierModel {
    fn is_leaving(&self) -> bool {
        matches!(self.state, BarrierState::Draining | BarrierState::Resetting)
    }

    fn wait(&mut self, slot: usize) -> Passed {
        if self.is_leaving() {
            self.outside.join(slot);
            return None;
        }
        self.enter(slot)
    }

    fn enter(&mut self, slot: usize) -> Passed {
        if self.state == BarrierState::Broken {
            return Some(Err(()));
        }
        self.count += 1;
        if self.count < self.parties {
            self.inside.join(slot);
            return None;
        }
        self.state = BarrierState::Draining;
        self.numbered = 0;
        self.inside.notify_all();
        let number = self.count - 1;
        self.leave();
        Some(Ok(number))
    }

    fn leave(&mut self) {
        self.count -= 1;
        if self.count == 0 && self.is_leaving() {
            self.state = BarrierState::Filling;
            self.outside.notify_all();
        }
    }

    fn poll(&mut self, slot: usize) -> Passed {
        if self.outside.is_notified(slot) {
            if self.is_leaving() {
                self.outside.rejoin(slot);
                return None;
            }
            self.outside.leave(slot);
            return self.enter(slot);
        }
        if !self.inside.is_notified(slot) {
            return None;
        }
        self.inside.leave(slot);
        let broken = matches!(self.state, BarrierState::Resetting | BarrierState::Broken);
        let passed = if broken { Err(()) } else { Ok(self.numbered) };
        self.numbered += usize::from(!broken);
        self.leave();
        Some(passed)
    }

    fn cancel(&mut self, slot: usize) {
        if self.outside.entry(slot).is_some() {
            self.outside.leave(slot);
        } else {
            self.inside.leave(slot);
            self.leave();
        }
    }
}

#[test]
fn a_barrier_agrees_with_its_model_under_random_cancels() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let parties = 1 + random.below(4);
        let barrier = Barrier::new(parties).unwrap();
        let mut slots: [Slot<'_, Result<usize, ()>>; SLOTS] = Slot::all();
        let mut model = BarrierModel {
            parties,
            state: BarrierState::Filling,
            count: 0,
            numbered: 0,
            inside: Waiters::default(),
            outside: Waiters::default(),
        };
        let wait = async || barrier.wait().await.map_err(drop);
        for step in 0..STEPS {
            let context = (seed, step);
            let slot = random.below(SLOTS);
            let idle = slots[slot].future.is_none();
            match random.below(24) {
                0..11 if idle => {
                    let expected = model.wait(slot);
                    assert_eq!(slots[slot].start(wait()), expected, "{context:?}");
                }
                0..18 if !idle => {
                    let expected = model.poll(slot);
                    assert_eq!(slots[slot].poll(), expected, "{context:?}");
                }
                18 | 19 if !idle => {
                    slots[slot].future = None;
                    model.cancel(slot);
                }
                20 => {
                    barrier.abort();
                    model.state = BarrierState::Broken;
                    model.inside.notify_all();
                    model.outside.notify_all();
                }
                21 | 22 => {
                    barrier.reset();
                    if model.count > 0 {
                        model.state = BarrierState::Resetting;
                        model.inside.notify_all();
                    } else {
                        model.state = BarrierState::Filling;
                    }
                }
                _ => {}
            }
            let (inside, outside) = (&mut model.inside, &mut model.outside);
            check_woken(&slots, &mut [inside, outside], context);
            let statistics = barrier.statistics();
            assert_eq!(statistics.state, model.state, "{context:?}");
            assert_eq!(statistics.inside, model.count, "{context:?}");
            assert_eq!(statistics.outside, model.outside.line.len(), "{context:?}");
            assert!(
                model.state == BarrierState::Filling || !model.inside.has_unnotified(),
                "somebody sleeps in a round that is over: {context:?}"
            );
            assert!(
                model.is_leaving() || !model.outside.has_unnotified(),
                "somebody sleeps in front of an open door: {context:?}"
            );
        }
    }
}

#[test]
fn a_watch_agrees_with_its_model_under_random_cancels() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let watch = Watch::new(0);
        let versions = RefCell::new(vec![watch.version()]);
        let mut slots: [Slot<'_, usize>; SLOTS] = Slot::all();
        // What each waits for: a change, or a value.
        let mut wanted: [Option<usize>; SLOTS] = [None; SLOTS];
        let (mut value, mut waiters) = (0, Waiters::default());
        let changed = async |seen: Version| {
            let version = watch.changed(seen).await;
            versions.borrow().iter().position(|known| *known == version).unwrap()
        };
        for step in 0..STEPS {
            let context = (seed, step);
            let slot = random.below(SLOTS);
            let idle = slots[slot].future.is_none();
            let latest = versions.borrow().len() - 1;
            match random.below(16) {
                0..4 if idle => {
                    let seen = latest.saturating_sub(random.below(2));
                    let expected = (seen < latest).then_some(latest);
                    if expected.is_none() {
                        wanted[slot] = None;
                        waiters.join(slot);
                    }
                    let seen = versions.borrow()[seen];
                    assert_eq!(slots[slot].start(changed(seen)), expected, "{context:?}");
                }
                4..8 if idle => {
                    let want = random.below(4);
                    let expected = (value == want).then_some(want);
                    if expected.is_none() {
                        wanted[slot] = Some(want);
                        waiters.join(slot);
                    }
                    let watch = &watch;
                    let found = slots[slot]
                        .start(async move { *watch.wait_for(|value| *value == want).await });
                    assert_eq!(found, expected, "{context:?}");
                }
                0..10 if !idle => {
                    let mut expected = None;
                    if waiters.is_notified(slot) {
                        waiters.leave(slot);
                        expected = match wanted[slot] {
                            None => Some(latest),
                            Some(want) => (value == want).then_some(want),
                        };
                        if expected.is_none() {
                            waiters.join(slot);
                        }
                    }
                    assert_eq!(slots[slot].poll(), expected, "{context:?}");
                }
                10 | 11 if !idle => {
                    slots[slot].future = None;
                    waiters.leave(slot);
                }
                12.. => {
                    value = random.below(4);
                    watch.set(value);
                    versions.borrow_mut().push(watch.version());
                    waiters.notify_all();
                }
                _ => {}
            }
            check_woken(&slots, &mut [&mut waiters], context);
            assert_eq!(*watch.get(), value, "{context:?}");
            assert_eq!(watch.statistics().waiters, waiters.line.len(), "{context:?}");
        }
    }
}

/// A broadcast as the list of all that was ever sent, and how much of it each subscriber has seen.
struct BroadcastModel {
    capacity: usize,
    sent: Vec<u32>,
    seen: [usize; SLOTS],
    shut_down: bool,
    waiters: Waiters,
}

impl BroadcastModel {
    fn next(&mut self, slot: usize) -> Option<Result<u32, BroadcastError>> {
        let oldest = self.sent.len().saturating_sub(self.capacity);
        let seen = self.seen[slot];
        if seen < oldest {
            self.seen[slot] = oldest;
            return Some(Err(BroadcastError::Lagged((oldest - seen) as u64)));
        }
        if let Some(item) = self.sent.get(seen) {
            self.seen[slot] += 1;
            return Some(Ok(*item));
        }
        self.shut_down.then_some(Err(BroadcastError::ShutDown))
    }
}

#[test]
fn a_broadcast_agrees_with_its_model_under_random_cancels() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let capacity = 1 + random.below(4);
        let news = Broadcast::new(capacity);
        let mut idle: VecDeque<_> = (0..SLOTS).map(|slot| (slot, news.subscribe())).collect();
        let mut slots: [Slot<'_, (usize, Subscriber<u32, &Broadcast<u32>>, Got)>; SLOTS] =
            Slot::all();
        let mut model = BroadcastModel {
            capacity,
            sent: Vec::new(),
            seen: [0; SLOTS],
            shut_down: false,
            waiters: Waiters::default(),
        };
        for step in 0..STEPS {
            let context = (seed, step);
            let slot = random.below(SLOTS);
            let waits = slots[slot].future.is_some();
            let mut expected = None;
            let mut got = None;
            match random.below(16) {
                0..6 if !waits => {
                    let at = idle.iter().position(|(of, _)| *of == slot).expect("it is idle");
                    let (_, mut subscriber) = idle.remove(at).expect("it is there");
                    expected = model.next(slot);
                    if expected.is_none() {
                        model.waiters.join(slot);
                    }
                    got = slots[slot].start(async move {
                        let item = subscriber.get().await.map(|item| *item);
                        (slot, subscriber, item)
                    });
                }
                0..9 if waits => {
                    if model.waiters.is_notified(slot) {
                        model.waiters.leave(slot);
                        expected = model.next(slot);
                        if expected.is_none() {
                            model.waiters.join(slot);
                        }
                    }
                    got = slots[slot].poll();
                }
                9 | 10 if waits => {
                    // Its subscriber goes with it; a new one begins with what is sent from now on.
                    slots[slot].future = None;
                    model.waiters.leave(slot);
                    model.seen[slot] = model.sent.len();
                    idle.push_back((slot, news.subscribe()));
                }
                15 if random.below(STEPS / 2) == 0 => {
                    news.shutdown();
                    model.shut_down = true;
                    model.waiters.notify_all();
                }
                11.. => {
                    let sent = news.put(step as u32).is_ok();
                    assert_eq!(sent, !model.shut_down, "{context:?}");
                    if sent {
                        model.sent.push(step as u32);
                        model.waiters.notify_all();
                    }
                }
                _ => {}
            }
            let item = got.map(|(slot, subscriber, item)| {
                idle.push_back((slot, subscriber));
                item
            });
            assert_eq!(item, expected, "{context:?}");
            check_woken(&slots, &mut [&mut model.waiters], context);
            let statistics = news.statistics();
            assert_eq!(statistics.sent, model.sent.len() as u64, "{context:?}");
            assert_eq!(statistics.subscribers, SLOTS, "{context:?}");
            assert_eq!(statistics.waiters, model.waiters.line.len(), "{context:?}");
        }
    }
}

type Got = Result<u32, BroadcastError>;
