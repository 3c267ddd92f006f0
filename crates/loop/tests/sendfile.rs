//! `sock_sendfile`, by the system and by blocks.

use std::error::Error as _;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::thread;

use asyncio_loop::{SendfileError, run, sock_sendall, sock_sendfile};
use futures_lite::future::poll_once;
use socket2::Socket;

/// Of a size that no socket buffer takes at once.
fn data() -> Vec<u8> {
    (0..3_000_001_u32).map(|index| (index % 251) as u8).collect()
}

fn file_of(data: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(data).unwrap();
    file.rewind().unwrap();
    file
}

/// A socket, and a thread that collects what arrives at its other end.
fn collector() -> (Socket, thread::JoinHandle<Vec<u8>>) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let collecting = thread::spawn(move || {
        let mut all = Vec::new();
        theirs.read_to_end(&mut all).unwrap();
        all
    });
    (ours.into(), collecting)
}

/// A file that can be read, and that Linux does not send by itself.
#[cfg(target_os = "linux")]
fn not_sendable() -> (File, Vec<u8>) {
    let data = std::fs::read("/proc/self/limits").unwrap();
    (File::open("/proc/self/limits").unwrap(), data)
}

/// Behaviour: SND-01.
#[test]
fn a_whole_file_arrives_and_its_position_is_at_its_end() {
    let data = data();
    let mut file = file_of(&data);
    let (socket, collecting) = collector();
    let sent = run(sock_sendfile(&socket, &file, 0, None, true)).unwrap().unwrap();
    assert_eq!(sent, data.len() as u64);
    drop(socket);
    assert!(collecting.join().unwrap() == data);
    assert_eq!(file.stream_position().unwrap(), data.len() as u64);
}

/// Behaviour: SND-02, SND-04.
#[test]
fn a_slice_of_a_file_arrives_and_the_position_is_behind_it() {
    let data = data();
    let end = data.len() as u64;
    for (offset, count) in [(1000, Some(2000)), (0, None), (end / 2, None), (end, None)] {
        let mut file = file_of(&data);
        let (socket, collecting) = collector();
        let sent = run(sock_sendfile(&socket, &file, offset, count, true)).unwrap().unwrap();
        let expected = count.unwrap_or(end - offset);
        assert_eq!(sent, expected);
        drop(socket);
        let from = offset as usize;
        assert!(collecting.join().unwrap() == data[from..from + expected as usize]);
        assert_eq!(file.stream_position().unwrap(), offset + expected);
    }
}

/// Behaviour: SND-03.
#[test]
fn an_empty_file_is_nothing_to_send() {
    let (socket, collecting) = collector();
    let sent = run(sock_sendfile(&socket, &file_of(b""), 0, None, true)).unwrap().unwrap();
    drop(socket);
    assert_eq!((sent, collecting.join().unwrap()), (0, Vec::new()));
}

/// Behaviour: SND-05.
#[test]
fn what_is_sent_before_and_after_a_file_stays_before_and_after_it() {
    let data = data();
    let (socket, collecting) = collector();
    run(async {
        sock_sendall(&socket, b"before").await.unwrap();
        sock_sendfile(&socket, &file_of(&data), 0, None, true).await.unwrap();
        sock_sendall(&socket, b"after").await.unwrap();
    })
    .unwrap();
    drop(socket);
    assert!(collecting.join().unwrap() == [b"before", data.as_slice(), b"after"].concat());
}

/// Behaviour: UNX-16, UNX-17.
#[test]
fn a_transfer_that_was_given_up_says_by_the_position_how_far_it_came() {
    let data = data();
    let mut file = file_of(&data);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let socket = Socket::from(ours);
    run(async {
        assert!(poll_once(sock_sendfile(&socket, &file, 0, None, true)).await.is_none());
    })
    .unwrap();
    drop(socket);
    let mut received = Vec::new();
    (&theirs).read_to_end(&mut received).unwrap();
    assert!(!received.is_empty() && received.len() < data.len());
    assert_eq!(file.stream_position().unwrap(), received.len() as u64);
}

#[test]
fn a_peer_that_went_is_an_error_that_says_how_much_was_sent() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let socket = Socket::from(ours);
    let file = file_of(&data());
    let reading = thread::spawn(move || (&theirs).read_exact(&mut vec![0; 500_000]).unwrap());
    let error = run(sock_sendfile(&socket, &file, 0, None, true)).unwrap().unwrap_err();
    reading.join().unwrap();
    let SendfileError::Io { sent, .. } = error else { panic!("{error}") };
    assert!(sent >= 500_000);
    assert!(error.to_string().contains(&sent.to_string()), "{error}");
    assert!(error.source().is_some());
}

#[test]
fn a_count_of_nothing_and_a_socket_without_a_stream_are_refused() {
    let file = file_of(b"data");
    let (stream, _theirs) = UnixStream::pair().unwrap();
    let error = run(sock_sendfile(&stream.into(), &file, 0, Some(0), true)).unwrap().unwrap_err();
    assert!(matches!(&error, SendfileError::InvalidInput(why) if why.contains("count")), "{error}");
    let (datagram, _theirs) = UnixDatagram::pair().unwrap();
    let error = run(sock_sendfile(&datagram.into(), &file, 0, None, true)).unwrap().unwrap_err();
    assert!(error.to_string().contains("stream"), "{error}");
}

/// Behaviour: SND-04, BEV-79.
#[cfg(target_os = "linux")]
#[test]
fn what_the_system_does_not_send_by_itself_is_read_and_sent() {
    let end = not_sendable().1.len() as u64;
    for (offset, count) in [(0, None), (end / 2, None), (end, None), (10, Some(20))] {
        let (mut file, data) = not_sendable();
        let (socket, collecting) = collector();
        let sent = run(sock_sendfile(&socket, &file, offset, count, true)).unwrap().unwrap();
        drop(socket);
        let expected = count.unwrap_or(end - offset);
        let from = offset as usize;
        assert_eq!(sent, expected);
        assert!(collecting.join().unwrap() == data[from..from + expected as usize]);
        assert_eq!(file.stream_position().unwrap(), offset + expected);
    }
}

/// Behaviour: UNX-15.
#[cfg(target_os = "linux")]
#[test]
fn without_the_fallback_it_is_an_error_and_nothing_was_sent() {
    let (mut file, _) = not_sendable();
    let (socket, collecting) = collector();
    let error = run(sock_sendfile(&socket, &file, 5, None, false)).unwrap().unwrap_err();
    assert!(matches!(error, SendfileError::NotAvailable(_)), "{error}");
    assert!(error.to_string().contains("fallback"), "{error}");
    drop(socket);
    assert_eq!(collecting.join().unwrap(), b"");
    assert_eq!(file.stream_position().unwrap(), 0);
}

/// How much of 16 MiB goes in one step of a task to a peer that reads as fast as it can.
fn sent_in_one_step(send: impl AsyncFn(&Socket, &[u8], &File)) -> usize {
    let data = vec![7; 16 << 20];
    let file = file_of(&data);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = Socket::from(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    let (mut theirs, _) = listener.accept().unwrap();
    let collecting = thread::spawn(move || {
        let mut all = Vec::new();
        theirs.read_to_end(&mut all).unwrap();
        all.len()
    });
    run(async { assert!(poll_once(send(&socket, &data, &file)).await.is_none()) }).unwrap();
    drop(socket);
    collecting.join().unwrap()
}

#[test]
fn a_peer_that_reads_as_fast_as_it_can_leaves_the_others_their_turns() {
    let by_file = sent_in_one_step(async |socket, _, file| {
        sock_sendfile(socket, file, 0, None, false).await.unwrap();
    });
    assert!((1..=1 << 20).contains(&by_file), "{by_file} bytes");
    let from_memory = sent_in_one_step(async |socket, data, _| {
        sock_sendall(socket, data).await.unwrap();
    });
    assert!((1..=1 << 20).contains(&from_memory), "{from_memory} bytes");
}
