//! The end of a loop: what upper tiers finish, and what is dropped when it is closed.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use crate::event_loop::{Inner, State};
use crate::exception::{contain, discard};
use crate::running::Entered;
use crate::timers::Action;

/// What an upper tier does when a loop ends, added with
/// [`EventLoop::add_close_hook`](crate::EventLoop::add_close_hook).
///
/// At the end of [`run`](crate::run()) each hook gets an async phase, from the top tier down, each with a grace
/// period. Closing the loop then drops what is left.
pub trait CloseHook {
    /// The tier it belongs to. Higher ones shut down first.
    fn tier(&self) -> u8;

    /// The async phase: cancel tasks and await them, join a pool.
    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()>>>;

    /// How long the phase may take, by the loop's clock. When it is over the phase is dropped.
    fn grace(&self) -> Duration;

    /// What did not end within the grace period, by name. Reported.
    fn abandoned(&self) -> Vec<String> {
        Vec::new()
    }

    /// While the loop is being closed: wakes every live future of this tier, so that its entry comes out of the queue
    /// and can be dropped here. Returns how many are still alive.
    fn wake_live(&self) -> usize {
        0
    }

    /// The loop is closed, its queues refuse everything.
    fn closed(&self) {}
}

impl Inner {
    /// Drops everything that is alive on this loop, then shuts its doors. Idempotent; not to be called while it runs.
    pub(crate) fn close(&self) {
        if self.is_closed() {
            return;
        }
        let _entered = Entered::to_close(self);
        self.state.set(State::Closing);
        let hooks = self.hooks.borrow().clone();
        // Dropping one thing wakes another, and other threads go on waking; but nothing new starts on a closing loop,
        // so this ends when every future has been dropped by the entry that its wake brought here.
        loop {
            let live: usize = hooks.iter().map(|hook| hook.wake_live()).sum();
            let dropped = self.drop_queued();
            if live == 0 && !dropped {
                break;
            }
            if live > 0 && !dropped {
                // A wake from another thread is between its mark and its push.
                std::thread::yield_now();
            }
        }
        self.state.set(State::Closed);
        self.shared.close();
        // A push that began before the door was shut is waited for, and what it brought is dropped here.
        while self.drop_queued() {}
        for hook in &hooks {
            hook.closed();
        }
        discard(hooks);
        self.drop_attachments();
        let selector = self.selector.take();
        drop(selector);
    }

    /// Drops what waits: timers, handlers, queued entries, local and remote. True if there was anything.
    fn drop_queued(&self) -> bool {
        let timers = self.timers.borrow_mut().take_waiting();
        let handlers = self.sources.take();
        let mut any = !timers.is_empty() || !handlers.is_empty();
        for timer in timers {
            match timer {
                Action::Run(entry) => contain(|| entry.discard()),
                Action::Wake(waker) => discard(waker),
            }
        }
        for handler in handlers {
            discard(handler);
        }
        self.drain_remote();
        for entry in self.ready.take() {
            any = true;
            contain(|| entry.discard());
        }
        any
    }
}

/// The hooks in the order of their phases: from the top tier down, those of one tier in the order of their adding.
pub(crate) fn in_order(mut hooks: Vec<Rc<dyn CloseHook>>) -> Vec<Rc<dyn CloseHook>> {
    hooks.sort_by_key(|hook| std::cmp::Reverse(hook.tier()));
    hooks
}
