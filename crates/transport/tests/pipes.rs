//! Transports over one end of a pipe.

mod harness;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use asyncio_loop::EventLoop;
use asyncio_transport::Transport;
use harness::{Call, ClosedAtLast, Recorder, on_each_selector, pattern, ticks, until};
use socket2::{Domain, Socket, Type};

fn pipe() -> (File, File) {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    (reader.into(), writer.into())
}

#[test]
fn a_read_pipe_delivers_everything_then_eof_then_closes_whatever_eof_received_says() {
    on_each_selector(|event_loop| {
        let (reader, mut writer) = pipe();
        let protocol = Recorder::new();
        protocol.keep_open.set(true);
        let builder = Transport::read_pipe(reader.into()).unwrap();
        let transport = builder.start(event_loop, protocol.clone());
        ticks(event_loop, 2);
        let sent = pattern(60_000);
        writer.write_all(&sent).unwrap();
        drop(writer);
        until(event_loop, || protocol.is_lost());
        assert_eq!(protocol.received(), sent);
        let calls = protocol.calls();
        assert_eq!(calls[calls.len() - 2..], [Call::Eof, Call::Lost(None)]);
        assert!(!transport.can_write_eof());
    });
}

/// A terminal gives one line a read, a socket of messages one message: a short read does not mean
/// that nothing is left.
#[test]
fn a_read_pipe_whose_file_gives_little_at_a_time_is_read_until_nothing_is_left() {
    on_each_selector(|event_loop| {
        let (ours, peer) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        let protocol = Recorder::new();
        let builder = Transport::read_pipe(ours.into()).unwrap();
        builder.start(event_loop, protocol.clone());
        ticks(event_loop, 3);
        for message in [b"one, ", b"two, ", b"three"] {
            assert_eq!(peer.send(message).unwrap(), 5);
        }
        until(event_loop, || protocol.received() == b"one, two, three");
    });
}

#[test]
fn a_write_pipe_writes_under_flow_control_and_write_eof_closes_it() {
    on_each_selector(|event_loop| {
        let (mut reader, writer) = pipe();
        let protocol = Recorder::new();
        let builder = Transport::write_pipe(writer.into()).unwrap();
        let transport = builder.start(event_loop, protocol.clone());
        let sent = pattern(500_000);
        transport.write(&sent);
        assert_eq!(protocol.count(|call| *call == Call::Pause), 1);
        transport.write_eof();
        let mut received = vec![0; sent.len()];
        for chunk in received.chunks_mut(50_000) {
            let filled = std::cell::RefCell::new((chunk, 0));
            until(event_loop, || {
                // At most what is certainly there: a blocking read would wait for ourselves.
                let (chunk, done) = &mut *filled.borrow_mut();
                let available = rustix::io::ioctl_fionread(&reader).unwrap() as usize;
                let end = chunk.len().min(*done + available);
                reader.read_exact(&mut chunk[*done..end]).unwrap();
                *done = end;
                end == chunk.len()
            });
        }
        assert!(received == sent);
        until(event_loop, || protocol.is_lost());
        assert_eq!(protocol.calls().last(), Some(&Call::Lost(None)));
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn a_write_pipe_notices_that_its_reader_went() {
    on_each_selector(|event_loop| {
        for (unsent, expected) in [(false, None), (true, Some(io::ErrorKind::BrokenPipe))] {
            let (reader, writer) = pipe();
            let protocol = Recorder::new();
            let builder = Transport::write_pipe(writer.into()).unwrap();
            let transport = builder.start(event_loop, protocol.clone());
            ticks(event_loop, 2);
            if unsent {
                transport.write(&pattern(500_000));
            }
            drop(reader);
            until(event_loop, || protocol.is_lost());
            assert_eq!(protocol.calls().last(), Some(&Call::Lost(expected)));
        }
    });
}

#[test]
fn other_kinds_of_files_are_refused() {
    let file = || OwnedFd::from(File::open("/proc/self/exe").unwrap());
    for refused in [Transport::read_pipe(file()), Transport::write_pipe(file())] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("RegularFile"), "{error}");
    }
}

#[test]
#[should_panic(expected = "write() on a transport that only reads")]
fn a_write_on_a_read_pipe_is_a_mistake() {
    let event_loop = ClosedAtLast(EventLoop::new().unwrap());
    let (reader, _writer) = pipe();
    let builder = Transport::read_pipe(reader.into()).unwrap();
    builder.start(&event_loop.0, Recorder::new()).write(b"x");
}
