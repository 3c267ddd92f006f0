//! `wait`: until some or all of a list of tasks have ended.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use asyncio_coro::yield_now;

use crate::join_error::JoinError;
use crate::members::Members;
use crate::task::Task;
use crate::timeout::timeout;

/// What [`wait`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReturnWhen {
    /// Until one has ended.
    FirstCompleted,
    /// Until one has panicked, or all have ended. A cancelled task is no reason to stop.
    #[doc(alias = "FIRST_EXCEPTION")]
    FirstPanic,
    /// Until all have ended.
    AllCompleted,
}

/// Waits until `return_when` holds, or `timeout_after` (`None`: for ever) has passed, moves the tasks that have ended out of
/// `tasks` and returns them; the pending ones stay in `tasks`. Both keep their order.
///
/// Nothing is cancelled, and a timeout is no error: fewer tasks come back. The returned tasks are awaited for their
/// results, which they give at once. Without tasks it returns at once. `timeout_after` is measured on the loop's clock.
///
/// # Cancel safety
///
/// Nothing is lost: all tasks stay in `tasks`, and go on.
///
/// # Panics
///
/// Panics when a timeout is given and no loop is running.
///
/// # Examples
///
/// ```
/// use asyncio_task::{create_task, sleep, wait, ReturnWhen};
/// use std::time::Duration;
///
/// asyncio_loop::testing::run(async {
///     let mut tasks: Vec<_> = [3, 1, 2]
///         .map(|n| create_task(async move { sleep(Duration::from_secs(n)).await; n }))
///         .into();
///     let done = wait(&mut tasks, None, ReturnWhen::FirstCompleted).await;
///     assert_eq!((done.len(), tasks.len()), (1, 2));
///     for task in done {
///         assert_eq!(task.await.unwrap(), 1);
///     }
/// }).unwrap();
/// ```
pub async fn wait<T>(
    tasks: &mut Vec<Task<T>>,
    timeout_after: impl Into<Option<Duration>>,
    return_when: ReturnWhen,
) -> Vec<Task<T>> {
    // A timeout is no error here, and what has ended meanwhile is done all the same.
    let _ = timeout(timeout_after, ended(tasks, return_when)).await;
    let (done, pending) = std::mem::take(tasks).into_iter().partition(Task::done);
    *tasks = pending;
    done
}

/// Waits until `return_when` holds.
async fn ended<T>(tasks: &[Task<T>], return_when: ReturnWhen) {
    let mut members = Members::new();
    let mut left = tasks.len();
    let mut is_over = left == 0;
    let mut has_waited = false;
    poll_fn(|cx| {
        members.poll(
            cx,
            tasks.len(),
            |index| tasks[index].handle(),
            |index| {
                left -= 1;
                is_over |= match return_when {
                    ReturnWhen::FirstCompleted => true,
                    ReturnWhen::FirstPanic => {
                        left == 0 || tasks[index].handle().ended_with(JoinError::is_panic)
                    }
                    ReturnWhen::AllCompleted => left == 0,
                };
            },
        );
        if is_over {
            return Poll::Ready(());
        }
        has_waited = true;
        Poll::Pending
    })
    .await;
    // In asyncio a callback of the last task wakes whoever waits, who goes on a tick after that; also if the task had ended
    // before, and only the callback is still to come.
    let ticks = if has_waited { 1 } else { 2 };
    for _ in 0..if tasks.is_empty() { 0 } else { ticks } {
        yield_now().await;
    }
}
