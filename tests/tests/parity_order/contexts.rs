//! Whose context a callback and a task run in.

use std::fmt::Display;

use asyncio::coro::{ContextVar, copy_context};
use asyncio::event_loop::EventLoop;
use asyncio::future::Future;
use asyncio::task::Builder;
use asyncio::{create_task, sleep, try_finally};

use crate::twin::{FOR_EVER, Log, ended, same, tick, units};

static WHO: ContextVar<&str> = ContextVar::with_default("who", || "nobody");

fn who() -> &'static str {
    WHO.get().expect("it has a default")
}

fn says(log: &Log, text: impl Display) {
    log.line(format!("{text}: {}", who()));
}

fn sets(
    event_loop: &EventLoop,
    log: &Log,
    text: &'static str,
    value: &'static str,
) -> impl FnOnce() + use<> {
    let (event_loop, log) = (event_loop.clone(), log.clone());
    move || {
        says(&log, text);
        WHO.set(value);
        event_loop.call_soon(move || says(&log, format!("{text}, soon after")));
    }
}

async fn child(log: Log, name: &'static str) {
    says(&log, format!("{name} begins"));
    WHO.set(name);
    tick().await;
    says(&log, format!("{name} goes on"));
}

#[test]
fn callbacks_and_tasks_have_their_contexts_as_in_cpython() {
    same(include_str!("../../parity/contexts.log"), |log, event_loop, _| async move {
        let saying = |text: &'static str| {
            let log = log.clone();
            move || says(&log, text)
        };
        WHO.set("main");
        event_loop.call_soon(saying("soon"));
        event_loop.call_later(units(0), saying("later"));
        event_loop.call_soon(sets(&event_loop, &log, "sets", "a callback"));
        let a = create_task(child(log.clone(), "a"));
        WHO.set("main again");
        event_loop.call_soon(saying("soon, made later"));
        let done = saying("done callback");
        a.add_done_callback(move |_| done());
        let b = create_task(child(log.clone(), "b"));
        a.await.unwrap();
        b.await.unwrap();
        says(&log, "main");

        let own = copy_context();
        own.run(|| _ = WHO.set("own"));
        event_loop.call_soon_in(&own, sets(&event_loop, &log, "in own", "set in own"));
        let task = Builder::new().context(own.clone()).create_task(child(log.clone(), "c"));
        event_loop.call_later_in(&own, units(1), saying("timer in own"));
        task.await.unwrap();
        log.line(format!("own: {}", own.get(&WHO).unwrap()));
        sleep(units(2)).await;
        says(&log, "main");

        let future = Future::new();
        let token = WHO.set("who adds");
        let callback = saying("callback");
        future.add_done_callback(move |_| callback());
        let callback = saying("callback in own");
        future.add_done_callback_in(&own, move |_| callback());
        WHO.reset(token).unwrap();
        let setter = create_task(async move {
            WHO.set("setter");
            future.set_result(()).unwrap();
        });
        setter.await.unwrap();
        tick().await;
        says(&log, "main");

        let task = create_task({
            let log = log.clone();
            async move {
                let token = WHO.set("in the body");
                try_finally(sleep(FOR_EVER), async || {
                    says(&log, "cleanup");
                    WHO.reset(token).unwrap();
                    tick().await;
                    says(&log, "cleanup, after reset");
                })
                .await;
            }
        });
        tick().await;
        task.cancel();
        ended(task).await;
        says(&log, "main");
    });
}
