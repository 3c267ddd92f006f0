//! The writing half: at once when nothing waits, else gathered, under flow control.

use std::io::{self, IoSlice};
use std::mem;
use std::task::{Context, Poll};

use asyncio_loop::Ready;

use crate::endpoint::Endpoint;
use crate::flow_control::WriteBufferLimits;
use crate::selector_transport::SelectorTransport;

impl SelectorTransport {
    /// One piece, nothing waits, and the kernel takes it: nothing is kept, so no mark is passed.
    #[inline]
    pub(crate) fn write_one(&self, data: &[u8]) {
        let is_plain = !data.is_empty()
            && !self.writing.eof.get()
            && !self.lost.get()
            && self.writing.buffer.borrow().is_empty();
        let endpoint = self.endpoint().filter(|endpoint| is_plain && endpoint.can_write());
        let Some(endpoint) = endpoint else { return self.write(&[data]) };
        match endpoint.send(data) {
            Ok(sent) if sent == data.len() => {}
            sent => self.keep_rest(data, sent),
        }
    }

    /// What the kernel did not take of the one piece.
    #[cold]
    fn keep_rest(&self, data: &[u8], sent: io::Result<usize>) {
        match sent {
            Ok(sent) => {
                self.writing.buffer.borrow_mut().push(&data[sent..]);
                self.maybe_pause();
            }
            Err(error) => self.fatal_error(error),
        }
    }

    #[inline(never)]
    pub(crate) fn write(&self, pieces: &[&[u8]]) {
        assert!(!self.writing.eof.get(), "write() after write_eof()");
        if pieces.iter().all(|piece| piece.is_empty()) {
            return;
        }
        let Some(endpoint) = self.endpoint().filter(|_| !self.lost.get()) else {
            return self.count_dropped_write();
        };
        assert!(endpoint.can_write(), "write() on a transport that only reads");
        let was_empty = self.writing.buffer.borrow().is_empty();
        // What fits in one system call is not copied first.
        let direct = was_empty && pieces.len() <= SLICES;
        let mut sent = 0;
        if direct {
            match send_pieces(&endpoint, pieces) {
                Ok(count) => sent = count,
                Err(error) => return self.fatal_error(error),
            }
        }
        for piece in pieces {
            let gone = sent.min(piece.len());
            sent -= gone;
            if gone < piece.len() {
                self.writing.buffer.borrow_mut().push(&piece[gone..]);
            }
        }
        if was_empty && !direct && self.send_buffered(&endpoint).is_err() {
            return;
        }
        self.maybe_pause();
    }

    /// Sends from the buffer, once. `Err`: the connection is over.
    fn send_buffered(&self, endpoint: &Endpoint) -> Result<(), ()> {
        let mut buffer = self.writing.buffer.borrow_mut();
        let mut slices = [IoSlice::new(&[]); SLICES];
        let (bytes, count) = buffer.gather(&mut slices);
        match endpoint.send_vectored(&slices[..count]) {
            Ok(sent) => {
                buffer.advance(sent);
                // Everything we gathered went out: the socket may still be writable, and then no
                // event tells of it. A short write is followed by one.
                if sent == bytes && !buffer.is_empty() {
                    if let Some(registration) = &*self.registration.borrow() {
                        registration.requeue(Ready::WRITE);
                    }
                }
                Ok(())
            }
            Err(error) => {
                drop(buffer);
                self.fatal_error(error);
                Err(())
            }
        }
    }

    /// The socket may take more.
    pub(crate) fn write_ready(&self, endpoint: &Endpoint) {
        if self.lost.get() || self.writing.buffer.borrow().is_empty() {
            return;
        }
        if self.send_buffered(endpoint).is_err() {
            return;
        }
        let buffered = self.write_buffer_size();
        if self.writing.flow.resumes_at(buffered) {
            // It may write again, also on a closing transport: that still goes out.
            self.call("resume_writing", |protocol| protocol.resume_writing());
        }
        if self.lost.get() || !self.writing.buffer.borrow().is_empty() {
            return;
        }
        if self.closing.get() {
            self.lose_now();
        } else {
            if self.writing.eof.get() {
                self.shutdown_write(endpoint);
            }
            self.wake_flush_waiters();
        }
    }

    pub(crate) fn write_eof(&self) {
        let Some(endpoint) = self.endpoint() else { return };
        if self.closing.get() || !endpoint.can_write() || self.writing.eof.replace(true) {
            return;
        }
        if endpoint.is_pipe() {
            self.close();
        } else if self.writing.buffer.borrow().is_empty() {
            self.shutdown_write(&endpoint);
        }
    }

    pub(crate) fn can_write(&self) -> bool {
        self.endpoint().is_some_and(|endpoint| endpoint.can_write())
    }

    fn shutdown_write(&self, endpoint: &Endpoint) {
        if let Err(error) = endpoint.shutdown_write() {
            self.fatal_error(error);
        }
    }

    /// The reader of a pipe that we only write to is gone.
    pub(crate) fn reader_went(&self) {
        if self.writing.buffer.borrow().is_empty() {
            self.close();
        } else {
            self.force_close(Some(io::ErrorKind::BrokenPipe.into()));
        }
    }

    pub(crate) fn write_buffer_size(&self) -> usize {
        self.writing.buffer.borrow().len()
    }

    pub(crate) fn write_buffer_limits(&self) -> WriteBufferLimits {
        self.writing.flow.limits()
    }

    pub(crate) fn set_write_buffer_limits(&self, limits: WriteBufferLimits) {
        self.writing.flow.set_limits(limits);
        self.maybe_pause();
    }

    fn maybe_pause(&self) {
        if self.writing.flow.pauses_at(self.write_buffer_size()) {
            self.call("pause_writing", |protocol| protocol.pause_writing());
        }
    }

    fn count_dropped_write(&self) {
        self.writing.cut.set(true);
        let dropped = self.writing.dropped.get().saturating_add(1);
        self.writing.dropped.set(dropped);
        if dropped >= LOG_THRESHOLD_FOR_CONNLOST_WRITES {
            log::warn!("{self:?}: write on a lost connection, {dropped} so far");
        }
    }

    pub(crate) fn discard_buffer(&self) {
        let mut buffer = self.writing.buffer.borrow_mut();
        self.writing.cut.set(self.writing.cut.get() || !buffer.is_empty());
        buffer.clear();
    }

    pub(crate) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.writing.cut.get() {
            // Not before `connection_lost` had its say, for it knows why.
            if self.endpoint().is_none() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        } else if self.writing.buffer.borrow().is_empty() {
            return Poll::Ready(Ok(()));
        }
        // Taken out, because `clone` and `will_wake` are the waker's own code.
        let mut waiters = mem::take(&mut *self.writing.flush_waiters.borrow_mut());
        if !waiters.iter().any(|waiter| waiter.will_wake(cx.waker())) {
            waiters.push(cx.waker().clone());
        }
        self.writing.flush_waiters.borrow_mut().append(&mut waiters);
        Poll::Pending
    }

    pub(crate) fn wake_flush_waiters(&self) {
        let waiters = mem::take(&mut *self.writing.flush_waiters.borrow_mut());
        for waiter in waiters {
            waiter.wake();
        }
    }
}

fn send_pieces(endpoint: &Endpoint, pieces: &[&[u8]]) -> io::Result<usize> {
    if let [only] = pieces {
        return endpoint.send(only);
    }
    let mut slices = [IoSlice::new(&[]); SLICES];
    for (slice, piece) in slices.iter_mut().zip(pieces) {
        *slice = IoSlice::new(piece);
    }
    endpoint.send_vectored(&slices[..pieces.len()])
}

/// Slices in one `writev`: 1 KiB of stack, at least 256 KiB of data when writes are small.
const SLICES: usize = 64;

/// asyncio's constant of this name: so many silent drops are a mistake of the program.
const LOG_THRESHOLD_FOR_CONNLOST_WRITES: u32 = 5;
