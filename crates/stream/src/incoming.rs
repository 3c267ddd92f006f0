//! The reading half of a stream, shared by the reader and by what feeds it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::mem;
use std::task::{Context, Poll, Waker};

use asyncio_protocol::Transport;

use crate::error::SharedError;
use crate::read_buffer::ReadBuffer;

/// Bytes on their way to a reader, under flow control.
#[derive(Debug)]
pub(crate) struct Incoming {
    buffer: RefCell<ReadBuffer>,
    /// Bytes that the reader took out to lend them, and that count as buffered until consumed.
    lent: Cell<usize>,
    pub(crate) limit: Cell<usize>,
    eof: Cell<bool>,
    error: RefCell<Option<SharedError>>,
    /// Counts what happened, so that a waiter sees news.
    news: Cell<u64>,
    /// The transport has something, and left it to the reader to take it.
    left: Cell<bool>,
    /// The reader's waker; the reader is borrowed mutably by its one read, so there is one.
    waiter: RefCell<Option<Waker>>,
    transport: RefCell<Option<Transport>>,
    paused: Cell<bool>,
    /// The reader was dropped: bytes are thrown away, so that the end is still seen.
    abandoned: Cell<bool>,
}

impl Incoming {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            buffer: RefCell::default(),
            lent: Cell::new(0),
            limit: Cell::new(limit),
            eof: Cell::new(false),
            error: RefCell::new(None),
            news: Cell::new(0),
            left: Cell::new(false),
            waiter: RefCell::new(None),
            transport: RefCell::new(None),
            paused: Cell::new(false),
            abandoned: Cell::new(false),
        }
    }

    pub(crate) fn set_transport(&self, transport: Option<Transport>) {
        let previous = self.transport.replace(transport);
        drop(previous);
    }

    pub(crate) fn feed_data(&self, data: &[u8]) {
        if data.is_empty() || self.eof.get() || self.abandoned.get() {
            return;
        }
        self.keep(data);
        self.tell();
    }

    /// Buffers `data`, and stops the transport when it is too much.
    fn keep(&self, data: &[u8]) {
        self.buffer.borrow_mut().extend(data);
        let crowded = self.len() > self.limit.get().saturating_mul(2);
        if crowded && !self.paused.get() {
            if let Some(transport) = self.transport() {
                self.paused.set(true);
                transport.pause_reading();
            }
        }
    }

    /// Asked when something arrived: if a reader waits and has nothing, it is woken, and takes it
    /// by itself.
    pub(crate) fn leave_to_reader(&self) -> bool {
        let leaves = self.waiter.borrow().is_some() && self.len() == 0;
        if leaves {
            self.left.set(true);
            self.tell();
        }
        leaves
    }

    /// Takes at most `max` bytes of what was left to the reader, with one copy and no buffer.
    pub(crate) fn pull(&self, max: usize) -> Option<Vec<u8>> {
        if !self.left.replace(false) {
            return None;
        }
        let room = max.saturating_add(self.limit.get());
        self.transport()?.try_read_with(room, |data| {
            let (taken, rest) = data.split_at(data.len().min(max));
            if !rest.is_empty() {
                self.keep(rest);
            }
            taken.to_vec()
        })
    }

    /// As [`pull`](Self::pull), to where the caller wants it, without a copy.
    pub(crate) fn pull_into(&self, buffer: &mut [u8]) -> Option<usize> {
        if !self.left.replace(false) {
            return None;
        }
        self.transport()?.try_read(buffer)
    }

    /// Moves what was left to the reader into the buffer.
    pub(crate) fn fill(&self) {
        if self.left.replace(false) {
            if let Some(transport) = self.transport() {
                transport.try_read_with(usize::MAX, |data| self.keep(data));
            }
        }
    }

    pub(crate) fn feed_eof(&self) {
        self.eof.set(true);
        self.tell();
    }

    pub(crate) fn set_exception(&self, error: SharedError) {
        let previous = self.error.replace(Some(error));
        drop(previous);
        self.tell();
    }

    pub(crate) fn exception(&self) -> Option<SharedError> {
        self.error.borrow().clone()
    }

    pub(crate) fn check(&self) -> io::Result<()> {
        match &*self.error.borrow() {
            Some(error) => Err(error.to_io()),
            None => Ok(()),
        }
    }

    pub(crate) fn is_eof(&self) -> bool {
        self.eof.get()
    }

    /// Bytes buffered, with those that are lent.
    pub(crate) fn len(&self) -> usize {
        self.buffer.borrow().len() + self.lent.get()
    }

    /// Lends the buffer for a look or for taking bytes out. Only our own code runs in `f`.
    pub(crate) fn with_buffer<R>(&self, f: impl FnOnce(&mut ReadBuffer) -> R) -> R {
        f(&mut self.buffer.borrow_mut())
    }

    /// Takes the whole buffer out, to lend it.
    pub(crate) fn lend(&self) -> ReadBuffer {
        let buffer = mem::take(&mut *self.buffer.borrow_mut());
        self.lent.set(buffer.len());
        buffer
    }

    /// Some of what is lent was consumed.
    pub(crate) fn consumed_lent(&self, count: usize) {
        self.lent.set(self.lent.get() - count);
        self.maybe_resume();
    }

    /// Puts what is left of the lent buffer back at the front.
    pub(crate) fn give_back(&self, mut lent: ReadBuffer) {
        let mut buffer = self.buffer.borrow_mut();
        lent.extend(buffer.as_slice());
        *buffer = lent;
        self.lent.set(0);
    }

    /// Lets the transport go on once the reader has caught up.
    pub(crate) fn maybe_resume(&self) {
        if self.len() <= self.limit.get() {
            self.resume();
        }
    }

    fn resume(&self) {
        if self.paused.replace(false) {
            if let Some(transport) = self.transport() {
                transport.resume_reading();
            }
        }
    }

    /// Waits until more is buffered, or the end or an error arrives.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken.
    pub(crate) async fn wait_for_data(&self) -> io::Result<()> {
        self.wait_for_news().await?;
        self.fill();
        Ok(())
    }

    /// As [`wait_for_data`](Self::wait_for_data), but what arrived may be left to the reader.
    pub(crate) async fn wait_for_news(&self) -> io::Result<()> {
        let seen = self.news.get();
        poll_fn(|cx| self.poll_news(cx, seen)).await
    }

    pub(crate) fn news(&self) -> u64 {
        self.news.get()
    }

    /// Resumes the transport, for a reader that waits while it is paused would wait forever.
    pub(crate) fn poll_news(&self, cx: &mut Context<'_>, seen: u64) -> Poll<io::Result<()>> {
        self.check()?;
        if self.news.get() != seen || self.eof.get() {
            return Poll::Ready(Ok(()));
        }
        self.resume();
        let previous = self.waiter.borrow_mut().take();
        let waiter = match previous {
            Some(waiter) if waiter.will_wake(cx.waker()) => waiter,
            _ => cx.waker().clone(),
        };
        let raced = self.waiter.replace(Some(waiter));
        drop(raced);
        Poll::Pending
    }

    /// The reader is gone.
    pub(crate) fn abandon(&self) {
        self.abandoned.set(true);
        self.lent.set(0);
        let waiter = self.waiter.borrow_mut().take();
        drop(waiter);
        self.buffer.borrow_mut().clear();
        self.resume();
    }

    fn transport(&self) -> Option<Transport> {
        self.transport.borrow().clone()
    }

    fn tell(&self) {
        self.news.set(self.news.get().wrapping_add(1));
        let waiter = self.waiter.borrow_mut().take();
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}
