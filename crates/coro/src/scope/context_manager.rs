//! `async_with`: `async with`.

use std::future::Future;
use std::panic::Location;

use crate::scope::with::with_at;

/// Something that is entered before a body and left after it, both of which may wait: asyncio's `__aenter__`, `__aexit__`.
///
/// ```
/// use asyncio_coro::{AsyncContextManager, ExitReason, async_with};
/// use std::cell::RefCell;
///
/// struct Logged<'a>(&'a RefCell<Vec<String>>);
///
/// impl AsyncContextManager for Logged<'_> {
///     type Entered = u32;
///     async fn aenter(&mut self) -> u32 {
///         self.0.borrow_mut().push("enter".into());
///         7
///     }
///     async fn aexit(self, entered: u32, how: ExitReason) {
///         self.0.borrow_mut().push(format!("exit with {entered}: {how:?}"));
///     }
/// }
/// # futures_lite::future::block_on(async {
/// let log = RefCell::default();
/// assert_eq!(async_with(Logged(&log), async |n| { *n += 1; *n }).await, 8);
/// assert_eq!(*log.borrow(), ["enter", "exit with 8: Returned"]);
/// # });
/// ```
pub trait AsyncContextManager: Sized {
    /// What the body works with: `as` in Python.
    type Entered;

    /// Gets ready. When this is cancelled or panics, neither the body nor [`aexit`](Self::aexit) runs.
    ///
    /// What can fail is better done before: `let conn = pool.acquire().await?; async_with(conn, ..)`.
    #[doc(alias = "__aenter__")]
    fn aenter(&mut self) -> impl Future<Output = Self::Entered>;

    /// Cleans up, however the body ended; a cleanup in the sense of [`try_finally`](crate::try_finally).
    #[doc(alias = "__aexit__")]
    fn aexit(self, entered: Self::Entered, how: ExitReason) -> impl Future<Output = ()>;
}

/// How a body ended, for a cleanup that wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExitReason {
    /// It returned; an `Err` is a value too.
    Returned,
    /// It was cancelled.
    Cancelled,
    /// It panicked, or its destructor did.
    Panicked,
}

/// Enters `manager`, runs `body`, leaves the manager however the body ends: with a value, by a panic, or because it is cancelled.
///
/// # Cancel safety
///
/// As [`try_finally`](crate::try_finally), once the manager has been entered.
///
/// # Panics
///
/// With the panic of the body, of its destructor, or of the manager.
///
/// For an example, see [`AsyncContextManager`].
#[doc(alias = "async with")]
#[track_caller]
pub fn async_with<M: AsyncContextManager, T>(
    manager: M,
    body: impl AsyncFnOnce(&mut M::Entered) -> T,
) -> impl Future<Output = T> {
    async_with_at(Location::caller(), manager, body)
}

async fn async_with_at<M: AsyncContextManager, T>(
    site: &'static Location<'static>,
    mut manager: M,
    body: impl AsyncFnOnce(&mut M::Entered) -> T,
) -> T {
    let entered = manager.aenter().await;
    with_at(site, entered, body, async |entered, how| manager.aexit(entered, how).await).await
}
