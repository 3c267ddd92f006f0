//! The `sock_` functions, with plain threads and sockets as peers.

mod support;

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use asyncio_cancel_everywhere::on_loop;
use asyncio_coro::{catch_cancel, current_task};
use asyncio_loop::{
    EventLoop, IoHandle, get_running_loop, run, sock_accept, sock_connect, sock_recv,
    sock_recv_into, sock_recvfrom, sock_recvfrom_into, sock_sendall, sock_sendto, testing,
};
use futures_lite::future::{or, poll_once, yield_now, zip};
use socket2::{Domain, SockAddr, Socket, Type};
use support::sleep;

fn pair() -> (Socket, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (ours.into(), theirs)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

/// A thread that sends everything back.
fn echo_server() -> (SockAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        loop {
            let count = connection.read(&mut buffer).unwrap();
            if count == 0 {
                return;
            }
            connection.write_all(&buffer[..count]).unwrap();
        }
    });
    (address.into(), server)
}

fn tcp() -> Socket {
    Socket::new(Domain::IPV4, Type::STREAM, None).unwrap()
}

/// Behaviour: SCK-02.
#[test]
fn a_request_goes_out_and_its_answer_comes_back_over_tcp_and_unix() {
    let request = b"GET / HTTP/1.0\r\n\r\n";
    let answer = b"HTTP/1.0 200 OK\r\n\r\nhello";
    fn serve(mut connection: impl Read + Write, request: &[u8], answer: &[u8]) {
        let mut received = vec![0; request.len()];
        connection.read_exact(&mut received).unwrap();
        assert_eq!(received, request);
        connection.write_all(answer).unwrap();
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = SockAddr::from(listener.local_addr().unwrap());
    let over_tcp = thread::spawn(move || serve(listener.accept().unwrap().0, request, answer));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let over_unix = thread::spawn(move || serve(listener.accept().unwrap().0, request, answer));
    let unix = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    run(async {
        for (socket, address) in [(tcp(), address), (unix, SockAddr::unix(path).unwrap())] {
            sock_connect(&socket, &address).await.unwrap();
            sock_sendall(&socket, request).await.unwrap();
            // The first bytes into the two halves of one buffer, the rest as they come.
            let mut buffer = [0; 8];
            let (left, right) = buffer.split_at_mut(4);
            assert_eq!(sock_recv_into(&socket, left).await.unwrap(), 4);
            assert_eq!(sock_recv_into(&socket, right).await.unwrap(), 4);
            let mut received = buffer.to_vec();
            loop {
                let data = sock_recv(&socket, 1024).await.unwrap();
                if data.is_empty() {
                    break;
                }
                received.extend(data);
            }
            assert_eq!(received, answer);
        }
    })
    .unwrap();
    over_tcp.join().unwrap();
    over_unix.join().unwrap();
}

/// Behaviour: EVT-14.
#[test]
fn a_receive_that_is_cancelled_ends_at_once_and_its_task_may_stop_the_loop() {
    let event_loop = EventLoop::new().unwrap();
    let result = event_loop.run_until_complete(async {
        let (ours, _theirs) = pair();
        let (this, inside) = (current_task().unwrap(), get_running_loop().unwrap());
        inside.call_soon(move || assert!(this.cancel()));
        let received = catch_cancel(sock_recv(&ours, 1)).await;
        inside.stop();
        received.is_err()
    });
    assert!(result.unwrap(), "cancelled, though nothing came");
    event_loop.close().unwrap();
}

/// Behaviour: SCK-03.
#[test]
fn a_receive_that_was_given_up_leaves_the_bytes_to_the_next() {
    on_loop(
        async || {
            let (ours, theirs) = pair();
            let reading = ours.try_clone().unwrap();
            let feeding = theirs.try_clone().unwrap();
            // How many bytes came out of a receive, and how many went in.
            let counts = Rc::new([Cell::new(0), Cell::new(0)]);
            let counting = counts.clone();
            let operation = async move {
                let [received, fed] = &*counting;
                let receive = async {
                    let mut buffer = [0; 3];
                    received.set(sock_recv_into(&reading, &mut buffer).await.unwrap());
                    assert_eq!(buffer, b"abc"[..]);
                    assert_eq!(sock_recv(&reading, 3).await.unwrap(), b"def");
                    received.set(6);
                };
                let feed = async {
                    for part in [b"abc", b"def"] {
                        yield_now().await;
                        (&feeding).write_all(part).unwrap();
                        fed.set(fed.get() + 3);
                    }
                };
                zip(receive, feed).await;
            };
            ((ours, theirs, counts), operation)
        },
        async |(ours, theirs, counts), case| {
            drop(theirs);
            let [received, fed] = &*counts;
            assert_eq!(case.output.is_some(), received.get() == 6, "{case:?}");
            let mut rest = Vec::new();
            loop {
                let data = sock_recv(&ours, 100).await.unwrap();
                if data.is_empty() {
                    break;
                }
                rest.extend(data);
            }
            assert_eq!(rest, b"abcdef"[received.get()..fed.get()]);
        },
    );
}

/// Behaviour: SCK-04.
#[test]
fn a_send_that_was_given_up_on_a_full_socket_does_not_keep_the_next_from_arriving() {
    run(async {
        let (ours, theirs) = pair();
        let much = vec![b'x'; 10_000_000];
        assert!(poll_once(sock_sendall(&ours, &much)).await.is_none(), "nobody reads");
        let reading = thread::spawn(move || {
            let mut theirs = theirs;
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).unwrap();
            all
        });
        sock_sendall(&ours, b"the second").await.unwrap();
        ours.shutdown(Shutdown::Write).unwrap();
        let all = reading.join().unwrap();
        assert!(all.ends_with(b"xthe second") && all.len() < much.len());
    })
    .unwrap();
}

/// Behaviour: SCK-05.
#[test]
fn a_connect_that_was_given_up_can_be_tried_again_once_somebody_listens() {
    run(async {
        let listener = tcp();
        listener.bind(&SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
        let address = listener.local_addr().unwrap();
        let socket = tcp();
        // Refused, and nobody is there to be told.
        let _ = poll_once(sock_connect(&socket, &address)).await;
        listener.listen(1).unwrap();
        sock_connect(&socket, &address).await.unwrap();
        assert_eq!(socket.peer_addr().unwrap().as_socket(), address.as_socket());
    })
    .unwrap();
}

#[test]
fn a_connect_that_was_given_up_and_goes_on_is_waited_for_by_the_next() {
    run(async {
        let listener = tcp();
        listener.bind(&SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        // With the queue full the system drops further requests, and sends them again after a second.
        let mut waiting = Vec::new();
        let socket = loop {
            let socket = tcp();
            if poll_once(sock_connect(&socket, &address)).await.is_none()
                && poll_once(sock_connect(&socket, &address)).await.is_none()
            {
                break socket;
            }
            waiting.push(socket);
            assert!(waiting.len() < 10, "the queue has no end");
        };
        drop(waiting);
        let connected = zip(sock_connect(&socket, &address), async {
            loop {
                let (_, peer) = sock_accept(&listener).await.unwrap();
                if peer.as_socket() == socket.local_addr().unwrap().as_socket() {
                    break;
                }
            }
        });
        connected.await.0.unwrap();
    })
    .unwrap();
}

/// Behaviour: SCK-06.
#[test]
fn a_million_bytes_come_back_while_they_are_still_being_sent() {
    for into in [false, true] {
        let (address, server) = echo_server();
        run(async {
            let socket = tcp();
            sock_connect(&socket, &address).await.unwrap();
            let data = pattern(1_000_000);
            let send = sock_sendall(&socket, &data);
            let receive = async {
                let (mut all, mut buffer) = (Vec::new(), [0; 10_000]);
                while all.len() < data.len() {
                    if into {
                        let count = sock_recv_into(&socket, &mut buffer).await.unwrap();
                        all.extend(&buffer[..count]);
                    } else {
                        all.extend(sock_recv(&socket, 10_000).await.unwrap());
                    }
                }
                all
            };
            let (sent, received) = zip(send, receive).await;
            sent.unwrap();
            assert!(received == data);
        })
        .unwrap();
        server.join().unwrap();
    }
}

/// Behaviour: SCK-07, SCK-08.
#[test]
fn datagrams_come_with_their_senders_and_are_cut_to_the_buffer() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = SockAddr::from(server.local_addr().unwrap());
    let echo = thread::spawn(move || {
        let mut buffer = [0; 100];
        for _ in 0..4 {
            let (count, from) = server.recv_from(&mut buffer).unwrap();
            server.send_to(&buffer[..count], from).unwrap();
        }
    });
    run(async {
        let socket = Socket::from(UdpSocket::bind("127.0.0.1:0").unwrap());
        for (bufsize, expected) in [(100, &b"datagram"[..]), (4, b"data")] {
            assert_eq!(sock_sendto(&socket, b"datagram", &to).await.unwrap(), 8);
            let (data, from) = sock_recvfrom(&socket, bufsize).await.unwrap();
            assert_eq!((data.as_slice(), from.as_socket()), (expected, to.as_socket()));
        }
        let mut buffer = [0; 10];
        let error = sock_recvfrom_into(&socket, &mut buffer, 11).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), "11 bytes were asked for, and the buffer has 10");
        for (nbytes, expected) in [(0, 8), (3, 3)] {
            sock_sendto(&socket, b"datagram", &to).await.unwrap();
            let (count, from) = sock_recvfrom_into(&socket, &mut buffer, nbytes).await.unwrap();
            assert_eq!((count, from.as_socket()), (expected, to.as_socket()));
            assert_eq!(buffer[..count], b"datagram"[..count]);
        }
    })
    .unwrap();
    echo.join().unwrap();
}

/// Behaviour: SCK-09.
#[test]
fn a_datagram_for_a_full_receiver_waits_and_arrives() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let to = SockAddr::unix(&path).unwrap();
        let sender = Socket::from(UnixDatagram::unbound().unwrap());
        let mut sent = 0_u32;
        while poll_once(sock_sendto(&sender, &sent.to_ne_bytes(), &to)).await.is_some() {
            sent += 1;
        }
        let last = async {
            sock_sendto(&sender, &sent.to_ne_bytes(), &to).await.unwrap();
        };
        let read = async {
            yield_now().await;
            receiver.recv(&mut [0; 4]).unwrap();
        };
        zip(last, read).await;
        for number in 1..=sent {
            let mut buffer = [0; 4];
            receiver.recv(&mut buffer).unwrap();
            assert_eq!(u32::from_ne_bytes(buffer), number);
        }
    })
    .unwrap();
}

/// Behaviour: SCK-11.
#[test]
fn an_accepted_socket_does_not_block_and_knows_both_addresses() {
    run(async {
        let listener = Socket::from(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let client = tcp();
        let (accepted, connected) =
            zip(sock_accept(&listener), sock_connect(&client, &address)).await;
        connected.unwrap();
        let (server, peer) = accepted.unwrap();
        assert!(server.nonblocking().unwrap());
        let of = |address: SockAddr| address.as_socket();
        assert_eq!(of(peer), of(client.local_addr().unwrap()));
        assert_eq!(of(server.peer_addr().unwrap()), of(client.local_addr().unwrap()));
        assert_eq!(of(client.peer_addr().unwrap()), of(server.local_addr().unwrap()));
    })
    .unwrap();
}

/// Behaviour: SCK-12.
#[test]
fn an_accept_that_ran_out_of_time_leaves_the_listener_usable_and_then_closed() {
    testing::run(async {
        let listener = Socket::from(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let late = async {
            sleep(Duration::from_millis(100)).await;
            None
        };
        let accept = async { Some(sock_accept(&listener).await.unwrap()) };
        assert!(or(accept, late).await.is_none());
        let client = TcpStream::connect(address.as_socket().unwrap()).unwrap();
        sock_accept(&listener).await.unwrap();
        drop((client, listener));
        let error = sock_connect(&tcp(), &address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    })
    .unwrap();
}

#[test]
fn several_tasks_wait_for_one_socket_and_each_byte_goes_to_one_of_them() {
    run(async {
        let (ours, theirs) = pair();
        let write = async {
            yield_now().await;
            (&theirs).write_all(b"ab").unwrap();
        };
        let ((one, other), ()) = zip(zip(sock_recv(&ours, 1), sock_recv(&ours, 1)), write).await;
        let mut both = [one.unwrap(), other.unwrap()];
        both.sort();
        assert_eq!(both, [b"a", b"b"]);
    })
    .unwrap();
}

#[test]
fn a_blocking_socket_blocks_no_operation() {
    run(async {
        let (ours, theirs) = pair();
        ours.set_nonblocking(false).unwrap();
        assert!(poll_once(sock_recv(&ours, 1)).await.is_none());
        assert!(poll_once(sock_sendall(&ours, &vec![0; 10_000_000])).await.is_none());
        let listener = Socket::from(TcpListener::bind("127.0.0.1:0").unwrap());
        assert!(poll_once(sock_accept(&listener)).await.is_none());
        drop(theirs);
    })
    .unwrap();
}

#[test]
fn a_socket_that_an_io_handle_has_is_an_error_where_one_would_have_to_wait() {
    run(async {
        let (ours, theirs) = pair();
        let handle = IoHandle::new(ours).unwrap();
        let error = sock_recv(handle.get_ref(), 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        (&theirs).write_all(b"x").unwrap();
        assert_eq!(sock_recv(handle.get_ref(), 1).await.unwrap(), b"x", "but not at once");
    })
    .unwrap();
}

#[test]
fn an_interrupted_or_broken_connection_is_an_error_and_the_end_is_empty() {
    run(async {
        let (ours, theirs) = pair();
        drop(theirs);
        assert_eq!(sock_recv(&ours, 10).await.unwrap(), b"");
        assert_eq!(sock_recv_into(&ours, &mut [0; 10]).await.unwrap(), 0);
        let error = sock_sendall(&ours, b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe, "and no SIGPIPE");
        assert_eq!(sock_recv(&ours, 0).await.unwrap(), b"");
    })
    .unwrap();
}
