//! The executor of a loop: made on demand, joined when the loop's run ends.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use asyncio_loop::{CloseHook, EventLoop, GracePeriods, NoRunningLoop, get_running_loop};

use crate::thread_pool::ThreadPoolExecutor;

/// Makes `executor` the default executor of the running loop, and returns the one before it, if
/// one was set or used. The loop shuts its default executor down at the end.
///
/// # Errors
///
/// [`NoRunningLoop`], when no loop runs on this thread.
///
/// # Examples
///
/// ```
/// use std::{sync::Arc, thread};
/// use asyncio_executor::{ThreadPoolExecutor, set_default_executor, to_thread};
///
/// let name = asyncio_loop::run(async {
///     set_default_executor(Arc::new(ThreadPoolExecutor::with_name_prefix("mine", 1))).unwrap();
///     to_thread(|| thread::current().name().map(String::from)).await
/// });
/// assert_eq!(name.unwrap().as_deref(), Some("mine_0"));
/// ```
pub fn set_default_executor(
    executor: Arc<ThreadPoolExecutor>,
) -> Result<Option<Arc<ThreadPoolExecutor>>, NoRunningLoop> {
    let event_loop = get_running_loop()?;
    Ok(DefaultExecutor::of(&event_loop).executor.replace(Some(executor)))
}

/// What a loop knows of its default executor.
#[derive(Default)]
pub(crate) struct DefaultExecutor {
    executor: RefCell<Option<Arc<ThreadPoolExecutor>>>,
    /// Shut down for good: no other is made.
    ended: Cell<bool>,
    hooked: Cell<bool>,
}

impl DefaultExecutor {
    pub(crate) fn of(event_loop: &EventLoop) -> Rc<Self> {
        let this = event_loop.extension::<Self>();
        if !this.hooked.replace(true) {
            event_loop.add_close_hook(Rc::new(Join(Rc::clone(&this))));
        }
        this
    }

    /// `None`: it was shut down.
    pub(crate) fn get(&self) -> Option<Arc<ThreadPoolExecutor>> {
        if self.ended.get() {
            return None;
        }
        let mut executor = self.executor.borrow_mut();
        let new = || Arc::new(ThreadPoolExecutor::with_name_prefix("asyncio", 0));
        Some(Arc::clone(executor.get_or_insert_with(new)))
    }

    fn end(&self) -> Option<Arc<ThreadPoolExecutor>> {
        self.ended.set(true);
        self.executor.borrow().clone()
    }
}

/// Joins the default executor at the end of a run.
struct Join(Rc<DefaultExecutor>);

impl CloseHook for Join {
    /// Below tier 4, whose hook cancels the tasks: what they clean up may need a thread.
    fn tier(&self) -> u8 {
        3
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        let executor = self.0.end();
        Box::pin(async move {
            let Some(executor) = executor else { return };
            // Threads that end are work, too: a virtual clock must not run through the grace.
            let _working = get_running_loop().map(|event_loop| event_loop.external_work());
            executor.shutdown(false);
            executor.ended().await;
        })
    }

    fn grace(&self, periods: &GracePeriods) -> Duration {
        periods.executor
    }

    fn abandoned(&self) -> Vec<String> {
        let Some(executor) = self.0.end() else { return Vec::new() };
        let mut jobs = executor.running();
        match executor.cancel_pending() {
            0 => {}
            pending => jobs.push(format!("{pending} not started, now cancelled")),
        }
        jobs
    }

    fn closed(&self) {
        // As asyncio's `close`: no more jobs, no waiting.
        let executor = self.0.end();
        if let Some(executor) = executor {
            executor.shutdown(false);
        }
        drop(self.0.executor.take());
    }
}
