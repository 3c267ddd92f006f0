//! How a group of tasks unwinds.

use std::time::Duration;

use asyncio::{
    ExceptionGroup, TaskGroup, catch_cancel, create_task, current_task, sleep, try_finally,
};

use crate::twin::{FOR_EVER, Log, cleaning, ended, py, same, tick, units};

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

fn log_errors(log: &Log, result: Result<(), ExceptionGroup<&'static str>>) {
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

#[derive(Debug)]
enum Failure {
    One(&'static str),
    Many(ExceptionGroup<Failure>),
}

type Outcomes<T> = Result<T, ExceptionGroup<Failure>>;

fn show(log: &Log, group: ExceptionGroup<Failure>, depth: usize) {
    for error in group {
        match error {
            Failure::One(name) => log.line(format!("{}error: {name}", "  ".repeat(depth))),
            Failure::Many(inner) => {
                log.line(format!("{}group:", "  ".repeat(depth)));
                show(log, inner, depth + 1);
            }
        }
    }
}

async fn careful(
    log: Log,
    name: &'static str,
    delay: u64,
    cleanup: u64,
    fails: bool,
) -> Result<(), Failure> {
    cleaning(log, name, units(delay), units(cleanup)).await;
    if fails { Err(Failure::One(name)) } else { Ok(()) }
}

/// A second request to the one who holds the group is not logged: asyncio's group takes no notice, here it cuts the cleanups.
#[test]
fn groups_inside_each_other_unwind_as_in_cpython() {
    same(include_str!("../../parity/task_group_nested.log"), |log, _, _| async move {
        let child = |name, delay, cleanup| careful(log.clone(), name, delay, cleanup, false);
        let fails = |name, delay| careful(log.clone(), name, delay, 0, true);

        let result: Outcomes<()> = TaskGroup::scope(async |outer| {
            outer.create_task(child("neighbour", 5, 2));
            TaskGroup::scope(async |inner| {
                inner.create_task(fails("fails", 1));
                inner.create_task(child("brother", 5, 1));
                Ok(())
            })
            .await
            .map_err(Failure::Many)?;
            log.line("not reached");
            Ok(())
        })
        .await;
        show(&log, result.expect_err("it fails"), 0);

        let result: Outcomes<()> = TaskGroup::scope(async |outer| {
            outer.create_task(fails("fails outside", 1));
            let inner = TaskGroup::scope(async |inner| {
                inner.create_task(child("inside", 5, 1));
                Ok(())
            });
            try_finally(inner, async || log.line("the inner group is over"))
                .await
                .map_err(Failure::Many)
        })
        .await;
        show(&log, result.expect_err("it fails"), 0);

        let result: Outcomes<()> = TaskGroup::scope(async |group| {
            let alone = group.create_task(child("alone", 5, 1));
            group.create_task(child("stays", 3, 0));
            sleep(units(1)).await;
            log.line(format!("cancel: {}", py(alone.cancel())));
            if alone.await.is_err_and(|error| error.is_cancelled()) {
                log.line("the body is told");
            }
            Ok(())
        })
        .await;
        result.expect("nobody fails");

        let result: Outcomes<()> = TaskGroup::scope(async |group| {
            group.create_task(async {
                child("parent", 1, 0).await?;
                group.create_task(child("late child", 2, 0));
                Ok(())
            });
            log.line("the body ends");
            Ok(())
        })
        .await;
        result.expect("nobody fails");
        log.line("the group ends");

        let result: Outcomes<()> = TaskGroup::scope(async |group| {
            group.create_task(async {
                try_finally(sleep(units(5)), async || {
                    log.line("starter cleans up");
                    ended(group.create_task(child("too late", 0, 0))).await;
                    log.line("starter is clean");
                })
                .await;
                Ok(())
            });
            group.create_task(fails("fails first", 1));
            Ok(())
        })
        .await;
        show(&log, result.expect_err("it fails"), 0);

        let task = create_task({
            let log = log.clone();
            async move {
                let group = TaskGroup::scope(async |group| {
                    group.create_task(careful(log.clone(), "held", 5, 3, false));
                    Ok(())
                });
                let _: Outcomes<()> = try_finally(group, async || log.line("holder unwinds")).await;
            }
        });
        sleep(units(1)).await;
        log.line(format!("cancel: {}", py(task.cancel())));
        log.line(format!("cancelled: {}", py(ended(task).await.cancelled())));
    });
}
