//! The end of an async generator before its time: `aclose`, `aclosing`, dropped, at the end of its loop.

mod driver;

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use asyncio_coro::hooks::{Report, SkipReason};
use asyncio_coro::task::TaskEnd;
use asyncio_coro::{
    AsyncClose, AsyncGenerator, CancelScope, aclosing, catch_cancel, generator, scoped_generator,
    try_finally, yield_now,
};
use futures_lite::future::block_on;

use driver::{Finisher, Log, Reports, TestTask, poll_up_to, yield_times};

fn is_cancelled<T>(end: Option<Result<T, TaskEnd>>) -> bool {
    matches!(end, Some(Err(TaskEnd::Cancelled)))
}

/// Yields for ever; cleans up in two scopes, in some steps each.
fn endless(log: &Log) -> AsyncGenerator<'static, u32> {
    let log = log.clone();
    generator(async move |y| {
        let body = async {
            for n in 0.. {
                y.yield_(n).await;
                yield_now().await;
            }
        };
        let inner = try_finally(body, async || {
            yield_times(2).await;
            log.push("inner");
        });
        try_finally(inner, async || {
            yield_now().await;
            log.push("outer");
        })
        .await;
    })
}

fn ignored_exits(reports: &Reports) -> usize {
    reports.take().iter().filter(|report| matches!(report, Report::IgnoredExit { .. })).count()
}

#[test]
fn closing_unwinds_the_body_where_it_waits_and_runs_its_cleanup() {
    let log = Log::default();
    block_on(async {
        let mut endless = endless(&log);
        assert_eq!(endless.next().await, Some(0));
        endless.aclose().await;
        assert_eq!(log.take(), ["inner", "outer"]);
        assert_eq!(endless.next().await, None);
        endless.aclose().await;
        assert!(log.take().is_empty());
    });
}

#[test]
fn closing_one_that_has_not_begun_drops_its_body() {
    let log = Log::default();
    let held = Rc::new(());
    let kept = held.clone();
    let mut unused = generator(async move |y| {
        y.yield_(Rc::strong_count(&kept)).await;
    });
    block_on(unused.aclose());
    assert_eq!(Rc::strong_count(&held), 1);
    assert_eq!(block_on(unused.next()), None);
    assert!(log.take().is_empty());
}

#[test]
fn closing_one_that_has_ended_does_nothing() {
    let mut one = generator(async |y| y.yield_(1).await);
    block_on(async {
        assert_eq!(one.next().await, Some(1));
        assert_eq!(one.next().await, None);
        one.aclose().await;
        one.aclose().await;
    });
}

#[test]
fn closing_after_a_dropped_next_unwinds_the_body_in_its_await() {
    let log = Log::default();
    block_on(async {
        let mut endless = endless(&log);
        endless.next().await;
        {
            let mut next = pin!(endless.next());
            let polled = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await;
            assert!(polled.is_pending());
        }
        endless.aclose().await;
        assert_eq!(log.take(), ["inner", "outer"]);
    });
}

#[test]
fn a_closing_that_is_dropped_goes_on_when_asked_again_by_next_too() {
    for by_next in [false, true] {
        let log = Log::default();
        block_on(async {
            let mut endless = endless(&log);
            endless.next().await;
            {
                let mut closing = pin!(endless.aclose());
                let polled = poll_fn(|cx| Poll::Ready(closing.as_mut().poll(cx))).await;
                assert!(polled.is_pending());
            }
            if by_next {
                assert_eq!(endless.next().await, None);
            } else {
                endless.aclose().await;
            }
            assert_eq!(log.take(), ["inner", "outer"]);
        });
    }
}

#[test]
fn a_closing_that_is_dropped_for_good_is_finished_by_the_loop() {
    let finisher = Finisher::install();
    let reports = Reports::collect();
    let log = Log::default();
    block_on(async {
        let mut endless = endless(&log);
        endless.next().await;
        let mut closing = pin!(endless.aclose());
        let polled = poll_fn(|cx| Poll::Ready(closing.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
    });
    assert_eq!(finisher.finish(), 1);
    assert_eq!(log.take(), ["inner", "outer"]);
    assert!(reports.take().is_empty());
}

#[test]
fn a_request_that_comes_while_it_is_closed_cuts_the_cleanup_that_runs_and_goes_on() {
    let reports = Reports::collect();
    let log = Log::default();
    let mut task = TestTask::new(async {
        let mut endless = endless(&log);
        endless.next().await;
        endless.aclose().await;
        log.push("never");
    });
    assert!(task.step().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["outer"]);
    assert_eq!(reports.reasons(), [SkipReason::Cut]);
}

#[test]
fn a_request_from_before_does_not_reach_the_cleanup() {
    let log = Log::default();
    let scope = CancelScope::new();
    block_on(async {
        let mut endless = endless(&log);
        endless.next().await;
        let ended = scope
            .run(async {
                scope.cancel();
                try_finally(pending::<()>(), async || endless.aclose().await).await;
            })
            .await;
        assert!(ended.is_err());
    });
    assert_eq!(log.take(), ["inner", "outer"]);
}

#[test]
fn a_body_that_catches_its_end_may_go_on_to_its_own_end() {
    let log = Log::default();
    let l = log.clone();
    let mut polite = generator(async move |y| {
        assert!(catch_cancel(y.yield_(1)).await.is_err());
        yield_now().await;
        l.push("ended by itself");
    });
    block_on(async {
        polite.next().await;
        polite.aclose().await;
    });
    assert_eq!(log.take(), ["ended by itself"]);
}

#[test]
fn a_cleanup_that_yields_is_cut_and_reported_and_those_around_it_have_their_turn() {
    let reports = Reports::collect();
    let log = Log::default();
    let l = log.clone();
    let mut rude = generator(async move |y| {
        let inner = try_finally(y.yield_(1), async || {
            y.yield_(2).await;
            l.push("never");
        });
        try_finally(inner, async || {
            yield_now().await;
            l.push("outer");
        })
        .await;
    });
    block_on(async {
        assert_eq!(rude.next().await, Some(1));
        rude.aclose().await;
        assert_eq!(rude.next().await, None);
    });
    assert_eq!(log.take(), ["outer"]);
    assert_eq!(reports.reasons(), [SkipReason::Cut]);
    assert_eq!(ignored_exits(&reports), 1);
}

#[test]
fn a_body_that_yields_again_and_again_is_dropped() {
    let reports = Reports::collect();
    let mut stubborn = generator(async |y| {
        for n in 0.. {
            drop(catch_cancel(y.yield_(n)).await);
        }
    });
    block_on(async {
        assert_eq!(stubborn.next().await, Some(0));
        stubborn.aclose().await;
        assert_eq!(stubborn.next().await, None);
    });
    assert_eq!(ignored_exits(&reports), 1);
}

#[test]
fn a_panic_in_the_cleanup_comes_out_of_aclose() {
    let mut failing = generator(async |y| {
        try_finally(y.yield_(1), async || {
            yield_now().await;
            panic!("in the cleanup");
        })
        .await;
    });
    block_on(failing.next());
    let mut task = TestTask::new(async { failing.aclose().await });
    assert!(matches!(task.run(), Some(Err(TaskEnd::Panicked(_)))));
    drop(task);
    block_on(failing.aclose());
    assert_eq!(block_on(failing.next()), None);
}

#[test]
fn aclosing_closes_however_its_body_ends() {
    let log = Log::default();

    let value = block_on(aclosing(endless(&log), async |numbers| {
        while let Some(n) = numbers.next().await {
            if n == 3 {
                return n;
            }
        }
        unreachable!("it is endless");
    }));
    assert_eq!((value, log.take()), (3, vec!["inner", "outer"]));

    let mut task = TestTask::new(aclosing(endless(&log), async |numbers| {
        numbers.next().await;
        pending::<()>().await;
    }));
    assert!(task.run().is_none());
    task.handle().cancel();
    assert!(is_cancelled(task.run()));
    assert_eq!(log.take(), ["inner", "outer"]);

    let mut task = TestTask::new(aclosing(endless(&log), async |numbers| {
        numbers.next().await;
        panic!("in the body");
    }));
    assert!(matches!(task.run(), Some(Err(TaskEnd::Panicked(_)))));
    assert_eq!(log.take(), ["inner", "outer"]);
}

#[test]
fn aclosing_takes_any_stream_that_can_be_closed() {
    struct Closable(Rc<Cell<bool>>);
    impl AsyncClose for Closable {
        async fn aclose(&mut self) {
            yield_now().await;
            self.0.set(true);
        }
    }
    let closed = Rc::new(Cell::new(false));
    block_on(aclosing(Closable(closed.clone()), async |_| ()));
    assert!(closed.get());
}

#[test]
fn one_that_is_dropped_before_its_end_is_finished_by_the_loop() {
    let finisher = Finisher::install();
    let reports = Reports::collect();
    let log = Log::default();
    let mut endless = endless(&log);
    block_on(endless.next());
    drop(endless);
    assert!(log.take().is_empty());
    assert_eq!(finisher.finish(), 1);
    assert_eq!(log.take(), ["inner", "outer"]);
    assert!(reports.take().is_empty());
}

#[test]
fn one_without_a_cleanup_is_just_dropped() {
    let finisher = Finisher::install();
    let held = Rc::new(());
    let kept = held.clone();
    let mut plain = generator(async move |y| {
        y.yield_(Rc::strong_count(&kept)).await;
        pending::<()>().await;
    });
    block_on(plain.next());
    drop(plain);
    assert_eq!(Rc::strong_count(&held), 1);
    assert_eq!(finisher.finish(), 0);
}

#[test]
fn without_a_loop_the_cleanups_of_one_that_is_dropped_are_reported() {
    let reports = Reports::collect();
    let log = Log::default();
    let mut endless = endless(&log);
    block_on(endless.next());
    drop(endless);
    assert_eq!(reports.reasons(), [SkipReason::Dropped; 2]);
}

#[test]
fn an_end_that_the_loop_gives_up_is_reported() {
    let finisher = Finisher::install();
    let reports = Reports::collect();
    let log = Log::default();
    let mut endless = endless(&log);
    block_on(endless.next());
    drop(endless);
    let mut end = finisher.ends.take().pop().unwrap();
    assert!(poll_up_to(end.as_mut(), 1).is_none());
    drop(end);
    // The inner cleanup had begun.
    let mut reasons = reports.reasons();
    reasons.sort_by_key(|reason| *reason == SkipReason::Dropped);
    assert_eq!(reasons, [SkipReason::Cut, SkipReason::Dropped]);
}

#[test]
fn the_loop_that_first_iterated_it_finishes_it_though_another_one_runs_now() {
    let first = Finisher::install();
    let log = Log::default();
    let mut endless = endless(&log);
    block_on(endless.next());
    let second = Finisher::install();
    drop(endless);
    assert_eq!((first.finish(), second.finish()), (1, 0));
}

#[test]
fn the_loop_is_told_once_of_each_that_is_iterated_and_may_close_it() {
    let finisher = Finisher::install();
    let log = Log::default();
    let mut endless = endless(&log);
    assert!(finisher.live.borrow().is_empty());
    block_on(async {
        endless.next().await;
        endless.next().await;
    });
    let live = finisher.live.take();
    assert_eq!(live.len(), 1);
    assert_eq!(live[0].site(), Some(endless.site()));
    block_on(live[0].aclose().unwrap());
    assert_eq!(log.take(), ["inner", "outer"]);
    // Its owner gets no more items.
    assert_eq!(block_on(endless.next()), None);
    block_on(endless.aclose());
    assert!(live[0].aclose().is_none());
    drop(endless);
    assert!(!live[0].is_alive());
    assert_eq!(finisher.finish(), 0);
}

#[test]
fn the_loop_leaves_one_alone_that_somebody_waits_for() {
    let finisher = Finisher::install();
    let log = Log::default();
    let mut task = TestTask::new(async {
        let mut slow = generator(async |y| {
            yield_times(5).await;
            y.yield_(7).await;
        });
        slow.next().await
    });
    assert!(task.step().is_none());
    let live = finisher.live.take();
    assert!(live[0].aclose().is_none());
    assert!(matches!(task.run(), Some(Ok(Some(7)))));
    assert!(log.take().is_empty());
}

#[test]
fn a_body_that_borrows_is_closed_in_time_by_aclosing() {
    let reports = Reports::collect();
    let log = Log::default();
    let borrowing = scoped_generator(async |y| {
        try_finally(
            async {
                for n in 0.. {
                    y.yield_(n).await;
                }
            },
            async || {
                yield_now().await;
                log.push("cleaned");
            },
        )
        .await;
    });
    block_on(aclosing(borrowing, async |numbers| {
        assert_eq!(numbers.next().await, Some(0));
    }));
    assert_eq!(log.take(), ["cleaned"]);
    assert!(reports.take().is_empty());
}

#[test]
fn one_whose_consumer_was_dropped_while_it_unwound_is_finished_by_the_loop() {
    let finisher = Finisher::install();
    let log = Log::default();
    let mut task = TestTask::new(async {
        let mut endless = endless(&log);
        while endless.next().await.is_some() {}
    });
    assert!(task.step().is_none());
    task.handle().cancel();
    assert!(task.step().is_none());
    drop(task);
    assert_eq!(finisher.finish(), 1);
    assert_eq!(log.take(), ["inner", "outer"]);
}

#[test]
fn a_destructor_that_iterates_a_generator_of_its_own_does_no_harm() {
    struct Iterates(Option<AsyncGenerator<'static, u32>>);
    impl Drop for Iterates {
        fn drop(&mut self) {
            let mut numbers = self.0.take().unwrap();
            assert_eq!(block_on(numbers.next()), Some(0));
        }
    }
    let _finisher = Finisher::install();
    let log = Log::default();
    let inner = endless(&log);
    let mut outer = generator(async move |y| {
        let _iterates = Iterates(Some(inner));
        y.yield_(1).await;
        pending::<()>().await;
    });
    block_on(outer.next());
    drop(outer);
}

#[test]
fn a_cleanup_that_runs_already_after_a_body_that_ended_goes_on_when_it_is_closed() {
    let reports = Reports::collect();
    let log = Log::default();
    let l = log.clone();
    let mut one = generator(async move |y| {
        try_finally(y.yield_(1), async || {
            yield_times(3).await;
            l.push("cleaned");
        })
        .await;
        l.push("behind it");
        y.yield_(2).await;
    });
    block_on(async {
        assert_eq!(one.next().await, Some(1));
        {
            let mut next = pin!(one.next());
            let polled = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await;
            assert!(polled.is_pending());
        }
        one.aclose().await;
    });
    assert_eq!(log.take(), ["cleaned", "behind it"]);
    assert!(reports.take().is_empty());
}
