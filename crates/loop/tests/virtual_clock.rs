//! Time that the test owns.

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use asyncio_loop::testing::{self, ClockMode};
use asyncio_loop::{IoHandle, get_running_loop};
use futures_lite::future::{poll_once, zip};
use support::{Log, sleep, ticks};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn an_idle_loop_jumps_to_the_next_timer() {
    let started = Instant::now();
    let log = Log::new();
    testing::run(async {
        let event_loop = get_running_loop().unwrap();
        let start = event_loop.time();
        let sleeper = |hours: u32| {
            let (log, event_loop) = (log.clone(), event_loop.clone());
            async move {
                sleep(HOUR * hours).await;
                log.push((hours, event_loop.time() - start));
            }
        };
        zip(zip(sleeper(3), sleeper(1)), sleeper(2)).await;
    })
    .unwrap();
    assert_eq!(log.take(), [(1, HOUR), (2, HOUR * 2), (3, HOUR * 3)]);
    assert!(started.elapsed() < HOUR / 60);
}

#[test]
fn a_busy_loop_does_not_jump() {
    testing::run(async {
        let event_loop = get_running_loop().unwrap();
        let start = event_loop.time();
        let mut timer = Box::pin(sleep(HOUR));
        for _ in 0..100 {
            assert!(poll_once(timer.as_mut()).await.is_none());
            ticks(1).await;
        }
        assert_eq!(event_loop.time(), start);
    })
    .unwrap();
}

#[test]
fn a_frozen_clock_moves_only_by_hand() {
    let (event_loop, clock) = testing::virtual_loop(ClockMode::Frozen).unwrap();
    let start = clock.now();
    let log = Log::new();
    event_loop.call_later(Duration::from_secs(1), log.entry("timer"));
    for _ in 0..10 {
        testing::run_once(&event_loop).unwrap();
    }
    assert_eq!(clock.now(), start);
    clock.advance(Duration::from_millis(999));
    testing::run_once(&event_loop).unwrap();
    assert!(log.items().is_empty());
    clock.advance(Duration::from_millis(1));
    testing::run_once(&event_loop).unwrap();
    assert_eq!(log.take(), ["timer"]);
    assert_eq!(event_loop.time(), start + Duration::from_secs(1));
}

#[test]
fn a_frozen_clock_may_be_moved_from_inside() {
    let (event_loop, clock) = testing::virtual_loop(ClockMode::Frozen).unwrap();
    let woke = event_loop
        .run_until_complete(async {
            let advance = async {
                ticks(3).await;
                clock.advance(HOUR);
            };
            zip(sleep(HOUR), advance).await;
            true
        })
        .unwrap();
    assert!(woke);
}

#[test]
fn a_clock_does_not_jump_over_external_work() {
    testing::run(async {
        let event_loop = get_running_loop().unwrap();
        let start = event_loop.time();
        let (work, handle) = (event_loop.external_work(), event_loop.handle());
        let (begin, begun) = mpsc::channel();
        let thread = thread::spawn(move || {
            begun.recv().unwrap();
            let (sender, receiver) = mpsc::channel();
            let callback = move || sender.send(get_running_loop().unwrap().time()).unwrap();
            handle.call_soon_threadsafe(callback).unwrap();
            drop(work);
            receiver.recv().unwrap()
        });
        // From here on there is nothing to do but the thread's work, and an hour to be jumped over.
        event_loop.call_soon(move || begin.send(()).unwrap());
        sleep(HOUR).await;
        assert_eq!(thread.join().unwrap() - start, Duration::ZERO);
        assert_eq!(event_loop.time() - start, HOUR);
    })
    .unwrap();
}

#[test]
fn external_work_that_ends_without_a_word_lets_the_clock_go_on() {
    for _ in 0..100 {
        testing::run(async {
            let work = get_running_loop().unwrap().external_work();
            let thread = thread::spawn(move || drop(work));
            sleep(HOUR).await;
            thread.join().unwrap();
        })
        .unwrap();
    }
}

#[test]
fn bytes_that_are_under_way_come_before_the_jump() {
    testing::run(async {
        let event_loop = get_running_loop().unwrap();
        let start = event_loop.time();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (ours, theirs) = (IoHandle::new(ours).unwrap(), IoHandle::new(theirs).unwrap());
        let echo = async {
            for _ in 0..100 {
                let mut byte = [0];
                theirs.read_with(|mut stream| stream.read_exact(&mut byte)).await.unwrap();
                theirs.write_with(|mut stream| stream.write(&byte)).await.unwrap();
            }
        };
        let client = async {
            let timeout = event_loop.call_later(Duration::from_nanos(1), || {});
            for n in 0..100 {
                let mut byte = [n];
                ours.write_with(|mut stream| stream.write(&[n])).await.unwrap();
                ours.read_with(|mut stream| stream.read_exact(&mut byte)).await.unwrap();
                assert_eq!(byte, [n]);
            }
            timeout.cancel();
            assert_eq!(event_loop.time(), start);
        };
        zip(echo, client).await;
    })
    .unwrap();
}

#[test]
fn two_runs_give_one_trace() {
    let trace = || {
        let log = Log::new();
        testing::run(async {
            let worker = |name: &'static str, step: u64| {
                let log = log.clone();
                async move {
                    for n in 0..20 {
                        sleep(Duration::from_millis(step)).await;
                        log.push((name, n));
                    }
                }
            };
            zip(worker("a", 3), zip(worker("b", 2), worker("c", 6))).await;
        })
        .unwrap();
        log.take()
    };
    assert_eq!(trace(), trace());
}
