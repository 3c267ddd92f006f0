//! The order of events is CPython's: each program here has a twin in tests/parity/*.py, whose log was recorded.
//!
//! The logs must be the same, line by line. What asyncio leaves open is not logged: the order in which a group cancels
//! its children, and that of timers with one deadline.

use std::cell::RefCell;
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use asyncio::event_loop::EventLoop;
use asyncio::event_loop::testing::{ClockMode, VirtualClock, run_with, virtual_loop};
use asyncio::task::{GatherError, ReturnWhen, Task};
use asyncio::{
    TaskGroup, catch_cancel, create_task, current_task, shield, sleep, timeout, try_finally,
    try_gather, wait,
};

#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn line(&self, event: impl Display) {
        self.0.borrow_mut().push(event.to_string());
    }
}

/// One unit of the scripts' time.
fn units(count: u64) -> Duration {
    Duration::from_millis(20 * count)
}

const FOR_EVER: Duration = Duration::from_secs(3600);

async fn tick() {
    sleep(Duration::ZERO).await;
}

/// Python's `True` and `False`.
fn py(truth: bool) -> &'static str {
    if truth { "True" } else { "False" }
}

/// Until the task has ended.
async fn ended<T>(task: Task<T>) -> Task<T> {
    wait(&mut vec![task], None, ReturnWhen::AllCompleted).await.pop().expect("it has ended")
}

/// Runs `main` on a virtual clock and compares its log with the recorded one.
fn same<F: Future<Output = ()>>(
    recorded: &str,
    main: impl FnOnce(Log, EventLoop, VirtualClock) -> F,
) {
    let (event_loop, clock) = virtual_loop(ClockMode::AutoJump).unwrap();
    let log = Log::default();
    run_with(&event_loop, main(log.clone(), event_loop.clone(), clock)).unwrap();
    let (ours, theirs) = (log.0.take(), recorded.lines().collect::<Vec<_>>());
    for (number, (our, their)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(our, their, "line {} of\n{}", number + 1, ours.join("\n"));
    }
    assert_eq!(ours.len(), theirs.len(), "the logs differ in length:\n{}", ours.join("\n"));
}

#[test]
fn tasks_callbacks_and_timers_take_turns_as_in_cpython() {
    fn callback(
        event_loop: &EventLoop,
        log: &Log,
        name: &str,
        again: usize,
    ) -> impl FnOnce() + use<> {
        let (event_loop, log, name) = (event_loop.clone(), log.clone(), name.to_owned());
        move || {
            log.line(&name);
            if again > 0 {
                let next = callback(&event_loop, &log, &format!("{name}'"), again - 1);
                event_loop.call_soon(Box::new(next) as Box<dyn FnOnce()>);
            }
        }
    }

    async fn worker(log: Log, name: &str, rounds: usize) {
        for n in 0..rounds {
            log.line(format!("{name} {n}"));
            tick().await;
        }
        log.line(format!("{name} ends"));
    }

    async fn waiter(log: Log, name: &str, task: Task<()>) {
        log.line(format!("{name} waits"));
        task.await.unwrap();
        log.line(format!("{name} goes on"));
    }

    same(include_str!("../parity/ready_queue.log"), |log, event_loop, clock| async move {
        let call = |name, again| callback(&event_loop, &log, name, again);
        event_loop.call_soon(call("callback 1", 2));
        let a = create_task(worker(log.clone(), "a", 3));
        let first = create_task(waiter(log.clone(), "first", a));
        event_loop.call_soon(call("callback 2", 0));
        let b = create_task(worker(log.clone(), "b", 2));
        let cancelled = event_loop.call_soon(call("never", 0));
        let second = create_task(waiter(log.clone(), "second", b));
        cancelled.cancel();
        log.line("main waits");
        first.await.unwrap();
        log.line("main has first");
        second.await.unwrap();
        log.line("main has second");

        let late = create_task({
            let log = log.clone();
            async move {
                sleep(Duration::from_millis(20)).await;
                log.line("task at 2 awake");
            }
        });
        tick().await;
        event_loop.call_later(Duration::from_millis(30), call("timer at 3", 1));
        event_loop.call_later(Duration::from_millis(10), call("timer at 1", 1));
        event_loop.call_later(Duration::from_millis(15), call("never", 0)).cancel();
        clock.advance(Duration::from_millis(50));
        event_loop.call_soon(call("callback before the timers", 0));
        log.line("time has passed");
        late.await.unwrap();
        log.line("main ends");
    });
}

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
    same(include_str!("../parity/cancel_nested.log"), |log, _, _| async move {
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
    same(include_str!("../parity/task_group_failure.log"), |log, _, _| async move {
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

/// A list as Python shows it.
fn list(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
    format!("[{}]", quoted.join(", "))
}

type Member = Pin<Box<dyn Future<Output = Result<&'static str, &'static str>>>>;

fn member(log: &Log, name: &'static str, delay: Duration, fails: bool) -> Member {
    struct LogIfDropped(Log, &'static str, bool);
    impl Drop for LogIfDropped {
        fn drop(&mut self) {
            if self.2 {
                self.0.line(format!("{} cancelled", self.1));
            }
        }
    }
    let log = log.clone();
    Box::pin(async move {
        log.line(format!("{name} begins"));
        let mut unfinished = LogIfDropped(log.clone(), name, true);
        sleep(delay).await;
        unfinished.2 = false;
        log.line(format!("{name} ends"));
        if fails { Err(name) } else { Ok(name) }
    })
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
    same(include_str!("../parity/gather_first_error.log"), |log, _, _| async move {
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
fn a_shield_keeps_requests_from_the_task_inside_as_in_cpython() {
    fn work(log: &Log, name: &'static str, delay: Duration) -> Task<&'static str> {
        let member = member(log, name, delay, false);
        create_task(async move { member.await.expect("it does not fail") })
    }

    async fn shielding(log: &Log, task: &mut Task<&'static str>) -> bool {
        log.line("shielding waits");
        let body = async {
            match shield(task).await {
                Ok(value) => {
                    log.line(format!("shielding got {value}"));
                    false
                }
                Err(error) => error.is_cancelled(),
            }
        };
        try_finally(body, async || log.line("shielding unwinds")).await
    }

    same(include_str!("../parity/shield.log"), |log, _, _| async move {
        let inner = Rc::new(RefCell::new(Some(work(&log, "inner", units(3)))));
        let outer = create_task({
            let (log, inner) = (log.clone(), inner.clone());
            async move {
                let mut lent = Lent(inner.take(), inner);
                shielding(&log, lent.0.as_mut().expect("it is there")).await
            }
        });
        sleep(units(1)).await;
        outer.cancel();
        let outer = ended(outer).await;
        let inner = inner.take().expect("it is back");
        let (cancelled, done) = (outer.cancelled(), inner.done());
        log.line(format!("outer cancelled: {}, inner done: {}", py(cancelled), py(done)));
        log.line(format!("inner gives {}", inner.await.unwrap()));

        let mut inner = work(&log, "timed", units(3));
        if timeout(units(1), shield(&mut inner)).await.is_err() {
            log.line("timed out");
        }
        log.line(format!("timed gives {}", inner.await.unwrap()));

        // Here the cancellation of the awaited task is an error, which says what it is.
        let mut inner = work(&log, "target", FOR_EVER);
        let target = handle_on(&inner);
        let told = TaskGroup::scope(async |group| {
            let outer =
                group.create_task(async { Ok::<_, &str>(shielding(&log, &mut inner).await) });
            sleep(units(1)).await;
            target.cancel();
            Ok(outer.await.expect("it gives what it was told"))
        });
        let told = told.await.expect("nobody fails");
        log.line(format!(
            "inner cancelled: {}, outer cancelled: {}",
            py(inner.cancelled()),
            py(told)
        ));

        let mut inner = ended(work(&log, "ready", units(0))).await;
        log.line(format!("shield of a done task gives {}", shield(&mut inner).await.unwrap()));
    });
}

/// A second handle on the task, to cancel it while the first is lent.
fn handle_on(task: &Task<&'static str>) -> asyncio::task::TaskRef {
    asyncio::task::all_tasks().into_iter().find(|other| other.id() == task.id()).expect("it lives")
}

/// Puts the task back when the one that borrowed it unwinds.
struct Lent(Option<Task<&'static str>>, Rc<RefCell<Option<Task<&'static str>>>>);

impl Drop for Lent {
    fn drop(&mut self) {
        self.1.replace(self.0.take());
    }
}
