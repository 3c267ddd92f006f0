//! Reading from a stream.

use std::fmt;
use std::io;
use std::rc::Rc;

use crate::error::{
    IncompleteReadError, LimitOverrunError, ReadExactlyError, ReadUntilError, ReadlineError,
    SharedError,
};
use crate::lines::Lines;
use crate::read_buffer::ReadBuffer;
use crate::separator::Search;
use crate::stream_protocol::StreamState;

/// The reading end of a stream.
///
/// Comes from [`open_connection`](crate::open_connection), [`start_server`](crate::start_server)
/// and subprocesses. What arrived waits in its buffer; above twice its limit the transport stops
/// reading, so that a slow reader slows its peer.
///
/// Every read takes `&mut self`: one at a time, which asyncio checks when the program runs.
/// It also is an `AsyncRead` and an `AsyncBufRead` of futures-io (as `futures_lite::io` and most
/// crates use them), and [`readlines`](Self::readlines) is a stream.
///
/// # Cancel safety
///
/// All reads: bytes leave the buffer only when they are returned, so a cancelled read loses
/// nothing, and the next one finds them.
///
/// # Errors
///
/// Once the connection broke, every read returns that error.
///
/// # Examples
///
/// ```
/// use asyncio_stream::StreamReader;
///
/// let (mut reader, feeder) = StreamReader::new(64 * 1024);
/// feeder.feed_data(b"first line\nsecond line\n12345");
/// feeder.feed_eof();
/// futures_lite::future::block_on(async {
///     assert_eq!(reader.readline().await.unwrap(), b"first line\n");
///     assert_eq!(reader.readuntil(b"line").await.unwrap(), b"second line");
///     assert_eq!(reader.readexactly(2).await.unwrap(), b"\n1");
///     assert_eq!(reader.read(100).await.unwrap(), b"2345");
///     assert!(reader.at_eof());
/// });
/// ```
pub struct StreamReader {
    pub(crate) state: Rc<StreamState>,
    /// What `AsyncBufRead` lent out. Goes back before any other read.
    pub(crate) front: ReadBuffer,
}

impl StreamReader {
    /// Makes a reader that is fed by hand, and what feeds it. `limit`, in bytes, is the longest
    /// line, and half of what is buffered before a transport would be paused.
    ///
    /// # Panics
    ///
    /// If `limit` is 0.
    #[allow(clippy::new_ret_no_self, reason = "a reader without its feeder could never be read")]
    pub fn new(limit: usize) -> (Self, Feeder) {
        let state = Rc::new(StreamState::new(limit));
        (Self::over(state.clone()), Feeder { state })
    }

    pub(crate) fn over(state: Rc<StreamState>) -> Self {
        Self { state, front: ReadBuffer::default() }
    }

    /// Reads what is there, at most `max` bytes; waits until something is. Empty only at the end
    /// of the stream, and for `max` 0.
    pub async fn read(&mut self, max: usize) -> io::Result<Vec<u8>> {
        self.settle()?;
        if max == 0 {
            return Ok(Vec::new());
        }
        let incoming = &self.state.incoming;
        while incoming.len() == 0 && !incoming.is_eof() {
            incoming.wait_for_news().await?;
            if let Some(data) = incoming.pull(max) {
                return Ok(data);
            }
        }
        Ok(self.take(max))
    }

    /// Reads everything up to the end of the stream, however much that is: asyncio's `read(-1)`.
    #[doc(alias = "read_to_end")]
    pub async fn read_to_eof(&mut self) -> io::Result<Vec<u8>> {
        self.settle()?;
        let incoming = &self.state.incoming;
        while !incoming.is_eof() {
            incoming.wait_for_data().await?;
        }
        Ok(self.take(usize::MAX))
    }

    /// Reads a line, with its `\n`. At the end of the stream: what is left, then nothing.
    ///
    /// # Errors
    ///
    /// - [`ReadlineError::TooLong`]: longer than the limit; the line is dropped, so that the next
    ///   read starts behind it (or behind what was there of it).
    /// - [`ReadlineError::Io`]: the connection broke.
    pub async fn readline(&mut self) -> Result<Vec<u8>, ReadlineError> {
        match self.readuntil(b"\n").await {
            Ok(line) => Ok(line),
            Err(ReadUntilError::Incomplete(error)) => Ok(error.partial),
            Err(ReadUntilError::Io(error)) => Err(ReadlineError::Io(error)),
            Err(ReadUntilError::LimitOverrun(error)) => Err(self.drop_line(error)),
        }
    }

    /// Reads up to and with `separator`.
    ///
    /// # Errors
    ///
    /// - [`ReadUntilError::Incomplete`]: the stream ended before; has what came.
    /// - [`ReadUntilError::LimitOverrun`]: more than the limit comes before it (the separator
    ///   itself does not count); everything stays in the reader.
    /// - [`ReadUntilError::Io`]: the connection broke.
    ///
    /// # Panics
    ///
    /// If `separator` is empty.
    pub async fn readuntil(&mut self, separator: &[u8]) -> Result<Vec<u8>, ReadUntilError> {
        self.readuntil_any(&[separator]).await
    }

    /// Reads up to and with that of several separators that ends first; of two such, the shorter.
    /// asyncio's `readuntil` with a tuple.
    ///
    /// # Errors
    ///
    /// As [`readuntil`](Self::readuntil).
    ///
    /// # Panics
    ///
    /// If there is none, or an empty one.
    pub async fn readuntil_any(&mut self, separators: &[&[u8]]) -> Result<Vec<u8>, ReadUntilError> {
        let mut search = Search::new(separators);
        self.settle().map_err(ReadUntilError::Io)?;
        let incoming = &self.state.incoming;
        let limit = incoming.limit.get();
        loop {
            match incoming.with_buffer(|buffer| search.find(buffer.as_slice())) {
                Ok(found) if found.start > limit => {
                    let error = LimitOverrunError { consumed: found.start, found: true };
                    return Err(ReadUntilError::LimitOverrun(error));
                }
                Ok(found) => return Ok(self.take(found.end)),
                Err(consumed) if consumed > limit => {
                    let error = LimitOverrunError { consumed, found: false };
                    return Err(ReadUntilError::LimitOverrun(error));
                }
                Err(_) if incoming.is_eof() => {
                    let partial = self.take(usize::MAX);
                    let error = IncompleteReadError { partial, expected: None };
                    return Err(ReadUntilError::Incomplete(error));
                }
                Err(_) => incoming.wait_for_data().await.map_err(ReadUntilError::Io)?,
            }
        }
    }

    /// Reads `count` bytes, also more than the limit.
    ///
    /// # Errors
    ///
    /// - [`ReadExactlyError::Incomplete`]: the stream ended before; has what came.
    /// - [`ReadExactlyError::Io`]: the connection broke.
    pub async fn readexactly(&mut self, count: usize) -> Result<Vec<u8>, ReadExactlyError> {
        self.settle().map_err(ReadExactlyError::Io)?;
        let incoming = &self.state.incoming;
        while incoming.len() < count {
            if incoming.is_eof() {
                let partial = self.take(usize::MAX);
                let error = IncompleteReadError { partial, expected: Some(count) };
                return Err(ReadExactlyError::Incomplete(error));
            }
            incoming.wait_for_data().await.map_err(ReadExactlyError::Io)?;
        }
        Ok(self.take(count))
    }

    /// The lines, each with its `\n`, up to the end of the stream: asyncio's `async for`.
    ///
    /// ```
    /// use asyncio_stream::StreamReader;
    /// use futures_lite::StreamExt;
    ///
    /// let (mut reader, feeder) = StreamReader::new(1024);
    /// feeder.feed_data(b"one\ntwo\nrest");
    /// feeder.feed_eof();
    /// let lines: Vec<_> = futures_lite::stream::block_on(reader.readlines()).flatten().collect();
    /// assert_eq!(lines, [b"one\n".to_vec(), b"two\n".to_vec(), b"rest".to_vec()]);
    /// ```
    #[doc(alias = "lines")]
    #[doc(alias = "__aiter__")]
    pub fn readlines(&mut self) -> Lines<'_> {
        Lines::new(self)
    }

    /// The stream ended and everything was read.
    pub fn at_eof(&self) -> bool {
        self.state.incoming.is_eof() && self.state.incoming.len() == 0
    }

    /// The error that every read returns, if the connection broke.
    pub fn exception(&self) -> Option<io::Error> {
        self.state.incoming.exception().map(|error| error.to_io())
    }

    /// Bytes that can be read without waiting.
    pub fn buffered(&self) -> usize {
        self.state.incoming.len()
    }

    /// Drops a line that is too long, or what is there of it.
    pub(crate) fn drop_line(&self, error: LimitOverrunError) -> ReadlineError {
        let incoming = &self.state.incoming;
        incoming.with_buffer(|buffer| match error.found {
            true => buffer.consume(error.consumed + 1),
            false => buffer.clear(),
        });
        incoming.maybe_resume();
        ReadlineError::TooLong(error)
    }

    /// Before each read: the error comes first, and what was lent is back.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        if !self.front.is_empty() {
            self.state.incoming.give_back(std::mem::take(&mut self.front));
        }
        self.state.incoming.check()
    }

    pub(crate) fn take(&self, max: usize) -> Vec<u8> {
        let incoming = &self.state.incoming;
        let taken = incoming.with_buffer(|buffer| buffer.take(max.min(buffer.len())));
        incoming.maybe_resume();
        taken
    }
}

impl Drop for StreamReader {
    /// What still arrives is thrown away: the writer sees the end of the connection all the same.
    fn drop(&mut self) {
        self.state.incoming.abandon();
    }
}

impl fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReader")
            .field("buffered", &self.buffered())
            .field("limit", &self.state.incoming.limit.get())
            .field("eof", &self.state.incoming.is_eof())
            .field("exception", &self.state.incoming.exception())
            .finish()
    }
}

/// Feeds a [`StreamReader`] by hand; clones feed the same one.
#[derive(Clone)]
pub struct Feeder {
    state: Rc<StreamState>,
}

impl Feeder {
    /// Appends bytes and wakes the reader. After [`feed_eof`](Self::feed_eof), and once the
    /// reader is dropped, they are thrown away.
    pub fn feed_data(&self, data: &[u8]) {
        self.state.incoming.feed_data(data);
    }

    /// Ends the stream.
    pub fn feed_eof(&self) {
        self.state.incoming.feed_eof();
    }

    /// Has every read return `error` from now on, the waiting one too.
    pub fn set_exception(&self, error: io::Error) {
        self.state.incoming.set_exception(SharedError::new(error));
    }
}

impl fmt::Debug for Feeder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feeder").finish_non_exhaustive()
    }
}
