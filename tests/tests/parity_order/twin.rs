//! What the twins have in common: the log, the clock, and the comparison with what was recorded.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use asyncio::event_loop::EventLoop;
use asyncio::event_loop::testing::{ClockMode, VirtualClock, run_with, virtual_loop};
use asyncio::task::TaskRef;
use asyncio::{ReturnWhen, Task, all_tasks, create_task, sleep, try_finally, wait};

#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn line(&self, event: impl Display) {
        self.0.borrow_mut().push(event.to_string());
    }

    /// A callback that logs `event`.
    pub(crate) fn says<E: Display + 'static>(&self, event: E) -> impl FnOnce() + use<E> {
        let log = self.clone();
        move || log.line(event)
    }
}

/// One unit of the scripts' time.
pub(crate) fn units(count: u64) -> Duration {
    Duration::from_millis(20 * count)
}

pub(crate) const FOR_EVER: Duration = Duration::from_secs(3600);

pub(crate) async fn tick() {
    sleep(Duration::ZERO).await;
}

/// Python's `True` and `False`.
pub(crate) fn py(truth: bool) -> &'static str {
    if truth { "True" } else { "False" }
}

/// Until the task has ended.
pub(crate) async fn ended<T>(task: Task<T>) -> Task<T> {
    wait(&mut vec![task], None, ReturnWhen::AllCompleted).await.pop().expect("it has ended")
}

/// Runs `main` on a virtual clock and compares its log with the recorded one.
pub(crate) fn same<F: Future<Output = ()>>(
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

pub(crate) type Member = Pin<Box<dyn Future<Output = Result<&'static str, &'static str>>>>;

pub(crate) fn member(log: &Log, name: &'static str, delay: Duration, fails: bool) -> Member {
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

/// Waits for ever; its cleanup takes so many ticks.
pub(crate) async fn work(log: Log, name: &'static str, cleanup: usize) {
    log.line(format!("{name} begins"));
    try_finally(sleep(FOR_EVER), async || {
        log.line(format!("{name} cleans up"));
        for _ in 0..cleanup {
            tick().await;
        }
        log.line(format!("{name} is clean"));
    })
    .await;
}

/// Sleeps; when it is cut it cleans up, for so long.
pub(crate) async fn cleaning(log: Log, name: &'static str, delay: Duration, cleanup: Duration) {
    let ended = Cell::new(false);
    log.line(format!("{name} begins"));
    let body = async {
        sleep(delay).await;
        ended.set(true);
    };
    let unwinds = async || {
        if !ended.get() {
            log.line(format!("{name} cleans up"));
            sleep(cleanup).await;
            log.line(format!("{name} is clean"));
        }
    };
    try_finally(body, unwinds).await;
    log.line(format!("{name} ends"));
}

/// A second handle on the task, to cancel it while the first is lent.
pub(crate) fn handle_on<T>(task: &Task<T>) -> TaskRef {
    all_tasks().into_iter().find(|other| other.id() == task.id()).expect("it lives")
}

/// Logs a line in each of so many ticks.
pub(crate) fn counts(log: &Log, name: &'static str, ticks: usize) -> Task<()> {
    let log = log.clone();
    create_task(async move {
        for n in 0..ticks {
            log.line(format!("{name} {n}"));
            tick().await;
        }
    })
}

/// A list as Python shows it.
pub(crate) fn list(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
    format!("[{}]", quoted.join(", "))
}

/// Logs when `body` is cut.
pub(crate) async fn or_gives_up<T>(log: &Log, name: &str, body: impl Future<Output = T>) -> T {
    let ended = Cell::new(false);
    let body = async {
        let value = body.await;
        ended.set(true);
        value
    };
    try_finally(body, async || {
        if !ended.get() {
            log.line(format!("{name} gives up"));
        }
    })
    .await
}
