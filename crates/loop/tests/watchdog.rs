//! The stall watchdog.
#![cfg(feature = "watchdog")]

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use asyncio_loop::testing::{ClockMode, run_once, virtual_loop};
use asyncio_loop::{EventLoop, Stall, Work, watching};

const MILLISECOND: Duration = Duration::from_millis(1);

fn watched(limit: Duration) -> (EventLoop, Receiver<Stall>) {
    let event_loop = EventLoop::new().unwrap();
    let (sender, stalls) = mpsc::channel();
    event_loop.start_watchdog_with(limit, move |stall| drop(sender.send(stall.clone()))).unwrap();
    (event_loop, stalls)
}

#[test]
fn a_step_that_blocks_is_named_while_it_blocks() {
    let (event_loop, stalls) = watched(MILLISECOND);
    let (id, stall) = event_loop
        .run_until_complete(async {
            let task = asyncio_coro::current_task().unwrap();
            task.set_name("blocks");
            asyncio_coro::yield_now().await;
            // It would block for ever if nobody said so.
            loop {
                let stall = stalls.recv().unwrap();
                if stall.work().task_name().as_deref() == Some("blocks") {
                    break (task.id(), stall);
                }
            }
        })
        .unwrap();
    let line = line!() - 13;
    assert!(matches!(stall.work(), Work::Task { id: named, .. } if *named == id));
    let site = stall.work().site().unwrap();
    assert_eq!((site.file(), site.line()), (file!(), line));
    assert!(stall.elapsed() >= MILLISECOND);
    let text = stall.to_string();
    assert!(text.starts_with("the event loop stalls: task \"blocks\" created at "), "{text}");
    event_loop.close().unwrap();
}

#[test]
fn a_step_inside_another_is_named_while_it_blocks_and_then_the_outer_one() {
    let (event_loop, stalls) = watched(MILLISECOND);
    event_loop.call_soon(move || {
        let watching = watching().expect("the watchdog watches");
        let blocks_as = |is_it: fn(&Work) -> bool| while !is_it(stalls.recv().unwrap().work()) {};
        watching.step(Work::Timer, || blocks_as(|work| matches!(work, Work::Timer)));
        blocks_as(|work| matches!(work, Work::Callback { .. }));
    });
    run_once(&event_loop).unwrap();
    event_loop.close().unwrap();
}

#[test]
fn reports_of_one_step_back_off() {
    let (event_loop, stalls) = watched(MILLISECOND);
    let reports = Rc::new(Cell::new(0));
    let seen = reports.clone();
    event_loop.call_soon(move || {
        for n in 0..4 {
            let stall = stalls.recv().unwrap();
            assert_eq!(stall.reports(), n + 1);
            assert!(stall.elapsed() >= MILLISECOND * (1 << n), "{stall}");
            seen.set(stall.reports());
        }
    });
    run_once(&event_loop).unwrap();
    assert_eq!(reports.get(), 4);
    event_loop.close().unwrap();
}

#[test]
fn each_step_has_a_limit_of_its_own_also_after_a_pause() {
    let (event_loop, stalls) = watched(MILLISECOND);
    let stalls = Rc::new(stalls);
    for _ in 0..5 {
        let stalls = stalls.clone();
        event_loop.call_soon(move || {
            while stalls.recv().unwrap().reports() > 1 {}
            // What came while we were at it belongs to this step, too.
            while stalls.try_recv().is_ok() {}
        });
        run_once(&event_loop).unwrap();
    }
    event_loop.close().unwrap();
}

#[test]
fn the_limit_is_one_of_the_systems_clock() {
    let (event_loop, _clock) = virtual_loop(ClockMode::Frozen).unwrap();
    let (sender, stalls) = mpsc::channel();
    event_loop
        .start_watchdog_with(MILLISECOND, move |_| sender.send(()).unwrap_or_default())
        .unwrap();
    event_loop.call_soon(move || stalls.recv().unwrap());
    run_once(&event_loop).unwrap();
    event_loop.close().unwrap();
}

#[test]
fn it_ends_with_the_loop_or_when_it_is_stopped_or_replaced() {
    let ended = |stalls: &Receiver<Stall>| {
        // The thread drops its end when it goes, which is soon.
        let left = stalls.recv_timeout(Duration::from_secs(600));
        assert_eq!(left, Err(RecvTimeoutError::Disconnected));
    };
    let (event_loop, stalls) = watched(Duration::from_secs(600));
    event_loop.close().unwrap();
    ended(&stalls);

    let (event_loop, stalls) = watched(Duration::from_secs(600));
    event_loop.stop_watchdog();
    ended(&stalls);

    let (event_loop, stalls) = watched(Duration::from_secs(600));
    event_loop.start_watchdog(Duration::from_secs(600)).unwrap();
    ended(&stalls);
    drop(event_loop);
}

#[test]
fn a_step_may_stop_the_watchdog_that_watches_it() {
    let (event_loop, stalls) = watched(MILLISECOND);
    let this = event_loop.clone();
    event_loop.call_soon(move || {
        this.stop_watchdog();
        while stalls.recv().is_ok() {}
    });
    run_once(&event_loop).unwrap();
}

#[test]
fn a_report_that_panics_does_not_end_the_watchdog() {
    let event_loop = EventLoop::new().unwrap();
    let (sender, stalls) = mpsc::channel();
    event_loop
        .start_watchdog_with(MILLISECOND, move |stall| {
            sender.send(()).unwrap();
            assert!(stall.reports() > 1, "the pager is broken");
        })
        .unwrap();
    event_loop.call_soon(move || {
        stalls.recv().unwrap();
        stalls.recv().unwrap();
    });
    run_once(&event_loop).unwrap();
}
