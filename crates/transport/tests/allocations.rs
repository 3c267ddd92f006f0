//! What a message costs the allocator: nothing.
#![expect(unsafe_code, reason = "a global allocator that counts is an unsafe trait")]

mod harness;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use asyncio_transport::{ProtocolCalls, Transport};
use harness::{on_each_selector, ticks};

struct Counting;

thread_local! {
    /// Of this thread only: the test harness has threads of its own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise, handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, handed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

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
        let before = ALLOCATIONS.get();
        (0..1_000).for_each(|_| echo());
        assert_eq!(ALLOCATIONS.get() - before, 0);
    });
}
