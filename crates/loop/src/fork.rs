//! What becomes of a loop in the child of a `fork`: nothing. It stays its parent's.
//!
//! A child has copies of the parent's loops, and shares their descriptors: whatever it waited for, registered or took out
//! would be the parent's loss. So in the child every loop of the parent is closed from the start. It runs nothing, takes
//! nothing, wakes nobody; what waits on it is neither run nor dropped but forgotten, since its destructors are the
//! parent's business, too. No loop is running in the child and no task is current, so that it may `run` one of its own,
//! and signals do what they did before any loop listened.
//!
//! The C library calls [`in_child`] in each child, before `fork` returns there; a process that is made to execute another
//! program by `posix_spawn` or `vfork` never gets there. Looking at the process's number at each step would cost a system
//! call. Rejected: memory that the kernel wipes (Linux only).
#![expect(unsafe_code, reason = "pthread_atfork")]

use std::mem;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::event_loop::{Inner, State};
use crate::{running, signals};

/// Sees to it that children learn that they are some. Called by each loop that is made.
pub(crate) fn watch() -> Generation {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        // SAFETY: the function may be called in a child: it touches atomics, its own thread's cells and loops, calls
        // `sigaction`, and neither allocates nor waits.
        let failed = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        if failed != 0 {
            log::warn!("a fork of this process will not be noticed: the C library has no memory");
        }
    });
    Generation::now()
}

/// In which process something was made: counted in forks from the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation(u32);

impl Generation {
    #[inline]
    pub(crate) fn now() -> Self {
        Self(FORKS.load(Ordering::Relaxed))
    }

    /// Was it made in another process than this one?
    #[inline]
    pub(crate) fn is_over(self) -> bool {
        self != Self::now()
    }
}

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    signals::after_fork();
    running::after_fork();
    asyncio_coro::hooks::forget_current();
}

impl Inner {
    /// Is this the copy of a parent's loop?
    #[inline]
    pub(crate) fn is_parents(&self) -> bool {
        self.generation.is_over()
    }

    /// In a child that was forked off while this loop ran: makes its run end as soon as the callback or step that is
    /// running returns.
    pub(crate) fn end_in_child(&self) {
        self.state.set(State::Closed);
        self.stopping.set(true);
        self.ready.forget();
    }

    /// Lets go of the copy of a parent's loop without running any destructor.
    pub(crate) fn abandon(&self) {
        self.state.set(State::Closed);
        self.ready.forget();
        // A thread that the child does not have may have been in the middle of a push.
        mem::forget(self.shared.clone());
        mem::forget(self.timers.borrow_mut().take_waiting());
        mem::forget(self.sources.take());
        self.signals.forget();
        self.generators.forget();
        mem::forget(self.hooks.take());
        mem::forget(self.exception_handler.take());
        self.forget_extensions();
        // Its own destructor takes descriptors out of what the parent waits for.
        mem::forget(self.selector.take());
    }
}

/// How many forks away from the first process this one is.
static FORKS: AtomicU32 = AtomicU32::new(0);
