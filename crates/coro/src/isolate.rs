//! `isolate`: a way out of the scopes, for a foreign `block_on`.

use crate::node;

/// Runs `f` with no current scope.
///
/// A foreign `block_on` in the middle of a step polls its future below the scopes of the task that runs. Were that task
/// cancelled, scopes in there would unwind and stay pending, waiting to be dropped, and `block_on` would wait for ever. Inside
/// `isolate` no request reaches them. The current task stays the current task.
///
/// ```
/// let n = asyncio_coro::isolate(|| futures_lite::future::block_on(async { 6 * 7 }));
/// assert_eq!(n, 42);
/// ```
pub fn isolate<R>(f: impl FnOnce() -> R) -> R {
    node::outside(f)
}
