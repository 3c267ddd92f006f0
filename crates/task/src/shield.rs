//! `shield`: awaiting a task without cancelling it.

use std::future::poll_fn;

use asyncio_coro::yield_now;

use crate::join_error::JoinError;
use crate::task::Task;

/// Awaits `task`, but does not hand a cancellation down to it: when the awaiting task is cancelled, or a `timeout`
/// around it expires, the task goes on, and its handle is still here to be awaited.
///
/// Shield something that is not a task yet by making it one: `shield(&mut create_task(work())).await`.
///
/// # Errors
///
/// As awaiting the task.
///
/// # Panics
///
/// Panics when the task has already given its result.
///
/// # Cancel safety
///
/// Nothing is lost: the task goes on, and the result stays with its handle.
///
/// # Examples
///
/// ```
/// use asyncio_task::{create_task, shield, sleep, timeout};
/// use std::time::Duration;
///
/// asyncio_loop::testing::run(async {
///     let mut work = create_task(async {
///         sleep(Duration::from_secs(60)).await;
///         "done"
///     });
///     assert!(timeout(Duration::from_secs(1), shield(&mut work)).await.is_err());
///     assert_eq!(work.await.unwrap(), "done");
/// }).unwrap();
/// ```
pub async fn shield<T>(task: &mut Task<T>) -> Result<T, JoinError> {
    let handle = task.handle();
    let mut has_waited = false;
    poll_fn(|cx| {
        let polled = handle.poll_done(cx);
        has_waited |= polled.is_pending();
        polled
    })
    .await;
    if has_waited {
        // In asyncio a callback of the task completes the shield, and whoever awaits that goes on a tick later.
        yield_now().await;
    }
    handle.take()
}
