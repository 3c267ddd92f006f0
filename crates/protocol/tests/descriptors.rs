//! A server that runs out of file descriptors. Alone in its file, because the limit is the process's.

mod harness;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Duration;

use asyncio_coro::yield_now;
use asyncio_loop::testing;
use asyncio_protocol::create_server;
use harness::{Echo, reports};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Behaviour: BEV-65, XTR-16.
#[test]
fn out_of_descriptors_the_server_reports_rests_and_loses_no_connection() {
    let (event_loop, clock) = testing::virtual_loop(testing::ClockMode::Frozen).unwrap();
    let reports = reports(&event_loop);
    testing::run_with(&event_loop, async {
        let server = create_server(Echo::default, "127.0.0.1", 0).await.unwrap();
        let mut peer = TcpStream::connect(server.local_addrs()[0]).unwrap();
        peer.write_all(b"let me in").unwrap();
        peer.set_nonblocking(true).unwrap();
        let before = getrlimit(Resource::Nofile);
        let mut limit = before;
        limit.current = Some(peer.as_raw_fd() as u64 + 1);
        setrlimit(Resource::Nofile, limit).unwrap();
        while reports.borrow().is_empty() {
            yield_now().await;
        }
        assert!(reports.borrow()[0].contains("out of system resources"), "{reports:?}");
        let error = create_server(Echo::default, "127.0.0.1", 0).await.unwrap_err().to_string();
        assert!(error.contains("127.0.0.1:0") && error.contains("Too many open files"), "{error}");
        setrlimit(Resource::Nofile, before).unwrap();
        for _ in 0..20 {
            yield_now().await;
        }
        assert_eq!(server.statistics().accepted, 0, "it rests");
        clock.advance(Duration::from_secs(1));
        let mut answer = [0; 9];
        while peer.read(&mut answer).is_err() {
            yield_now().await;
        }
        assert_eq!(&answer, b"let me in");
        assert_eq!(reports.borrow().len(), 1, "{reports:?}");
    })
    .unwrap();
}
