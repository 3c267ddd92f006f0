//! Sending.

use std::io;

use asyncio_coro::yield_now;
use rustix::io::retry_on_intr;
use rustix::net::SendFlags;
use socket2::{SockAddr, Socket};

use super::{Waiting, when_writable};
use crate::watched::Direction;

/// Sends all of `data`, and waits as long as the peer takes to make room for it.
///
/// # Errors
///
/// What the system says; then nobody knows how much was sent. Those of [`add_writer`](crate::EventLoop::add_writer) if
/// it has to wait.
///
/// # Cancel safety
///
/// What the system took by then is sent and the rest is not; nobody knows how much that is.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{run, sock_recv, sock_sendall};
/// use socket2::Socket;
/// use std::os::unix::net::UnixStream;
///
/// run(async {
///     let (ours, theirs) = UnixStream::pair()?;
///     let (ours, theirs) = (Socket::from(ours), Socket::from(theirs));
///     sock_sendall(&ours, b"all of it").await?;
///     assert_eq!(sock_recv(&theirs, 100).await?, b"all of it");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn sock_sendall(socket: &Socket, data: &[u8]) -> io::Result<()> {
    let mut waiting = Waiting::new(socket, Direction::Write);
    let mut rest = data;
    if rest.is_empty() {
        return Ok(());
    }
    loop {
        let block = &rest[..rest.len().min(AT_ONCE)];
        let sent = waiting
            .until_done(|| {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                Ok(retry_on_intr(|| rustix::net::send(socket, block, flags))?)
            })
            .await?;
        rest = &rest[sent..];
        if rest.is_empty() {
            return Ok(());
        }
        // A peer that reads as fast as we send must not keep the loop to itself.
        yield_now().await;
    }
}

/// Sends a datagram to `address`, and returns how many bytes that were.
///
/// # Errors
///
/// As [`sock_sendall`]: for one, `Message too long`.
///
/// # Cancel safety
///
/// Nothing was sent if it was still waiting.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{run, sock_sendto};
/// use socket2::Socket;
/// use std::net::UdpSocket;
///
/// run(async {
///     let theirs = UdpSocket::bind("127.0.0.1:0")?;
///     let ours = Socket::from(UdpSocket::bind("127.0.0.1:0")?);
///     assert_eq!(sock_sendto(&ours, b"hello", &theirs.local_addr()?.into()).await?, 5);
///     let mut buffer = [0; 100];
///     assert_eq!(theirs.recv(&mut buffer)?, 5);
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn sock_sendto(socket: &Socket, data: &[u8], address: &SockAddr) -> io::Result<usize> {
    when_writable(socket, || socket.send_to_with_flags(data, address, libc::MSG_DONTWAIT)).await
}

/// What one call sends at most, in bytes: a fraction of a millisecond; between two calls others have their turn.
pub(super) const AT_ONCE: usize = 1024 * 1024;
