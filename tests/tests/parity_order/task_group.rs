//! How a group of tasks unwinds.

use std::time::Duration;

use asyncio::{TaskGroup, catch_cancel, create_task, current_task, sleep, try_finally};

use crate::twin::{FOR_EVER, Log, ended, same, tick, units};

type Outcome = Result<(), &'static str>;

async fn child(
    log: &Log,
    name: &'static str,
    delay: Duration,
    cleanup: Duration,
    fails: bool,
) -> Outcome {
    log.line(format!("{name} begins"));
    let is_clean = async {
        sleep(cleanup).await;
        log.line(format!("{name} is clean"));
        if fails { Err(name) } else { Ok(()) }
    };
    // Python's `finally` may raise in place of the cancellation: here that is catching it.
    let ended = catch_cancel(async {
        sleep(delay).await;
        log.line(format!("{name} ends"));
    })
    .await;
    is_clean.await?;
    match ended {
        Ok(()) => Ok(()),
        // Let it go on: the cancellation is still counted, so the task ends cancelled for its group.
        Err(_cancelled) => {
            let me = current_task().expect("a child is a task");
            me.cancel();
            std::future::pending().await
        }
    }
}

fn log_errors(log: &Log, result: Result<(), asyncio::ExceptionGroup<&'static str>>) {
    for error in result.expect_err("it fails") {
        log.line(format!("error: {error}"));
    }
}

#[test]
fn a_failing_group_unwinds_as_in_cpython() {
    same(include_str!("../../parity/task_group_failure.log"), |log, _, _| async move {
        let result = TaskGroup::scope(async |group| {
            group.create_task(child(&log, "quick", units(1), units(0), false));
            group.create_task(child(&log, "first to fail", units(2), units(0), true));
            group.create_task(child(&log, "slow cleanup", FOR_EVER, units(3), true));
            group.create_task(child(&log, "fast cleanup", FOR_EVER, units(1), true));
            group.create_task(child(&log, "innocent", FOR_EVER, units(2), false));
            log.line("body waits");
            let cleanup = async || {
                log.line("body cleans up");
                sleep(units(4)).await;
                log.line("body is clean");
            };
            try_finally(sleep(FOR_EVER), cleanup).await;
            Ok(())
        });
        log_errors(&log, result.await);
        let cancelling = current_task().map_or(0, |me| me.cancelling());
        log.line(format!("cancelling: {cancelling}"));
        tick().await;

        let result = TaskGroup::scope(async |group| {
            group.create_task(child(&log, "left", FOR_EVER, units(2), true));
            group.create_task(child(&log, "right", FOR_EVER, units(1), true));
            sleep(units(1)).await;
            Err("body")
        });
        log_errors(&log, result.await);

        let result = TaskGroup::scope(async |group| {
            group.create_task(async { Outcome::Err("one") });
            group.create_task(async { Outcome::Err("two") });
            group.create_task(child(&log, "begun in that tick", FOR_EVER, units(0), false));
            Ok(())
        });
        log_errors(&log, result.await);

        let task = create_task({
            let log = log.clone();
            async move {
                TaskGroup::scope(async |group| {
                    group.create_task(child(&log, "held", FOR_EVER, units(1), false));
                    group.create_task(child(&log, "finishes meanwhile", units(2), units(0), false));
                    let cleanup = async || {
                        log.line("holder cleans up");
                        sleep(units(4)).await;
                        log.line("holder is clean");
                    };
                    try_finally(sleep(FOR_EVER), cleanup).await;
                    Ok(())
                })
                .await
            }
        });
        sleep(units(1)).await;
        task.cancel();
        if ended(task).await.cancelled() {
            log.line("holder cancelled");
        }
    });
}
