//! What the compiler refuses here and asyncio finds out while the program runs. Each beside its twin that compiles.

/// A generator stays on its thread, so that nobody drops it on another one.
///
/// Behaviour: BEV-28.
///
/// ```compile_fail,E0277
/// let numbers = asyncio_coro::generator(async |y| y.yield_(1).await);
/// std::thread::spawn(move || drop(numbers));
/// ```
///
/// ```
/// let numbers = asyncio_coro::generator(async |y| y.yield_(1).await);
/// std::rc::Rc::new(numbers);
/// ```
#[cfg(doctest)]
fn generators_of_another_thread() {}

/// A generator is closed by whoever has it, and not while its next item is awaited.
///
/// ```compile_fail,E0499
/// # async fn example() {
/// let mut numbers = asyncio_coro::generator(async |y| y.yield_(1).await);
/// let next = numbers.next();
/// numbers.aclose().await;
/// next.await;
/// # }
/// ```
///
/// ```
/// # futures_lite::future::block_on(async {
/// let mut numbers = asyncio_coro::generator(async |y| y.yield_(1).await);
/// drop(numbers.next());
/// numbers.aclose().await;
/// # });
/// ```
#[cfg(doctest)]
fn generators_that_are_awaited() {}

/// What a stack lends is gone when its exits run.
///
/// ```compile_fail,E0505
/// # use asyncio_coro::{AsyncContextManager, AsyncExitStack};
/// # async fn example(manager: impl AsyncContextManager<Entered = u32>) {
/// let stack = AsyncExitStack::new();
/// let entered = stack.enter(manager).await;
/// stack.aclose().await;
/// *entered += 1;
/// # }
/// ```
///
/// ```
/// # use asyncio_coro::{AsyncContextManager, AsyncExitStack};
/// # async fn example(manager: impl AsyncContextManager<Entered = u32>) {
/// let stack = AsyncExitStack::new();
/// let entered = stack.enter(manager).await;
/// *entered += 1;
/// stack.aclose().await;
/// # }
/// ```
#[cfg(doctest)]
fn loans_that_outlive_their_stack() {}
