//! The connection itself, driven by readiness: its state, its start and its end.
//!
//! ```text
//!            start()          close(), EOF, abort(), error          buffer empty, or forced
//!   (new) ───1────▶ open ───────────2──────────────▶ closing ──────────────3────────▶ lost
//!                                                                                      │ 4
//!                                                                                      ▼
//!                                                                                    ended
//! ```
//! 1. three handles in the ready queue: `connection_made`, register and read, `started`
//! 2. nothing is read any more; what is buffered still goes out, and may be added to
//! 3. nothing goes out any more, writes are counted and dropped; `connection_lost` is in the ready
//!    queue, or about to be called: this edge is taken once, and so is `connection_lost`
//! 4. the protocol was told; socket, protocol and attachment are let go

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::task::Waker;

use asyncio_loop::{EventLoop, IoHandler, Ready, Registration};

use crate::builder::TransportBuilder;
use crate::endpoint::Endpoint;
use crate::flow_control::FlowControl;
use crate::live::LiveTransports;
use crate::protocol_calls::ProtocolCalls;
use crate::report::report_panic;
use crate::transport::Transport;
use crate::write_buffer::WriteBuffer;

/// A transport over a non-blocking file descriptor.
pub(crate) struct SelectorTransport {
    pub(crate) this: Weak<Self>,
    pub(crate) event_loop: EventLoop,
    /// `None` once the connection ended. An `Rc`, so that a call on the socket holds no borrow.
    endpoint: RefCell<Option<Rc<Endpoint>>>,
    /// Declared after `endpoint` in spirit only: `end` drops it first, as the loop demands.
    pub(crate) registration: RefCell<Option<Registration>>,
    /// `None` once the connection ended. Cloned out of its cell before each call.
    protocol: RefCell<Option<Rc<dyn ProtocolCalls>>>,
    attachment: RefCell<Option<Box<dyn Any>>>,
    /// The place in the loop's list of live transports.
    live_key: Cell<Option<usize>>,
    local_addr: Option<SocketAddr>,
    peer_addr: Option<SocketAddr>,

    pub(crate) closing: Cell<bool>,
    pub(crate) lost: Cell<bool>,
    pub(crate) reading: ReadState,
    pub(crate) writing: WriteState,
}

/// What the reading half remembers.
#[derive(Default)]
pub(crate) struct ReadState {
    pub(crate) paused: Cell<bool>,
    pub(crate) eof: Cell<bool>,
    /// The kernel may have something for us of which no new event will tell.
    pub(crate) ready: Cell<bool>,
    /// A turn in the next tick was asked for.
    pub(crate) queued: Cell<bool>,
    /// The protocol said that it would read by itself before that turn.
    pub(crate) left: Cell<bool>,
    /// The protocol was replaced since it was asked for a buffer.
    pub(crate) handed_over: Cell<bool>,
    /// A buffer of the protocol's into which nothing was read.
    pub(crate) spare: Cell<Option<Vec<u8>>>,
}

/// What the writing half remembers.
#[derive(Default)]
pub(crate) struct WriteState {
    pub(crate) buffer: RefCell<WriteBuffer>,
    pub(crate) flow: FlowControl,
    pub(crate) eof: Cell<bool>,
    /// Something that was written will never go out.
    pub(crate) cut: Cell<bool>,
    /// Writes dropped because the connection was lost.
    pub(crate) dropped: Cell<u32>,
    pub(crate) flush_waiters: RefCell<Vec<Waker>>,
}

impl SelectorTransport {
    /// Edge 1.
    pub(crate) fn start(
        event_loop: &EventLoop,
        parts: TransportBuilder,
        protocol: Rc<dyn ProtocolCalls>,
    ) -> Transport {
        let TransportBuilder { endpoint, local_addr, peer_addr, attachment, started } = parts;
        let this = Rc::new_cyclic(|this| Self {
            this: this.clone(),
            event_loop: event_loop.clone(),
            endpoint: RefCell::new(Some(Rc::new(endpoint))),
            registration: RefCell::new(None),
            protocol: RefCell::new(Some(protocol)),
            attachment: RefCell::new(attachment),
            live_key: Cell::new(None),
            local_addr,
            peer_addr,
            closing: Cell::new(false),
            lost: Cell::new(false),
            reading: ReadState::default(),
            writing: WriteState::default(),
        });
        let transport = Transport::new(this.clone());
        this.live_key.set(Some(LiveTransports::of(event_loop).insert(&this)));

        let made = transport.clone();
        let connection_made = event_loop.call_soon({
            let this = this.clone();
            move || {
                this.call("connection_made", |protocol| protocol.connection_made(&made));
            }
        });
        if connection_made.cancelled() {
            // The loop is closed: nobody will ever call us.
            this.let_go();
            return transport;
        }
        event_loop.call_soon(move || this.start_reading());
        if let Some(started) = started {
            event_loop.call_soon(started);
        }
        transport
    }

    fn start_reading(self: Rc<Self>) {
        let Some(endpoint) = self.endpoint() else { return };
        if self.lost.get() {
            return;
        }
        match self.event_loop.register(endpoint.as_ref().as_fd(), self.clone()) {
            Ok(registration) => *self.registration.borrow_mut() = Some(registration),
            Err(error) => self.fatal_error(error),
        }
    }

    /// Edge 2: closes once what is buffered went out.
    pub(crate) fn close(&self) {
        if self.closing.replace(true) {
            return;
        }
        if self.writing.buffer.borrow().is_empty() {
            self.lose(None);
        }
    }

    /// Edges 2 and 3 in one: closes without flushing.
    pub(crate) fn force_close(&self, error: Option<io::Error>) {
        if self.lost.get() {
            return;
        }
        self.closing.set(true);
        self.discard_buffer();
        self.writing.cut.set(self.writing.cut.get() || error.is_some());
        self.lose(error);
    }

    /// An error from which the connection does not recover.
    pub(crate) fn fatal_error(&self, error: io::Error) {
        log::debug!("{self:?}: fatal error: {error}");
        self.force_close(Some(error));
    }

    /// Edge 3, with `connection_lost` in the next tick.
    fn lose(&self, error: Option<io::Error>) {
        if self.lost.replace(true) {
            return;
        }
        if let Some(this) = self.this.upgrade() {
            let event_loop = self.event_loop.clone();
            event_loop.call_soon(move || this.end(error));
        }
    }

    /// Edge 3 and 4 in one: the buffer of a closing transport is empty.
    pub(crate) fn lose_now(&self) {
        if !self.lost.replace(true) {
            self.end(None);
        }
    }

    /// Edge 4.
    fn end(&self, error: Option<io::Error>) {
        let registration = self.registration.borrow_mut().take();
        drop(registration);
        self.call("connection_lost", |protocol| protocol.connection_lost(error));
        self.let_go();
    }

    /// Lets everything go that is not ours, without a word to anybody: the end of edge 4, and
    /// what the close of the loop does to a live transport.
    pub(crate) fn let_go(&self) {
        self.closing.set(true);
        self.lost.set(true);
        if let Some(key) = self.live_key.take() {
            LiveTransports::of(&self.event_loop).remove(key);
        }
        let registration = self.registration.borrow_mut().take();
        drop(registration);
        let endpoint = self.endpoint.borrow_mut().take();
        drop(endpoint);
        self.discard_buffer();
        let protocol = self.protocol.borrow_mut().take();
        let attachment = self.attachment.borrow_mut().take();
        let dropped = catch_unwind(AssertUnwindSafe(move || {
            drop(attachment);
            drop(protocol);
        }));
        if let Err(payload) = dropped {
            report_panic(self, "drop", payload);
        }
        self.wake_flush_waiters();
    }

    /// Calls the protocol, outside any borrow. A panic is reported and ends this connection.
    pub(crate) fn call<R>(
        &self,
        method: &'static str,
        call: impl FnOnce(&dyn ProtocolCalls) -> R,
    ) -> Option<R> {
        let protocol = self.protocol()?;
        let called = catch_unwind(AssertUnwindSafe(move || {
            let result = call(&*protocol);
            drop(protocol); // it may be the last one, when the call set another protocol
            result
        }));
        match called {
            Ok(result) => Some(result),
            Err(payload) => {
                report_panic(self, method, payload);
                let message = format!("protocol.{method}() panicked");
                self.force_close(Some(io::Error::other(message)));
                None
            }
        }
    }

    pub(crate) fn set_protocol(&self, protocol: Rc<dyn ProtocolCalls>) {
        if self.protocol.borrow().is_none() {
            return; // ended: there is nothing left to hand over
        }
        let previous = self.protocol.replace(Some(protocol));
        let spare = self.reading.spare.take();
        self.reading.handed_over.set(true);
        drop((previous, spare));
    }

    pub(crate) fn protocol(&self) -> Option<Rc<dyn ProtocolCalls>> {
        self.protocol.borrow().clone()
    }

    pub(crate) fn endpoint(&self) -> Option<Rc<Endpoint>> {
        self.endpoint.borrow().clone()
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer_addr
    }

    pub(crate) fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.endpoint.borrow().is_some(), self.closing.get()) {
            (false, _) => "closed",
            (true, true) => "closing",
            (true, false) => "open",
        };
        f.debug_struct("Transport")
            .field("state", &state)
            .field("local_addr", &self.local_addr)
            .field("peer_addr", &self.peer_addr)
            .field("reading", &self.is_reading())
            .field("write_buffer_size", &self.write_buffer_size())
            .finish()
    }
}

impl IoHandler for SelectorTransport {
    fn on_ready(self: Rc<Self>, ready: Ready) {
        let Some(endpoint) = self.endpoint() else { return };
        let over = ready.intersects(Ready::HUP | Ready::ERROR);
        if over && !endpoint.can_read() {
            return self.reader_went();
        }
        if over || ready.is_readable() {
            self.reading.queued.set(false);
            // What was left to the protocol is read already; an event since then would have come
            // before that read, in this tick's poll, or will come by an entry of its own.
            let read = self.reading.left.replace(false) && !self.reading.ready.get();
            if over || !read {
                self.reading.ready.set(true);
                self.read_once(&endpoint);
            }
        }
        if over || ready.is_writable() {
            self.write_ready(&endpoint);
        }
    }
}

impl fmt::Debug for SelectorTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f)
    }
}
