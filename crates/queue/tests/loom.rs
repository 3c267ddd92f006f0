//! Every interleaving of the thread-shared forms, on models: with `--cfg asyncio_loom` only, `cargo xtask ci` says how.
#![cfg(asyncio_loom)]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use asyncio_queue::GetError;
use asyncio_queue::sync::Queue;
use loom::thread;

/// Tries all interleavings with at most `preemptions` of them where a thread could have gone on.
fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_duration = Some(Duration::from_secs(60));
    builder.check(model);
}

fn queue(maxsize: usize) -> Arc<Queue<u32>> {
    Arc::new(Queue::new(maxsize))
}

#[test]
fn a_getter_never_sleeps_in_front_of_an_item() {
    check(3, || {
        let queue = queue(1);
        let other = queue.clone();
        let putter = thread::spawn(move || other.put_nowait(7).unwrap());
        assert_eq!(loom::future::block_on(queue.get()), Ok(7));
        putter.join().unwrap();
    });
}

#[test]
fn a_putter_never_sleeps_in_front_of_room() {
    check(3, || {
        let queue = queue(1);
        queue.put_nowait(1).unwrap();
        let other = queue.clone();
        let getter = thread::spawn(move || assert_eq!(other.get_nowait(), Ok(1)));
        queue.put_blocking(2).unwrap();
        getter.join().unwrap();
        assert_eq!(queue.get_nowait(), Ok(2));
    });
}

#[test]
fn two_getters_share_two_items() {
    check(2, || {
        let queue = queue(0);
        let getters = [(); 2].map(|()| {
            let queue = queue.clone();
            thread::spawn(move || queue.get_blocking().unwrap())
        });
        queue.put_nowait(1).unwrap();
        queue.put_nowait(2).unwrap();
        let got = getters.map(|getter| getter.join().unwrap());
        assert_eq!(got[0] + got[1], 3);
    });
}

#[test]
fn a_shutdown_reaches_those_who_wait() {
    check(3, || {
        let queue = queue(1);
        let other = queue.clone();
        let closer = thread::spawn(move || other.shutdown(false));
        assert!(queue.get_blocking().is_err());
        closer.join().unwrap();
        assert_eq!(queue.get_nowait(), Err(GetError::ShutDown));
    });
}

#[test]
fn a_cancelled_getter_passes_its_notification_on() {
    check(2, || {
        let queue = queue(0);
        let putter = {
            let queue = queue.clone();
            thread::spawn(move || queue.put_nowait(1).unwrap())
        };
        let getter = {
            let queue = queue.clone();
            thread::spawn(move || queue.get_blocking().unwrap())
        };
        let got = {
            let mut get = pin!(queue.get());
            get.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
        };
        if got {
            queue.put_nowait(1).unwrap();
        }
        putter.join().unwrap();
        assert_eq!(getter.join().unwrap(), 1);
    });
}

#[test]
fn a_getter_that_gives_up_takes_no_wake_up_with_it() {
    check(2, || {
        let queue = queue(0);
        let putter = {
            let queue = queue.clone();
            thread::spawn(move || queue.put_nowait(1).unwrap())
        };
        let getter = {
            let queue = queue.clone();
            thread::spawn(move || queue.get_blocking().unwrap())
        };
        match queue.get_timeout(Duration::ZERO) {
            Ok(item) => queue.put_nowait(item).unwrap(),
            Err(error) => assert_eq!(error, GetError::Empty),
        }
        putter.join().unwrap();
        assert_eq!(getter.join().unwrap(), 1);
    });
}

#[test]
fn a_putter_that_gives_up_has_put_nothing_and_one_that_does_not_has_put_it_once() {
    check(3, || {
        let queue = queue(1);
        queue.put_nowait(1).unwrap();
        let other = queue.clone();
        let getter = thread::spawn(move || assert_eq!(other.get_nowait(), Ok(1)));
        let put = queue.put_timeout(2, Duration::ZERO);
        getter.join().unwrap();
        assert_eq!(queue.get_nowait().is_ok(), put.is_ok());
        assert_eq!(queue.get_nowait(), Err(GetError::Empty));
    });
}

#[test]
fn a_join_never_misses_the_last_task_done() {
    check(3, || {
        let queue = queue(1);
        queue.put_nowait(1).unwrap();
        let other = queue.clone();
        let worker = thread::spawn(move || {
            other.get_nowait().unwrap();
            other.task_done().unwrap();
        });
        queue.join_blocking();
        worker.join().unwrap();
        assert!(queue.task_done().is_err());
    });
}

#[test]
fn a_refused_put_does_not_keep_a_join_waiting() {
    check(2, || {
        let queue = queue(1);
        queue.put_nowait(1).unwrap();
        let done = |queue: &Queue<u32>| {
            queue.get_nowait().unwrap();
            queue.task_done().unwrap();
        };
        let worker = {
            let queue = queue.clone();
            thread::spawn(move || done(&queue))
        };
        let putter = {
            let queue = queue.clone();
            thread::spawn(move || {
                if queue.put_nowait(2).is_ok() {
                    while queue.get_nowait().is_err() {
                        thread::yield_now();
                    }
                    queue.task_done().unwrap();
                }
            })
        };
        queue.join_blocking();
        worker.join().unwrap();
        putter.join().unwrap();
        assert_eq!(queue.statistics().unfinished, 0);
    });
}

#[test]
fn an_immediate_shutdown_counts_what_it_drops() {
    check(3, || {
        let queue = queue(1);
        let other = queue.clone();
        let putter = thread::spawn(move || other.put_blocking(1).is_ok());
        queue.shutdown(true);
        putter.join().unwrap();
        assert_eq!(queue.get_nowait(), Err(GetError::ShutDown));
        assert_eq!(queue.statistics().unfinished, 0);
    });
}
