//! Hostile code, all of it safe: it forgets, drops, cancels and panics where it hurts. To be run under AddressSanitizer.

mod support;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use asyncio_coro::{try_finally, yield_now};
use asyncio_loop::get_running_loop;
use asyncio_loop::testing::{ClockMode, run_once, virtual_loop};
use asyncio_task::{
    Task, TaskGroup, TaskRef, all_tasks, create_task, current_task, timeout, try_gather,
};
use support::{Log, Outcome, my_waker, reports, run, secs};

/// Polls up to `polls` times, with a waker that does nothing.
fn poll_times<F: Future>(mut future: Pin<&mut F>, polls: usize) -> Option<F::Output> {
    (0..polls).find_map(|_| match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    })
}

/// Calls a function when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

struct PanicsWhenWoken;

impl Wake for PanicsWhenWoken {
    fn wake(self: Arc<Self>) {
        panic!("woken");
    }
}

/// Polls the handle once with a waker that panics.
fn await_badly<T>(task: Pin<&mut Task<T>>) {
    let waker = Waker::from(Arc::new(PanicsWhenWoken));
    assert!(task.poll(&mut Context::from_waker(&waker)).is_pending());
}

#[test]
fn a_group_ends_although_the_waker_of_who_awaits_a_child_panics() {
    let group = TaskGroup::scope(async |group| {
        let mut child = pin!(group.create_task(async {
            yield_now().await;
            Outcome::Ok(7)
        }));
        await_badly(child.as_mut());
        Ok(child.await.expect("it returns a value"))
    });
    assert_eq!(poll_times(pin!(group), 10), Some(Ok(7)));
}

#[test]
fn all_children_go_before_the_group_although_a_waker_panics_in_between() {
    let log = Log::default();
    let mut group = Box::pin(TaskGroup::scope(async |group| {
        let mut child = Box::pin(group.create_task(pending::<Outcome>()));
        await_badly(child.as_mut());
        std::mem::forget(child);
        for _ in 0..2 {
            let log = &log;
            let looks = OnDrop(move || {
                group.cancel();
                let newcomer = group.create_task(pending::<Outcome>());
                log.push(format!("{group:?} {}", newcomer.cancelled()));
            });
            group.create_task(async move {
                let _looks = looks;
                pending::<Outcome>().await
            });
        }
        pending::<Outcome>().await
    }));
    assert!(poll_times(group.as_mut(), 2).is_none());
    drop(group);
    let seen =
        |tasks| format!("TaskGroup {{ tasks: {tasks}, errors: 0, is_aborting: false }} true");
    assert_eq!(log.take(), [seen(1), seen(0)]);
}

#[test]
fn children_may_cancel_and_drop_each_other_in_their_destructors() {
    let drops = Cell::new(0);
    let handles = RefCell::new(Vec::<Task<()>>::new());
    let group = TaskGroup::scope(async |group| {
        for number in 0..10 {
            let (drops, handles) = (&drops, &handles);
            let meddles = OnDrop(move || {
                drops.set(drops.get() + 1);
                let others = handles.take();
                for other in &others {
                    other.cancel();
                    other.set_name(other.get_name() + "'");
                }
                drop(others);
                group.create_task(async { Outcome::<()>::Err("refused") });
            });
            let child = group.create_task(async move {
                let _meddles = meddles;
                if number == 3 { Err("first") } else { pending().await }
            });
            handles.borrow_mut().push(child);
        }
        pending::<Outcome>().await
    });
    assert_eq!(poll_times(pin!(group), 10).map(support::errors), Some(vec!["first"]));
    assert_eq!(drops.get(), 10);
}

#[test]
fn nested_groups_may_be_dropped_or_forgotten_at_every_point() {
    for (polls, forget) in (0..12).flat_map(|polls| [(polls, false), (polls, true)]) {
        let words = Vec::from(["borrowed"; 3].map(String::from));
        let wakers = Arc::new(Mutex::new(Vec::<Waker>::new()));
        let escaped = RefCell::new(VecDeque::<Task<usize>>::new());
        let outer = TaskGroup::scope(async |group| {
            for word in &words {
                let wakers = wakers.clone();
                let child = group.create_task(async move {
                    let waker = my_waker().await;
                    wakers.lock().unwrap().push(waker);
                    let length = TaskGroup::scope(async |group| {
                        let inner = group.create_task(async {
                            let waker = my_waker().await;
                            wakers.lock().unwrap().push(waker);
                            yield_now().await;
                            Outcome::Ok(word.len())
                        });
                        try_finally(yield_now(), async || yield_now().await).await;
                        inner.await.map_err(|_| "no value")
                    });
                    length.await.map_err(|_| "inner group")
                });
                escaped.borrow_mut().push_back(child);
            }
            let first = escaped.borrow_mut().pop_front().expect("there are three");
            first.await.map_err(|_| "no value")
        });
        let mut outer = Box::pin(outer);
        if let Some(length) = poll_times(outer.as_mut(), polls) {
            assert_eq!(length, Ok(8));
            assert!(polls > 3);
        }
        if polls % 2 == 0 {
            for child in escaped.borrow().iter() {
                child.cancel();
            }
        }
        wakers.lock().unwrap().iter().for_each(Waker::wake_by_ref);
        let moved = outer;
        if forget {
            std::mem::forget(moved);
        } else {
            drop(moved);
        }
        drop(words);
        let wakers = std::mem::take(&mut *wakers.lock().unwrap());
        let elsewhere = wakers.clone();
        std::thread::spawn(|| elsewhere.into_iter().for_each(Waker::wake)).join().unwrap();
        drop(wakers);
        for child in escaped.take() {
            child.cancel();
            assert!(forget || child.done());
            assert!(
                poll_times(pin!(child), 2)
                    .is_none_or(|ended| ended.is_err_and(|e| e.is_cancelled()) || polls > 3)
            );
        }
    }
}

#[test]
fn a_value_may_use_its_group_when_it_is_dropped() {
    struct Fruitful<'scope, 'env> {
        group: &'scope TaskGroup<'scope, 'env, &'static str>,
        drops: &'env Cell<usize>,
    }
    impl Drop for Fruitful<'_, '_> {
        fn drop(&mut self) {
            self.drops.set(self.drops.get() + 1);
            let Self { group, drops } = *self;
            if drops.get() < 20 {
                group.create_task(async move { Ok(Fruitful { group, drops }) });
            }
        }
    }
    for polls in 0..30 {
        let drops = Cell::new(0);
        let mut group = Box::pin(TaskGroup::scope(async |group| {
            let drops = &drops;
            let kept: Vec<_> = (0..3)
                .map(|_| group.create_task(async move { Ok(Fruitful { group, drops }) }))
                .collect();
            yield_now().await;
            yield_now().await;
            drop(kept);
            Ok(())
        }));
        let ended = poll_times(group.as_mut(), polls).is_some();
        drop(group);
        assert!(!ended || drops.get() >= 20, "{}", drops.get());
    }
}

#[test]
fn a_waker_may_drop_the_group_whose_child_is_being_woken() {
    type Group = Pin<Box<dyn Future<Output = ()>>>;
    thread_local!(static GROUP: RefCell<Option<Group>> = const { RefCell::new(None) });
    struct DropsTheGroup;
    impl Wake for DropsTheGroup {
        fn wake(self: Arc<Self>) {
            drop(GROUP.take());
        }
    }
    let kept = Rc::new(RefCell::new(Vec::<Waker>::new()));
    let wakers = kept.clone();
    let mut group: Group = Box::pin(async move {
        let scope = TaskGroup::scope(async |group| {
            for _ in 0..3 {
                group.create_task(async {
                    let waker = my_waker().await;
                    wakers.borrow_mut().push(waker);
                    pending::<Outcome>().await
                });
            }
            pending::<Outcome>().await
        });
        scope.await.expect("it never ends");
    });
    let waker = Waker::from(Arc::new(DropsTheGroup));
    for _ in 0..2 {
        assert!(group.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    GROUP.set(Some(group));
    let wakers = kept.take();
    assert_eq!(wakers.len(), 3);
    wakers.into_iter().for_each(Waker::wake);
    assert!(GROUP.take().is_none());
}

#[test]
fn a_group_works_under_a_foreign_executor_whose_threads_wake_its_children() {
    let numbers = [1, 2, 3];
    for _ in 0..50 {
        let sum = TaskGroup::scope(async |group| {
            let children: Vec<_> = numbers
                .iter()
                .map(|number| {
                    group.create_task(async move {
                        let mut thread = None;
                        poll_fn(|cx| {
                            if thread.is_some() {
                                return Poll::Ready(());
                            }
                            let waker = cx.waker().clone();
                            thread = Some(std::thread::spawn(move || waker.wake()));
                            Poll::Pending
                        })
                        .await;
                        thread.expect("it was started").join().expect("it does not panic");
                        Outcome::Ok(*number)
                    })
                })
                .collect();
            let mut sum = 0;
            for child in children {
                sum += child.await.map_err(|_| "no value")?;
            }
            Ok(sum)
        });
        assert_eq!(futures_lite::future::block_on(sum), Ok(6));
    }
}

#[test]
fn tasks_of_two_loops_that_alternate_on_one_thread_may_await_and_wake_each_other() {
    let (one, _) = virtual_loop(ClockMode::Frozen).unwrap();
    let (two, _) = virtual_loop(ClockMode::Frozen).unwrap();
    let (handle, waker, got) = (Rc::default(), Rc::default(), Rc::new(Cell::new(None)));
    let place: Rc<RefCell<Option<Task<i32>>>> = handle;
    let kept: Rc<RefCell<Option<Waker>>> = waker;
    one.call_soon({
        let (place, kept) = (place.clone(), kept.clone());
        move || {
            place.replace(Some(create_task(async move {
                kept.replace(Some(my_waker().await));
                let mut polls = 0;
                poll_fn(|_| {
                    polls += 1;
                    if polls > 1 { Poll::Ready(7) } else { Poll::Pending }
                })
                .await
            })));
        }
    });
    run_once(&one).unwrap();
    run_once(&one).unwrap();
    two.call_soon({
        let (place, kept, got) = (place.clone(), kept.clone(), got.clone());
        move || {
            create_task(async move {
                let task = place.take().expect("it was made");
                got.set(Some(task.await));
            });
            kept.take().expect("it was polled").wake();
        }
    });
    run_once(&two).unwrap();
    run_once(&two).unwrap();
    run_once(&one).unwrap();
    run_once(&two).unwrap();
    assert_eq!(got.take().expect("it was woken").unwrap(), 7);

    // The loop of the awaited task closes first.
    one.call_soon({
        let place = place.clone();
        move || drop(place.replace(Some(create_task(pending()))))
    });
    run_once(&one).unwrap();
    two.call_soon({
        let (place, got) = (place.clone(), got.clone());
        move || drop(create_task(async move { got.set(Some(place.take().unwrap().await)) }))
    });
    run_once(&two).unwrap();
    run_once(&two).unwrap();
    one.close().unwrap();
    run_once(&two).unwrap();
    assert!(got.take().expect("it was woken").unwrap_err().is_cancelled());
    two.close().unwrap();
}

#[test]
fn destructors_of_outputs_and_futures_may_panic() {
    struct Bomb(&'static str);
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("{}", self.0);
        }
    }
    run(async {
        let reports = reports();
        drop(create_task(async { Bomb("of a detached task") }));
        let kept = create_task(async { Bomb("in the hands of its owner") });
        yield_now().await;
        yield_now().await;
        assert!(reports.take()[0].contains("of a detached task"));
        catch_unwind(AssertUnwindSafe(|| drop(kept))).expect_err("the owner's code panics");
        assert!(reports.take().is_empty());

        let group = TaskGroup::scope(async |group| {
            drop(group.create_task(async { Outcome::Ok(Bomb("of a child")) }));
            Ok(())
        });
        assert_eq!(group.await, Ok(()));
        assert!(reports.take()[0].contains("of a child"));
    });
}

#[test]
fn handles_on_tasks_outlive_tasks_group_and_loop() {
    let handles = Rc::new(RefCell::new(Vec::<TaskRef>::new()));
    let found = handles.clone();
    run(async move {
        let keep_me = async || {
            found.borrow_mut().push(current_task().expect("a task runs"));
            try_finally(pending::<()>(), async || yield_now().await).await;
        };
        let group = TaskGroup::scope(async |group| {
            for _ in 0..3 {
                group.create_task(async {
                    keep_me().await;
                    Outcome::Ok(())
                });
            }
            Ok(())
        });
        assert!(timeout(secs(1), group).await.is_err());
        drop(create_task(pending::<()>()));
        found.borrow_mut().extend(all_tasks());
    });
    let handles = handles.take();
    assert_eq!(handles.len(), 4);
    for task in handles {
        task.set_name("late");
        assert_eq!((task.cancel(), task.is_live(), task.name().as_str()), (false, false, "late"));
        task.waker().wake_by_ref();
    }
}

#[test]
fn tasks_that_await_each_other_in_a_circle_can_be_cancelled() {
    run(async {
        let places = [const { RefCell::new(None::<Task<()>>) }; 3];
        let circle = TaskGroup::scope(async |group| {
            for number in 0..3 {
                let next = &places[(number + 1) % 3];
                places[number].replace(Some(group.create_task(async {
                    let next = next.take().expect("it was made");
                    next.await.map_err(|_| "not reached")
                })));
            }
            Ok(())
        });
        assert!(timeout(secs(1), circle).await.is_err());
    });
}

#[test]
fn a_circle_through_gather_can_be_cancelled() {
    run(async {
        let place = Rc::new(RefCell::new(None::<Task<()>>));
        let back = Rc::new(RefCell::new(None::<Task<()>>));
        back.replace(Some(create_task({
            let place = place.clone();
            async move {
                let other = place.take().expect("it was made");
                drop(try_gather([other]).await);
            }
        })));
        place.replace(Some(create_task(async move {
            drop(back.take().expect("it was made").await);
        })));
        for _ in 0..5 {
            yield_now().await;
        }
        for task in all_tasks() {
            task.cancel();
        }
        for _ in 0..1000 {
            yield_now().await;
        }
        assert!(all_tasks().is_empty());
    });
}

#[test]
fn a_destructor_that_always_creates_another_task_does_not_keep_the_loop_from_its_end() {
    struct Again(Rc<Cell<usize>>);
    impl Drop for Again {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            if get_running_loop().is_ok() {
                let again = Again(self.0.clone());
                create_task(async move {
                    let _again = again;
                    pending::<()>().await
                });
            }
        }
    }
    let drops = Rc::new(Cell::new(0));
    let first = Again(drops.clone());
    run(async move {
        create_task(async move {
            let _first = first;
            pending::<()>().await
        });
        yield_now().await;
    });
    assert!(drops.get() > 1, "{}", drops.get());
}
