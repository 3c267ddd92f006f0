//! What asyncio raises a `TypeError` for and the types refuse here: doc tests that must not compile.
//!
//! Each has a twin that differs in the one thing that is wrong, and does compile.

/// Behaviour: TSK-04, TSK-07.
///
/// ```compile_fail,E0277
/// let task = asyncio_task::create_task(42);
/// ```
/// ```no_run
/// let task = asyncio_task::create_task(async { 42 });
/// let made_by_an_async_closure = asyncio_task::create_task((async || 42)());
/// let anything_that_becomes_a_future = asyncio_task::create_task(std::future::ready(42));
/// ```
#[cfg(doctest)]
fn create_task_of_what_is_no_future() {}

/// Behaviour: TSK-10.
///
/// ```compile_fail,E0277
/// asyncio_task::create_task(async {}).set_name(1u64 << 40);
/// ```
/// ```no_run
/// asyncio_task::create_task(async {}).set_name((1u64 << 40).to_string());
/// ```
#[cfg(doctest)]
fn a_name_that_is_no_text() {}

/// Behaviour: TSK-13.
///
/// ```compile_fail,E0599
/// asyncio_task::create_task(async { 1 }).set_result(2);
/// ```
/// ```compile_fail,E0599
/// asyncio_task::create_task(async { 1 }).set_exception(std::fmt::Error);
/// ```
/// ```no_run
/// asyncio_task::create_task(async { 1 }).cancel();
/// ```
#[cfg(doctest)]
fn a_result_set_on_a_task_from_outside() {}

/// A handle is one, and is given to one list only.
///
/// Behaviour: TSK-54.
///
/// ```compile_fail,E0382
/// let task = asyncio_task::create_task(async {});
/// let mut twice = vec![task, task];
/// let done = asyncio_task::wait(&mut twice, None, asyncio_task::ReturnWhen::AllCompleted);
/// ```
/// ```no_run
/// let task = asyncio_task::create_task(async {});
/// let mut once = vec![task];
/// let done = asyncio_task::wait(&mut once, None, asyncio_task::ReturnWhen::AllCompleted);
/// ```
#[cfg(doctest)]
fn a_task_twice_in_one_wait() {}

/// Behaviour: TSK-71.
///
/// ```compile_fail,E0382
/// let (c, d) = (asyncio_task::create_task(async {}), asyncio_task::create_task(async {}));
/// let ended = asyncio_task::as_completed([c, c, d]);
/// ```
/// ```no_run
/// let (c, d) = (asyncio_task::create_task(async {}), asyncio_task::create_task(async {}));
/// let ended = asyncio_task::as_completed([c, d]);
/// ```
#[cfg(doctest)]
fn a_task_twice_in_as_completed() {}

/// Behaviour: TSK-72.
///
/// ```compile_fail,E0277
/// let gathered = asyncio_task::gather(std::future::ready(1));
/// ```
/// ```no_run
/// let gathered = asyncio_task::gather([std::future::ready(1)]);
/// ```
#[cfg(doctest)]
fn one_future_is_no_collection() {}

/// Behaviour: TSK-75.
///
/// ```compile_fail,E0308
/// let sleep = asyncio_task::sleep(f64::NAN);
/// ```
/// ```no_run
/// let sleep = asyncio_task::sleep(std::time::Duration::from_secs_f64(0.1));
/// ```
#[cfg(doctest)]
fn a_sleep_of_not_a_number() {}

/// Behaviour: TSK-101.
///
/// ```compile_fail,E0308
/// let gathered = asyncio_task::gather([std::future::ready(1), 2]);
/// ```
/// ```no_run
/// let gathered = asyncio_task::gather([std::future::ready(1), std::future::ready(2)]);
/// ```
#[cfg(doctest)]
fn a_good_argument_and_one_that_is_no_future() {}

/// A future that a task drives is the task's: nobody else can await it.
///
/// Behaviour: PEP-04.
///
/// ```compile_fail,E0382
/// # async fn example() {
/// let coroutine = async { 42 };
/// let task = asyncio_task::create_task(coroutine);
/// coroutine.await;
/// # }
/// ```
/// ```
/// # asyncio_loop::run(async {
/// let coroutine = async { 42 };
/// let task = asyncio_task::create_task(coroutine);
/// assert_eq!(task.await.unwrap(), 42);
/// # }).unwrap();
/// ```
#[cfg(doctest)]
fn awaiting_what_a_task_drives() {}

/// Behaviour: TG-29, TG-30.
///
/// A group is there in its scope and nowhere else: it cannot be entered again, and nothing can be created in it before or
/// after.
///
/// ```compile_fail,E0521
/// use asyncio_task::{ExceptionGroup, TaskGroup};
///
/// async fn enter() -> Result<(), ExceptionGroup<()>> {
///     let mut kept = None;
///     TaskGroup::scope(async |group| {
///         kept = Some(group);
///         Ok(())
///     })
///     .await?;
///     kept.unwrap().create_task(async { Ok(()) });
///     Ok(())
/// }
/// ```
/// ```no_run
/// use asyncio_task::{ExceptionGroup, TaskGroup};
///
/// async fn enter() -> Result<(), ExceptionGroup<()>> {
///     let mut kept = None;
///     TaskGroup::scope(async |group| {
///         kept = Some(group.create_task(async { Ok(()) }));
///         Ok(())
///     })
///     .await?;
///     kept.unwrap().await.unwrap();
///     Ok(())
/// }
/// ```
#[cfg(doctest)]
fn a_group_outside_its_scope() {}
