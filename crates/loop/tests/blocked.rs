//! `wait_all_tasks_blocked`.

mod support;

use std::future::Future;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::task::{Context, Waker};
use std::time::Duration;

use asyncio_loop::testing::{self, ClockMode, wait_all_tasks_blocked};
use asyncio_loop::{EventLoop, IoHandle, get_running_loop, run};
use futures_lite::future::zip;
use support::{Log, sleep, ticks};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn it_waits_for_what_is_ready_and_no_timer() {
    testing::run(async {
        let event_loop = get_running_loop().unwrap();
        let start = event_loop.time();
        let log = Log::new();
        let other = async {
            for n in 0..50 {
                ticks(1).await;
                log.push(n);
            }
            sleep(HOUR).await;
        };
        let waiter = async {
            wait_all_tasks_blocked().await;
            assert_eq!(log.items().len(), 50);
            assert_eq!(event_loop.time(), start);
        };
        zip(other, waiter).await;
        assert_eq!(event_loop.time() - start, HOUR);
    })
    .unwrap();
}

#[test]
fn it_works_on_the_real_clock() {
    run(async {
        let log = Log::new();
        let later = log.clone();
        get_running_loop().unwrap().call_later(Duration::ZERO, move || {
            get_running_loop().unwrap().call_soon(later.entry("after the timer"));
        });
        wait_all_tasks_blocked().await;
        assert_eq!(log.take(), ["after the timer"]);
        wait_all_tasks_blocked().await;
    })
    .unwrap();
}

#[test]
fn it_waits_for_bytes_that_are_under_way() {
    testing::run(async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let ours = IoHandle::new(ours).unwrap();
        let log = Log::new();
        let reader = async {
            let mut byte = [0];
            ours.read_with(|mut stream| stream.read_exact(&mut byte)).await.unwrap();
            log.push(byte);
        };
        let waiter = async {
            wait_all_tasks_blocked().await;
            assert!(log.items().is_empty());
            (&theirs).write_all(b"x").unwrap();
            wait_all_tasks_blocked().await;
            assert_eq!(log.take(), [*b"x"]);
        };
        zip(reader, waiter).await;
    })
    .unwrap();
}

#[test]
fn several_are_woken_together() {
    testing::run(async {
        let log = Log::new();
        let first = async {
            wait_all_tasks_blocked().await;
            log.push(1);
        };
        let second = async {
            wait_all_tasks_blocked().await;
            log.push(2);
        };
        zip(first, second).await;
        assert_eq!(log.take(), [1, 2]);
    })
    .unwrap();
}

#[test]
fn one_that_was_dropped_wakes_nobody() {
    testing::run(async {
        let mut dropped = Box::pin(wait_all_tasks_blocked());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(dropped.as_mut().poll(&mut cx).is_pending());
        drop(dropped);
        wait_all_tasks_blocked().await;
    })
    .unwrap();
}

#[test]
fn a_loop_that_is_closed_over_one_is_free() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.stop();
    event_loop.run_until_complete(wait_all_tasks_blocked()).unwrap_err();
    event_loop.close().unwrap();
}

#[test]
fn a_frozen_clock_does_not_keep_it_waiting() {
    let (event_loop, clock) = testing::virtual_loop(ClockMode::Frozen).unwrap();
    event_loop
        .run_until_complete(async {
            let advance = async {
                wait_all_tasks_blocked().await;
                clock.advance(HOUR);
            };
            zip(sleep(HOUR), advance).await;
        })
        .unwrap();
}
