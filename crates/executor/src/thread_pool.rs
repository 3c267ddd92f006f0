//! A pool of threads for blocking calls.
//!
//! Jobs are in a lock-free queue, so that busy workers go from one to the next without a lock. What
//! has to be exact is who sleeps, and that is decided under one mutex:
//!
//! - a job is pushed under it, together with the decision who will run it: a parked worker (its
//!   token in `idle` is taken, and it alone is woken), else a new thread, else (all are busy) nobody:
//!   a worker looks again before it parks;
//! - a worker parks under it: it finds the queue empty, adds its token and listens, or goes on.
//!
//! So a wake-up is never lost, and none goes to a worker that is busy. (`Event::notify(1)` would:
//! it counts a worker that is woken but has not run yet as the one that was asked for.)

use std::cell::Cell;
use std::fmt;
use std::io;
use std::mem;
use std::panic::Location;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use asyncio_future::concurrent;
use concurrent_queue::ConcurrentQueue;
use event_listener::{Event, EventListener, IntoNotification, Listener};

use crate::error::{StillRunning, SubmitError, SubmitErrorReason};
use crate::job::{Call, Job, JobName, quietly};

/// A pool of threads for calls that block: asyncio's default executor is one.
///
/// Threads are started on demand, up to a maximum, and kept until the pool is shut down. Jobs start
/// in the order of submission. Dropping the pool shuts it down without waiting: what was submitted
/// still runs.
///
/// # Examples
///
/// ```
/// use asyncio_executor::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::new(2);
/// let length = pool.submit(|| "spam".len()).unwrap();
/// assert_eq!(length.result(None).unwrap(), 4); // or: length.await
/// pool.shutdown(true);
/// ```
pub struct ThreadPoolExecutor {
    pool: Arc<Pool>,
}

/// Numbers of a [`ThreadPoolExecutor`] at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadPoolStatistics {
    /// The most threads it will have.
    pub max_workers: usize,
    /// Threads it has.
    pub workers: usize,
    /// Of these, how many wait for a job.
    pub idle: usize,
    /// Jobs that have not started.
    pub queued: usize,
}

struct Pool {
    /// Pushed to under `state`.
    jobs: ConcurrentQueue<Box<dyn Job>>,
    state: Mutex<State>,
    /// Parked workers listen.
    work: Event,
    /// Whoever waits for the last worker to end listens.
    ended: Event,
    max_workers: usize,
    prefix: String,
}

struct State {
    /// Parked workers that nobody has been sent to wake.
    idle: usize,
    /// Workers that have not ended.
    live: usize,
    /// Every worker ever started, by number, until they are joined.
    workers: Vec<Worker>,
    shutdown: bool,
}

struct Worker {
    thread: JoinHandle<()>,
    current: Arc<Mutex<Option<JobName>>>,
}

thread_local! {
    /// The pool this thread works for; only compared.
    static EMPLOYER: Cell<*const Pool> = const { Cell::new(ptr::null()) };
}

impl ThreadPoolExecutor {
    /// A pool of at most `max_workers` threads; 0 stands for asyncio's default, the number of
    /// processors + 4, at most 32. No thread is started yet.
    pub fn new(max_workers: usize) -> Self {
        Self::with_name_prefix("ThreadPoolExecutor", max_workers)
    }

    /// As [`new`](Self::new), with threads named `prefix_0`, `prefix_1`, …
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = asyncio_executor::ThreadPoolExecutor::with_name_prefix("db", 1);
    /// let name = pool.submit(|| std::thread::current().name().map(String::from)).unwrap();
    /// assert_eq!(name.result(None).unwrap().as_deref(), Some("db_0"));
    /// ```
    pub fn with_name_prefix(prefix: impl Into<String>, max_workers: usize) -> Self {
        let state = State { idle: 0, live: 0, workers: Vec::new(), shutdown: false };
        let pool = Pool {
            jobs: ConcurrentQueue::unbounded(),
            state: Mutex::new(state),
            work: Event::new(),
            ended: Event::new(),
            max_workers: if max_workers == 0 { default_workers() } else { max_workers },
            // A thread's name must not contain NUL.
            prefix: prefix.into().replace('\0', ""),
        };
        Self { pool: Arc::new(pool) }
    }

    /// Has a thread call `f`.
    ///
    /// The future gives what `f` returns; if `f` panics, the panic goes on in whoever takes the
    /// result. Cancelled before a thread begins, `f` is never called; later, it runs to its end.
    ///
    /// # Errors
    ///
    /// `f`, when the pool was shut down, or has no thread at all and cannot start one.
    #[track_caller]
    pub fn submit<F, T>(&self, f: F) -> Result<concurrent::Future<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.submit_with(f, (), Location::caller())
    }

    /// As `submit`; `after` is dropped once the result is there and its awaiter woken.
    pub(crate) fn submit_with<F, T, G>(
        &self,
        f: F,
        after: G,
        site: &'static Location<'static>,
    ) -> Result<concurrent::Future<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
        G: Send + 'static,
    {
        let (promise, future) = concurrent::promise();
        let call = Box::new(Call::new(f, promise, after, site));
        match self.pool.submit(call) {
            Ok(()) => Ok(future),
            Err((call, reason)) => Err(SubmitError::new(call.function, reason)),
        }
    }

    /// Takes no more jobs; the threads end when all that were submitted are done. With `wait`,
    /// blocks until they have (not when called from a job of this pool, which would be for ever).
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = asyncio_executor::ThreadPoolExecutor::new(1);
    /// let job = pool.submit(|| 1).unwrap();
    /// pool.shutdown(true);
    /// assert!(job.done());
    /// assert!(pool.submit(|| 2).is_err());
    /// ```
    pub fn shutdown(&self, wait: bool) {
        self.pool.close();
        if wait {
            self.pool.join(None).expect("without a deadline there is nothing to miss");
        }
    }

    /// As `shutdown(true)`, but waits at most for `timeout` of real time.
    ///
    /// # Errors
    ///
    /// [`StillRunning`] names the jobs that run on; their threads end after them.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{sync::mpsc, time::Duration};
    ///
    /// let pool = asyncio_executor::ThreadPoolExecutor::new(1);
    /// let (release, wait) = mpsc::channel();
    /// let job = pool.submit(move || wait.recv()).unwrap();
    /// while !job.running() { std::thread::yield_now() }
    /// let late = pool.shutdown_timeout(Duration::ZERO).unwrap_err();
    /// assert_eq!((late.jobs().len(), late.pending()), (1, 0));
    /// release.send(()).unwrap();
    /// assert!(job.result(None).unwrap().is_ok());
    /// ```
    pub fn shutdown_timeout(&self, timeout: Duration) -> Result<(), StillRunning> {
        self.pool.close();
        self.pool.join(Instant::now().checked_add(timeout))
    }

    /// Cancels the jobs that have not started, and says how many there were. asyncio's
    /// `shutdown(cancel_futures=True)` is this after a `shutdown(false)`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::mpsc;
    /// let pool = asyncio_executor::ThreadPoolExecutor::new(1);
    /// let (release, wait) = mpsc::channel::<()>();
    /// let busy = pool.submit(move || drop(wait.recv())).unwrap();
    /// while !busy.running() { std::thread::yield_now() }
    /// let queued = pool.submit(|| unreachable!("never called")).unwrap();
    /// assert_eq!(pool.cancel_pending(), 1);
    /// assert!(queued.cancelled());
    /// # drop(release);
    /// ```
    pub fn cancel_pending(&self) -> usize {
        let mut cancelled = 0;
        while let Ok(job) = self.pool.jobs.pop() {
            // The drop of its promise cancels the future. Code of the user's runs in it.
            quietly(|| drop(job));
            cancelled += 1;
        }
        cancelled
    }

    /// Numbers for a look from outside.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = asyncio_executor::ThreadPoolExecutor::new(3);
    /// assert_eq!((pool.statistics().max_workers, pool.statistics().workers), (3, 0));
    /// ```
    pub fn statistics(&self) -> ThreadPoolStatistics {
        let state = self.pool.lock();
        ThreadPoolStatistics {
            max_workers: self.pool.max_workers,
            workers: state.live,
            idle: state.idle,
            queued: self.pool.jobs.len(),
        }
    }

    /// Completes when it was shut down and the last thread has done its last job.
    pub(crate) fn ended(&self) -> impl Future<Output = ()> + 'static {
        let pool = Arc::clone(&self.pool);
        async move {
            while let Some(listener) = pool.listen_until_ended() {
                listener.await;
            }
            pool.join_ended();
        }
    }

    /// What runs now, by thread, function and place.
    pub(crate) fn running(&self) -> Vec<String> {
        self.pool.running()
    }
}

impl Pool {
    /// Queues the job, with somebody on the way to run it; or gives it back.
    fn submit<J: Job + 'static>(
        self: &Arc<Self>,
        job: Box<J>,
    ) -> Result<(), (Box<J>, SubmitErrorReason)> {
        let mut state = self.lock();
        if state.shutdown {
            return Err((job, SubmitErrorReason::Shutdown));
        }
        let parked = state.idle > 0;
        if parked {
            state.idle -= 1;
        } else if state.live < self.max_workers {
            match self.start_worker(&mut state) {
                Err(error) if state.live == 0 => {
                    return Err((job, SubmitErrorReason::Thread(error)));
                }
                // The threads there are will come to it.
                Err(_) | Ok(()) => {}
            }
        }
        let pushed = self.jobs.push(job);
        assert!(pushed.is_ok(), "the queue is unbounded and never closed");
        drop(state);
        if parked {
            self.work.notify(1.additional());
        }
        Ok(())
    }

    /// Under the lock, so that nobody counts on a thread that then does not start. It happens
    /// at most `max_workers` times.
    fn start_worker(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        let current = Arc::new(Mutex::new(None));
        let (pool, slot) = (Arc::clone(self), Arc::clone(&current));
        let thread = thread::Builder::new()
            .name(format!("{}_{}", self.prefix, state.workers.len()))
            .spawn(move || pool.work(&slot))?;
        state.workers.push(Worker { thread, current });
        state.live += 1;
        Ok(())
    }

    /// A worker's life.
    fn work(&self, current: &Mutex<Option<JobName>>) {
        EMPLOYER.set(self);
        while let Some(job) = self.next() {
            set(current, Some(job.name()));
            job.run();
            set(current, None);
        }
        self.ended.notify(usize::MAX);
    }

    /// The next job, however long it takes; `None`: this worker's life is over, and it is counted
    /// as ended.
    fn next(&self) -> Option<Box<dyn Job>> {
        loop {
            if let Ok(job) = self.jobs.pop() {
                return Some(job);
            }
            let mut state = self.lock();
            // Jobs are pushed under this lock: empty now means that whoever comes sees our token.
            if let Ok(job) = self.jobs.pop() {
                return Some(job);
            }
            if state.shutdown {
                state.live -= 1;
                return None;
            }
            state.idle += 1;
            let listener = self.work.listen();
            drop(state);
            listener.wait();
        }
    }

    fn close(&self) {
        let mut state = self.lock();
        state.shutdown = true;
        // All are woken, nobody will be sent to them any more.
        state.idle = 0;
        drop(state);
        self.work.notify(usize::MAX);
    }

    fn join(&self, deadline: Option<Instant>) -> Result<(), StillRunning> {
        if ptr::eq(EMPLOYER.get(), self) {
            return Ok(());
        }
        while let Some(listener) = self.listen_until_ended() {
            match deadline {
                None => listener.wait(),
                Some(deadline) => {
                    if listener.wait_deadline(deadline).is_none() && self.lock().live > 0 {
                        return Err(StillRunning::new(self.running(), self.jobs.len()));
                    }
                }
            }
        }
        self.join_ended();
        Ok(())
    }

    fn listen_until_ended(&self) -> Option<EventListener> {
        let state = self.lock();
        (state.live > 0).then(|| self.ended.listen())
    }

    /// Joins threads that have nothing to do any more but to end.
    fn join_ended(&self) {
        let workers = mem::take(&mut self.lock().workers);
        for worker in workers {
            // A worker never panics; if one did, its jobs have told their awaiters.
            let _ = worker.thread.join();
        }
    }

    fn running(&self) -> Vec<String> {
        let state = self.lock();
        let name = |worker: &Worker| {
            let job = (*worker.current.lock().unwrap_or_else(PoisonError::into_inner))?;
            Some(format!("{}: {job}", worker.thread.thread().name().unwrap_or("?")))
        };
        state.workers.iter().filter_map(name).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of a user runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ThreadPoolExecutor {
    fn drop(&mut self) {
        self.pool.close();
    }
}

impl fmt::Debug for ThreadPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ThreadPoolStatistics { max_workers, workers, idle, queued } = self.statistics();
        f.debug_struct("ThreadPoolExecutor")
            .field("max_workers", &max_workers)
            .field("workers", &workers)
            .field("idle", &idle)
            .field("queued", &queued)
            .finish()
    }
}

fn set(current: &Mutex<Option<JobName>>, job: Option<JobName>) {
    *current.lock().unwrap_or_else(PoisonError::into_inner) = job;
}

/// asyncio's number: blocking calls mostly wait, and 32 is enough to keep a disk busy.
fn default_workers() -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    (processors + 4).min(32)
}
