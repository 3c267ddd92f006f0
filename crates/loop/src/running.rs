//! Which loop this thread is in.
//!
//! A loop is *entered* while it runs and while it is closed. A wake on its own thread compares one pointer to find the
//! ready queue, which is why this is a raw pointer and not an `Rc`.
//!
//! Invariants:
//! - I1. The pointers in `ENTERED` and `RUNNING` are that of a live loop: only [`Entered`] sets it, from a reference that it borrows
//!   for as long as it exists, and its `Drop` restores the previous values. Nobody forgets an [`Entered`].
//! - I2. References made from it do not outlive the closure they are given to, and the loop is only ever borrowed
//!   shared (it lives in an `Rc`).
#![expect(unsafe_code, reason = "finding the loop in a wake costs one comparison")]

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::NonNull;

use crate::error::NoRunningLoop;
use crate::event_loop::{EventLoop, Inner};
use crate::exception::ExceptionContext;

thread_local! {
    static ENTERED: Cell<Option<NonNull<Inner>>> = const { Cell::new(None) };
    /// The one that runs: the same, or one that a destructor inside of it closes another loop from.
    static RUNNING: Cell<Option<NonNull<Inner>>> = const { Cell::new(None) };
}

/// This thread is in a loop until this is dropped.
pub(crate) struct Entered<'a> {
    previous: [Option<NonNull<Inner>>; 2],
    borrow: PhantomData<&'a Inner>,
}

impl<'a> Entered<'a> {
    /// Enters a loop to run it.
    pub(crate) fn to_run(inner: &'a Inner) -> Self {
        Self::new(inner, Some(NonNull::from(inner)))
    }

    /// Enters a loop to close it. Whichever runs goes on running.
    pub(crate) fn to_close(inner: &'a Inner) -> Self {
        Self::new(inner, RUNNING.get())
    }

    fn new(inner: &'a Inner, running: Option<NonNull<Inner>>) -> Self {
        let previous = [ENTERED.replace(Some(NonNull::from(inner))), RUNNING.replace(running)];
        Self { previous, borrow: PhantomData }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let [entered, running] = self.previous;
        ENTERED.set(entered);
        RUNNING.set(running);
    }
}

/// Calls `f` with the loop this thread is in.
pub(crate) fn with<R>(f: impl FnOnce(Option<&Inner>) -> R) -> R {
    // SAFETY: by I1 the loop lives, by I2 the reference ends with `f`, before the `Entered` that is below us does.
    f(ENTERED.get().map(|inner| unsafe { inner.as_ref() }))
}

/// Is a loop running in this thread?
pub(crate) fn is_any_running() -> bool {
    RUNNING.get().is_some()
}

/// Gives a report to the loop this thread is in.
pub(crate) fn report(context: ExceptionContext) {
    with(|inner| match inner {
        Some(inner) => inner.report(context),
        None => context.log(),
    });
}

/// The loop that is running in this thread.
///
/// # Errors
///
/// [`NoRunningLoop`] when this thread is not inside [`run`](crate::run()) or one of the loop's `run_` methods.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{get_running_loop, run};
///
/// assert!(get_running_loop().is_err());
/// assert!(run(async { get_running_loop().is_ok() })?);
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
pub fn get_running_loop() -> Result<EventLoop, NoRunningLoop> {
    // SAFETY: by I1 the loop lives, by I2 the reference ends here.
    let running = RUNNING.get().and_then(|inner| unsafe { inner.as_ref() }.this.upgrade());
    running.map(EventLoop::from_inner).ok_or(NoRunningLoop::new())
}
