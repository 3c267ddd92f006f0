//! The writing half of a stream, shared by the writer and by its protocol.

use std::cell::{Cell, RefCell};
use std::io;
use std::task::{Context, Poll, Waker};

use asyncio_coro::wait_list::WaitList;

use crate::error::SharedError;

/// Whether the transport takes more, and how the connection ended.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    paused: Cell<bool>,
    lost: Cell<bool>,
    /// Nothing may be written any more: `write_eof` was called.
    ended: Cell<bool>,
    error: RefCell<Option<SharedError>>,
    /// Who waits in `drain`.
    drainers: WaitList,
    /// Who waits in `wait_closed`.
    closed: WaitList,
    /// Who waits in `poll_write`: the writer is borrowed mutably there, so there is one.
    writer: RefCell<Option<Waker>>,
}

impl Outgoing {
    pub(crate) fn pause(&self) {
        self.paused.set(true);
    }

    pub(crate) fn resume(&self) {
        self.paused.set(false);
        self.wake_writers();
    }

    pub(crate) fn connection_lost(&self, error: Option<SharedError>) {
        self.lost.set(true);
        let previous = self.error.replace(error);
        drop(previous);
        self.wake_writers();
        self.closed.notify_all();
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.get()
    }

    pub(crate) fn end(&self) {
        self.ended.set(true);
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended.get()
    }

    pub(crate) fn error(&self) -> Option<SharedError> {
        self.error.borrow().clone()
    }

    /// Waits until a paused transport resumes.
    pub(crate) async fn drain(&self) -> io::Result<()> {
        if self.lost.get() {
            return Err(connection_lost());
        }
        if self.paused.get() {
            self.drainers.wait().await;
            if let Some(error) = self.error() {
                return Err(error.to_io());
            }
        }
        Ok(())
    }

    /// Waits until the connection is lost.
    pub(crate) async fn wait_closed(&self) -> io::Result<()> {
        while !self.lost.get() {
            self.closed.wait().await;
        }
        match self.error() {
            Some(error) => Err(error.to_io()),
            None => Ok(()),
        }
    }

    /// Ready when the transport takes bytes.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lost.get() {
            let error = self.error().map_or_else(connection_lost, |error| error.to_io());
            return Poll::Ready(Err(error));
        }
        if !self.paused.get() {
            return Poll::Ready(Ok(()));
        }
        let previous = self.writer.borrow_mut().take();
        let waker = match previous {
            Some(waker) if waker.will_wake(cx.waker()) => waker,
            _ => cx.waker().clone(),
        };
        let raced = self.writer.replace(Some(waker));
        drop(raced);
        Poll::Pending
    }

    fn wake_writers(&self) {
        self.drainers.notify_all();
        let writer = self.writer.borrow_mut().take();
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}

fn connection_lost() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "connection lost")
}
