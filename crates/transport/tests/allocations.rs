//! What a message costs the allocator: nothing.

mod harness;

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use asyncio_counting_allocator::allocations_of;
use asyncio_transport::{ProtocolCalls, Transport};
use harness::{on_each_selector, ticks};

/// Echoes, and keeps nothing.
#[derive(Default)]
struct Echo(Cell<Option<Transport>>);

impl ProtocolCalls for Echo {
    fn connection_made(&self, transport: &Transport) {
        self.0.set(Some(transport.clone()));
    }

    fn data_received(&self, data: &[u8]) {
        let transport = self.0.take().unwrap();
        transport.write(data);
        self.0.set(Some(transport));
    }

    fn eof_received(&self) -> bool {
        false
    }

    fn connection_lost(&self, _error: Option<io::Error>) {
        self.0.take();
    }

    fn pause_writing(&self) {}

    fn resume_writing(&self) {}
}

#[test]
fn an_echoed_message_allocates_nothing() {
    on_each_selector(|event_loop| {
        let (ours, mut peer) = UnixStream::pair().unwrap();
        let builder = Transport::socket(ours.into()).unwrap();
        builder.start(event_loop, Rc::new(Echo::default()));
        let mut answer = [0; 4];
        let mut echo = || {
            peer.write_all(b"ping").unwrap();
            ticks(event_loop, 2);
            peer.read_exact(&mut answer).unwrap();
        };
        (0..10).for_each(|_| echo()); // buffers reach their size
        assert_eq!(allocations_of(|| (0..1_000).for_each(|_| echo())), 0);
    });
}
