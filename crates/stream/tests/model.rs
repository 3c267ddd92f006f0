//! Readers against a model that is too simple to be wrong: random bytes, cuts, reads and cancels.

use std::io;
use std::task::{Context, Poll, Waker};

use asyncio_stream::{ReadExactlyError, ReadUntilError, ReadlineError, StreamReader};
use futures_lite::io::AsyncBufReadExt;

/// Xorshift: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    /// Few different bytes, so that separators and their beginnings are everywhere.
    fn text(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| b"ab\n"[self.below(3)]).collect()
    }
}

#[derive(Debug, Clone)]
enum Read {
    UpTo(usize),
    Exactly(usize),
    ToEof,
    Line,
    Until(Vec<Vec<u8>>),
    /// Looks at what is there, by the trait, and takes this many bytes of it.
    Lent(usize),
}

impl Read {
    fn random(numbers: &mut Numbers) -> Self {
        match numbers.below(9) {
            0 => Self::UpTo(numbers.below(8)),
            1 => Self::Exactly(numbers.below(12)),
            2 if numbers.below(8) == 0 => Self::ToEof,
            3 | 4 => Self::Line,
            5 => Self::Lent(numbers.below(6)),
            _ => {
                let separators = 1 + numbers.below(3);
                Self::Until(
                    (0..separators)
                        .map(|_| {
                            let len = 1 + numbers.below(4);
                            numbers.text(len)
                        })
                        .collect(),
                )
            }
        }
    }
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Bytes(Vec<u8>),
    Incomplete(Vec<u8>),
    Overrun { consumed: usize, found: bool },
}
use Outcome::{Bytes, Incomplete, Overrun};

/// The real thing, polled once.
async fn real(reader: &mut StreamReader, read: Read) -> Outcome {
    match read {
        Read::UpTo(max) => Bytes(reader.read(max).await.unwrap()),
        Read::ToEof => Bytes(reader.read_to_eof().await.unwrap()),
        Read::Exactly(count) => match reader.readexactly(count).await {
            Ok(bytes) => Bytes(bytes),
            Err(ReadExactlyError::Incomplete(error)) => Incomplete(error.partial),
            Err(other) => panic!("{other}"),
        },
        Read::Line => match reader.readline().await {
            Ok(bytes) => Bytes(bytes),
            Err(ReadlineError::TooLong(error)) => {
                Overrun { consumed: error.consumed, found: error.found }
            }
            Err(other) => panic!("{other}"),
        },
        Read::Until(separators) => {
            let separators: Vec<&[u8]> = separators.iter().map(Vec::as_slice).collect();
            match reader.readuntil_any(&separators).await {
                Ok(bytes) => Bytes(bytes),
                Err(ReadUntilError::Incomplete(error)) => Incomplete(error.partial),
                Err(ReadUntilError::LimitOverrun(error)) => {
                    Overrun { consumed: error.consumed, found: error.found }
                }
                Err(other) => panic!("{other}"),
            }
        }
        Read::Lent(most) => {
            let bytes: io::Result<&[u8]> = reader.fill_buf().await;
            let bytes = bytes.unwrap();
            let bytes = bytes[..most.min(bytes.len())].to_vec();
            reader.consume(bytes.len());
            Bytes(bytes)
        }
    }
}

/// What asyncio does, as its documentation has it. `None`: it waits.
fn model(buffer: &mut Vec<u8>, eof: bool, limit: usize, read: &Read) -> Option<Outcome> {
    match read {
        Read::UpTo(0) => Some(Bytes(Vec::new())),
        Read::UpTo(max) | Read::Lent(max) => {
            let count = buffer.len().min(*max);
            (!buffer.is_empty() || eof).then(|| Bytes(buffer.drain(..count).collect()))
        }
        Read::ToEof => eof.then(|| Bytes(std::mem::take(buffer))),
        Read::Exactly(count) if buffer.len() >= *count => {
            Some(Bytes(buffer.drain(..*count).collect()))
        }
        Read::Exactly(_) => eof.then(|| Incomplete(std::mem::take(buffer))),
        Read::Line => match until(buffer, eof, limit, &[b"\n".to_vec()])? {
            Incomplete(partial) => Some(Bytes(partial)),
            Overrun { consumed, found } => {
                buffer.drain(..if found { consumed + 1 } else { buffer.len() });
                Some(Overrun { consumed, found })
            }
            other => Some(other),
        },
        Read::Until(separators) => until(buffer, eof, limit, separators),
    }
}

fn until(buffer: &mut Vec<u8>, eof: bool, limit: usize, separators: &[Vec<u8>]) -> Option<Outcome> {
    for end in 1..=buffer.len() {
        let matching = separators.iter().filter(|separator| buffer[..end].ends_with(separator));
        if let Some(len) = matching.map(Vec::len).min() {
            let start = end - len;
            return Some(if start > limit {
                Overrun { consumed: start, found: true }
            } else {
                Bytes(buffer.drain(..end).collect())
            });
        }
    }
    let longest = separators.iter().map(Vec::len).max().unwrap();
    let consumed = (buffer.len() + 1).saturating_sub(longest);
    if consumed > limit {
        return Some(Overrun { consumed, found: false });
    }
    eof.then(|| Incomplete(std::mem::take(buffer)))
}

#[test]
fn reads_agree_with_a_simple_model_however_the_bytes_are_cut_and_the_reads_cancelled() {
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut cx = Context::from_waker(Waker::noop());
    let mut outcomes = [0; 4];
    for case in 0..10_000 {
        let limit = 1 + numbers.below(20);
        let (mut reader, feeder) = StreamReader::new(limit);
        let (mut buffer, mut eof) = (Vec::new(), false);
        let mut feeds = numbers.below(8);
        for _ in 0..12 {
            let read = Read::random(&mut numbers);
            let mut reading = Box::pin(real(&mut reader, read.clone()));
            loop {
                let expected = model(&mut buffer, eof, limit, &read);
                let polled = reading.as_mut().poll(&mut cx);
                let context = || format!("case {case}: {read:?}, limit {limit}, eof {eof}");
                match (polled, expected) {
                    (Poll::Ready(got), Some(expected)) => {
                        assert_eq!(got, expected, "{}", context());
                        outcomes[match got {
                            Bytes(_) => 0,
                            Incomplete(_) => 1,
                            Overrun { found: true, .. } => 2,
                            Overrun { found: false, .. } => 3,
                        }] += 1;
                        break;
                    }
                    (Poll::Pending, None) => {}
                    (got, expected) => panic!("{}: {got:?} for {expected:?}", context()),
                }
                if numbers.below(4) == 0 {
                    break; // cancelled: nothing may be lost
                }
                if feeds == 0 {
                    feeder.feed_eof();
                    eof = true;
                } else {
                    feeds -= 1;
                    let len = numbers.below(12);
                    let chunk = numbers.text(len);
                    feeder.feed_data(&chunk);
                    buffer.extend(chunk);
                }
            }
            drop(reading);
            assert_eq!(reader.buffered(), buffer.len(), "case {case} after {read:?}");
        }
    }
    assert!(outcomes.iter().all(|&count| count > 500), "each happens often: {outcomes:?}");
}
