//! A thousand connections at once.

mod harness;

use asyncio_loop::run;
use asyncio_protocol::{create_connection, create_server};
use asyncio_task::gather;
use harness::{Client, Echo, pattern};
use rustix::process::{Resource, getrlimit, setrlimit};

/// As many descriptors as the system lets us have.
fn raise_descriptor_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[test]
fn a_thousand_connections_echo_every_byte() {
    let connections = if raise_descriptor_limit() > 2_200 { 1_000 } else { 400 };
    run(async move {
        let server = create_server(Echo::default, "127.0.0.1", 0).backlog(1_000).await.unwrap();
        let port = server.local_addrs()[0].port();
        let clients = gather((0..connections).map(|n| async move {
            let connecting = create_connection(Client::default, "127.0.0.1", port);
            let (transport, client) = connecting.await.unwrap();
            // Sizes from one byte to far above the water marks.
            let sent = pattern(n, 1 + n * n / 4);
            for piece in sent.chunks(10_007) {
                transport.write(piece);
            }
            assert!(client.received(sent.len()).await == sent, "connection {n}");
            transport.close();
            client.lost().await;
            assert!(client.error.borrow().is_none());
            sent.len()
        }));
        let total: usize = clients.await.unwrap().into_iter().sum();
        assert!(total > 1_000_000);
        server.close();
        server.wait_closed().await;
        assert_eq!(server.statistics().accepted, connections as u64);
    })
    .unwrap();
}
