//! Awaiting descriptors, and connecting.

mod support;

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use asyncio_loop::{EventLoop, IoHandle, run, sock_connect, testing};
use futures_lite::future::{or, poll_once, zip};
use socket2::{Domain, Socket, Type};
use support::{run_on_each_selector, ticks};

#[test]
fn a_read_waits_for_data_and_a_write_for_room() {
    run_on_each_selector(|| async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (ours, theirs) = (IoHandle::new(ours).unwrap(), IoHandle::new(theirs).unwrap());
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
        let send = async {
            let mut rest = &sent[..];
            while !rest.is_empty() {
                let n = ours.write_with(|mut stream| stream.write(rest)).await.unwrap();
                rest = &rest[n..];
            }
            drop(ours);
        };
        let receive = async {
            let mut received = Vec::new();
            let mut buffer = [0; 1000];
            loop {
                let n = theirs.read_with(|mut stream| stream.read(&mut buffer)).await.unwrap();
                if n == 0 {
                    return received;
                }
                received.extend_from_slice(&buffer[..n]);
            }
        };
        let (_, received) = zip(send, receive).await;
        assert_eq!(received.len(), 1_000_000);
        assert!(received.iter().enumerate().all(|(n, byte)| n as u8 == *byte));
    });
}

/// Behaviour: SCK-03.
#[test]
fn a_read_that_is_dropped_while_it_waits_loses_nothing() {
    run_on_each_selector(|| async {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let ours = IoHandle::new(ours).unwrap();
        let read = || {
            let ours = &ours;
            async move {
                let mut buffer = [0; 16];
                let n = ours.read_with(|mut stream| stream.read(&mut buffer)).await.unwrap();
                buffer[..n].to_vec()
            }
        };
        for _ in 0..3 {
            let mut dropped = Box::pin(read());
            assert!(poll_once(dropped.as_mut()).await.is_none());
            theirs.write_all(b"abc").unwrap();
            // Woken, or not yet: either way the bytes are still there.
            ticks(1).await;
            drop(dropped);
            assert_eq!(read().await, b"abc");
        }
    });
}

#[test]
fn several_readers_get_one_message_each() {
    run_on_each_selector(|| async {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let ours = IoHandle::new(ours).unwrap();
        let read_one = || {
            let ours = &ours;
            async move {
                let mut byte = [0];
                ours.read_with(|mut stream| stream.read_exact(&mut byte)).await.unwrap();
                byte[0]
            }
        };
        let write = async {
            ticks(3).await;
            theirs.write_all(b"ab").unwrap();
            ticks(3).await;
            theirs.write_all(b"c").unwrap();
        };
        let ((one, two), (three, ())) =
            zip(zip(read_one(), read_one()), zip(read_one(), write)).await;
        let mut all = [one, two, three];
        all.sort();
        assert_eq!(&all, b"abc");
    });
}

#[test]
fn readable_asks_the_system_again_when_somebody_else_has_read() {
    run_on_each_selector(|| async {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let handle = IoHandle::new(ours).unwrap();
        theirs.write_all(b"x").unwrap();
        handle.readable().await.unwrap();
        // A C library reads all there is, without our seeing a `WouldBlock`.
        handle.get_ref().read_exact_now();
        assert!(poll_once(handle.readable()).await.is_none());
        let later = async {
            ticks(2).await;
            theirs.write_all(b"y").unwrap();
        };
        zip(handle.readable(), later).await.0.unwrap();
        handle.writable().await.unwrap();
    });
}

trait ReadNow {
    fn read_exact_now(&self);
}

impl ReadNow for UnixStream {
    fn read_exact_now(&self) {
        let mut stream = self;
        stream.read_exact(&mut [0]).unwrap();
    }
}

#[test]
fn the_end_of_a_stream_is_readable() {
    run_on_each_selector(|| async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let handle = IoHandle::new(ours).unwrap();
        assert!(poll_once(handle.readable()).await.is_none());
        drop(theirs);
        handle.readable().await.unwrap();
        assert_eq!(handle.read_with(|mut stream| stream.read(&mut [0])).await.unwrap(), 0);
    });
}

#[test]
fn into_inner_deregisters() {
    run_on_each_selector(|| async {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let handle = IoHandle::new(ours).unwrap();
        let ours = handle.into_inner();
        drop(IoHandle::new(ours).unwrap());
    });
}

#[test]
fn a_handle_needs_a_running_loop() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let error = IoHandle::new(ours).unwrap_err();
    assert_eq!(error.to_string(), "no running event loop in this thread");
}

#[test]
fn a_handle_may_outlive_its_loop() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let handle = run(async { IoHandle::new(ours).unwrap() }).unwrap();
    theirs.write_all(b"x").unwrap();
    handle.into_inner().read_exact_now();
}

/// Behaviour: SCK-10.
#[test]
fn connecting_to_a_closed_port_is_refused() {
    run_on_each_selector(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let error = sock_connect(&socket, &address.into()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

/// Behaviour: SCK-02.
#[test]
fn connecting_gives_a_working_connection() {
    run_on_each_selector(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let listener = IoHandle::new(listener).unwrap();
        let client = async {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            sock_connect(&socket, &address.into()).await?;
            let stream = IoHandle::new(TcpStream::from(socket))?;
            stream.write_with(|mut stream| stream.write(b"hello")).await
        };
        let server = async {
            let (stream, peer) = listener.read_with(|listener| listener.accept()).await?;
            let stream = IoHandle::new(stream)?;
            let mut buffer = [0; 16];
            let n = stream.read_with(|mut stream| stream.read(&mut buffer)).await?;
            io::Result::Ok((buffer[..n].to_vec(), peer))
        };
        let (sent, received) = zip(client, server).await;
        assert_eq!(sent.unwrap(), 5);
        assert_eq!(received.unwrap().0, b"hello");
    });
}

#[test]
fn the_loop_serves_others_while_a_handle_waits() {
    let event_loop = EventLoop::new().unwrap();
    let ran = Rc::new(Cell::new(0));
    testing::run_with(&event_loop, async {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let ours = IoHandle::new(ours).unwrap();
        let read = async {
            ours.readable().await.unwrap();
            unreachable!("nobody writes")
        };
        let count = async {
            for _ in 0..10 {
                ticks(1).await;
                ran.set(ran.get() + 1);
            }
        };
        or(read, count).await;
    })
    .unwrap();
    assert_eq!(ran.get(), 10);
}
