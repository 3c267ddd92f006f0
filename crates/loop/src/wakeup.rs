//! How a push from another thread and a loop that goes to sleep do not miss each other.
//!
//! A push is followed by a look at `sleeping`; the loop raises `sleeping` and then looks at what was pushed. Both sides
//! have a sequentially consistent fence in between, so at least one of them sees the other: either the loop does not go
//! to sleep, or the pusher wakes it. Only the pusher that lowers the flag pays for the wake. The models in `model.rs`
//! fail without either fence.
//!
//! The loop swaps where a store would do: it is the same instruction on x86, and the model checker orders stores of
//! several threads only where they read what they replace.

use crate::sync::{AtomicBool, Ordering, fence};

/// Whether the loop sleeps.
pub(crate) struct Wakeup {
    /// True while the loop is in a wait that a push has to end.
    sleeping: AtomicBool,
}

impl Wakeup {
    pub(crate) fn new() -> Self {
        Self { sleeping: AtomicBool::new(false) }
    }

    /// Something was pushed: calls `notify` if the loop is in a wait that has to end, and nobody else has.
    pub(crate) fn wake(&self, notify: impl FnOnce()) {
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::SeqCst) {
            notify();
        }
    }

    /// Announces a wait. False: `may_sleep`, asked after that, says that there is something to do first; do not block.
    pub(crate) fn fall_asleep(&self, may_sleep: impl FnOnce() -> bool) -> bool {
        let _ = self.sleeping.swap(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let may_sleep = may_sleep();
        if !may_sleep {
            self.wake_up();
        }
        may_sleep
    }

    /// The wait is over; no push has to end it any more.
    pub(crate) fn wake_up(&self) {
        let _ = self.sleeping.swap(false, Ordering::SeqCst);
    }
}
