//! `aclosing`: a stream that is closed whatever happens.

use std::future::Future;
use std::panic::Location;

use super::AsyncGenerator;
use crate::scope::with_at;

/// A stream that is closed by waiting for it, such as an [`AsyncGenerator`].
pub trait AsyncClose {
    /// Ends it: what it holds is cleaned up, and it gives no more items. Closing twice is allowed.
    fn aclose(&mut self) -> impl Future<Output = ()>;
}

impl<T> AsyncClose for AsyncGenerator<'_, T> {
    fn aclose(&mut self) -> impl Future<Output = ()> {
        AsyncGenerator::aclose(self)
    }
}

/// Lends `stream` to `body`, and closes it however the body ends: with a value, by a panic, or because it is cancelled.
///
/// What is dropped needs no such thing; a generator that is left half-way does, where its cleanup is to run now and here.
///
/// # Cancel safety
///
/// As [`with`](crate::with), of which it is made.
///
/// # Panics
///
/// With the panic of the body, of its destructor, or of `aclose`.
///
/// ```
/// use asyncio_coro::{aclosing, generator};
/// # futures_lite::future::block_on(async {
/// let numbers = generator(async |y| {
///     for n in 0.. {
///         y.yield_(n).await;
///     }
/// });
/// let first_over_two = aclosing(numbers, async |numbers| {
///     while let Some(n) = numbers.next().await {
///         if n > 2 {
///             return Some(n);
///         }
///     }
///     None
/// });
/// assert_eq!(first_over_two.await, Some(3));
/// # });
/// ```
#[track_caller]
pub fn aclosing<S: AsyncClose, T>(
    stream: S,
    body: impl AsyncFnOnce(&mut S) -> T,
) -> impl Future<Output = T> {
    with_at(Location::caller(), stream, body, async |mut stream, _how| stream.aclose().await)
}
