//! Operations on sockets of one's own, as asyncio's `loop.sock_…`: each tries at once, and waits only if it must.
//!
//! Nothing is registered while nobody waits; any number of tasks may wait for one socket, in both directions.

mod accept;
mod connect;
mod recv;
mod send;
mod sendfile;

pub use accept::sock_accept;
pub use connect::sock_connect;
pub use recv::{sock_recv, sock_recv_into, sock_recvfrom, sock_recvfrom_into};
pub use send::{sock_sendall, sock_sendto};
pub use sendfile::{SendfileError, sock_sendfile};

use std::io;
use std::os::fd::AsFd;

use socket2::Socket;

use crate::running::get_running_loop;
use crate::watched::{Direction, Watch};

/// Waits for a direction of a socket; watches it from the first wait to its own drop.
struct Waiting<'a> {
    socket: &'a Socket,
    direction: Direction,
    watch: Option<Watch>,
}

impl<'a> Waiting<'a> {
    fn new(socket: &'a Socket, direction: Direction) -> Self {
        Self { socket, direction, watch: None }
    }

    /// Calls `op` until it does not say that it would block.
    async fn until_done<R>(&mut self, mut op: impl FnMut() -> io::Result<R>) -> io::Result<R> {
        loop {
            match op() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready().await?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    async fn ready(&mut self) -> io::Result<()> {
        let watch = match &self.watch {
            Some(watch) => watch,
            None => {
                let event_loop = get_running_loop().map_err(io::Error::other)?;
                let watch = event_loop.inner().watch(self.socket.as_fd(), self.direction)?;
                self.watch.insert(watch)
            }
        };
        watch.ready().await;
        Ok(())
    }
}

/// `op` at once, and then whenever the socket has become readable.
async fn when_readable<R>(socket: &Socket, op: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    Waiting::new(socket, Direction::Read).until_done(op).await
}

/// `op` at once, and then whenever the socket has become writable.
async fn when_writable<R>(socket: &Socket, op: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    Waiting::new(socket, Direction::Write).until_done(op).await
}
