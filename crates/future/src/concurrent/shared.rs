//! What a promise and its future share: the state, who waits for it, and the done callbacks.

use std::any::Any;
use std::fmt;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, MutexGuard, PoisonError};

use asyncio_loop::ExceptionContext;
use event_listener::{Event, EventListener};

use crate::report;

/// How a [`Future`](super::Future) ended; what its done callbacks are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Completion {
    /// The promise was kept.
    Finished,
    /// Whoever computed the result panicked.
    Panicked,
    /// The future was cancelled, or the promise dropped.
    Cancelled,
}

pub(super) struct Shared<T> {
    state: Mutex<State<T>>,
    /// Notified once, when the state becomes final, and only if `State::waiters` is not 0: an
    /// unused event costs 2 ns, a notified one 20.
    done: Event,
}

struct State<T> {
    phase: Phase<T>,
    /// Listeners on `Shared::done` that have not left.
    waiters: usize,
    callbacks: Vec<Callback>,
}

pub(super) enum Phase<T> {
    Pending,
    Running,
    Finished(T),
    Panicked(Box<dyn Any + Send>),
    Cancelled,
    Taken,
}

/// A final state, taken out.
pub(super) enum Outcome<T> {
    Finished(T),
    Panicked(Box<dyn Any + Send>),
    Cancelled,
}

type Callback = Box<dyn FnOnce(Completion) + Send>;

impl<T> Shared<T> {
    pub(super) fn new() -> Self {
        let state = State { phase: Phase::Pending, waiters: 0, callbacks: Vec::new() };
        Self { state: Mutex::new(state), done: Event::new() }
    }

    /// Edge 1. `false`: cancelled, do not start.
    pub(super) fn start(&self) -> bool {
        let mut state = self.lock();
        match state.phase {
            Phase::Pending => {
                state.phase = Phase::Running;
                true
            }
            Phase::Cancelled => false,
            _ => true,
        }
    }

    /// Edges 2, 3 and 5: the promise ends. Hands `phase` back if the future is cancelled.
    pub(super) fn complete(&self, phase: Phase<T>) -> Result<(), Phase<T>> {
        let state = self.lock();
        match state.phase {
            Phase::Pending | Phase::Running => {
                self.finish(state, phase);
                Ok(())
            }
            _ => Err(phase),
        }
    }

    /// Edge 4. `true`: it is cancelled now, or was before.
    pub(super) fn cancel(&self) -> bool {
        let state = self.lock();
        match state.phase {
            Phase::Pending => {
                self.finish(state, Phase::Cancelled);
                true
            }
            Phase::Cancelled => true,
            _ => false,
        }
    }

    /// Edge 6. `None`: not done yet.
    ///
    /// A cancelled future stays cancelled: its promise may still have to be told.
    ///
    /// # Panics
    ///
    /// If the result was taken before.
    pub(super) fn take(&self) -> Option<Outcome<T>> {
        self.lock().phase.take()
    }

    /// As [`take`](Self::take); `Err`: not done yet, but this listener will hear of it.
    pub(super) fn take_or_listen(&self) -> Result<Outcome<T>, EventListener> {
        let mut state = self.lock();
        match state.phase.take() {
            Some(outcome) => Ok(outcome),
            None => Err(self.listen(&mut state)),
        }
    }

    /// `None`: done.
    pub(super) fn listen_unless_done(&self) -> Option<EventListener> {
        let mut state = self.lock();
        match state.phase.completion() {
            Some(_) => None,
            None => Some(self.listen(&mut state)),
        }
    }

    /// A listener from one of the above has been dropped.
    pub(super) fn left(&self) {
        self.lock().waiters -= 1;
    }

    pub(super) fn completion(&self) -> Option<Completion> {
        self.lock().phase.completion()
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.lock().phase, Phase::Running)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        matches!(self.lock().phase, Phase::Cancelled)
    }

    pub(super) fn add_callback(&self, callback: Callback) {
        let mut state = self.lock();
        match state.phase.completion() {
            None => state.callbacks.push(callback),
            Some(completion) => {
                drop(state);
                call(callback, completion);
            }
        }
    }

    /// Listening under the lock, so that no completion falls between look and listen.
    fn listen(&self, state: &mut State<T>) -> EventListener {
        state.waiters += 1;
        self.done.listen()
    }

    fn finish(&self, mut state: MutexGuard<'_, State<T>>, phase: Phase<T>) {
        state.phase = phase;
        let completion = state.phase.completion().expect("only final states finish");
        let callbacks = mem::take(&mut state.callbacks);
        let waiters = state.waiters;
        drop(state);
        if waiters != 0 {
            self.done.notify(usize::MAX);
        }
        for callback in callbacks {
            call(callback, completion);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code of a user runs under this lock, and each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A panic that nobody has taken is reported, once; a value is dropped like any other.
impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Phase::Panicked(payload) = mem::replace(&mut state.phase, Phase::Taken) {
            let context = ExceptionContext::new("panic was never retrieved from its future");
            report::send(context.with_panic(payload));
        }
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.lock().phase {
            Phase::Pending => "pending",
            Phase::Running => "running",
            Phase::Finished(_) | Phase::Taken => "finished",
            Phase::Panicked(_) => "panicked",
            Phase::Cancelled => "cancelled",
        })
    }
}

impl<T> Phase<T> {
    fn completion(&self) -> Option<Completion> {
        match self {
            Self::Pending | Self::Running => None,
            Self::Finished(_) | Self::Taken => Some(Completion::Finished),
            Self::Panicked(_) => Some(Completion::Panicked),
            Self::Cancelled => Some(Completion::Cancelled),
        }
    }

    fn take(&mut self) -> Option<Outcome<T>> {
        match mem::replace(self, Self::Taken) {
            Self::Finished(value) => Some(Outcome::Finished(value)),
            Self::Panicked(payload) => Some(Outcome::Panicked(payload)),
            Self::Taken => panic!("a concurrent::Future was polled after it had given its result"),
            phase @ (Self::Pending | Self::Running) => {
                *self = phase;
                None
            }
            Self::Cancelled => {
                *self = Self::Cancelled;
                Some(Outcome::Cancelled)
            }
        }
    }
}

/// One callback's panic is its own: the panic hook has reported it, the others still run, and
/// whoever set the result goes on (as `concurrent.futures` does).
fn call(callback: Callback, completion: Completion) {
    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(|| callback(completion))) {
        // Its drop may panic too.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(payload)));
    }
}
