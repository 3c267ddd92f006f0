//! `create_connection`: addresses, Happy Eyeballs, errors, and what a cancelled one leaves behind.

mod harness;

use std::cell::Cell;
use std::future::{Future, IntoFuture};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use asyncio_cancel_everywhere::on_loop;
use asyncio_coro::yield_now;
use asyncio_loop::{run, testing};
use asyncio_protocol::{
    Buffered, BufferedProtocol, ConnectError, create_connection, create_server,
};
use asyncio_task::timeout;
use socket2::{Domain, Socket, Type};

use harness::{Client, Echo, pattern};

/// A port of 127.0.0.1 on which nobody listens.
fn dead_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Behaviour: EVT-25, EVT-32.
#[test]
fn both_sides_know_the_addresses_and_the_bytes_arrive() {
    run(async {
        let server = create_server(Echo::default, "127.0.0.1", 0).await.unwrap();
        let addr = server.local_addrs()[0];
        let (transport, client) =
            create_connection(Client::default, "127.0.0.1", addr.port()).await.unwrap();
        assert_eq!(client.transport.get(), Some(&transport), "connection_made came before");
        assert_eq!(transport.peer_addr(), Some(addr));
        let local = transport.with_socket(|socket| socket.local_addr().unwrap().as_socket());
        assert_eq!(transport.local_addr(), local.unwrap());
        assert_eq!(transport.with_socket(|socket| socket.tcp_nodelay().unwrap()), Some(true));
        transport.write(b"hello");
        assert_eq!(client.received(5).await, b"hello");
        transport.close();
        client.lost().await;
        assert!(client.error.borrow().is_none());
    })
    .unwrap();
}

#[test]
fn a_name_is_looked_up() {
    run(async {
        let server = create_server(Echo::default, "localhost", 0).await.unwrap();
        let port = server.local_addrs()[0].port();
        let (transport, client) =
            create_connection(Client::default, "localhost", port).await.unwrap();
        transport.write(b"by name");
        assert_eq!(client.received(7).await, b"by name");
    })
    .unwrap();
}

/// Behaviour: BEV-43, BEV-49.
#[test]
fn the_error_names_every_address_that_was_tried() {
    run(async {
        let port = dead_port();
        let connected = create_connection(Client::default, "127.0.0.1", port).await;
        let error: ConnectError = connected.map(drop).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(error.tried()[0].0, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let text = error.to_string();
        let told = format!("cannot connect to 127.0.0.1:{port}: Connection refused");
        assert!(text.starts_with(&told) && !text.contains(';'), "an address is told once: {text}");

        let connected = create_connection(Client::default, "localhost", port).await;
        let named = connected.map(drop).unwrap_err().to_string();
        let told = format!("cannot connect to localhost:{port}: ");
        assert!(
            named.starts_with(&told) && named.contains(&format!("127.0.0.1:{port}: ")),
            "{named}"
        );
        let error = io::Error::from(error);
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(error.to_string(), text);
    })
    .unwrap();
}

#[test]
fn a_name_that_does_not_exist_is_an_error_with_no_attempt() {
    run(async {
        let connected = create_connection(Client::default, "no-such-host.invalid", 1).await;
        let error = connected.map(drop).unwrap_err();
        assert!(error.tried().is_empty());
        assert!(error.to_string().contains("no-such-host.invalid:1"), "{error}");
    })
    .unwrap();
}

#[test]
fn a_local_address_is_bound_and_one_of_another_family_is_an_error() {
    run(async {
        let server = create_server(Echo::default, "127.0.0.1", 0).await.unwrap();
        let port = server.local_addrs()[0].port();
        let (transport, _client) = create_connection(Client::default, "127.0.0.1", port)
            .local_addr("127.0.0.2:0".parse().unwrap())
            .await
            .unwrap();
        assert_eq!(transport.local_addr().unwrap().ip(), Ipv4Addr::new(127, 0, 0, 2));
        let other = create_connection(Client::default, "127.0.0.1", port)
            .local_addr("[::1]:0".parse().unwrap())
            .await;
        assert_eq!(other.map(drop).unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    })
    .unwrap();
}

#[test]
fn without_a_loop_it_is_an_error_and_no_panic() {
    let connecting = create_connection(Client::default, "127.0.0.1", 1);
    let mut connecting = pin!(connecting.into_future());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let Poll::Ready(Err(error)) = connecting.as_mut().poll(&mut cx) else { panic!() };
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[test]
fn a_connection_cancelled_at_any_point_leaves_no_socket_behind() {
    let made = Rc::new(Cell::new(0));
    let points = on_loop(
        async || {
            let server = create_server(Echo::default, "127.0.0.1", 0).await.unwrap();
            let port = server.local_addrs()[0].port();
            let made = made.clone();
            let factory = move || {
                made.set(made.get() + 1);
                Client::default()
            };
            (server, create_connection(factory, "127.0.0.1", port).into_future())
        },
        async |server, case| {
            if let Some(connected) = case.output {
                connected.unwrap().0.close();
            }
            server.close();
            let over = timeout(Duration::from_secs(30), server.wait_closed()).await;
            over.expect("no connection is left");
        },
    );
    assert!(points > 0, "it waits for the start at least");
    assert!(made.get() > 1, "one of the cancelled ones had its protocol already");
}

/// A connection that waits for a peer whose backlog is full.
#[test]
fn a_connection_that_hangs_ends_with_its_timeout() {
    testing::run(async {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let addr = listener.local_addr().unwrap().as_socket().unwrap();
        let _fills_the_backlog = std::net::TcpStream::connect(addr).unwrap();
        let connecting = create_connection(Client::default, "127.0.0.1", addr.port());
        let connected = timeout(Duration::from_secs(60), connecting.into_future()).await;
        assert!(connected.is_err(), "virtual time went by, and nobody accepted");
        // Whoever waits in the backlog now is the one that filled it, and nobody after it.
        drop(listener.accept().unwrap());
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    })
    .unwrap();
}

/// Behaviour: BUF-01.
#[test]
fn a_buffered_protocol_receives_into_its_own_buffers() {
    #[derive(Default)]
    struct Small(std::cell::RefCell<Vec<u8>>);
    impl BufferedProtocol for Small {
        fn get_buffer(&self) -> Vec<u8> {
            vec![0; 17]
        }
        fn buffer_updated(&self, buffer: Vec<u8>, nbytes: usize) {
            self.0.borrow_mut().extend_from_slice(&buffer[..nbytes]);
        }
    }
    run(async {
        let server = create_server(Echo::default, "127.0.0.1", 0).await.unwrap();
        let port = server.local_addrs()[0].port();
        let (transport, small) =
            create_connection(|| Buffered(Small::default()), "127.0.0.1", port).await.unwrap();
        let sent = pattern(3, 9 * 1024);
        transport.write(&sent);
        while small.0.borrow().len() < sent.len() {
            yield_now().await;
        }
        assert!(*small.0.borrow() == sent);
    })
    .unwrap();
}
