//! Many at once: what `gather` gives, when, and what becomes of the others.

use std::time::Duration;

use asyncio::event_loop::EventLoop;
use asyncio::task::GatherError;
use asyncio::{
    JoinError, Task, catch_cancel, create_task, current_task, gather_results, sleep, try_finally,
    try_gather,
};

use crate::twin::{FOR_EVER, Log, Member, cleaning, ended, handle_on, member, py, same, units};

/// A list as Python shows it.
fn list(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
    format!("[{}]", quoted.join(", "))
}

fn stubborn(log: &Log, name: &'static str) -> Member {
    let log = log.clone();
    Box::pin(async move {
        if catch_cancel(sleep(FOR_EVER)).await.is_err() {
            log.line(format!("{name} refuses"));
        }
        Ok(name)
    })
}

#[test]
fn gather_gives_its_first_error_and_is_cancelled_as_in_cpython() {
    same(include_str!("../../parity/gather_first_error.log"), |log, _, _| async move {
        let both = [member(&log, "a", units(2), false), member(&log, "b", units(1), false)];
        log.line(format!("all well: {}", list(&try_gather(both).await.unwrap())));
        log.line(format!("none: {}", list(&try_gather(Vec::<Member>::new()).await.unwrap())));

        let three = [
            member(&log, "late", units(3), false),
            member(&log, "fails", units(1), true),
            member(&log, "fails later", units(2), true),
        ];
        if let Err(GatherError::Failed(error)) = try_gather(three).await {
            log.line(format!("error: {error}"));
        }
        sleep(units(5)).await;
        log.line("the others have ended");

        let fails_when_cancelled: Member = Box::pin(async {
            match catch_cancel(sleep(FOR_EVER)).await {
                Ok(()) => Ok("not reached"),
                Err(_) => Err("in cleanup"),
            }
        });
        for members in [
            vec![member(&log, "x", FOR_EVER, false), member(&log, "y", FOR_EVER, false)],
            vec![stubborn(&log, "s"), stubborn(&log, "t")],
            vec![member(&log, "done", units(0), false), stubborn(&log, "u")],
            vec![fails_when_cancelled, stubborn(&log, "v")],
        ] {
            let task = create_task({
                let log = log.clone();
                async move {
                    let body = async {
                        match try_gather(members).await {
                            Ok(values) => log.line(format!("gathered {}", list(&values))),
                            Err(error) => log.line(format!("gathering got {error}")),
                        }
                    };
                    try_finally(body, async || log.line("gathering unwinds")).await;
                }
            });
            sleep(units(1)).await;
            task.cancel();
            log.line(format!("task cancelled: {}", py(ended(task).await.cancelled())));
        }
    });
}

#[test]
fn gather_has_members_cancelled_alone_and_with_it_as_in_cpython() {
    async fn member(
        log: Log,
        name: &'static str,
        delay: Duration,
        cleanup: u64,
        fails: bool,
    ) -> Result<&'static str, &'static str> {
        cleaning(log, name, delay, units(cleanup)).await;
        if fails { Err(name) } else { Ok(name) }
    }

    fn cancel_later<T>(event_loop: &EventLoop, task: &Task<T>) {
        let target = handle_on(task);
        event_loop.call_later(units(1), move || _ = target.cancel());
    }

    /// What a result with errors of two kinds says.
    fn show(result: Result<Result<&'static str, &'static str>, JoinError>) -> &'static str {
        match result {
            Ok(Ok(text) | Err(text)) => text,
            Err(_cancelled) => "cancelled",
        }
    }

    same(include_str!("../../parity/gather_members.log"), |log, event_loop, _| async move {
        let member = |name, delay, cleanup, fails| member(log.clone(), name, delay, cleanup, fails);

        let cut = create_task(member("cut", units(5), 2, false));
        cancel_later(&event_loop, &cut);
        let (slow, cut, fails, quick) = gather_results((
            member("slow", units(4), 0, false),
            cut,
            member("fails", units(2), 0, true),
            member("quick", units(3) / 2, 0, false),
        ))
        .await;
        // A task that is gathered is awaited by a member, which gives what it is told.
        let cut = cut.expect("the member is not cancelled");
        let results = [show(slow), show(cut), show(fails), show(quick)];
        log.line(format!("results: {}", results.join(", ")));

        let cut = create_task(cleaning(log.clone(), "alone", units(5), units(0)));
        let other = create_task(cleaning(log.clone(), "other", units(3), units(0)));
        cancel_later(&event_loop, &cut);
        if let Err(GatherError::Failed(error)) = try_gather([cut, other]).await {
            let cancelling = current_task().map_or(0, |me| me.cancelling());
            log.line(format!("cancelled: {}, cancelling: {cancelling}", py(error.is_cancelled())));
        }
        sleep(units(3)).await;

        let task = create_task({
            let (log, members) = (
                log.clone(),
                [
                    member("a", units(5), 1, false),
                    member("b", units(5), 3, false),
                    member("c", units(1) / 2, 0, false),
                ],
            );
            async move {
                try_finally(gather_results(members), async || log.line("gathering unwinds")).await;
                log.line("not reached");
            }
        });
        sleep(units(1)).await;
        log.line(format!("cancel: {}", py(task.cancel())));
        log.line(format!("cancelled: {}", py(ended(task).await.cancelled())));

        let inner = [member("y", units(5), 0, false), member("z", units(5), 1, false)];
        let inner = {
            let log = log.clone();
            async move {
                try_finally(gather_results(inner), async || log.line("inner unwinds")).await;
            }
        };
        let x = member("x", units(5), 2, false);
        let task = create_task({
            let log = log.clone();
            async move {
                let both = gather_results((x, create_task(inner)));
                try_finally(both, async || log.line("outer unwinds")).await
            }
        });
        sleep(units(1)).await;
        log.line(format!("cancel: {}", py(task.cancel())));
        log.line(format!("cancelled: {}", py(ended(task).await.cancelled())));

        let three = [("one", 0, true), ("two", 0, true), ("three", 1, false)]
            .map(|(name, delay, fails)| member(name, units(delay), 0, fails));
        if let Err(GatherError::Failed(error)) = try_gather(three).await {
            log.line(format!("error: {error}"));
        }
        sleep(units(2)).await;
        log.line("main ends");
    });
}
