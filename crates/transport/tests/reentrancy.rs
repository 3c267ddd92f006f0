//! Anything may be called from inside anything: at random, and the rules hold.

mod harness;

use std::cell::{Cell, RefCell};
use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use asyncio_transport::{ProtocolCalls, ReadInto, Transport};
use harness::{on_each_selector, reports, ticks, until};

/// Xorshift: the same numbers in every run.
struct Numbers(Cell<u64>);

impl Numbers {
    fn below(&self, bound: u64) -> u64 {
        let mut state = self.0.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.set(state);
        (state >> 11) % bound
    }
}

/// One side of a connection, which outlives the protocols that it hands on to.
struct Side {
    numbers: Rc<Numbers>,
    transport: RefCell<Option<Transport>>,
    written: Cell<usize>,
    received: Cell<usize>,
    ended_writing: Cell<bool>,
    inside: Cell<u32>,
    made: Cell<u32>,
    eof: Cell<u32>,
    lost: Cell<u32>,
    paused: Cell<bool>,
    reads: Cell<bool>,
}

/// What is in the stream at this place.
fn byte_at(index: usize) -> u8 {
    (index % 251) as u8
}

struct Wild {
    side: Rc<Side>,
    /// Whether it reads into buffers of its own.
    buffered: bool,
}

impl Side {
    fn new(numbers: &Rc<Numbers>) -> Rc<Self> {
        Rc::new(Self {
            numbers: numbers.clone(),
            transport: RefCell::default(),
            written: Cell::default(),
            received: Cell::default(),
            ended_writing: Cell::default(),
            inside: Cell::default(),
            made: Cell::default(),
            eof: Cell::default(),
            lost: Cell::default(),
            paused: Cell::default(),
            reads: Cell::default(),
        })
    }

    fn next_bytes(&self, len: usize) -> Vec<u8> {
        let start = self.written.replace(self.written.get() + len);
        (start..start + len).map(byte_at).collect()
    }

    fn act(self: &Rc<Self>) {
        let transport = self.transport.borrow().clone();
        let Some(transport) = transport.filter(|_| self.inside.get() < 3) else { return };
        self.inside.set(self.inside.get() + 1);
        let numbers = self.numbers.clone();
        for _ in 0..2 {
            match numbers.below(24) {
                0 if numbers.below(4) == 0 => transport.close(),
                1 if numbers.below(8) == 0 => transport.abort(),
                2 if numbers.below(4) == 0 => {
                    transport.write_eof();
                    self.ended_writing.set(true);
                }
                3 if numbers.below(4) == 0 => transport.stop_reading(),
                4 => transport.pause_reading(),
                5..=7 => transport.resume_reading(),
                8..=11 if !self.ended_writing.get() => {
                    let largest = [10, 2_000, 200_000][numbers.below(3) as usize];
                    let len = numbers.below(largest) as usize;
                    transport.write(&self.next_bytes(len));
                }
                12 if !self.ended_writing.get() => {
                    let pieces = [10, 0, 70_000, 1].map(|len| self.next_bytes(len));
                    transport.writelines(pieces);
                }
                13 => {
                    let high = numbers.below(100_000) as usize;
                    transport.set_write_buffer_limits(Some(high), None).unwrap();
                }
                14 | 15 => {
                    let buffered = numbers.below(2) == 0;
                    transport.set_protocol(Rc::new(Wild { side: self.clone(), buffered }));
                }
                16 if numbers.below(8) == 0 => {
                    self.transport.take();
                }
                17 => {
                    let _ = (format!("{transport:?}"), transport.get_protocol());
                    transport.with_socket(|_| ());
                }
                _ => {}
            }
        }
        self.inside.set(self.inside.get() - 1);
    }

    fn receive(self: &Rc<Self>, data: &[u8]) {
        assert!(!data.is_empty());
        assert!(!self.reads.replace(true), "one read at a time");
        assert_eq!((self.made.get(), self.eof.get(), self.lost.get()), (1, 0, 0));
        let start = self.received.replace(self.received.get() + data.len());
        let sent = (start..).map(byte_at);
        assert!(data.iter().copied().eq(sent.take(data.len())), "from byte {start} on");
        self.act();
        self.reads.set(false);
    }
}

impl ProtocolCalls for Wild {
    fn connection_made(&self, transport: &Transport) {
        self.side.made.set(self.side.made.get() + 1);
        self.side.transport.replace(Some(transport.clone()));
        self.side.act();
    }

    fn data_received(&self, data: &[u8]) {
        assert!(!self.buffered);
        self.side.receive(data);
    }

    fn get_buffer(&self) -> ReadInto {
        self.side.act();
        if !self.buffered {
            return ReadInto::LoopBuffer;
        }
        ReadInto::Buffer(vec![0; 1 + self.side.numbers.below(5_000) as usize])
    }

    fn buffer_updated(&self, buffer: Vec<u8>, nbytes: usize) {
        assert!(self.buffered);
        self.side.receive(&buffer[..nbytes]);
    }

    fn eof_received(&self) -> bool {
        self.side.eof.set(self.side.eof.get() + 1);
        assert_eq!((self.side.made.get(), self.side.lost.get()), (1, 0));
        self.side.act();
        self.side.numbers.below(2) == 0
    }

    fn connection_lost(&self, _error: Option<io::Error>) {
        self.side.lost.set(self.side.lost.get() + 1);
        self.side.act();
        self.side.transport.take();
    }

    fn pause_writing(&self) {
        assert!(!self.side.paused.replace(true));
        self.side.act();
    }

    fn resume_writing(&self) {
        assert!(self.side.paused.replace(false));
        self.side.act();
    }
}

#[test]
fn any_method_called_inside_any_callback_keeps_the_rules_and_the_bytes_in_order() {
    on_each_selector(|event_loop| {
        let reports = reports(event_loop);
        let numbers = Rc::new(Numbers(Cell::new(0x9E37_79B9_7F4A_7C15)));
        let (mut bytes, mut halves) = (0, 0);
        for _ in 0..40 {
            let (left, right) = UnixStream::pair().unwrap();
            let sides = [left, right].map(|socket| {
                let side = Side::new(&numbers);
                let buffered = numbers.below(2) == 0;
                let protocol = Rc::new(Wild { side: side.clone(), buffered });
                let builder = Transport::socket(socket.into()).unwrap();
                (builder.start(event_loop, protocol), side)
            });
            for _ in 0..30 {
                sides.iter().for_each(|(_, side)| side.act());
                ticks(event_loop, 1);
            }
            sides.iter().for_each(|(transport, _)| transport.abort());
            until(event_loop, || sides.iter().all(|(_, side)| side.lost.get() > 0));
            ticks(event_loop, 2);
            for (index, (_, side)) in sides.iter().enumerate() {
                assert_eq!((side.made.get(), side.lost.get()), (1, 1));
                assert!(side.eof.get() <= 1);
                assert!(side.received.get() <= sides[1 - index].1.written.get());
                bytes += side.received.get();
                halves += side.eof.get();
            }
        }
        assert_eq!(*reports.borrow(), [""; 0]);
        assert!(bytes > 1_000_000 && halves > 5, "{bytes} bytes, {halves} ends");
    });
}
