//! Reading into buffers of one's own.

use std::io;

use asyncio_transport::Transport;

/// A protocol that says where its bytes go.
///
/// The transport asks for a buffer before it reads, reads into it, and gives it back: no copy
/// between the kernel and yours. Buffers are *owned* while the transport has them, so that a
/// transport may read long after it asked. Give one to a factory as [`Buffered`]`(protocol)`.
///
/// The order is `connection_made`, then any number of `get_buffer` and `buffer_updated` by
/// turns, then at most one `eof_received`, then exactly one `connection_lost`. What
/// [`Protocol`](crate::Protocol) says of calls inside calls and of panics holds here too.
///
/// ```
/// use asyncio_protocol::{Buffered, BufferedProtocol, Transport, connect_accepted_socket};
/// use std::{cell::RefCell, io::Write, os::unix::net::UnixStream};
///
/// #[derive(Default)]
/// struct Fill {
///     spare: RefCell<Option<Vec<u8>>>,
///     received: RefCell<Vec<u8>>,
/// }
///
/// impl BufferedProtocol for Fill {
///     fn get_buffer(&self) -> Vec<u8> {
///         self.spare.take().unwrap_or_else(|| vec![0; 4096])
///     }
///     fn buffer_updated(&self, buffer: Vec<u8>, nbytes: usize) {
///         self.received.borrow_mut().extend_from_slice(&buffer[..nbytes]);
///         self.spare.replace(Some(buffer));
///     }
/// }
///
/// asyncio_loop::run(async {
///     let (mut peer, ours) = UnixStream::pair().unwrap();
///     let (_transport, fill) =
///         connect_accepted_socket(|| Buffered(Fill::default()), ours.into()).await.unwrap();
///     peer.write_all(b"some bytes").unwrap();
///     while fill.received.borrow().is_empty() {
///         asyncio_coro::yield_now().await;
///     }
///     assert_eq!(*fill.received.borrow(), b"some bytes");
/// })
/// .unwrap();
/// ```
pub trait BufferedProtocol: 'static {
    /// Called once, first: the connection stands.
    fn connection_made(&self, transport: &Transport) {
        let _ = transport;
    }

    /// Gives the buffer for the next read, which fills its front, at most all of it. Keeping one
    /// and giving it again saves an allocation a read. An empty one is fatal for the connection.
    fn get_buffer(&self) -> Vec<u8>;

    /// Takes the buffer back, with `nbytes` new bytes at its front.
    fn buffer_updated(&self, buffer: Vec<u8>, nbytes: usize);

    /// As [`Protocol::eof_received`](crate::Protocol::eof_received).
    fn eof_received(&self) -> bool {
        false
    }

    /// As [`Protocol::connection_lost`](crate::Protocol::connection_lost).
    fn connection_lost(&self, error: Option<io::Error>) {
        let _ = error;
    }

    /// As [`Protocol::pause_writing`](crate::Protocol::pause_writing).
    fn pause_writing(&self) {}

    /// As [`Protocol::resume_writing`](crate::Protocol::resume_writing).
    fn resume_writing(&self) {}
}

/// Marks a [`BufferedProtocol`] for a factory: `create_server(|| Buffered(Fill::default()), ..)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Buffered<B>(pub B);
