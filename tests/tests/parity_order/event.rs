//! Events and conditions: who is woken, and in which tick.

use std::rc::Rc;

use asyncio::{Condition, Event, ReturnWhen, Task, create_task, wait};

use crate::twin::{counts, py, same, tick};

/// Until all have ended; they stay in their order.
async fn all<T>(tasks: Vec<Task<T>>) -> Vec<Task<T>> {
    let mut tasks = tasks;
    wait(&mut tasks, None, ReturnWhen::AllCompleted).await
}

#[test]
fn events_and_conditions_wake_who_waits_as_in_cpython() {
    same(include_str!("../../parity/event_and_condition.log"), |log, _, _| async move {
        let event = Rc::new(Event::new());
        let waiters = ["a", "b", "c"].map(|name| {
            let (log, event) = (log.clone(), event.clone());
            create_task(async move {
                event.wait().await;
                log.line(format!("{name} goes on, set: {}", py(event.is_set())));
            })
        });
        tick().await;
        let counter = counts(&log, "tick", 4);
        waiters[1].cancel();
        tick().await;
        event.set();
        event.clear();
        log.line("set and cleared");
        let waiters = all(waiters.into()).await;
        log.line(format!("b cancelled: {}", py(waiters[1].cancelled())));
        counter.await.unwrap();

        let condition = Rc::new(Condition::new(()));
        let waiters = ["d", "e", "f", "g"].map(|name| {
            let (log, condition) = (log.clone(), condition.clone());
            create_task(async move {
                let guard = condition.acquire().await;
                let _guard = condition.wait(guard).await;
                log.line(format!("{name} is notified"));
                tick().await;
                log.line(format!("{name} leaves"));
            })
        });
        tick().await;
        let counter = counts(&log, "tick", 10);
        {
            let guard = condition.acquire().await;
            condition.notify(&guard, 2);
            log.line("notified two");
        }
        for _ in 0..5 {
            tick().await;
        }
        {
            let guard = condition.acquire().await;
            condition.notify_all(&guard);
            log.line("notified all");
        }
        all(waiters.into()).await;
        counter.await.unwrap();
    });
}
