//! Accepting.

use std::io;

use socket2::{SockAddr, Socket};

use super::when_readable;

/// Waits for a connection and accepts it: the new socket, in non-blocking mode, and its peer's address. Sets the
/// listener to non-blocking mode.
///
/// # Errors
///
/// What the system says: `Too many open files`, or that a connection was gone before it was accepted. Call it again.
///
/// # Cancel safety
///
/// Nothing is lost: a connection that was not accepted stays in the listener's queue.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{run, sock_accept};
/// use socket2::Socket;
/// use std::net::{TcpListener, TcpStream};
///
/// run(async {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let client = TcpStream::connect(listener.local_addr()?)?;
///     let (server, address) = sock_accept(&Socket::from(listener)).await?;
///     assert_eq!(address.as_socket(), Some(client.local_addr()?));
///     assert!(server.nonblocking()?);
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn sock_accept(socket: &Socket) -> io::Result<(Socket, SockAddr)> {
    // There is no flag for this call: the connection that was reported may be gone when it is made.
    socket.set_nonblocking(true)?;
    let (connection, address) = when_readable(socket, || socket.accept()).await?;
    connection.set_nonblocking(true)?;
    Ok((connection, address))
}
