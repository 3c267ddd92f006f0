//! Receiving.
//!
//! Invariant R1: `Socket::recv` of socket2, and its forms with an address and flags, promise to write no uninitialised bytes
//! to the buffer.
#![expect(unsafe_code, reason = "socket2 receives into memory that need not be initialised")]

use std::io;
use std::mem::MaybeUninit;

use rustix::buffer::spare_capacity;
use rustix::io::retry_on_intr;
use rustix::net::RecvFlags;
use socket2::{SockAddr, Socket};

use super::when_readable;

/// Receives what is there, at most `nbytes` bytes; waits until something is. Empty at the end of the stream.
///
/// # Errors
///
/// What the system says; those of [`add_reader`](crate::EventLoop::add_reader) if it has to wait.
///
/// # Cancel safety
///
/// Nothing is lost: what was not received stays in the socket.
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
///     sock_sendall(&theirs, b"hello").await?;
///     assert_eq!(sock_recv(&ours, 100).await?, b"hello");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn sock_recv(socket: &Socket, nbytes: usize) -> io::Result<Vec<u8>> {
    if nbytes == 0 {
        return Ok(Vec::new());
    }
    when_readable(socket, || {
        // Made for each attempt, so that nobody who waits holds memory.
        let mut data = Vec::with_capacity(nbytes.min(AT_ONCE));
        retry_on_intr(|| {
            rustix::net::recv(socket, spare_capacity(&mut data), RecvFlags::DONTWAIT)
        })?;
        Ok(data)
    })
    .await
}

/// Receives into `buffer`; waits until something is there. Returns how many bytes, 0 at the end of the stream.
///
/// # Errors
///
/// As [`sock_recv`].
///
/// # Cancel safety
///
/// Nothing is lost: what was not received stays in the socket.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{run, sock_recv_into, sock_sendall};
/// use socket2::Socket;
/// use std::os::unix::net::UnixStream;
///
/// run(async {
///     let (ours, theirs) = UnixStream::pair()?;
///     let (ours, theirs) = (Socket::from(ours), Socket::from(theirs));
///     sock_sendall(&theirs, b"hello").await?;
///     let mut buffer = [0; 3];
///     assert_eq!(sock_recv_into(&ours, &mut buffer).await?, 3);
///     assert_eq!(buffer, *b"hel");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn sock_recv_into(socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    if buffer.is_empty() {
        return Ok(0);
    }
    when_readable(socket, || {
        let received =
            retry_on_intr(|| rustix::net::recv(socket, &mut *buffer, RecvFlags::DONTWAIT));
        Ok(received.map(|(received, _)| received)?)
    })
    .await
}

/// Receives a datagram and its sender's address; what is longer than `bufsize` bytes is cut off, as the system does it.
///
/// # Errors
///
/// As [`sock_recv`].
///
/// # Cancel safety
///
/// Nothing is lost: what was not received stays in the socket.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{run, sock_recvfrom, sock_sendto};
/// use socket2::Socket;
/// use std::net::UdpSocket;
///
/// run(async {
///     let (ours, theirs) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
///     let (to, from) = (ours.local_addr()?, theirs.local_addr()?);
///     sock_sendto(&Socket::from(theirs), b"hello", &to.into()).await?;
///     let (data, sender) = sock_recvfrom(&Socket::from(ours), 100).await?;
///     assert_eq!((data.as_slice(), sender.as_socket()), (&b"hello"[..], Some(from)));
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn sock_recvfrom(socket: &Socket, bufsize: usize) -> io::Result<(Vec<u8>, SockAddr)> {
    let mut data = vec![0; bufsize.min(AT_ONCE)];
    let (received, sender) = sock_recvfrom_into(socket, &mut data, 0).await?;
    data.truncate(received);
    Ok((data, sender))
}

/// Receives a datagram into the first `nbytes` bytes of `buffer`, all of it if that is 0, and returns how many there are,
/// and the sender's address. What is longer is cut off, as the system does it.
///
/// # Errors
///
/// `InvalidInput` if `nbytes` is more than `buffer` has; else as [`sock_recv`].
///
/// # Cancel safety
///
/// Nothing is lost: what was not received stays in the socket.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{run, sock_recvfrom_into};
/// use socket2::Socket;
/// use std::net::UdpSocket;
///
/// run(async {
///     let ours = UdpSocket::bind("127.0.0.1:0")?;
///     ours.send_to(b"hello", ours.local_addr()?)?;
///     let mut buffer = [0; 100];
///     let (received, _) = sock_recvfrom_into(&Socket::from(ours), &mut buffer, 0).await?;
///     assert_eq!(&buffer[..received], b"hello");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn sock_recvfrom_into(
    socket: &Socket,
    buffer: &mut [u8],
    nbytes: usize,
) -> io::Result<(usize, SockAddr)> {
    if nbytes > buffer.len() {
        let has = buffer.len();
        let message = format!("{nbytes} bytes were asked for, and the buffer has {has}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let room = if nbytes == 0 { buffer.len() } else { nbytes };
    let buffer = as_uninit(&mut buffer[..room]);
    let flags = libc::MSG_DONTWAIT;
    when_readable(socket, || socket.recv_from_with_flags(buffer, flags)).await
}

fn as_uninit(buffer: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: the layout is the same, and by R1 the bytes stay initialised.
    unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) }
}

/// What one call receives at most, in bytes: what is asked for beyond that is no reason to reserve memory.
const AT_ONCE: usize = 1024 * 1024;
