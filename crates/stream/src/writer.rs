//! Writing to a stream.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use asyncio_coro::yield_now;
use asyncio_protocol::Transport;

use crate::stream_protocol::StreamState;

/// The writing end of a stream.
///
/// [`write`](Self::write) buffers without waiting; [`drain`](Self::drain) waits while too much is
/// buffered. Write, then drain: that is how a slow peer slows you. As a futures-io `AsyncWrite`
/// (`futures_lite::io::AsyncWriteExt`) it waits by itself.
///
/// Dropping it closes the connection, after what is buffered went out. For several tasks that
/// write, clone the [`transport`](Self::transport); each `write` goes out as a whole.
///
/// ```
/// use asyncio_stream::{open_connection, start_server};
///
/// asyncio_loop::run(async {
///     let server = start_server(
///         async |mut reader, mut writer| {
///             let line = reader.readline().await.unwrap();
///             writer.write(&line.to_ascii_uppercase());
///             writer.drain().await.unwrap();
///         },
///         "127.0.0.1",
///         0,
///     )
///     .await
///     .unwrap();
///     let port = server.local_addrs()[0].port();
///     let (mut reader, mut writer) = open_connection("127.0.0.1", port).await.unwrap();
///     writer.write(b"shout\n");
///     writer.drain().await.unwrap();
///     assert_eq!(reader.readline().await.unwrap(), b"SHOUT\n");
///     writer.close();
///     writer.wait_closed().await.unwrap();
/// })
/// .unwrap();
/// ```
pub struct StreamWriter {
    pub(crate) transport: Transport,
    pub(crate) state: Rc<StreamState>,
}

impl StreamWriter {
    pub(crate) fn new(transport: Transport, state: Rc<StreamState>) -> Self {
        Self { transport, state }
    }

    /// Writes `data`: what the kernel takes goes out at once, the rest is buffered, however much
    /// it is. Follow it by [`drain`](Self::drain). Once the connection is lost, data is dropped.
    ///
    /// # Panics
    ///
    /// After [`write_eof`](Self::write_eof).
    pub fn write(&mut self, data: &[u8]) {
        self.transport.write(data);
    }

    /// Writes several pieces as one, by one system call.
    ///
    /// # Panics
    ///
    /// As [`write`](Self::write).
    pub fn writelines<I>(&mut self, lines: I)
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        self.transport.writelines(lines);
    }

    /// Waits until what is buffered is down to the low-water mark, if it went above the high one;
    /// else returns at once. Several tasks may wait.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: what was written still goes out.
    ///
    /// # Errors
    ///
    /// The error that the connection broke by; `ConnectionReset` after it was closed.
    pub async fn drain(&self) -> io::Result<()> {
        self.state.incoming.check()?;
        if self.transport.is_closing() {
            yield_now().await; // so that connection_lost, if it is due, comes first
        }
        self.state.outgoing.drain().await
    }

    /// Closes the connection, both ways, after what is buffered went out.
    pub fn close(&mut self) {
        self.transport.close();
    }

    /// Closes the connection now: what is buffered is dropped.
    pub fn abort(&mut self) {
        self.transport.abort();
    }

    /// Whether it is closing or closed.
    pub fn is_closing(&self) -> bool {
        self.transport.is_closing()
    }

    /// Waits until the connection is closed, after [`close`](Self::close).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: it can be called again.
    ///
    /// # Errors
    ///
    /// The error that the connection broke by.
    pub async fn wait_closed(&self) -> io::Result<()> {
        self.state.outgoing.wait_closed().await
    }

    /// Ends our side after what is buffered went out; the peer may still send.
    pub fn write_eof(&mut self) {
        self.transport.write_eof();
        self.state.outgoing.end();
    }

    /// Whether [`write_eof`](Self::write_eof) is possible.
    pub fn can_write_eof(&self) -> bool {
        self.transport.can_write_eof()
    }

    /// The peer's address; none for a pipe.
    #[doc(alias = "get_extra_info")]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.transport.peer_addr()
    }

    /// Our address; none for a pipe.
    #[doc(alias = "get_extra_info")]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.transport.local_addr()
    }

    /// The transport below.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        self.transport.close();
    }
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamWriter").field("transport", &self.transport).finish_non_exhaustive()
    }
}
