//! Reading into the protocol's own buffers.

mod harness;

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use asyncio_transport::{ProtocolCalls, ReadInto, Transport};
use harness::{Call, Recorder, on_each_selector, pattern, reports, started, ticks, until};

/// Reads by buffers of its own of one size, which it uses again.
struct OwnBuffer {
    size: usize,
    spare: RefCell<Option<Vec<u8>>>,
    asked: Cell<u32>,
    received: RefCell<Vec<u8>>,
    lost: Cell<Option<Option<io::ErrorKind>>>,
}

impl OwnBuffer {
    fn new(size: usize) -> Rc<Self> {
        Rc::new(Self {
            size,
            spare: RefCell::default(),
            asked: Cell::new(0),
            received: RefCell::default(),
            lost: Cell::new(None),
        })
    }
}

impl ProtocolCalls for OwnBuffer {
    fn connection_made(&self, _transport: &Transport) {}

    fn data_received(&self, _data: &[u8]) {
        unreachable!("it gives buffers");
    }

    fn get_buffer(&self) -> ReadInto {
        self.asked.set(self.asked.get() + 1);
        ReadInto::Buffer(self.spare.take().unwrap_or_else(|| vec![0; self.size]))
    }

    fn buffer_updated(&self, buffer: Vec<u8>, nbytes: usize) {
        assert_eq!(buffer.len(), self.size);
        self.received.borrow_mut().extend_from_slice(&buffer[..nbytes]);
        self.spare.replace(Some(buffer));
    }

    fn eof_received(&self) -> bool {
        false
    }

    fn connection_lost(&self, error: Option<io::Error>) {
        self.lost.set(Some(error.map(|error| error.kind())));
    }

    fn pause_writing(&self) {}

    fn resume_writing(&self) {}
}

/// Behaviour: SEL-35, SEL-38.
#[test]
fn bytes_go_into_the_protocols_buffers_also_small_ones() {
    for size in [1, 7, 4096] {
        on_each_selector(|event_loop| {
            let protocol = OwnBuffer::new(size);
            let (ours, mut peer) = UnixStream::pair().unwrap();
            let sent = pattern(9 * 1024);
            peer.write_all(&sent).unwrap();
            drop(peer);
            Transport::socket(ours.into()).unwrap().start(event_loop, protocol.clone());
            until(event_loop, || protocol.lost.get().is_some());
            assert!(*protocol.received.borrow() == sent);
            assert_eq!(protocol.lost.get(), Some(None));
        });
    }
}

#[test]
fn a_buffer_into_which_nothing_was_read_is_kept_for_the_next_read() {
    // Only the portable selector makes a read that finds nothing after a short one.
    let event_loop = asyncio_loop::testing::portable_loop().unwrap();
    let protocol = OwnBuffer::new(100);
    let (ours, mut peer) = UnixStream::pair().unwrap();
    Transport::socket(ours.into()).unwrap().start(&event_loop, protocol.clone());
    ticks(&event_loop, 2);
    for round in 1..=3 {
        peer.write_all(b"ping").unwrap();
        ticks(&event_loop, 4);
        assert_eq!(protocol.received.borrow().len(), 4 * round);
    }
    assert_eq!(protocol.asked.get(), 4, "one a round, and the one that waits");
    event_loop.close().unwrap();
}

/// Behaviour: SEL-36.
#[test]
fn an_empty_buffer_is_fatal() {
    on_each_selector(|event_loop| {
        let reports = reports(event_loop);
        let protocol = OwnBuffer::new(0);
        let (ours, mut peer) = UnixStream::pair().unwrap();
        peer.write_all(b"x").unwrap();
        Transport::socket(ours.into()).unwrap().start(event_loop, protocol.clone());
        until(event_loop, || protocol.lost.get().is_some());
        assert_eq!(protocol.lost.get(), Some(Some(io::ErrorKind::Other)));
        assert!(reports.borrow()[0].contains("empty buffer"));
    });
}

/// Behaviour: SEL-37.
#[test]
fn set_protocol_switches_between_slices_and_buffers() {
    on_each_selector(|event_loop| {
        let slices = Recorder::new();
        let buffers = OwnBuffer::new(64);
        let (transport, mut peer) = started(event_loop, &slices);
        peer.write_all(b"slices").unwrap();
        ticks(event_loop, 2);
        transport.set_protocol(buffers.clone());
        peer.write_all(b"buffers").unwrap();
        ticks(event_loop, 3);
        transport.set_protocol(slices.clone());
        peer.write_all(b" again").unwrap();
        ticks(event_loop, 3);
        assert_eq!(slices.received(), b"slices again");
        assert_eq!(*buffers.received.borrow(), b"buffers");
        assert_eq!(slices.count(|call| *call == Call::Made), 1);
    });
}

/// Does one thing inside its first `get_buffer`.
struct Meddler {
    inner: Rc<OwnBuffer>,
    transport: RefCell<Option<Transport>>,
    inside: Cell<Option<Box<dyn FnOnce(&Transport)>>>,
}

impl ProtocolCalls for Meddler {
    fn connection_made(&self, transport: &Transport) {
        self.transport.replace(Some(transport.clone()));
    }

    fn data_received(&self, _data: &[u8]) {
        unreachable!("it gives buffers");
    }

    fn get_buffer(&self) -> ReadInto {
        if let Some(inside) = self.inside.take() {
            inside(self.transport.borrow().as_ref().unwrap());
        }
        self.inner.get_buffer()
    }

    fn buffer_updated(&self, buffer: Vec<u8>, nbytes: usize) {
        self.inner.buffer_updated(buffer, nbytes);
    }

    fn eof_received(&self) -> bool {
        false
    }

    fn connection_lost(&self, error: Option<io::Error>) {
        self.transport.take();
        self.inner.connection_lost(error);
    }

    fn pause_writing(&self) {}

    fn resume_writing(&self) {}
}

fn meddle(inside: impl FnOnce(&Transport) + 'static) -> Rc<Meddler> {
    Rc::new(Meddler {
        inner: OwnBuffer::new(64),
        transport: RefCell::new(None),
        inside: Cell::new(Some(Box::new(inside))),
    })
}

#[test]
fn what_get_buffer_does_to_its_transport_holds_for_the_read_it_was_asked_for() {
    on_each_selector(|event_loop| {
        let start = |protocol: &Rc<Meddler>| {
            let (ours, mut peer) = UnixStream::pair().unwrap();
            peer.write_all(b"data").unwrap();
            Transport::socket(ours.into()).unwrap().start(event_loop, protocol.clone());
            ticks(event_loop, 5);
            peer
        };
        for end in [Transport::close, Transport::abort] {
            let protocol = meddle(end);
            let _peer = start(&protocol);
            assert_eq!(protocol.inner.lost.get(), Some(None));
            assert!(protocol.inner.received.borrow().is_empty(), "nothing arrives after the end");
        }

        let protocol = meddle(Transport::pause_reading);
        let _peer = start(&protocol);
        assert!(protocol.inner.received.borrow().is_empty(), "nothing arrives while paused");
        let transport = protocol.transport.borrow().clone().unwrap();
        transport.resume_reading();
        ticks(event_loop, 3);
        assert_eq!(*protocol.inner.received.borrow(), b"data");

        let slices = Recorder::new();
        let successor = slices.clone();
        let protocol = meddle(move |transport| transport.set_protocol(successor));
        let _peer = start(&protocol);
        assert!(protocol.inner.received.borrow().is_empty());
        assert_eq!(slices.received(), b"data", "the other protocol gets the bytes");
    });
}
