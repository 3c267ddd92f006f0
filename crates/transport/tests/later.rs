//! A protocol that reads by itself, when it was told that there is something.

mod harness;

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use asyncio_loop::{EventLoop, get_running_loop, testing};
use asyncio_transport::{ProtocolCalls, ReadInto, Transport};
use harness::{on_each_selector, ticks, until};

/// Says "later" so many times, and reads in a callback of its own if it is to keep its word.
struct ByItself {
    this: std::rc::Weak<Self>,
    left: Cell<u32>,
    keeps_word: bool,
    room: usize,
    asked: Cell<u32>,
    transport: RefCell<Option<Transport>>,
    read: RefCell<Vec<u8>>,
    received: RefCell<Vec<u8>>,
    eof: Cell<bool>,
    lost: Cell<bool>,
}

impl ByItself {
    fn start(
        event_loop: &EventLoop,
        left: u32,
        keeps_word: bool,
        room: usize,
    ) -> (Rc<Self>, UnixStream) {
        let protocol = Rc::new_cyclic(|this| Self {
            this: this.clone(),
            left: Cell::new(left),
            keeps_word,
            room,
            asked: Cell::new(0),
            transport: RefCell::default(),
            read: RefCell::default(),
            received: RefCell::default(),
            eof: Cell::new(false),
            lost: Cell::new(false),
        });
        let (ours, peer) = UnixStream::pair().unwrap();
        Transport::socket(ours.into()).unwrap().start(event_loop, protocol.clone());
        ticks(event_loop, 2);
        (protocol, peer)
    }

    fn try_read(&self) -> Option<usize> {
        let transport = self.transport.borrow().clone().unwrap();
        let mut buffer = vec![0; self.room];
        let count = transport.try_read(&mut buffer)?;
        self.read.borrow_mut().extend_from_slice(&buffer[..count]);
        Some(count)
    }
}

impl ProtocolCalls for ByItself {
    fn connection_made(&self, transport: &Transport) {
        self.transport.replace(Some(transport.clone()));
    }

    fn get_buffer(&self) -> ReadInto {
        self.asked.set(self.asked.get() + 1);
        let Some(left) = self.left.get().checked_sub(1) else { return ReadInto::LoopBuffer };
        self.left.set(left);
        if self.keeps_word {
            let this = self.this.upgrade().unwrap();
            get_running_loop().unwrap().call_soon(move || {
                this.try_read();
            });
        }
        ReadInto::Later
    }

    fn data_received(&self, data: &[u8]) {
        self.received.borrow_mut().extend_from_slice(data);
    }

    fn eof_received(&self) -> bool {
        self.eof.set(true);
        false
    }

    fn connection_lost(&self, error: Option<io::Error>) {
        assert!(error.is_none());
        self.lost.set(true);
    }

    fn pause_writing(&self) {}

    fn resume_writing(&self) {}
}

#[test]
fn a_protocol_that_reads_by_itself_is_asked_once_an_arrival_and_gets_no_data() {
    // The portable selector does not tell of the peer's end: only a read that finds nothing does.
    for (event_loop, asked) in [(EventLoop::new(), 1), (testing::portable_loop(), 2)] {
        let event_loop = event_loop.unwrap();
        let (protocol, mut peer) = ByItself::start(&event_loop, u32::MAX, true, 100);
        for round in 1..=3 {
            peer.write_all(b"ping").unwrap();
            until(&event_loop, || protocol.read.borrow().len() == 4 * round);
            ticks(&event_loop, 3);
        }
        assert!(protocol.received.borrow().is_empty());
        let limit = if cfg!(target_os = "linux") { 3 * asked } else { 6 };
        assert!(protocol.asked.get() <= limit, "asked {} times", protocol.asked.get());
        event_loop.close().unwrap();
    }
}

#[test]
fn a_small_buffer_is_filled_until_nothing_is_left_and_the_end_is_seen() {
    on_each_selector(|event_loop| {
        let (protocol, mut peer) = ByItself::start(event_loop, u32::MAX, true, 3);
        peer.write_all(b"longer than the buffer").unwrap();
        drop(peer);
        until(event_loop, || protocol.lost.get());
        assert_eq!(*protocol.read.borrow(), b"longer than the buffer");
        assert!(protocol.eof.get() && protocol.received.borrow().is_empty());
    });
}

#[test]
fn who_said_later_and_did_not_read_is_asked_again_in_the_next_tick() {
    on_each_selector(|event_loop| {
        let (protocol, mut peer) = ByItself::start(event_loop, 2, false, 100);
        peer.write_all(b"data").unwrap();
        let mut ticked = 0;
        until(event_loop, || {
            ticked += u32::from(protocol.asked.get() > 0);
            protocol.asked.get() == 3
        });
        assert_eq!(ticked, 3, "once a tick");
        assert_eq!(*protocol.received.borrow(), b"data");
    });
}

#[test]
fn there_is_nothing_to_read_before_anything_came_or_while_paused_or_after_the_end() {
    on_each_selector(|event_loop| {
        let (protocol, mut peer) = ByItself::start(event_loop, u32::MAX, false, 100);
        assert_eq!(protocol.try_read(), None);
        peer.write_all(b"data").unwrap();
        until(event_loop, || protocol.asked.get() > 0);
        let transport = protocol.transport.borrow().clone().unwrap();
        transport.pause_reading();
        assert_eq!(protocol.try_read(), None);
        transport.resume_reading();
        assert_eq!(transport.try_read(&mut []), None, "a read into nothing is no end");
        let seen = transport.try_read_with(2, <[u8]>::to_vec);
        assert_eq!(seen.unwrap(), b"da");
        assert_eq!(protocol.try_read(), Some(2));
        transport.abort();
        assert_eq!(protocol.try_read(), None);
        until(event_loop, || protocol.lost.get());
        assert_eq!(protocol.try_read(), None);
    });
}
