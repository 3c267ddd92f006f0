//! Groups in which all is well, and what a wake costs.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use asyncio_coro::yield_now;
use asyncio_task::{TaskGroup, all_tasks, current_task, sleep};
use support::{Log, Outcome, my_waker, note, parked, run, secs, timed};

// ---- all well

/// Behaviour: TG-01, TG-02.
#[test]
fn a_group_waits_for_all_its_children() {
    run(async {
        let names = [String::from("slow"), String::from("quick")];
        let group = TaskGroup::scope(async |group| {
            let slow = group.create_task(async {
                sleep(secs(2)).await;
                Ok::<_, &str>(&names[0])
            });
            yield_now().await;
            let quick = group.create_task(async {
                sleep(secs(1)).await;
                Ok(&names[1])
            });
            Ok((slow, quick))
        });
        let (result, elapsed) = timed(group).await;
        let (slow, quick) = result.unwrap();
        assert_eq!(elapsed, secs(2));
        assert_eq!(
            (slow.await.unwrap().as_str(), quick.await.unwrap().as_str()),
            ("slow", "quick")
        );
    });
}

/// Behaviour: TG-04.
#[test]
fn children_may_create_children_also_when_the_body_has_ended() {
    fn grow<'scope>(
        group: &'scope TaskGroup<'scope, '_, &'static str>,
        count: &'scope Cell<u32>,
        depth: u32,
    ) {
        count.set(count.get() + 1);
        if depth > 0 {
            for _ in 0..2 {
                group.create_task(async move {
                    sleep(secs(1)).await;
                    grow(group, count, depth - 1);
                    Ok(())
                });
            }
        }
    }
    run(async {
        let count = Cell::new(0);
        let group = TaskGroup::scope(async |group| {
            grow(group, &count, 4);
            Ok(())
        });
        let ((), elapsed) = timed(async { group.await.unwrap() }).await;
        assert_eq!((count.get(), elapsed), (31, secs(4)));
        assert!(all_tasks().is_empty());
    });
}

/// Behaviour: TG-05, TSK-85.
#[test]
fn a_child_is_a_task_in_every_respect() {
    run(async {
        let parent = current_task().unwrap().id();
        let group = TaskGroup::scope(async |group| {
            let first = line!();
            let child = group.create_task(async {
                let me = current_task().unwrap();
                assert_eq!(me.name(), "child");
                assert!(all_tasks().iter().any(|task| task.id() == me.id()));
                yield_now().await;
                Ok::<_, &str>(current_task().unwrap().id())
            });
            assert_eq!((child.site().file(), child.site().line()), (file!(), first + 1));
            child.set_name("child");
            assert_eq!(child.get_name(), "child");
            assert_eq!(current_task().unwrap().id(), parent);
            let id = child.id();
            assert_ne!(id, parent);
            assert_eq!(child.await.unwrap(), id);
            Ok(())
        });
        group.await.unwrap();
        assert!(all_tasks().is_empty());
    });
}

#[test]
fn a_child_takes_its_first_step_in_the_next_tick_and_none_if_cancelled_before() {
    run(async {
        let log = Log::default();
        TaskGroup::scope(async |group| {
            group.create_task(note(&log, "step"));
            let never = group.create_task(note(&log, "never"));
            never.cancel();
            log.push("created");
            yield_now().await;
            assert!(never.await.unwrap_err().is_cancelled());
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(log.take(), ["created", "step"]);
    });
}

#[test]
fn a_child_cancelled_by_its_handle_is_no_error_of_the_group() {
    run(async {
        let log = Log::default();
        let result = TaskGroup::scope(async |group| {
            let child = group.create_task(parked(&log, "child"));
            yield_now().await;
            assert!(child.cancel());
            assert_eq!(child.cancelling(), 1);
            assert!(child.await.unwrap_err().is_cancelled());
            Ok("fine")
        });
        assert_eq!(result.await, Ok("fine"));
        assert_eq!(log.take(), ["child unwound"]);
    });
}

#[test]
fn children_wait_for_each_other() {
    run(async {
        let result = TaskGroup::scope(async |group| {
            let one = group.create_task(async {
                sleep(secs(1)).await;
                Ok::<_, &str>(1)
            });
            let two = group.create_task(async move { Ok(one.await.unwrap() + 1) });
            Ok(two.await.unwrap())
        });
        assert_eq!(result.await, Ok(2));
    });
}

// ---- cost

#[test]
fn of_ten_thousand_children_only_those_that_were_woken_are_polled() {
    const CHILDREN: usize = 10_000;
    run(async {
        let polls = Cell::new(0);
        let wakers = RefCell::new(Vec::new());
        let release = Cell::new(false);
        TaskGroup::scope(async |group| {
            for _ in 0..CHILDREN {
                group.create_task(async {
                    let waker = my_waker().await;
                    wakers.borrow_mut().push(waker);
                    poll_fn(|_| {
                        polls.set(polls.get() + 1);
                        if release.get() { Poll::Ready(Outcome::Ok(())) } else { Poll::Pending }
                    })
                    .await
                });
            }
            yield_now().await;
            yield_now().await;
            assert_eq!(polls.get(), CHILDREN);
            let wakers = wakers.take();
            for round in 1..=50 {
                wakers[round * 7].wake_by_ref();
                wakers[round * 7].wake_by_ref();
                yield_now().await;
                yield_now().await;
                assert_eq!(polls.get(), CHILDREN + round);
            }
            release.set(true);
            wakers.iter().for_each(std::task::Waker::wake_by_ref);
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(polls.get(), 2 * CHILDREN + 50);
    });
}

#[test]
fn a_body_that_waits_is_not_polled_for_its_children() {
    run(async {
        let polls = Cell::new(0);
        let group = TaskGroup::scope(async |group| {
            let child = group.create_task(async {
                for _ in 0..100 {
                    yield_now().await;
                }
                Outcome::Ok(())
            });
            let mut child = pin!(child);
            poll_fn(|cx| {
                polls.set(polls.get() + 1);
                child.as_mut().poll(cx).map(|ended| ended.map_err(|_| "no value"))
            })
            .await
        });
        group.await.unwrap();
        assert_eq!(polls.get(), 2);
    });
}
