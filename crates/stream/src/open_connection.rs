//! Opening a stream to a host.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use asyncio_protocol::{ConnectError, CreateConnection, create_connection};

use crate::reader::StreamReader;
use crate::stream_protocol::StreamProtocol;
use crate::writer::StreamWriter;

/// Connects to `host` (a name or an address) and `port` by TCP. Await what this returns, after
/// setting options on it.
///
/// # Cancel safety
///
/// Dropping or cancelling it closes every socket it opened.
///
/// # Errors
///
/// [`ConnectError`], which names each address that was tried; converts into an
/// [`io::Error`](std::io::Error).
///
/// # Examples
///
/// See [`StreamWriter`].
pub fn open_connection(host: impl Into<String>, port: u16) -> OpenConnection {
    let factory: Factory = Box::new(|| StreamProtocol::new(DEFAULT_LIMIT));
    OpenConnection { create: create_connection(factory, host, port), limit: DEFAULT_LIMIT }
}

type Factory = Box<dyn FnOnce() -> StreamProtocol>;

/// A stream to be; see [`open_connection`]. Await it.
#[must_use = "nothing happens until it is awaited"]
pub struct OpenConnection {
    create: CreateConnection<Factory>,
    limit: usize,
}

impl OpenConnection {
    /// The reader's limit, in bytes: the longest line, and half of what is buffered before the
    /// transport stops reading. Default: 64 KiB.
    ///
    /// # Panics
    ///
    /// If `limit` is 0.
    pub fn limit(mut self, limit: usize) -> Self {
        assert!(limit > 0, "a stream's limit cannot be 0");
        self.limit = limit;
        self
    }

    /// As [`CreateConnection::happy_eyeballs_delay`].
    pub fn happy_eyeballs_delay(mut self, delay: impl Into<Option<Duration>>) -> Self {
        self.create = self.create.happy_eyeballs_delay(delay);
        self
    }

    /// As [`CreateConnection::local_addr`].
    pub fn local_addr(mut self, addr: SocketAddr) -> Self {
        self.create = self.create.local_addr(addr);
        self
    }
}

impl IntoFuture for OpenConnection {
    type Output = Result<(StreamReader, StreamWriter), ConnectError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output>>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { create, limit } = self;
        Box::pin(async move {
            let (transport, protocol) = create.await?;
            let state = protocol.state.clone();
            state.incoming.limit.set(limit);
            Ok((StreamReader::over(state.clone()), StreamWriter::new(transport, state)))
        })
    }
}

impl fmt::Debug for OpenConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenConnection")
            .field("create", &self.create)
            .field("limit", &self.limit)
            .finish()
    }
}

/// asyncio's, in bytes.
pub(crate) const DEFAULT_LIMIT: usize = 64 * 1024;
