//! Blocking calls from a loop.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc::TryRecvError;
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use asyncio_coro::CancelScope;
use asyncio_executor::{
    SubmitErrorReason, ThreadPoolExecutor, run_in_executor, set_default_executor, to_thread,
};
use asyncio_loop::{EventLoop, get_running_loop, run, testing};
use futures_lite::future::{block_on, poll_fn, poll_once, zip};

/// A default executor with one thread, which is busy until the sender is dropped.
fn busy_executor() -> mpsc::Sender<()> {
    let executor = Arc::new(ThreadPoolExecutor::new(1));
    set_default_executor(Arc::clone(&executor)).unwrap();
    let (release, wait) = mpsc::channel::<()>();
    let (started, starts) = mpsc::channel();
    let job = executor.submit(move || {
        started.send(()).unwrap();
        let _ = wait.recv();
    });
    drop(job.unwrap());
    starts.recv().unwrap();
    release
}

#[test]
fn the_call_is_made_in_another_thread_named_after_asyncio() {
    let name = run(to_thread(|| thread::current().name().map(String::from)));
    let name = name.unwrap().unwrap();
    assert!(name.starts_with("asyncio_"), "{name}");
}

#[test]
fn the_loop_turns_while_threads_work() {
    run(async {
        let (send, receive) = mpsc::channel();
        let waiting = to_thread(move || receive.recv().unwrap());
        let (answer, ()) = zip(waiting, async {
            asyncio_coro::yield_now().await;
            send.send(42).unwrap();
        })
        .await;
        assert_eq!(answer, 42);
    })
    .unwrap();
}

#[test]
fn nothing_happens_before_the_first_poll() {
    let (called, calls) = mpsc::channel();
    run(async { drop(to_thread(move || called.send(()).unwrap())) }).unwrap();
    assert_eq!(calls.try_recv(), Err(TryRecvError::Disconnected), "dropped, not called");
}

#[test]
fn a_panic_goes_on_in_the_awaiter_with_its_payload() {
    let payload =
        catch_unwind(AssertUnwindSafe(|| run(to_thread(|| panic_any(7_u32))))).unwrap_err();
    assert_eq!(*payload.downcast::<u32>().unwrap(), 7);
}

#[test]
fn a_call_dropped_before_a_thread_begins_is_never_made() {
    let (called, calls) = mpsc::channel();
    run(async {
        let release = busy_executor();
        let mut call = Box::pin(to_thread(move || called.send(()).unwrap()));
        assert!(poll_once(&mut call).await.is_none());
        drop(call);
        drop(release);
        // The end of the run joins the executor: what was queued has been looked at.
    })
    .unwrap();
    assert_eq!(calls.try_recv(), Err(TryRecvError::Disconnected), "dropped, not called");
}

#[test]
fn a_call_dropped_once_it_runs_goes_on_and_its_result_is_dropped() {
    let result = Arc::new(());
    let (proceed, wait) = mpsc::channel::<()>();
    let (ended, ends) = mpsc::channel();
    let returned = Arc::clone(&result);
    run(async move {
        let (started, starts) = mpsc::channel();
        let mut call = Box::pin(to_thread(move || {
            started.send(()).unwrap();
            wait.recv().unwrap();
            ended.send(()).unwrap();
            returned
        }));
        assert!(poll_once(&mut call).await.is_none());
        starts.recv().unwrap();
        // Returns at once: nobody waits for the thread.
        drop(call);
        proceed.send(()).unwrap();
    })
    .unwrap();
    ends.recv().unwrap();
    assert_eq!(Arc::strong_count(&result), 1);
}

/// Cancelled, not merely dropped: the canceller does not wait for the thread.
#[test]
fn cancelling_who_awaits_a_call_that_runs_returns_at_once() {
    let (proceed, wait) = mpsc::channel::<()>();
    run(async {
        let scope = CancelScope::new();
        let canceller = scope.clone();
        let call = to_thread(move || wait.recv().is_err());
        get_running_loop().unwrap().call_soon(move || canceller.cancel());
        assert!(scope.run(call).await.is_err());
        // Only now the thread may go on.
        drop(proceed);
    })
    .unwrap();
}

#[test]
fn run_in_executor_starts_at_once_and_by_itself() {
    let (send, receive) = mpsc::channel();
    run(async {
        drop(run_in_executor(None, move || send.send(1).unwrap()).unwrap());
    })
    .unwrap();
    assert_eq!(receive.recv(), Ok(1), "a handle that was never awaited lets the job go its way");
}

#[test]
fn run_in_executor_dropped_while_awaited_cancels_what_has_not_begun() {
    let (called, calls) = mpsc::channel();
    run(async {
        let release = busy_executor();
        let mut job = run_in_executor(None, move || called.send(()).unwrap()).unwrap();
        assert!(poll_once(&mut job).await.is_none());
        drop(job);
        drop(release);
    })
    .unwrap();
    assert_eq!(calls.try_recv(), Err(TryRecvError::Disconnected), "dropped, not called");
}

#[test]
fn run_in_executor_can_be_cancelled_and_says_so() {
    run(async {
        let release = busy_executor();
        let job = run_in_executor(None, || unreachable!()).unwrap();
        assert!(!job.done() && job.cancel() && job.done());
        assert!(job.await.is_err());
        drop(release);
    })
    .unwrap();
}

#[test]
fn run_in_executor_takes_an_executor_also_without_a_loop() {
    let pool = ThreadPoolExecutor::with_name_prefix("mine", 1);
    let name = run_in_executor(Some(&pool), || thread::current().name().map(String::from));
    assert_eq!(block_on(name.unwrap()).unwrap().as_deref(), Some("mine_0"));
    let refused = run_in_executor(None, || 5).unwrap_err();
    assert!(matches!(refused.reason(), SubmitErrorReason::NoRunningLoop));
    assert_eq!(refused.into_inner()(), 5);
}

#[test]
fn to_thread_without_a_loop_panics_and_says_where() {
    let call = to_thread(|| ());
    let payload = catch_unwind(AssertUnwindSafe(|| block_on(call))).unwrap_err();
    let message = payload.downcast::<String>().unwrap();
    assert!(message.contains("to_thread.rs:"), "{message}");
    assert!(message.ends_with("no event loop runs on this thread"), "{message}");
}

#[test]
fn the_end_of_the_run_waits_for_the_jobs() {
    let (release, wait) = mpsc::channel::<()>();
    let (send, receive) = mpsc::channel();
    let (main_ends, ended) = mpsc::channel::<()>();
    let releaser = thread::spawn(move || {
        assert!(ended.recv().is_err(), "the main future is gone");
        // An end that does not wait has time to come first.
        (0..100).for_each(|_| thread::yield_now());
        drop(release);
    });
    run(async move {
        let _main_ends = main_ends;
        drop(run_in_executor(None, move || {
            let _ = wait.recv();
            send.send(()).unwrap();
        }));
    })
    .unwrap();
    assert_eq!(receive.try_recv(), Ok(()));
    releaser.join().unwrap();
}

/// Behaviour: BEV-10.
#[test]
fn what_runs_longer_than_the_grace_is_abandoned_and_reported_by_name() {
    let (release, wait) = mpsc::channel::<()>();
    let (event_loop, clock) = testing::virtual_loop(testing::ClockMode::Frozen).unwrap();
    let report = Rc::new(RefCell::new(String::new()));
    let sink = Rc::clone(&report);
    event_loop.set_exception_handler(move |_, context| {
        sink.borrow_mut().push_str(context.message());
    });
    /// Lets a minute pass in each tick.
    fn pass(clock: testing::VirtualClock) {
        clock.advance(Duration::from_secs(60));
        if let Ok(event_loop) = get_running_loop() {
            event_loop.call_soon(move || pass(clock));
        }
    }
    let queued = testing::run_with(&event_loop, async {
        let executor = Arc::new(ThreadPoolExecutor::with_name_prefix("slow", 1));
        set_default_executor(executor).unwrap();
        let (started, starts) = mpsc::channel();
        drop(run_in_executor(None, move || {
            started.send(()).unwrap();
            let _ = wait.recv();
        }));
        starts.recv().unwrap();
        pass(clock);
        [run_in_executor(None, || unreachable!("queued behind it")).unwrap()]
    });
    assert!(queued.unwrap()[0].done(), "what waited behind it was cancelled");
    let report = report.borrow();
    assert!(report.contains("slow_0: to_thread::what_runs_longer"), "{report}");
    assert!(report.contains("to_thread.rs:"), "{report}");
    drop(release);
}

#[test]
fn when_the_default_executor_was_shut_down_jobs_are_refused() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.run_until_complete(to_thread(|| ())).unwrap();
    let executor = Arc::new(ThreadPoolExecutor::new(1));
    event_loop
        .run_until_complete(async { set_default_executor(executor.clone()) })
        .unwrap()
        .unwrap();
    event_loop.close().unwrap();
    assert!(executor.submit(|| ()).is_err(), "the loop has shut it down");
}

/// Behaviour: BEV-09.
#[test]
fn a_default_executor_of_ones_own_is_used_and_the_old_one_comes_back() {
    run(async {
        let mine = Arc::new(ThreadPoolExecutor::with_name_prefix("mine", 1));
        assert!(set_default_executor(Arc::clone(&mine)).unwrap().is_none());
        let name = to_thread(|| thread::current().name().map(String::from)).await;
        assert_eq!(name.as_deref(), Some("mine_0"));
        let other = Arc::new(ThreadPoolExecutor::new(1));
        assert!(Arc::ptr_eq(&set_default_executor(other).unwrap().unwrap(), &mine));
    })
    .unwrap();
}

/// Behaviour: EVT-12.
#[test]
fn a_result_that_comes_after_the_loop_was_closed_is_dropped() {
    let result = Arc::new(());
    let returned = Arc::clone(&result);
    let (proceed, wait) = mpsc::channel::<()>();
    let pool = ThreadPoolExecutor::new(1);
    let event_loop = EventLoop::new().unwrap();
    let job = event_loop.run_until_complete(async {
        let mut job = run_in_executor(Some(&pool), move || {
            wait.recv().unwrap();
            returned
        })
        .unwrap();
        assert!(poll_once(&mut job).await.is_none());
        [job]
    });
    event_loop.close().unwrap();
    proceed.send(()).unwrap();
    pool.shutdown(true);
    drop(job);
    assert_eq!(Arc::strong_count(&result), 1);
}

#[test]
fn a_virtual_clock_stands_still_while_a_job_is_under_way() {
    let jumped = Rc::new(Cell::new(false));
    let mark = Rc::clone(&jumped);
    testing::run(async move {
        let event_loop = get_running_loop().unwrap();
        event_loop.call_later(Duration::from_secs(3600), move || mark.set(true));
        // Real time passes, and the loop has nothing else to do.
        to_thread(|| (0..1000).for_each(|_| thread::yield_now())).await;
        assert!(!jumped.get(), "the clock ran away");
    })
    .unwrap();
}

#[test]
fn ten_thousand_calls_wake_their_awaiters() {
    run(async {
        for number in 0..10_000 {
            assert_eq!(to_thread(move || number).await, number);
        }
    })
    .unwrap();
}

#[test]
fn a_call_is_polled_only_when_there_is_something_new() {
    run(async {
        let mut polls = 0;
        let mut call = pin!(to_thread(|| 1));
        let one = poll_fn(|cx| {
            polls += 1;
            match call.as_mut().poll(cx) {
                Poll::Ready(one) => Poll::Ready((one, polls)),
                Poll::Pending => Poll::Pending,
            }
        });
        let (one, polls) = one.await;
        assert_eq!(one, 1);
        assert!(polls <= 2, "{polls} polls");
    })
    .unwrap();
}
