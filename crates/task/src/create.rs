//! `create_task`: a future becomes a task of the running loop.

use std::future::IntoFuture;
use std::panic::Location;

use asyncio_loop::get_running_loop;

use crate::spawn;
use crate::task::{Handle, Task};

/// Makes a task of `future` on the running loop; it takes its first step in the next tick.
///
/// The task runs to its end whether or not the handle is kept: dropping the handle detaches it. The loop holds a
/// reference to every live task, and remembers where it was created. At the end of [`run`](asyncio_loop::run()) tasks
/// that are left are cancelled and awaited.
///
/// A task is one allocation; a `future` of about 2 KiB or more is boxed beside it. `future` and its output are
/// `'static`, but need not be `Send`; for children that borrow see [`TaskGroup`](crate::TaskGroup).
///
/// # Panics
///
/// Panics when no loop is running on this thread.
///
/// # Examples
///
/// ```
/// use asyncio_task::create_task;
/// use std::rc::Rc;
///
/// asyncio_loop::run(async {
///     let greeting = Rc::new(String::from("hello")); // not `Send`, and need not be
///     let task = create_task({
///         let greeting = greeting.clone();
///         async move { greeting.len() }
///     });
///     assert_eq!(task.await.unwrap(), 5);
/// })?;
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
#[doc(alias = "spawn")]
#[doc(alias = "ensure_future")]
#[track_caller]
pub fn create_task<F>(future: F) -> Task<F::Output>
where
    F: IntoFuture<IntoFuture: 'static, Output: 'static>,
{
    match get_running_loop() {
        Ok(event_loop) => Task::new(Handle::Loop(spawn::spawn(
            &event_loop,
            Location::caller(),
            future.into_future(),
        ))),
        Err(error) => panic!("create_task: {error}"),
    }
}
