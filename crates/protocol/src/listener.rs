//! A listening socket and its accept loop.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::rc::{Rc, Weak};
use std::time::Duration;

use asyncio_loop::{ExceptionContext, IoHandler, Ready, Registration};
use rustix::io::Errno;
use socket2::Socket;

use crate::server::ServerInner;

/// One listening socket of a server.
pub(crate) struct Listener {
    server: Weak<ServerInner>,
    pub(crate) local_addr: Option<SocketAddr>,
    /// `None` once closed.
    socket: RefCell<Option<Rc<Socket>>>,
    /// Dropped before the socket.
    registration: RefCell<Option<Registration>>,
    /// Out of file descriptors or memory: waiting for a second.
    resting: Cell<bool>,
}

impl Listener {
    pub(crate) fn new(server: Weak<ServerInner>, socket: Socket) -> Rc<Self> {
        let local_addr = socket.local_addr().ok().and_then(|addr| addr.as_socket());
        Rc::new(Self {
            server,
            local_addr,
            socket: RefCell::new(Some(Rc::new(socket))),
            registration: RefCell::new(None),
            resting: Cell::new(false),
        })
    }

    pub(crate) fn listen(self: &Rc<Self>, server: &ServerInner) -> io::Result<()> {
        let Some(socket) = self.socket() else { return Ok(()) };
        socket.set_nonblocking(true)?;
        socket.listen(i32::try_from(server.options.backlog).unwrap_or(i32::MAX))?;
        let registration = server.event_loop.register(socket.as_fd(), self.clone())?;
        self.registration.replace(Some(registration));
        Ok(())
    }

    pub(crate) fn close(&self) {
        let registration = self.registration.take();
        drop(registration);
        let socket = self.socket.take();
        drop(socket);
    }

    pub(crate) fn socket(&self) -> Option<Rc<Socket>> {
        self.socket.borrow().clone()
    }

    fn accept_some(self: &Rc<Self>, server: &Rc<ServerInner>) {
        // The factory may close the server, and so us: asked anew for each connection.
        for _ in 0..=server.options.backlog {
            let Some(socket) = self.socket() else { return };
            let accepted = accept(&socket);
            drop(socket);
            match accepted {
                Ok((socket, peer_addr)) => server.connected(socket, peer_addr),
                Err(Errno::WOULDBLOCK) => return,
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(errno) => return self.rest(server, errno),
            }
        }
        // As many as one turn takes: the others in the next tick, no new event tells of them.
        if let Some(registration) = &*self.registration.borrow() {
            registration.requeue(Ready::READ);
        }
    }

    /// Reports what hinders `accept`, and tries again in a second.
    fn rest(self: &Rc<Self>, server: &ServerInner, errno: Errno) {
        let out_of_resources =
            [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&errno);
        let message = if out_of_resources {
            "accept() is out of system resources; it is tried again in a second"
        } else {
            "accept() failed; it is tried again in a second"
        };
        let error = io::Error::from(errno);
        server.event_loop.call_exception_handler(ExceptionContext::new(message).with_error(error));
        self.resting.set(true);
        let this = Rc::downgrade(self);
        server.event_loop.call_later(ACCEPT_RETRY_DELAY, move || {
            let Some(this) = this.upgrade() else { return };
            this.resting.set(false);
            if let Some(registration) = &*this.registration.borrow() {
                registration.requeue(Ready::READ);
            }
        });
    }
}

impl IoHandler for Listener {
    fn on_ready(self: Rc<Self>, _ready: Ready) {
        if self.resting.get() {
            return;
        }
        if let Some(server) = self.server.upgrade() {
            self.accept_some(&server);
        }
    }
}

/// Accepts one connection, non-blocking and not inherited by child processes.
fn accept(socket: &Socket) -> Result<(Socket, Option<SocketAddr>), Errno> {
    #[cfg(target_os = "linux")]
    {
        use rustix::net::{SocketFlags, acceptfrom_with};
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (accepted, peer_addr) = acceptfrom_with(socket, flags)?;
        let peer_addr = peer_addr.and_then(|addr| SocketAddr::try_from(addr).ok());
        Ok((accepted.into(), peer_addr))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let (accepted, peer_addr) =
            socket.accept().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok((accepted, peer_addr.as_socket()))
    }
}

/// asyncio's constant of this name.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_secs(1);
