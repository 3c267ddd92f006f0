//! `staggered_race`: attempts that overlap, and the first that succeeds.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::group::TaskGroup;
use crate::timeout::timeout;

/// Makes one attempt after the other until one succeeds. The next one begins when the last one has failed, or is `delay`
/// old (`None`: only after a failure); those before it go on meanwhile.
///
/// The first success wins. The others are cancelled, and have ended, cleanup included, when the winner is given. The
/// attempts may borrow; they are tasks, children of a group of their own.
///
/// # Errors
///
/// [`RaceLost`]: no attempt succeeded; it has all their errors. So it is when there are none.
///
/// # Panics
///
/// Panics when an attempt does, after the others have been cancelled.
///
/// # Cancel safety
///
/// Cancelling cancels the attempts that run, and waits for them.
///
/// # Examples
///
/// ```
/// use asyncio_task::{sleep, staggered_race};
/// use std::time::Duration;
///
/// asyncio_loop::testing::run(async {
///     let mirrors = [("slow", 9), ("near", 1), ("never asked", 0)];
///     let attempts = mirrors.iter().map(|(name, takes)| async move || {
///         sleep(Duration::from_secs(*takes)).await;
///         Ok::<_, std::io::Error>(*name)
///     });
///     let won = staggered_race(attempts, Duration::from_secs(2)).await.unwrap();
///     assert_eq!((won.value, won.index), ("near", 1));
/// }).unwrap();
/// ```
#[doc(alias = "happy_eyeballs")]
pub async fn staggered_race<T, E>(
    attempts: impl IntoIterator<Item = impl AsyncFnOnce() -> Result<T, E>>,
    delay: impl Into<Option<Duration>>,
) -> Result<RaceWon<T, E>, RaceLost<E>> {
    let delay = delay.into();
    let course =
        Course { winner: Cell::new(None), losses: RefCell::default(), starter: Cell::new(None) };
    let race = TaskGroup::<()>::scope(async |group| {
        for (index, attempt) in attempts.into_iter().enumerate() {
            if index > 0 {
                // A delay that is over, or a failure: either way it is the next one's turn.
                let _ = timeout(delay, course.failure_of(index - 1)).await;
                if !course.is_open() {
                    break;
                }
            }
            course.losses.borrow_mut().push(None);
            let course = &course;
            group.create_task(async move {
                match attempt().await {
                    Ok(value) if course.is_open() => {
                        course.winner.set(Some((index, value)));
                        group.cancel();
                    }
                    // Ready in the tick in which another one won.
                    Ok(value) => drop(value),
                    Err(error) => course.fail(index, error),
                }
                Ok(())
            });
        }
        Ok(())
    });
    // No child fails, and a race that is over has cancelled the rest.
    let _ = race.await;
    let losses = course.losses.into_inner();
    match course.winner.into_inner() {
        Some((index, value)) => Ok(RaceWon { value, index, errors: losses }),
        None => Err(RaceLost { errors: losses.into_iter().flatten().collect() }),
    }
}

/// The first attempt of a [`staggered_race`] that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RaceWon<T, E> {
    /// What it gave.
    pub value: T,
    /// Which one it was, counted from 0.
    pub index: usize,
    /// For each attempt that was begun, in order, its error; `None` for the winner, and for those that had not failed
    /// when they were cancelled.
    pub errors: Vec<Option<E>>,
}

/// No attempt of a [`staggered_race`] succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RaceLost<E> {
    /// The error of each, in order.
    pub errors: Vec<E>,
}

impl<E: fmt::Display> fmt::Display for RaceLost<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errors.as_slice() {
            [] => f.write_str("there was nothing to attempt"),
            [only] => write!(f, "the only attempt failed: {only}"),
            [.., last] => write!(f, "all {} attempts failed; the last: {last}", self.errors.len()),
        }
    }
}

impl<E: Error + 'static> Error for RaceLost<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.errors.last().and_then(|last| last.source())
    }
}

/// What the attempts share.
struct Course<T, E> {
    winner: Cell<Option<(usize, T)>>,
    /// Of each attempt that was begun, its error.
    losses: RefCell<Vec<Option<E>>>,
    /// Who begins the attempts, while it waits.
    starter: Cell<Option<Waker>>,
}

impl<T, E> Course<T, E> {
    fn is_open(&self) -> bool {
        let winner = self.winner.take();
        let is_open = winner.is_none();
        self.winner.set(winner);
        is_open
    }

    fn fail(&self, index: usize, error: E) {
        self.losses.borrow_mut()[index] = Some(error);
        if let Some(starter) = self.starter.take() {
            starter.wake();
        }
    }

    /// Until the attempt with this number has failed.
    async fn failure_of(&self, index: usize) {
        poll_fn(|cx| {
            if self.losses.borrow()[index].is_some() {
                return Poll::Ready(());
            }
            let stale = self.starter.replace(Some(cx.waker().clone()));
            drop(stale);
            Poll::Pending
        })
        .await;
    }
}
