//! Bytes that arrived and were not read yet: contiguous, so that they can be searched and lent.

/// A growing buffer whose front leaves without moving the rest.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    /// How much of the front is already read.
    start: usize,
}

impl ReadBuffer {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(crate) fn extend(&mut self, data: &[u8]) {
        // What was read makes room before anything grows, once it is worth moving the rest.
        let tight = self.bytes.capacity() - self.bytes.len() < data.len();
        if tight && self.start >= self.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(data);
    }

    /// Forgets the first `count` bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        assert!(count <= self.len(), "no more bytes leave than are there");
        self.start += count;
        if self.start == self.bytes.len() {
            self.clear();
        }
    }

    /// Takes the first `count` bytes out.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let all = count == self.len() && self.start == 0;
        if all && count >= self.bytes.capacity() / 2 {
            // Handing over the whole is cheaper than a copy, if it does not hoard memory.
            return std::mem::take(&mut self.bytes);
        }
        let taken = self.as_slice()[..count].to_vec();
        self.consume(count);
        taken
    }

    /// Takes over the memory of an empty buffer, if it has none of its own.
    pub(crate) fn reuse(&mut self, empty: Self) {
        if self.bytes.capacity() == 0 {
            *self = empty;
        }
    }

    /// Forgets everything, and what a burst left behind in memory.
    pub(crate) fn clear(&mut self) {
        self.start = 0;
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }
}

/// The capacity that an empty buffer keeps, in bytes: a connection that waits costs no more.
const KEPT: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_the_order_in_which_they_came() {
        let all: Vec<u8> = (0..100_000u32).map(|n| (n % 253) as u8).collect();
        let (mut buffer, mut out) = (ReadBuffer::default(), Vec::new());
        for (turn, chunk) in all.chunks(1_013).enumerate() {
            buffer.extend(chunk);
            let count = buffer.len() * (turn % 4) / 3;
            out.extend(buffer.take(count));
        }
        out.extend(buffer.take(buffer.len()));
        assert_eq!(out, all);
    }

    #[test]
    fn an_empty_buffer_does_not_keep_what_a_burst_needed() {
        let mut buffer = ReadBuffer::default();
        buffer.extend(&vec![1; 10 * KEPT]);
        buffer.consume(10 * KEPT);
        assert_eq!(buffer.bytes.capacity(), 0);
    }
}
