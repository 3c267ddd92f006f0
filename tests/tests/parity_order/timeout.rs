//! Timeouts inside each other, with cleanups, and beside requests.

use std::cell::Cell;
use std::future::{Future, ready};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Instant;

use asyncio::event_loop::EventLoop;
use asyncio::{catch_cancel, create_task, sleep, timeout, try_finally, wait_for};

use crate::twin::{Log, ended, py, same, units};

type Body = Pin<Box<dyn Future<Output = Option<&'static str>>>>;

/// Logs when something happened, in units.
#[derive(Clone)]
struct Watch {
    log: Log,
    event_loop: EventLoop,
    start: Rc<Cell<Instant>>,
}

impl Watch {
    fn start(&self) {
        self.start.set(self.event_loop.time());
    }

    fn at(&self, event: &str) {
        let passed = self.event_loop.time() - self.start.get();
        self.log.line(format!("{event} at {}", passed.as_millis() / units(1).as_millis()));
    }

    fn work(&self, name: &'static str, delay: u64, cleanup: u64) -> Body {
        let this = self.clone();
        Box::pin(async move {
            let ended = Cell::new(false);
            this.log.line(format!("{name} begins"));
            let body = async {
                sleep(units(delay)).await;
                ended.set(true);
            };
            let unwinds = async || {
                if !ended.get() {
                    this.cleanup(name, cleanup).await;
                }
            };
            try_finally(body, unwinds).await;
            Some(name)
        })
    }

    fn stubborn(&self, name: &'static str, delay: u64, cleanup: u64) -> Body {
        let this = self.clone();
        Box::pin(async move {
            this.log.line(format!("{name} begins"));
            if catch_cancel(sleep(units(delay))).await.is_err() {
                this.cleanup(name, cleanup).await;
            }
            Some(name)
        })
    }

    async fn cleanup(&self, name: &str, units_long: u64) {
        self.log.line(format!("{name} cleans up"));
        sleep(units(units_long)).await;
        self.at(&format!("{name} is clean"));
    }

    fn within(&self, delay: impl Into<Option<u64>>, body: Body, name: &'static str) -> Body {
        let (this, delay) = (self.clone(), delay.into().map(units));
        Box::pin(async move {
            let body = async {
                let result = timeout(delay, body).await;
                match &result {
                    Ok(_) => this.log.line(format!("{name} lets go on")),
                    Err(_) => this.at(&format!("{name} expires")),
                }
                result.ok().flatten()
            };
            try_finally(body, async || this.log.line(format!("{name} ends"))).await
        })
    }
}

#[test]
fn timeouts_expire_from_the_inside_out_as_in_cpython() {
    same(include_str!("../../parity/timeouts_nested.log"), |log, event_loop, clock| async move {
        let start = Rc::new(Cell::new(event_loop.time()));
        let watch = Watch { log: log.clone(), event_loop: event_loop.clone(), start };
        for (outer, inner, name, cleanup) in
            [(3, 1, "a", 0), (1, 3, "b", 1), (3, 1, "c", 4), (2, 2, "d", 1)]
        {
            watch.start();
            let inner = watch.within(inner, watch.work(name, 5, cleanup), "inner");
            watch.within(outer, inner, "outer").await;
        }

        watch.start();
        let value = watch.within(1, watch.stubborn("e", 5, 1), "timeout").await;
        log.line(format!("got {}", value.expect("it refuses")));

        for (first, second) in [(1, 2), (2, 1)] {
            watch.start();
            let task = create_task(watch.within(first, watch.work("f", 5, 3), "timeout"));
            sleep(units(second)).await;
            log.line(format!("cancel: {}", py(task.cancel())));
            log.line(format!("cancelled: {}", py(ended(task).await.cancelled())));
        }

        watch.start();
        event_loop.call_later(units(1), move || clock.advance(units(2)));
        let says = log.says("quick is awake");
        let quick = Box::pin(async move {
            sleep(units(1)).await;
            says();
            Some("quick")
        });
        log.line(format!("got {}", watch.within(2, quick, "timeout").await.unwrap_or("None")));

        watch.start();
        watch.within(0, watch.work("g", 1, 0), "timeout").await;
        let value = watch.within(None, Box::pin(ready(Some("ready"))), "for ever");
        let value = watch.within(0, value, "no time").await;
        log.line(format!("got {}", value.expect("it need not wait")));

        watch.start();
        let mut task = pin!(create_task(watch.work("h", 5, 2)));
        if wait_for(task.as_mut(), units(1)).await.is_err() {
            let cancelled = py(task.cancelled());
            watch.at("wait_for expires");
            log.line(format!("task cancelled: {cancelled}"));
        }
        let value = wait_for(watch.work("i", 1, 0), units(2)).await;
        log.line(format!("got {}", value.unwrap().expect("it ends in time")));
        log.line("main ends");
    });
}
