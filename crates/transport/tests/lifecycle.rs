//! How a connection starts, and every way in which it can end.

mod harness;

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use asyncio_loop::EventLoop;
use asyncio_transport::{ProtocolCalls, ReadInto, Transport};
use harness::{
    Call, Recorder, on_each_selector, pattern, read_available, reports, start, started, ticks,
    until,
};

#[test]
fn connection_made_comes_before_data_and_before_started() {
    on_each_selector(|event_loop| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"already here").unwrap();
        let protocol = Recorder::new();
        let seen_at_start = Rc::new(Cell::new(None));
        let builder = Transport::socket(ours.into()).unwrap().started({
            let (protocol, seen) = (protocol.clone(), seen_at_start.clone());
            move || seen.set(Some(protocol.calls().len()))
        });
        builder.start(event_loop, protocol.clone());
        assert_eq!(protocol.calls(), [], "nothing is called inline");
        ticks(event_loop, 1);
        assert_eq!(protocol.calls(), [Call::Made]);
        assert_eq!(seen_at_start.get(), Some(1));
        ticks(event_loop, 1);
        assert_eq!(protocol.received(), b"already here");
    });
}

/// Ends the connection somehow.
type Ending = fn(&Transport, UnixStream);

/// Behaviour: XTR-11, SEL-10, SEL-12.
#[test]
fn connection_lost_comes_exactly_once_whatever_ends_the_connection() {
    let endings: [(&str, Ending); 10] = [
        ("close", |transport, _| transport.close()),
        ("abort", |transport, _| transport.abort()),
        ("close twice", |transport, _| {
            transport.close();
            transport.close();
        }),
        ("close and abort", |transport, _| {
            transport.close();
            transport.abort();
        }),
        ("abort and close with unsent data", |transport, _peer| {
            transport.write(&pattern(1_000_000));
            transport.abort();
            transport.close();
        }),
        ("close with unsent data, then abort", |transport, _peer| {
            transport.write(&pattern(1_000_000));
            transport.close();
            transport.abort();
        }),
        ("EOF", |_, peer| peer.shutdown(Shutdown::Write).unwrap()),
        ("peer gone", |_, peer| drop(peer)),
        ("write to a peer that is gone", |transport, peer| {
            drop(peer);
            transport.write(b"x");
            transport.close();
        }),
        ("unsent data and a peer that goes", |transport, peer| {
            transport.write(&pattern(1_000_000));
            transport.close();
            drop(peer);
        }),
    ];
    for when in ["at once", "when started", "in connection_made", "in data_received"] {
        for (what, end) in endings {
            on_each_selector(|event_loop| {
                let cell = Rc::new(Cell::new(None));
                let ending = cell.clone();
                let protocol = Recorder::with_hook(move |transport, call| {
                    let now = match call {
                        Call::Made => when == "in connection_made",
                        Call::Data(_) => when == "in data_received",
                        _ => false,
                    };
                    let peer = if now { ending.take() } else { None };
                    if let Some(peer) = peer {
                        end(transport, peer);
                    }
                });
                let (transport, mut peer) = start(event_loop, &protocol);
                peer.write_all(b"data").unwrap();
                match when {
                    "at once" => end(&transport, peer),
                    "when started" => {
                        ticks(event_loop, 2);
                        end(&transport, peer);
                    }
                    _ => cell.set(Some(peer)),
                }
                until(event_loop, || protocol.is_lost());
                ticks(event_loop, 5);
                let mut calls = protocol.calls();
                // A write before the start may well pause.
                calls.retain(|call| !matches!(call, Call::Pause | Call::Resume));
                let lost = calls.iter().filter(|call| matches!(call, Call::Lost(_))).count();
                assert_eq!(lost, 1, "{what} {when}: {calls:?}");
                assert_eq!(calls[0], Call::Made, "{what} {when}: {calls:?}");
                assert!(matches!(calls.last(), Some(Call::Lost(_))), "{what} {when}: {calls:?}");
                assert!(transport.get_protocol().is_none(), "{what} {when}");
                assert!(transport.with_socket(|_| ()).is_none(), "{what} {when}");
            });
        }
    }
}

#[test]
fn a_reset_is_an_error_and_keeps_other_connections_alone() {
    on_each_selector(|event_loop| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, peer_addr) = listener.accept().unwrap();
        let protocol = Recorder::new();
        let transport = Transport::socket(ours.into()).unwrap().start(event_loop, protocol.clone());
        assert_eq!(transport.peer_addr(), Some(peer_addr));
        assert_eq!(transport.local_addr(), listener.local_addr().ok());
        assert_eq!(transport.with_socket(|socket| socket.tcp_nodelay().unwrap()), Some(true));
        let other = Recorder::new();
        let (_other_transport, _other_peer) = started(event_loop, &other);
        let socket = socket2::SockRef::from(&peer);
        socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(peer);
        until(event_loop, || protocol.is_lost());
        assert_eq!(
            protocol.calls(),
            [Call::Made, Call::Lost(Some(io::ErrorKind::ConnectionReset))]
        );
        assert_eq!(other.calls(), [Call::Made]);
    });
}

#[test]
fn dropping_every_handle_does_not_close_the_connection() {
    on_each_selector(|event_loop| {
        let protocol = Recorder::new();
        let (transport, mut peer) = started(event_loop, &protocol);
        protocol.transport.take();
        drop(transport);
        peer.write_all(b"still there?").unwrap();
        until(event_loop, || protocol.received() == b"still there?");
        drop(peer);
        until(event_loop, || protocol.is_lost());
    });
}

#[test]
fn closing_the_loop_closes_the_socket_and_lets_the_protocol_go() {
    for start_first in [false, true] {
        let event_loop = EventLoop::new().unwrap();
        let protocol = Recorder::new();
        let (transport, mut peer) = start(&event_loop, &protocol);
        if start_first {
            ticks(&event_loop, 2);
            assert!(protocol.transport.borrow().is_some(), "they hold each other");
            transport.write(&pattern(1_000_000));
        }
        event_loop.close().unwrap();
        assert!(transport.is_closing());
        assert!(transport.get_protocol().is_none());
        assert_eq!(Rc::strong_count(&protocol), 1);
        read_available(&mut peer); // EOF, not WouldBlock
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        assert!(!protocol.is_lost(), "as in asyncio, nothing is called once the loop is closed");
        transport.write(b"into the void");
        transport.close();
        transport.abort();
    }
}

#[test]
fn a_transport_on_a_closed_loop_closes_its_socket_at_once() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.close().unwrap();
    let protocol = Recorder::new();
    let (transport, mut peer) = start(&event_loop, &protocol);
    assert!(transport.is_closing());
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    assert_eq!(protocol.calls(), []);
}

/// Panics in one of its methods.
struct Panics {
    method: &'static str,
    lost: Cell<u32>,
}

impl Panics {
    fn maybe(&self, method: &str) {
        assert!(self.method != method, "a mistake in {method}");
    }
}

impl ProtocolCalls for Panics {
    fn connection_made(&self, transport: &Transport) {
        self.maybe("connection_made");
        transport.set_write_buffer_limits(Some(100_000), None).unwrap();
        if self.method == "pause_writing" || self.method == "resume_writing" {
            transport.write(&pattern(3_000_000));
        }
    }

    fn data_received(&self, _data: &[u8]) {
        self.maybe("data_received");
    }

    fn get_buffer(&self) -> ReadInto {
        self.maybe("get_buffer");
        match self.method {
            "buffer_updated" => ReadInto::Buffer(vec![0; 100]),
            _ => ReadInto::LoopBuffer,
        }
    }

    fn buffer_updated(&self, _buffer: Vec<u8>, _nbytes: usize) {
        self.maybe("buffer_updated");
    }

    fn eof_received(&self) -> bool {
        self.maybe("eof_received");
        true
    }

    fn connection_lost(&self, error: Option<io::Error>) {
        self.lost.set(self.lost.get() + 1);
        if let Some(error) = error {
            assert_eq!(error.to_string(), format!("protocol.{}() panicked", self.method));
        }
        self.maybe("connection_lost");
    }

    fn pause_writing(&self) {
        self.maybe("pause_writing");
    }

    fn resume_writing(&self) {
        self.maybe("resume_writing");
    }
}

/// Behaviour: SEL-21, SEL-36.
#[test]
fn a_panic_in_any_callback_is_reported_and_ends_that_connection_only() {
    let methods = [
        "connection_made",
        "data_received",
        "get_buffer",
        "buffer_updated",
        "eof_received",
        "connection_lost",
        "pause_writing",
        "resume_writing",
    ];
    for method in methods {
        on_each_selector(|event_loop| {
            let reports = reports(event_loop);
            let other = Recorder::new();
            let (_other_transport, mut other_peer) = started(event_loop, &other);
            let protocol = Rc::new(Panics { method, lost: Cell::new(0) });
            let (ours, mut peer) = UnixStream::pair().unwrap();
            peer.set_nonblocking(true).unwrap();
            let transport =
                Transport::socket(ours.into()).unwrap().start(event_loop, protocol.clone());
            peer.write_all(b"data").unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
            if method == "connection_lost" {
                transport.close();
            }
            until(event_loop, || {
                read_available(&peer);
                protocol.lost.get() > 0
            });
            ticks(event_loop, 3);
            assert_eq!(protocol.lost.get(), 1, "{method}");
            assert_eq!(reports.borrow().len(), 1, "{method}: {reports:?}");
            assert!(reports.borrow()[0].contains(method), "{method}: {reports:?}");
            other_peer.write_all(b"unharmed").unwrap();
            until(event_loop, || other.received() == b"unharmed");
        });
    }
}

/// Says when it is dropped.
struct OnDrop(Rc<Cell<bool>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[test]
fn what_is_attached_lives_exactly_as_long_as_the_connection() {
    on_each_selector(|event_loop| {
        let dropped = Rc::new(Cell::new(false));
        let dropped_at_loss = Rc::new(Cell::new(None));
        let protocol = Recorder::with_hook({
            let (dropped, at_loss) = (dropped.clone(), dropped_at_loss.clone());
            move |_, call| {
                if matches!(call, Call::Lost(_)) {
                    at_loss.set(Some(dropped.get()));
                }
            }
        });
        let (ours, _peer) = UnixStream::pair().unwrap();
        let builder = Transport::socket(ours.into()).unwrap().attach(OnDrop(dropped.clone()));
        let transport = builder.start(event_loop, protocol.clone());
        ticks(event_loop, 2);
        transport.close();
        assert!(!dropped.get());
        ticks(event_loop, 1);
        assert_eq!(dropped_at_loss.get(), Some(false), "after connection_lost");
        assert!(dropped.get());
    });
}
