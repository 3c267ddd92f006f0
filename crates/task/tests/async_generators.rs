//! Async generators in tasks: cancelled through the task, finished at the end; and `masked` bodies there.

mod support;

use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use asyncio_coro::{AsyncGenerator, aclosing, catch_cancel, generator, masked, try_finally};
use asyncio_loop::testing;
use asyncio_task::{create_task, sleep, timeout};
use support::{Log, here, reports, run, secs};

/// Yields after a second each; cleans up in a second.
fn seconds(log: &Log) -> AsyncGenerator<'static, u32> {
    let log = log.clone();
    generator(async move |y| {
        let body = async {
            for n in 1.. {
                sleep(secs(1)).await;
                y.yield_(n).await;
            }
        };
        try_finally(body, async || {
            sleep(secs(1)).await;
            log.push("cleaned");
        })
        .await;
    })
}

#[test]
fn a_task_that_is_cancelled_in_an_item_cleans_up_the_generator_itself() {
    run(async {
        let (log, start) = (Log::default(), here().time());
        let inner = log.clone();
        let task = create_task(async move {
            let mut seconds = seconds(&inner);
            while seconds.next().await.is_some() {}
        });
        sleep(secs(5) / 2).await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["cleaned"]);
        assert_eq!(here().time() - start, secs(7) / 2);
    });
}

#[test]
fn one_generator_may_serve_several_tasks_in_turn() {
    run(async {
        let log = Log::default();
        let shared = Rc::new(RefCell::new(Some(seconds(&log))));
        for expected in 1..4 {
            let shared = shared.clone();
            let next = create_task(async move {
                let mut taken = shared.take().unwrap();
                let item = taken.next().await;
                *shared.borrow_mut() = Some(taken);
                item
            });
            assert_eq!(next.await.unwrap(), Some(expected));
        }
        let mut taken = shared.take().unwrap();
        taken.aclose().await;
        assert_eq!(log.take(), ["cleaned"]);
    });
}

#[test]
fn a_generator_of_a_task_that_the_end_cancels_between_two_items_is_finished() {
    let log = Log::default();
    let inner = log.clone();
    run(async move {
        create_task(async move {
            let mut seconds = seconds(&inner);
            seconds.next().await;
            pending::<()>().await;
        });
        sleep(secs(2)).await;
    });
    assert_eq!(log.take(), ["cleaned"]);
}

/// Behaviour: RUN-06.
#[test]
fn the_generator_of_a_task_that_fails_at_the_end_is_closed_and_the_error_of_main_goes_on() {
    let log = Log::default();
    let inner = log.clone();
    let result: Result<(), &str> = run(async move {
        let reports = reports();
        let in_task = inner.clone();
        create_task(async move {
            let mut seconds = seconds(&in_task);
            seconds.next().await;
            drop(catch_cancel(pending::<()>()).await);
            in_task.push(format!("{} reports", reports.take().len()));
            panic!("the task fails");
        });
        sleep(secs(2)).await;
        Err("main fails")
    });
    assert_eq!(result, Err("main fails"));
    assert_eq!(log.take(), ["0 reports", "cleaned"]);
}

#[test]
fn aclosing_in_a_task_cleans_up_before_the_task_has_ended() {
    run(async {
        let log = Log::default();
        let inner = log.clone();
        let task = create_task(aclosing(seconds(&inner), async |seconds| {
            seconds.next().await;
            pending::<()>().await;
        }));
        sleep(secs(2)).await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["cleaned"]);
    });
}

#[test]
fn closing_a_generator_that_waits_for_a_task_cancels_the_task_and_waits_for_its_end() {
    run(async {
        let (log, start) = (Log::default(), here().time());
        let inner = log.clone();
        let task = create_task(try_finally(pending::<()>(), async move || {
            sleep(secs(1)).await;
            inner.push("task");
        }));
        let outer = log.clone();
        let mut inner = generator(async move |y| {
            drop(task.await);
            y.yield_(1).await;
        });
        let mut outer = generator(async move |y| {
            let body = async {
                while let Some(n) = inner.next().await {
                    y.yield_(n).await;
                }
            };
            try_finally(body, async || outer.push("generator")).await;
        });
        assert!(timeout(secs(1), outer.next()).await.is_err());
        assert_eq!(log.take(), ["task", "generator"]);
        assert_eq!(here().time() - start, secs(2));
        assert_eq!(outer.next().await, None);
    });
}

#[test]
fn the_same_when_nobody_waits_for_the_item_any_more() {
    run(async {
        let log = Log::default();
        let inner = log.clone();
        let task = create_task(try_finally(pending::<()>(), async move || {
            sleep(secs(1)).await;
            inner.push("task");
        }));
        let mut waiting = generator(async move |y| {
            drop(task.await);
            y.yield_(1).await;
        });
        {
            let mut next = pin!(waiting.next());
            poll_fn(|cx| {
                assert!(next.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            sleep(secs(1)).await;
        }
        waiting.aclose().await;
        assert_eq!(log.take(), ["task"]);
    });
}

#[test]
fn a_masked_body_is_not_cut_by_any_number_of_cancels() {
    run(async {
        let task = create_task(masked(async {
            sleep(secs(3)).await;
            7
        }));
        for _ in 0..3 {
            sleep(secs(1) / 2).await;
            task.cancel();
        }
        assert_eq!(task.await.unwrap(), 7);
    });
}

#[test]
fn a_masked_body_that_never_ends_is_abandoned_by_name_after_the_grace_period() {
    let (event_loop, clock) = testing::virtual_loop(testing::ClockMode::AutoJump).unwrap();
    let start = clock.now();
    let log = testing::run_with(&event_loop, async {
        let reports = reports();
        let task = create_task(masked(try_finally(pending::<()>(), async || ())));
        task.set_name("immortal");
        sleep(secs(1)).await;
        reports
    })
    .unwrap();
    assert_eq!(clock.now() - start, secs(6));
    let reports = log.take();
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert!(reports[0].contains("abandoned") && reports[0].contains("immortal"), "{reports:?}");
    assert!(reports[1].contains("was skipped"), "{reports:?}");
}
