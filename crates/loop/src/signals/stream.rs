//! Signals as a stream, and Ctrl-C as a future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use asyncio_coro::Stream;

use super::dispatch::Subscription;
use super::error::SignalError;
use super::signal::Signal;
use crate::error::LoopClosed;
use crate::event_loop::Inner;
use crate::running::get_running_loop;

/// Listens to signals from now on, until the stream is dropped or the running loop is closed.
///
/// Each stream and each [handler](crate::EventLoop::add_signal_handler) of each loop is told of each signal. While
/// anybody listens the signal does nothing else.
///
/// # Errors
///
/// - [`NoLoop`](SignalError::NoLoop): no loop is running in this thread.
/// - The others as of [`add_signal_handler`](crate::EventLoop::add_signal_handler). None of the signals is listened to
///   then.
///
/// # Examples
///
/// ```
/// use asyncio_coro::StreamExt;
/// use asyncio_loop::{Signal, run, signals};
///
/// run(async {
///     let mut signals = signals([Signal::SIGTERM, Signal::SIGHUP])?;
///     // As `kill -HUP` does it.
///     rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::HUP).unwrap();
///     assert_eq!(signals.next().await, Some(Signal::SIGHUP));
///     Ok::<(), asyncio_loop::SignalError>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn signals(which: impl IntoIterator<Item = Signal>) -> Result<Signals, SignalError> {
    let event_loop = get_running_loop().map_err(SignalError::NoLoop)?;
    let wanted = which.into_iter().fold(0, |set, signal| set | signal.bit());
    let subscription = event_loop.inner().subscribe(wanted)?;
    Ok(Signals { subscription, inner: Rc::downgrade(event_loop.inner()) })
}

/// Waits for Ctrl-C, from now on. Meanwhile it does not cancel the main future of [`run`](crate::run()); afterwards it
/// does again, so that a second one still ends a program whose goodbye takes too long.
///
/// # Cancel safety
///
/// A Ctrl-C that has come and was not returned yet is lost with the future, if that is dropped.
///
/// # Errors
///
/// As [`signals`], at the first poll; [`Closed`](SignalError::Closed) also when the loop is closed meanwhile.
///
/// # Examples
///
/// ```no_run
/// # async fn serve() {}
/// asyncio_loop::run(async {
///     futures_lite::future::or(serve(), async { asyncio_loop::ctrl_c().await.unwrap() }).await;
///     println!("goodbye");
/// })?;
/// # Ok::<(), asyncio_loop::RunError>(())
/// ```
pub fn ctrl_c() -> CtrlC {
    CtrlC { signals: Some(signals([Signal::SIGINT])) }
}

/// The future of [`ctrl_c`].
#[derive(Debug)]
#[must_use = "Ctrl-C does nothing else while this lives, and it does nothing with it unless it is awaited"]
pub struct CtrlC {
    /// None once it was returned.
    signals: Option<Result<Signals, SignalError>>,
}

impl Future for CtrlC {
    type Output = Result<(), SignalError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match self.signals.take() {
            Some(Ok(mut signals)) => match Pin::new(&mut signals).poll_next(cx) {
                Poll::Ready(Some(_)) => Ok(()),
                Poll::Ready(None) => Err(SignalError::Closed(LoopClosed::new())),
                Poll::Pending => {
                    self.signals = Some(Ok(signals));
                    return Poll::Pending;
                }
            },
            Some(Err(error)) => Err(error),
            None => panic!("`ctrl_c` was polled after it had ended"),
        };
        Poll::Ready(result)
    }
}

/// A stream of the signals that came, made by [`signals`]. Signals of one kind that come before the stream is polled
/// are one; of different kinds the one with the lowest number is first. It ends when its loop is closed.
///
/// # Cancel safety
///
/// A `next` that is dropped before it returned takes nothing.
#[must_use = "signals are listened to while this lives, and it does nothing with them by itself"]
pub struct Signals {
    subscription: Rc<Subscription>,
    inner: Weak<Inner>,
}

impl Stream for Signals {
    type Item = Signal;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Signal>> {
        let subscription = &self.subscription;
        let pending = subscription.pending.get();
        let first = Signal::of_set(pending).next();
        if let Some(signal) = first {
            subscription.pending.set(pending & !signal.bit());
            return Poll::Ready(Some(signal));
        }
        if subscription.has_ended.get() {
            return Poll::Ready(None);
        }
        match subscription.waker.take() {
            Some(waker) if waker.will_wake(cx.waker()) => subscription.waker.set(Some(waker)),
            previous => {
                let waker = cx.waker().clone();
                subscription.waker.set(Some(waker));
                drop(previous);
            }
        }
        Poll::Pending
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.upgrade() {
            inner.unsubscribe(&self.subscription);
        }
        let waker = self.subscription.waker.take();
        drop(waker);
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted: Vec<_> = Signal::of_set(self.subscription.wanted).collect();
        f.debug_struct("Signals").field("signals", &wanted).finish_non_exhaustive()
    }
}
