//! Async generators: an async function that yields, as a stream that can be closed.
//!
//! The body is boxed and polled by whoever asks for an item, below that task's scopes: a request to cancel the consumer goes
//! through the body like through any other await. Between two items it belongs to nobody's tree. Its own scope is what
//! `aclose` asks to unwind. Prior art: PEP 525, with its two hooks for the event loop.

mod aclosing;
mod body;
mod close;
mod yielder;

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_lite::Stream;

use crate::node::outside;
use body::{Body, BoxBody, Stage};
use close::{begin_close, poll_close};
use yielder::{Life, Slot};

pub use aclosing::{AsyncClose, aclosing};
pub use yielder::{TryYielder, Yielder};

pub(crate) use close::Closable;

/// Makes a stream of `body`: what the body passes to [`yield_`](Yielder::yield_) comes out of
/// [`next`](AsyncGenerator::next), and the stream ends when the body does.
///
/// The body runs only while somebody waits for an item, as part of the task that does. For a body that borrows there is
/// [`scoped_generator`], for one that can fail [`try_generator`].
///
/// ```
/// use asyncio_coro::generator;
/// # futures_lite::future::block_on(async {
/// let mut squares = generator(async |y| {
///     for n in 1..=3 {
///         y.yield_(n * n).await;
///     }
/// });
/// let mut seen = Vec::new();
/// while let Some(square) = squares.next().await { // `async for`
///     seen.push(square);
/// }
/// assert_eq!(seen, [1, 4, 9]);
/// # });
/// ```
#[doc(alias = "yield")]
#[track_caller]
pub fn generator<T: 'static>(
    body: impl AsyncFnOnce(Yielder<T>) + 'static,
) -> AsyncGenerator<'static, T> {
    let slot = Rc::new(Slot::new(Location::caller()));
    let yielder = Yielder::new(slot.clone());
    slot.body.set(Some(body::boxed(slot.site, async move { body(yielder).await })));
    AsyncGenerator {
        slot,
        scoped: None,
        owned: Some(Owned { watch: Slot::watch, finish: close::finish }),
    }
}

/// [`generator`] for a body that borrows.
///
/// No loop can finish what it does not own: one that is dropped before its end, with cleanups left to run, has them skipped and
/// reported. [`aclosing`] closes it in time.
///
/// ```
/// use asyncio_coro::{aclosing, scoped_generator};
/// # futures_lite::future::block_on(async {
/// let words = String::from("one two three");
/// let letters = scoped_generator(async |y| {
///     for word in words.split(' ') {
///         y.yield_(word.len()).await;
///     }
/// });
/// let first = aclosing(letters, async |letters| letters.next().await).await;
/// assert_eq!(first, Some(3));
/// # });
/// ```
#[track_caller]
pub fn scoped_generator<'a, T: 'a>(
    body: impl AsyncFnOnce(Yielder<T>) + 'a,
) -> AsyncGenerator<'a, T> {
    let slot = Rc::new(Slot::new(Location::caller()));
    let yielder = Yielder::new(slot.clone());
    let scoped = body::boxed(slot.site, async move { body(yielder).await });
    AsyncGenerator { slot, scoped: Some(scoped), owned: None }
}

/// [`generator`] for a body that can fail: it yields values, which come out as `Ok`, and an error that it returns comes out
/// last.
///
/// ```
/// use asyncio_coro::try_generator;
/// # futures_lite::future::block_on(async {
/// let mut numbers = try_generator(async |y| {
///     for text in ["1", "2", "three"] {
///         y.yield_(text.parse::<u32>()?).await;
///     }
///     Ok::<(), std::num::ParseIntError>(())
/// });
/// assert_eq!(numbers.next().await, Some(Ok(1)));
/// assert_eq!(numbers.next().await, Some(Ok(2)));
/// assert!(numbers.next().await.unwrap().is_err());
/// assert_eq!(numbers.next().await, None);
/// # });
/// ```
#[track_caller]
pub fn try_generator<T: 'static, E: 'static>(
    body: impl AsyncFnOnce(TryYielder<T, E>) -> Result<(), E> + 'static,
) -> AsyncGenerator<'static, Result<T, E>> {
    generator(async |y: Yielder<Result<T, E>>| {
        let (body_y, y) = y.split();
        if let Err(error) = body(TryYielder::new(body_y)).await {
            y.yield_(Err(error)).await;
        }
    })
}

/// An async generator: a stream made of an async function by [`generator`], and closable.
///
/// It may be moved to another task between two items, not to another thread. A panic of its body comes out of the `next` that
/// met it; the generator has ended then.
///
/// # When it is dropped before its end
///
/// A body that has not begun, or has no cleanup to run, is dropped. Otherwise the event loop finishes it as
/// [`aclose`](AsyncGenerator::aclose) would: while it runs, and at the end of `run` within a grace period. Where there is no
/// loop ([hooks](crate::hooks::GeneratorHooks)), or the body borrows, the cleanups are skipped and reported.
#[must_use = "a generator does nothing unless iterated"]
pub struct AsyncGenerator<'a, T> {
    slot: Rc<Slot<T>>,
    /// The body of one that borrows. That of one that does not is in the slot, where the loop finds it.
    scoped: Option<BoxBody<'a>>,
    owned: Option<Owned<T>>,
}

impl<'a, T> AsyncGenerator<'a, T> {
    /// Waits for the next item; `None` when the body has ended.
    ///
    /// The inherent twin of [`StreamExt::next`](futures_lite::StreamExt::next), and better: when it is dropped it takes the
    /// body out of the task's scopes.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses no item: the body stays where it is, and the next call goes on there. A request to cancel the task is
    /// another matter: it goes through the body, as it would through a function that was called; the body unwinds, and the
    /// generator has ended.
    ///
    /// # Panics
    ///
    /// With the panic of the body.
    #[doc(alias = "anext")]
    #[doc(alias = "__anext__")]
    #[expect(clippy::should_implement_trait, reason = "as `StreamExt::next`, which this overrides")]
    pub fn next(&mut self) -> Next<'_, 'a, T> {
        Next { generator: self }
    }

    /// Closes the generator: its body unwinds where it waits, its scopes run their cleanup, and there are no more items. A
    /// cleanup that has begun already goes on.
    ///
    /// Returns when that is done; at once when the generator has ended or has not begun. It is an error of the body to yield
    /// while it is being closed: that cuts the cleanup which does so, and is reported
    /// ([`Report::IgnoredExit`](crate::hooks::Report::IgnoredExit)).
    ///
    /// # Cancel safety
    ///
    /// A newer request to cancel cuts the cleanup that runs, as everywhere. When this is dropped the body stays half unwound;
    /// calling it again goes on, and so does the loop when the generator is dropped.
    ///
    /// # Panics
    ///
    /// With the panic of the body or of its cleanup.
    ///
    /// ```
    /// use asyncio_coro::{generator, try_finally, yield_now};
    /// use std::{cell::Cell, rc::Rc};
    /// # futures_lite::future::block_on(async {
    /// let open = Rc::new(Cell::new(true));
    /// let closed = open.clone();
    /// let mut endless = generator(async move |y| {
    ///     let body = async {
    ///         for n in 0.. {
    ///             y.yield_(n).await;
    ///         }
    ///     };
    ///     try_finally(body, async || {
    ///         yield_now().await;
    ///         closed.set(false);
    ///     })
    ///     .await;
    /// });
    /// assert_eq!(endless.next().await, Some(0));
    /// endless.aclose().await;
    /// assert!(!open.get());
    /// assert_eq!(endless.next().await, None);
    /// # });
    /// ```
    pub fn aclose(&mut self) -> impl Future<Output = ()> + use<'_, 'a, T> {
        Closing { generator: self }
    }

    /// Where it was made.
    #[must_use]
    pub fn site(&self) -> &'static Location<'static> {
        self.slot.site
    }

    /// Calls `poll` with the body, unless that is gone; keeps the body if `poll` says so. A body that panics is gone.
    fn with_body<R>(
        &mut self,
        poll: impl FnOnce(&Slot<T>, Pin<&mut (dyn Body + '_)>) -> (R, bool),
    ) -> Option<R> {
        if let Some(mut body) = self.scoped.take() {
            let (result, is_kept) = poll(&self.slot, body.as_mut());
            if is_kept {
                self.scoped = Some(body);
            } else {
                outside(|| drop(body));
            }
            return Some(result);
        }
        let mut body = self.slot.body.take()?;
        let (result, is_kept) = poll(&self.slot, body.as_mut());
        if is_kept {
            self.slot.body.set(Some(body));
        } else {
            outside(|| drop(body));
        }
        Some(result)
    }

    /// Nobody polls the body for now.
    fn rest(&mut self) {
        self.with_body(|_, body| ((), body.as_ref().rest()));
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if let Some(owned) = self.owned.filter(|_| self.slot.life.get() == Life::New) {
            (owned.watch)(&self.slot);
        }
        let polled = self.with_body(|slot, mut body| {
            if slot.is_closing() {
                return match poll_close(slot, body, cx) {
                    Stage::Ended => (Poll::Ready(None), false),
                    Stage::Pending | Stage::Unwound => (Poll::Pending, true),
                };
            }
            slot.life.set(Life::Open);
            slot.resume(cx);
            let mut stage = body.as_mut().step(cx);
            // A value that is ready is never thrown away: it comes before any request.
            if let Some(item) = slot.take_item() {
                return (Poll::Ready(Some(item)), body.as_ref().rest());
            }
            if stage == Stage::Pending {
                stage = body.follow(cx);
            }
            match stage {
                Stage::Ended => (Poll::Ready(None), false),
                Stage::Pending | Stage::Unwound => (Poll::Pending, true),
            }
        });
        polled.unwrap_or_else(|| Poll::Ready(self.slot.take_item()))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let polled = self.with_body(|slot, body| {
            if !begin_close(slot, body.as_ref()) {
                return (Poll::Ready(()), false);
            }
            match poll_close(slot, body, cx) {
                Stage::Ended => (Poll::Ready(()), false),
                Stage::Pending | Stage::Unwound => (Poll::Pending, true),
            }
        });
        polled.unwrap_or(Poll::Ready(()))
    }
}

impl<T> Stream for AsyncGenerator<'_, T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_item(cx)
    }
}

impl<T> Drop for AsyncGenerator<'_, T> {
    fn drop(&mut self) {
        if let Some(body) = self.scoped.take() {
            return outside(|| drop(body));
        }
        let Some(body) = self.slot.body.take() else { return };
        match self.owned {
            Some(owned) if body.as_ref().owes_cleanup() => {
                body.as_ref().rest();
                (owned.finish)(&self.slot, body);
            }
            _ => outside(|| drop(body)),
        }
    }
}

impl<T> fmt::Debug for AsyncGenerator<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncGenerator").field("site", &self.slot.site).finish_non_exhaustive()
    }
}

/// What can be done with a generator whose body borrows nothing.
struct Owned<T> {
    /// Tells the loop of it when it is first iterated.
    watch: fn(&Rc<Slot<T>>),
    /// Has the loop close it.
    finish: fn(&Rc<Slot<T>>, BoxBody<'static>),
}

impl<T> Clone for Owned<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Owned<T> {}

/// The future of [`AsyncGenerator::next`].
#[must_use = "futures do nothing unless awaited"]
pub struct Next<'g, 'a, T> {
    generator: &'g mut AsyncGenerator<'a, T>,
}

impl<T> Future for Next<'_, '_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.generator.poll_item(cx)
    }
}

impl<T> Drop for Next<'_, '_, T> {
    fn drop(&mut self) {
        self.generator.rest();
    }
}

impl<T> fmt::Debug for Next<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Next").field(&self.generator).finish()
    }
}

/// The future of [`AsyncGenerator::aclose`].
struct Closing<'g, 'a, T> {
    generator: &'g mut AsyncGenerator<'a, T>,
}

impl<T> Future for Closing<'_, '_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.generator.poll_close(cx)
    }
}

impl<T> Drop for Closing<'_, '_, T> {
    fn drop(&mut self) {
        self.generator.rest();
    }
}
