//! Streams over TCP: servers, flow control, and every way to close.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use asyncio_coro::yield_now;
use asyncio_executor::to_thread;
use asyncio_loop::{EventLoop, run, testing};
use asyncio_stream::{Server, StreamReader, StreamWriter, open_connection, start_server};
use asyncio_task::{all_tasks, create_task, current_task};
use futures_lite::future::block_on;

async fn line_server() -> Server {
    let talk = async |mut reader: StreamReader, mut writer: StreamWriter| {
        while let Ok(line) = reader.readline().await {
            if line.is_empty() {
                break;
            }
            writer.write(&line);
            writer.drain().await.unwrap();
        }
    };
    start_server(talk, "127.0.0.1", 0).await.unwrap()
}

async fn client_of(server: &Server) -> (StreamReader, StreamWriter) {
    open_connection("127.0.0.1", server.local_addrs()[0].port()).await.unwrap()
}

/// A stream whose peer is a plain blocking socket.
async fn with_plain_peer() -> (StreamReader, StreamWriter, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (reader, writer) = open_connection("127.0.0.1", port).await.unwrap();
    (reader, writer, listener.accept().unwrap().0)
}

async fn ticks(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

/// Runs `main` and returns what went to the loop's exception handler.
fn reports_of(main: impl Future<Output = ()>) -> Vec<String> {
    let event_loop = EventLoop::new().unwrap();
    let reports = Rc::new(RefCell::new(Vec::new()));
    event_loop.set_exception_handler({
        let reports = reports.clone();
        move |_, context| reports.borrow_mut().push(context.to_string())
    });
    testing::run_with(&event_loop, main).unwrap();
    reports.take()
}

/// Behaviour: STR-01, STR-38, STR-45, STR-47.
#[test]
fn lines_go_to_a_server_and_back_and_both_sides_close() {
    let reports = reports_of(async {
        let server = line_server().await;
        let (mut reader, mut writer) = client_of(&server).await;
        assert_eq!(writer.peer_addr(), Some(server.local_addrs()[0]));
        assert!(writer.local_addr().is_some() && writer.can_write_eof());
        writer.writelines(["one\n", "two\n", "rest"]);
        assert_eq!(reader.readline().await.unwrap(), b"one\n");
        assert_eq!(reader.readline().await.unwrap(), b"two\n");
        writer.write_eof();
        assert_eq!(reader.read_to_eof().await.unwrap(), b"rest");
        writer.close();
        assert!(writer.is_closing());
        writer.wait_closed().await.unwrap();
        assert_eq!(reader.read(1).await.unwrap(), b"");
        server.close();
        server.wait_closed().await;
    });
    assert_eq!(reports, [""; 0]);
}

#[test]
fn data_and_fin_that_came_before_the_first_read_are_both_seen() {
    run(async {
        let (mut reader, _writer, mut peer) = with_plain_peer().await;
        peer.write_all(b"all there is").unwrap();
        drop(peer);
        ticks(5).await;
        assert_eq!(reader.readexactly(3).await.unwrap(), b"all");
        assert_eq!(reader.read_to_eof().await.unwrap(), b" there is");
    })
    .unwrap();
}

#[test]
fn a_slow_reader_stops_its_transport_and_gets_everything_in_the_end() {
    run(async {
        let (mut reader, writer, mut peer) = with_plain_peer().await;
        let sent: Vec<u8> = (0..8_000_000u32).map(|n| (n % 241) as u8).collect();
        let expected = sent.clone();
        let sending = create_task(to_thread(move || {
            peer.write_all(&sent).unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
            peer
        }));
        while writer.transport().is_reading() {
            yield_now().await;
        }
        let buffered = reader.buffered();
        assert!(buffered > 2 * 64 * 1024 && buffered <= (2 * 64 + 256) * 1024, "{buffered}");
        ticks(20).await;
        assert_eq!(reader.buffered(), buffered, "nothing more arrives");
        let mut received = reader.read(1_000).await.unwrap();
        assert!(!writer.transport().is_reading(), "still above the limit");
        received.extend(reader.readexactly(1_000_000).await.unwrap());
        received.extend(reader.read_to_eof().await.unwrap());
        assert!(received == expected);
        drop(sending.await.unwrap());
    })
    .unwrap();
}

#[test]
fn a_dropped_reader_does_not_hold_the_connection_up() {
    run(async {
        let (reader, mut writer, mut peer) = with_plain_peer().await;
        let talking = create_task(to_thread(move || {
            peer.write_all(&vec![1; 8_000_000]).unwrap();
            let mut answer = String::new();
            peer.read_to_string(&mut answer).unwrap();
            answer
        }));
        while writer.transport().is_reading() {
            yield_now().await;
        }
        drop(reader);
        writer.write(b"I do not listen");
        writer.write_eof();
        assert_eq!(talking.await.unwrap(), "I do not listen");
    })
    .unwrap();
}

/// Behaviour: STR-43.
#[test]
fn many_tasks_that_drain_are_released_by_one_resume() {
    run(async {
        let (_reader, mut writer, mut peer) = with_plain_peer().await;
        writer.drain().await.unwrap();
        while writer.transport().get_write_buffer_size() < 200_000 {
            writer.write(&[1; 100_000]);
        }
        let writer = Rc::new(writer);
        let draining: Vec<_> = (0..10)
            .map(|_| {
                let writer = writer.clone();
                create_task(async move { writer.drain().await })
            })
            .collect();
        ticks(10).await;
        assert!(draining.iter().all(|task| !task.done()), "the peer does not read");
        let reading = create_task(to_thread(move || {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).unwrap();
            all.len()
        }));
        for task in draining {
            task.await.unwrap().unwrap();
        }
        drop(writer);
        assert!(reading.await.unwrap() >= 200_000);
    })
    .unwrap();
}

/// Behaviour: STR-44, STR-02.
#[test]
fn writing_to_a_peer_that_went_ends_with_its_error_and_reads_see_it_too() {
    let reports = reports_of(async {
        let (mut reader, mut writer, peer) = with_plain_peer().await;
        socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        let error = loop {
            writer.write(b"anybody there?");
            if let Err(error) = writer.drain().await {
                break error;
            }
            yield_now().await;
        };
        let gone = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
        assert!(gone.contains(&error.kind()), "{error}");
        assert!(gone.contains(&reader.read(1).await.unwrap_err().kind()));
        assert!(gone.contains(&writer.wait_closed().await.unwrap_err().kind()));
    });
    assert_eq!(reports, [""; 0]);
}

/// Behaviour: STR-46.
#[test]
fn drain_after_close_is_a_connection_reset() {
    run(async {
        let (_reader, mut writer, _peer) = with_plain_peer().await;
        writer.close();
        writer.write(b"too late");
        assert_eq!(writer.drain().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        writer.wait_closed().await.unwrap();
    })
    .unwrap();
}

/// Behaviour: STR-48.
#[test]
fn a_dropped_writer_flushes_and_closes() {
    run(async {
        let (mut reader, mut writer, mut peer) = with_plain_peer().await;
        writer.write(&vec![5; 3_000_000]);
        drop(writer);
        let received = to_thread(move || {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).unwrap();
            all.len()
        });
        assert_eq!(received.await, 3_000_000);
        assert_eq!(reader.read(1).await.unwrap(), b"");
    })
    .unwrap();
}

/// Behaviour: STR-41.
#[test]
fn a_handler_that_fails_or_panics_is_reported_and_its_connection_closed() {
    let reports = reports_of(async {
        let connections = Cell::new(0);
        let talk = async move |mut reader: StreamReader, mut writer: StreamWriter| {
            connections.set(connections.get() + 1);
            writer.write(b"hello");
            match connections.get() {
                1 => Err(io::Error::other("a reason")),
                2 => panic!("a mistake"),
                _ => {
                    let line = reader.readline().await?;
                    writer.write(&line);
                    Ok(())
                }
            }
        };
        let server = start_server(talk, "127.0.0.1", 0).await.unwrap();
        for _ in 0..2 {
            let (mut reader, _writer) = client_of(&server).await;
            assert_eq!(reader.read_to_eof().await.unwrap(), b"hello");
        }
        let (mut reader, mut writer) = client_of(&server).await;
        writer.write(b" again\n");
        assert_eq!(reader.read_to_eof().await.unwrap(), b"hello again\n");
    });
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert!(reports[0].contains("unhandled error in client_connected_cb"), "{reports:?}");
    assert!(reports[0].contains("a reason"), "{reports:?}");
    assert!(reports[1].contains("a mistake"), "{reports:?}");
}

/// Behaviour: STR-42.
#[test]
fn a_handler_that_is_cancelled_closes_its_connection_silently() {
    let reports = reports_of(async {
        let talk = async |_reader: StreamReader, _writer: StreamWriter| {
            std::future::pending::<()>().await;
        };
        let server = start_server(talk, "127.0.0.1", 0).await.unwrap();
        let (mut reader, _writer) = client_of(&server).await;
        let own = current_task().unwrap();
        let handler = loop {
            match all_tasks().into_iter().find(|task| task.id() != own.id()) {
                Some(handler) => break handler,
                None => yield_now().await,
            }
        };
        ticks(3).await;
        handler.cancel();
        assert_eq!(reader.read_to_eof().await.unwrap(), b"");
    });
    assert_eq!(reports, [""; 0]);
}

#[test]
fn a_line_over_the_limit_is_an_error_and_the_connection_lives_on() {
    run(async {
        let talk = async |mut reader: StreamReader, mut writer: StreamWriter| {
            for _ in 0..2 {
                match reader.readline().await {
                    Ok(line) => writer.write(&line),
                    Err(error) => writer.write(format!("ERR {error}\n").as_bytes()),
                }
            }
        };
        let server = start_server(talk, "127.0.0.1", 0).limit(100).await.unwrap();
        let (mut reader, mut writer) = client_of(&server).await;
        writer.write(&[&[b'x'; 150][..], b"\n", b"short\n"].concat());
        assert!(reader.readline().await.unwrap().starts_with(b"ERR separator is found"));
        assert_eq!(reader.readline().await.unwrap(), b"short\n");
    })
    .unwrap();
}

#[test]
fn whoever_waits_for_a_stream_of_a_closed_loop_does_not_wait_forever() {
    let event_loop = EventLoop::new().unwrap();
    let (mut reader, writer, _peer) = event_loop.run_until_complete(with_plain_peer()).unwrap();
    event_loop.close().unwrap();
    let error = block_on(reader.read(1)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    assert!(block_on(writer.wait_closed()).is_err());
}

#[test]
fn a_graceful_end_lets_an_answer_in_progress_out_and_ends_idle_connections_at_once() {
    run(async {
        let talk = async |mut reader: StreamReader, mut writer: StreamWriter| {
            loop {
                let line = reader.readline().await.unwrap();
                if line.is_empty() {
                    break;
                }
                writer.write(b"wait ");
                ticks(50).await;
                writer.write(&line);
            }
        };
        let server = start_server(talk, "127.0.0.1", 0).await.unwrap();
        let (mut idle, _idle_writer) = client_of(&server).await;
        let (mut busy, mut busy_writer) = client_of(&server).await;
        busy_writer.write(b"for it\n");
        assert_eq!(busy.readexactly(5).await.unwrap(), b"wait ");
        let end = create_task({
            let server = server.clone();
            async move { server.graceful(Duration::from_secs(60)).await }
        });
        assert_eq!(idle.read_to_eof().await.unwrap(), b"");
        assert_eq!(busy.read_to_eof().await.unwrap(), b"for it\n");
        assert_eq!(end.await.unwrap().aborted, 0);
    })
    .unwrap();
}
