//! Locks of each kind against naive models: random operations with random cancels, step by step.
//!
//! Ten tasks (slots) start, poll and drop operations. The model says of each poll whether it is ready, of each
//! step who is woken by it, and of each state who must have been woken by now.

mod driver;
mod support;

use asyncio_queue::{
    BoundedSemaphore, BoundedSemaphorePermit, CapacityLimiter, CapacityToken, Condition, Lock,
    LockGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, Semaphore, SemaphorePermit,
};
use support::Random;
use support::model::{SEEDS, SLOTS, STEPS, Slot, Waiters, check_woken};

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
            assert_eq!(lock.statistics().woken, waiters.notified(), "{context:?}");
            assert!(
                guard.is_some() || waiters.line.is_empty() || waiters.some_notified(),
                "nobody is on the way to a free lock: {context:?}"
            );
        }
    }
}

/// What a semaphore does with free permits: each goes to the next in line.
fn hand_out(value: &mut usize, waiters: &mut Waiters) {
    while *value > 0 && waiters.notify_one() {
        *value -= 1;
    }
}

#[test]
fn a_semaphore_agrees_with_its_model_under_random_cancels() {
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
            assert_eq!(semaphore.statistics().woken, promised, "{context:?}");
            assert_eq!(value + permits.len() + promised, total, "{context:?}");
            assert_eq!(semaphore.locked(), value == 0 || !waiters.line.is_empty(), "{context:?}");
            assert!(
                value == 0 || !waiters.has_unnotified() || promised > 0,
                "nobody is on the way to a free permit: {context:?}"
            );
        }
    }
}

#[test]
fn a_bounded_semaphore_agrees_with_its_model_under_random_cancels() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let bound = random.below(4);
        let semaphore = BoundedSemaphore::new(bound);
        let mut slots: [Slot<'_, BoundedSemaphorePermit<'_>>; SLOTS] = Slot::all();
        let mut waiters = Waiters::default();
        let (mut value, mut forgotten, mut permits) = (bound, 0, Vec::new());
        for step in 0..STEPS {
            let context = (seed, step);
            let slot = random.below(SLOTS);
            let idle = slots[slot].future.is_none();
            let mut got = None;
            let mut may_take = false;
            match random.below(16) {
                0..6 if idle => {
                    may_take = value > 0 && waiters.line.is_empty();
                    if may_take {
                        value -= 1;
                    } else {
                        waiters.join(slot);
                    }
                    got = slots[slot].start(semaphore.acquire());
                }
                0..8 if !idle => {
                    may_take = waiters.is_notified(slot);
                    if may_take {
                        waiters.leave(slot);
                        hand_out(&mut value, &mut waiters);
                    }
                    got = slots[slot].poll();
                }
                8 | 9 if !idle => {
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
                11 => {
                    let allowed = forgotten > 0;
                    assert_eq!(semaphore.release().is_ok(), allowed, "{context:?}");
                    if allowed {
                        forgotten -= 1;
                        value += 1;
                        hand_out(&mut value, &mut waiters);
                    }
                }
                12 if !permits.is_empty() => {
                    let at = random.below(permits.len());
                    let permit: BoundedSemaphorePermit<'_> = permits.swap_remove(at);
                    permit.forget();
                    forgotten += 1;
                }
                13.. if !permits.is_empty() => {
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
            assert_eq!(semaphore.statistics().woken, promised, "{context:?}");
            assert_eq!(value + permits.len() + forgotten + promised, bound, "{context:?}");
            assert!(
                value == 0 || !waiters.has_unnotified() || promised > 0,
                "nobody is on the way to a free permit: {context:?}"
            );
        }
    }
}

#[test]
fn a_capacity_limiter_agrees_with_its_model_under_random_cancels() {
    fn lend(total: usize, borrowed: &mut usize, waiters: &mut Waiters) {
        while *borrowed < total && waiters.notify_one() {
            *borrowed += 1;
        }
    }
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let (mut total, mut borrowed) = (random.below(4), 0);
        let limiter = CapacityLimiter::new(total);
        let mut slots: [Slot<'_, CapacityToken<'_>>; SLOTS] = Slot::all();
        let mut waiters = Waiters::default();
        let mut tokens = Vec::new();
        for step in 0..STEPS {
            let context = (seed, step);
            let slot = random.below(SLOTS);
            let idle = slots[slot].future.is_none();
            let mut got = None;
            let mut may_take = false;
            match random.below(16) {
                0..6 if idle => {
                    may_take = borrowed < total && waiters.line.is_empty();
                    if may_take {
                        borrowed += 1;
                    } else {
                        waiters.join(slot);
                    }
                    got = slots[slot].start(limiter.acquire());
                }
                0..8 if !idle => {
                    may_take = waiters.is_notified(slot);
                    if may_take {
                        waiters.leave(slot);
                        lend(total, &mut borrowed, &mut waiters);
                    }
                    got = slots[slot].poll();
                }
                8 | 9 if !idle => {
                    slots[slot].future = None;
                    if waiters.leave(slot) {
                        borrowed -= 1;
                        lend(total, &mut borrowed, &mut waiters);
                    }
                }
                10 => {
                    may_take = borrowed < total && waiters.line.is_empty();
                    borrowed += usize::from(may_take);
                    got = limiter.acquire_nowait().ok();
                }
                11 => {
                    // Also below what is lent: that is given back first.
                    total = random.below(5);
                    limiter.set_total_tokens(total);
                    lend(total, &mut borrowed, &mut waiters);
                }
                12.. if !tokens.is_empty() => {
                    drop(tokens.swap_remove(random.below(tokens.len())));
                    borrowed -= 1;
                    lend(total, &mut borrowed, &mut waiters);
                }
                _ => {}
            }
            assert_eq!(got.is_some(), may_take, "{context:?}");
            tokens.extend(got);
            check_woken(&slots, &mut [&mut waiters], context);
            let promised = waiters.line.iter().filter(|entry| entry.2).count();
            assert_eq!(limiter.borrowed_tokens(), borrowed, "{context:?}");
            assert_eq!(tokens.len() + promised, borrowed, "{context:?}");
            assert_eq!(limiter.statistics().waiters, waiters.line.len(), "{context:?}");
            assert_eq!(limiter.statistics().woken, promised, "{context:?}");
            assert!(
                borrowed >= total || !waiters.has_unnotified() || promised > 0,
                "nobody is on the way to a free token: {context:?}"
            );
        }
    }
}

/// What a task holds of a lock for readers and writers.
enum Held<'a> {
    Read(RwLockReadGuard<'a, ()>),
    Write(RwLockWriteGuard<'a, ()>),
}

/// The lock as two numbers, and what each of those in line wants.
#[derive(Default)]
struct RwModel {
    readers: usize,
    written: bool,
    waiters: Waiters,
    writes: [bool; SLOTS],
}

impl RwModel {
    fn take(&mut self, writes: bool) -> bool {
        let free = !self.written && (!writes || self.readers == 0);
        if free && writes {
            self.written = true;
        } else if free {
            self.readers += 1;
        }
        free
    }

    fn wake_next(&mut self) {
        if !self.waiters.some_notified() {
            self.waiters.notify_one();
        }
    }
}

#[test]
fn a_lock_for_readers_and_writers_agrees_with_its_model_under_random_cancels() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let lock = RwLock::new(());
        let mut slots: [Slot<'_, Held<'_>>; SLOTS] = Slot::all();
        let mut model = RwModel::default();
        let mut guards = Vec::new();
        for step in 0..STEPS {
            let context = (seed, step);
            let slot = random.below(SLOTS);
            let idle = slots[slot].future.is_none();
            let mut got = None;
            let mut may_take = false;
            match random.below(16) {
                0..6 if idle => {
                    let writes = random.below(2) == 0;
                    may_take = model.waiters.line.is_empty() && model.take(writes);
                    if !may_take {
                        model.writes[slot] = writes;
                        model.waiters.join(slot);
                    }
                    let lock = &lock;
                    got = slots[slot].start(async move {
                        if writes {
                            Held::Write(lock.write().await)
                        } else {
                            Held::Read(lock.read().await)
                        }
                    });
                }
                0..9 if !idle => {
                    let writes = model.writes[slot];
                    if model.waiters.is_notified(slot) {
                        may_take = model.take(writes);
                        if may_take {
                            model.waiters.leave(slot);
                            // The one behind a reader may be a reader, too.
                            if !writes {
                                model.wake_next();
                            }
                        } else {
                            model.waiters.rejoin(slot);
                        }
                    }
                    got = slots[slot].poll();
                }
                9 | 10 if !idle => {
                    slots[slot].future = None;
                    model.waiters.leave(slot);
                    // Whether it had been woken or not: behind a writer readers may go on.
                    model.wake_next();
                }
                11 => {
                    let writes = random.below(2) == 0;
                    may_take = model.waiters.line.is_empty() && model.take(writes);
                    got = if writes {
                        lock.write_nowait().ok().map(Held::Write)
                    } else {
                        lock.read_nowait().ok().map(Held::Read)
                    };
                }
                12.. if !guards.is_empty() => {
                    match guards.swap_remove(random.below(guards.len())) {
                        Held::Read(guard) => {
                            drop(guard);
                            model.readers -= 1;
                        }
                        Held::Write(guard) => {
                            drop(guard);
                            model.written = false;
                        }
                    }
                    if model.readers == 0 {
                        model.wake_next();
                    }
                }
                _ => {}
            }
            assert_eq!(got.is_some(), may_take, "{context:?}");
            guards.extend(got);
            check_woken(&slots, &mut [&mut model.waiters], context);
            let statistics = lock.statistics();
            assert_eq!(statistics.written, model.written, "{context:?}");
            assert_eq!(statistics.read, model.readers > 0, "{context:?}");
            assert_eq!(statistics.waiters, model.waiters.line.len(), "{context:?}");
            assert_eq!(statistics.woken, model.waiters.notified(), "{context:?}");
            assert!(
                model.written
                    || model.readers > 0
                    || model.waiters.line.is_empty()
                    || model.waiters.some_notified(),
                "nobody is on the way to a free lock: {context:?}"
            );
        }
    }
}

/// A condition as a lock, and a line of those who wait for a notification.
#[derive(Default)]
struct ConditionModel {
    locked: bool,
    lockers: Waiters,
    waiters: Waiters,
}

impl ConditionModel {
    fn acquire(&mut self, slot: usize) -> bool {
        let free = !self.locked && self.lockers.line.is_empty();
        if free {
            self.locked = true;
        } else {
            self.lockers.join(slot);
        }
        free
    }

    fn release(&mut self) {
        self.locked = false;
        if !self.lockers.some_notified() {
            self.lockers.notify_one();
        }
    }

    fn poll(&mut self, slot: usize) -> bool {
        if self.waiters.is_notified(slot) {
            self.waiters.leave(slot);
            return self.acquire(slot);
        }
        if !self.lockers.is_notified(slot) {
            return false;
        }
        if self.locked {
            self.lockers.rejoin(slot);
            return false;
        }
        self.lockers.leave(slot);
        self.locked = true;
        true
    }

    /// `waited`: for a notification, and not just for the lock.
    fn cancel(&mut self, slot: usize, waited: bool) {
        if self.waiters.entry(slot).is_some() {
            if self.waiters.leave(slot) {
                self.waiters.notify_one();
            }
            return;
        }
        if self.lockers.leave(slot) && !self.locked {
            self.lockers.notify_one();
        }
        if waited {
            self.waiters.notify_one(); // the notification is nobody's now
        }
    }
}

#[test]
fn a_condition_agrees_with_its_model_under_random_cancels() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let condition = Condition::new(());
        let mut slots: [Slot<'_, LockGuard<'_>>; SLOTS] = Slot::all();
        let mut waited = [false; SLOTS];
        let mut model = ConditionModel::default();
        let mut guard = None;
        for step in 0..STEPS {
            let context = (seed, step);
            let slot = random.below(SLOTS);
            let idle = slots[slot].future.is_none();
            let mut got = None;
            let mut may_take = false;
            match random.below(16) {
                0..3 if idle => {
                    waited[slot] = false;
                    may_take = model.acquire(slot);
                    got = slots[slot].start(condition.acquire());
                }
                3..8 if idle => {
                    if let Some(guard) = guard.take() {
                        waited[slot] = true;
                        model.waiters.join(slot);
                        model.release();
                        got = slots[slot].start(condition.wait(guard));
                    }
                }
                0..9 if !idle => {
                    may_take = model.poll(slot);
                    got = slots[slot].poll();
                }
                9 | 10 if !idle => {
                    slots[slot].future = None;
                    model.cancel(slot, waited[slot]);
                }
                11 | 12 if guard.take().is_some() => model.release(),
                13.. => {
                    if let Some(guard) = &guard {
                        let count = random.below(4);
                        if count == 3 {
                            condition.notify_all(guard);
                            model.waiters.notify_all();
                        } else {
                            condition.notify(guard, count);
                            (0..count).for_each(|_| _ = model.waiters.notify_one());
                        }
                    }
                }
                _ => {}
            }
            assert_eq!(got.is_some(), may_take, "{context:?}");
            guard = guard.or(got);
            let (lockers, waiters) = (&mut model.lockers, &mut model.waiters);
            check_woken(&slots, &mut [lockers, waiters], context);
            assert_eq!(condition.locked(), model.locked, "{context:?}");
            let statistics = condition.statistics();
            assert_eq!(statistics.waiters, model.waiters.line.len(), "{context:?}");
            assert_eq!(statistics.woken, model.waiters.notified(), "{context:?}");
            let lock = condition.lock().statistics();
            assert_eq!(lock.waiters, model.lockers.line.len(), "{context:?}");
            assert!(
                model.locked || model.lockers.line.is_empty() || model.lockers.some_notified(),
                "nobody is on the way to a free lock: {context:?}"
            );
        }
    }
}
