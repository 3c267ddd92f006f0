//! The async generators that a loop looks after: those that were dropped half-way, and at its end all that are still open.
//!
//! What is left of a generator is a future. It is polled by callbacks, one for each wake, like a small task: generators may be
//! used without tier 4, and a cleanup is no hot path.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use asyncio_coro::context::Captured;
use asyncio_coro::hooks::{GeneratorEnd, GeneratorHooks, LiveGenerator};
use slab::Slab;

use crate::config::GracePeriods;
use crate::event_loop::{EventLoop, Inner};
use crate::exception::ExceptionContext;
use crate::loop_handle::LoopHandle;
use crate::running::get_running_loop;
use crate::shutdown::CloseHook;

/// The async generators of one loop.
#[derive(Default)]
pub(crate) struct AsyncGenerators {
    /// Those that were iterated. Some are gone by now.
    live: RefCell<Vec<LiveGenerator>>,
    /// When `live` has so many, those that are gone are thrown out.
    prune_at: Cell<usize>,
    /// Those that are being closed.
    closing: RefCell<Slab<Closing>>,
    /// Who waits until none is left of them.
    waiting: Cell<Option<Waker>>,
    /// Whether the loop closes what is still open at its end.
    is_hooked: Cell<bool>,
    /// Whether it has begun to.
    is_shut_down: Cell<bool>,
}

/// What is left of a generator.
struct Closing {
    site: &'static Location<'static>,
    /// Taken out while it is polled.
    end: Option<GeneratorEnd>,
    /// The context in which the generator was dropped.
    context: Rc<Captured>,
    wake: Arc<WakeEnd>,
}

/// Has the end with the number `key` polled by its loop.
struct WakeEnd {
    key: usize,
    is_queued: AtomicBool,
    home: LoopHandle,
}

impl Wake for WakeEnd {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.clone();
        let poll = move || {
            if let Ok(event_loop) = get_running_loop() {
                event_loop.inner().poll_end(&this);
            }
        };
        // A loop that is closed has dropped the end.
        drop(self.home.call_soon_threadsafe(poll));
    }
}

impl AsyncGenerators {
    /// Forgets them, without a destructor.
    pub(crate) fn forget(&self) {
        mem::forget(self.live.take());
        mem::forget(self.closing.take());
    }
}

impl GeneratorHooks for Inner {
    fn first_iter(&self, generator: LiveGenerator) {
        let generators = &self.generators;
        self.hook_generators();
        if generators.is_shut_down.get() {
            let problem =
                "an async generator was first iterated after the loop had closed its generators";
            let context = ExceptionContext::new(problem);
            self.report(match generator.site() {
                Some(site) => context.with_site(site),
                None => context,
            });
        }
        let mut live = generators.live.borrow_mut();
        if live.len() >= generators.prune_at.get() {
            live.retain(LiveGenerator::is_alive);
            generators.prune_at.set((2 * live.len()).max(PRUNE_AT_FIRST));
        }
        live.push(generator);
    }

    fn finalize(&self, site: &'static Location<'static>, end: GeneratorEnd) {
        if self.is_closed() {
            self.contain(|| drop(end));
            return;
        }
        self.hook_generators();
        let wake = {
            let mut closing = self.generators.closing.borrow_mut();
            let slot = closing.vacant_entry();
            let home = LoopHandle::new(self.shared.clone());
            let wake =
                Arc::new(WakeEnd { key: slot.key(), is_queued: AtomicBool::new(false), home });
            let context = Rc::new(Captured::copy());
            slot.insert(Closing { site, end: Some(end), context, wake: wake.clone() });
            wake
        };
        wake.wake();
    }
}

impl EventLoop {
    /// Closes the async generators of this loop that are still open, and waits for their cleanups: what
    /// [`run`](crate::run()) does at its end, and whoever ends a loop by other means should.
    ///
    /// One that somebody is waiting on is left alone. Their owners get no more items.
    ///
    /// # Cancel safety
    ///
    /// When this is cancelled, the loop goes on closing them.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_coro::{generator, try_finally, yield_now};
    /// use asyncio_loop::{get_running_loop, run};
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// run(async {
    ///     let is_open = Rc::new(Cell::new(true));
    ///     let in_body = is_open.clone();
    ///     let mut numbers = generator(async move |y| {
    ///         try_finally(y.yield_(1), async || {
    ///             yield_now().await;
    ///             in_body.set(false);
    ///         })
    ///         .await;
    ///     });
    ///     assert_eq!(numbers.next().await, Some(1));
    ///     get_running_loop().unwrap().shutdown_asyncgens().await;
    ///     assert!(!is_open.get());
    ///     assert_eq!(numbers.next().await, None);
    /// })?;
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    pub async fn shutdown_asyncgens(&self) {
        self.inner().shutdown_asyncgens().await;
    }
}

impl Inner {
    /// There is a generator: the end of the loop is to close it.
    fn hook_generators(&self) {
        if !self.generators.is_hooked.replace(true) {
            if let Some(this) = self.this.upgrade() {
                EventLoop::from_inner(this).add_close_hook(Rc::new(CloseAll(self.this.clone())));
            }
        }
    }

    async fn shutdown_asyncgens(&self) {
        let generators = &self.generators;
        generators.is_shut_down.set(true);
        for generator in generators.live.take() {
            let site = generator.site();
            if let (Some(site), Some(end)) = (site, generator.aclose()) {
                self.finalize(site, end);
            }
        }
        poll_fn(|cx| {
            if generators.closing.borrow().is_empty() {
                return Poll::Ready(());
            }
            let stale = generators.waiting.replace(Some(cx.waker().clone()));
            drop(stale);
            Poll::Pending
        })
        .await;
    }

    fn poll_end(&self, wake: &Arc<WakeEnd>) {
        wake.is_queued.swap(false, Ordering::AcqRel);
        let (mut end, context, site) = {
            let mut closing = self.generators.closing.borrow_mut();
            // It may be gone, and its number given to another one.
            let found = closing.get_mut(wake.key).filter(|found| Arc::ptr_eq(&found.wake, wake));
            let Some(found) = found else { return };
            let Some(end) = found.end.take() else { return };
            (end, found.context.clone(), found.site)
        };
        let waker = Waker::from(wake.clone());
        let poll = || context.run(|| end.as_mut().poll(&mut Context::from_waker(&waker)));
        let polled = catch_unwind(AssertUnwindSafe(poll));
        if let Ok(Poll::Pending) = polled {
            if let Some(found) = self.generators.closing.borrow_mut().get_mut(wake.key) {
                found.end = Some(end);
                return;
            }
        }
        self.contain(|| drop(end));
        if let Err(panic) = polled {
            let problem = "an error occurred while an async generator was being closed";
            self.report(ExceptionContext::new(problem).with_site(site).with_panic(panic));
        }
        let gone = self.generators.closing.borrow_mut().try_remove(wake.key);
        drop(gone);
        if self.generators.closing.borrow().is_empty() {
            if let Some(waker) = self.generators.waiting.take() {
                waker.wake();
            }
        }
    }

    /// Drops what is being closed.
    fn drop_ends(&self) {
        for closing in self.generators.closing.take() {
            self.contain(|| drop(closing));
        }
    }

    fn closing_names(&self) -> Vec<String> {
        let closing = self.generators.closing.borrow();
        closing
            .iter()
            .map(|(_, closing)| format!("async generator made at {}", closing.site))
            .collect()
    }
}

/// What the loop does with its generators when it ends.
struct CloseAll(Weak<Inner>);

impl CloseHook for CloseAll {
    fn tier(&self) -> u8 {
        2
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        let inner = self.0.clone();
        Box::pin(async move {
            if let Some(inner) = inner.upgrade() {
                inner.shutdown_asyncgens().await;
            }
        })
    }

    fn grace(&self, periods: &GracePeriods) -> Duration {
        periods.async_generators
    }

    fn abandoned(&self) -> Vec<String> {
        self.0.upgrade().map(|inner| inner.closing_names()).unwrap_or_default()
    }

    fn blocked(&self) -> Vec<String> {
        self.abandoned()
    }

    fn wake_live(&self) -> usize {
        // They have no entries that would bring them to their end.
        if let Some(inner) = self.0.upgrade() {
            inner.drop_ends();
        }
        0
    }
}

/// Small enough to be walked in no time, large enough for most programs.
const PRUNE_AT_FIRST: usize = 64;
