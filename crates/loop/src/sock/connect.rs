//! Connecting.

use std::io;

use rustix::io::Errno;
use socket2::{SockAddr, Socket};

use super::when_writable;

/// Connects a socket to a resolved address, without blocking. Sets the socket to non-blocking mode.
///
/// Names are resolved by upper tiers.
///
/// # Errors
///
/// What the system says of the attempt: `ConnectionRefused` and the like. Those of
/// [`add_writer`](crate::EventLoop::add_writer) if the connection is not there at once.
///
/// # Cancel safety
///
/// Dropping it leaves the attempt going on in the system; drop the socket too, or call this again.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{run, sock_connect};
/// use socket2::{Domain, Socket, Type};
/// use std::net::TcpListener;
///
/// run(async {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let address = listener.local_addr()?;
///     let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
///     sock_connect(&socket, &address.into()).await?;
///     assert_eq!(socket.peer_addr()?.as_socket(), Some(address));
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn sock_connect(socket: &Socket, address: &SockAddr) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let connected = match socket.connect(address) {
        // The verdict on an earlier attempt, which was cancelled, is kept for the next call.
        Err(error) if is_verdict(&error) => socket.connect(address),
        connected => connected,
    };
    match connected {
        Ok(()) => return Ok(()),
        Err(error) if is_in_progress(&error) => {}
        Err(error) => return Err(error),
    }
    when_writable(socket, || outcome(socket)).await
}

fn is_verdict(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// Is the connection there? `WouldBlock` while nobody knows.
fn outcome(socket: &Socket) -> io::Result<()> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(()),
        Err(error) if error.raw_os_error() == Some(Errno::NOTCONN.raw_os_error()) => {
            Err(io::ErrorKind::WouldBlock.into())
        }
        Err(error) => Err(error),
    }
}

/// Goes the attempt on, this one or an earlier one that was given up? A Unix socket says `WouldBlock` when the listener's backlog is full; no edge would tell when it is not any more, so
/// that is an error like any other.
fn is_in_progress(error: &io::Error) -> bool {
    [Errno::INPROGRESS, Errno::ALREADY, Errno::INTR]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
