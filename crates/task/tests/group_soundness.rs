//! Groups that are forgotten, dropped half-way, and torn down while they are being used. To be run under AddressSanitizer too.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use asyncio_coro::yield_now;
use asyncio_task::{Task, TaskGroup};
use support::{Log, Wakes, my_waker};

type Refused = Result<(), &'static str>;

/// Polls without a loop; `None` if it is still pending after `polls` of them.
fn poll_times<F: Future>(mut future: Pin<&mut F>, polls: usize) -> Option<F::Output> {
    for _ in 0..polls {
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(value) = polled {
            return Some(value);
        }
    }
    None
}

#[test]
fn children_borrow_from_the_function_around_the_group() {
    let words = Vec::from(["a", "bc"].map(String::from));
    let mut total = 0;
    let sum = &mut total;
    let group = TaskGroup::scope(async |group| {
        let lengths: Vec<_> = words
            .iter()
            .map(|word| {
                group.create_task(async {
                    yield_now().await;
                    Ok(word.as_str())
                })
            })
            .collect();
        for length in lengths {
            *sum += length.await.map_err(|_| "no value")?.len();
        }
        Ok::<_, &str>(())
    });
    assert_eq!(poll_times(pin!(group), 10), Some(Ok(())));
    assert_eq!(total, 3);
}

#[test]
fn a_forgotten_group_is_never_polled_again_whoever_wakes_its_children() {
    let kept = RefCell::new(Vec::<Waker>::new());
    let polls = Cell::new(0);
    {
        let data = Box::new([1_u8; 100]);
        let mut group = Box::pin(TaskGroup::scope(async |group| {
            for _ in 0..2 {
                group.create_task(poll_fn(|cx| {
                    polls.set(polls.get() + 1);
                    assert_eq!(data[99], 1);
                    kept.borrow_mut().push(cx.waker().clone());
                    Poll::<Refused>::Pending
                }));
            }
            pending::<Refused>().await
        }));
        assert!(poll_times(group.as_mut(), 3).is_none());
        std::mem::forget(group);
    }
    assert_eq!(polls.get(), 2);
    let wakers = kept.take();
    assert_eq!(wakers.len(), 2);
    for waker in &wakers {
        waker.wake_by_ref();
    }
    std::thread::spawn(move || wakers.into_iter().for_each(Waker::wake)).join().unwrap();
    assert_eq!(polls.get(), 2);
}

#[test]
fn a_handle_of_a_forgotten_group_stays_pending() {
    let text = String::from("borrowed");
    let handles = RefCell::new(Vec::<Task<usize>>::new());
    let mut group = Box::pin(TaskGroup::scope(async |group| {
        handles.borrow_mut().push(group.create_task(async {
            pending::<()>().await;
            Ok::<_, ()>(text.len())
        }));
        pending::<Result<(), ()>>().await
    }));
    assert!(poll_times(group.as_mut(), 2).is_none());
    std::mem::forget(group);
    let handle = handles.borrow_mut().pop().unwrap();
    assert!(!handle.done());
    assert!(handle.cancel(), "it will never know");
    assert!(poll_times(pin!(handle), 3).is_none());
}

#[test]
fn a_dropped_group_drops_body_then_children() {
    let log = Log::default();
    let mut group = Box::pin(TaskGroup::scope(async |group| {
        let _body = log.on_drop("body");
        for name in ["first", "second"] {
            let guard = log.on_drop(name);
            group.create_task(async move {
                let _guard = guard;
                pending::<Refused>().await
            });
        }
        pending::<Refused>().await
    }));
    assert!(poll_times(group.as_mut(), 2).is_none());
    drop(group);
    assert_eq!(log.take(), ["body", "first", "second"]);
}

#[test]
fn a_group_dropped_before_its_first_poll_runs_nothing() {
    let ran = Cell::new(false);
    let group = TaskGroup::scope(async |_| -> Refused {
        ran.set(true);
        Ok(())
    });
    drop(group);
    assert!(!ran.get());
}

/// Creates further children in its destructor, each of which holds another one of its kind.
struct Spawner<'scope, 'env> {
    group: &'scope TaskGroup<'scope, 'env, &'static str>,
    depth: usize,
    drops: &'env Cell<usize>,
    refused: &'env Cell<usize>,
}

impl Drop for Spawner<'_, '_> {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
        if self.depth == 0 {
            return;
        }
        for _ in 0..4 {
            let next = Spawner { depth: self.depth - 1, ..*self };
            let child = self.group.create_task(async move {
                let _next = next;
                pending::<Refused>().await
            });
            if child.cancelled() {
                self.refused.set(self.refused.get() + 1);
            }
        }
    }
}

#[test]
fn a_child_whose_drop_creates_children_in_a_group_being_torn_down_creates_cancelled_ones() {
    let (drops, refused) = (Cell::new(0), Cell::new(0));
    let mut group = Box::pin(TaskGroup::scope(async |group| {
        let spawner = Spawner { group, depth: 4, drops: &drops, refused: &refused };
        group.create_task(async move {
            let _spawner = spawner;
            pending::<Refused>().await
        });
        pending::<Refused>().await
    }));
    assert!(poll_times(group.as_mut(), 2).is_none());
    drop(group);
    assert_eq!((drops.get(), refused.get()), (1 + 4 + 16 + 64 + 256, 4 + 16 + 64 + 256));
}

#[test]
fn a_body_whose_drop_creates_children_creates_cancelled_ones() {
    let (drops, refused) = (Cell::new(0), Cell::new(0));
    let mut group = Box::pin(TaskGroup::scope(async |group| {
        let _spawner = Spawner { group, depth: 2, drops: &drops, refused: &refused };
        pending::<Refused>().await
    }));
    assert!(poll_times(group.as_mut(), 2).is_none());
    drop(group);
    assert_eq!((drops.get(), refused.get()), (1 + 4 + 16, 4 + 16));
}

#[test]
fn a_child_that_ends_and_creates_children_in_its_drop_has_them_run() {
    let log = Log::default();
    struct Last<'scope, 'env>(&'scope TaskGroup<'scope, 'env, &'static str>, &'env Log);
    impl Drop for Last<'_, '_> {
        fn drop(&mut self) {
            let log = self.1;
            self.0.create_task(async {
                log.push("late");
                Ok(())
            });
        }
    }
    let ended = TaskGroup::scope(async |group| {
        let last = Last(group, &log);
        group.create_task(async move {
            let _last = last;
            Ok(())
        });
        Ok(())
    });
    assert_eq!(poll_times(pin!(ended), 5), Some(Ok(())));
    assert_eq!(log.take(), ["late"]);
}

#[test]
fn a_handle_may_leave_the_group_with_its_value() {
    let data = Box::new(7);
    let kept = RefCell::new(Vec::new());
    let ended = TaskGroup::scope(async |group| {
        kept.borrow_mut().push(group.create_task(async { Ok::<_, ()>(&*data) }));
        let cut = group.create_task(async { Ok(pending::<u8>().await) });
        cut.cancel();
        Ok(cut)
    });
    let cut = poll_times(pin!(ended), 5).unwrap().unwrap();
    assert!(poll_times(pin!(cut), 1).unwrap().unwrap_err().is_cancelled());
    let value = kept.borrow_mut().pop().unwrap();
    assert_eq!(poll_times(pin!(value), 1).unwrap().unwrap(), &7);
}

#[test]
fn a_value_that_borrows_from_the_group_dies_with_it() {
    let ended = TaskGroup::scope(async |group| {
        let child = group.create_task(async move { Ok::<_, ()>(group) });
        let group_again = child.await.map_err(drop)?;
        group_again.create_task(async { Ok(()) });
        // A value nobody takes, which refers to the group.
        drop(group.create_task(async move { Ok(group) }));
        Ok(())
    });
    assert_eq!(poll_times(pin!(ended), 10), Some(Ok(())));
}

#[test]
fn wakers_of_children_that_have_ended_reach_nobody() {
    let old = Rc::new(RefCell::new(Vec::<Waker>::new()));
    let polls = Cell::new(0);
    let mut group = Box::pin(TaskGroup::scope(async |group| {
        for _ in 0..3 {
            let old = old.clone();
            let child = group.create_task(async move {
                let waker = my_waker().await;
                old.borrow_mut().push(waker);
                Ok::<_, ()>(())
            });
            child.await.map_err(drop)?;
        }
        // Takes the number of one of them.
        group.create_task(poll_fn(|_| {
            polls.set(polls.get() + 1);
            Poll::<Result<(), ()>>::Pending
        }));
        pending::<Result<(), ()>>().await
    }));
    assert!(poll_times(group.as_mut(), 20).is_none());
    let before = polls.get();
    for _ in 0..5 {
        old.borrow().iter().for_each(Waker::wake_by_ref);
        assert!(poll_times(group.as_mut(), 1).is_none());
    }
    assert_eq!(polls.get(), before);
}

#[test]
fn children_woken_from_other_threads_are_polled_by_their_group_only() {
    let woken = RefCell::new(Vec::<Waker>::new());
    let here = std::thread::current().id();
    let polls = Cell::new(0);
    let mut group = pin!(TaskGroup::scope(async |group| {
        for _ in 0..100 {
            group.create_task(poll_fn(|cx| {
                assert_eq!(std::thread::current().id(), here);
                polls.set(polls.get() + 1);
                woken.borrow_mut().push(cx.waker().clone());
                if polls.get() > 100 { Poll::Ready(Ok::<_, ()>(())) } else { Poll::Pending }
            }));
        }
        Ok(())
    }));
    let (wakes, waker) = Wakes::new();
    let mut cx = Context::from_waker(&waker);
    assert!(group.as_mut().poll(&mut cx).is_pending());
    assert!(group.as_mut().poll(&mut cx).is_pending());
    assert_eq!(polls.get(), 100);
    let before = wakes.count();
    let wakers = woken.take();
    std::thread::scope(|scope| {
        for part in wakers.chunks(25) {
            scope.spawn(move || part.iter().for_each(Waker::wake_by_ref));
        }
    });
    assert_eq!(wakes.count(), before + 1, "one wake of the group for all of them");
    assert!(group.as_mut().poll(&mut cx).is_ready());
    assert_eq!(polls.get(), 200);
}

#[test]
fn a_child_whose_destructor_panics_does_not_take_its_siblings_with_it() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("destructor");
        }
    }
    let log = Log::default();
    let mut group = Box::pin(TaskGroup::scope(async |group| {
        group.create_task(async {
            let _bomb = Bomb;
            pending::<Refused>().await
        });
        group.create_task(async {
            let _guard = log.on_drop("sibling");
            pending::<Refused>().await
        });
        pending::<Refused>().await
    }));
    assert!(poll_times(group.as_mut(), 2).is_none());
    drop(group);
    assert_eq!(log.take(), ["sibling"]);
}
