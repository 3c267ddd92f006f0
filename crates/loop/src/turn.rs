//! A callback that one thread runs and every thread may cancel: the lock of a thread-safe handle.
//!
//! ```text
//!             run                      the callback returned, or panicked
//!   Waiting ───1───► Running by ‹thread› ───2───► Over
//!      └─────────────────3──────────────────────────▲
//!        cancel, or the loop was closed: the callback is dropped
//! ```
//! All edges are taken under the mutex; the callback is called and dropped outside it. Who asks or cancels while another
//! thread is between edges 1 and 2 waits for edge 2. So whoever has cancelled knows that the callback does not run any
//! more, nor ever will. The thread that runs the callback does not wait for itself.

use std::sync::PoisonError;

use crate::sync::{Condvar, Mutex, MutexGuard, ThreadId, current_thread};

/// A callback and its turn.
pub(crate) struct Turn<F> {
    state: Mutex<State<F>>,
    /// Edge 2; notified only if `State::waiting` is not 0, since that is a system call.
    over: Condvar,
}

struct State<F> {
    /// None after edge 1 or 3.
    callback: Option<F>,
    /// Between edges 1 and 2.
    runner: Option<ThreadId>,
    cancelled: bool,
    waiting: usize,
}

impl<F> Turn<F> {
    pub(crate) fn new(callback: F) -> Self {
        let state = State { callback: Some(callback), runner: None, cancelled: false, waiting: 0 };
        Self { state: Mutex::new(state), over: Condvar::new() }
    }

    /// The callback, unless it was cancelled: for who has all of this to himself.
    pub(crate) fn into_callback(self) -> Option<F> {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).callback
    }

    /// Edges 1 and 2: has `call` call the callback, unless it was cancelled.
    pub(crate) fn run(&self, call: impl FnOnce(F)) {
        let mut state = self.lock();
        let Some(callback) = state.callback.take() else { return };
        state.runner = Some(current_thread().id());
        drop(state);
        let _over = Over(self);
        call(callback);
    }

    /// Edge 3, or a mark on a callback that has run; after edge 2 in any case.
    pub(crate) fn cancel(&self) {
        let mut state = self.settled();
        state.cancelled = true;
        let callback = state.callback.take();
        drop(state);
        drop(callback);
    }

    /// Was it cancelled? Waits for edge 2.
    pub(crate) fn cancelled(&self) -> bool {
        self.settled().cancelled
    }

    /// As [`cancelled`](Self::cancelled), but answers at once.
    pub(crate) fn is_marked_cancelled(&self) -> bool {
        self.lock().cancelled
    }

    /// The state, once no other thread runs the callback.
    fn settled(&self) -> MutexGuard<'_, State<F>> {
        let mut state = self.lock();
        while state.runner.is_some_and(|runner| runner != current_thread().id()) {
            state.waiting += 1;
            state = self.over.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        state
    }

    fn lock(&self) -> MutexGuard<'_, State<F>> {
        // No code of a user runs under this lock, and each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes edge 2 when dropped.
struct Over<'a, F>(&'a Turn<F>);

impl<F> Drop for Over<'_, F> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.runner = None;
        let waiting = state.waiting;
        drop(state);
        if waiting > 0 {
            self.0.over.notify_all();
        }
    }
}
