//! What a request to cancel meets, and in which order tasks unwind.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use asyncio::task::TaskRef;
use asyncio::{Task, catch_cancel, create_task, current_task, sleep, try_finally};

use crate::twin::{FOR_EVER, Log, ended, py, same, tick, units, work};

fn level(log: Log, name: &'static str, depth: usize) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        log.line(format!("{name}{depth} begins"));
        let body = async {
            match depth {
                0 => sleep(FOR_EVER).await,
                _ => create_task(level(log.clone(), name, depth - 1)).await.unwrap(),
            }
            log.line(format!("{name}{depth} not reached"));
        };
        let cleanup = async || {
            log.line(format!("{name}{depth} cleans up"));
            sleep(units(1)).await;
            log.line(format!("{name}{depth} is clean"));
        };
        try_finally(body, cleanup).await;
    })
}

#[test]
fn a_request_goes_down_through_nested_tasks_as_in_cpython() {
    same(include_str!("../../parity/cancel_nested.log"), |log, _, _| async move {
        let outer = create_task(level(log.clone(), "a", 2));
        for _ in 0..4 {
            tick().await;
        }
        log.line(format!("cancel: {}", py(outer.cancel())));
        log.line(format!("cancelling: {}", outer.cancelling()));
        let outer = ended(outer).await;
        let (cancelled, again) = (outer.cancelled(), outer.cancel());
        log.line(format!("outer cancelled: {}, again: {}", py(cancelled), py(again)));

        let unborn = create_task(level(log.clone(), "unborn", 0));
        unborn.cancel();
        log.line(format!("unborn cancelled: {}", py(ended(unborn).await.cancelled())));

        let task = create_task({
            let log = log.clone();
            async move {
                if catch_cancel(sleep(FOR_EVER)).await.is_err() {
                    log.line("stubborn refuses");
                }
                sleep(units(1)).await;
                log.line("stubborn goes on");
                "a value"
            }
        });
        let outer = create_task({
            let log = log.clone();
            async move {
                log.line(format!("got {}", task.await.unwrap()));
                tick().await;
                "done"
            }
        });
        sleep(units(1)).await;
        outer.cancel();
        let outer = ended(outer).await;
        let cancelling = outer.cancelling();
        log.line(format!("outer gives {}, cancelling: {cancelling}", outer.await.unwrap()));

        let twice = create_task(level(log.clone(), "twice", 0));
        tick().await;
        twice.cancel();
        while !twice.done() && twice.cancelling() < 2 {
            tick().await;
            tick().await;
            twice.cancel();
        }
        log.line(format!("twice cancelled: {}", py(ended(twice).await.cancelled())));
    });
}

#[test]
fn a_request_is_met_at_its_moment_as_in_cpython() {
    fn state<T>(log: &Log, task: &Task<T>) {
        log.line(format!("done: {}, cancelling: {}", py(task.done()), task.cancelling()));
    }

    async fn end<T>(log: &Log, task: Task<T>) -> Task<T> {
        let task = ended(task).await;
        let (cancelled, cancelling) = (task.cancelled(), task.cancelling());
        log.line(format!("cancelled: {}, cancelling: {cancelling}", py(cancelled)));
        task
    }

    same(include_str!("../../parity/cancel_moments.log"), |log, _, _| async move {
        let begin = |name| create_task(work(log.clone(), name, 3));
        let cancel = |task: &Task<()>| log.line(format!("cancel: {}", py(task.cancel())));

        let unborn = create_task(work(log.clone(), "unborn", 1));
        cancel(&unborn);
        state(&log, &unborn);
        end(&log, unborn).await;

        let waits = begin("waits");
        tick().await;
        cancel(&waits);
        state(&log, &waits);
        tick().await;
        state(&log, &waits);
        let waits = end(&log, waits).await;
        cancel(&waits);
        state(&log, &waits);

        let twice = begin("twice");
        tick().await;
        log.line(format!("cancel: {}, {}", py(twice.cancel()), py(twice.cancel())));
        state(&log, &twice);
        tick().await;
        state(&log, &twice);
        end(&log, twice).await;

        let cut = begin("cut");
        tick().await;
        cut.cancel();
        tick().await;
        cancel(&cut);
        end(&log, cut).await;

        let cut = create_task({
            let log = log.clone();
            async move {
                try_finally(work(log.clone(), "inside", 3), async || {
                    log.line("inside cleans up outside");
                    tick().await;
                    log.line("inside is clean outside");
                })
                .await;
            }
        });
        tick().await;
        cut.cancel();
        tick().await;
        cut.cancel();
        end(&log, cut).await;

        let task = create_task({
            let log = log.clone();
            async move {
                let me = current_task().expect("it is one");
                for n in 0..2 {
                    if catch_cancel(sleep(FOR_EVER)).await.is_err() {
                        log.line(format!("swallowed {n}, cancelling: {}", me.cancelling()));
                    }
                    tick().await;
                    log.line(format!("goes on {n}"));
                }
                log.line(format!("uncancel: {}", me.uncancel()));
                tick().await;
                log.line(format!("uncancel: {}, {}", me.uncancel(), me.uncancel()));
                tick().await;
                "a value"
            }
        });
        tick().await;
        task.cancel();
        sleep(units(1)).await;
        task.cancel();
        let task = end(&log, task).await;
        log.line(format!("gives {}", task.await.unwrap()));

        let by_itself = create_task({
            let log = log.clone();
            async move {
                log.line(format!("cancel: {}", py(current_task().expect("it is one").cancel())));
                log.line("goes on until it waits");
                let body = async {
                    tick().await;
                    log.line("not reached");
                };
                try_finally(body, async || log.line("is met there")).await;
            }
        });
        end(&log, by_itself).await;
        let ends = create_task(async { current_task().expect("it is one").cancel() });
        end(&log, ends).await;

        let finished = create_task(tick());
        sleep(units(1)).await;
        let (again, cancelled) = (finished.cancel(), finished.cancelled());
        log.line(format!("cancel of a finished task: {}, {}", py(again), py(cancelled)));
    });
}

/// Awaits one more task, down to the one that waits for ever, and keeps a second handle on each.
fn link(
    log: Log,
    depth: usize,
    chain: Rc<RefCell<Vec<TaskRef>>>,
) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        chain.borrow_mut().extend(current_task());
        let body = async {
            if depth == 0 {
                sleep(FOR_EVER).await;
            } else if create_task(link(log.clone(), depth - 1, chain.clone())).await.is_err() {
                return log.line(format!("{depth} is told that the next one was cancelled"));
            }
            log.line(format!("{depth} goes on"));
        };
        try_finally(body, async || log.line(format!("{depth} ends"))).await;
    })
}

#[test]
fn a_chain_of_awaiting_tasks_unwinds_one_a_tick_as_in_cpython() {
    same(include_str!("../../parity/cancel_chain.log"), |log, _, _| async move {
        for cancelled in [0, 2] {
            let chain = Rc::new(RefCell::new(Vec::new()));
            let outermost = create_task(link(log.clone(), 4, chain.clone()));
            sleep(units(1)).await;
            let chain = chain.take();
            log.line(format!("cancel: {}", py(chain[cancelled].cancel())));
            let cancelling: Vec<_> = chain.iter().map(TaskRef::cancelling).collect();
            log.line(format!("cancelling: {cancelling:?}"));
            let ticking = Rc::new(Cell::new(true));
            let ticks = create_task({
                let (log, ticking) = (log.clone(), ticking.clone());
                async move {
                    let mut n = 0;
                    while ticking.get() {
                        log.line(format!("tick {n}"));
                        n += 1;
                        tick().await;
                    }
                }
            });
            if outermost.await.is_err() {
                log.line("main is told, too");
            }
            ticking.set(false);
            ticks.await.unwrap();
        }

        let task = create_task({
            let log = log.clone();
            async move {
                let sink = log.clone();
                let innermost = async move {
                    if catch_cancel(sleep(FOR_EVER)).await.is_err() {
                        sink.line("innermost refuses");
                    }
                    "a value"
                };
                let sink = log.clone();
                let middle = async move {
                    let value = create_task(innermost).await.unwrap();
                    let cancelling = current_task().expect("it is one").cancelling();
                    sink.line(format!("middle got {value}, cancelling: {cancelling}"));
                    value
                };
                log.line(format!("outer got {}", create_task(middle).await.unwrap()));
                tick().await;
                log.line("outer waits again, and is not met by the old request");
            }
        });
        sleep(units(1)).await;
        task.cancel();
        log.line(format!("outer cancelled: {}", py(ended(task).await.cancelled())));

        let task = create_task({
            let log = log.clone();
            async move {
                let sink = log.clone();
                let cleaning = create_task(async move {
                    try_finally(sleep(FOR_EVER), async || {
                        sink.line("innermost cleans up");
                        sleep(units(1)).await;
                        sink.line("not reached");
                    })
                    .await;
                });
                try_finally(cleaning, async || log.line("above unwinds")).await.unwrap();
            }
        });
        sleep(units(1)).await;
        task.cancel();
        tick().await;
        tick().await;
        log.line(format!("cancel: {}", py(task.cancel())));
        log.line(format!("cancelled: {}", py(ended(task).await.cancelled())));
    });
}
