//! A group whose future is dropped half-way, as `select` does with the branch that lost: what is said of it, and where.

mod support;

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::task::Poll;

use asyncio_coro::yield_now;
use asyncio_task::TaskGroup;
use support::{Outcome, reports, run};

/// Polls once in each of a number of ticks, then drops.
async fn lose_after(polls: u32, future: impl Future) {
    let mut future = pin!(future);
    for _ in 0..polls {
        let is_pending = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await;
        assert!(is_pending);
        yield_now().await;
    }
}

#[test]
fn a_group_that_is_dropped_with_a_child_is_reported_at_the_line_that_made_it() {
    run(async {
        let reports = reports();
        let group = TaskGroup::scope(async |group| -> Outcome {
            group.create_task(pending::<Outcome>());
            pending().await
        });
        let line = line!() - 4;
        lose_after(2, group).await;
        let [report] = &reports.take()[..] else { panic!("one report") };
        assert!(report.starts_with("the cleanup of a scope was skipped"), "{report}");
        assert!(report.ends_with(&format!("created at: {}:{line}:21", file!())), "{report}");
    });
}

#[test]
fn a_group_that_is_dropped_before_it_has_a_child_owes_nothing() {
    run(async {
        let reports = reports();
        lose_after(1, TaskGroup::scope(async |_| -> Outcome { pending().await })).await;
        assert_eq!(reports.take(), [""; 0]);
    });
}

#[test]
fn a_group_that_is_dropped_when_its_children_have_ended_owes_nothing() {
    run(async {
        let reports = reports();
        let group = TaskGroup::scope(async |group| -> Outcome {
            for _ in 0..3 {
                group.create_task(async {
                    yield_now().await;
                    Outcome::Ok(())
                });
            }
            pending().await
        });
        lose_after(5, group).await;
        assert_eq!(reports.take(), [""; 0]);
    });
}

#[test]
fn a_child_that_comes_after_the_others_have_ended_is_owed_its_end() {
    run(async {
        let reports = reports();
        let group = TaskGroup::scope(async |group| -> Outcome {
            group.create_task(async { Outcome::Ok(()) }).await.unwrap();
            group.create_task(pending::<Outcome>());
            pending().await
        });
        lose_after(6, group).await;
        assert_eq!(reports.take().len(), 1);
    });
}
