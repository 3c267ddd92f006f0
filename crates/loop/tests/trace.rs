//! Traces and seeds.

mod support;

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use asyncio_loop::testing::{self, ClockMode, Trace, Traced, run_once, shuffle, virtual_loop};
use asyncio_loop::{EventLoop, IoHandler, Ready, get_running_loop};
use support::{Log, sleep, ticks};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_trace_says_what_ran_and_when() {
    let (event_loop, _clock) = virtual_loop(ClockMode::AutoJump).unwrap();
    let trace = Trace::start(&event_loop);
    event_loop.call_later(SECOND * 2, || ());
    let line = line!() - 1;
    let main = async {
        asyncio_coro::current_task().unwrap().set_name("main");
        sleep(SECOND).await;
        sleep(SECOND * 2).await;
    };
    testing::run_with(&event_loop, main).unwrap();
    let task = line + 7;
    let file = file!();
    let text = trace.to_string();
    let lines: Vec<&str> = text.lines().collect();
    let expected = [
        format!("0ns task 0 of {file}:{task}:5"),
        String::from("1s timer"),
        format!("1s task 0 \"main\" of {file}:{task}:5"),
        format!("2s callback of {file}:{line}:16"),
        String::from("3s timer"),
        format!("3s task 0 \"main\" of {file}:{task}:5"),
    ];
    assert_eq!(lines, expected);
    assert_eq!(trace.count(), 6);
    let events = trace.take();
    assert_eq!(events[1].at, SECOND);
    assert_eq!(events[1].what, Traced::Timer);
    assert_eq!(trace.to_string(), "");
}

#[test]
fn a_trace_that_is_dropped_records_no_more_and_a_new_one_takes_over() {
    let event_loop = EventLoop::new().unwrap();
    let first = Trace::start(&event_loop);
    let second = Trace::start(&event_loop);
    drop(first);
    event_loop.call_soon(|| ());
    run_once(&event_loop).unwrap();
    assert_eq!(second.count(), 1);
    drop(second);
    event_loop.call_soon(|| ());
    run_once(&event_loop).unwrap();
}

#[test]
fn a_seed_gives_one_order_of_the_steps_and_seeds_differ() {
    let order_of = |seed| {
        let (event_loop, _clock) = virtual_loop(ClockMode::AutoJump).unwrap();
        shuffle(&event_loop, seed);
        // Each end of a pair becomes writable in the first poll: ten handlers in one tick.
        let log = Log::new();
        let pairs: Vec<_> = (0..5).map(|_| UnixStream::pair().unwrap()).collect();
        let ends = pairs.iter().flat_map(|(ours, theirs)| [ours, theirs]);
        let register = |(n, end): (usize, &UnixStream)| {
            event_loop.register(end.as_fd(), Rc::new(Logs(n, log.clone()))).unwrap()
        };
        let registrations: Vec<_> = ends.enumerate().map(register).collect();
        run_once(&event_loop).unwrap();
        drop(registrations);
        log.take()
    };
    let orders: Vec<_> = (0..20).map(order_of).collect();
    assert_eq!(orders, (0..20).map(order_of).collect::<Vec<_>>());
    assert!(orders.iter().any(|order| order != &orders[0]), "all seeds gave {:?}", orders[0]);
    for mut order in orders {
        order.sort();
        assert_eq!(order, (0..10).collect::<Vec<_>>(), "each ran, once");
    }
}

struct Logs(usize, Log<usize>);

impl IoHandler for Logs {
    fn on_ready(self: Rc<Self>, _: Ready) {
        self.1.push(self.0);
    }
}

#[test]
fn no_seed_changes_the_order_of_callbacks_and_timers() {
    for seed in 0..50 {
        let (event_loop, clock) = virtual_loop(ClockMode::Frozen).unwrap();
        shuffle(&event_loop, seed);
        let log = Log::new();
        for n in 0..5 {
            event_loop.call_later(SECOND, log.entry(10 + n));
        }
        clock.advance(SECOND);
        for n in 0..5 {
            event_loop.call_soon(log.entry(n));
        }
        run_once(&event_loop).unwrap();
        assert_eq!(log.take(), [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]);
    }
}

#[test]
fn a_step_of_a_task_changes_places_with_callbacks() {
    let order_of = |seed| {
        let (event_loop, _clock) = virtual_loop(ClockMode::AutoJump).unwrap();
        shuffle(&event_loop, seed);
        let log = Log::new();
        let main = async {
            for _ in 0..3 {
                let event_loop = get_running_loop().unwrap();
                event_loop.call_soon(log.entry("before"));
                let tick = ticks(1);
                event_loop.call_soon(log.entry("after"));
                tick.await;
                log.push("step");
            }
        };
        testing::run_with(&event_loop, main).unwrap();
        log.take()
    };
    let orders: Vec<_> = (0..20).map(order_of).collect();
    assert!(orders.iter().any(|order| order != &orders[0]));
    for order in orders {
        let callbacks: Vec<_> = order.into_iter().filter(|entry| *entry != "step").collect();
        assert_eq!(callbacks, ["before", "after"].repeat(3));
    }
}
