//! The reading half: one read per turn, into the loop's buffer, the protocol's, or by the protocol itself.

use std::io;

use asyncio_loop::Ready;

use crate::endpoint::{Endpoint, Received};
use crate::protocol_calls::ReadInto;
use crate::selector_transport::SelectorTransport;

impl SelectorTransport {
    /// Reads once, if reading is wanted, and asks for another turn if there may be more.
    pub(crate) fn read_once(&self, endpoint: &Endpoint) {
        if !self.may_read(endpoint) {
            return; // `reading.ready` stays set for `resume_reading`
        }
        let result = match self.where_to_read(endpoint) {
            Some(ReadInto::LoopBuffer) => {
                let mut buffer = self.event_loop.lend_read_buffer();
                let result = self.recv(endpoint, &mut buffer);
                if let Ok(Received::Bytes(n)) = result {
                    self.call("data_received", |protocol| protocol.data_received(&buffer[..n]));
                }
                result
            }
            Some(ReadInto::Buffer(mut buffer)) => {
                let result = self.recv(endpoint, &mut buffer);
                if let Ok(Received::Bytes(n)) = result {
                    self.call("buffer_updated", |protocol| protocol.buffer_updated(buffer, n));
                } else {
                    self.reading.spare.set(Some(buffer));
                }
                result
            }
            Some(ReadInto::Later) => {
                // Whoever was woken has its step first: it stands before us in the queue.
                self.reading.left.set(true);
                return self.queue_read(endpoint);
            }
            None => return,
        };
        self.conclude(endpoint, result);
    }

    /// Reads for a protocol that said [`ReadInto::Later`].
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> Option<usize> {
        let endpoint = self.endpoint()?;
        if buffer.is_empty() || !self.reading.ready.get() || !self.may_read(&endpoint) {
            return None;
        }
        let result = self.recv(&endpoint, buffer);
        let received = match result {
            Ok(Received::Bytes(n)) => Some(n),
            _ => None,
        };
        self.conclude(&endpoint, result);
        received
    }

    /// As [`try_read`](Self::try_read), into the loop's buffer.
    pub(crate) fn try_read_with<R>(&self, max: usize, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let mut buffer = self.event_loop.lend_read_buffer();
        let room = buffer.len().min(max);
        let received = self.try_read(&mut buffer[..room])?;
        Some(f(&buffer[..received]))
    }

    /// One system call, and what it says about the next one.
    #[inline(always)]
    fn recv(&self, endpoint: &Endpoint, buffer: &mut [u8]) -> io::Result<Received> {
        debug_assert!(!buffer.is_empty(), "a read into nothing looks like EOF");
        let result = endpoint.recv(buffer);
        if let Ok(Received::Bytes(n)) = result {
            self.note_readiness(endpoint, n, buffer.len());
        }
        result
    }

    /// What follows from a read, once the protocol has its bytes.
    #[inline]
    fn conclude(&self, endpoint: &Endpoint, result: io::Result<Received>) {
        match result {
            Ok(Received::Bytes(_)) => self.queue_read(endpoint),
            Ok(Received::Nothing) => self.reading.ready.set(false),
            Ok(Received::Eof) => self.eof_received(endpoint),
            Err(error) => self.fatal_error(error),
        }
    }

    pub(crate) fn pause_reading(&self) {
        self.reading.paused.set(true);
    }

    /// Never reads inline: the next tick does.
    pub(crate) fn resume_reading(&self) {
        if !self.reading.paused.replace(false) {
            return;
        }
        if let Some(endpoint) = self.endpoint() {
            self.queue_read(&endpoint);
        }
    }

    /// As if the peer had sent EOF.
    pub(crate) fn stop_reading(&self) {
        if self.closing.get() || self.reading.eof.replace(true) {
            return;
        }
        if let Some(this) = self.this.upgrade() {
            let event_loop = self.event_loop.clone();
            event_loop.call_soon(move || {
                let endpoint = this.endpoint();
                if let Some(endpoint) = endpoint.filter(|_| !this.closing.get()) {
                    this.eof_received(&endpoint);
                }
            });
        }
    }

    pub(crate) fn is_reading(&self) -> bool {
        !self.closing.get() && !self.reading.paused.get()
    }

    fn may_read(&self, endpoint: &Endpoint) -> bool {
        self.is_reading() && !self.reading.eof.get() && endpoint.can_read()
    }

    /// `None`: nothing is read now. The protocol panicked or gave an empty buffer, and the
    /// connection is over; or it paused, closed or handed over its transport when asked.
    fn where_to_read(&self, endpoint: &Endpoint) -> Option<ReadInto> {
        if let Some(spare) = self.reading.spare.take() {
            return Some(ReadInto::Buffer(spare));
        }
        self.reading.handed_over.set(false);
        let into = self.call("get_buffer", |protocol| protocol.get_buffer())?;
        if matches!(&into, ReadInto::Buffer(buffer) if buffer.is_empty()) {
            let error = io::Error::other("protocol.get_buffer() returned an empty buffer");
            crate::report::report_error(self, &error);
            self.force_close(Some(error));
            return None;
        }
        if self.reading.handed_over.get() {
            // The new protocol is to be asked, whatever the old one said.
            self.queue_read(endpoint);
            return None;
        }
        if !self.may_read(endpoint) {
            if let ReadInto::Buffer(buffer) = into {
                self.reading.spare.set(Some(buffer)); // for after `resume_reading`
            }
            return None;
        }
        Some(into)
    }

    /// After a read that filled less than its buffer nothing is left, and an event will tell of
    /// more: unless the peer's end was already told of (that event is gone), or the selector
    /// does not tell of it at all. Then only a read that finds nothing says so. Nor does a short
    /// read mean anything where reads come by the line or by the message: terminals, and sockets
    /// that are used as a pipe.
    #[inline]
    fn note_readiness(&self, endpoint: &Endpoint, received: usize, room: usize) {
        let more = received == room
            || endpoint.is_pipe()
            || self.registration.borrow().as_ref().is_some_and(|registration| {
                let ended = registration.ready().intersects(Ready::HUP | Ready::ERROR);
                ended || !registration.reports_hang_up()
            });
        self.reading.ready.set(more);
    }

    /// Asks for a turn in the next tick, if there may be something to read.
    #[inline]
    fn queue_read(&self, endpoint: &Endpoint) {
        if !self.reading.ready.get() || !self.may_read(endpoint) || self.reading.queued.get() {
            return;
        }
        if let Some(registration) = &*self.registration.borrow() {
            self.reading.queued.set(true);
            registration.requeue(Ready::READ);
        }
    }

    fn eof_received(&self, endpoint: &Endpoint) {
        self.reading.eof.set(true);
        self.reading.ready.set(false);
        self.reading.spare.take();
        let keep_open = self.call("eof_received", |protocol| protocol.eof_received());
        if keep_open != Some(true) || endpoint.is_pipe() {
            self.close();
        }
    }
}
