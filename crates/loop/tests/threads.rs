//! The door for other threads.

mod support;

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use asyncio_loop::{EventLoop, get_running_loop, testing};
use support::{Log, on_each_selector};

const THREADS: usize = 4;

/// Behaviour: XTR-14.
#[test]
fn callbacks_from_four_threads_all_arrive_each_thread_in_order() {
    const EACH: usize = 20_000;
    on_each_selector(|event_loop| {
        let seen = Arc::new([const { AtomicUsize::new(0) }; THREADS]);
        let left = Arc::new(AtomicUsize::new(THREADS * EACH));
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (handle, seen, left) = (event_loop.handle(), seen.clone(), left.clone());
                thread::spawn(move || {
                    for n in 0..EACH {
                        let (seen, left) = (seen.clone(), left.clone());
                        let callback = move || {
                            assert_eq!(seen[thread].swap(n + 1, Ordering::Relaxed), n);
                            if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                                get_running_loop().unwrap().stop();
                            }
                        };
                        handle.call_soon_threadsafe(callback).unwrap();
                    }
                })
            })
            .collect();
        event_loop.run_forever().unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(seen.iter().all(|seen| seen.load(Ordering::Relaxed) == EACH));
    });
}

#[test]
fn of_a_million_callbacks_from_four_threads_none_is_lost() {
    const EACH: usize = 250_000;
    let event_loop = EventLoop::new().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let threads = [(); THREADS].map(|()| {
        let (handle, count) = (event_loop.handle(), count.clone());
        thread::spawn(move || {
            for _ in 0..EACH {
                let count = count.clone();
                let callback = move || {
                    if count.fetch_add(1, Ordering::Relaxed) + 1 == THREADS * EACH {
                        get_running_loop().unwrap().stop();
                    }
                };
                handle.call_soon_threadsafe(callback).unwrap();
            }
        })
    });
    event_loop.run_forever().unwrap();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(count.load(Ordering::Relaxed), THREADS * EACH);
}

#[test]
fn of_a_million_wakes_from_four_threads_none_is_lost() {
    const EACH: usize = 250_000;
    let event_loop = EventLoop::new().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let mut threads = Vec::new();
    let all_counted = poll_fn(|cx| {
        if threads.is_empty() {
            threads.extend([(); THREADS].map(|()| {
                let (waker, count) = (cx.waker().clone(), count.clone());
                thread::spawn(move || {
                    for _ in 0..EACH {
                        count.fetch_add(1, Ordering::Relaxed);
                        waker.wake_by_ref();
                    }
                })
            }));
        }
        // Many wakes make one poll; but the poll after the last of them must see all they announced.
        match count.load(Ordering::Relaxed) {
            counted if counted == THREADS * EACH => Poll::Ready(()),
            _ => Poll::Pending,
        }
    });
    event_loop.run_until_complete(all_counted).expect("the last wake is not lost");
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn no_wake_is_lost_however_often_the_loop_falls_asleep() {
    // One callback at a time, each sent only after the previous one has run: the loop goes to sleep before each.
    on_each_selector(|event_loop| {
        let handle = event_loop.handle();
        let thread = thread::spawn(move || {
            let (sender, receiver) = mpsc::channel();
            for n in 0..5_000 {
                let sender = sender.clone();
                handle.call_soon_threadsafe(move || sender.send(n).unwrap()).unwrap();
                let answer = receiver.recv_timeout(Duration::from_secs(20));
                assert_eq!(answer, Ok(n), "the loop was not woken");
            }
            handle.call_soon_threadsafe(|| get_running_loop().unwrap().stop()).unwrap();
        });
        event_loop.run_forever().unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn no_wake_of_the_main_future_is_lost() {
    on_each_selector(|event_loop| {
        let (wakers, woken) = mpsc::channel::<Option<(Waker, Arc<AtomicBool>)>>();
        let thread = thread::spawn(move || {
            while let Ok(Some((waker, flag))) = woken.recv() {
                flag.store(true, Ordering::Relaxed);
                waker.wake();
            }
        });
        testing::run_with(&event_loop, async {
            for _ in 0..5_000 {
                let flag = Arc::new(AtomicBool::new(false));
                let mut is_sent = false;
                poll_fn(|cx| {
                    if !is_sent {
                        is_sent = true;
                        wakers.send(Some((cx.waker().clone(), flag.clone()))).unwrap();
                    }
                    if flag.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
            wakers.send(None).unwrap();
        })
        .unwrap();
        thread.join().unwrap();
    });
}

/// Behaviour: EVT-05.
#[test]
fn what_a_thread_queued_before_a_run_comes_before_what_was_queued_after_it() {
    let event_loop = EventLoop::new().unwrap();
    let log = Arc::new(std::sync::Mutex::new(Vec::new()));
    let handle = event_loop.handle();
    let sent = log.clone();
    thread::spawn(move || handle.call_soon_threadsafe(move || sent.lock().unwrap().push("thread")))
        .join()
        .unwrap()
        .unwrap();
    let queued = log.clone();
    event_loop.call_soon(move || queued.lock().unwrap().push("here"));
    testing::run_once(&event_loop).unwrap();
    assert_eq!(*log.lock().unwrap(), ["thread", "here"]);
}

/// Behaviour: EVT-06.
#[test]
fn on_the_loops_thread_both_doors_share_one_order() {
    let event_loop = EventLoop::new().unwrap();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    event_loop.call_soon({
        let (event_loop, order) = (event_loop.clone(), order.clone());
        move || {
            assert!(event_loop.handle().is_current());
            for n in 0..10 {
                let log = order.clone();
                if n % 2 == 0 {
                    event_loop.call_soon(move || log.lock().unwrap().push(n));
                } else {
                    let queue = move || log.lock().unwrap().push(n);
                    event_loop.handle().call_soon_threadsafe(queue).unwrap();
                }
            }
        }
    });
    testing::run_once(&event_loop).unwrap();
    testing::run_once(&event_loop).unwrap();
    assert_eq!(*order.lock().unwrap(), (0..10).collect::<Vec<_>>());
    assert!(!event_loop.handle().is_current(), "it does not run any more");
}

/// Behaviour: EVT-16.
#[test]
fn a_closed_loop_refuses_callbacks_and_drops_them_at_the_sender() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    event_loop.close().unwrap();
    assert!(handle.is_closed());
    let captured = Arc::new(());
    let kept = captured.clone();
    let refused = thread::spawn(move || handle.call_soon_threadsafe(move || drop(captured)));
    assert!(refused.join().unwrap().is_err());
    assert_eq!(Arc::strong_count(&kept), 1);
}

#[test]
fn a_handle_of_a_dropped_loop_says_closed() {
    let handle = EventLoop::new().unwrap().handle();
    assert!(handle.is_closed());
    assert!(handle.call_soon_threadsafe(|| {}).is_err());
}

/// Behaviour: EVT-12.
#[test]
fn callbacks_that_arrive_while_the_loop_closes_run_nowhere_and_are_dropped_once() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    for round in 0..200 {
        let event_loop = EventLoop::new().unwrap();
        let dropped = Arc::new(AtomicUsize::new(0));
        let start = Arc::new(Barrier::new(THREADS + 1));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (handle, dropped, start) =
                    (event_loop.handle(), dropped.clone(), start.clone());
                thread::spawn(move || {
                    start.wait();
                    for _ in 0..50 {
                        let counted = Counted(dropped.clone());
                        let _ = handle.call_soon_threadsafe(move || {
                            assert!(get_running_loop().is_ok(), "run by a loop that runs");
                            drop(counted);
                        });
                    }
                })
            })
            .collect();
        start.wait();
        for _ in 0..round % 4 {
            testing::run_once(&event_loop).unwrap();
        }
        event_loop.close().unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(dropped.load(Ordering::Relaxed), THREADS * 50, "none leaked, none twice");
    }
}

#[test]
fn a_late_wake_of_a_main_future_that_is_gone_is_harmless() {
    let event_loop = EventLoop::new().unwrap();
    let kept = Rc::new(RefCell::new(None::<Waker>));
    let log = Log::new();
    event_loop
        .run_until_complete(poll_fn(|cx| {
            *kept.borrow_mut() = Some(cx.waker().clone());
            Poll::Ready(())
        }))
        .unwrap();
    let waker = kept.take().unwrap();
    waker.wake_by_ref();
    event_loop.call_soon({
        let (event_loop, waker) = (event_loop.clone(), waker.clone());
        move || {
            waker.wake();
            event_loop.stop();
        }
    });
    assert!(event_loop.run_until_complete(pending::<()>()).is_err());
    event_loop.call_soon(log.entry("goes on"));
    testing::run_once(&event_loop).unwrap();
    event_loop.close().unwrap();
    thread::spawn(move || waker.wake()).join().unwrap();
    assert_eq!(log.take(), ["goes on"]);
}
