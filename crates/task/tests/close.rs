//! The end of a loop: its tasks are cancelled, awaited, and what is left is dropped on the loop's own thread, whoever wakes
//! it from wherever. To be run under AddressSanitizer too.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread::{self, ThreadId};

use asyncio_coro::{catch_cancel, try_finally, yield_now};
use asyncio_loop::{EventLoop, RunError, testing};
use asyncio_task::{JoinError, Task, TaskGroup, all_tasks, create_task, sleep};
use support::{Log, here, my_waker, reports, secs};

/// Panics, which is noticed, when it is dropped on another thread than it was made on.
struct Home(ThreadId, Rc<Cell<usize>>);

impl Home {
    fn new(dropped: &Rc<Cell<usize>>) -> Self {
        Self(thread::current().id(), dropped.clone())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.0 != thread::current().id() {
            eprintln!("a !Send future was dropped on a foreign thread");
            std::process::abort();
        }
        self.1.set(self.1.get() + 1);
    }
}

/// Wakes every waker it is sent, again and again, until no more come, and then some.
fn storm(wakers: Arc<Mutex<mpsc::Receiver<Waker>>>) {
    let mut kept: Vec<Waker> = Vec::new();
    loop {
        let next = wakers.lock().unwrap().recv();
        let Ok(waker) = next else { break };
        waker.wake_by_ref();
        kept.push(waker);
        kept.iter().for_each(Waker::wake_by_ref);
    }
    for _ in 0..20 {
        kept.iter().for_each(Waker::wake_by_ref);
    }
    kept.into_iter().for_each(Waker::wake);
}

/// Runs rounds of a loop on which `spawn` makes tasks that send their wakers to four threads.
fn rounds(count: usize, spawn: impl Fn(&mpsc::Sender<Waker>, &Rc<Cell<usize>>, usize)) {
    for round in 0..count {
        let (send, receive) = mpsc::channel();
        let receive = Arc::new(Mutex::new(receive));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let receive = receive.clone();
                thread::spawn(move || storm(receive))
            })
            .collect();
        let dropped = Rc::new(Cell::new(0));
        let event_loop = EventLoop::new().unwrap();
        event_loop
            .run_until_complete(async {
                for n in 0..50 {
                    spawn(&send, &dropped, n);
                }
                for _ in 0..round % 5 {
                    yield_now().await;
                }
            })
            .unwrap();
        drop(send);
        event_loop.close().unwrap();
        assert_eq!(dropped.get(), 50, "every future is gone when the loop is closed");
        drop(event_loop);
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

#[test]
fn wakes_from_four_threads_while_the_loop_closes_drop_no_future_elsewhere() {
    rounds(200, |send, dropped, n| {
        let (home, send) = (Home::new(dropped), send.clone());
        create_task(async move {
            let _home = home;
            let mut polls = 0;
            poll_fn(|cx| {
                let _ = send.send(cx.waker().clone());
                polls += 1;
                if n % 7 == 0 && polls > 2 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        });
    });
}

#[test]
fn wakes_from_four_threads_of_children_of_groups_drop_no_child_elsewhere() {
    rounds(100, |send, dropped, n| {
        let (home, send) = (Home::new(dropped), send.clone());
        create_task(async move {
            let home = &home;
            let _ = TaskGroup::scope(async |group| {
                for child in 0..3 {
                    let send = &send;
                    group.create_task(async move {
                        let mut polls = 0;
                        poll_fn(|cx| {
                            assert_eq!(home.0, thread::current().id());
                            let _ = send.send(cx.waker().clone());
                            polls += 1;
                            let is_over = (n + child) % 3 == 0 && polls > 2;
                            if is_over { Poll::Ready(Ok::<_, ()>(())) } else { Poll::Pending }
                        })
                        .await
                    });
                }
                Ok(())
            })
            .await;
        });
    });
}

#[test]
fn handles_that_outlive_the_loop_say_cancelled() {
    let event_loop = EventLoop::new().unwrap();
    let mut handle: Option<Task<()>> = None;
    event_loop.run_until_complete(async { handle = Some(create_task(pending())) }).unwrap();
    let task = handle.unwrap();
    event_loop.close().unwrap();
    assert!(task.done() && task.cancelled() && !task.cancel());
    let other = EventLoop::new().unwrap();
    let error: JoinError = other.run_until_complete(task).unwrap().unwrap_err();
    assert!(error.is_cancelled());
    other.close().unwrap();
}

#[test]
fn a_waker_kept_after_the_loop_is_gone_does_nothing() {
    let kept = Rc::new(RefCell::new(None));
    let keep = kept.clone();
    asyncio_loop::run(async move {
        create_task(async move {
            *keep.borrow_mut() = Some(my_waker().await);
            pending::<()>().await;
        });
        yield_now().await;
        yield_now().await;
    })
    .unwrap();
    let waker = kept.take().expect("the task ran");
    waker.wake_by_ref();
    thread::spawn(move || waker.wake()).join().unwrap();
}

#[test]
fn a_future_whose_drop_panics_is_survived_and_reported() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("bomb");
        }
    }
    let event_loop = EventLoop::new().unwrap();
    event_loop
        .run_until_complete(async {
            create_task(async {
                let _bomb = Bomb;
                pending::<()>().await;
            });
            yield_now().await;
        })
        .unwrap();
    event_loop.close().unwrap();

    support::run(async {
        let reports = reports();
        let cancelled = create_task(async {
            let _bomb = Bomb;
            pending::<()>().await;
        });
        yield_now().await;
        cancelled.cancel();
        assert!(cancelled.await.unwrap_err().is_panic());
        assert!(reports.take().is_empty());
        // A value that nobody wants, whose drop panics.
        create_task(async { Bomb }).set_name("bomber");
        yield_now().await;
        yield_now().await;
        let reports = reports.take();
        assert_eq!(reports.len(), 1);
        assert!(reports[0].contains("bomber") && reports[0].contains("bomb"), "{}", reports[0]);
    });
}

#[test]
fn the_end_of_run_cancels_all_tasks_and_waits_for_their_cleanup() {
    let log = Log::default();
    let events = log.clone();
    support::run(async move {
        for name in ["a", "b"] {
            let log = log.clone();
            create_task(async move {
                try_finally(pending::<()>(), async || {
                    sleep(secs(1)).await;
                    log.push(format!("{name} cleaned up"));
                })
                .await;
            });
        }
        yield_now().await;
        log.push("main ends");
    });
    assert_eq!(events.take(), ["main ends", "a cleaned up", "b cleaned up"]);
}

/// Behaviour: RUN-05.
#[test]
fn what_fails_while_the_end_of_run_cancels_it_is_reported_and_costs_the_others_nothing() {
    let log = Log::default();
    let events = log.clone();
    let (event_loop, _clock) = testing::virtual_loop(testing::ClockMode::AutoJump).unwrap();
    let reports = log.clone();
    event_loop.set_exception_handler(move |_, context| {
        let (task, panic) = (context.task().unwrap(), context.panic_message().unwrap());
        reports.push(format!("{task}: {panic}"));
    });
    let value = testing::run_with(&event_loop, async {
        for name in ["fails", "ends"] {
            let log = log.clone();
            let task = create_task(async move {
                try_finally(pending::<()>(), async || {
                    sleep(secs(1)).await;
                    assert!(name != "fails", "zero divided");
                    log.push("cleaned up");
                })
                .await;
            });
            task.set_name(name);
        }
        yield_now().await;
        "the value"
    });
    assert_eq!(value.unwrap(), "the value");
    assert_eq!(events.take(), ["fails: zero divided", "cleaned up"]);
}

#[test]
fn a_task_created_by_a_cleanup_at_the_end_gets_its_turn() {
    let log = Log::default();
    let events = log.clone();
    support::run(async move {
        create_task(async move {
            try_finally(pending::<()>(), async || {
                let goodbye = create_task(async {
                    sleep(secs(1)).await;
                    "said goodbye"
                });
                log.push(goodbye.await.unwrap());
            })
            .await;
        });
        yield_now().await;
    });
    assert_eq!(events.take(), ["said goodbye"]);
}

#[test]
fn a_task_that_never_ends_is_abandoned_after_the_grace_and_reported_by_name_and_site() {
    let log = Log::default();
    let events = log.clone();
    let (event_loop, _clock) = testing::virtual_loop(testing::ClockMode::AutoJump).unwrap();
    event_loop.set_exception_handler(move |_, context| log.push(context.to_string()));
    let start = event_loop.time();
    let line = testing::run_with(&event_loop, async {
        let stubborn = create_task(async {
            loop {
                let _ = catch_cancel(pending::<()>()).await;
            }
        });
        stubborn.set_name("stubborn");
        yield_now().await;
        stubborn.site().line()
    })
    .unwrap();
    assert_eq!(event_loop.time() - start, secs(5));
    let reports = events.take();
    let place = format!("stubborn (created at {}:{line}", file!());
    assert!(reports.iter().any(|report| report.contains(&place)), "{reports:?}");
}

#[test]
fn children_of_a_forgotten_group_do_not_hold_up_the_end() {
    let start = std::time::Instant::now();
    support::run(async {
        let mut group = Box::pin(TaskGroup::scope(async |group| {
            group.create_task(pending::<Result<(), ()>>());
            pending::<Result<(), ()>>().await
        }));
        poll_fn(|cx| {
            assert!(Future::poll(group.as_mut(), cx).is_pending());
            Poll::Ready(())
        })
        .await;
        std::mem::forget(group);
        assert_eq!(all_tasks().len(), 1, "it is still listed");
    });
    assert!(start.elapsed() < secs(4));
}

#[test]
fn create_task_during_the_last_drops_is_refused_with_a_panic_that_is_contained() {
    struct Late(Rc<Cell<bool>>);
    impl Drop for Late {
        fn drop(&mut self) {
            self.0.set(true);
            create_task(async {});
        }
    }
    let dropped = Rc::new(Cell::new(false));
    let event_loop = EventLoop::new().unwrap();
    let late = Late(dropped.clone());
    event_loop
        .run_until_complete(async move {
            create_task(async move {
                let _late = late;
                pending::<()>().await;
            });
        })
        .unwrap();
    event_loop.close().unwrap();
    assert!(dropped.get());
}

/// Behaviour: TSK-52.
#[test]
fn a_stopped_run_leaves_its_tasks_pending_for_a_later_one() {
    let event_loop = EventLoop::new().unwrap();
    let (send, receive) = mpsc::channel();
    let stopped = event_loop.run_until_complete(async {
        send.send(create_task(async {
            yield_now().await;
            5
        }))
        .unwrap();
        here().stop();
        pending::<()>().await;
    });
    assert!(matches!(stopped, Err(RunError::Stopped)));
    let task = receive.try_recv().unwrap();
    assert!(!task.done());
    assert_eq!(event_loop.run_until_complete(task).unwrap().unwrap(), 5);
    event_loop.close().unwrap();
}
