//! Reader and writer under futures-io's traits, mixed with their own methods.

use std::io::{self, Read};
use std::net::TcpListener;

use asyncio_coro::yield_now;
use asyncio_executor::to_thread;
use asyncio_loop::run;
use asyncio_stream::{StreamReader, open_connection, start_server};
use futures_lite::StreamExt;
use futures_lite::future::{block_on, poll_once, zip};
use futures_lite::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, copy};

#[test]
fn own_reads_and_those_of_the_traits_see_the_same_bytes_in_order() {
    let (mut reader, feeder) = StreamReader::new(100);
    feeder.feed_data(b"line\nabcdefgh\nthe end");
    block_on(async {
        let mut two = [0; 2];
        AsyncReadExt::read_exact(&mut reader, &mut two).await.unwrap();
        assert_eq!(&two, b"li");
        assert_eq!(reader.buffered(), 19, "what is lent counts");
        assert_eq!(reader.readline().await.unwrap(), b"ne\n");
        assert_eq!(reader.fill_buf().await.unwrap(), b"abcdefgh\nthe end");
        reader.consume(3);
        feeder.feed_data(b", or not");
        assert_eq!(reader.readuntil(b"h").await.unwrap(), b"defgh");
        let mut line = String::new();
        reader.read_line(&mut line).await.unwrap();
        assert_eq!(line, "\n");
        feeder.feed_eof();
        let mut all = String::new();
        reader.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "the end, or not");
        assert!(reader.at_eof());
    });
}

#[test]
fn the_lines_of_the_trait_work_on_an_owned_reader() {
    let (reader, feeder) = StreamReader::new(100);
    feeder.feed_data(b"one\ntwo\n");
    feeder.feed_eof();
    let lines: Vec<String> = block_on(reader.lines().map(Result::unwrap).collect());
    assert_eq!(lines, ["one", "two"]);
}

#[test]
fn an_error_comes_through_the_trait() {
    let (mut reader, feeder) = StreamReader::new(100);
    feeder.set_exception(io::ErrorKind::ConnectionReset.into());
    let error = block_on(AsyncReadExt::read(&mut reader, &mut [0; 10])).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn copy_through_an_echo_server_keeps_every_byte() {
    run(async {
        let server = start_server(
            async |reader, mut writer| {
                copy(reader, &mut writer).await.unwrap();
                AsyncWriteExt::close(&mut writer).await.unwrap();
            },
            "127.0.0.1",
            0,
        )
        .await
        .unwrap();
        let port = server.local_addrs()[0].port();
        let (mut reader, mut writer) = open_connection("127.0.0.1", port).await.unwrap();
        let sent: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        let write = async {
            writer.write_all(&sent).await.unwrap();
            writer.flush().await.unwrap();
            AsyncWriteExt::close(&mut writer).await.unwrap();
            let error = writer.write_all(b"x").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        };
        let (received, ()) = zip(reader.read_to_eof(), write).await;
        assert!(received.unwrap() == sent);
    })
    .unwrap();
}

#[test]
fn write_all_waits_at_the_high_water_mark_while_the_peer_does_not_read() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (_reader, mut writer) = open_connection("127.0.0.1", port).await.unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let sent = vec![7; 20_000_000];
        {
            let mut writing = Box::pin(writer.write_all(&sent));
            for _ in 0..50 {
                assert!(poll_once(&mut writing).await.is_none());
                yield_now().await;
            }
        }
        let buffered = writer.transport().get_write_buffer_size();
        assert!(buffered > 64 * 1024 && buffered <= (64 + 256) * 1024, "{buffered} bytes");
        let peer_reads = to_thread(move || {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).unwrap();
            all.len()
        });
        let ending = async {
            writer.flush().await.unwrap();
            assert_eq!(writer.transport().get_write_buffer_size(), 0);
            writer.close();
        };
        let (count, ()) = zip(peer_reads, ending).await;
        assert!(count > buffered && count < sent.len());
    })
    .unwrap();
}

#[test]
fn poll_close_half_closes_and_the_answer_still_comes() {
    run(async {
        let server = start_server(
            async |mut reader, mut writer| {
                let question = reader.read_to_eof().await.unwrap();
                writer.write(&[b"you said ", &question[..]].concat());
            },
            "127.0.0.1",
            0,
        )
        .await
        .unwrap();
        let port = server.local_addrs()[0].port();
        let (mut reader, mut writer) = open_connection("127.0.0.1", port).await.unwrap();
        writer.write_all(b"hello").await.unwrap();
        AsyncWriteExt::close(&mut writer).await.unwrap();
        assert!(!writer.is_closing());
        assert_eq!(reader.read_to_eof().await.unwrap(), b"you said hello");
    })
    .unwrap();
}

#[test]
fn a_flush_says_so_when_the_connection_broke_before_everything_went_out() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connect = async || {
            let (_reader, writer) = open_connection("127.0.0.1", port).await.unwrap();
            (writer, listener.accept().unwrap().0)
        };

        // The peer resets while a flush waits.
        let (mut writer, peer) = connect().await;
        writer.write(&vec![7; 20_000_000]);
        let mut flushing = Box::pin(writer.flush());
        assert!(poll_once(&mut flushing).await.is_none());
        drop(peer); // with bytes that it did not read: a reset
        let error = flushing.await.unwrap_err();
        assert!(is_broken(&error), "{error}");
        let error = writer.write_all(b"x").await.unwrap_err();
        assert!(is_broken(&error), "{error}");

        // The write itself finds the connection broken.
        let (mut writer, peer) = connect().await;
        writer.write(b"unread");
        peer.set_nonblocking(true).unwrap();
        while peer.peek(&mut [0]).is_err() {
            yield_now().await;
        }
        drop(peer);
        writer.write(b"lost");
        writer.write(b"lost");
        let error = writer.flush().await.unwrap_err();
        assert!(is_broken(&error), "{error}");

        // Ours dropped it.
        let (mut writer, _peer) = connect().await;
        writer.write(&vec![7; 20_000_000]);
        writer.abort();
        assert!(is_broken(&writer.flush().await.unwrap_err()));
    })
    .unwrap();
}

fn is_broken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}
