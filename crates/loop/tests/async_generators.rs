//! Async generators on a loop: what was dropped half-way is finished, what is still open at the end is closed.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use asyncio_coro::{
    AsyncGenerator, ContextVar, Deadline, deadline_scope, generator, try_finally, yield_now,
};
use asyncio_loop::{EventLoop, get_running_loop, run, testing};
use support::{Log, sleep, ticks};

/// Yields for ever; cleans up in a second.
fn endless(log: &Log<&'static str>, name: &'static str) -> AsyncGenerator<'static, u32> {
    let log = log.clone();
    generator(async move |y| {
        let body = async {
            for n in 0.. {
                y.yield_(n).await;
            }
        };
        try_finally(body, async || {
            sleep(Duration::from_secs(1)).await;
            log.push(name);
        })
        .await;
    })
}

fn reports(event_loop: &EventLoop) -> Log<String> {
    let log = Log::new();
    let reports = log.clone();
    event_loop.set_exception_handler(move |_, context| reports.push(context.to_string()));
    log
}

/// Behaviour: BEV-28.
#[test]
fn one_that_is_dropped_half_way_is_finished_while_the_loop_runs() {
    let log = Log::new();
    testing::run(async {
        let reports = reports(&get_running_loop().unwrap());
        let mut endless = endless(&log, "cleaned");
        assert_eq!(endless.next().await, Some(0));
        drop(endless);
        ticks(3).await;
        assert!(log.take().is_empty(), "it takes its time");
        sleep(Duration::from_secs(2)).await;
        assert_eq!(log.take(), ["cleaned"]);
        assert!(reports.take().is_empty());
    })
    .unwrap();
}

#[test]
fn those_dropped_with_the_main_future_are_finished_at_the_end_side_by_side() {
    let log = Log::new();
    let (event_loop, clock) = testing::virtual_loop(testing::ClockMode::AutoJump).unwrap();
    let start = clock.now();
    testing::run_with(&event_loop, async {
        for name in ["a", "b", "c"] {
            let mut endless = endless(&log, name);
            endless.next().await;
            if name == "b" {
                // Dropped in the middle of an item, with the others.
                drop(endless);
            } else {
                std::mem::forget(endless);
            }
        }
    })
    .unwrap();
    let mut names = log.take();
    names.sort_unstable();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(clock.now() - start, Duration::from_secs(1));
}

/// Behaviour: BEV-28.
#[test]
fn one_that_is_still_held_is_closed_at_the_end_and_gives_no_more_items() {
    let log = Log::new();
    let kept = RefCell::new(None);
    testing::run(async {
        let mut endless = endless(&log, "cleaned");
        endless.next().await;
        *kept.borrow_mut() = Some(endless);
    })
    .unwrap();
    assert_eq!(log.take(), ["cleaned"]);
    let mut endless = kept.take().unwrap();
    assert_eq!(futures_lite::future::block_on(endless.next()), None);
}

#[test]
fn a_cleanup_that_never_ends_is_abandoned_after_the_grace_period_by_name() {
    let (event_loop, _clock) = testing::virtual_loop(testing::ClockMode::AutoJump).unwrap();
    let reports = reports(&event_loop);
    testing::run_with(&event_loop, async {
        let mut hanging = generator(async |y| {
            try_finally(y.yield_(1), async || pending().await).await;
        });
        hanging.next().await;
    })
    .unwrap();
    let reports = reports.take();
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert!(reports[0].contains("async generator made at"), "{reports:?}");
    assert!(reports[0].contains(file!()), "{reports:?}");
    assert!(reports[1].contains("was cut short"), "{reports:?}");
}

#[test]
fn a_panic_in_a_cleanup_is_reported_where_the_generator_was_made_and_the_others_go_on() {
    let log = Log::new();
    testing::run(async {
        let reports = reports(&get_running_loop().unwrap());
        let mut failing = generator(async |y| {
            try_finally(y.yield_(1), async || {
                yield_now().await;
                panic!("in the cleanup");
            })
            .await;
        });
        let mut other = endless(&log, "other");
        failing.next().await;
        other.next().await;
        drop(failing);
        drop(other);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(log.take(), ["other"]);
        let reports = reports.take();
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert!(
            reports[0].contains("in the cleanup") && reports[0].contains(file!()),
            "{reports:?}"
        );
    })
    .unwrap();
}

#[test]
fn one_that_yields_while_it_is_finished_is_reported() {
    testing::run(async {
        let reports = reports(&get_running_loop().unwrap());
        let mut rude = generator(async |y| {
            try_finally(y.yield_(1), async || y.yield_(2).await).await;
        });
        rude.next().await;
        drop(rude);
        ticks(5).await;
        let reports = reports.take();
        assert!(reports[0].contains("yielded while it was being closed"), "{reports:?}");
        assert!(reports[0].contains(file!()), "{reports:?}");
    })
    .unwrap();
}

#[test]
fn a_cleanup_may_be_woken_from_another_thread_and_have_a_deadline() {
    let log = Log::new();
    run(async {
        let cleaned = log.clone();
        let mut one = generator(async move |y| {
            try_finally(y.yield_(1), async || {
                let (sender, receiver) = std::sync::mpsc::channel();
                let mut thread = None;
                poll_fn(|cx| {
                    if receiver.try_recv().is_ok() {
                        return Poll::Ready(());
                    }
                    let (waker, sender) = (cx.waker().clone(), sender.clone());
                    thread.get_or_insert_with(|| {
                        thread::spawn(move || {
                            sender.send(()).unwrap();
                            waker.wake();
                        })
                    });
                    Poll::Pending
                })
                .await;
                let after = Deadline::After(Duration::from_millis(1));
                assert!(deadline_scope(after, pending::<()>()).await.is_err());
                cleaned.push("cleaned");
            })
            .await;
        });
        one.next().await;
    })
    .unwrap();
    assert_eq!(log.take(), ["cleaned"]);
}

#[test]
fn a_cleanup_runs_in_the_context_in_which_the_generator_was_dropped() {
    static USER: ContextVar<&str> = ContextVar::new("user");
    let log = Log::new();
    testing::run(async {
        let seen = log.clone();
        let mut one = generator(async move |y| {
            try_finally(y.yield_(1), async || {
                yield_now().await;
                seen.push(USER.get().unwrap());
            })
            .await;
        });
        USER.set("iterated");
        one.next().await;
        USER.set("dropped");
        drop(one);
        USER.set("later");
        ticks(5).await;
    })
    .unwrap();
    assert_eq!(log.take(), ["dropped"]);
}

#[test]
fn one_that_is_dropped_while_the_loop_stands_is_finished_when_it_runs_again() {
    let log = Log::new();
    let (event_loop, _clock) = testing::virtual_loop(testing::ClockMode::AutoJump).unwrap();
    let mut endless = endless(&log, "cleaned");
    event_loop.run_until_complete(endless.next()).unwrap();
    drop(endless);
    assert!(log.take().is_empty());
    event_loop.run_until_complete(sleep(Duration::from_secs(2))).unwrap();
    assert_eq!(log.take(), ["cleaned"]);
    event_loop.close().unwrap();
}

#[test]
fn one_that_is_dropped_after_the_end_is_reported() {
    let log = Log::new();
    let (event_loop, _clock) = testing::virtual_loop(testing::ClockMode::AutoJump).unwrap();
    let reports = reports(&event_loop);
    let mut endless = endless(&log, "never");
    event_loop.run_until_complete(endless.next()).unwrap();
    let held = Rc::new(Cell::new(Some(endless)));
    // Dropped by the close, which runs nothing any more.
    event_loop.call_soon(move || drop(held));
    event_loop.close().unwrap();
    assert!(log.take().is_empty());
    let reports = reports.take();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].contains("was skipped"), "{reports:?}");
}

#[test]
fn one_that_is_first_iterated_after_the_end_of_the_others_is_reported_and_works() {
    let log = Log::new();
    let (event_loop, _clock) = testing::virtual_loop(testing::ClockMode::AutoJump).unwrap();
    let reports = reports(&event_loop);
    testing::run_with(&event_loop, async {
        let mut early = endless(&log, "early");
        early.next().await;
        get_running_loop().unwrap().shutdown_asyncgens().await;
        assert_eq!(log.take(), ["early"]);
        assert_eq!(early.next().await, None);
        let mut late = endless(&log, "late");
        assert_eq!(late.next().await, Some(0));
    })
    .unwrap();
    assert_eq!(log.take(), ["late"]);
    let reports = reports.take();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].contains("after the loop had closed"), "{reports:?}");
}

#[test]
fn many_short_generators_leave_nothing_behind() {
    let dropped = Rc::new(Cell::new(0));
    testing::run(async {
        for _ in 0..1_000 {
            let counted = dropped.clone();
            let mut one = generator(async move |y| {
                try_finally(y.yield_(1), async || {
                    yield_now().await;
                    counted.set(counted.get() + 1);
                })
                .await;
            });
            one.next().await;
        }
    })
    .unwrap();
    assert_eq!(dropped.get(), 1_000);
}
