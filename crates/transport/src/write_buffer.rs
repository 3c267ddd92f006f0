//! Bytes that the kernel did not take yet, in the order in which they were written.

use std::collections::VecDeque;
use std::io::IoSlice;

/// A queue of chunks. Small writes share a chunk; nothing is moved when bytes leave at the front.
#[derive(Debug, Default)]
pub(crate) struct WriteBuffer {
    chunks: VecDeque<Vec<u8>>,
    /// How much of the first chunk is already gone.
    sent_of_first: usize,
    /// Bytes waiting in all chunks.
    len: usize,
}

impl WriteBuffer {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn push(&mut self, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        self.len += data.len();
        match self.chunks.back_mut() {
            Some(last) if last.capacity() - last.len() >= data.len() => {
                last.extend_from_slice(data);
            }
            _ => {
                let mut chunk = Vec::with_capacity(data.len().max(CHUNK));
                chunk.extend_from_slice(data);
                self.chunks.push_back(chunk);
            }
        }
    }

    /// Fills `slices` from the front of the queue, and returns the bytes these cover and how many
    /// of `slices` are filled.
    pub(crate) fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> (usize, usize) {
        let (mut bytes, mut count, mut skip) = (0, 0, self.sent_of_first);
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(&chunk[skip..]);
            bytes += slice.len();
            count += 1;
            skip = 0;
        }
        (bytes, count)
    }

    /// Forgets the first `sent` bytes.
    pub(crate) fn advance(&mut self, sent: usize) {
        assert!(sent <= self.len, "no more bytes leave than wait");
        self.len -= sent;
        self.sent_of_first += sent;
        while let Some(first) = self.chunks.front_mut() {
            if self.sent_of_first < first.len() {
                return;
            }
            self.sent_of_first -= first.len();
            if self.len == 0 && self.sent_of_first == 0 && first.capacity() <= KEPT {
                // A connection whose buffer fills and drains by turns allocates nothing.
                first.clear();
                return;
            }
            self.chunks.pop_front();
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Room in a new chunk, in bytes, so that many small writes become one slice of one `writev`.
const CHUNK: usize = 4 * 1024;

/// The largest chunk kept for reuse, in bytes: what one connection may hold on to while idle.
const KEPT: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(buffer: &WriteBuffer) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let (bytes, count) = buffer.gather(&mut slices);
        let all: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
        assert_eq!(all.len(), bytes);
        all
    }

    #[test]
    fn bytes_leave_in_the_order_in_which_they_came() {
        let mut buffer = WriteBuffer::default();
        let all: Vec<u8> = (0..40_000u32).map(|n| (n % 251) as u8).collect();
        for piece in all.chunks(997) {
            buffer.push(piece);
        }
        let mut gone = 0;
        for step in [1, 3_000, 4_096, 20_000, 12_903] {
            assert_eq!(contents(&buffer), &all[gone..]);
            buffer.advance(step);
            gone += step;
        }
        assert_eq!(gone, all.len());
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_drained_buffer_keeps_its_small_chunk_and_starts_at_its_front() {
        let mut buffer = WriteBuffer::default();
        buffer.push(b"abc");
        buffer.advance(3);
        buffer.push(b"def");
        assert_eq!(contents(&buffer), b"def");
        assert_eq!(buffer.chunks.len(), 1);
    }

    #[test]
    fn a_large_chunk_is_not_kept() {
        let mut buffer = WriteBuffer::default();
        buffer.push(&vec![7; KEPT + 1]);
        buffer.advance(KEPT + 1);
        assert_eq!(buffer.chunks.len(), 0);
    }
}
