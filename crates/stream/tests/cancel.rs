//! What a cancelled wait leaves behind: nothing lost, nothing stuck.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use asyncio_coro::yield_now;
use asyncio_executor::to_thread;
use asyncio_loop::{run, testing};
use asyncio_stream::{
    StreamReader, StreamWriter, create_subprocess_exec, open_connection, start_server,
};
use asyncio_task::{create_task, timeout};
use futures_lite::future::poll_once;
use futures_lite::io::{AsyncReadExt, AsyncWriteExt};

async fn with_plain_peer() -> (StreamReader, StreamWriter, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (reader, writer) = open_connection("127.0.0.1", port).await.unwrap();
    (reader, writer, listener.accept().unwrap().0)
}

fn read_all(mut peer: TcpStream) -> impl Future<Output = Vec<u8>> {
    to_thread(move || {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        all
    })
}

#[test]
fn a_cancelled_drain_loses_no_byte_and_the_next_one_works() {
    run(async {
        let (_reader, mut writer, peer) = with_plain_peer().await;
        let sent: Vec<u8> = (0..8_000_000u32).map(|n| (n % 239) as u8).collect();
        writer.write(&sent);
        for _ in 0..3 {
            assert!(poll_once(writer.drain()).await.is_none(), "the peer does not read");
        }
        let reading = create_task(read_all(peer));
        writer.drain().await.unwrap();
        writer.close();
        assert!(reading.await.unwrap() == sent);
    })
    .unwrap();
}

#[test]
fn a_cancelled_write_of_the_trait_took_all_of_a_chunk_or_nothing() {
    run(async {
        let (_reader, mut writer, peer) = with_plain_peer().await;
        let mut taken = Vec::new();
        let mut chunk = 0u8;
        loop {
            let data = vec![chunk; 50_000];
            match poll_once(AsyncWriteExt::write(&mut writer, &data)).await {
                Some(count) => taken.extend_from_slice(&data[..count.unwrap()]),
                None => break, // dropped while it waits
            }
            chunk = chunk.wrapping_add(1);
        }
        let reading = create_task(read_all(peer));
        AsyncWriteExt::close(&mut writer).await.unwrap();
        drop(writer);
        assert!(reading.await.unwrap() == taken);
    })
    .unwrap();
}

#[test]
fn a_cancelled_wait_closed_can_be_called_again() {
    run(async {
        let (_reader, mut writer, peer) = with_plain_peer().await;
        assert!(poll_once(writer.wait_closed()).await.is_none());
        writer.close();
        writer.wait_closed().await.unwrap();
        drop(peer);

        let server = start_server(async |_, _| {}, "127.0.0.1", 0).await.unwrap();
        assert!(poll_once(server.wait_closed()).await.is_none());
        server.close();
        server.wait_closed().await;
    })
    .unwrap();
}

#[test]
fn a_read_that_timed_out_leaves_its_bytes_for_the_next() {
    testing::run(async {
        let talk = async |mut reader: StreamReader, mut writer: StreamWriter| {
            writer.write(b"half a ");
            reader.readexactly(1).await.unwrap();
            writer.write(b"line\n");
        };
        let server = start_server(talk, "127.0.0.1", 0).await.unwrap();
        let port = server.local_addrs()[0].port();
        let (mut reader, mut writer) = open_connection("127.0.0.1", port).await.unwrap();
        while reader.buffered() < 7 {
            yield_now().await;
        }
        assert!(timeout(Duration::from_secs(1), reader.readline()).await.is_err());
        writer.write(b"!");
        assert_eq!(reader.readline().await.unwrap(), b"half a line\n");
    })
    .unwrap();
}

#[test]
fn a_cancelled_wait_for_a_child_does_not_touch_it_and_communicate_keeps_its_output() {
    run(async {
        let mut child = create_subprocess_exec("sh")
            .args(["-c", "echo early; cat; echo late"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .await
            .unwrap();
        assert!(poll_once(child.wait()).await.is_none());
        while child.stdout.as_ref().unwrap().buffered() < 6 {
            yield_now().await;
        }
        let stdin = child.stdin.take();
        assert!(poll_once(child.communicate(None)).await.is_none());
        drop(stdin);
        let (stdout, _) = child.communicate(None).await.unwrap();
        assert_eq!(stdout.unwrap(), b"early\nlate\n");
        assert_eq!(child.wait().await, 0);
    })
    .unwrap();
}

#[test]
fn a_reader_that_turned_to_something_else_still_sees_bytes_and_the_end_arrive() {
    run(async {
        let (mut reader, _writer, mut peer) = with_plain_peer().await;
        let mut room = vec![0; 64 * 1024];
        // It was woken for bytes that it then does not take.
        assert!(poll_once(AsyncReadExt::read(&mut reader, &mut room)).await.is_none());
        std::io::Write::write_all(&mut peer, b"late").unwrap();
        drop(peer);
        while reader.buffered() < 4 {
            yield_now().await;
        }
        assert_eq!(reader.read(100).await.unwrap(), b"late");
        while !reader.at_eof() {
            yield_now().await;
        }
    })
    .unwrap();
}
