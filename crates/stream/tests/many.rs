//! A thousand streams at once.

use asyncio_loop::run;
use asyncio_stream::{StreamReader, StreamWriter, open_connection, start_server};
use asyncio_task::gather;
use futures_lite::future::zip;
use futures_lite::io::AsyncWriteExt;
use rustix::process::{Resource, getrlimit, setrlimit};

/// As many descriptors as the system lets us have.
fn raise_descriptor_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    loop {
        let data = reader.read(30_000).await?;
        if data.is_empty() {
            return Ok(());
        }
        writer.write(&data);
        writer.drain().await?;
    }
}

#[test]
fn a_thousand_streams_echo_every_byte() {
    let connections = if raise_descriptor_limit() > 2_200 { 1_000 } else { 400 };
    run(async move {
        let server = start_server(echo, "127.0.0.1", 0).backlog(1_000).await.unwrap();
        let port = server.local_addrs()[0].port();
        let clients = gather((0..connections).map(|n: usize| async move {
            let (mut reader, mut writer) = open_connection("127.0.0.1", port).await.unwrap();
            let sent: Vec<u8> = (0..1 + n * n / 4).map(|at| ((at + n * 7) % 251) as u8).collect();
            let writing = async {
                writer.write_all(&sent).await.unwrap();
                writer.write_eof();
            };
            let ((), received) = zip(writing, reader.read_to_eof()).await;
            assert!(received.unwrap() == sent, "stream {n}");
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
