//! Tasks in the order in which they end.

mod support;

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use asyncio_coro::{Stream, StreamExt, yield_now};
use asyncio_task::{Task, as_completed, create_task, gather, sleep, timeout};
use support::{millis, run, secs, timed};

fn sleepers<const N: usize>(delays: [u64; N]) -> [Task<u64>; N] {
    delays.map(|n| {
        create_task(async move {
            sleep(millis(n)).await;
            n
        })
    })
}

/// Behaviour: TSK-64.
#[test]
fn tasks_come_out_in_the_order_in_which_they_end() {
    run(async {
        let (order, elapsed) = timed(async {
            let mut order = Vec::new();
            let mut ended = as_completed(sleepers([150, 100, 120]));
            while let Some(task) = ended.next().await {
                assert!(task.done());
                order.push(task.await.unwrap());
            }
            assert!(ended.next().await.is_none());
            order
        })
        .await;
        assert_eq!((order, elapsed), (vec![100, 120, 150], millis(150)));

        let (order, elapsed) = timed(async {
            let mut order = Vec::new();
            for next in as_completed(sleepers([150, 100, 120])) {
                order.push(next.await.await.unwrap());
            }
            order
        })
        .await;
        assert_eq!((order, elapsed), (vec![100, 120, 150], millis(150)));
        assert!(as_completed(Vec::<Task<()>>::new()).next().await.is_none());
    });
}

/// Behaviour: TSK-65.
#[test]
fn the_tasks_that_come_out_are_those_that_went_in() {
    run(async {
        let tasks = sleepers([2, 1]);
        let ids = [tasks[1].id(), tasks[0].id()];
        let ended: Vec<_> = as_completed(tasks).map(|task| task.id()).collect().await;
        assert_eq!(ended, ids);
    });
}

/// Behaviour: TSK-66.
#[test]
fn a_timeout_comes_after_the_tasks_that_ended_in_time_and_cancels_nobody() {
    run(async {
        let mut ended = as_completed(sleepers([100, 150])).timeout(millis(120));
        let (late, elapsed) = timed(async {
            assert_eq!(ended.next().await.unwrap().unwrap().await.unwrap(), 100);
            ended.next().await.unwrap().map(|task| task.id())
        })
        .await;
        assert_eq!((late.unwrap_err().to_string(), elapsed), ("timed out".to_owned(), millis(120)));
        assert!(ended.next().await.is_none());

        let (_, elapsed) = timed(async {
            let mut results = Vec::new();
            for next in as_completed(sleepers([100, 150, 160])).timeout(millis(120)) {
                results.push(next.await.map(|task| task.done()).ok());
            }
            assert_eq!(results, [Some(true), None, None]);
        })
        .await;
        assert_eq!(elapsed, millis(120));

        // What ended in time comes out, however late one asks.
        let mut ended = as_completed(sleepers([100, 150])).timeout(millis(120));
        let first = ended.next().await.unwrap().unwrap();
        sleep(secs(1)).await;
        assert_eq!(first.await.unwrap(), 100);
        assert_eq!(ended.next().await.unwrap().unwrap().await.unwrap(), 150);
    });
}

/// Behaviour: TSK-67.
#[test]
fn a_timeout_that_was_not_needed_leaves_no_timer() {
    run(async {
        let mut ended = as_completed(sleepers([1, 2])).timeout(secs(10));
        while let Some(task) = ended.next().await {
            task.unwrap();
        }
        // A timer that were left would wake this very task.
        let (mut polls, mut later) = (0, pin!(sleep(secs(20))));
        poll_fn(|cx| {
            polls += 1;
            later.as_mut().poll(cx)
        })
        .await;
        assert_eq!(polls, 2);
        drop(ended);
    });
}

/// Behaviour: TSK-68.
#[test]
fn an_iteration_can_be_broken_off_and_resumed() {
    run(async {
        let mut ended = as_completed(sleepers([3, 1, 2]));
        while let Some(task) = ended.next().await {
            if task.await.unwrap() == 2 {
                break;
            }
        }
        assert_eq!(ended.size_hint(), (0, Some(1)));
        let mut rest = ended.into_iter();
        assert_eq!(rest.next().unwrap().await.await.unwrap(), 3);
        assert!(rest.next().is_none());
    });
}

/// Behaviour: TSK-69.
#[test]
fn the_future_that_is_awaited_first_gives_the_first_task() {
    run(async {
        let mut nexts = as_completed(sleepers([2, 1])).into_iter();
        assert_eq!(nexts.len(), 2);
        let (first, second) = (nexts.next().unwrap(), nexts.next().unwrap());
        assert_eq!(second.await.await.unwrap(), 1);
        assert_eq!(first.await.await.unwrap(), 2);
    });
}

/// Behaviour: TSK-70.
#[test]
fn all_futures_can_be_awaited_concurrently() {
    run(async {
        let nexts = as_completed(sleepers([5, 5, 3, 5, 4]));
        let each = nexts.into_iter().map(|next| async { next.await.await.unwrap() });
        let (values, elapsed) = timed(gather(each)).await;
        assert_eq!((values.unwrap(), elapsed), (vec![3, 4, 5, 5, 5], millis(5)));
    });
}

#[test]
fn one_who_waits_and_is_cancelled_leaves_the_task_to_the_next() {
    run(async {
        let mut nexts = as_completed(sleepers([20, 30])).into_iter();
        let (first, second) = (nexts.next().unwrap(), nexts.next().unwrap());
        let first = create_task(first);
        let second = create_task(second);
        sleep(millis(10)).await;
        first.cancel();
        assert_eq!(second.await.unwrap().await.unwrap(), 20);
        // Also one who has been woken and has not been polled since.
        let mut ended = as_completed(sleepers([20]));
        for ticks in 0..3 {
            let next = ended.next();
            assert!(timeout(millis(0), next).await.is_err(), "{ticks}");
            yield_now().await;
        }
        assert_eq!(ended.next().await.unwrap().await.unwrap(), 20);
    });
}

/// Tasks are made by whoever has a loop; only a timeout asks for one.
///
/// Behaviour: TSK-73.
#[test]
fn a_timeout_needs_a_running_loop() {
    assert_eq!(run(async { as_completed(sleepers([1])).timeout(secs(1)).count().await }), 1);
    let outside = std::panic::catch_unwind(|| {
        drop(as_completed(Vec::<Task<()>>::new()).timeout(secs(1)));
    });
    let text = outside.unwrap_err();
    let text = text.downcast_ref::<String>().unwrap();
    assert!(text.starts_with("as_completed: no running event loop"), "{text}");
    let outside = std::panic::catch_unwind(|| create_task(pending::<()>()));
    assert!(outside.is_err());
}

#[test]
fn tasks_that_had_ended_before_come_out_at_the_first_poll() {
    run(async {
        let tasks = sleepers([1, 2]);
        sleep(secs(1)).await;
        let mut ended = pin!(as_completed(tasks));
        for _ in 0..2 {
            let mut next = pin!(ended.next());
            let polled = next.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Ready(Some(_))));
        }
    });
}
