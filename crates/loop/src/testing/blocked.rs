//! `wait_all_tasks_blocked`: a test goes on when the program under test cannot.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::mem;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::event_loop::{EventLoop, Inner};
use crate::running::get_running_loop;

/// Waits until nothing else can run: every other task waits for a timer, a descriptor, another thread, or for each
/// other.
///
/// So a test that has started something can tell that it got as far as it could, without a sleep and without counting
/// ticks. A virtual clock does not move meanwhile. On a loop with descriptors and a virtual clock this waits 2 ms of real
/// time for bytes that the system is delivering. Several tasks that wait for it are woken together.
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Panics
///
/// Panics when no loop is running on this thread.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{get_running_loop, testing};
/// use std::{cell::Cell, rc::Rc};
///
/// testing::run(async {
///     let steps = Rc::new(Cell::new(0));
///     fn count(left: u32, steps: Rc<Cell<u32>>) {
///         steps.set(steps.get() + 1);
///         if left > 1 {
///             get_running_loop().unwrap().call_soon(move || count(left - 1, steps));
///         }
///     }
///     count(10, steps.clone());
///     testing::wait_all_tasks_blocked().await;
///     assert_eq!(steps.get(), 10);
/// })?;
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
pub async fn wait_all_tasks_blocked() {
    let event_loop = match get_running_loop() {
        Ok(event_loop) => event_loop,
        Err(error) => panic!("wait_all_tasks_blocked: {error}"),
    };
    let waiter = Waiter::new(event_loop);
    poll_fn(|cx| {
        if waiter.is_over() {
            return Poll::Ready(());
        }
        waiter.wait(cx.waker());
        Poll::Pending
    })
    .await;
}

/// Who waits until nothing can run.
#[derive(Default)]
pub(crate) struct Blocked {
    /// Counts the times that nothing could run while somebody waited for it.
    times: Cell<u64>,
    /// With the addresses of what keeps their count.
    waiting: RefCell<Vec<(Rc<()>, Waker)>>,
}

impl Blocked {
    pub(crate) fn is_awaited(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }
}

impl Inner {
    /// Wakes those who wait until nothing can run.
    pub(crate) fn tell_all_blocked(&self) {
        self.blocked.times.set(self.blocked.times.get() + 1);
        let waiting = mem::take(&mut *self.blocked.waiting.borrow_mut());
        for (_, waker) in waiting {
            self.contain(|| waker.wake());
        }
    }

    /// Forgets them.
    pub(crate) fn drop_blocked(&self) {
        let waiting = mem::take(&mut *self.blocked.waiting.borrow_mut());
        for (_, waker) in waiting {
            self.contain(|| drop(waker));
        }
    }
}

struct Waiter {
    event_loop: EventLoop,
    since: u64,
    id: Rc<()>,
}

impl Waiter {
    fn new(event_loop: EventLoop) -> Self {
        let since = event_loop.inner().blocked.times.get();
        Self { event_loop, since, id: Rc::new(()) }
    }

    fn is_over(&self) -> bool {
        self.event_loop.inner().blocked.times.get() != self.since
    }

    fn wait(&self, waker: &Waker) {
        let blocked = &self.event_loop.inner().blocked;
        let waker = waker.clone();
        let previous = self.leave();
        blocked.waiting.borrow_mut().push((self.id.clone(), waker));
        drop(previous);
    }

    fn leave(&self) -> Option<Waker> {
        let mut waiting = self.event_loop.inner().blocked.waiting.borrow_mut();
        let at = waiting.iter().position(|(id, _)| Rc::ptr_eq(id, &self.id))?;
        Some(waiting.remove(at).1)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let waker = self.leave();
        drop(waker);
    }
}
