//! Events, conditions and barriers: in which order those who wait go on.

use std::rc::Rc;

use asyncio::{Barrier, Condition, Event, Task, create_task};

use crate::twin::{Log, or_gives_up, py, same, tick};

async fn ticks() {
    for _ in 0..8 {
        tick().await;
    }
}

fn waits(log: &Log, event: &Rc<Event>, name: &'static str) -> Task<()> {
    let (log, event) = (log.clone(), event.clone());
    create_task(async move {
        log.line(format!("{name} waits"));
        or_gives_up(&log, name, event.wait()).await;
        log.line(format!("{name} goes on, set: {}", py(event.is_set())));
    })
}

type Level = Rc<Condition<i32>>;

fn notified(log: &Log, condition: &Level, name: &'static str) -> Task<()> {
    let (log, condition) = (log.clone(), condition.clone());
    create_task(async move {
        let body = async {
            let guard = condition.acquire().await;
            log.line(format!("{name} waits"));
            let _guard = condition.wait(guard).await;
            log.line(format!("{name} goes on"));
            tick().await;
            log.line(format!("{name} lets go"));
        };
        or_gives_up(&log, name, body).await;
    })
}

fn reaches(log: &Log, condition: &Level, name: &'static str) -> Task<()> {
    let (log, condition) = (log.clone(), condition.clone());
    create_task(async move {
        let guard = condition.acquire().await;
        log.line(format!("{name} waits"));
        let level = condition.wait_for(guard, |level| *level >= 2).await;
        log.line(format!("{name} goes on at {}", *level));
    })
}

fn passes(log: &Log, barrier: &Rc<Barrier>, name: &'static str) -> Task<()> {
    let (log, barrier) = (log.clone(), barrier.clone());
    create_task(async move {
        log.line(format!("{name} arrives"));
        match or_gives_up(&log, name, barrier.wait()).await {
            Ok(_) => log.line(format!("{name} passes")),
            Err(_broken) => log.line(format!("{name} finds it broken")),
        }
    })
}

#[test]
fn those_who_wait_wake_in_their_order_as_in_cpython() {
    same(include_str!("../../parity/wake_order.log"), |log, _, _| async move {
        let event = Rc::new(Event::new());
        let tasks = ["a", "b", "c"].map(|name| waits(&log, &event, name));
        ticks().await;
        tasks[1].cancel();
        ticks().await;
        log.line("main sets");
        event.set();
        event.clear();
        log.line("main has set and cleared");
        ticks().await;
        event.set();
        waits(&log, &event, "d");
        ticks().await;

        let condition = Rc::new(Condition::new(0));
        let tasks = ["e", "f", "g", "h", "i"].map(|name| notified(&log, &condition, name));
        ticks().await;
        tasks[1].cancel();
        ticks().await;
        let guard = condition.acquire().await;
        condition.notify(&guard, 2);
        log.line("main has notified two");
        tick().await;
        log.line("main lets go");
        drop(guard);
        ticks().await;
        let guard = condition.acquire().await;
        condition.notify_all(&guard);
        log.line("main has notified all");
        drop(guard);
        ticks().await;
        log.line(format!("all done: {}", py(tasks.iter().all(Task::done))));

        for name in ["j", "k"] {
            reaches(&log, &condition, name);
        }
        ticks().await;
        for level in [1, 2] {
            let mut guard = condition.acquire().await;
            *guard = level;
            condition.notify_all(&guard);
            log.line(format!("main raises to {level}"));
            drop(guard);
            ticks().await;
        }

        let barrier = Rc::new(Barrier::new(3).unwrap());
        let tasks = ["l", "m"].map(|name| passes(&log, &barrier, name));
        ticks().await;
        tasks[0].cancel();
        ticks().await;
        log.line(format!("waiting: {}", barrier.n_waiting()));
        for name in ["n", "o", "p"] {
            passes(&log, &barrier, name);
        }
        ticks().await;
        log.line(format!("waiting: {}", barrier.n_waiting()));
        barrier.abort();
        log.line("main has broken it");
        ticks().await;
        log.line("main ends");
    });
}
