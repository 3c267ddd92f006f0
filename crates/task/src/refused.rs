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

/// What `wait` takes is a list of tasks and one of three conditions. (An empty list is no mistake here: there is nothing to
/// wait for, see `without_tasks_there_is_nothing_to_wait_for` in tests/wait.rs.)
///
/// Behaviour: TSK-55.
///
/// ```compile_fail,E0308
/// let mut task = asyncio_task::create_task(async {});
/// let done = asyncio_task::wait(&mut task, None, asyncio_task::ReturnWhen::AllCompleted);
/// ```
/// ```compile_fail,E0308
/// let mut coroutines = vec![std::future::ready(1)];
/// let done = asyncio_task::wait(&mut coroutines, None, asyncio_task::ReturnWhen::AllCompleted);
/// ```
/// ```compile_fail,E0308
/// let mut tasks = vec![asyncio_task::create_task(async {})];
/// let done = asyncio_task::wait(&mut tasks, None, "ALL_COMPLETED");
/// ```
/// ```no_run
/// let mut tasks = vec![asyncio_task::create_task(async {})];
/// let done = asyncio_task::wait(&mut tasks, None, asyncio_task::ReturnWhen::AllCompleted);
/// ```
#[cfg(doctest)]
fn what_is_no_list_of_tasks_in_wait() {}

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
/// A group is there in its scope and nowhere else: nothing can be created in it before or after.
///
/// ```compile_fail,E0521
/// use asyncio_task::TaskGroup;
/// use std::cell::Cell;
///
/// thread_local!(static KEPT: Cell<Option<&'static TaskGroup<'static, 'static, ()>>> = Cell::new(None));
///
/// fn keep<'scope>(group: &'scope TaskGroup<'scope, '_, ()>) {
///     KEPT.set(Some(group));
/// }
/// ```
/// It cannot be entered again.
///
/// ```compile_fail,E0599
/// # use asyncio_task::TaskGroup;
/// # async fn example() {
/// let entered = TaskGroup::<()>::scope(async |group| group.scope(async |_| Ok(())).await);
/// # }
/// ```
/// What was created in it can be kept, and there may be another one inside.
///
/// ```no_run
/// use asyncio_task::{Task, TaskGroup};
/// use std::cell::Cell;
///
/// thread_local!(static KEPT: Cell<Option<Task<()>>> = Cell::new(None));
///
/// fn keep<'scope>(group: &'scope TaskGroup<'scope, '_, ()>) {
///     KEPT.set(Some(group.create_task(async { Ok(()) })));
/// }
/// # async fn example() {
/// let entered = TaskGroup::<()>::scope(async |_| TaskGroup::<()>::scope(async |_| Ok(())).await.map_err(drop));
/// # }
/// ```
#[cfg(doctest)]
fn a_group_outside_its_scope() {}

/// What is reported of a task is the task's own affair: there is nothing to set.
///
/// Behaviour: TSK-51.
///
/// ```compile_fail,E0609
/// let mut task = asyncio_task::create_task(async { 1 });
/// task.log_traceback = true;
/// ```
/// ```no_run
/// let mut task = asyncio_task::create_task(async { 1 });
/// task.cancel();
/// ```
#[cfg(doctest)]
fn the_flag_of_what_is_reported() {}

/// Outside of every task there is no current one, and nobody can go on as if there were.
///
/// Behaviour: TSK-86.
///
/// ```compile_fail,E0308
/// let me: asyncio_task::TaskRef = asyncio_task::current_task();
/// ```
/// ```should_panic
/// let me: asyncio_task::TaskRef = asyncio_task::current_task().expect("a task runs");
/// ```
/// ```
/// assert!(asyncio_task::current_task().is_none());
/// let me = asyncio_loop::run(async {
///     let me: asyncio_task::TaskRef = asyncio_task::current_task().expect("a task runs");
///     me.name()
/// });
/// assert!(!me.unwrap().is_empty());
/// ```
#[cfg(doctest)]
fn the_current_task_where_there_may_be_none() {}

/// A task is current exactly while its own step is polled: nobody enters one or leaves one by hand.
///
/// Behaviour: TSK-88.
///
/// ```compile_fail,E0599
/// # fn example(main: &asyncio_task::TaskRef) {
/// let entered = main.enter();
/// # }
/// ```
/// ```compile_fail,E0599
/// # fn example(main: &asyncio_task::TaskRef) {
/// main.leave();
/// # }
/// ```
/// ```no_run
/// # fn example(main: &asyncio_task::TaskRef) {
/// let listed = asyncio_task::register_task(main);
/// # }
/// ```
#[cfg(doctest)]
fn entering_and_leaving_a_task() {}

/// Behaviour: TMO-15.
///
/// Entered twice, one after the other:
///
/// ```compile_fail,E0382
/// # async fn example(body: impl Future<Output = ()>) {
/// let limited = asyncio_task::timeout(None, body);
/// let first = limited.await;
/// let second = limited.await;
/// # }
/// ```
/// Inside of itself:
///
/// ```compile_fail,E0599
/// # async fn example() {
/// let limited = asyncio_task::Timeout::scope(None, async |limit| {
///     limit.scope(None, async |_| ()).await
/// });
/// limited.await.unwrap();
/// # }
/// ```
/// Outside of all that could be a task:
///
/// ```compile_fail,E0728
/// # fn example(body: impl Future<Output = ()>) {
/// let limited = asyncio_task::timeout(None, body);
/// let first = limited.await;
/// # }
/// ```
/// And once, with another one inside, in an `async` function:
///
/// ```no_run
/// # async fn example(body: impl Future<Output = ()>) {
/// let limited = asyncio_task::Timeout::scope(None, async |limit| {
///     asyncio_task::timeout(None, body).await
/// });
/// let first = limited.await;
/// # }
/// ```
#[cfg(doctest)]
fn a_timeout_entered_twice_or_outside_of_a_task() {}
