//! What a transport is made of, before it starts.

use std::any::Any;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use asyncio_loop::EventLoop;
use rustix::fs::FileType;
use socket2::Socket;

use crate::endpoint::Endpoint;
use crate::protocol_calls::ProtocolCalls;
use crate::selector_transport::SelectorTransport;
use crate::transport::Transport;

/// A transport that did not start yet. Dropping it closes what it was given.
#[must_use = "a transport does nothing until it is started"]
pub struct TransportBuilder {
    pub(crate) endpoint: Endpoint,
    pub(crate) local_addr: Option<SocketAddr>,
    pub(crate) peer_addr: Option<SocketAddr>,
    pub(crate) attachment: Option<Box<dyn Any>>,
    pub(crate) started: Option<Box<dyn FnOnce()>>,
}

impl TransportBuilder {
    pub(crate) fn socket(socket: Socket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let local_addr = socket.local_addr().ok().and_then(|addr| addr.as_socket());
        if local_addr.is_some() {
            // Only TCP has it, and without it the connection works all the same.
            let _ = socket.set_tcp_nodelay(true);
        }
        Ok(Self { local_addr, ..Self::over(Endpoint::Socket(socket)) })
    }

    pub(crate) fn read_pipe(fd: OwnedFd) -> io::Result<Self> {
        prepare_pipe(&fd)?;
        Ok(Self::over(Endpoint::ReadPipe(fd)))
    }

    pub(crate) fn write_pipe(fd: OwnedFd) -> io::Result<Self> {
        prepare_pipe(&fd)?;
        Ok(Self::over(Endpoint::WritePipe(fd)))
    }

    fn over(endpoint: Endpoint) -> Self {
        Self { endpoint, local_addr: None, peer_addr: None, attachment: None, started: None }
    }

    /// Saves the transport asking the kernel for the peer's address: `accept` and `connect` knew
    /// it.
    pub fn peer_addr(mut self, peer_addr: SocketAddr) -> Self {
        self.peer_addr = Some(peer_addr);
        self
    }

    /// Keeps `attachment` as long as the connection lives; it is dropped right after
    /// `connection_lost`, or when the loop closes. A server counts its connections by it.
    pub fn attach(mut self, attachment: impl Any) -> Self {
        self.attachment = Some(Box::new(attachment));
        self
    }

    /// Calls `started` once `connection_made` was called and reading began.
    pub fn started(mut self, started: impl FnOnce() + 'static) -> Self {
        self.started = Some(Box::new(started));
        self
    }

    /// Starts: `connection_made`, then reading, then `started`, each a handle of its own in the
    /// loop's ready queue. So `connection_made` comes before any data, and before whoever waits
    /// for `started` goes on.
    pub fn start(mut self, event_loop: &EventLoop, protocol: Rc<dyn ProtocolCalls>) -> Transport {
        if self.peer_addr.is_none() {
            let peer = self.endpoint.socket().and_then(|socket| socket.peer_addr().ok());
            self.peer_addr = peer.and_then(|addr| addr.as_socket());
        }
        SelectorTransport::start(event_loop, self, protocol)
    }
}

impl fmt::Debug for TransportBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportBuilder").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

fn prepare_pipe(fd: &OwnedFd) -> io::Result<()> {
    let mode = rustix::fs::fstat(fd)?.st_mode;
    match FileType::from_raw_mode(mode) {
        FileType::Fifo | FileType::Socket | FileType::CharacterDevice => {}
        other => {
            let message = format!("not a pipe, socket or character device: {other:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
    }
    Ok(rustix::io::ioctl_fionbio(fd, true)?)
}
