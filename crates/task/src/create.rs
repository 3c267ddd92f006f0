//! `create_task`: a future becomes a task of the running loop.

use std::error::Error;
use std::future::IntoFuture;

use crate::builder::Builder;
use crate::task::Task;

/// Makes a task of `future` on the running loop; it takes its first step in the next tick. With a name, or at once:
/// [`Builder`].
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
    Builder::new().create_task(future)
}

/// Makes a task, as [`create_task`] does, of a future that can fail: an `Err` that nobody sees is reported.
///
/// A plain task's output may be anything, and is dropped in silence when nobody wants it. With this, an `Err` goes to the
/// loop's exception handler, with the task's name and site, as soon as the task has failed and its handle is gone: the
/// thing for tasks that run by themselves. An `Err` that was awaited, taken, or looked at is not reported.
///
/// # Panics
///
/// Panics when no loop is running on this thread.
///
/// # Examples
///
/// ```
/// use asyncio_task::create_try_task;
/// use std::{cell::Cell, rc::Rc};
///
/// asyncio_loop::run(async {
///     let heard = Rc::new(Cell::new(false));
///     asyncio_loop::get_running_loop().unwrap().set_exception_handler({
///         let heard = heard.clone();
///         move |_, context| heard.set(context.error().unwrap().is::<std::num::ParseIntError>())
///     });
///     drop(create_try_task(async { "seven".parse::<u8>() })); // detached: nobody awaits it
///     asyncio_task::sleep(std::time::Duration::ZERO).await;
///     assert!(heard.get());
/// })?;
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
#[track_caller]
pub fn create_try_task<F, T, E>(future: F) -> Task<Result<T, E>>
where
    F: IntoFuture<IntoFuture: 'static, Output = Result<T, E>>,
    T: 'static,
    E: Into<Box<dyn Error>> + 'static,
{
    Builder::new().create_try_task(future)
}
