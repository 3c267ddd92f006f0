//! Async generators as streams: who gets which item, who is cancelled, what a move changes.

mod driver;

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use asyncio_coro::hooks::SkipReason;
use asyncio_coro::task::TaskEnd;
use asyncio_coro::{
    AsyncGenerator, Deadline, Stream, StreamExt, catch_cancel, current_task, deadline_scope,
    generator, scoped_generator, try_finally, try_generator, yield_now,
};
use futures_lite::future::block_on;
use futures_util::future::{join, join_all, select};

use driver::{Finisher, Log, Reports, TestClock, TestTask, poll_up_to, yield_times};

fn is_cancelled<T>(end: Option<Result<T, TaskEnd>>) -> bool {
    matches!(end, Some(Err(TaskEnd::Cancelled)))
}

/// Yields the numbers from 1 to `last`, after `steps` steps each; cleans up in `steps` steps.
fn numbers(log: &Log, last: u32, steps: u32) -> AsyncGenerator<'static, u32> {
    let log = log.clone();
    generator(async move |y| {
        let body = async {
            for n in 1..=last {
                yield_times(steps).await;
                y.yield_(n).await;
            }
        };
        try_finally(body, async || {
            yield_times(steps).await;
            log.push("cleaned");
        })
        .await;
    })
}

#[test]
fn items_come_out_in_order_and_the_stream_ends_with_the_body() {
    let log = Log::default();
    block_on(async {
        let mut numbers = numbers(&log, 3, 2);
        let mut seen = Vec::new();
        while let Some(n) = numbers.next().await {
            assert!(log.take().is_empty());
            seen.push(n);
        }
        assert_eq!(seen, [1, 2, 3]);
        assert_eq!(log.take(), ["cleaned"]);
        assert_eq!(numbers.next().await, None);
        assert_eq!(numbers.next().await, None);
    });
}

#[test]
fn a_body_runs_only_while_somebody_waits_for_an_item() {
    let steps = Rc::new(Cell::new(0));
    let counted = steps.clone();
    let mut endless = generator(async move |y| {
        loop {
            counted.set(counted.get() + 1);
            y.yield_(()).await;
        }
    });
    assert_eq!(steps.get(), 0);
    for n in 1..4 {
        block_on(endless.next());
        assert_eq!(steps.get(), n);
    }
}

#[test]
fn it_is_a_stream_with_all_that_streams_can_do() {
    let doubled = numbers(&Log::default(), 5, 1).map(|n| n * 2).filter(|n| n % 4 == 0);
    assert_eq!(block_on(doubled.collect::<Vec<_>>()), [4, 8]);
}

#[test]
fn a_dropped_next_loses_no_item() {
    let log = Log::default();
    block_on(async {
        let mut numbers = numbers(&log, 3, 3);
        let mut seen = Vec::new();
        for _ in 0..20 {
            let mut next = pin!(numbers.next());
            // Two polls are too few for an item.
            for _ in 0..2 {
                let polled = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await;
                if let Poll::Ready(Some(n)) = polled {
                    seen.push(n);
                    break;
                }
            }
        }
        assert_eq!(seen, [1, 2, 3]);
    });
}

#[test]
fn a_consumer_that_is_cancelled_while_it_waits_has_the_body_clean_up() {
    let log = Log::default();
    let mut task = TestTask::new(async {
        let mut numbers = numbers(&log, 3, 2);
        try_finally(
            async {
                numbers.next().await;
                numbers.next().await
            },
            async || {
                yield_now().await;
                log.push("consumer");
            },
        )
        .await
    });
    // In the second `next`.
    for _ in 0..4 {
        assert!(task.step().is_none());
    }
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["cleaned", "consumer"]);
}

#[test]
fn a_generator_whose_consumer_was_cancelled_in_it_has_ended() {
    for steps in 2..4 {
        let log = Log::default();
        let mut task = TestTask::new(async {
            let mut numbers = numbers(&log, 3, 2);
            let caught = catch_cancel(async { while numbers.next().await.is_some() {} }).await;
            assert_eq!(log.take(), ["cleaned"]);
            (caught.is_err(), numbers.next().await)
        });
        for _ in 0..steps {
            assert!(task.step().is_none());
        }
        task.handle().cancel();
        assert!(matches!(task.run(), Some(Ok((true, None)))));
    }
}

#[test]
fn the_same_through_a_combinator() {
    let log = Log::default();
    let mut task = TestTask::new(async {
        let mut numbers = numbers(&log, 3, 2).map(|n| n + 1);
        let caught = catch_cancel(async { while numbers.next().await.is_some() {} }).await;
        assert_eq!(log.take(), ["cleaned"]);
        yield_now().await;
        (caught.is_err(), numbers.next().await)
    });
    for _ in 0..3 {
        assert!(task.step().is_none());
    }
    task.handle().cancel();
    assert!(matches!(task.run(), Some(Ok((true, None)))));
}

#[test]
fn a_body_that_catches_the_request_goes_on() {
    let log = Log::default();
    let inner = log.clone();
    let mut task = TestTask::new(async {
        let mut stubborn = generator(async move |y| {
            y.yield_(1).await;
            if catch_cancel(pending::<()>()).await.is_err() {
                inner.push("caught");
                yield_now().await;
            }
            y.yield_(2).await;
        });
        let mut seen = Vec::new();
        while let Some(n) = stubborn.next().await {
            seen.push(n);
        }
        seen
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(matches!(task.run(), Some(Ok(seen)) if seen == [1, 2]));
    assert_eq!(log.take(), ["caught"]);
}

#[test]
fn a_cleanup_that_yields_to_a_cancelled_consumer_gives_it_the_item() {
    let finisher = Finisher::install();
    let reports = Reports::collect();
    let log = Log::default();
    let outer = log.clone();
    let mut task = TestTask::new(async move {
        let inner = log.clone();
        let mut last_words = generator(async move |y| {
            try_finally(pending::<()>(), async || {
                y.yield_("last words").await;
                inner.push("never");
            })
            .await;
        });
        log.push(last_words.next().await.unwrap());
        yield_now().await;
        log.push("never");
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(outer.take(), ["last words"]);
    // The end of the generator reaches the cleanup where it waits now.
    assert_eq!(finisher.finish(), 1);
    assert!(outer.take().is_empty());
    assert_eq!(reports.reasons(), [SkipReason::Cut]);
}

#[test]
fn a_consumer_that_is_cancelled_between_two_items_leaves_the_body_alone() {
    let finisher = Finisher::install();
    let reports = Reports::collect();
    let log = Log::default();
    let mut task = TestTask::new(async {
        let mut numbers = numbers(&log, 3, 1);
        numbers.next().await;
        pending::<()>().await;
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    // No pass is lost on waiting for it.
    assert!(is_cancelled(task.run_up_to(1)));
    assert!(log.take().is_empty());
    assert_eq!(finisher.finish(), 1);
    assert_eq!(log.take(), ["cleaned"]);
    assert!(reports.take().is_empty());
}

#[test]
fn a_consumer_that_has_dropped_its_next_is_not_held_up_by_the_body() {
    let finisher = Finisher::install();
    let reports = Reports::collect();
    let log = Log::default();
    let mut task = TestTask::new(async {
        let mut numbers = numbers(&log, 3, 5);
        select(pin!(numbers.next()), pin!(yield_now())).await;
        pending::<()>().await;
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run_up_to(1)));
    assert_eq!(finisher.finish(), 1);
    assert_eq!(log.take(), ["cleaned"]);
    assert!(reports.take().is_empty());
}

#[test]
fn a_combinator_that_nobody_polls_any_more_is_waited_for_in_vain_and_nothing_is_lost() {
    let finisher = Finisher::install();
    let reports = Reports::collect();
    let log = Log::default();
    let mut task = TestTask::new(async {
        let mut numbers = numbers(&log, 3, 5).map(|n| n);
        select(numbers.next(), pin!(yield_now())).await;
        pending::<()>().await;
    });
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run_up_to(2000)));
    assert_eq!(finisher.finish(), 1);
    assert_eq!(log.take(), ["cleaned"]);
    assert!(reports.take().is_empty());
}

#[test]
fn a_generator_may_be_moved_to_another_task_between_items_and_within_one() {
    for steps in 1..8 {
        let log = Log::default();
        let mut numbers = numbers(&log, 9, 3);
        let mut first = TestTask::new(async {
            for _ in 0..steps {
                let mut next = pin!(numbers.next());
                let _ = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await;
            }
        });
        assert!(first.run().is_some());
        drop(first);
        let mut second = TestTask::new(async {
            numbers.next().await;
            numbers.next().await;
        });
        assert!(second.step().is_none());
        second.handle().cancel();
        assert!(is_cancelled(second.run()));
        drop(second);
        assert_eq!(log.take(), ["cleaned"]);
        assert_eq!(block_on(numbers.next()), None);
    }
}

#[test]
fn what_unwound_for_one_task_ends_for_the_next_one() {
    let log = Log::default();
    let mut numbers = numbers(&log, 9, 3);
    let mut first = TestTask::new(async { numbers.next().await });
    assert!(first.step().is_none());
    first.handle().cancel();
    // Its cleanup has begun.
    assert!(first.step().is_none());
    drop(first);
    assert_eq!(block_on(numbers.next()), None);
    assert_eq!(log.take(), ["cleaned"]);
}

#[test]
fn a_deadline_of_the_consumer_reaches_the_body_and_one_in_the_body_stays_there() {
    let clock = TestClock::install();
    let log = Log::default();
    let l = log.clone();
    let mut task = TestTask::new(async {
        let second = Deadline::After(Duration::from_secs(1));
        let mut slow = generator(async move |y| {
            let timed = deadline_scope(second, pending::<()>()).await;
            y.yield_(timed.is_err()).await;
            try_finally(pending::<()>(), async || l.push("cleaned")).await;
        });
        let first = slow.next().await;
        let timed = deadline_scope(second, slow.next()).await;
        (first, timed.is_err(), slow.next().await)
    });
    for _ in 0..2 {
        assert!(task.run().is_none());
        clock.advance(Duration::from_secs(1));
    }
    assert!(matches!(task.run(), Some(Ok((Some(true), true, None)))));
    assert_eq!(log.take(), ["cleaned"]);
}

#[test]
fn a_request_made_in_the_body_while_an_item_is_ready_does_not_cost_the_item() {
    let mut task = TestTask::new(async {
        let mut numbers = generator(async |y| {
            current_task().unwrap().cancel();
            y.yield_(1).await;
        });
        catch_cancel(async {
            let item = numbers.next().await;
            assert_eq!(item, Some(1));
            yield_now().await;
        })
        .await
        .is_err()
    });
    assert!(matches!(task.run(), Some(Ok(true))));
}

#[test]
fn a_panic_of_the_body_comes_out_and_ends_the_generator() {
    let log = Log::default();
    let l = log.clone();
    let mut failing = generator(async move |y| {
        try_finally(
            async {
                y.yield_(1).await;
                panic!("in the body");
            },
            async || l.push("cleaned"),
        )
        .await;
    });
    assert_eq!(block_on(failing.next()), Some(1));
    let mut task = TestTask::new(async { failing.next().await });
    assert!(matches!(task.run(), Some(Err(TaskEnd::Panicked(_)))));
    drop(task);
    assert_eq!(log.take(), ["cleaned"]);
    assert_eq!(block_on(failing.next()), None);
    block_on(failing.aclose());
}

#[test]
fn several_parts_of_a_body_may_yield_and_each_item_comes_out_once() {
    let mut both = generator(async |y| {
        let count = async |from: u32| {
            for n in 0..3 {
                y.yield_(from + n).await;
            }
        };
        join(count(10), count(20)).await;
    });
    let mut seen = block_on(async {
        let mut seen = Vec::new();
        while let Some(n) = both.next().await {
            seen.push(n);
        }
        seen
    });
    seen.sort_unstable();
    assert_eq!(seen, [10, 11, 12, 20, 21, 22]);
}

#[test]
fn parts_that_are_polled_only_when_woken_go_on_too() {
    let mut many = generator(async |y| {
        // More than 30: `join_all` polls only what was woken.
        join_all((0..50).map(|n| y.yield_(n))).await;
    });
    let mut seen = block_on(async {
        let mut seen = Vec::new();
        while let Some(n) = many.next().await {
            seen.push(n);
        }
        seen
    });
    seen.sort_unstable();
    assert_eq!(seen, (0..50).collect::<Vec<_>>());
}

#[test]
fn an_item_whose_yield_was_dropped_never_comes_out() {
    let mut chosen = generator(async |y| {
        select(pin!(y.yield_(1)), pin!(async {})).await;
        y.yield_(2).await;
    });
    assert_eq!(block_on(chosen.next()), Some(2));
    assert_eq!(block_on(chosen.next()), None);
}

#[test]
fn an_item_that_was_taken_lets_its_yield_be_dropped() {
    let mut chosen = generator(async |y| {
        select(pin!(y.yield_(1)), pin!(yield_now())).await;
        y.yield_(2).await;
    });
    assert_eq!(block_on(chosen.next()), Some(1));
    assert_eq!(block_on(chosen.next()), Some(2));
    assert_eq!(block_on(chosen.next()), None);
}

#[test]
fn a_body_that_fails_yields_its_error_last() {
    let mut halves = try_generator(async |y| {
        for n in [4, 2, 7, 6] {
            y.yield_(if n % 2 == 0 { n / 2 } else { Err(n)? }).await;
        }
        Ok(())
    });
    let seen = block_on(async {
        let mut seen = Vec::new();
        while let Some(item) = halves.next().await {
            seen.push(item);
        }
        seen
    });
    assert_eq!(seen, [Ok(2), Ok(1), Err(7)]);
}

#[test]
fn a_generator_may_iterate_another_and_a_request_goes_through_both() {
    let log = Log::default();
    let (l, inner) = (log.clone(), log.clone());
    let mut outer = generator(async move |y| {
        let mut inner = numbers(&inner, 9, 2);
        try_finally(
            async {
                while let Some(n) = inner.next().await {
                    y.yield_(n * 10).await;
                }
            },
            async || l.push("outer"),
        )
        .await;
    });
    assert_eq!(block_on(outer.next()), Some(10));
    let mut task = TestTask::new(async { outer.next().await });
    assert!(task.step().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["cleaned", "outer"]);
}

#[test]
fn a_body_may_borrow_and_then_its_cleanup_is_reported_when_it_is_dropped() {
    let finisher = Finisher::install();
    let reports = Reports::collect();
    let text = String::from("a b");
    {
        let mut words = scoped_generator(async |y| {
            try_finally(
                async {
                    for word in text.split(' ') {
                        y.yield_(word).await;
                    }
                },
                async || (),
            )
            .await;
        });
        assert_eq!(block_on(words.next()), Some("a"));
    }
    assert_eq!(reports.reasons(), [SkipReason::Dropped]);
    assert_eq!(finisher.finish(), 0);
}

#[test]
fn an_item_may_borrow_and_need_not_be_unpin() {
    struct Pinned<'a>(&'a str, std::marker::PhantomPinned);
    let text = String::from("text");
    let mut one =
        scoped_generator(async |y| y.yield_(Pinned(&text, std::marker::PhantomPinned)).await);
    assert_eq!(block_on(one.next()).unwrap().0, "text");
}

#[test]
fn a_consumer_is_not_woken_once_more_for_each_item() {
    let mut task = TestTask::new(async {
        let mut numbers = generator(async |y| {
            for n in 0..5 {
                y.yield_(n).await;
            }
        });
        while numbers.next().await.is_some() {}
    });
    assert!(task.run().is_some());
    assert_eq!(task.wakes(), 0);
}

#[test]
fn a_forgotten_next_leaves_a_generator_that_still_works() {
    let log = Log::default();
    let mut numbers = numbers(&log, 2, 2);
    let mut next = Box::pin(numbers.next());
    assert!(poll_up_to(next.as_mut(), 1).is_none());
    std::mem::forget(next);
    assert_eq!(block_on(numbers.next()), Some(1));
    let stream: &mut (dyn Stream<Item = u32> + Unpin) = &mut numbers;
    assert_eq!(block_on(stream.next()), Some(2));
    assert_eq!(block_on(stream.next()), None);
}
