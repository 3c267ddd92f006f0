//! Opening connections.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use asyncio_executor::getaddrinfo;
use asyncio_loop::{EventLoop, get_running_loop, sock_connect};
use asyncio_transport::{Transport, TransportBuilder};
use socket2::{Domain, Protocol as IpProtocol, Socket, Type};

use crate::connect_error::ConnectError;
use crate::happy_eyeballs::{interleave, staggered_race};
use crate::into_protocol::IntoProtocol;

/// Connects to `host` (a name or an address) and `port` by TCP. Await what this returns, after
/// setting options on it.
///
/// `factory` is called once the socket is connected. The result is the transport and the
/// protocol, after its `connection_made`.
///
/// Names are looked up on a thread of their own. Several addresses are tried as RFC 8305
/// ("Happy Eyeballs") says: families alternate, and the next attempt starts when one fails, or
/// after [250 ms](CreateConnection::happy_eyeballs_delay).
///
/// # Cancel safety
///
/// Dropping or cancelling it closes every socket it opened. A name lookup goes on in its thread,
/// and its result is discarded.
///
/// # Errors
///
/// [`ConnectError`], which names each address that was tried.
///
/// # Examples
///
/// See [`Protocol`](crate::Protocol).
pub fn create_connection<F, P>(
    factory: F,
    host: impl Into<String>,
    port: u16,
) -> CreateConnection<F>
where
    F: FnOnce() -> P,
    P: IntoProtocol,
{
    CreateConnection {
        factory,
        host: host.into(),
        port,
        happy_eyeballs_delay: Some(HAPPY_EYEBALLS_DELAY),
        local_addr: None,
    }
}

/// A connection to be; see [`create_connection`]. Await it.
#[must_use = "nothing happens until it is awaited"]
pub struct CreateConnection<F> {
    factory: F,
    host: String,
    port: u16,
    happy_eyeballs_delay: Option<Duration>,
    local_addr: Option<SocketAddr>,
}

impl<F> CreateConnection<F> {
    /// How long an attempt may take before the next address is tried beside it. `None`: one
    /// address after the other, in the order in which the lookup gave them. Default: 250 ms.
    pub fn happy_eyeballs_delay(mut self, delay: impl Into<Option<Duration>>) -> Self {
        self.happy_eyeballs_delay = delay.into();
        self
    }

    /// Binds the socket to `addr` first. Addresses of another family than this fail.
    pub fn local_addr(mut self, addr: SocketAddr) -> Self {
        self.local_addr = Some(addr);
        self
    }

    async fn connect<P>(self) -> Result<(Transport, Rc<P::Protocol>), ConnectError>
    where
        F: FnOnce() -> P,
        P: IntoProtocol,
    {
        let Self { factory, host, port, happy_eyeballs_delay, local_addr } = self;
        let target = || format!("{host}:{port}");
        let event_loop = get_running_loop()
            .map_err(|error| ConnectError::before(target(), io::Error::other(error)))?;
        let mut addrs =
            resolve(&host, port).await.map_err(|error| ConnectError::before(target(), error))?;
        if happy_eyeballs_delay.is_some() {
            addrs = interleave(addrs);
        }
        let (peer_addr, socket) = staggered_race(addrs, happy_eyeballs_delay, |addr| {
            Box::pin(connect_socket(addr, local_addr))
        })
        .await
        .map_err(|attempts| ConnectError::attempts(target(), attempts))?;
        let builder = Transport::socket(socket)
            .map_err(|error| ConnectError::before(target(), error))?
            .peer_addr(peer_addr);
        Ok(start(&event_loop, builder, factory()).await)
    }
}

impl<F, P> IntoFuture for CreateConnection<F>
where
    F: FnOnce() -> P + 'static,
    P: IntoProtocol,
{
    type Output = Result<(Transport, Rc<P::Protocol>), ConnectError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.connect())
    }
}

impl<F> fmt::Debug for CreateConnection<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateConnection")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("happy_eyeballs_delay", &self.happy_eyeballs_delay)
            .field("local_addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}

/// Makes a connection of a connected stream socket, TCP or Unix, that came from elsewhere.
///
/// # Cancel safety
///
/// Dropping or cancelling it closes the socket.
///
/// # Errors
///
/// No running loop, or a socket that cannot be made non-blocking.
pub async fn connect_accepted_socket<P: IntoProtocol>(
    factory: impl FnOnce() -> P,
    socket: Socket,
) -> io::Result<(Transport, Rc<P::Protocol>)> {
    let event_loop = get_running_loop().map_err(io::Error::other)?;
    let builder = Transport::socket(socket)?;
    Ok(start(&event_loop, builder, factory()).await)
}

/// Makes a connection of the reading end of a pipe (or FIFO, or character device), as
/// [`Transport::read_pipe`] says.
///
/// # Cancel safety
///
/// Dropping or cancelling it closes the pipe.
///
/// # Errors
///
/// No running loop, or another kind of file.
pub async fn connect_read_pipe<P: IntoProtocol>(
    factory: impl FnOnce() -> P,
    pipe: OwnedFd,
) -> io::Result<(Transport, Rc<P::Protocol>)> {
    let event_loop = get_running_loop().map_err(io::Error::other)?;
    let builder = Transport::read_pipe(pipe)?;
    Ok(start(&event_loop, builder, factory()).await)
}

/// Makes a connection of the writing end of a pipe (or FIFO, or character device), as
/// [`Transport::write_pipe`] says.
///
/// # Cancel safety
///
/// Dropping or cancelling it closes the pipe.
///
/// # Errors
///
/// No running loop, or another kind of file.
pub async fn connect_write_pipe<P: IntoProtocol>(
    factory: impl FnOnce() -> P,
    pipe: OwnedFd,
) -> io::Result<(Transport, Rc<P::Protocol>)> {
    let event_loop = get_running_loop().map_err(io::Error::other)?;
    let builder = Transport::write_pipe(pipe)?;
    Ok(start(&event_loop, builder, factory()).await)
}

/// Starts a transport and waits until its `connection_made` was called and reading began.
async fn start<P: IntoProtocol>(
    event_loop: &EventLoop,
    builder: TransportBuilder,
    protocol: P,
) -> (Transport, Rc<P::Protocol>) {
    let (protocol, calls) = protocol.into_protocol();
    let started = Rc::new(Started::default());
    let builder = builder.started({
        let started = started.clone();
        move || started.set()
    });
    let unowned = CloseOnDrop(Some(builder.start(event_loop, calls)));
    started.wait().await;
    (unowned.release(), protocol)
}

/// Looks `host` up, unless it is an address already.
pub(crate) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match host.parse::<IpAddr>() {
        Ok(addr) => Ok(vec![SocketAddr::new(addr, port)]),
        Err(_) => getaddrinfo(host, port).await,
    }
}

async fn connect_socket(addr: SocketAddr, local_addr: Option<SocketAddr>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(IpProtocol::TCP))?;
    if let Some(local) = local_addr {
        if local.is_ipv4() != addr.is_ipv4() {
            let message = format!("the local address {local} is of another family");
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, message));
        }
        socket.bind(&local.into()).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot bind to {local}: {error}"))
        })?;
    }
    sock_connect(&socket, &addr.into()).await?;
    Ok(socket)
}

/// The factory's waiter: set once.
#[derive(Default)]
struct Started {
    set: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Started {
    fn set(&self) {
        self.set.set(true);
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn wait(&self) {
        poll_fn(|cx| {
            if self.set.get() {
                return Poll::Ready(());
            }
            let previous = self.waker.borrow_mut().take();
            let waker = match previous {
                Some(waker) if waker.will_wake(cx.waker()) => waker,
                _ => cx.waker().clone(),
            };
            self.waker.borrow_mut().replace(waker);
            Poll::Pending
        })
        .await;
    }
}

/// Closes a connection that nobody was given.
struct CloseOnDrop(Option<Transport>);

impl CloseOnDrop {
    fn release(mut self) -> Transport {
        self.0.take().expect("only `release` takes it")
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Some(transport) = mem::take(&mut self.0) {
            transport.close();
        }
    }
}

/// What RFC 8305 recommends.
const HAPPY_EYEBALLS_DELAY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    /// Behaviour: BEV-43.
    #[test]
    fn a_dead_first_address_costs_nothing_but_its_refusal() {
        asyncio_loop::run(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let alive = listener.local_addr().unwrap();
            let dead = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 99), alive.port()));
            let race = |addrs| {
                let attempt = |addr| Box::pin(connect_socket(addr, None)) as _;
                staggered_race(addrs, Some(HAPPY_EYEBALLS_DELAY), attempt)
            };
            let (winner, socket): (_, Socket) = race(vec![dead, alive]).await.unwrap();
            assert_eq!(winner, alive);
            assert_eq!(socket.peer_addr().unwrap().as_socket(), Some(alive));
            let failed = race(vec![dead, dead]).await.unwrap_err();
            assert_eq!(failed.len(), 2);
            let error = ConnectError::attempts("nowhere:1".into(), failed);
            assert_eq!(error.to_string().matches(&dead.to_string()).count(), 2, "{error}");
        })
        .unwrap();
    }
}
