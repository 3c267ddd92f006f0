//! A job of an executor: a closure, the promise of its result, and a name for reports.

use std::any;
use std::fmt;
use std::mem;
use std::panic::{self, AssertUnwindSafe, Location};

use asyncio_future::concurrent::Promise;

/// Something a worker thread can run.
pub(crate) trait Job: Send {
    fn name(&self) -> JobName;
    /// Never unwinds.
    fn run(self: Box<Self>);
}

/// The function of a job and where it was submitted.
#[derive(Clone, Copy)]
pub(crate) struct JobName {
    function: &'static str,
    site: &'static Location<'static>,
}

/// A closure `F` that gives a `T`. `after` is dropped when all is done and the awaiter is woken.
pub(crate) struct Call<F, T, G> {
    pub(crate) function: F,
    promise: Promise<T>,
    after: G,
    site: &'static Location<'static>,
}

impl<F, T, G> Call<F, T, G> {
    pub(crate) fn new(
        function: F,
        promise: Promise<T>,
        after: G,
        site: &'static Location<'static>,
    ) -> Self {
        Self { function, promise, after, site }
    }

    fn run_it(self)
    where
        F: FnOnce() -> T,
    {
        let Self { function, promise, after: _after, .. } = self;
        if !promise.set_running_or_notify_cancel() {
            return;
        }
        // Neither can be refused: what runs cannot be cancelled.
        match panic::catch_unwind(AssertUnwindSafe(function)) {
            Ok(value) => drop(promise.set_result(value)),
            Err(payload) => drop(promise.set_panic(payload)),
        }
    }
}

impl<F, T, G> Job for Call<F, T, G>
where
    F: FnOnce() -> T + Send,
    T: Send,
    G: Send,
{
    fn name(&self) -> JobName {
        JobName { function: any::type_name::<F>(), site: self.site }
    }

    fn run(self: Box<Self>) {
        // What can still panic are drops: of a closure that was cancelled, of a result nobody
        // waits for. The panic hook has reported it; the thread has other jobs to do.
        quietly(|| self.run_it());
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.function, self.site)
    }
}

/// Calls `f`; a panic ends here, also that of the panic's own drop.
pub(crate) fn quietly(f: impl FnOnce()) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(f)) {
        let dropped = panic::catch_unwind(AssertUnwindSafe(|| drop(payload)));
        mem::forget(dropped);
    }
}
