//! `create_server` and `Server`: where it listens, and how it ends.

mod harness;

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use asyncio_coro::yield_now;
use asyncio_loop::{EventLoop, run, testing};
use asyncio_protocol::{
    BindError, Hosts, Protocol, ServeForeverError, Server, Transport, create_connection,
    create_server,
};
use asyncio_task::{create_task, timeout};
use harness::{Client, Echo, reports};

async fn echo_server() -> Server {
    create_server(Echo::default, "127.0.0.1", 0).await.unwrap()
}

async fn client_of(server: &Server) -> (Transport, Rc<Client>) {
    let port = server.local_addrs()[0].port();
    create_connection(Client::default, "127.0.0.1", port).await.unwrap()
}

async fn connections(server: &Server, count: usize) {
    while server.statistics().connections != count {
        yield_now().await;
    }
}

/// Behaviour: SRV-03, SRV-04.
#[test]
fn wait_closed_waits_for_close_and_for_the_last_connection() {
    run(async {
        let server = echo_server().await;
        let (transport, _client) = client_of(&server).await;
        connections(&server, 1).await;
        let waiting = create_task({
            let server = server.clone();
            async move { server.wait_closed().await }
        });
        let also_waiting = create_task({
            let server = server.clone();
            async move { server.wait_closed().await }
        });
        for _ in 0..5 {
            yield_now().await;
        }
        server.close();
        server.close();
        assert!(!server.is_serving() && server.local_addrs().is_empty());
        for _ in 0..5 {
            yield_now().await;
        }
        assert!(!waiting.done(), "a client is left");
        transport.close();
        waiting.await.unwrap();
        also_waiting.await.unwrap();
        server.wait_closed().await;
    })
    .unwrap();
}

/// Writes more than a peer that never reads makes room for, if it is told to.
struct Flood {
    flood: bool,
    made: Rc<Cell<usize>>,
}

impl Protocol for Flood {
    fn connection_made(&self, transport: &Transport) {
        if self.flood {
            transport.write(&vec![1; 20_000_000]);
        }
        self.made.set(self.made.get() + 1);
    }
}

async fn ticks_until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

/// Behaviour: SRV-06, SRV-07.
#[test]
fn close_clients_flushes_and_abort_clients_does_not_wait_for_a_peer_that_never_reads() {
    run(async {
        let made = Rc::new(Cell::new(0));
        let factory = {
            let made = made.clone();
            move || Flood { flood: true, made: made.clone() }
        };
        let server = create_server(factory, "127.0.0.1", 0).await.unwrap();
        let _peer = TcpStream::connect(server.local_addrs()[0]).unwrap();
        ticks_until(|| made.get() == 1).await;
        server.close();
        server.close_clients();
        for _ in 0..10 {
            yield_now().await;
        }
        assert_eq!(server.statistics().connections, 1, "unsent data holds it up");
        server.abort_clients();
        yield_now().await;
        yield_now().await;
        assert_eq!(server.statistics().connections, 0, "two ticks are enough");
        server.wait_closed().await;
    })
    .unwrap();
}

#[test]
fn graceful_ends_idle_connections_at_once_and_aborts_stuck_ones_after_the_grace_period() {
    testing::run(async {
        let made = Rc::new(Cell::new(0));
        let factory = {
            let (made, first) = (made.clone(), Cell::new(true));
            move || Flood { flood: first.replace(false), made: made.clone() }
        };
        let server = create_server(factory, "127.0.0.1", 0).await.unwrap();
        let addr = server.local_addrs()[0];
        let _stuck = TcpStream::connect(addr).unwrap();
        let _idle = TcpStream::connect(addr).unwrap();
        ticks_until(|| made.get() == 2).await;
        let end = server.graceful(Duration::from_secs(60)).await;
        assert_eq!((end.closed, end.aborted), (1, 1));
    })
    .unwrap();
}

/// Behaviour: SRV-01.
#[test]
fn serve_forever_ends_by_close_and_refuses_a_second_caller_and_a_closed_server() {
    run(async {
        let server =
            create_server(Echo::default, "127.0.0.1", 0).start_serving(false).await.unwrap();
        assert!(!server.is_serving());
        assert_ne!(server.local_addrs()[0].port(), 0, "bound already");
        let serving = create_task({
            let server = server.clone();
            async move { server.serve_forever().await }
        });
        yield_now().await;
        assert!(server.is_serving());
        assert_eq!(server.serve_forever().await, Err(ServeForeverError::AlreadyServing));
        let (transport, client) = client_of(&server).await;
        transport.write(b"served");
        assert_eq!(client.received(6).await, b"served");
        server.close();
        transport.close();
        assert_eq!(serving.await.unwrap(), Ok(()));
        assert_eq!(server.serve_forever().await, Err(ServeForeverError::Closed));
    })
    .unwrap();
}

/// Behaviour: SRV-01.
#[test]
fn a_cancelled_serve_forever_closes_the_server_and_ends_stuck_connections_after_the_grace_period() {
    testing::run(async {
        let made = Rc::new(Cell::new(0));
        let factory = {
            let made = made.clone();
            move || Flood { flood: true, made: made.clone() }
        };
        let server =
            create_server(factory, "127.0.0.1", 0).grace(Duration::from_secs(5)).await.unwrap();
        let _stuck = TcpStream::connect(server.local_addrs()[0]).unwrap();
        let serving = create_task({
            let server = server.clone();
            async move { server.serve_forever().await }
        });
        ticks_until(|| made.get() == 1).await;
        let before = server.get_loop().time();
        serving.cancel();
        assert!(serving.await.unwrap_err().is_cancelled());
        assert!(server.get_loop().time() - before >= Duration::from_secs(5));
        assert!(!server.is_serving());
        assert_eq!(server.statistics().connections, 0);
    })
    .unwrap();
}

/// Behaviour: EVT-31.
#[test]
fn several_hosts_are_listened_on_and_doubles_once() {
    run(async {
        let hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.1"];
        let server = create_server(Echo::default, hosts, 0).await.unwrap();
        let addrs = server.local_addrs();
        assert_eq!(addrs.len(), 2);
        for addr in addrs {
            let (transport, client) =
                create_connection(Client::default, addr.ip().to_string(), addr.port())
                    .await
                    .unwrap();
            transport.write(b"x");
            client.received(1).await;
        }
    })
    .unwrap();
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// Behaviour: BEV-61, EVT-41, BEV-62.
#[test]
fn all_interfaces_means_ipv4_and_ipv6_on_one_port() {
    if !has_ipv6() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    run(async {
        // A port that is free now, for both; tried again if somebody takes it in between.
        let server = loop {
            let port = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
            match create_server(Echo::default, Hosts::all_interfaces(), port).await {
                Ok(server) => break server,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse),
            }
        };
        let port = server.local_addrs()[0].port();
        assert_eq!(server.local_addrs().len(), 2);
        for host in ["127.0.0.1", "::1"] {
            let (transport, client) = create_connection(Client::default, host, port).await.unwrap();
            transport.write(b"x");
            client.received(1).await;
        }
        server.for_each_socket(|socket| {
            let addr = socket.local_addr().unwrap().as_socket().unwrap();
            assert_eq!(addr.port(), port);
            if addr.is_ipv6() {
                assert!(socket.only_v6().unwrap());
            }
        });
    })
    .unwrap();
}

/// Behaviour: BEV-64, EVT-40.
#[test]
fn a_taken_port_is_an_error_that_names_the_address() {
    run(async {
        let first = echo_server().await;
        let addr = first.local_addrs()[0];
        let error = create_server(Echo::default, "127.0.0.1", addr.port()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().starts_with(&format!("cannot bind to {addr}: ")), "{error}");
        let inner = error.get_ref().unwrap().downcast_ref::<BindError>().unwrap();
        assert_eq!(inner.addr(), addr);
    })
    .unwrap();
}

/// Behaviour: EVT-40, BEV-59.
#[test]
fn a_socket_of_the_caller_is_served_on_and_a_datagram_socket_refused() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = create_server(Echo::default, Hosts::all_interfaces(), 0)
            .socket(listener.into())
            .await
            .unwrap();
        assert_eq!(server.local_addrs(), [addr]);
        let (transport, client) = client_of(&server).await;
        transport.write(b"x");
        client.received(1).await;

        let datagram = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let refused =
            create_server(Echo::default, "", 0).socket(datagram.into()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    })
    .unwrap();
}

#[test]
fn a_server_whose_handles_were_all_dropped_goes_on() {
    run(async {
        let addr = echo_server().await.local_addrs()[0];
        let (transport, client) =
            create_connection(Client::default, "127.0.0.1", addr.port()).await.unwrap();
        transport.write(b"still there");
        client.received(11).await;
    })
    .unwrap();
}

#[test]
fn closing_the_loop_closes_the_listening_sockets() {
    let event_loop = EventLoop::new().unwrap();
    let server = event_loop.run_until_complete(echo_server()).unwrap();
    let addr: SocketAddr = server.local_addrs()[0];
    event_loop.close().unwrap();
    assert!(!server.is_serving());
    let refused = TcpStream::connect(addr).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_factory_that_panics_is_reported_and_costs_its_connection_only() {
    let event_loop = EventLoop::new().unwrap();
    let reports = reports(&event_loop);
    let result = testing::run_with(&event_loop, async {
        let first = Cell::new(true);
        let factory = move || {
            assert!(!first.replace(false), "no protocol for you");
            Echo::default()
        };
        let server = create_server(factory, "127.0.0.1", 0).await.unwrap();
        let addr = server.local_addrs()[0];
        let mut refused = TcpStream::connect(addr).unwrap();
        while server.statistics().accepted == 0 {
            yield_now().await;
        }
        assert_eq!(refused.read(&mut [0]).unwrap_or(0), 0);
        let (transport, client) = client_of(&server).await;
        transport.write(b"x");
        client.received(1).await;
    });
    result.unwrap();
    assert_eq!(reports.borrow().len(), 1);
    assert!(reports.borrow()[0].contains("no protocol for you"), "{reports:?}");
}

/// Behaviour: SEL-09.
#[test]
fn more_connections_than_one_turn_accepts_are_all_accepted() {
    run(async {
        let server =
            create_server(Echo::default, "127.0.0.1", 0).start_serving(false).await.unwrap();
        let addr = server.local_addrs()[0];
        server.for_each_socket(|socket| socket.listen(200).unwrap());
        let mut peers: Vec<_> = (0..150).map(|_| TcpStream::connect(addr).unwrap()).collect();
        server.start_serving().unwrap(); // a backlog of 100: 101 a turn
        connections(&server, 150).await;
        for peer in &mut peers {
            peer.write_all(b"x").unwrap();
        }
        let answered = timeout(Duration::from_secs(30), async {
            for peer in &mut peers {
                peer.set_nonblocking(true).unwrap();
                while peer.read(&mut [0]).is_err() {
                    yield_now().await;
                }
            }
        });
        answered.await.unwrap();
    })
    .unwrap();
}
