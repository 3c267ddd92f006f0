//! Async generators, and the end of a run, which closes them.

use asyncio::coro::{AsyncGenerator, aclosing, generator};
use asyncio::{Task, catch_cancel, create_task, sleep, try_finally};

use crate::twin::{FOR_EVER, Log, ended, py, same, tick, units};

fn numbers(log: &Log, name: &'static str, cleanup: usize) -> AsyncGenerator<'static, u32> {
    let log = log.clone();
    generator(async move |y| {
        log.line(format!("{name} begins"));
        let body = async {
            for n in 0..3 {
                log.line(format!("{name} gives {n}"));
                y.yield_(n).await;
                tick().await;
            }
            log.line(format!("{name} is through"));
        };
        try_finally(body, async || {
            log.line(format!("{name} cleans up"));
            for _ in 0..cleanup {
                tick().await;
            }
            log.line(format!("{name} is clean"));
        })
        .await;
    })
}

/// What the generator gives next, which must be something.
async fn got<'a>(log: &Log, generator: &mut AsyncGenerator<'a, u32>) {
    log.line(format!("main got {}", generator.next().await.expect("it goes on")));
}

#[test]
fn a_generator_unwinds_where_it_waits_as_in_cpython() {
    same(include_str!("../../parity/generators.log"), |log, _, _| async move {
        let mut whole = numbers(&log, "whole", 1);
        log.line("nothing has begun");
        while let Some(n) = whole.next().await {
            log.line(format!("main got {n}"));
        }

        let mut half = numbers(&log, "half", 3);
        let sink = log.clone();
        let ticks = create_task(async move {
            for n in 0..4 {
                sink.line(format!("tick {n}"));
                tick().await;
            }
        });
        got(&log, &mut half).await;
        half.aclose().await;
        log.line("main has closed it");
        log.line(format!("then: {}", half.next().await.map_or("None", |_| "another")));
        half.aclose().await;
        ticks.await.unwrap();

        numbers(&log, "unborn", 1).aclose().await;
        log.line("main has closed it");

        let sink = log.clone();
        let mut doubled = generator(async move |y| {
            aclosing(numbers(&sink, "inner", 1), async |inner| {
                let body = async {
                    while let Some(n) = inner.next().await {
                        y.yield_(2 * n).await;
                    }
                };
                try_finally(body, async || sink.line("doubled unwinds")).await;
            })
            .await;
        });
        for _ in 0..2 {
            got(&log, &mut doubled).await;
        }
        doubled.aclose().await;
        log.line("main has closed both");

        let sink = log.clone();
        let mut slow = generator(async move |y| {
            sink.line("slow begins");
            let body = async {
                y.yield_(1).await;
                sleep(FOR_EVER).await;
                y.yield_(2).await;
            };
            try_finally(body, async || {
                sink.line("slow cleans up");
                sleep(units(1)).await;
                sink.line("slow is clean");
            })
            .await;
        });
        let task = create_task({
            let log = log.clone();
            async move {
                let body = async {
                    while let Some(n) = slow.next().await {
                        log.line(format!("iterates got {n}"));
                    }
                    log.line("not reached");
                };
                try_finally(body, async || log.line("iterates unwinds")).await;
            }
        });
        sleep(units(1)).await;
        log.line(format!("cancel: {}", py(task.cancel())));
        log.line(format!("cancelled: {}", py(ended(task).await.cancelled())));
    });
}

fn left(log: &Log, name: &'static str, halves: u32) -> Task<()> {
    let log = log.clone();
    create_task(async move {
        log.line(format!("{name} begins"));
        try_finally(sleep(FOR_EVER), async || {
            sleep(units(1) / 2 * halves).await;
            log.line(format!("{name} is clean"));
        })
        .await;
    })
}

#[test]
fn a_run_ends_its_tasks_and_then_its_generators_as_in_cpython() {
    // Kept by the thread until it is done, as the script keeps it: so nobody but the run's end closes the generator.
    let mut kept = None;
    let keep = &mut kept;
    same(include_str!("../../parity/run_end.log"), |log, event_loop, _| async move {
        left(&log, "slow", 6);
        tick().await;
        let sink = log.clone();
        create_task(async move {
            _ = catch_cancel(sleep(FOR_EVER)).await;
            sleep(units(2)).await;
            sink.line("one has refused, and ends");
        });
        tick().await;
        let sink = log.clone();
        create_task(async move {
            let nested = left(&sink, "nested", 8);
            _ = try_finally(nested, async || sink.line("the one above unwinds")).await;
        });
        sleep(units(1)).await;
        let sink = log.clone();
        create_task(async move {
            try_finally(sleep(FOR_EVER), async || {
                sink.line("another one starts");
                let sink = sink.clone();
                let another = create_task(async move {
                    sink.line("another one runs");
                    sleep(units(1)).await;
                    sink.line("another one ends");
                });
                another.await.unwrap();
            })
            .await;
        });
        let sink = log.clone();
        let generator = keep.insert(generator(async move |y| {
            let body = async {
                y.yield_(1).await;
                sink.line("not reached");
            };
            try_finally(body, async || {
                sink.line("generator cleans up");
                sleep(units(1)).await;
                sink.line("generator is clean");
            })
            .await;
        }));
        got(&log, generator).await;
        event_loop.call_later(units(3) / 2, log.says("a timer, while they clean up"));
        event_loop.call_later(units(100), log.says("not reached"));
        tick().await;
        left(&log, "last", 1);
        log.line("main ends");
    });
    drop(kept);
}
