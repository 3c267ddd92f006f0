//! The reading half: one read per turn, into the loop's buffer or the protocol's.

use std::io;

use asyncio_loop::Ready;

use crate::endpoint::{Endpoint, Received};
use crate::selector_transport::SelectorTransport;

impl SelectorTransport {
    /// Reads once, if reading is wanted, and asks for another turn if there may be more.
    pub(crate) fn read_once(&self, endpoint: &Endpoint) {
        if !self.may_read(endpoint) {
            return; // `reading.ready` stays set for `resume_reading`
        }
        let Some(own_buffer) = self.protocols_buffer(endpoint) else { return };
        let (result, room) = match own_buffer {
            Some(mut buffer) => {
                let room = buffer.len();
                let result = endpoint.recv(&mut buffer);
                if let Ok(Received::Bytes(n)) = result {
                    self.note_readiness(endpoint, n, room);
                    self.call("buffer_updated", |protocol| protocol.buffer_updated(buffer, n));
                } else {
                    self.reading.spare.set(Some(buffer));
                }
                (result, room)
            }
            None => {
                let mut buffer = self.event_loop.lend_read_buffer();
                let room = buffer.len();
                let result = endpoint.recv(&mut buffer);
                if let Ok(Received::Bytes(n)) = result {
                    self.note_readiness(endpoint, n, room);
                    self.call("data_received", |protocol| protocol.data_received(&buffer[..n]));
                }
                (result, room)
            }
        };
        debug_assert!(room > 0, "a read into nothing looks like EOF");
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

    /// The outer `None`: nothing is read now. The protocol panicked or gave an empty buffer, and
    /// the connection is over; or it paused, closed or handed over its transport when asked.
    fn protocols_buffer(&self, endpoint: &Endpoint) -> Option<Option<Vec<u8>>> {
        if let Some(spare) = self.reading.spare.take() {
            return Some(Some(spare));
        }
        self.reading.handed_over.set(false);
        let buffer = self.call("get_buffer", |protocol| protocol.get_buffer())?;
        if buffer.as_ref().is_some_and(Vec::is_empty) {
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
            self.reading.spare.set(buffer); // for after `resume_reading`
            return None;
        }
        Some(buffer)
    }

    /// After a read that filled less than its buffer nothing is left, and an event will tell of
    /// more: unless the peer's end was already told of (that event is gone), or the selector
    /// does not tell of it at all. Then only a read that finds nothing says so. Nor does a short
    /// read mean anything where reads come by the line or by the message: terminals, and sockets
    /// that are used as a pipe.
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
