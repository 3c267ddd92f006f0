//! The newer forms of groups, forgotten, dropped half-way, and torn down while in use. To be run under AddressSanitizer too.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use asyncio_coro::yield_now;
use asyncio_task::{Builder, OwnedTaskGroup, Task, TaskGroup, TaskStatus};
use support::{Log, Outcome, my_waker, run};

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

fn eager() -> Builder {
    Builder::new().eager_start(true)
}

/// Polls once.
async fn begin(mut future: Pin<&mut impl Future>) {
    let begun = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending()));
    assert!(begun.await);
}

#[test]
fn a_status_that_borrows_dies_with_the_group_it_was_kept_from() {
    let data = Box::new([7_u8; 64]);
    let mut group = Box::pin(TaskGroup::scope(async |group| -> Outcome {
        // The child keeps the status, and the starter the child's value, which borrows from outside.
        let start = pin!(group.start(async |status: TaskStatus<&[u8; 64]>| {
            let _status = status;
            pending::<Outcome>().await
        }));
        begin(start).await;
        let second = pin!(group.start(async |status| {
            yield_now().await;
            status.started(&*data);
            pending::<Outcome>().await
        }));
        begin(second).await;
        pending().await
    }));
    assert!(poll_times(group.as_mut(), 4).is_none());
    drop(group);
    assert_eq!(data[63], 7);
}

#[test]
fn a_start_that_is_forgotten_leaves_its_child_to_the_group() {
    let text = String::from("borrowed");
    let seen = Cell::new(0);
    let group = pin!(TaskGroup::scope(async |group| {
        let mut start = Box::pin(group.start(async |status| {
            yield_now().await;
            status.started(text.as_str());
            yield_now().await;
            seen.set(text.len());
            Outcome::Ok(())
        }));
        begin(start.as_mut()).await;
        std::mem::forget(start);
        Ok(())
    }));
    assert_eq!(poll_times(group, 10), Some(Ok(())));
    assert_eq!(seen.get(), 8);
}

/// Creates eager children in its destructor, each of which holds another one of its kind.
struct Spawner<'scope, 'env> {
    group: &'scope TaskGroup<'scope, 'env, &'static str>,
    depth: usize,
    drops: &'env Cell<usize>,
}

impl Drop for Spawner<'_, '_> {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
        if self.depth == 0 {
            return;
        }
        for _ in 0..3 {
            let next = Spawner { depth: self.depth - 1, ..*self };
            self.group.create_task_with(eager(), async move {
                let _next = next;
                yield_now().await;
                Ok(())
            });
        }
    }
}

#[test]
fn eager_children_made_in_destructors_of_eager_children_are_sound() {
    let drops = Cell::new(0);
    let ended = TaskGroup::scope(async |group| {
        let spawner = Spawner { group, depth: 4, drops: &drops };
        group.create_task_with(eager(), async move { drop(spawner) }.then_ok());
        Ok(())
    });
    assert_eq!(poll_times(pin!(ended), 20), Some(Ok(())));
    assert_eq!(drops.get(), 1 + 3 + 9 + 27 + 81);

    drops.set(0);
    let mut group = Box::pin(TaskGroup::scope(async |group| -> Outcome {
        let spawner = Spawner { group, depth: 3, drops: &drops };
        group.create_task_with(eager(), async move {
            let _spawner = spawner;
            pending::<Outcome>().await
        });
        pending().await
    }));
    assert!(poll_times(group.as_mut(), 3).is_none());
    drop(group);
    assert_eq!(drops.get(), 1 + 3 + 9 + 27);
}

trait ThenOk: Future<Output = ()> + Sized {
    async fn then_ok(self) -> Outcome {
        self.await;
        Ok(())
    }
}

impl<F: Future<Output = ()>> ThenOk for F {}

#[test]
fn an_eager_child_may_create_children_while_its_creator_is_being_polled() {
    let log = Log::default();
    let log = &log;
    let ended = TaskGroup::scope(async |group| {
        group.create_task(async move {
            for name in ["a", "b"] {
                group.create_task_with(eager(), async move {
                    group.create_task_with(eager(), async move {
                        log.push(format!("{name} inner"));
                        yield_now().await;
                        log.push(format!("{name} inner again"));
                        Ok(())
                    });
                    log.push(name);
                    Ok(())
                });
            }
            log.push("creator");
            Ok(())
        });
        Outcome::Ok(())
    });
    assert_eq!(poll_times(pin!(ended), 10), Some(Ok(())));
    let expected = ["a inner", "a", "b inner", "b", "creator", "a inner again", "b inner again"];
    assert_eq!(log.take(), expected);
}

#[test]
fn a_forgotten_owned_group_ends_with_its_loop_and_its_wakers_reach_nobody() {
    let (wakers, polls) = (Rc::new(RefCell::new(Vec::<Waker>::new())), Rc::new(Cell::new(0)));
    let handle = Rc::new(RefCell::new(None::<Task<u8>>));
    run(async {
        let group = OwnedTaskGroup::<&str>::new();
        let (kept, count) = (wakers.clone(), polls.clone());
        let child = group.create_task(async move {
            let waker = my_waker().await;
            kept.borrow_mut().push(waker);
            poll_fn(|_| {
                count.set(count.get() + 1);
                Poll::<Outcome<u8>>::Pending
            })
            .await
        });
        handle.replace(Some(child));
        yield_now().await;
        yield_now().await;
        std::mem::forget(group);
    });
    let before = polls.get();
    let kept = wakers.take();
    kept.iter().for_each(Waker::wake_by_ref);
    std::thread::spawn(move || kept.into_iter().for_each(Waker::wake)).join().unwrap();
    assert_eq!(polls.get(), before);
    assert!(handle.take().unwrap().cancelled());
}

#[test]
fn an_owned_group_that_its_own_child_holds_is_gone_after_the_loop() {
    let gone = Rc::new(Cell::new(false));
    struct Gone(Rc<Cell<bool>>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let mark = Gone(gone.clone());
    run(async {
        let group = Rc::new(OwnedTaskGroup::<&str>::new());
        let circle = group.clone();
        group.create_task(async move {
            let _mark = mark;
            let _circle = circle;
            pending::<Outcome>().await
        });
        yield_now().await;
    });
    assert!(gone.get());
}

#[test]
fn children_of_an_owned_group_create_others_while_the_group_is_dropped() {
    struct Refused(Rc<OwnedTaskGroup<&'static str>>, Rc<Cell<u32>>);
    impl Drop for Refused {
        fn drop(&mut self) {
            let refused = self.0.create_task(async { Ok(()) }).cancelled();
            self.1.set(self.1.get() + u32::from(refused));
        }
    }
    let refused = Rc::new(Cell::new(0));
    run(async {
        let group = Rc::new(OwnedTaskGroup::new());
        for _ in 0..3 {
            let guard = Refused(group.clone(), refused.clone());
            group.create_task(async move {
                let _guard = guard;
                pending::<Outcome>().await
            });
        }
        yield_now().await;
        yield_now().await;
        group.cancel();
    });
    assert_eq!(refused.get(), 3);
}
