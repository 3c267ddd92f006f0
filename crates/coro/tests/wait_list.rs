//! The intrusive waiter list: order, counting, cancellation, wakers that come back, and waiters that are forgotten.
#![expect(unsafe_code, reason = "a waker whose clone can be observed is written by hand")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Mutex;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use asyncio_coro::wait_list::{RcWait, Wait, WaitList};

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

fn poll_with<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

/// What a waker made by `hooked` does. For one thread, as the list is.
struct Hooks {
    wake: Box<dyn Fn()>,
    clone: Box<dyn Fn()>,
    drop: Box<dyn Fn()>,
}

impl Default for Hooks {
    fn default() -> Self {
        Hooks { wake: Box::new(|| {}), clone: Box::new(|| {}), drop: Box::new(|| {}) }
    }
}

fn hooked(hooks: Hooks) -> Waker {
    fn borrow(data: *const ()) -> ManuallyDrop<Rc<Hooks>> {
        // SAFETY: `data` came from `Rc::into_raw`, and the count that it stands for is not given up.
        ManuallyDrop::new(unsafe { Rc::from_raw(data.cast()) })
    }
    fn clone(data: *const ()) -> RawWaker {
        let hooks = Rc::clone(&borrow(data));
        (hooks.clone)();
        RawWaker::new(Rc::into_raw(hooks).cast(), &TABLE)
    }
    fn wake(data: *const ()) {
        let hooks = ManuallyDrop::into_inner(borrow(data));
        (hooks.wake)();
    }
    fn wake_by_ref(data: *const ()) {
        (borrow(data).wake)();
    }
    fn drop(data: *const ()) {
        let hooks = ManuallyDrop::into_inner(borrow(data));
        (hooks.drop)();
    }
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);
    let data = Rc::into_raw(Rc::new(hooks)).cast();
    // SAFETY: the table keeps the count of the `Rc`, and these wakers stay on the thread of their test.
    unsafe { Waker::from_raw(RawWaker::new(data, &TABLE)) }
}

/// A waker that calls `wake`.
fn calling(wake: impl Fn() + 'static) -> Waker {
    hooked(Hooks { wake: Box::new(wake), ..Hooks::default() })
}

/// A waker and how often it was called.
fn counting() -> (Rc<Cell<usize>>, Waker) {
    let count = Rc::new(Cell::new(0));
    let waker = calling({
        let count = count.clone();
        move || count.set(count.get() + 1)
    });
    (count, waker)
}

/// Forgets a pinned future, and tells a leak checker that this is on purpose.
fn forget<F>(future: Pin<Box<F>>) {
    static KEPT: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    KEPT.lock().unwrap().push(std::ptr::from_ref(&*future).cast::<()>() as usize);
    mem::forget(future);
}

/// A list that wakers, which are `'static`, can reach.
fn shared() -> Rc<WaitList> {
    Rc::new(WaitList::new())
}

fn waiting(list: &Rc<WaitList>) -> Pin<Box<RcWait<WaitList>>> {
    Box::pin(RcWait::new(list.clone(), |list| list))
}

#[test]
fn waiters_are_notified_in_the_order_of_their_first_poll() {
    let list = WaitList::new();
    let (mut a, mut b, mut c) = (pin!(list.wait()), pin!(list.wait()), pin!(list.wait()));
    assert!(poll(b.as_mut()).is_pending());
    assert!(poll(a.as_mut()).is_pending());
    assert!(poll(c.as_mut()).is_pending());
    assert!(list.notify_one());
    assert!(b.is_notified() && !a.is_notified() && !c.is_notified());
    assert!(list.notify_one());
    assert!(a.is_notified() && !c.is_notified());
    assert!(poll(b).is_ready());
    assert!(poll(a).is_ready());
    assert!(poll(c).is_pending());
}

#[test]
fn notifying_an_empty_list_finds_nobody_and_is_not_remembered() {
    let list = WaitList::new();
    assert!(!list.notify_one());
    assert_eq!(list.notify_all(), 0);
    let mut wait = pin!(list.wait());
    assert!(poll(wait.as_mut()).is_pending());
    assert!(list.has_waiters());
}

#[test]
fn notify_all_wakes_each_waiter_once_and_in_order() {
    let list = WaitList::new();
    let log = Rc::new(RefCell::new(Vec::new()));
    let mut waits: Vec<_> = (0..4).map(|_| Box::pin(list.wait())).collect();
    for (number, wait) in waits.iter_mut().enumerate() {
        let log = log.clone();
        let waker = calling(move || log.borrow_mut().push(number));
        assert!(poll_with(wait.as_mut(), &waker).is_pending());
    }
    assert!(list.notify_one());
    assert_eq!(list.notify_all(), 3);
    assert_eq!(list.notify_all(), 0);
    assert!(!list.notify_one());
    assert_eq!(*log.borrow(), [0, 1, 2, 3]);
    assert!(waits.iter_mut().all(|wait| poll(wait.as_mut()).is_ready()));
}

#[test]
fn a_waiter_counts_until_it_has_resumed() {
    let list = WaitList::new();
    let (mut a, mut b) = (pin!(list.wait()), pin!(list.wait()));
    assert!(list.is_empty(), "nothing is registered before the first poll");
    assert!(poll(a.as_mut()).is_pending());
    assert!(poll(b.as_mut()).is_pending());
    assert_eq!((list.len(), list.notified(), list.has_waiters()), (2, 0, true));
    list.notify_one();
    assert_eq!((list.len(), list.notified(), list.has_waiters()), (2, 1, true));
    list.notify_all();
    assert_eq!((list.len(), list.notified(), list.has_waiters()), (2, 2, false));
    assert!(poll(a.as_mut()).is_ready());
    assert_eq!((list.len(), list.notified(), list.has_waiters()), (1, 1, false));
    assert!(poll(b.as_mut()).is_ready());
    assert!(list.is_empty());
    let statistics = list.statistics();
    assert_eq!((statistics.waiting, statistics.notified, statistics.waits), (0, 0, 2));
    assert_eq!(format!("{list:?}"), "WaitList { waiting: 0, notified: 0 }");
}

#[test]
fn a_dropped_waiter_is_out_of_the_list_wherever_it_stood() {
    for dropped in 0..3 {
        let list = WaitList::new();
        let mut waits: Vec<_> = (0..3).map(|_| Box::pin(list.wait())).collect();
        for wait in &mut waits {
            assert!(poll(wait.as_mut()).is_pending());
        }
        drop(waits.remove(dropped));
        assert_eq!(list.len(), 2);
        for wait in &mut waits {
            assert!(list.notify_one());
            assert!(poll(wait.as_mut()).is_ready());
        }
        assert!(list.is_empty() && !list.notify_one());
    }
}

#[test]
fn leaving_tells_whether_a_notification_was_left_behind() {
    let list = WaitList::new();
    let (mut a, mut b) = (pin!(list.wait()), pin!(list.wait()));
    assert!(!a.as_mut().leave(), "never polled");
    assert!(poll(a.as_mut()).is_pending());
    assert!(!a.as_mut().leave(), "waiting");
    assert!(list.is_empty());
    assert!(poll(a.as_mut()).is_pending());
    assert!(poll(b.as_mut()).is_pending());
    assert!(list.notify_one());
    assert!(a.as_mut().leave(), "notified");
    assert!(!a.as_mut().leave(), "only once");
    assert_eq!((list.len(), list.notified()), (1, 0));
    assert!(poll(a.as_mut()).is_pending(), "starts anew");
    list.notify_one();
    assert!(b.is_notified() && !a.is_notified(), "at the end of the list");
    assert!(poll(b.as_mut()).is_ready());
    assert!(!b.as_mut().leave(), "resumed");
}

#[test]
fn a_ready_waiter_stays_ready() {
    let list = WaitList::new();
    let mut wait = pin!(list.wait());
    assert!(poll(wait.as_mut()).is_pending());
    list.notify_one();
    assert!(poll(wait.as_mut()).is_ready());
    assert!(poll(wait.as_mut()).is_ready());
    assert!(list.is_empty());
}

#[test]
fn waiters_that_rejoin_keep_their_places() {
    let list = WaitList::new();
    let mut waits: Vec<_> = (0..5).map(|_| Box::pin(list.wait())).collect();
    for wait in &mut waits {
        assert!(poll(wait.as_mut()).is_pending());
    }
    for wait in &mut waits[..3] {
        list.notify_one();
        assert!(poll(wait.as_mut()).is_ready());
    }
    for number in [1, 2, 0] {
        waits[number].as_mut().rejoin();
        assert!(poll(waits[number].as_mut()).is_pending());
    }
    assert_eq!(list.len(), 5);
    for wait in &mut waits {
        list.notify_one();
        assert!(poll(wait.as_mut()).is_ready());
    }
}

#[test]
fn rejoin_means_something_only_after_resuming() {
    let list = WaitList::new();
    let mut wait = pin!(list.wait());
    wait.as_mut().rejoin();
    assert!(poll(wait.as_mut()).is_pending());
    wait.as_mut().rejoin();
    list.notify_one();
    wait.as_mut().rejoin();
    assert!(poll(wait.as_mut()).is_ready());
    wait.as_mut().rejoin();
    assert!(list.is_empty(), "the next poll registers it");
    assert!(poll(wait.as_mut()).is_pending());
    assert_eq!(list.len(), 1);
}

#[test]
fn a_waker_is_cloned_once_and_replaced_only_by_another_one() {
    let list = WaitList::new();
    let clones = Rc::new(Cell::new(0));
    let first = hooked(Hooks {
        clone: Box::new({
            let clones = clones.clone();
            move || clones.set(clones.get() + 1)
        }),
        wake: Box::new(|| panic!("this waker was replaced")),
        ..Hooks::default()
    });
    let (woken, second) = counting();
    let mut wait = pin!(list.wait());
    for _ in 0..3 {
        assert!(poll_with(wait.as_mut(), &first).is_pending());
    }
    assert_eq!(clones.get(), 1);
    assert!(poll_with(wait.as_mut(), &second).is_pending());
    list.notify_one();
    assert_eq!(woken.get(), 1);
    assert!(poll(wait.as_mut()).is_ready());
}

#[test]
fn a_waker_may_drop_the_next_waiter() {
    let list = shared();
    let victim = Rc::new(RefCell::new(Some(waiting(&list))));
    let (woken, victim_waker) = counting();
    let waker = calling({
        let victim = victim.clone();
        move || drop(victim.take())
    });
    let (mut first, mut last) = (waiting(&list), waiting(&list));
    let (last_woken, last_waker) = counting();
    assert!(poll_with(first.as_mut(), &waker).is_pending());
    assert!(poll_with(victim.borrow_mut().as_mut().unwrap().as_mut(), &victim_waker).is_pending());
    assert!(poll_with(last.as_mut(), &last_waker).is_pending());
    assert_eq!(list.notify_all(), 3);
    assert!(victim.borrow().is_none());
    assert_eq!((woken.get(), last_woken.get()), (0, 1));
    assert!(poll(first.as_mut()).is_ready());
    assert!(poll(last.as_mut()).is_ready());
    assert!(list.is_empty());
}

#[test]
fn a_waker_may_resume_the_next_waiter_before_its_turn() {
    let list = shared();
    let second = Rc::new(RefCell::new(waiting(&list)));
    let waker = calling({
        let second = second.clone();
        move || assert!(poll(second.borrow_mut().as_mut()).is_ready())
    });
    let (woken, second_waker) = counting();
    let mut first = waiting(&list);
    assert!(poll_with(first.as_mut(), &waker).is_pending());
    assert!(poll_with(second.borrow_mut().as_mut(), &second_waker).is_pending());
    list.notify_all();
    assert_eq!((woken.get(), list.len(), list.notified()), (0, 1, 1));
    assert!(poll(first.as_mut()).is_ready());
}

#[test]
fn whoever_waits_anew_during_notify_all_is_not_notified_by_it() {
    let list = shared();
    let waits: Rc<RefCell<Vec<_>>> = Rc::default();
    // Each wake polls its own waiter at once, which finds nothing and waits again, in its old place.
    for number in 0..3 {
        let weak = Rc::downgrade(&waits);
        let waker = calling(move || {
            let waits: Rc<RefCell<Vec<Pin<Box<RcWait<WaitList>>>>>> = weak.upgrade().unwrap();
            let wait = &mut waits.borrow_mut()[number];
            assert!(poll(wait.as_mut()).is_ready());
            wait.as_mut().rejoin();
            assert!(poll(wait.as_mut()).is_pending());
        });
        let mut wait = waiting(&list);
        assert!(poll_with(wait.as_mut(), &waker).is_pending());
        waits.borrow_mut().push(wait);
    }
    assert_eq!(list.notify_all(), 3);
    assert_eq!((list.len(), list.notified()), (3, 0));
    waits.take();
    assert!(list.is_empty());
}

#[test]
fn a_waker_may_notify_again() {
    let list = shared();
    let late = Rc::new(RefCell::new(waiting(&list)));
    let (late_woken, late_waker) = counting();
    let waker = calling({
        let (list, late) = (Rc::downgrade(&list), late.clone());
        move || {
            assert!(poll_with(late.borrow_mut().as_mut(), &late_waker).is_pending());
            // Wakes the outer call's rest, too.
            assert_eq!(list.upgrade().unwrap().notify_all(), 1);
        }
    });
    let (woken, second_waker) = counting();
    let (mut first, mut second) = (waiting(&list), waiting(&list));
    assert!(poll_with(first.as_mut(), &waker).is_pending());
    assert!(poll_with(second.as_mut(), &second_waker).is_pending());
    assert_eq!(list.notify_all(), 2);
    assert_eq!((woken.get(), late_woken.get(), list.notified()), (1, 1, 3));
    assert!(poll(first.as_mut()).is_ready());
    assert!(poll(second.as_mut()).is_ready());
    assert!(poll(late.borrow_mut().as_mut()).is_ready());
    assert!(list.is_empty());
}

#[test]
fn a_waker_that_panics_does_not_cost_the_others_their_wake() {
    let list = WaitList::new();
    let (woken, waker) = counting();
    let (mut a, mut b, mut c) = (pin!(list.wait()), pin!(list.wait()), pin!(list.wait()));
    assert!(poll_with(a.as_mut(), &waker).is_pending());
    assert!(poll_with(b.as_mut(), &calling(|| panic!("a bad waker"))).is_pending());
    assert!(poll_with(c.as_mut(), &waker).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| list.notify_all())).is_err());
    assert_eq!((woken.get(), list.notified()), (2, 3));
    assert!(poll(a).is_ready());
    assert!(poll(b).is_ready());
    assert!(poll(c).is_ready());
    assert!(list.is_empty());
}

#[test]
fn a_notification_during_the_clone_of_a_waker_is_not_lost() {
    let list = shared();
    let mut wait = waiting(&list);
    let (woken, old) = counting();
    let new = hooked(Hooks {
        clone: Box::new({
            let list = Rc::downgrade(&list);
            move || assert_eq!(list.upgrade().unwrap().notify_all(), 1)
        }),
        ..Hooks::default()
    });
    assert!(poll_with(wait.as_mut(), &old).is_pending());
    assert!(poll_with(wait.as_mut(), &new).is_ready());
    assert_eq!(woken.get(), 1);
    assert!(list.is_empty());
}

#[test]
fn a_notification_during_the_drop_of_a_replaced_waker_wakes_the_new_one() {
    let list = shared();
    let mut wait = waiting(&list);
    let (woken, new) = counting();
    let armed = Rc::new(Cell::new(false));
    let old = hooked(Hooks {
        drop: Box::new({
            let (list, armed) = (Rc::downgrade(&list), armed.clone());
            move || {
                if armed.replace(false) {
                    assert!(list.upgrade().unwrap().notify_one());
                }
            }
        }),
        ..Hooks::default()
    });
    assert!(poll_with(wait.as_mut(), &old).is_pending());
    armed.set(true);
    assert!(poll_with(wait.as_mut(), &new).is_pending());
    assert_eq!((woken.get(), armed.get()), (1, false));
    assert!(poll_with(wait.as_mut(), &new).is_ready());
}

#[test]
fn a_waker_dropped_with_its_waiter_may_use_the_list() {
    let list = shared();
    let (mut first, mut second) = (waiting(&list), waiting(&list));
    let waker = hooked(Hooks {
        drop: Box::new({
            let list = Rc::downgrade(&list);
            move || {
                list.upgrade().unwrap().notify_one();
            }
        }),
        ..Hooks::default()
    });
    assert!(poll_with(first.as_mut(), &waker).is_pending());
    assert!(poll(second.as_mut()).is_pending());
    drop(first);
    assert!(second.is_notified());
}

#[test]
fn a_list_with_forgotten_waiters_can_be_moved_used_and_dropped() {
    let list = WaitList::new();
    let (woken, waker) = counting();
    for _ in 0..3 {
        let mut wait = Box::pin(list.wait());
        assert!(poll_with(wait.as_mut(), &waker).is_pending());
        forget(wait);
    }
    let list = Box::new(list);
    {
        let mut wait = pin!(list.wait());
        assert!(poll(wait.as_mut()).is_pending());
        assert!(list.notify_one());
        assert_eq!(woken.get(), 1);
        assert_eq!(list.len(), 4, "a forgotten waiter counts for ever");
    }
    let mut lists = Box::new((*list, WaitList::new()));
    let (a, b) = (&mut lists.0, &mut lists.1);
    mem::swap(a, b);
    let mut wait = Box::pin(b.wait());
    assert!(poll(wait.as_mut()).is_pending());
    assert!(b.notify_one());
    forget(wait);
    drop(lists);
    assert_eq!(woken.get(), 2);
}

#[test]
fn forgotten_neighbours_do_not_disturb_those_who_leave() {
    let list = WaitList::new();
    let mut waits: Vec<Pin<Box<Wait<'_>>>> = Vec::new();
    for number in 0..7 {
        let mut wait = Box::pin(list.wait());
        assert!(poll(wait.as_mut()).is_pending());
        if number % 2 == 0 {
            forget(wait);
        } else {
            waits.push(wait);
        }
    }
    drop(waits.swap_remove(1));
    assert!(list.notify_one());
    drop(waits.remove(0));
    assert_eq!(list.notify_all(), 4);
    assert!(waits.iter_mut().all(|wait| poll(wait.as_mut()).is_ready()));
    assert_eq!((list.len(), list.notified()), (4, 4));
}

#[test]
fn a_waiter_forgotten_while_notify_all_wakes_is_harmless() {
    let list = shared();
    let next = Rc::new(RefCell::new(Some(waiting(&list))));
    let waker = calling({
        let next = next.clone();
        move || forget(next.take().unwrap())
    });
    let (woken, next_waker) = counting();
    let mut first = waiting(&list);
    assert!(poll_with(first.as_mut(), &waker).is_pending());
    assert!(poll_with(next.borrow_mut().as_mut().unwrap().as_mut(), &next_waker).is_pending());
    list.notify_all();
    assert_eq!((woken.get(), list.notified()), (1, 2));
}

#[test]
fn an_rc_wait_keeps_the_owner_of_its_list() {
    struct Owner(WaitList, Rc<Cell<bool>>);
    impl Drop for Owner {
        fn drop(&mut self) {
            assert!(self.0.is_empty());
            self.1.set(true);
        }
    }
    let dropped = Rc::new(Cell::new(false));
    let owner = Rc::new(Owner(WaitList::new(), dropped.clone()));
    let mut wait = Box::pin(RcWait::new(owner.clone(), |owner| &owner.0));
    assert!(poll(wait.as_mut()).is_pending());
    drop(owner);
    assert!(wait.owner().0.notify_one());
    assert!(wait.is_notified());
    assert!(!dropped.get());
    drop(wait);
    assert!(dropped.get());
}

/// A naive list: ids in order, and who of them is notified.
#[derive(Default)]
struct Model {
    queue: VecDeque<usize>,
    notified: Vec<usize>,
}

#[test]
fn random_operations_agree_with_a_naive_list() {
    const SLOTS: usize = 8;
    for seed in 1..=200_u64 {
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut below = |limit: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % limit as u64) as usize
        };
        let list = WaitList::new();
        let mut model = Model::default();
        let mut waits: Vec<_> = (0..SLOTS).map(|_| Box::pin(list.wait())).collect();
        for _ in 0..200 {
            let slot = below(SLOTS);
            let is_notified = model.notified.contains(&slot);
            match below(8) {
                0..4 => {
                    if poll(waits[slot].as_mut()).is_ready() {
                        assert!(is_notified);
                        model.notified.retain(|&other| other != slot);
                        waits[slot] = Box::pin(list.wait());
                    } else if !model.queue.contains(&slot) {
                        model.queue.push_back(slot);
                    }
                }
                4 => {
                    assert_eq!(waits[slot].as_mut().leave(), is_notified);
                    model.notified.retain(|&other| other != slot);
                    model.queue.retain(|&other| other != slot);
                }
                5 | 6 => {
                    let first = model.queue.pop_front();
                    assert_eq!(list.notify_one(), first.is_some());
                    model.notified.extend(first);
                }
                _ => {
                    assert_eq!(list.notify_all(), model.queue.len());
                    model.notified.extend(model.queue.drain(..));
                }
            }
            assert_eq!(list.len(), model.queue.len() + model.notified.len());
            assert_eq!(list.notified(), model.notified.len());
            for (slot, wait) in waits.iter().enumerate() {
                assert_eq!(wait.is_notified(), model.notified.contains(&slot));
            }
        }
    }
}
