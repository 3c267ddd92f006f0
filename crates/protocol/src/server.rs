//! A server: its sockets, its connections, and how it ends.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::time::Duration;

use asyncio_coro::try_finally;
use asyncio_coro::wait_list::WaitList;
use asyncio_loop::{EventLoop, ExceptionContext};
use asyncio_task::timeout;
use asyncio_transport::{ProtocolCalls, Transport};
use slab::Slab;
use socket2::{SockRef, Socket};

use crate::listener::Listener;
use crate::open_servers::OpenServers;

/// A handle on a server; clones are the same server.
///
/// The loop holds the server: dropping every handle does not close it. It ends by
/// [`close`](Self::close), or with its loop. Connections live on after `close`:
/// [`graceful`](Self::graceful) is the way to end them too.
///
/// ```
/// use asyncio_protocol::{Protocol, create_server};
/// use std::time::Duration;
///
/// struct Silent;
/// impl Protocol for Silent {}
///
/// asyncio_loop::run(async {
///     let server = create_server(|| Silent, "127.0.0.1", 0).await.unwrap();
///     assert!(server.is_serving());
///     assert_ne!(server.local_addrs()[0].port(), 0);
///     let end = server.graceful(Duration::from_secs(5)).await;
///     assert!(end.aborted == 0 && !server.is_serving());
/// })
/// .unwrap();
/// ```
#[derive(Clone)]
pub struct Server {
    inner: Rc<ServerInner>,
}

impl Server {
    pub(crate) fn new(
        event_loop: &EventLoop,
        sockets: Vec<Socket>,
        factory: Box<dyn Fn() -> Rc<dyn ProtocolCalls>>,
        options: ServerOptions,
    ) -> io::Result<Self> {
        let start_serving = options.start_serving;
        let inner = Rc::new_cyclic(|this: &Weak<ServerInner>| {
            let listen = |socket| Listener::new(this.clone(), socket);
            ServerInner {
                this: this.clone(),
                event_loop: event_loop.clone(),
                options,
                factory,
                listeners: RefCell::new(sockets.into_iter().map(listen).collect()),
                phase: Cell::new(Phase::Bound),
                clients: RefCell::default(),
                accepted: Cell::new(0),
                changed: WaitList::new(),
                serving_forever: Cell::new(false),
                open_key: Cell::new(None),
            }
        });
        inner.open_key.set(Some(OpenServers::of(event_loop).insert(inner.clone())));
        let server = Self { inner };
        if start_serving {
            server.start_serving()?;
        }
        Ok(server)
    }

    /// Listens and accepts from now on. Once is enough.
    ///
    /// # Errors
    ///
    /// Those of listening, and then the server is closed; a closed server is an error, too.
    pub fn start_serving(&self) -> io::Result<()> {
        match self.inner.phase.get() {
            Phase::Serving => return Ok(()),
            Phase::Closed => return Err(io::Error::other(ServeForeverError::Closed)),
            Phase::Bound => {}
        }
        for listener in self.inner.listeners() {
            if let Err(error) = listener.listen(&self.inner) {
                self.close(); // half a server is none
                return Err(error);
            }
        }
        self.inner.phase.set(Phase::Serving);
        Ok(())
    }

    /// Serves until the server is closed, then waits until its connections ended.
    ///
    /// Cancelling it (Ctrl-C, say) is a [`graceful`](Self::graceful) end within the server's
    /// [grace period](crate::CreateServer::grace). A newer request to cancel cuts the wait.
    ///
    /// # Cancel safety
    ///
    /// Cancelled it closes the server, as said. Dropped instead, as by `select`, it closes
    /// nothing, which is reported as a skipped cleanup.
    ///
    /// # Errors
    ///
    /// - [`ServeForeverError::Closed`]: the server was closed before.
    /// - [`ServeForeverError::AlreadyServing`]: another task awaits this already.
    pub async fn serve_forever(&self) -> Result<(), ServeForeverError> {
        let inner = &self.inner;
        if inner.serving_forever.replace(true) {
            return Err(ServeForeverError::AlreadyServing);
        }
        let _busy = Reset(&inner.serving_forever);
        if self.start_serving().is_err() {
            return Err(ServeForeverError::Closed);
        }
        let until_closed = async {
            while inner.phase.get() != Phase::Closed {
                inner.changed.wait().await;
            }
        };
        try_finally(until_closed, async || {
            if inner.phase.get() == Phase::Closed {
                self.wait_closed().await;
            } else {
                self.graceful(inner.options.grace).await;
            }
        })
        .await;
        Ok(())
    }

    /// Stops accepting, now: the listening sockets are closed. Connections stay. Once is enough.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Waits until the server is closed *and* its last connection ended. At once if that is so.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: it can be called again.
    pub async fn wait_closed(&self) {
        while !self.inner.is_over() {
            self.inner.changed.wait().await;
        }
    }

    /// Closes every connection: each flushes what it has buffered.
    pub fn close_clients(&self) {
        for client in self.inner.clients() {
            client.close();
        }
    }

    /// Aborts every connection: what is buffered is dropped.
    pub fn abort_clients(&self) {
        for client in self.inner.clients() {
            client.abort();
        }
    }

    /// Ends everything in at most `grace` (and a tick or two): stops accepting, tells each
    /// connection that no more input comes, as if its peer had sent EOF, and aborts those that
    /// did not end in time.
    ///
    /// So an answer in progress is finished, and an idle connection ends at once: a protocol's
    /// `eof_received` says `false` unless it is written otherwise, and the handler of a stream
    /// reads the end of it.
    ///
    /// # Cancel safety
    ///
    /// All are told at the first poll; nothing is aborted when this is dropped early.
    pub async fn graceful(&self, grace: Duration) -> Graceful {
        self.close();
        for client in self.inner.clients() {
            client.stop_reading();
        }
        let open = self.inner.clients.borrow().len();
        let aborted = self.end_within(grace).await;
        Graceful { closed: open.saturating_sub(aborted), aborted }
    }

    /// Waits for the connections, then aborts those that are left: how many that were.
    async fn end_within(&self, grace: Duration) -> usize {
        if timeout(grace, self.wait_closed()).await.is_ok() {
            return 0;
        }
        let late = self.inner.clients.borrow().len();
        log::warn!("{late} connections did not end within {grace:?} and are aborted: {self:?}");
        self.abort_clients();
        self.wait_closed().await;
        late
    }

    /// Whether connections are accepted.
    pub fn is_serving(&self) -> bool {
        self.inner.phase.get() == Phase::Serving
    }

    /// The addresses that the server listens on; none once it is closed.
    #[doc(alias = "sockets")]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        let listeners = self.inner.listeners();
        listeners.iter().filter_map(|listener| listener.local_addr).collect()
    }

    /// Lends each listening socket, to look at or set its options; none once it is closed.
    #[doc(alias = "sockets")]
    pub fn for_each_socket(&self, mut f: impl FnMut(SockRef<'_>)) {
        for listener in self.inner.listeners() {
            if let Some(socket) = listener.socket() {
                f(SockRef::from(&*socket));
            }
        }
    }

    /// The loop that it serves on.
    pub fn get_loop(&self) -> EventLoop {
        self.inner.event_loop.clone()
    }

    /// Counts.
    pub fn statistics(&self) -> ServerStatistics {
        ServerStatistics {
            listening: self.inner.listeners.borrow().len(),
            connections: self.inner.clients.borrow().len(),
            accepted: self.inner.accepted.get(),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("phase", &self.inner.phase.get())
            .field("local_addrs", &self.local_addrs())
            .field("connections", &self.inner.clients.borrow().len())
            .finish()
    }
}

/// How a [graceful](Server::graceful) end went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Graceful {
    /// Connections that were open and ended by themselves in time.
    pub closed: usize,
    /// Connections that had to be aborted.
    pub aborted: usize,
}

/// What a [`Server`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerStatistics {
    /// Listening sockets.
    pub listening: usize,
    /// Connections that did not end yet.
    pub connections: usize,
    /// Connections accepted so far.
    pub accepted: u64,
}

/// Why [`Server::serve_forever`] did not serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServeForeverError {
    /// The server was closed before.
    Closed,
    /// Another task awaits `serve_forever` already.
    AlreadyServing,
}

impl fmt::Display for ServeForeverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the server is closed",
            Self::AlreadyServing => "the server is already being awaited in serve_forever",
        })
    }
}

impl Error for ServeForeverError {}

/// What a server was told when it was made.
#[derive(Debug)]
pub(crate) struct ServerOptions {
    pub(crate) backlog: u32,
    pub(crate) keep_alive: bool,
    pub(crate) start_serving: bool,
    pub(crate) grace: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self { backlog: 100, keep_alive: false, start_serving: true, grace: GRACE }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Has its addresses, does not listen.
    Bound,
    Serving,
    Closed,
}

/// What the handles share.
pub(crate) struct ServerInner {
    this: Weak<Self>,
    pub(crate) event_loop: EventLoop,
    pub(crate) options: ServerOptions,
    factory: Box<dyn Fn() -> Rc<dyn ProtocolCalls>>,
    listeners: RefCell<Vec<Rc<Listener>>>,
    phase: Cell<Phase>,
    /// The connections that did not end yet. Each has a [`Client`] attached that takes it out.
    clients: RefCell<Slab<Transport>>,
    accepted: Cell<u64>,
    /// Notified when the server closes and when its last connection ends.
    changed: WaitList,
    serving_forever: Cell<bool>,
    /// The place in the loop's list of servers, which keeps an open one alive.
    open_key: Cell<Option<usize>>,
}

impl ServerInner {
    /// Sets an accepted connection up.
    pub(crate) fn connected(self: &Rc<Self>, socket: Socket, peer_addr: Option<SocketAddr>) {
        self.accepted.set(self.accepted.get() + 1);
        if self.options.keep_alive {
            let _ = socket.set_keepalive(true); // a connection without it is still one
        }
        let set_up = catch_unwind(AssertUnwindSafe(|| {
            let protocol = (self.factory)();
            let mut builder = Transport::socket(socket)?;
            if let Some(peer_addr) = peer_addr {
                builder = builder.peer_addr(peer_addr);
            }
            let client = Rc::new(Client { server: self.this.clone(), key: Cell::new(None) });
            let transport = builder.attach(client.clone()).start(&self.event_loop, protocol);
            client.key.set(Some(self.clients.borrow_mut().insert(transport)));
            Ok::<_, io::Error>(())
        }));
        let message = "error while a connection was set up";
        match set_up {
            Ok(Ok(())) => {}
            Ok(Err(error)) => log::debug!("{message}: {error}"),
            Err(payload) => {
                let context =
                    ExceptionContext::new(message).with_panic(payload as Box<dyn Any + Send>);
                self.event_loop.call_exception_handler(context);
            }
        }
    }

    pub(crate) fn close(&self) {
        if self.phase.replace(Phase::Closed) == Phase::Closed {
            return;
        }
        let listeners = self.listeners.take();
        for listener in &listeners {
            listener.close();
        }
        drop(listeners);
        let open = self.open_key.take().map(|key| OpenServers::of(&self.event_loop).remove(key));
        self.changed.notify_all();
        drop(open);
    }

    fn is_over(&self) -> bool {
        self.phase.get() == Phase::Closed && self.clients.borrow().is_empty()
    }

    fn listeners(&self) -> Vec<Rc<Listener>> {
        self.listeners.borrow().clone()
    }

    fn clients(&self) -> Vec<Transport> {
        self.clients.borrow().iter().map(|(_, client)| client.clone()).collect()
    }
}

/// Attached to each connection of a server; dropped when that ended.
struct Client {
    server: Weak<ServerInner>,
    key: Cell<Option<usize>>,
}

impl Drop for Client {
    fn drop(&mut self) {
        let (Some(server), Some(key)) = (self.server.upgrade(), self.key.take()) else { return };
        let transport = server.clients.borrow_mut().try_remove(key);
        if server.is_over() {
            server.changed.notify_all();
        }
        drop(transport);
    }
}

/// Clears a flag however the function ends.
struct Reset<'a>(&'a Cell<bool>);

impl Drop for Reset<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Long enough for an answer in progress, short enough for somebody who pressed Ctrl-C.
const GRACE: Duration = Duration::from_secs(10);
