//! A request to cancel goes down from task to awaited task at once.

mod support;

use std::cell::RefCell;
use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;

use asyncio_coro::{try_finally, yield_now};
use asyncio_task::{Task, all_tasks, create_task, gather, shield, sleep, timeout};
use support::{Log, run, secs, timed};

/// As far down as tasks await each other: the innermost unwinds in the next tick.
#[test]
fn a_request_reaches_the_innermost_task_at_once_however_deep() {
    fn deep(log: Log, levels: usize) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move {
            let inside = async {
                match levels {
                    0 => pending::<()>().await,
                    _ => create_task(deep(log.clone(), levels - 1)).await.unwrap(),
                }
            };
            try_finally(inside, async || log.push(format!("{levels} unwound"))).await;
        })
    }
    run(async {
        let log = Log::default();
        let outer = create_task(deep(log.clone(), 3));
        for _ in 0..5 {
            yield_now().await;
        }
        outer.cancel();
        for level in 0..4 {
            assert!(log.take().is_empty());
            yield_now().await;
            assert_eq!(log.take(), [format!("{level} unwound")]);
        }
        assert!(outer.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_request_goes_down_through_a_chain_of_a_hundred_thousand_tasks() {
    run(async {
        let mut task = create_task(pending::<()>());
        for _ in 0..100_000 {
            task = create_task(async move { task.await.unwrap() });
        }
        yield_now().await;
        yield_now().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(all_tasks().is_empty());
    });
}

#[test]
fn a_request_goes_down_to_each_member_of_a_gather_in_order_and_not_through_a_shield() {
    run(async {
        let log = Log::default();
        let member = |name: &'static str| {
            let log = log.clone();
            async move {
                let name = name.to_owned();
                let inner = create_task(try_finally(pending::<()>(), async move || {
                    log.push(name);
                }));
                inner.await.unwrap();
            }
        };
        let mut kept = create_task(member("shielded"));
        let outer = create_task({
            let all = [member("a"), member("b"), member("c")];
            async move {
                let both = futures_lite::future::zip(gather(all), shield(&mut kept));
                let _ = both.await;
                unreachable!();
            }
        });
        for _ in 0..4 {
            yield_now().await;
        }
        outer.cancel();
        yield_now().await;
        assert_eq!(log.take(), ["a", "b", "c"]);
        assert!(outer.await.unwrap_err().is_cancelled());
        yield_now().await;
        assert!(log.take().is_empty());
    });
}

/// Whoever is asked first unwinds: each circle is found where it closes.
#[test]
fn a_circle_of_tasks_that_await_each_other_is_over_a_few_ticks_after_a_request() {
    run(async {
        for size in [2, 3, 7] {
            let places: Rc<Vec<RefCell<Option<Task<()>>>>> =
                Rc::new((0..size).map(|_| RefCell::default()).collect());
            for number in 0..size {
                let places = places.clone();
                let next = (number + 1) % size;
                let kept = places.clone();
                let task = create_task(async move {
                    let next = places[next].take().expect("it was made");
                    let _ = next.await;
                    unreachable!("each is cancelled");
                });
                kept[number].replace(Some(task));
            }
            yield_now().await;
            yield_now().await;
            all_tasks()[0].cancel();
            for _ in 0..size + 2 {
                yield_now().await;
            }
            assert!(all_tasks().is_empty(), "{size}");
        }
    });
}

#[test]
fn a_timeout_in_a_circle_unwinds_it() {
    run(async {
        let back = Rc::new(RefCell::new(None::<Task<()>>));
        let there = back.clone();
        let first = create_task(async move {
            let second = there.take().unwrap();
            let _ = timeout(secs(1), second).await;
        });
        back.replace(Some(create_task(async move {
            let _ = first.await;
        })));
        let (_, elapsed) = timed(async {
            while !all_tasks().is_empty() {
                sleep(secs(1)).await;
            }
        })
        .await;
        assert!(elapsed <= secs(2));
    });
}
