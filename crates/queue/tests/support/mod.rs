//! What these tests run on: a first-in-first-out executor with ticks, and cancellation at every point.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

pub(crate) mod model;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use asyncio_cancel_everywhere::between_events;

pub(crate) use crate::driver::block_on;

/// Tasks that run in the order in which they were woken, as on the loop, but by hand.
#[derive(Default)]
pub(crate) struct Tasks<'a> {
    tasks: Vec<Option<Pin<Box<dyn Future<Output = ()> + 'a>>>>,
    wakes: Vec<Arc<TaskWake>>,
    ready: Arc<Ready>,
}

/// The ready queue, and whoever drives it.
#[derive(Default)]
struct Ready {
    queue: Mutex<VecDeque<usize>>,
    driver: Mutex<Option<Waker>>,
}

struct TaskWake {
    id: usize,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWake {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.queue.lock().unwrap().push_back(self.id);
            if let Some(driver) = &*self.ready.driver.lock().unwrap() {
                driver.wake_by_ref();
            }
        }
    }
}

impl<'a> Tasks<'a> {
    /// Queues a task; it runs at the next tick.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + 'a) -> usize {
        let id = self.tasks.len();
        let wake =
            Arc::new(TaskWake { id, queued: AtomicBool::new(false), ready: self.ready.clone() });
        self.tasks.push(Some(Box::pin(task)));
        self.wakes.push(wake.clone());
        wake.wake();
        id
    }

    /// Runs what is ready now, each once.
    pub(crate) fn tick(&mut self) {
        block_on(poll_fn(|_| {
            self.run_ready();
            Poll::Ready(())
        }));
    }

    fn run_ready(&mut self) {
        let batch: Vec<usize> = self.ready.queue.lock().unwrap().drain(..).collect();
        for id in batch {
            self.wakes[id].queued.store(false, Ordering::Relaxed);
            let Some(mut task) = self.tasks[id].take() else { continue };
            let waker = Waker::from(self.wakes[id].clone());
            if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                self.tasks[id] = Some(task);
            }
        }
    }

    /// Ticks until nothing is ready.
    pub(crate) fn settle(&mut self) {
        let mut ticks = 0;
        block_on(poll_fn(|cx| {
            // Whoever drives this polls again because a task is woken, and for no other reason.
            *self.ready.driver.lock().unwrap() = Some(cx.waker().clone());
            self.run_ready();
            ticks += 1;
            assert!(ticks < 1_000, "the tasks never come to rest");
            if self.ready.queue.lock().unwrap().is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        *self.ready.driver.lock().unwrap() = None;
    }

    /// Drops a task.
    pub(crate) fn cancel(&mut self, id: usize) {
        drop(self.tasks[id].take().expect("still running"));
    }

    pub(crate) fn is_done(&self, id: usize) -> bool {
        self.tasks[id].is_none()
    }

    pub(crate) fn all_done(&self) -> bool {
        self.tasks.iter().all(Option::is_none)
    }
}

/// Who got what, in order.
pub(crate) type Log<T> = Rc<RefCell<Vec<T>>>;

/// A tool, other tasks that use it, and what they noted.
pub(crate) struct World<Tool> {
    pub(crate) tool: Rc<Tool>,
    pub(crate) tasks: Tasks<'static>,
    pub(crate) log: Log<u32>,
}

/// Cancels `operation` between any two of `events`, and calls `check` on what is left and the number of events.
///
/// See [`between_events`]: by dropping it and by a request, while it waits, woken, woken in vain, and done.
pub(crate) fn cancel_everywhere<Tool, F: Future<Output = ()>>(
    tool: impl Fn() -> Tool,
    operation: impl Fn(Rc<Tool>, Log<u32>) -> F,
    events: &[fn(&mut World<Tool>)],
    check: impl Fn(&mut World<Tool>, usize),
) {
    let scene = || {
        let log = Log::default();
        let world = World { tool: Rc::new(tool()), tasks: Tasks::default(), log: log.clone() };
        let operation = operation(world.tool.clone(), log);
        (world, operation)
    };
    between_events(scene, events, |world, case| check(world, case.events));
}

/// Polls once, with a waker that does nothing.
pub(crate) fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A waker that notes its calls.
#[derive(Default)]
pub(crate) struct Woken(AtomicUsize);

impl Woken {
    pub(crate) fn new() -> (Arc<Woken>, Waker) {
        let woken = Arc::new(Woken::default());
        (woken.clone(), Waker::from(woken))
    }

    /// How often it was called since this was last asked.
    pub(crate) fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A small generator of random numbers (xorshift), so that a failing seed can be run again.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}
