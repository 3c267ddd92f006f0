//! The handle on a connection.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll};

use socket2::{SockRef, Socket};

use crate::builder::TransportBuilder;
use crate::flow_control::{InvalidLimits, WriteBufferLimits};
use crate::protocol_calls::ProtocolCalls;
use crate::selector_transport::SelectorTransport;

/// A connection that calls back: bytes go out by [`write`](Self::write), and come in at the
/// protocol.
///
/// A cheap handle; clones are the same connection. The loop holds the connection itself, so that
/// dropping every handle does not close it, as in asyncio. It ends by [`close`](Self::close),
/// [`abort`](Self::abort), the peer, an error, or the end of its loop.
///
/// No method blocks, and none reads but [`try_read`](Self::try_read): data arrives from the loop.
///
/// ```
/// # use std::{cell::RefCell, io, rc::Rc, os::unix::net::UnixStream, io::Write};
/// use asyncio_transport::{ProtocolCalls, Transport};
///
/// #[derive(Default)]
/// struct Log(RefCell<Vec<u8>>);
///
/// impl ProtocolCalls for Log {
///     fn connection_made(&self, _transport: &Transport) {}
///     fn data_received(&self, data: &[u8]) {
///         self.0.borrow_mut().extend_from_slice(data);
///     }
///     fn eof_received(&self) -> bool {
///         false
///     }
///     fn connection_lost(&self, error: Option<io::Error>) {
///         assert!(error.is_none());
///         asyncio_loop::get_running_loop().unwrap().stop();
///     }
///     fn pause_writing(&self) {}
///     fn resume_writing(&self) {}
/// }
///
/// # fn main() -> io::Result<()> {
/// let event_loop = asyncio_loop::EventLoop::new()?;
/// let (mut peer, ours) = UnixStream::pair()?;
/// let log = Rc::new(Log::default());
/// Transport::socket(ours.into())?.start(&event_loop, log.clone());
/// peer.write_all(b"hello")?;
/// drop(peer);
/// event_loop.run_forever().unwrap();
/// assert_eq!(*log.0.borrow(), b"hello");
/// event_loop.close().unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Transport {
    inner: Rc<SelectorTransport>,
}

impl Transport {
    /// Prepares a transport over a *connected* stream socket (TCP, Unix), which becomes
    /// non-blocking. TCP sockets get `TCP_NODELAY`.
    ///
    /// # Errors
    ///
    /// Those of making the socket non-blocking.
    pub fn socket(socket: Socket) -> io::Result<TransportBuilder> {
        TransportBuilder::socket(socket)
    }

    /// Prepares a transport that only reads: from a pipe, a FIFO, a socket or a character device.
    ///
    /// At its end it calls `eof_received`, and closes whatever that returns.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for another kind of file; those of making it non-blocking.
    pub fn read_pipe(fd: OwnedFd) -> io::Result<TransportBuilder> {
        TransportBuilder::read_pipe(fd)
    }

    /// Prepares a transport that only writes: to a pipe, a FIFO, a socket or a character device.
    ///
    /// It notices when its reader goes: `connection_lost(None)` when nothing was buffered,
    /// `BrokenPipe` otherwise. [`write_eof`](Self::write_eof) is [`close`](Self::close).
    ///
    /// # Errors
    ///
    /// `InvalidInput` for another kind of file; those of making it non-blocking.
    pub fn write_pipe(fd: OwnedFd) -> io::Result<TransportBuilder> {
        TransportBuilder::write_pipe(fd)
    }

    pub(crate) fn new(inner: Rc<SelectorTransport>) -> Self {
        Self { inner }
    }

    /// Writes `data`: what the kernel takes at once goes out at once, the rest is copied and
    /// follows as the peer reads. Never blocks, never fails: an error arrives as
    /// `connection_lost`.
    ///
    /// Above the high-water mark the protocol's `pause_writing` is called before this returns;
    /// a protocol that goes on writing grows the buffer without bound. After the connection was
    /// lost, or closed with nothing left to flush, data is dropped; from the fifth time on a
    /// warning is logged.
    ///
    /// # Panics
    ///
    /// After [`write_eof`](Self::write_eof), also on a transport that only reads.
    pub fn write(&self, data: &[u8]) {
        self.inner.write_one(data);
    }

    /// Writes several pieces as one: one system call, and one look at the water marks.
    ///
    /// # Panics
    ///
    /// As [`write`](Self::write).
    pub fn writelines<I>(&self, lines: I)
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let pieces: Vec<I::Item> = lines.into_iter().collect();
        let pieces: Vec<&[u8]> = pieces.iter().map(AsRef::as_ref).collect();
        self.inner.write(&pieces);
    }

    /// Ends the writing side once what is buffered went out; the reading side stays open. Once
    /// is enough; nothing happens on a closing transport.
    pub fn write_eof(&self) {
        self.inner.write_eof();
    }

    /// Whether [`write_eof`](Self::write_eof) is possible.
    pub fn can_write_eof(&self) -> bool {
        self.inner.can_write()
    }

    /// Stops reading now, flushes what is buffered, then calls `connection_lost(None)`.
    /// A peer that does not read holds this up: [`abort`](Self::abort) does not wait.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Drops what is buffered; `connection_lost(None)` follows in the next tick.
    pub fn abort(&self) {
        self.inner.force_close(None);
    }

    /// True from `close`, `abort` or a fatal error on.
    pub fn is_closing(&self) -> bool {
        self.inner.is_closing()
    }

    /// Stops calls of `data_received` until [`resume_reading`](Self::resume_reading). Allowed at
    /// any time; nothing happens on a closing transport.
    pub fn pause_reading(&self) {
        self.inner.pause_reading();
    }

    /// Goes on reading, from the next tick: data never arrives inside this call.
    pub fn resume_reading(&self) {
        self.inner.resume_reading();
    }

    /// Reads what is there into `buffer`, now, for a protocol that answered
    /// [`ReadInto::Later`](crate::ReadInto::Later), and returns how much that is.
    ///
    /// `None` if nothing is to be had now, for whatever reason: nothing arrived, reading is
    /// paused, `buffer` is empty, or the connection ended, which the protocol learns as always by
    /// `eof_received`, called in here, or by `connection_lost`, which follows.
    pub fn try_read(&self, buffer: &mut [u8]) -> Option<usize> {
        self.inner.try_read(buffer)
    }

    /// As [`try_read`](Self::try_read), at most `max` bytes, into the loop's own buffer, which
    /// `f` gets a look at.
    pub fn try_read_with<R>(&self, max: usize, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        self.inner.try_read_with(max, f)
    }

    /// Stops reading for good, as if the peer had sent EOF: `eof_received` is called in the next
    /// tick, unless it was already. What the peer still sends is never read.
    ///
    /// A server that shuts down tells its connections so: what is in progress can be finished,
    /// and nothing new begins.
    pub fn stop_reading(&self) {
        self.inner.stop_reading();
    }

    /// Neither paused nor closing.
    pub fn is_reading(&self) -> bool {
        self.inner.is_reading()
    }

    /// Bytes that were written and that the kernel did not take yet.
    pub fn get_write_buffer_size(&self) -> usize {
        self.inner.write_buffer_size()
    }

    /// The water marks.
    pub fn get_write_buffer_limits(&self) -> WriteBufferLimits {
        self.inner.write_buffer_limits()
    }

    /// Sets the water marks, in bytes, as [`WriteBufferLimits::new`] completes them, and pauses
    /// the protocol at once if more than that is buffered. `Some(0)` as `high` pauses at any
    /// buffered byte.
    ///
    /// # Errors
    ///
    /// [`InvalidLimits`] when `low` is greater than `high`; the marks stay.
    pub fn set_write_buffer_limits(
        &self,
        high: Option<usize>,
        low: Option<usize>,
    ) -> Result<(), InvalidLimits> {
        self.inner.set_write_buffer_limits(WriteBufferLimits::new(high, low)?);
        Ok(())
    }

    /// Ready when nothing is buffered any more. Several tasks may wait.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` when something that was written will never go out; that is ready only after
    /// `connection_lost`, which is told the cause.
    pub fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_flushed(cx)
    }

    /// Hands the connection to another protocol, from the next call on. Neither protocol is told.
    pub fn set_protocol(&self, protocol: Rc<dyn ProtocolCalls>) {
        self.inner.set_protocol(protocol);
    }

    /// The protocol; none once the connection is lost.
    pub fn get_protocol(&self) -> Option<Rc<dyn ProtocolCalls>> {
        self.inner.protocol()
    }

    /// Our address, as it was when the transport was made; none for what has no IP address.
    #[doc(alias = "get_extra_info", alias = "sockname")]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.inner.local_addr()
    }

    /// The peer's address, as it was when the transport was made; none for what has no IP
    /// address.
    #[doc(alias = "get_extra_info", alias = "peername")]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.inner.peer_addr()
    }

    /// Lends the socket, to look at or set its options: `None` for a pipe, and once the
    /// connection is lost. Reading, writing or closing it behind the transport's back loses data.
    #[doc(alias = "get_extra_info", alias = "socket")]
    pub fn with_socket<R>(&self, f: impl FnOnce(SockRef<'_>) -> R) -> Option<R> {
        let endpoint = self.inner.endpoint()?;
        Some(f(SockRef::from(endpoint.socket()?)))
    }
}

impl PartialEq for Transport {
    /// Two handles on one connection are equal.
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Transport {}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.describe(f)
    }
}
