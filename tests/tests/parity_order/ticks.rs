//! In which tick who waits for tasks goes on, and who is cancelled unwinds: another task counts.

use std::cell::RefCell;
use std::rc::Rc;

use asyncio::prelude::*;
use asyncio::task::GatherError;
use asyncio::task::as_completed;
use asyncio::{
    ReturnWhen, Task, catch_cancel, create_task, current_task, gather, gather_results, shield,
    sleep, try_finally, try_gather, wait,
};

use crate::twin::{FOR_EVER, Log, counts, ended, handle_on, list, py, same, tick, units};

#[test]
fn a_task_is_cancelled_in_each_phase_of_its_life_as_in_cpython() {
    async fn victim(log: Log) {
        log.line("victim begins");
        let body = async {
            tick().await;
            tick().await;
            sleep(FOR_EVER).await;
        };
        let cleanup = async || {
            log.line("victim cleans up");
            tick().await;
            log.line("victim is clean");
        };
        try_finally(body, cleanup).await;
    }

    async fn seen<T>(log: Log, name: &'static str, task: Task<T>) {
        let task = ended(task).await;
        log.line(format!("{name} seen, cancelled: {}", py(task.cancelled())));
    }

    same(include_str!("../../parity/cancel_phases.log"), |log, _, _| async move {
        let phases = [
            "before its first step",
            "when it has just begun",
            "while it yields",
            "while it sleeps",
        ];
        for (ticks, phase) in phases.into_iter().enumerate() {
            log.line(format!("cancelled {phase}"));
            let task = create_task(victim(log.clone()));
            let handle = handle_on(&task);
            let watcher = create_task(seen(log.clone(), "victim", task));
            let counter = counts(&log, "tick", 8);
            for _ in 0..ticks {
                tick().await;
            }
            let cancel = py(handle.cancel());
            log.line(format!("cancel: {cancel}, cancelling: {}", handle.cancelling()));
            watcher.await.unwrap();
            log.line("main goes on");
            counter.await.unwrap();
        }

        let task = create_task({
            let log = log.clone();
            async move {
                current_task().unwrap().cancel();
                log.line("goes on to its next await");
                tick().await;
                log.line("not reached");
            }
        });
        seen(log.clone(), "stops_itself", task).await;

        let task = create_task(async {
            current_task().unwrap().cancel();
            "dropped"
        });
        seen(log.clone(), "stops_itself_at_the_end", task).await;
    });
}

#[test]
fn gather_gives_what_it_has_in_the_same_tick_as_in_cpython() {
    async fn steps(
        log: Log,
        name: &'static str,
        ticks: usize,
        fails: bool,
    ) -> Result<&'static str, &'static str> {
        log.line(format!("{name} begins"));
        for _ in 0..ticks {
            tick().await;
        }
        log.line(format!("{name} ends"));
        if fails { Err(name) } else { Ok(name) }
    }

    async fn parked(log: Log, name: &'static str) {
        try_finally(sleep(FOR_EVER), async || log.line(format!("{name} unwinds"))).await;
    }

    same(include_str!("../../parity/gather_ticks.log"), |log, _, _| async move {
        let member = |name, ticks, fails| steps(log.clone(), name, ticks, fails);
        let counter = counts(&log, "tick", 8);
        let all = [member("a", 4, false), member("b", 0, false), member("c", 2, false)];
        let names: Vec<_> = gather(all).await.unwrap().into_iter().map(Result::unwrap).collect();
        log.line(list(&names));
        log.line("main has all");
        counter.await.unwrap();

        let counter = counts(&log, "tick", 8);
        let (failed, e) = gather_results((member("d", 1, true), member("e", 3, false))).await;
        assert_eq!(failed.unwrap(), Err("d"));
        log.line(format!("ValueError, {}", e.unwrap().unwrap()));
        counter.await.unwrap();

        let counter = counts(&log, "tick", 8);
        let failed = try_gather((member("f", 3, false), member("g", 1, true))).await;
        if let Err(GatherError::Failed(error)) = failed {
            log.line(format!("error: {error}"));
        }
        counter.await.unwrap();

        let task = create_task({
            let log = log.clone();
            async move {
                let both = gather_results((parked(log.clone(), "x"), parked(log.clone(), "y")));
                let cleanup = async || log.line("the gathering task unwinds");
                let _ = try_finally(both, cleanup).await;
            }
        });
        tick().await;
        tick().await;
        let counter = counts(&log, "tick", 6);
        task.cancel();
        counter.await.unwrap();
        log.line(format!("cancelled: {}", py(ended(task).await.cancelled())));
    });
}
/// Ends after so many ticks.
fn after(log: &Log, name: &'static str, ticks: usize) -> Task<&'static str> {
    let log = log.clone();
    let task = create_task(async move {
        for _ in 0..ticks {
            tick().await;
        }
        log.line(format!("{name} ends"));
        name
    });
    task.set_name(name);
    task
}

/// Ends after so many units of time.
fn later(log: &Log, name: &'static str, delay: u64, is_told: bool) -> Task<&'static str> {
    let log = log.clone();
    let task = create_task(async move {
        sleep(units(delay)).await;
        if is_told {
            log.line(format!("{name} ends"));
        }
        name
    });
    task.set_name(name);
    task
}

fn names<T>(tasks: &[Task<T>]) -> String {
    let names: Vec<_> = tasks.iter().map(Task::get_name).collect();
    list(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn wait_comes_back_in_the_same_tick_as_in_cpython() {
    same(include_str!("../../parity/wait_conditions.log"), |log, _, _| async move {
        let show = |done: &[_], pending: &[_]| {
            log.line(format!("done: {}, pending: {}", names(done), names(pending)));
        };
        let mut tasks: Vec<_> = [("a", 6), ("b", 1), ("c", 1), ("d", 2)]
            .map(|(name, ticks)| after(&log, name, ticks))
            .into();
        let counter = counts(&log, "tick", 10);
        let first = wait(&mut tasks, None, ReturnWhen::FirstCompleted).await;
        show(&first, &tasks);
        let rest = wait(&mut tasks, None, ReturnWhen::AllCompleted).await;
        show(&rest, &tasks);
        counter.await.unwrap();
        let mut all: Vec<_> = first.into_iter().chain(rest).collect();
        wait(&mut all, None, ReturnWhen::AllCompleted).await;
        log.line("again, when all are done");

        let mut tasks = vec![later(&log, "slow", 5, true), later(&log, "quick", 1, true)];
        let done = wait(&mut tasks, units(3), ReturnWhen::AllCompleted).await;
        show(&done, &tasks);

        let slow = handle_on(&tasks[0]);
        let kept = Rc::new(RefCell::new(tasks));
        let waiting = create_task({
            let kept = kept.clone();
            async move {
                let mut tasks = kept.take();
                let body = wait(&mut tasks, None, ReturnWhen::AllCompleted);
                let _ = catch_cancel(body).await;
                kept.replace(tasks);
                std::future::pending::<()>().await;
            }
        });
        tick().await;
        waiting.cancel();
        tick().await;
        waiting.cancel();
        let cancelled = py(ended(waiting).await.cancelled());
        log.line(format!("waiting cancelled: {cancelled}, slow done: {}", py(slow.done())));
        let mut tasks = kept.take();
        tasks.pop().unwrap().await.unwrap();
    });
}

#[test]
fn as_completed_gives_each_in_the_same_tick_as_in_cpython() {
    same(include_str!("../../parity/as_completed.log"), |log, _, _| async move {
        let tasks = [("a", 5), ("b", 2), ("c", 2), ("d", 8)];
        let tasks = tasks.map(|(name, ticks)| after(&log, name, ticks));
        let counter = counts(&log, "tick", 12);
        let mut all = as_completed(tasks);
        while let Some(task) = all.next().await {
            log.line(format!("got {}", task.await.unwrap()));
        }
        counter.await.unwrap();

        let tasks = [("slow", 9), ("quick", 1), ("middling", 2)];
        let tasks = tasks.map(|(name, delay)| later(&log, name, delay, false));
        let slow = handle_on(&tasks[0]);
        let nexts = as_completed(tasks).timeout(units(4)).into_iter();
        let awaits = nexts.enumerate().map(|(number, next)| {
            let log = log.clone();
            async move {
                match next.await {
                    Ok(task) => log.line(format!("number {number} got {}", task.await.unwrap())),
                    Err(_late) => log.line(format!("number {number} timed out")),
                }
            }
        });
        gather(awaits).await.unwrap();
        log.line(format!("slow cancelled: {}, done: {}", py(slow.cancelled()), py(slow.done())));
    });
}

#[test]
fn a_shield_passes_a_result_in_the_same_tick_as_in_cpython() {
    /// The shielded task comes back when the shielding one has gone.
    fn shields(
        log: &Log,
        task: Task<&'static str>,
        back: &Rc<RefCell<Option<Task<&'static str>>>>,
    ) -> Task<()> {
        let (log, back) = (log.clone(), back.clone());
        create_task(async move {
            let mut lent = Lent(Some(task), back);
            let shielded = lent.0.as_mut().expect("it is there");
            let body = async {
                log.line(format!("got {}", shield(shielded).await.unwrap()));
            };
            try_finally(body, async || log.line("the shielding task ends")).await;
        })
    }

    same(include_str!("../../parity/shield_ticks.log"), |log, _, _| async move {
        let back = Rc::default();
        let inner = after(&log, "inner", 2);
        let counter = counts(&log, "tick", 6);
        shields(&log, inner, &back).await.unwrap();
        log.line("main goes on");
        counter.await.unwrap();

        let inner = after(&log, "left alone", 4);
        let outer = shields(&log, inner, &back);
        tick().await;
        let counter = counts(&log, "tick", 6);
        tick().await;
        outer.cancel();
        log.line("cancelled");
        let outer = ended(outer).await;
        let inner = back.take().expect("it is back");
        let (cancelled, done) = (py(outer.cancelled()), py(inner.done()));
        log.line(format!("outer cancelled: {cancelled}, inner done: {done}"));
        counter.await.unwrap();
        log.line(format!("inner gives {}", inner.await.unwrap()));
    });
}

/// Puts the task back when the one that borrowed it unwinds.
struct Lent(Option<Task<&'static str>>, Rc<RefCell<Option<Task<&'static str>>>>);

impl Drop for Lent {
    fn drop(&mut self) {
        self.1.replace(self.0.take());
    }
}
