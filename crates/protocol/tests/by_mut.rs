//! `ByMut`: what arises inside a callback comes right after it.

mod harness;

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use asyncio_coro::yield_now;
use asyncio_loop::run;
use asyncio_protocol::{ByMut, ProtocolMut, Transport, connect_accepted_socket};

type Log = Rc<RefCell<Vec<&'static str>>>;

struct Nested {
    log: Log,
    transport: Option<Transport>,
}

impl ProtocolMut for Nested {
    fn connection_made(&mut self, transport: &Transport) {
        self.transport = Some(transport.clone());
    }

    fn data_received(&mut self, _data: &[u8]) {
        self.log.borrow_mut().push("data begins");
        let transport = self.transport.as_ref().unwrap();
        transport.write(&vec![1; 5_000_000]); // pauses inside
        self.log.borrow_mut().push("data ends");
    }

    fn eof_received(&mut self) -> bool {
        self.log.borrow_mut().push("eof");
        false
    }

    fn pause_writing(&mut self) {
        self.log.borrow_mut().push("pause");
    }

    fn resume_writing(&mut self) {
        self.log.borrow_mut().push("resume");
    }

    fn connection_lost(&mut self, error: Option<io::Error>) {
        assert!(error.is_none());
        self.log.borrow_mut().push("lost");
    }
}

#[test]
fn pause_writing_that_arises_in_data_received_comes_right_after_it() {
    run(async {
        let log = Log::default();
        let (ours, mut peer) = UnixStream::pair().unwrap();
        peer.set_nonblocking(true).unwrap();
        let protocol = ByMut::new(Nested { log: log.clone(), transport: None });
        let (_transport, protocol) =
            connect_accepted_socket(|| protocol, ours.into()).await.unwrap();
        peer.write_all(b"go").unwrap();
        let mut buffer = vec![0; 1 << 20];
        let mut received = 0;
        while received < 5_000_000 {
            received += peer.read(&mut buffer).unwrap_or(0);
            yield_now().await;
        }
        drop(peer);
        while !log.borrow().contains(&"lost") {
            yield_now().await;
        }
        let expected = ["data begins", "data ends", "pause", "resume", "eof", "lost"];
        assert_eq!(*log.borrow(), expected);
        protocol.with(|nested| assert!(nested.transport.is_some()));
    })
    .unwrap();
}

#[test]
fn what_arises_inside_with_comes_right_after_it() {
    let log = Log::default();
    let protocol = ByMut::new(Nested { log: log.clone(), transport: None });
    protocol.with(|_| {
        asyncio_protocol::Protocol::pause_writing(&protocol);
        log.borrow_mut().push("inside");
        asyncio_protocol::Protocol::resume_writing(&protocol);
    });
    assert_eq!(*log.borrow(), ["inside", "pause", "resume"]);
}
