//! Drives tasks and futures by hand, one poll at a time.
#![allow(dead_code, reason = "each test file uses its own part")]
#![expect(unsafe_code, reason = "a task's scope is made with a promise that an Arc keeps")]

use std::cell::{Cell, OnceCell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use asyncio_coro::context::Captured;
use asyncio_coro::hooks::{
    Clock, GeneratorEnd, GeneratorHooks, LiveGenerator, Report, Reporter, SkipReason, TimerToken,
    set_clock, set_generator_hooks, set_reporter,
};
use asyncio_coro::task::{TaskEnd, TaskInfo, TaskRef, TaskScope};

/// A task without a loop: stepped by the test, whether or not it was woken.
pub(crate) struct TestTask<F: Future> {
    scope: Pin<Box<TaskScope<F>>>,
    keep: Arc<Keep>,
}

/// Keeps a task's facts alive, counts its wakes.
pub(crate) struct Keep {
    info: TaskInfo,
    wakes: AtomicUsize,
}

impl Wake for Keep {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
    }
}

impl<F: Future> TestTask<F> {
    #[track_caller]
    pub(crate) fn new(body: F) -> Self {
        Self::new_in(body, Captured::copy())
    }

    /// A task that runs in `context`.
    #[track_caller]
    pub(crate) fn new_in(body: F, context: Captured) -> Self {
        let keep = Arc::new(Keep { info: TaskInfo::new(), wakes: AtomicUsize::new(0) });
        // SAFETY: the waker of every poll is the Arc that owns the info, and `self` holds one until the scope is dropped.
        let scope = unsafe { TaskScope::new(body, NonNull::from(&keep.info), context) };
        TestTask { scope: Box::pin(scope), keep }
    }

    pub(crate) fn handle(&self) -> TaskRef {
        // SAFETY: the waker is the Arc that owns the info; the test stays on its thread.
        unsafe { TaskRef::new(NonNull::from(&self.keep.info), Waker::from(self.keep.clone())) }
    }

    pub(crate) fn step(&mut self) -> Option<Result<F::Output, TaskEnd>> {
        let waker = Waker::from(self.keep.clone());
        match self.scope.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(end) => Some(end),
            Poll::Pending => None,
        }
    }

    /// Steps until the task ends, as long as it has been woken since its last step.
    pub(crate) fn run(&mut self) -> Option<Result<F::Output, TaskEnd>> {
        self.run_up_to(usize::MAX)
    }

    /// The same, in at most `max` steps.
    pub(crate) fn run_up_to(&mut self, max: usize) -> Option<Result<F::Output, TaskEnd>> {
        for _ in 0..max {
            self.keep.wakes.store(0, Ordering::Relaxed);
            if let Some(end) = self.step() {
                return Some(end);
            }
            if self.keep.wakes.load(Ordering::Relaxed) == 0 {
                break;
            }
        }
        None
    }

    /// How often it was woken since the last step of `run`.
    pub(crate) fn wakes(&self) -> usize {
        self.keep.wakes.load(Ordering::Relaxed)
    }
}

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<&'static str>>>);

impl Log {
    pub(crate) fn push(&self, what: &'static str) {
        self.0.borrow_mut().push(what);
    }

    pub(crate) fn take(&self) -> Vec<&'static str> {
        self.0.take()
    }
}

/// Yields `n` times.
pub(crate) async fn yield_times(n: u32) {
    for _ in 0..n {
        asyncio_coro::yield_now().await;
    }
}

/// Polls `future` once, from inside another future, and goes on with it pending.
pub(crate) async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) {
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// Collects the reports of this thread until it is dropped.
pub(crate) struct Reports {
    seen: Rc<RefCell<Vec<Report>>>,
    previous: Option<Rc<dyn Reporter>>,
}

struct Collector(Rc<RefCell<Vec<Report>>>);

impl Reporter for Collector {
    fn report(&self, report: Report) {
        self.0.borrow_mut().push(report);
    }
}

impl Reports {
    pub(crate) fn collect() -> Self {
        let seen = Rc::new(RefCell::default());
        let previous = set_reporter(Some(Rc::new(Collector(Rc::clone(&seen)))));
        Reports { seen, previous }
    }

    /// Why cleanups were skipped, so far.
    pub(crate) fn reasons(&self) -> Vec<SkipReason> {
        let reason = |report: &Report| match report {
            Report::SkippedCleanup { reason, .. } => Some(*reason),
            _ => None,
        };
        self.seen.borrow().iter().filter_map(reason).collect()
    }

    pub(crate) fn take(&self) -> Vec<Report> {
        self.seen.take()
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        set_reporter(self.previous.take());
    }
}

/// Finishes generators by hand.
#[derive(Default)]
pub(crate) struct Finisher {
    pub(crate) live: RefCell<Vec<LiveGenerator>>,
    pub(crate) ends: RefCell<Vec<GeneratorEnd>>,
}

impl Finisher {
    /// Sets one for this thread; the thread ends with the test.
    pub(crate) fn install() -> Rc<Finisher> {
        let finisher = Rc::new(Finisher::default());
        set_generator_hooks(Some(finisher.clone()));
        finisher
    }

    /// Polls what was dropped to its end; says how many there were.
    pub(crate) fn finish(&self) -> usize {
        let ends = self.ends.take();
        let count = ends.len();
        ends.into_iter().for_each(futures_lite::future::block_on);
        count
    }
}

impl GeneratorHooks for Finisher {
    fn first_iter(&self, generator: LiveGenerator) {
        self.live.borrow_mut().push(generator);
    }

    fn finalize(&self, _site: &'static Location<'static>, end: GeneratorEnd) {
        self.ends.borrow_mut().push(end);
    }
}

/// A clock that stands until it is set, with the timers that were armed on it.
#[derive(Default)]
pub(crate) struct TestClock {
    start: OnceCell<Instant>,
    passed: Cell<Duration>,
    next: Cell<u64>,
    timers: RefCell<Vec<(u64, Instant, Waker)>>,
    /// How often anybody asked for the time.
    pub(crate) readings: Cell<usize>,
}

impl TestClock {
    /// Sets one for this thread; the thread ends with the test.
    pub(crate) fn install() -> Rc<TestClock> {
        let clock = Rc::new(TestClock::default());
        clock.timers.borrow_mut().reserve(8);
        set_clock(Some(clock.clone()));
        clock
    }

    pub(crate) fn at(&self, passed: Duration) -> Instant {
        *self.start.get_or_init(Instant::now) + passed
    }

    /// Moves on and wakes what is due.
    pub(crate) fn advance(&self, by: Duration) {
        self.passed.set(self.passed.get() + by);
        let now = self.at(self.passed.get());
        let mut due = Vec::new();
        self.timers.borrow_mut().retain(|timer| {
            let is_due = timer.1 <= now;
            if is_due {
                due.push(timer.2.clone());
            }
            !is_due
        });
        due.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn armed(&self) -> usize {
        self.timers.borrow().len()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        self.readings.set(self.readings.get() + 1);
        self.at(self.passed.get())
    }

    fn arm(&self, when: Instant, waker: &Waker) -> TimerToken {
        self.next.set(self.next.get() + 1);
        self.timers.borrow_mut().push((self.next.get(), when, waker.clone()));
        TimerToken(self.next.get())
    }

    fn disarm(&self, token: TimerToken) {
        self.timers.borrow_mut().retain(|timer| timer.0 != token.0);
    }
}

/// Polls `future` at most `max` times with a waker that does nothing.
pub(crate) fn poll_up_to<F: Future + ?Sized>(
    mut future: Pin<&mut F>,
    max: usize,
) -> Option<F::Output> {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..max {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return Some(value);
        }
    }
    None
}
