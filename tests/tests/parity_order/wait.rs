//! Until some or all have ended, or for some time.

use std::cell::Cell;

use asyncio::{ReturnWhen, Task, create_task, sleep, try_finally, wait};

use crate::twin::{Log, handle_on, py, same, units};

type Tasks = Vec<Task<&'static str>>;

#[test]
fn a_wait_ends_when_it_should_as_in_cpython() {
    fn start<const N: usize>(log: &Log, names_and_delays: [(&'static str, u64); N]) -> Tasks {
        let start = |(name, delay)| {
            let task = create_task(quiet(log.clone(), name, delay));
            task.set_name(name);
            task
        };
        names_and_delays.map(start).into()
    }

    async fn quiet(log: Log, name: &'static str, delay: u64) -> &'static str {
        let ended = Cell::new(false);
        let body = async {
            sleep(units(delay)).await;
            ended.set(true);
        };
        try_finally(body, async || {
            if !ended.get() {
                log.line(format!("{name} cancelled"));
            }
        })
        .await;
        log.line(format!("{name} ends"));
        name
    }

    fn show(log: &Log, text: &str, tasks: &Tasks) {
        let names: Vec<_> = tasks.iter().map(Task::get_name).collect();
        let names = if names.is_empty() { "none".into() } else { names.join(", ") };
        log.line(format!("{text}: {names}"));
    }

    same(include_str!("../../parity/wait_order.log"), |log, event_loop, _| async move {
        let mut tasks = start(&log, [("a", 3), ("b", 1), ("c", 2)]);
        show(&log, "done", &wait(&mut tasks, None, ReturnWhen::FirstCompleted).await);
        show(&log, "pending", &tasks);
        for timeout in [units(1) / 2, units(1)] {
            let done = wait(&mut tasks, timeout, ReturnWhen::AllCompleted).await;
            show(&log, "done after a while", &done);
        }
        show(&log, "pending", &tasks);
        show(&log, "done at last", &wait(&mut tasks, None, ReturnWhen::AllCompleted).await);

        let mut tasks = start(&log, [("d", 0), ("e", 0), ("f", 2)]);
        show(&log, "done together", &wait(&mut tasks, None, ReturnWhen::FirstCompleted).await);
        let last = tasks.pop().expect("one is pending");
        log.line(format!("f gives {}", last.await.unwrap()));

        let cancel_later = |tasks: &Tasks| {
            let first = handle_on(&tasks[0]);
            event_loop.call_later(units(1), move || _ = first.cancel());
        };
        let mut tasks = start(&log, [("g", 3), ("h", 2)]);
        cancel_later(&tasks);
        show(&log, "done", &wait(&mut tasks, None, ReturnWhen::FirstCompleted).await);
        wait(&mut tasks, None, ReturnWhen::AllCompleted).await;
        let mut tasks = start(&log, [("i", 3), ("j", 2)]);
        cancel_later(&tasks);
        let done = wait(&mut tasks, None, ReturnWhen::FirstPanic).await;
        show(&log, "done without exception", &done);

        let mut tasks = start(&log, [("k", 3), ("l", 2)]);
        let task = create_task({
            let log = log.clone();
            async move {
                let body = wait(&mut tasks, None, ReturnWhen::AllCompleted);
                try_finally(body, async || log.line("who waits unwinds")).await;
            }
        });
        sleep(units(1)).await;
        task.cancel();
        sleep(units(4)).await;
        log.line(format!("cancelled: {}", py(task.cancelled())));
        log.line("main ends");
    });
}
