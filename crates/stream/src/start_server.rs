//! Serving streams.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use asyncio_loop::{ExceptionContext, get_running_loop};
use asyncio_protocol::{CreateServer, Hosts, Server, create_server};
use asyncio_task::create_task;
use socket2::Socket;

use crate::open_connection::DEFAULT_LIMIT;
use crate::reader::StreamReader;
use crate::stream_protocol::StreamProtocol;
use crate::writer::StreamWriter;

/// Listens by TCP on `hosts` and `port` (0: a free one, for each address), and runs `handler` in
/// a task of its own for each connection. Await what this returns, after setting options on it.
///
/// The connection ends when the handler drops its writer, so at the latest when it returns, is
/// cancelled, or panics; what it wrote still goes out. An error that it returns, and a panic, go
/// to the loop's exception handler.
///
/// # Cancel safety
///
/// Dropping or cancelling it closes every socket it opened.
///
/// # Errors
///
/// As [`create_server`].
///
/// # Examples
///
/// See [`StreamWriter`].
pub fn start_server<F, T>(handler: F, hosts: impl Into<Hosts>, port: u16) -> StartServer
where
    F: AsyncFn(StreamReader, StreamWriter) -> T + 'static,
    T: HandlerOutput,
{
    let handler = Rc::new(handler);
    let limit = Rc::new(Cell::new(DEFAULT_LIMIT));
    let factory: Factory = Box::new({
        let limit = limit.clone();
        move || {
            let handler = handler.clone();
            StreamProtocol::with_handler(limit.get(), move |reader, writer| {
                create_task(async move {
                    if let Err(error) = handler(reader, writer).await.into_result() {
                        report(error);
                    }
                });
            })
        }
    });
    StartServer { create: create_server(factory, hosts, port), limit }
}

type Factory = Box<dyn Fn() -> StreamProtocol>;

/// A server to be; see [`start_server`]. Await it.
#[must_use = "nothing happens until it is awaited"]
pub struct StartServer {
    create: CreateServer<Factory>,
    limit: Rc<Cell<usize>>,
}

impl StartServer {
    /// The readers' limit, in bytes: the longest line, and half of what is buffered before the
    /// transport stops reading. Default: 64 KiB.
    ///
    /// # Panics
    ///
    /// If `limit` is 0.
    pub fn limit(self, limit: usize) -> Self {
        assert!(limit > 0, "a stream's limit cannot be 0");
        self.limit.set(limit);
        self
    }

    /// As [`CreateServer::socket`].
    #[doc(alias = "sock")]
    pub fn socket(self, socket: Socket) -> Self {
        self.with(|create| create.socket(socket))
    }

    /// As [`CreateServer::backlog`].
    pub fn backlog(self, backlog: u32) -> Self {
        self.with(|create| create.backlog(backlog))
    }

    /// As [`CreateServer::reuse_address`].
    pub fn reuse_address(self, reuse: bool) -> Self {
        self.with(|create| create.reuse_address(reuse))
    }

    /// As [`CreateServer::reuse_port`].
    pub fn reuse_port(self, reuse: bool) -> Self {
        self.with(|create| create.reuse_port(reuse))
    }

    /// As [`CreateServer::keep_alive`].
    pub fn keep_alive(self, keep_alive: bool) -> Self {
        self.with(|create| create.keep_alive(keep_alive))
    }

    /// As [`CreateServer::start_serving`].
    pub fn start_serving(self, start: bool) -> Self {
        self.with(|create| create.start_serving(start))
    }

    /// As [`CreateServer::grace`].
    pub fn grace(self, grace: Duration) -> Self {
        self.with(|create| create.grace(grace))
    }

    fn with(mut self, set: impl FnOnce(CreateServer<Factory>) -> CreateServer<Factory>) -> Self {
        self.create = set(self.create);
        self
    }
}

impl IntoFuture for StartServer {
    type Output = io::Result<Server>;
    type IntoFuture = Pin<Box<dyn Future<Output = io::Result<Server>>>>;

    fn into_future(self) -> Self::IntoFuture {
        self.create.into_future()
    }
}

impl fmt::Debug for StartServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartServer")
            .field("create", &self.create)
            .field("limit", &self.limit.get())
            .finish()
    }
}

/// What a connection's handler may return: nothing, or a `Result` whose error is reported.
pub trait HandlerOutput: 'static {
    /// The error to report.
    fn into_result(self) -> Result<(), Box<dyn Error>>;
}

impl HandlerOutput for () {
    fn into_result(self) -> Result<(), Box<dyn Error>> {
        Ok(())
    }
}

impl<E: Into<Box<dyn Error>> + 'static> HandlerOutput for Result<(), E> {
    fn into_result(self) -> Result<(), Box<dyn Error>> {
        self.map_err(Into::into)
    }
}

fn report(error: Box<dyn Error>) {
    let context = ExceptionContext::new("unhandled error in client_connected_cb").with_error(error);
    if let Ok(event_loop) = get_running_loop() {
        event_loop.call_exception_handler(context);
    }
}
