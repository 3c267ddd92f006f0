//! The timers: an indexed 4-ary heap over a slab.
//!
//! asyncio marks a cancelled timer and trims its heap later. Here a slab slot knows its place in the heap, so a
//! cancelled timer leaves at once, in O(log n), and there is nothing to trim. Four children a node halve the depth,
//! and the 24-byte items of a family share cache lines. Once the two vectors have grown, nothing is allocated; when most
//! of what they hold is gone, they are made smaller.
//!
//! A timer that holds a waker keeps its slot after it fired, until its ready-queue entry has run: the entry names the
//! slot, so nobody else may get it. A timer that holds a callback hands its own entry over and frees the slot at once.

use std::mem;
use std::task::Waker;
use std::time::Instant;

use slab::Slab;

use crate::ready::Entry;

/// Names a timer that was added, so that it can be cancelled. A stale key (the timer has fired) does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimerKey {
    slot: u32,
    /// The low half of the timer's sequence number: tells the tenants of one slot apart.
    tenant: u32,
}

impl TimerKey {
    /// Names no timer.
    pub(crate) fn never() -> Self {
        Self { slot: u32::MAX, tenant: u32::MAX }
    }

    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.slot) << 32 | u64::from(self.tenant)
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self { slot: (bits >> 32) as u32, tenant: bits as u32 }
    }
}

/// What a timer does when it is due.
pub(crate) enum Action {
    Wake(Waker),
    Run(Entry),
}

/// A due timer, to be appended to the ready queue.
pub(crate) enum Due {
    /// Queue an entry that calls [`Timers::take_fired`] with this slot.
    Wake(usize),
    /// Queue this entry.
    Run(Entry),
}

/// All timers of one loop.
pub(crate) struct Timers {
    /// Deadlines are kept as nanoseconds from here: 8 bytes and one comparison instead of 12 and two.
    epoch: Instant,
    /// The number of the next timer; equal deadlines fire in its order.
    next_sequence: u64,
    heap: Vec<Item>,
    slots: Slab<Slot>,
    /// With fewer slots than this in use it is worth a look whether the two can be made smaller. The slab cannot while a
    /// high slot is in use, and the look is not free, so the next one comes when there are half as many.
    trim_below: usize,
}

#[derive(Clone, Copy)]
struct Item {
    /// Nanoseconds from the epoch; may be negative.
    when: i64,
    sequence: u64,
    slot: u32,
}

struct Slot {
    tenant: u32,
    place: Place,
    /// None once it was taken: cancelled after it had fired.
    action: Option<Action>,
}

enum Place {
    /// The index in the heap.
    Waiting(u32),
    /// Out of the heap, its entry is in the ready queue.
    Fired,
}

impl Item {
    fn is_before(&self, other: &Self) -> bool {
        (self.when, self.sequence) < (other.when, other.sequence)
    }
}

impl Timers {
    pub(crate) fn new(epoch: Instant) -> Self {
        let (heap, slots) = (Vec::new(), Slab::new());
        Self { epoch, next_sequence: 0, heap, slots, trim_below: 0 }
    }

    /// Adds a timer. O(log n), O(1) for the usual one that is later than most.
    pub(crate) fn insert(&mut self, when: Instant, action: Action) -> TimerKey {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let tenant = sequence as u32;
        if self.slots.len() == self.slots.capacity() {
            self.grow();
        }
        let at = self.heap.len();
        let place = Place::Waiting(at as u32);
        let slot = self.slots.insert(Slot { tenant, place, action: Some(action) });
        let slot = u32::try_from(slot).expect("fewer than 2^32 timers fit in memory");
        self.heap.push(Item { when: self.to_nanos(when), sequence, slot });
        self.sift_up(at);
        TimerKey { slot, tenant }
    }

    /// Removes a timer, or disarms the entry of one that has fired. The caller drops what it gets outside any borrow.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<Action> {
        let slot =
            self.slots.get_mut(key.slot as usize).filter(|slot| slot.tenant == key.tenant)?;
        match slot.place {
            Place::Fired => slot.action.take(),
            Place::Waiting(at) => {
                self.remove_at(at as usize);
                let action = self.slots.remove(key.slot as usize).action;
                self.trim();
                action
            }
        }
    }

    /// The earliest deadline.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.heap.first().map(|item| self.to_instant(item.when))
    }

    /// Removes the earliest timer if it is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Due> {
        let first = self.heap.first()?;
        if first.when > self.to_nanos(now) {
            return None;
        }
        let index = first.slot as usize;
        self.remove_at(0);
        let slot = &mut self.slots[index];
        if let Some(Action::Wake(_)) = slot.action {
            slot.place = Place::Fired;
            return Some(Due::Wake(index));
        }
        let action = self.slots.remove(index).action;
        self.trim();
        match action {
            Some(Action::Run(entry)) => Some(Due::Run(entry)),
            _ => unreachable!("a waiting timer has an action, and a waker was handled above"),
        }
    }

    /// Frees the slot of a fired timer whose entry runs now (or is discarded); its waker, unless it was cancelled.
    pub(crate) fn take_fired(&mut self, slot: usize) -> Option<Waker> {
        let action = self.slots.remove(slot).action;
        self.trim();
        match action {
            Some(Action::Wake(waker)) => Some(waker),
            _ => None,
        }
    }

    #[cold]
    fn grow(&mut self) {
        self.slots.reserve(1);
        let capacity = self.slots.capacity();
        self.trim_below = if capacity > SMALL { capacity / 8 } else { 0 };
    }

    /// Gives memory back when most of it is unused.
    #[inline]
    fn trim(&mut self) {
        if self.slots.len() < self.trim_below {
            self.shrink();
        }
    }

    #[cold]
    fn shrink(&mut self) {
        self.heap.shrink_to(SMALL.max(self.heap.len() * 2));
        self.slots.shrink_to_fit();
        let is_small = self.slots.capacity() <= SMALL;
        self.trim_below = if is_small { 0 } else { self.slots.len() / 2 };
    }

    /// Takes every waiting timer's action. Fired ones stay: their entries free them.
    pub(crate) fn take_waiting(&mut self) -> Vec<Action> {
        let waiting = mem::take(&mut self.heap);
        waiting
            .into_iter()
            .filter_map(|item| self.slots.remove(item.slot as usize).action)
            .collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    fn remove_at(&mut self, at: usize) {
        self.heap.swap_remove(at);
        if at < self.heap.len() {
            self.sift_down(at);
            self.sift_up(at);
        }
    }

    fn sift_up(&mut self, mut at: usize) {
        let item = self.heap[at];
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if !item.is_before(&self.heap[parent]) {
                break;
            }
            self.put(at, self.heap[parent]);
            at = parent;
        }
        self.put(at, item);
    }

    fn sift_down(&mut self, mut at: usize) {
        let item = self.heap[at];
        loop {
            let first = at * ARITY + 1;
            let end = (first + ARITY).min(self.heap.len());
            let Some(child) = (first..end).reduce(|best, child| {
                if self.heap[child].is_before(&self.heap[best]) { child } else { best }
            }) else {
                break;
            };
            if !self.heap[child].is_before(&item) {
                break;
            }
            self.put(at, self.heap[child]);
            at = child;
        }
        self.put(at, item);
    }

    fn put(&mut self, at: usize, item: Item) {
        self.heap[at] = item;
        self.slots[item.slot as usize].place = Place::Waiting(at as u32);
    }

    /// Saturates: 292 years from the loop's creation mean never.
    fn to_nanos(&self, when: Instant) -> i64 {
        match when.checked_duration_since(self.epoch) {
            Some(later) => i64::try_from(later.as_nanos()).unwrap_or(i64::MAX),
            None => {
                i64::try_from(self.epoch.duration_since(when).as_nanos()).map_or(i64::MIN, |n| -n)
            }
        }
    }

    fn to_instant(&self, when: i64) -> Instant {
        let distance = std::time::Duration::from_nanos(when.unsigned_abs());
        let instant = if when < 0 {
            self.epoch.checked_sub(distance)
        } else {
            self.epoch.checked_add(distance)
        };
        instant.unwrap_or(self.epoch)
    }
}

/// Children a node.
const ARITY: usize = 4;
/// Room for as many timers is never given back. 100 KiB and a slab of 160.
const SMALL: usize = 4096;
