//! The loop's side of signals: who is told what.

use std::cell::{Cell, RefCell};
use std::mem;
use std::panic::Location;
use std::rc::Rc;
use std::task::Waker;

use asyncio_coro::context::Captured;

use super::ctrl_c::LookAfterCtrlC;
use super::error::SignalError;
use super::process::Listener;
use super::signal::Signal;
use crate::error::LoopClosed;
use crate::event_loop::{EventLoop, Inner, Interrupt};
use crate::handle::{call, callback_at};

/// What a loop has to do with signals.
#[derive(Default)]
pub(crate) struct LoopSignals {
    /// None while it listens to none.
    listener: Cell<Option<&'static Listener>>,
    handlers: RefCell<Vec<Rc<SignalHandler>>>,
    subscriptions: RefCell<Vec<Rc<Subscription>>>,
}

/// A callback for a signal.
struct SignalHandler {
    signal: Signal,
    /// None while it runs.
    callback: Cell<Option<Box<dyn FnMut()>>>,
    is_removed: Cell<bool>,
    /// That of its registration.
    context: Captured,
    site: &'static Location<'static>,
}

/// What a stream of signals shares with its loop.
#[derive(Default)]
pub(super) struct Subscription {
    pub(super) wanted: u64,
    pub(super) pending: Cell<u64>,
    pub(super) waker: Cell<Option<Waker>>,
    /// The loop is closed, there will be no more.
    pub(super) has_ended: Cell<bool>,
}

impl EventLoop {
    /// Calls `callback` on the loop's thread each time the process gets `signal`: an ordinary callback, which may do
    /// what others may. It takes the place of the one that this loop had for the signal.
    ///
    /// Any loop of any thread may listen, and all that do are told. While one does, the signal does nothing else: not
    /// what it does by default, and SIGINT does not cancel the main future of [`run`](crate::run()). Signals of one
    /// kind that come before the loop gets to look are one. A panic in the callback is reported, and the handler stays.
    ///
    /// When the last listener in the process is removed, and so at the latest when the loops are closed, the signal does
    /// again what it did before. A child process that is forked off does not listen.
    ///
    /// # Errors
    ///
    /// - [`Uncatchable`](SignalError::Uncatchable): SIGKILL, SIGSTOP, and the faults of the processor.
    /// - [`Closed`](SignalError::Closed): the loop is closed.
    /// - [`Os`](SignalError::Os): what the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{EventLoop, Signal};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let stopper = event_loop.clone();
    /// event_loop.add_signal_handler(Signal::SIGUSR1, move || stopper.stop())?;
    /// // As `kill -USR1` does it.
    /// rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::USR1)?;
    /// event_loop.run_forever()?;
    /// assert!(event_loop.remove_signal_handler(Signal::SIGUSR1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn add_signal_handler(
        &self,
        signal: Signal,
        callback: impl FnMut() + 'static,
    ) -> Result<(), SignalError> {
        let handler = Rc::new(SignalHandler {
            signal,
            callback: Cell::new(Some(Box::new(callback))),
            is_removed: Cell::new(false),
            context: Captured::copy(),
            site: Location::caller(),
        });
        let inner = self.inner();
        inner.listen(signal.bit())?;
        let previous = inner.signals.remove_handler(signal);
        inner.signals.handlers.borrow_mut().push(handler);
        drop(previous);
        Ok(())
    }

    /// Removes the callback that [`add_signal_handler`](Self::add_signal_handler) set. It is not called any more, not
    /// even for a signal that has come already. False if there was none.
    pub fn remove_signal_handler(&self, signal: Signal) -> bool {
        let inner = self.inner();
        let removed = inner.signals.remove_handler(signal);
        inner.signals.ignore_unwanted();
        removed.is_some()
    }
}

impl Inner {
    /// Begins to listen to a set of signals: to all of them, or to none.
    pub(super) fn listen(&self, set: u64) -> Result<(), SignalError> {
        if self.is_closed() {
            return Err(SignalError::Closed(LoopClosed::of(&self.shared)));
        }
        if let Some(signal) = Signal::of_set(set).find(|signal| !signal.is_catchable()) {
            return Err(SignalError::Uncatchable(signal));
        }
        let listener = match self.signals.listener.get() {
            Some(listener) => listener,
            None => {
                let wake_fd = self.wake_fd().map_err(SignalError::Os)?;
                let listener = Listener::take(wake_fd);
                self.signals.listener.set(Some(listener));
                listener
            }
        };
        for signal in Signal::of_set(set) {
            if let Err(error) = listener.listen(signal) {
                self.signals.ignore_unwanted();
                return Err(SignalError::Os(error));
            }
        }
        Ok(())
    }

    /// Subscribes to a set of signals.
    pub(super) fn subscribe(&self, set: u64) -> Result<Rc<Subscription>, SignalError> {
        self.listen(set)?;
        let subscription = Rc::new(Subscription { wanted: set, ..Subscription::default() });
        self.signals.subscriptions.borrow_mut().push(subscription.clone());
        Ok(subscription)
    }

    pub(super) fn unsubscribe(&self, subscription: &Rc<Subscription>) {
        self.signals.subscriptions.borrow_mut().retain(|other| !Rc::ptr_eq(other, subscription));
        self.signals.ignore_unwanted();
    }

    /// Queues what the signals that came are to do.
    pub(crate) fn take_signals(&self) {
        let Some(listener) = self.signals.listener.get() else { return };
        let pending = listener.take_pending();
        if pending != 0 {
            self.dispatch(pending);
        }
    }

    /// Have signals come that were not looked at? Ctrl-C too, where it is this loop's.
    pub(crate) fn has_signals(&self) -> bool {
        let is_told = self.signals.listener.get().is_some_and(Listener::has_pending);
        let expects_ctrl_c =
            matches!(self.interrupt.get(), Interrupt::CancelsMain | Interrupt::EndsShutdown);
        is_told || (expects_ctrl_c && LookAfterCtrlC::has_come())
    }

    #[cold]
    fn dispatch(&self, pending: u64) {
        for signal in Signal::of_set(pending) {
            let handlers = self.signals.handlers.borrow();
            if let Some(handler) = handlers.iter().find(|handler| handler.signal == signal) {
                let handler = handler.clone();
                let (_, entry) =
                    callback_at(handler.site, Captured::empty(), move || handler.call());
                self.ready.push(entry);
            }
        }
        let subscriptions = self.signals.subscriptions.borrow().clone();
        for subscription in subscriptions {
            let new = subscription.wanted & pending;
            subscription.pending.set(subscription.pending.get() | new);
            if new != 0 {
                if let Some(waker) = subscription.waker.take() {
                    self.contain(|| waker.wake());
                }
            }
        }
    }

    /// Gives all signals back. Callbacks are dropped and streams end.
    pub(crate) fn leave_signals(&self) {
        if let Some(listener) = self.signals.listener.take() {
            listener.leave();
        }
        for handler in self.signals.handlers.take() {
            handler.is_removed.set(true);
            self.contain(|| drop(handler));
        }
        for subscription in self.signals.subscriptions.take() {
            subscription.has_ended.set(true);
            if let Some(waker) = subscription.waker.take() {
                self.contain(|| waker.wake());
            }
        }
    }
}

impl LoopSignals {
    /// Forgets whoever is told of signals, without a destructor.
    pub(crate) fn forget(&self) {
        self.listener.take();
        mem::forget(self.handlers.take());
        mem::forget(self.subscriptions.take());
    }

    fn remove_handler(&self, signal: Signal) -> Option<Rc<SignalHandler>> {
        let mut handlers = self.handlers.borrow_mut();
        let at = handlers.iter().position(|handler| handler.signal == signal)?;
        let handler = handlers.swap_remove(at);
        handler.is_removed.set(true);
        Some(handler)
    }

    /// Ignores the signals that nobody on this loop wants any more.
    fn ignore_unwanted(&self) {
        let Some(listener) = self.listener.get() else { return };
        let handled =
            self.handlers.borrow().iter().fold(0, |set, handler| set | handler.signal.bit());
        let subscribed =
            self.subscriptions.borrow().iter().fold(0, |set, other| set | other.wanted);
        for signal in Signal::of_set(listener.wanted() & !(handled | subscribed)) {
            listener.ignore(signal);
        }
    }
}

impl SignalHandler {
    fn call(&self) {
        /// Puts the callback back, also after a panic. One that was removed meanwhile is dropped.
        struct PutBack<'a>(&'a SignalHandler, Option<Box<dyn FnMut()>>);
        impl Drop for PutBack<'_> {
            fn drop(&mut self) {
                if !self.0.is_removed.get() {
                    self.0.callback.set(self.1.take());
                }
            }
        }
        if self.is_removed.get() {
            return;
        }
        let mut running = PutBack(self, self.callback.take());
        if let Some(callback) = &mut running.1 {
            self.context.run(|| call(callback, self.site));
        }
    }
}
