//! Tasks, callbacks and timers take turns.

use std::time::Duration;

use asyncio::event_loop::EventLoop;
use asyncio::future::Future;
use asyncio::{Task, create_task, sleep};

use crate::twin::{Log, py, same, tick, units};

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

    same(include_str!("../../parity/ready_queue.log"), |log, event_loop, clock| async move {
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

/// A request to a task that goes on in this very tick is not logged: here what is ready is delivered first (XTR-04).
#[test]
fn done_callbacks_and_awaiters_go_on_in_their_order_as_in_cpython() {
    async fn waiter(log: Log, name: &str, future: Future<&'static str>) {
        log.line(format!("{name} waits"));
        log.line(format!("{name} got {}", future.await.unwrap()));
    }

    async fn work(log: Log, name: &'static str, delay: u64) -> &'static str {
        log.line(format!("{name} works"));
        sleep(units(delay)).await;
        log.line(format!("{name} ends"));
        name
    }

    same(include_str!("../../parity/done_callbacks.log"), |log, event_loop, _| async move {
        let says = |text: &'static str| {
            let says = log.says(text);
            move |_: &Future<&'static str>| says()
        };
        let future = Future::new();
        let sink = log.clone();
        future.add_done_callback(move |future| {
            sink.line(format!("callback 1: {}", future.result().unwrap()));
        });
        let first = create_task(waiter(log.clone(), "first", future.clone()));
        let second = create_task(waiter(log.clone(), "second", future.clone()));
        tick().await;

        let (says_so, on) = (log.says("callback 2"), event_loop.clone());
        let (added, soon) = (says("added by callback 2"), log.says("soon, by callback 2"));
        future.add_done_callback(move |future| {
            says_so();
            future.add_done_callback(added);
            on.call_soon(soon);
        });
        let never = future.add_done_callback(says("never"));
        future.remove_done_callback(never);
        event_loop.call_soon(log.says("soon, before the result"));
        future.set_result("a value").unwrap();
        event_loop.call_soon(log.says("soon, after the result"));
        future.add_done_callback(says("added when it was done"));
        let third = create_task(waiter(log.clone(), "third", future.clone()));
        log.line("main waits");
        second.await.unwrap();
        log.line("main has second");
        first.await.unwrap();
        log.line("main has first");
        third.await.unwrap();

        let task = create_task(work(log.clone(), "task", 0));
        let sink = log.clone();
        task.add_done_callback(move |task| {
            sink.line(format!("task callback 1, cancelled: {}", py(task.cancelled())));
        });
        let says_so = log.says("task callback 2");
        task.add_done_callback(|_| says_so());
        let sink = log.clone();
        let awaiter = create_task(async move {
            sink.line("awaiter waits");
            sink.line(format!("awaiter got {}", task.await.unwrap()));
        });
        awaiter.await.unwrap();
        log.line("main has the awaiter");

        for name in ["x", "y"] {
            let says_so = log.says(format!("callback of {name}"));
            create_task(work(log.clone(), name, 0)).add_done_callback(|_| says_so());
        }
        tick().await;
        event_loop.call_soon(log.says("soon, before they end"));
        tick().await;
        event_loop.call_soon(log.says("soon, after they end"));
        tick().await;
        tick().await;

        let task = create_task(work(log.clone(), "cut", 1));
        let sink = log.clone();
        task.add_done_callback(move |task| {
            sink.line(format!("callback of cut, cancelled: {}", py(task.cancelled())));
        });
        tick().await;
        task.cancel();
        log.line(format!("cut done: {}", py(task.done())));
        tick().await;
        log.line(format!("cut done: {}", py(task.done())));
        tick().await;

        let future = Future::<()>::new();
        let sink = log.clone();
        future.add_done_callback(move |future| {
            sink.line(format!("future cancelled: {}", py(future.cancelled())));
        });
        log.line(format!("cancel: {}", py(future.cancel())));
        log.line(format!("cancel: {}", py(future.cancel())));
        tick().await;
        log.line("main ends");
    });
}

#[test]
fn a_timer_comes_after_what_was_ready_before_its_tick_as_in_cpython() {
    async fn sleeper(log: Log, name: &str, delay: u64) {
        log.line(format!("{name} sleeps"));
        sleep(units(delay)).await;
        log.line(format!("{name} awake"));
    }

    same(include_str!("../../parity/timers_and_steps.log"), |log, event_loop, clock| async move {
        let later = |delay, text: &'static str| event_loop.call_later(units(delay), log.says(text));
        clock.advance(units(1));
        later(0, "later 0");
        event_loop.call_soon(log.says("soon 1"));
        let sink = log.clone();
        let a = create_task(async move {
            for n in 0..3 {
                sink.line(format!("a step {n}"));
                tick().await;
            }
            sink.line("a ends");
        });
        event_loop.call_soon(log.says("soon 2"));
        let b = create_task(sleeper(log.clone(), "b", 0));
        event_loop.call_at(event_loop.time() - units(1), log.says("at a time gone by"));
        let (on, says) = (event_loop.clone(), log.says("later 0, from a callback"));
        event_loop.call_soon(move || _ = on.call_later(units(0), says));
        let (on, says) = (event_loop.clone(), log.says("soon, from a callback"));
        event_loop.call_soon(move || _ = on.call_soon(says));
        log.line("main waits");
        a.await.unwrap();
        b.await.unwrap();
        log.line("main has a and b");

        let in_tick = later(0, "never");
        event_loop.call_soon(move || in_tick.cancel());
        let by_timer = later(2, "never");
        event_loop.call_later(units(1), move || by_timer.cancel());
        later(3, "timer at 3");
        clock.advance(units(3));
        tick().await;
        tick().await;
        log.line("the timers are over");

        let future = Future::new();
        let (sink, awaited) = (log.clone(), future.clone());
        let task = create_task(async move {
            sink.line(format!("waiter got {}", awaited.await.unwrap()));
        });
        let (sink, on) = (log.clone(), event_loop.clone());
        event_loop.call_later(units(1), move || {
            sink.line("timer begins");
            on.call_soon(sink.says("soon, before the result"));
            future.set_result("a value").unwrap();
            on.call_soon(sink.says("soon, after the result"));
            on.call_later(units(0), sink.says("later 0, from a timer"));
            sink.line("timer ends");
        });
        task.await.unwrap();
        log.line("main has the waiter");

        let sleepers = [("x", 3), ("y", 1), ("z", 2)]
            .map(|(name, delay)| create_task(sleeper(log.clone(), name, delay)));
        event_loop.call_later(units(3) / 2, log.says("timer at 1.5"));
        for task in sleepers {
            task.await.unwrap();
        }
        event_loop.call_soon(log.says("after the end"));
        log.line("main ends");
    });
}
