//! The loop's one read buffer: taken out while it is lent, put back by a guard.

use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};

use crate::event_loop::Inner;

/// A buffer lent by [`EventLoop::lend_read_buffer`](crate::EventLoop::lend_read_buffer). Its content is what the last
/// borrower left there.
pub struct ReadBuffer<'a> {
    /// Empty only once it is given back.
    bytes: Box<[u8]>,
    inner: &'a Inner,
}

impl<'a> ReadBuffer<'a> {
    #[inline]
    pub(crate) fn lend(inner: &'a Inner) -> Self {
        let bytes = inner.read_buffer.take();
        Self { bytes: bytes.unwrap_or_else(|| vec![0; READ_BUFFER_LEN].into()), inner }
    }
}

impl Deref for ReadBuffer<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for ReadBuffer<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl fmt::Debug for ReadBuffer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadBuffer").field("len", &self.len()).finish()
    }
}

impl Drop for ReadBuffer<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.inner.is_closed() {
            self.inner.read_buffer.set(Some(mem::take(&mut self.bytes)));
        }
    }
}

/// 256 KiB, asyncio's `max_size`: what one read takes at most.
const READ_BUFFER_LEN: usize = 256 * 1024;
