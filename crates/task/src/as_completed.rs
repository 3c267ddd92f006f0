//! `as_completed`: tasks in the order in which they end.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use asyncio_coro::Stream;
use asyncio_loop::get_running_loop;

use crate::members::Members;
use crate::sleep::{Sleep, sleep_until};
use crate::task::Task;
use crate::timeout::TimeoutError;

/// Gives tasks back in the order in which they end, each as soon as it has ended: as a [`Stream`], or as an iterator of
/// futures.
///
/// What comes out are the very tasks that went in; awaiting one gives its result at once. Nothing is cancelled: a task that
/// has not come out when all of this is dropped goes on, detached.
///
/// As an iterator it gives as many futures as there are tasks. The first of them that is polled gives the first task that
/// ends, the second the second, whichever they are; they may be awaited one by one, concurrently, or not at all.
///
/// # Examples
///
/// ```
/// use asyncio_task::{as_completed, create_task, sleep};
/// use futures_lite::StreamExt;
/// use std::time::Duration;
///
/// asyncio_loop::testing::run(async {
///     let sleepers = [3, 1, 2].map(|n| create_task(async move {
///         sleep(Duration::from_secs(n)).await;
///         n
///     }));
///     let mut ended = as_completed(sleepers);
///     assert_eq!(ended.next().await.unwrap().await.unwrap(), 1);
///     for next in ended {
///         println!("then {}", next.await.await.unwrap());
///     }
/// }).unwrap();
/// ```
pub fn as_completed<T>(tasks: impl IntoIterator<Item = Task<T>>) -> AsCompleted<T> {
    let tasks: Vec<_> = tasks.into_iter().map(Some).collect();
    AsCompleted {
        line: Rc::new(Line {
            left: Cell::new(tasks.len()),
            course: Cell::new(Some(Course {
                tasks,
                members: Members::new(),
                ended: VecDeque::new(),
                deadline: None,
                is_late: false,
            })),
            is_over: Cell::new(false),
            waiting: RefCell::default(),
            tickets: Cell::new(0),
        }),
        next: None,
        limit: PhantomData,
    }
}

/// Tasks in the order in which they end; see [`as_completed`].
///
/// # Cancel safety
///
/// Nothing is lost: a task that ended while nobody waited comes out next.
#[must_use = "streams do nothing unless polled"]
pub struct AsCompleted<T, L = Unlimited> {
    line: Rc<Line<T>>,
    /// The stream's own wait for the next task.
    next: Option<NextCompleted<T, L>>,
    limit: PhantomData<L>,
}

/// The next task of an [`AsCompleted`] to end.
///
/// # Cancel safety
///
/// Nothing is lost: whoever is next gets the task.
#[must_use = "futures do nothing unless awaited"]
pub struct NextCompleted<T, L = Unlimited> {
    line: Rc<Line<T>>,
    ticket: Option<u64>,
    /// Whether a task was found, in the last poll, that had ended since the poll before it.
    is_settled: bool,
    limit: PhantomData<L>,
}

impl<T> AsCompleted<T> {
    /// Waits no longer than `delay`, on the loop's clock, from now.
    ///
    /// Then the stream gives a [`TimeoutError`] and ends, and so does each future that is left. Tasks that had ended by then
    /// come out before; the others go on.
    ///
    /// # Panics
    ///
    /// Panics when no loop is running.
    ///
    /// ```
    /// use asyncio_task::{as_completed, create_task, sleep};
    /// use futures_lite::StreamExt;
    /// use std::time::Duration;
    ///
    /// asyncio_loop::testing::run(async {
    ///     let tasks = [1, 60].map(|n| create_task(sleep(Duration::from_secs(n))));
    ///     let mut ended = as_completed(tasks).timeout(Duration::from_secs(2));
    ///     assert!(ended.next().await.unwrap().is_ok());
    ///     assert!(ended.next().await.unwrap().is_err());
    ///     assert!(ended.next().await.is_none());
    /// }).unwrap();
    /// ```
    pub fn timeout(self, delay: Duration) -> AsCompleted<T, Limited> {
        let event_loop = match get_running_loop() {
            Ok(event_loop) => event_loop,
            Err(error) => panic!("as_completed: {error}"),
        };
        // A time that the clock cannot show never comes.
        if let Some(when) = event_loop.time().checked_add(delay) {
            self.line.set_deadline(sleep_until(when));
        }
        AsCompleted { line: self.line, next: None, limit: PhantomData }
    }
}

/// What an [`AsCompleted`] gives: a task, or a result where there is a timeout. Nobody else implements it.
pub trait Limit<T> {
    /// What comes out.
    type Item;

    #[doc(hidden)]
    fn __task(task: Task<T>) -> Self::Item;

    #[doc(hidden)]
    fn __late(error: TimeoutError) -> Self::Item;
}

/// There is no timeout.
#[derive(Debug)]
pub struct Unlimited(());

/// There is a timeout.
#[derive(Debug)]
pub struct Limited(());

impl<T> Limit<T> for Unlimited {
    type Item = Task<T>;

    fn __task(task: Task<T>) -> Task<T> {
        task
    }

    fn __late(_: TimeoutError) -> Task<T> {
        unreachable!("without a timeout nothing is late")
    }
}

impl<T> Limit<T> for Limited {
    type Item = Result<Task<T>, TimeoutError>;

    fn __task(task: Task<T>) -> Self::Item {
        Ok(task)
    }

    fn __late(error: TimeoutError) -> Self::Item {
        Err(error)
    }
}

impl<T, L> Unpin for AsCompleted<T, L> {}

impl<T, L: Limit<T>> Stream for AsCompleted<T, L> {
    type Item = L::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<L::Item>> {
        let line = self.line.clone();
        if line.left.get() == 0 || line.is_over.get() {
            self.next = None;
            return Poll::Ready(None);
        }
        let next = self.next.get_or_insert_with(|| NextCompleted::new(line.clone()));
        let item = std::task::ready!(Pin::new(next).poll(cx));
        self.next = None;
        Poll::Ready(Some(item))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.line.left.get()))
    }
}

impl<T, L: Limit<T>> IntoIterator for AsCompleted<T, L> {
    type Item = NextCompleted<T, L>;
    type IntoIter = IntoIter<T, L>;

    fn into_iter(self) -> IntoIter<T, L> {
        IntoIter { left: self.line.left.get(), line: self.line, limit: PhantomData }
    }
}

/// Futures of the next tasks to end: the iterator of [`AsCompleted`].
pub struct IntoIter<T, L = Unlimited> {
    line: Rc<Line<T>>,
    left: usize,
    limit: PhantomData<L>,
}

impl<T, L: Limit<T>> Iterator for IntoIter<T, L> {
    type Item = NextCompleted<T, L>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(NextCompleted::new(self.line.clone()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T, L: Limit<T>> ExactSizeIterator for IntoIter<T, L> {}

/// The tasks, and those who wait for the next one to end, first come, first served.
struct Line<T> {
    /// How many tasks have not come out.
    left: Cell<usize>,
    /// Taken out while it is used, which runs code of wakers.
    course: Cell<Option<Course<T>>>,
    /// Somebody has been told that the time is up.
    is_over: Cell<bool>,
    waiting: RefCell<VecDeque<(u64, Waker)>>,
    tickets: Cell<u64>,
}

/// What has become of the tasks.
struct Course<T> {
    /// Each until it has come out.
    tasks: Vec<Option<Task<T>>>,
    members: Members,
    /// The numbers of those that have ended and not come out, in that order.
    ended: VecDeque<usize>,
    deadline: Option<Sleep>,
    is_late: bool,
}

impl<T> Course<T> {
    /// Looks who has ended since the last time; on behalf of the first in the line, whose waker is `cx`'s. Says how many,
    /// and whether the time has just come to its end.
    fn look(&mut self, running: usize, cx: &mut Context<'_>) -> (usize, bool) {
        let Self { tasks, members, ended, deadline, is_late } = self;
        let before = ended.len();
        if !*is_late {
            members.poll(
                cx,
                tasks.len(),
                |index| tasks[index].as_ref().expect("it has not come out").handle(),
                |index| ended.push_back(index),
            );
        }
        let found = ended.len() - before;
        if ended.len() == running {
            *deadline = None;
        }
        let is_up =
            deadline.as_mut().is_some_and(|deadline| Pin::new(deadline).poll(cx).is_ready());
        if is_up {
            *deadline = None;
            *is_late = true;
        }
        (found, is_up)
    }
}

impl<T> Line<T> {
    fn set_deadline(&self, deadline: Sleep) {
        if let Some(mut course) = self.course.take() {
            course.deadline = Some(deadline);
            self.course.set(Some(course));
        }
    }

    /// Wakes the first `count` in the line.
    fn wake(&self, count: usize) {
        let first: Vec<_> =
            self.waiting.borrow().iter().take(count).map(|(_, waker)| waker.clone()).collect();
        first.into_iter().for_each(Waker::wake);
    }

    /// Takes a place at the end of the line, or keeps it. Says whether it is the first.
    fn stand(&self, ticket: &mut Option<u64>, waker: &Waker) -> bool {
        let waker = waker.clone();
        let mut waiting = self.waiting.borrow_mut();
        let number = *ticket.get_or_insert_with(|| {
            self.tickets.set(self.tickets.get() + 1);
            self.tickets.get()
        });
        let stale = match waiting.iter_mut().find(|(other, _)| *other == number) {
            Some((_, kept)) => Some(std::mem::replace(kept, waker)),
            None => {
                waiting.push_back((number, waker));
                None
            }
        };
        let is_first = waiting.front().is_some_and(|(first, _)| *first == number);
        drop(waiting);
        drop(stale);
        is_first
    }

    /// Gives the place in the line up. Who is first now looks for himself.
    fn leave(&self, ticket: &mut Option<u64>) {
        let Some(number) = ticket.take() else { return };
        let mut waiting = self.waiting.borrow_mut();
        let place = waiting.iter().position(|(other, _)| *other == number);
        let gone = place.and_then(|place| waiting.remove(place));
        drop(waiting);
        drop(gone);
        if place == Some(0) {
            self.wake(1);
        }
    }
}

impl<T, L> NextCompleted<T, L> {
    fn new(line: Rc<Line<T>>) -> Self {
        Self { line, ticket: None, is_settled: false, limit: PhantomData }
    }
}

impl<T, L> Unpin for NextCompleted<T, L> {}

impl<T, L: Limit<T>> Future for NextCompleted<T, L> {
    type Output = L::Item;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<L::Item> {
        let Self { line, ticket, is_settled, .. } = &mut *self;
        let has_waited = ticket.is_some();
        if !line.stand(ticket, cx.waker()) {
            return Poll::Pending;
        }
        // Missing only if a waker's clone or drop polls another one of us.
        let Some(mut course) = line.course.take() else {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        let (found, is_up) = course.look(line.left.get(), cx);
        // In asyncio a callback of the task wakes whoever waits, who goes on a tick after that. So do we.
        let is_too_soon = has_waited && found > 0 && found == course.ended.len() && !*is_settled;
        let next = if is_too_soon { None } else { course.ended.pop_front() };
        let task = next.map(|index| course.tasks[index].take().expect("it comes out once"));
        let is_late = course.is_late && course.ended.is_empty();
        line.course.set(Some(course));
        if is_up {
            line.wake(usize::MAX);
        } else if is_too_soon {
            *is_settled = true;
            line.wake(found);
        }
        let item = match task {
            Some(task) => L::__task(task),
            None if is_late => {
                line.is_over.set(true);
                L::__late(TimeoutError::new())
            }
            None => return Poll::Pending,
        };
        line.left.set(line.left.get().saturating_sub(1));
        line.leave(ticket);
        Poll::Ready(item)
    }
}

impl<T, L> Drop for NextCompleted<T, L> {
    fn drop(&mut self) {
        self.line.leave(&mut self.ticket);
    }
}

impl<T, L> fmt::Debug for AsCompleted<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("left", &self.line.left.get()).finish_non_exhaustive()
    }
}

impl<T, L> fmt::Debug for NextCompleted<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextCompleted").finish_non_exhaustive()
    }
}

impl<T, L> fmt::Debug for IntoIter<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter").field("left", &self.left).finish_non_exhaustive()
    }
}
