//! The ready list of a family of futures that one future polls in place: a group's children, the members of `gather` and `wait`.
//!
//! A future that waits for ten thousand others must not look at all of them at each wake. So each member has a waker of
//! its own, a [`Member`], which writes the member's number into the family's list and wakes the family once; the family
//! polls the numbers it finds there and nobody else: O(woken).
//!
//! Members are woken on the family's own thread nearly always, so that path takes no lock: the list has a part that
//! only its owner's thread touches, and a door for other threads. Members hold the list weakly: a waker that somebody
//! keeps for ever, also of a family that was forgotten with `mem::forget`, keeps a few words alive and nothing else.
//!
//! # Invariants
//!
//! - **R1** `OwnerCell::value` is reached only through `get`, which answers on the owner's thread alone. Thread numbers
//!   are never used twice, so "the owner's thread" cannot become another one.
//! - **R2** What an `OwnerCell` holds is `Send`: whichever thread drops the last reference may drop it.
//! - **R3** A waker is taken out of the list before it is called, never called inside a borrow or a lock.
#![expect(
    unsafe_code,
    reason = "the part of the list that only the owner's thread reaches is shared without a lock"
)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};

/// Numbers of woken members, and the waker of the future that polls them.
pub(crate) struct ReadyList {
    /// What the owner's thread alone uses.
    local: OwnerCell<RefCell<Local>>,
    /// What other threads have pushed.
    door: Mutex<Door>,
    /// Set while `door` has something for the owner, so that a pass without it takes no lock.
    knocked: AtomicBool,
}

/// The owner's side of a [`ReadyList`].
#[derive(Default)]
struct Local {
    /// Woken members, first in first out.
    queue: VecDeque<u32>,
    /// The family's waker; taken by the wake that uses it, put back by the next pass.
    waker: Option<Waker>,
    /// Which waker lies behind the door (its addresses; while it lies there they belong to nobody else).
    behind_door: Option<(usize, usize)>,
}

/// The side of a [`ReadyList`] for other threads.
#[derive(Default)]
struct Door {
    queue: Vec<u32>,
    /// A copy of the family's waker; taken by the wake that uses it.
    waker: Option<Waker>,
}

impl ReadyList {
    /// An empty list owned by the calling thread.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            local: OwnerCell::new(RefCell::default()),
            door: Mutex::default(),
            knocked: AtomicBool::new(false),
        })
    }

    /// Starts a pass: notes whom to wake next time, takes in what other threads left at the door, and says how many
    /// members are ready. Members that become ready during the pass belong to the next one.
    pub(crate) fn begin(&self, waker: &Waker) -> usize {
        let key = identity(waker);
        let stale = {
            let mut local = self.owned().borrow_mut();
            // After a wake the place is empty; otherwise the same waker stays.
            let same = local.waker.as_ref().is_some_and(|kept| kept.will_wake(waker));
            (!same).then(|| local.waker.take()).flatten()
        };
        drop(stale); // R3: somebody's waker may do anything when it is dropped
        let (kept, behind_door) = {
            let local = self.owned().borrow();
            (local.waker.is_some(), local.behind_door)
        };
        if !kept {
            let copy = waker.clone();
            self.owned().borrow_mut().waker = Some(copy);
        }
        if behind_door != Some(key) || self.knocked.load(Ordering::Acquire) {
            let copy = waker.clone();
            let mut door = self.door();
            self.knocked.store(false, Ordering::Release);
            let stale = door.waker.replace(copy);
            let pushed = std::mem::take(&mut door.queue);
            drop(door);
            let mut local = self.owned().borrow_mut();
            local.behind_door = Some(key);
            local.queue.extend(pushed);
            drop(local);
            drop(stale);
        }
        self.owned().borrow().queue.len()
    }

    /// The next ready member.
    pub(crate) fn pop(&self) -> Option<u32> {
        self.owned().borrow_mut().queue.pop_front()
    }

    /// The ready member at this place, which changes places with the next one.
    pub(crate) fn pop_at(&self, place: usize) -> Option<u32> {
        self.owned().borrow_mut().queue.swap_remove_front(place)
    }

    /// Queues member `index` and wakes the family, from whichever thread this is.
    pub(crate) fn push(&self, index: u32) {
        let waker = match self.local.get() {
            Some(local) => {
                let mut local = local.borrow_mut();
                local.queue.push_back(index);
                local.waker.take()
            }
            None => {
                let mut door = self.door();
                door.queue.push(index);
                self.knocked.store(true, Ordering::Release);
                door.waker.take()
            }
        };
        // No waker: the family has been woken already and has not run since.
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The owner's side, for callers that are `!Send` and so on the owner's thread.
    fn owned(&self) -> &RefCell<Local> {
        self.local.get().expect("a family is polled on the thread that made it: it is !Send")
    }

    fn door(&self) -> MutexGuard<'_, Door> {
        // No foreign code runs while the lock is held, so poison means nothing here.
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells wakers apart without owning them. As long as somebody owns a waker, no other one gets its identity.
pub(crate) fn identity(waker: &Waker) -> (usize, usize) {
    (waker.data().addr(), std::ptr::from_ref(waker.vtable()).addr())
}

/// What is behind the waker of a member that needs nothing else.
pub(crate) struct Member {
    pub(crate) signal: Signal,
}

impl Member {
    /// Member `index` of the family with this list, not raised.
    pub(crate) fn new(list: &Arc<ReadyList>, index: u32) -> Arc<Self> {
        Arc::new(Self { signal: Signal::new(list, index) })
    }

    /// A waker that announces member `index` on `list`.
    pub(crate) fn waker(list: &Arc<ReadyList>, index: u32) -> Waker {
        Waker::from(Self::new(list, index))
    }
}

impl Wake for Member {
    fn wake(self: Arc<Self>) {
        self.signal.raise();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.signal.raise();
    }
}

/// One member's way of saying "poll me": at most one entry in the list at a time.
pub(crate) struct Signal {
    list: Weak<ReadyList>,
    index: u32,
    /// Set while the member is in the list, and for good once it has ended.
    raised: AtomicBool,
}

impl Signal {
    /// A signal of member `index`, not raised.
    pub(crate) fn new(list: &Arc<ReadyList>, index: u32) -> Self {
        Self { list: Arc::downgrade(list), index, raised: AtomicBool::new(false) }
    }

    /// A signal of member `index` that is raised: who makes it puts the number into the list.
    pub(crate) fn raised(list: &Arc<ReadyList>, index: u32) -> Self {
        Self { raised: AtomicBool::new(true), ..Self::new(list, index) }
    }

    /// A signal that reaches nobody.
    pub(crate) fn dead() -> Self {
        Self { list: Weak::new(), index: u32::MAX, raised: AtomicBool::new(true) }
    }

    /// Queues the member unless it is queued already.
    pub(crate) fn raise(&self) {
        if self.raised.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(list) = self.list.upgrade() {
            list.push(self.index);
        }
    }

    /// Lets the next wake through; to be called right before the member is polled.
    pub(crate) fn lower(&self) {
        self.raised.store(false, Ordering::Release);
    }

    /// Silences the signal for good: its number may go to another member.
    pub(crate) fn end(&self) {
        self.raised.store(true, Ordering::Release);
    }
}

/// A value that one thread uses and any thread may drop.
struct OwnerCell<T> {
    owner: u64,
    value: T,
}

// SAFETY: by R1 a shared reference gives access to `value` on one thread only; by R2 it may be dropped on another.
unsafe impl<T: Send> Sync for OwnerCell<T> {}

impl<T> OwnerCell<T> {
    /// Makes the calling thread the owner of `value`.
    fn new(value: T) -> Self {
        Self { owner: this_thread(), value }
    }

    /// The value, on the owner's thread.
    fn get(&self) -> Option<&T> {
        (self.owner == this_thread()).then_some(&self.value)
    }
}

/// A number for the calling thread that no other thread has or will have.
fn this_thread() -> u64 {
    thread_local!(static NUMBER: Cell<u64> = const { Cell::new(0) });
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NUMBER.with(|number| {
        if number.get() == 0 {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn two_wakes_of_one_member_are_one_entry_and_one_wake_of_the_family() {
        let (list, count) = (ReadyList::new(), Arc::new(Count::default()));
        list.begin(&Waker::from(count.clone()));
        let (a, b) = (Member::waker(&list, 4), Member::waker(&list, 9));
        a.wake_by_ref();
        a.wake_by_ref();
        b.wake_by_ref();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(list.begin(Waker::noop()), 2);
        assert_eq!((list.pop(), list.pop(), list.pop()), (Some(4), Some(9), None));
    }

    #[test]
    fn a_wake_through_the_door_is_seen_by_the_next_pass_and_wakes_once() {
        let (list, count) = (ReadyList::new(), Arc::new(Count::default()));
        let family = Waker::from(count.clone());
        for round in 1..4 {
            assert_eq!(list.begin(&family), 0);
            let member = Member::waker(&list, round);
            std::thread::spawn(move || member.wake()).join().unwrap();
            assert_eq!(count.0.load(Ordering::Relaxed), round as usize);
            assert_eq!(list.begin(&family), 1);
            assert_eq!(list.pop(), Some(round));
        }
    }

    #[test]
    fn a_kept_waker_outlives_its_list() {
        let list = ReadyList::new();
        let member = Member::waker(&list, 0);
        drop(list);
        member.wake_by_ref();
        std::thread::spawn(move || member.wake()).join().unwrap();
    }
}
