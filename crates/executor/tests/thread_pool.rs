//! The pool of threads.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use asyncio_executor::{SubmitErrorReason, ThreadPoolExecutor};
use asyncio_future::concurrent;
use futures_lite::future::block_on;

/// Far beyond what any of these takes, so that only a hang meets it.
const NEVER: Option<Duration> = Some(Duration::from_secs(60));

/// Keeps the only thread of a pool busy until it is dropped.
struct Busy {
    job: Option<concurrent::Future<()>>,
    release: Option<mpsc::Sender<()>>,
}

impl Busy {
    fn of(pool: &ThreadPoolExecutor) -> Self {
        let (release, wait) = mpsc::channel::<()>();
        let (started, starts) = mpsc::channel();
        let job = pool.submit(move || {
            started.send(()).unwrap();
            let _ = wait.recv();
        });
        starts.recv().unwrap();
        Self { job: Some(job.unwrap()), release: Some(release) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        drop(self.release.take());
        self.job.take().unwrap().result(NEVER).unwrap();
    }
}

#[test]
fn a_job_gives_its_result_to_a_thread_and_to_an_await() {
    let pool = ThreadPoolExecutor::new(1);
    assert_eq!(pool.submit(|| 1).unwrap().result(NEVER).unwrap(), 1);
    assert_eq!(block_on(pool.submit(|| 2).unwrap()), Ok(2));
}

#[test]
fn threads_are_started_on_demand_and_used_again() {
    let pool = ThreadPoolExecutor::with_name_prefix("pool", 8);
    assert_eq!(pool.statistics().workers, 0);
    let mut names = HashSet::new();
    for _ in 0..50 {
        let name = pool.submit(|| thread::current().name().unwrap().to_owned()).unwrap();
        names.insert(name.result(NEVER).unwrap());
        // The result is there a moment before the worker has parked.
        while pool.statistics().idle == 0 {
            thread::yield_now();
        }
    }
    assert_eq!(names, HashSet::from([String::from("pool_0")]));
    assert_eq!(pool.statistics().workers, 1);
}

#[test]
fn no_more_threads_than_allowed_run_and_all_that_are_allowed_do() {
    let pool = ThreadPoolExecutor::new(3);
    // Ends only if three run at a time.
    let together = Arc::new(Barrier::new(3));
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let jobs: Vec<_> = (0..30)
        .map(|_| {
            let (together, running, most) = (together.clone(), running.clone(), most.clone());
            pool.submit(move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                together.wait();
                running.fetch_sub(1, Ordering::SeqCst);
            })
            .unwrap()
        })
        .collect();
    for job in jobs {
        job.result(NEVER).unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert_eq!(pool.statistics().workers, 3);
}

#[test]
fn jobs_start_in_the_order_of_submission() {
    let pool = ThreadPoolExecutor::new(1);
    let log = Arc::new(Mutex::new(Vec::new()));
    let busy = Busy::of(&pool);
    for number in 0..100 {
        let log = Arc::clone(&log);
        drop(pool.submit(move || log.lock().unwrap().push(number)).unwrap());
    }
    drop(busy);
    pool.shutdown(true);
    assert_eq!(*log.lock().unwrap(), Vec::from_iter(0..100));
}

#[test]
fn a_panic_reaches_the_awaiter_and_the_thread_lives_on() {
    let pool = ThreadPoolExecutor::new(1);
    let job = pool.submit(|| panic_any(7_u32)).unwrap();
    let payload = catch_unwind(AssertUnwindSafe(|| block_on(job))).unwrap_err();
    assert_eq!(*payload.downcast::<u32>().unwrap(), 7);
    assert_eq!(pool.submit(|| 1).unwrap().result(NEVER).unwrap(), 1);
    assert_eq!(pool.statistics().workers, 1);
}

#[test]
fn a_result_or_closure_whose_drop_panics_does_not_cost_a_thread() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("meant to");
        }
    }
    let pool = ThreadPoolExecutor::new(1);
    let busy = Busy::of(&pool);
    drop(pool.submit(|| Bomb).unwrap());
    let bomb = Bomb;
    let cancelled = pool.submit(move || drop(bomb)).unwrap();
    assert!(cancelled.cancel());
    drop(busy);
    assert_eq!(pool.submit(|| 1).unwrap().result(NEVER).unwrap(), 1);
    assert_eq!(pool.statistics().workers, 1);
}

#[test]
fn a_job_cancelled_before_it_starts_never_runs() {
    let pool = ThreadPoolExecutor::new(1);
    let busy = Busy::of(&pool);
    let (called, calls) = mpsc::channel();
    let job = pool.submit(move || called.send(()).unwrap()).unwrap();
    assert!(job.cancel());
    drop(busy);
    assert!(job.result(NEVER).unwrap_err().is_cancelled());
    pool.shutdown(true);
    assert_eq!(calls.try_recv(), Err(mpsc::TryRecvError::Disconnected), "dropped, not called");
}

#[test]
fn shutdown_does_what_was_submitted_and_takes_no_more() {
    let pool = ThreadPoolExecutor::new(1);
    let busy = Busy::of(&pool);
    let job = pool.submit(|| 1).unwrap();
    pool.shutdown(false);
    let refused = pool.submit(|| 2).unwrap_err();
    assert!(matches!(refused.reason(), SubmitErrorReason::Shutdown));
    assert_eq!(refused.into_inner()(), 2, "the job comes back uncalled");
    drop(busy);
    pool.shutdown(true);
    assert!(job.done());
    assert_eq!(pool.statistics().workers, 0);
}

#[test]
fn shutdown_with_a_timeout_names_what_still_runs() {
    let pool = ThreadPoolExecutor::with_name_prefix("slow", 1);
    let busy = Busy::of(&pool);
    let late = pool.shutdown_timeout(Duration::from_millis(1)).unwrap_err();
    let [job] = late.jobs() else { panic!("one runs: {late}") };
    assert!(job.starts_with("slow_0: thread_pool::Busy::of::"), "{job}");
    assert!(job.contains("thread_pool.rs:"), "{job}");
    drop(busy);
    pool.shutdown_timeout(Duration::from_secs(60)).unwrap();
}

#[test]
fn shutdown_from_inside_a_job_does_not_wait_for_itself() {
    let pool = Arc::new(ThreadPoolExecutor::new(1));
    let inner = Arc::clone(&pool);
    let job = pool.submit(move || inner.shutdown(true)).unwrap();
    job.result(NEVER).unwrap();
    pool.shutdown(true);
}

#[test]
fn dropping_the_pool_still_runs_what_was_submitted() {
    let pool = ThreadPoolExecutor::new(1);
    let busy = Busy::of(&pool);
    let job = pool.submit(|| 1).unwrap();
    drop(pool);
    drop(busy);
    assert_eq!(job.result(NEVER).unwrap(), 1);
}

#[test]
fn pending_jobs_can_be_cancelled_and_running_ones_go_on() {
    let pool = ThreadPoolExecutor::new(1);
    let busy = Busy::of(&pool);
    let jobs: Vec<_> = (0..3).map(|n| pool.submit(move || n).unwrap()).collect();
    pool.shutdown(false);
    assert_eq!(pool.cancel_pending(), 3);
    assert!(jobs.iter().all(concurrent::Future::cancelled));
    drop(busy);
    pool.shutdown(true);
}

/// Two jobs that need each other, two threads, again and again: the moment between a wake-up and
/// the run of the woken thread is when a second wake-up gets lost.
#[test]
fn no_wake_up_of_a_parked_thread_is_lost() {
    let pool = ThreadPoolExecutor::new(2);
    for round in 0..5_000 {
        let (to_b, from_a) = mpsc::channel();
        let (to_a, from_b) = mpsc::channel();
        let a = pool
            .submit(move || {
                to_b.send(()).unwrap();
                from_b.recv().unwrap();
            })
            .unwrap();
        let b = pool
            .submit(move || {
                from_a.recv().unwrap();
                to_a.send(()).unwrap();
            })
            .unwrap();
        for job in [a, b] {
            assert!(job.result(NEVER).is_ok(), "a job waits for a thread in round {round}");
        }
    }
    assert_eq!(pool.statistics().workers, 2);
}

#[test]
fn jobs_from_four_threads_all_run_once() {
    const JOBS: usize = 10_000;
    let pool = ThreadPoolExecutor::new(4);
    let ran = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..JOBS {
                    let ran = Arc::clone(&ran);
                    let job = pool.submit(move || ran.fetch_add(1, Ordering::SeqCst)).unwrap();
                    // Now and then let the workers run dry, so that they park.
                    if number % 64 == 0 {
                        job.result(NEVER).unwrap();
                    }
                }
            });
        }
    });
    pool.shutdown(true);
    assert_eq!(ran.load(Ordering::SeqCst), 4 * JOBS);
}

/// What was accepted runs, what was refused comes back, and nothing is both or neither.
#[test]
fn a_shutdown_in_the_middle_of_submissions_loses_no_job() {
    for round in 0..50 {
        let pool = ThreadPoolExecutor::new(1 + round % 3);
        let (ran, accepted) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (ran, accepted) = (Arc::new(ran), Arc::new(accepted));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    loop {
                        let ran = Arc::clone(&ran);
                        match pool.submit(move || ran.fetch_add(1, Ordering::SeqCst)) {
                            Ok(_job) => accepted.fetch_add(1, Ordering::SeqCst),
                            Err(_) => return,
                        };
                    }
                });
            }
            while accepted.load(Ordering::SeqCst) < 10 {
                thread::yield_now();
            }
            pool.shutdown(true);
        });
        assert_eq!(ran.load(Ordering::SeqCst), accepted.load(Ordering::SeqCst));
        assert_eq!(pool.statistics().workers, 0);
    }
}

#[test]
fn a_job_may_submit_jobs_and_the_last_one_may_drop_the_pool() {
    fn go_on(pool: Arc<ThreadPoolExecutor>, left: u32, end: mpsc::Sender<u32>) {
        if left == 0 {
            drop(pool);
            return end.send(left).unwrap();
        }
        let again = Arc::clone(&pool);
        let job = pool.submit(move || go_on(again, left - 1, end)).unwrap();
        drop((job, pool));
    }
    for workers in [1, 3] {
        let (end, ended) = mpsc::channel();
        go_on(Arc::new(ThreadPoolExecutor::new(workers)), 1_000, end);
        assert_eq!(ended.recv_timeout(NEVER.unwrap()), Ok(0));
    }
}
