//! The loop's one read buffer: taken out while it is lent, put back by a guard.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::{Rc, Weak};

use crate::event_loop::Inner;

/// A buffer lent by [`EventLoop::lend_read_buffer`](crate::EventLoop::lend_read_buffer). Its content is what the last
/// borrower left there.
pub struct ReadBuffer {
    /// None only while it is being dropped.
    bytes: Option<Box<[u8]>>,
    inner: Weak<Inner>,
}

impl ReadBuffer {
    pub(crate) fn lend(inner: &Rc<Inner>) -> Self {
        let bytes =
            inner.read_buffer.take().unwrap_or_else(|| vec![0; READ_BUFFER_LEN].into_boxed_slice());
        Self { bytes: Some(bytes), inner: Rc::downgrade(inner) }
    }
}

impl Deref for ReadBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.as_deref().expect("the buffer is there until the guard is dropped")
    }
}

impl DerefMut for ReadBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.as_deref_mut().expect("the buffer is there until the guard is dropped")
    }
}

impl fmt::Debug for ReadBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadBuffer").field("len", &self.len()).finish()
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.upgrade().filter(|inner| !inner.is_closed()) {
            inner.read_buffer.set(self.bytes.take());
        }
    }
}

/// 256 KiB, asyncio's `max_size`: what one read takes at most.
const READ_BUFFER_LEN: usize = 256 * 1024;
