//! Opening listening sockets.

use std::error::Error;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use asyncio_loop::get_running_loop;
use asyncio_transport::ProtocolCalls;
use socket2::{Domain, Protocol as IpProtocol, Socket, Type};

use crate::create_connection::resolve;
use crate::hosts::Hosts;
use crate::into_protocol::IntoProtocol;
use crate::server::{Server, ServerOptions};

/// Listens by TCP on `hosts` and `port` (0: a free one, for each address), and makes a protocol
/// by `factory` for each connection. Await what this returns, after setting options on it.
///
/// # Cancel safety
///
/// Dropping or cancelling it closes every socket it opened.
///
/// # Errors
///
/// A name that cannot be looked up, or [`BindError`] (as the [`io::Error`]'s inner error, with
/// the address). An address that this machine does not have is skipped if another one works.
///
/// # Examples
///
/// See [`Protocol`](crate::Protocol).
pub fn create_server<F, P>(factory: F, hosts: impl Into<Hosts>, port: u16) -> CreateServer<F>
where
    F: Fn() -> P + 'static,
    P: IntoProtocol,
{
    CreateServer {
        factory,
        place: Place::Hosts(hosts.into(), port),
        reuse_address: true,
        reuse_port: false,
        options: ServerOptions::default(),
    }
}

/// A server to be; see [`create_server`]. Await it.
#[must_use = "nothing happens until it is awaited"]
pub struct CreateServer<F> {
    factory: F,
    place: Place,
    reuse_address: bool,
    reuse_port: bool,
    options: ServerOptions,
}

enum Place {
    Hosts(Hosts, u16),
    Socket(Socket),
}

impl<F> CreateServer<F> {
    /// Serves on a stream socket that is bound already, instead of on hosts and port.
    #[doc(alias = "sock")]
    pub fn socket(mut self, socket: Socket) -> Self {
        self.place = Place::Socket(socket);
        self
    }

    /// Connections that the kernel holds ready, and one less than are accepted in one tick.
    /// Default: 100.
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.options.backlog = backlog;
        self
    }

    /// `SO_REUSEADDR`: a server can start again while old connections linger. Default: true.
    pub fn reuse_address(mut self, reuse: bool) -> Self {
        self.reuse_address = reuse;
        self
    }

    /// `SO_REUSEPORT`: several processes share the port. Default: false.
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.reuse_port = reuse;
        self
    }

    /// `SO_KEEPALIVE` on each connection. Default: false.
    pub fn keep_alive(mut self, keep_alive: bool) -> Self {
        self.options.keep_alive = keep_alive;
        self
    }

    /// How long a cancelled [`Server::serve_forever`] lets connections finish before it aborts
    /// them. Default: 10 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.options.grace = grace;
        self
    }

    /// Whether to listen at once, or at [`Server::start_serving`]. Default: true.
    pub fn start_serving(mut self, start: bool) -> Self {
        self.options.start_serving = start;
        self
    }

    async fn serve<P>(self) -> io::Result<Server>
    where
        F: Fn() -> P + 'static,
        P: IntoProtocol,
    {
        let Self { factory, place, reuse_address, reuse_port, options } = self;
        let event_loop = get_running_loop().map_err(io::Error::other)?;
        let sockets = match place {
            Place::Socket(socket) => vec![check_stream(socket)?],
            Place::Hosts(hosts, port) => {
                let mut addrs = Vec::new();
                for host in &hosts.0 {
                    for addr in resolve_passive(host, port).await? {
                        if !addrs.contains(&addr) {
                            addrs.push(addr);
                        }
                    }
                }
                bind_all(&addrs, reuse_address, reuse_port)?
            }
        };
        let make = move || -> Rc<dyn ProtocolCalls> { factory().into_protocol().1 };
        Server::new(&event_loop, sockets, Box::new(make), options)
    }
}

impl<F, P> IntoFuture for CreateServer<F>
where
    F: Fn() -> P + 'static,
    P: IntoProtocol,
{
    type Output = io::Result<Server>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.serve())
    }
}

impl<F> fmt::Debug for CreateServer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateServer").field("options", &self.options).finish_non_exhaustive()
    }
}

/// A server could not get its address. Its text names the address.
#[derive(Debug)]
pub struct BindError {
    addr: SocketAddr,
    error: io::Error,
}

impl BindError {
    /// The address that could not be had.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot bind to {}: {}", self.addr, self.error)
    }
}

/// No `source`: the text tells the cause already.
impl Error for BindError {}

impl From<BindError> for io::Error {
    fn from(error: BindError) -> Self {
        Self::new(error.error.kind(), error)
    }
}

async fn resolve_passive(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if host.is_empty() {
        let any_v4 = (Ipv4Addr::UNSPECIFIED, port).into();
        let any_v6 = (Ipv6Addr::UNSPECIFIED, port).into();
        return Ok(vec![any_v4, any_v6]);
    }
    let addrs = resolve(host, port).await?;
    if addrs.is_empty() {
        let message = format!("{host:?} has no address");
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    Ok(addrs)
}

/// Binds every address that this machine has; any other failure closes them all.
fn bind_all(
    addrs: &[SocketAddr],
    reuse_address: bool,
    reuse_port: bool,
) -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    let mut unavailable = None;
    for &addr in addrs {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(IpProtocol::TCP));
        let socket = match socket {
            Ok(socket) => socket,
            Err(error) => {
                // Most likely this machine does not speak that family.
                unavailable = Some(BindError { addr, error });
                continue;
            }
        };
        match bind(&socket, addr, reuse_address, reuse_port) {
            Ok(()) => sockets.push(socket),
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                unavailable = Some(BindError { addr, error });
            }
            Err(error) => return Err(BindError { addr, error }.into()),
        }
    }
    if !sockets.is_empty() {
        return Ok(sockets);
    }
    Err(unavailable.map_or_else(
        || io::Error::new(io::ErrorKind::AddrNotAvailable, "no address to listen on"),
        Into::into,
    ))
}

fn bind(
    socket: &Socket,
    addr: SocketAddr,
    reuse_address: bool,
    reuse_port: bool,
) -> io::Result<()> {
    if reuse_address {
        socket.set_reuse_address(true)?;
    }
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    if addr.is_ipv6() {
        // So that an IPv4 socket can have the same port.
        socket.set_only_v6(true)?;
    }
    socket.bind(&addr.into())
}

fn check_stream(socket: Socket) -> io::Result<Socket> {
    if socket.r#type()? == Type::STREAM {
        return Ok(socket);
    }
    let message = "a stream socket was expected";
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}
