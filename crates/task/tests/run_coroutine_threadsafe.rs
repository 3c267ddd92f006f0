//! `run_coroutine_threadsafe`: results, panics and cancels between a thread and the loop.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use asyncio_cancel_everywhere::on_loop;
use asyncio_coro::{catch_cancel, try_finally, yield_now};
use asyncio_future::concurrent::{self, ResultError};
use asyncio_loop::{EventLoop, LoopHandle, get_running_loop, run, testing};
use asyncio_task::{
    TaskLoopExt, TaskLoopHandleExt, all_tasks, create_task, current_task, eager_task_factory,
    run_coroutine_threadsafe, sleep,
};

/// Runs `work` in another thread, beside a loop that runs meanwhile.
fn beside_a_loop<T: Send + 'static>(work: impl FnOnce(LoopHandle) -> T + Send + 'static) -> T {
    run(async {
        let handle = get_running_loop().unwrap().handle();
        let (promise, result) = concurrent::promise();
        let thread = thread::spawn(move || promise.set_result(work(handle)));
        let result = result.await.expect("the other thread has not panicked");
        assert!(thread.join().unwrap().is_ok());
        result
    })
    .unwrap()
}

/// As many tasks as the loop has, asked from another thread; the one that asks is not counted.
fn tasks_of(event_loop: &LoopHandle) -> usize {
    let count = run_coroutine_threadsafe(|| async { all_tasks().len() }, event_loop);
    count.result(None).unwrap() - 1
}

fn text_of<T>(panics: impl FnOnce() -> T) -> String {
    let payload = catch_unwind(AssertUnwindSafe(panics)).map(drop).unwrap_err();
    String::from(*payload.downcast::<&str>().unwrap())
}

/// Behaviour: TSK-103.
#[test]
fn a_thread_gets_the_value_the_error_or_the_panic() {
    beside_a_loop(|event_loop| {
        let add = |a: u8, b: u8| {
            event_loop.run_coroutine_threadsafe(move || async move {
                let local = Rc::new(Cell::new(a));
                sleep(Duration::from_millis(1)).await;
                local.get().checked_add(b).ok_or("too much")
            })
        };
        assert_eq!(add(1, 2).result(None).unwrap(), Ok(3));
        assert_eq!(add(200, 100).result(None).unwrap(), Err("too much"));
        let broken = event_loop.run_coroutine_threadsafe(|| async {
            yield_now().await;
            panic!("broken")
        });
        assert_eq!(text_of(|| broken.result(None)), "broken");
    });
}

/// Behaviour: TSK-104.
#[test]
fn a_result_that_times_out_leaves_the_task_until_its_future_is_cancelled() {
    beside_a_loop(|event_loop| {
        let future = run_coroutine_threadsafe(pending::<()>, &event_loop);
        let Err(ResultError::TimedOut(future)) = future.result(Some(Duration::ZERO)) else {
            panic!("it is pending")
        };
        assert_eq!(tasks_of(&event_loop), 1);
        assert!(future.cancel());
        assert!(future.result(None).unwrap_err().is_cancelled());
        assert_eq!(tasks_of(&event_loop), 0);
    });
}

/// Behaviour: TSK-105.
#[test]
fn cancelling_the_future_cancels_the_task_which_cleans_up_on_the_loop() {
    beside_a_loop(|event_loop| {
        let (log, entries) = mpsc::channel();
        let begun = log.clone();
        let future = event_loop.run_coroutine_threadsafe(move || async move {
            let body = async {
                begun.send("begun").unwrap();
                pending::<()>().await;
            };
            let cleanup = async || {
                sleep(Duration::from_millis(1)).await;
                log.send("cleaned").unwrap();
            };
            try_finally(body, cleanup).await;
        });
        assert_eq!(entries.recv(), Ok("begun"));
        assert!(future.cancel() && future.cancelled());
        assert_eq!(entries.recv(), Ok("cleaned"));
        assert!(entries.recv().is_err(), "the coroutine is gone");
    });
}

#[test]
fn cancelling_the_task_cancels_the_future_once_it_has_cleaned_up() {
    beside_a_loop(|event_loop| {
        let is_clean = Arc::new(AtomicBool::new(false));
        let cleaned = is_clean.clone();
        let future = event_loop.run_coroutine_threadsafe(move || async move {
            let body = async {
                current_task().unwrap().cancel();
                pending::<()>().await;
            };
            let cleanup = async || {
                sleep(Duration::from_millis(1)).await;
                cleaned.store(true, Ordering::SeqCst);
            };
            try_finally(body, cleanup).await;
        });
        assert!(future.result(None).unwrap_err().is_cancelled());
        assert!(is_clean.load(Ordering::SeqCst));
    });
}

#[test]
fn a_coroutine_that_catches_the_cancel_goes_on_and_its_value_is_dropped_on_the_loop() {
    struct Value(mpsc::Sender<thread::ThreadId>);
    impl Drop for Value {
        fn drop(&mut self) {
            self.0.send(thread::current().id()).unwrap();
        }
    }
    beside_a_loop(|event_loop| {
        let loops_thread = event_loop.run_coroutine_threadsafe(|| async { thread::current().id() });
        let loops_thread = loops_thread.result(None).unwrap();
        let (dropped, drops) = mpsc::channel();
        let (begun, has_begun) = mpsc::channel();
        let future = event_loop.run_coroutine_threadsafe(move || async move {
            begun.send(()).unwrap();
            assert!(catch_cancel(pending::<()>()).await.is_err());
            yield_now().await;
            Value(dropped)
        });
        has_begun.recv().unwrap();
        assert!(future.cancel());
        assert_eq!(drops.recv(), Ok(loops_thread));
    });
}

#[test]
fn whoever_waits_hears_of_the_result_when_the_coroutine_is_gone() {
    /// Ready at once; a hand-written future, since an async block that has ended holds nothing any more.
    struct Holds {
        _held: Arc<()>,
    }
    impl Future for Holds {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let (held, holders) = (Arc::new(()), Arc::new(AtomicUsize::new(0)));
    let future = event_loop.handle().run_coroutine_threadsafe({
        let held = held.clone();
        move || Holds { _held: held }
    });
    future.add_done_callback({
        let (held, holders) = (held.clone(), holders.clone());
        move |_| holders.store(Arc::strong_count(&held), Ordering::SeqCst)
    });
    testing::run_once(&event_loop).unwrap();
    testing::run_once(&event_loop).unwrap();
    assert!(future.done());
    assert_eq!(holders.load(Ordering::SeqCst), 2, "this test and the callback");
    event_loop.close().unwrap();
}

/// Behaviour: TSK-107.
#[test]
fn submitted_and_cancelled_on_the_loop_itself_both_sides_are_cancelled() {
    let (event_loop, _) = testing::virtual_loop(testing::ClockMode::AutoJump).unwrap();
    let begun = Rc::new(Cell::new(false));
    event_loop
        .run_until_complete(async {
            let flag = Arc::new(AtomicBool::new(false));
            let is_begun = flag.clone();
            let handle = get_running_loop().unwrap().handle();
            let future = handle.run_coroutine_threadsafe(move || async move {
                is_begun.store(true, Ordering::SeqCst);
                pending::<()>().await;
            });
            yield_now().await;
            assert_eq!(all_tasks().len(), 1);
            assert!(future.cancel());
            begun.set(flag.load(Ordering::SeqCst));
            assert!(future.await.is_err());
            for _ in 0..3 {
                yield_now().await;
            }
            assert_eq!(all_tasks(), []);
            assert!(
                !flag.load(Ordering::SeqCst),
                "cancelled before its first step it never begins"
            );
        })
        .unwrap();
    assert!(!begun.get());
    event_loop.close().unwrap();
}

#[test]
fn a_future_cancelled_before_the_loop_hears_of_it_makes_no_coroutine() {
    let event_loop = EventLoop::new().unwrap();
    let is_made = Arc::new(AtomicBool::new(false));
    let made = is_made.clone();
    let future = event_loop.handle().run_coroutine_threadsafe(move || {
        made.store(true, Ordering::SeqCst);
        async { unreachable!() }
    });
    assert!(future.cancel());
    testing::run_once(&event_loop).unwrap();
    assert!(!is_made.load(Ordering::SeqCst));
    let later = event_loop.handle().run_coroutine_threadsafe(|| async { 1 });
    assert_eq!(event_loop.run_until_complete(later).unwrap(), Ok(1));
}

#[test]
fn a_closure_that_panics_is_reported_and_the_panic_goes_to_who_waits() {
    let reports = beside_a_loop(|event_loop| {
        let (sender, reports) = mpsc::channel();
        let handled = event_loop.run_coroutine_threadsafe(|| async move {
            get_running_loop()
                .unwrap()
                .set_exception_handler(move |_, context| sender.send(context.to_string()).unwrap());
        });
        handled.result(None).unwrap();
        let make = || -> std::future::Ready<()> { panic!("cannot begin") };
        let future = run_coroutine_threadsafe(make, &event_loop);
        assert_eq!(text_of(|| future.result(None)), "cannot begin");
        reports
    });
    let reports: Vec<String> = reports.try_iter().collect();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].contains("cannot begin") && reports[0].contains(file!()), "{reports:?}");
}

#[test]
fn a_panic_that_nobody_waits_for_any_more_is_reported_once() {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_exception_handler({
        let reports = reports.clone();
        move |_, context| reports.borrow_mut().push(context.to_string())
    });
    let coroutine = || async {
        yield_now().await;
        panic!("lost?")
    };
    let dropped = event_loop.handle().run_coroutine_threadsafe::<_, _>(coroutine);
    drop::<concurrent::Future<()>>(dropped);
    let cancelled = event_loop.handle().run_coroutine_threadsafe(|| async {
        let result = catch_cancel(pending::<()>()).await;
        panic!("after the cancel: {result:?}");
    });
    for _ in 0..3 {
        testing::run_once(&event_loop).unwrap();
    }
    let cancelled: concurrent::Future<()> = cancelled;
    assert!(cancelled.cancel());
    for _ in 0..3 {
        testing::run_once(&event_loop).unwrap();
    }
    let reports = reports.borrow();
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert!(reports[0].contains("lost?") && reports[1].contains("after the cancel"), "{reports:?}");
    drop(reports);
    event_loop.close().unwrap();
}

#[test]
fn a_loop_that_is_closed_before_or_meanwhile_cancels_the_future() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let queued = handle.run_coroutine_threadsafe(|| async { 1 });
    event_loop.close().unwrap();
    assert!(queued.result(None).unwrap_err().is_cancelled());
    let refused = run_coroutine_threadsafe(|| async { 2 }, &handle);
    assert!(refused.result(None).unwrap_err().is_cancelled());

    let mut waits = None;
    run(async {
        let handle = get_running_loop().unwrap().handle();
        waits = Some(handle.run_coroutine_threadsafe(pending::<()>));
        yield_now().await;
        yield_now().await;
    })
    .unwrap();
    assert!(waits.unwrap().result(None).unwrap_err().is_cancelled());
}

/// Many threads submit while the loop is closed: each gets a value or hears that there is none.
#[test]
fn whoever_waits_while_the_loop_closes_gets_an_answer() {
    for round in 0..50 {
        let event_loop = EventLoop::new().unwrap();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let handle = event_loop.handle();
                thread::spawn(move || {
                    let mut answers = 0;
                    loop {
                        let future = handle.run_coroutine_threadsafe(|| async {
                            yield_now().await;
                            1
                        });
                        match future.result(Some(Duration::from_secs(60))) {
                            Ok(answer) => answers += answer,
                            Err(error) => {
                                assert!(error.is_cancelled(), "nobody answers");
                                return answers;
                            }
                        }
                    }
                })
            })
            .collect();
        for _ in 0..round {
            testing::run_once(&event_loop).unwrap();
        }
        event_loop.close().unwrap();
        for thread in threads {
            let answers: usize = thread.join().unwrap();
            assert!(answers <= round, "each needs a tick");
        }
    }
}

/// Behaviour: FRE-04.
#[test]
fn ten_workers_submit_and_get_their_answers_and_errors() {
    beside_a_loop(|event_loop| {
        let workers: Vec<_> = (0..10)
            .map(|n| {
                let event_loop = event_loop.clone();
                thread::spawn(move || {
                    let answer = event_loop.run_coroutine_threadsafe(|| async {
                        sleep(Duration::from_millis(1)).await;
                        42
                    });
                    assert_eq!(answer.result(None).unwrap(), 42);
                    let error = event_loop.run_coroutine_threadsafe(move || async move {
                        yield_now().await;
                        Err::<(), _>(n)
                    });
                    assert_eq!(error.result(None).unwrap(), Err(n));
                    let panic = event_loop.run_coroutine_threadsafe(|| async { panic!("mine") });
                    assert_eq!(text_of(|| -> Result<(), _> { panic.result(None) }), "mine");
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

/// Behaviour: FRE-02.
#[test]
fn ten_threads_that_ask_for_all_tasks_while_a_thousand_are_made_miss_none() {
    const TASKS: usize = 1_000;
    beside_a_loop(|event_loop| {
        let made = Arc::new(AtomicUsize::new(0));
        let askers: Vec<_> = (0..10)
            .map(|_| {
                let (event_loop, made) = (event_loop.clone(), made.clone());
                thread::spawn(move || {
                    loop {
                        let before = made.load(Ordering::SeqCst);
                        let seen = tasks_of(&event_loop);
                        // Besides the tasks there is their maker, and up to nine others ask.
                        assert!(seen >= before && seen <= TASKS + 10, "{seen} of {before}");
                        if before == TASKS {
                            return;
                        }
                    }
                })
            })
            .collect();
        let counted = made.clone();
        let maker = event_loop.run_coroutine_threadsafe(move || async move {
            for _ in 0..TASKS {
                create_task(pending::<()>());
                counted.fetch_add(1, Ordering::SeqCst);
                yield_now().await;
            }
        });
        maker.result(None).unwrap();
        for asker in askers {
            asker.join().unwrap();
        }
        assert_eq!(tasks_of(&event_loop), TASKS);
    });
}

/// Behaviour: FRE-01.
#[test]
fn ten_loops_in_ten_threads_know_their_own_hundred_tasks_each() {
    const TASKS: usize = 100;
    async fn exact(is_eager: bool) {
        let event_loop = get_running_loop().unwrap();
        if is_eager {
            event_loop.set_task_factory(eager_task_factory);
        }
        let begun = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let begun = begun.clone();
                create_task(async move {
                    let me = current_task().unwrap().id();
                    begun.borrow_mut().push(me);
                    while begun.borrow().len() < TASKS {
                        yield_now().await;
                    }
                    for _ in 0..10 {
                        yield_now().await;
                        assert_eq!(current_task().unwrap().id(), me);
                        assert_eq!(all_tasks().len(), TASKS);
                    }
                    // Nobody leaves before all have looked.
                    for _ in 0..3 {
                        yield_now().await;
                    }
                })
            })
            .collect();
        let made: Vec<_> = tasks.iter().map(|task| task.id()).collect();
        assert_eq!(begun.borrow().len(), if is_eager { TASKS } else { 0 });
        let listed: Vec<_> = all_tasks().iter().map(|task| task.id()).collect();
        assert_eq!(listed, made);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*begun.borrow(), made);
        assert_eq!(all_tasks(), []);
    }
    let threads: Vec<_> =
        (0..10).map(|n| thread::spawn(move || run(exact(n % 2 == 0)).unwrap())).collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Behaviour: TSK-106.
#[test]
fn a_task_factory_that_panics_is_reported_once_and_the_panic_goes_to_who_waits() {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_exception_handler({
        let reports = reports.clone();
        move |_, context| reports.borrow_mut().push(context.to_string())
    });
    event_loop.set_task_factory(|_| panic!("no tasks today"));
    let future = event_loop.handle().run_coroutine_threadsafe(|| async { 42 });
    testing::run_once(&event_loop).unwrap();
    assert_eq!(text_of(|| future.result(None)), "no tasks today");
    assert_eq!(reports.borrow().len(), 1, "{reports:?}");
    assert!(reports.borrow()[0].contains("no tasks today"), "{reports:?}");

    event_loop.reset_task_factory();
    let future = event_loop.handle().run_coroutine_threadsafe(|| async { 42 });
    assert_eq!(event_loop.run_until_complete(future).unwrap(), Ok(42));
    event_loop.close().unwrap();
}

#[test]
fn on_a_loop_of_eager_tasks_it_works_as_well() {
    beside_a_loop(|event_loop| {
        let make_eager = || async {
            get_running_loop().unwrap().set_task_factory(eager_task_factory);
        };
        event_loop.run_coroutine_threadsafe(make_eager).result(None).unwrap();
        let ready = event_loop.run_coroutine_threadsafe(|| async { 1 });
        assert_eq!(ready.result(None).unwrap(), 1);
        let waits = event_loop.run_coroutine_threadsafe(|| async {
            sleep(Duration::from_millis(1)).await;
            2
        });
        assert_eq!(waits.result(None).unwrap(), 2);
        let stuck = event_loop.run_coroutine_threadsafe(pending::<()>);
        let Err(ResultError::TimedOut(stuck)) = stuck.result(Some(Duration::ZERO)) else {
            panic!()
        };
        assert!(stuck.cancel());
        assert_eq!(tasks_of(&event_loop), 0);
    });
}

/// Whoever waits is cancelled at each point: the coroutine goes on and ends, whatever becomes of its future.
#[test]
fn who_waits_for_a_coroutine_cancelled_anywhere_leaves_it_running_to_its_end() {
    let points = on_loop(
        async || {
            let ended = Arc::new(AtomicBool::new(false));
            let end = ended.clone();
            let handle = get_running_loop().unwrap().handle();
            let future = handle.run_coroutine_threadsafe(move || async move {
                sleep(Duration::from_secs(60)).await;
                end.store(true, Ordering::SeqCst);
                7
            });
            (ended, future)
        },
        async |ended, case| {
            if case.output.is_some() {
                assert_eq!(case.output, Some(Ok(7)));
            } else {
                sleep(Duration::from_secs(120)).await;
            }
            assert!(ended.load(Ordering::SeqCst), "{case}");
            assert_eq!(all_tasks(), []);
        },
    );
    assert_eq!(points, 1);
}

/// The coroutine has a cleanup, and its task is cancelled at each point: nobody is left without an answer.
#[test]
fn a_coroutine_cancelled_anywhere_has_cleaned_up_when_its_future_says_so() {
    for point in 0.. {
        let (event_loop, _) = testing::virtual_loop(testing::ClockMode::AutoJump).unwrap();
        let (begun, cleaned) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (begins, cleans) = (begun.clone(), cleaned.clone());
        let future = event_loop.handle().run_coroutine_threadsafe(move || async move {
            let body = async {
                begins.store(true, Ordering::SeqCst);
                yield_now().await;
                sleep(Duration::from_secs(1)).await;
                7
            };
            let cleanup = async || {
                sleep(Duration::from_secs(1)).await;
                cleans.store(true, Ordering::SeqCst);
            };
            try_finally(body, cleanup).await
        });
        let result = event_loop
            .run_until_complete(async {
                for _ in 0..point {
                    yield_now().await;
                }
                for task in all_tasks() {
                    task.cancel();
                }
                future.await
            })
            .unwrap();
        assert_eq!(
            cleaned.load(Ordering::SeqCst),
            begun.load(Ordering::SeqCst),
            "cancelled after {point} ticks"
        );
        event_loop.close().unwrap();
        if point > 10 {
            assert!(result.is_err(), "it sleeps by then");
            break;
        }
    }
}

/// A coroutine is any future.
#[test]
fn what_is_made_may_be_any_future_and_is_made_on_the_loops_thread() {
    fn boxed() -> Pin<Box<dyn Future<Output = thread::ThreadId>>> {
        let made_by = thread::current().id();
        Box::pin(async move { made_by })
    }
    let (own, made_by) = beside_a_loop(|event_loop| {
        let future = event_loop.run_coroutine_threadsafe(boxed);
        (thread::current().id(), future.result(None).unwrap())
    });
    assert!(own != made_by && made_by == thread::current().id());
}
