//! The reading half: what arrives, when, and how it ends.

mod harness;

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use asyncio_transport::Transport;
use harness::{
    Call, Recorder, on_each_selector, pattern, read_available, start, started, ticks, until,
};

#[test]
fn bytes_arrive_as_the_peer_sent_them() {
    on_each_selector(|event_loop| {
        let protocol = Recorder::new();
        let (_transport, mut peer) = started(event_loop, &protocol);
        peer.write_all(b"one").unwrap();
        ticks(event_loop, 1);
        peer.write_all(b"two").unwrap();
        ticks(event_loop, 2);
        assert_eq!(
            protocol.calls(),
            [Call::Made, Call::Data(b"one".into()), Call::Data(b"two".into())]
        );
    });
}

/// Design review, finding 2: an edge that brings data and FIN at once comes once.
///
/// Behaviour: SEL-20.
#[test]
fn data_and_fin_before_the_first_wait_are_both_seen() {
    on_each_selector(|event_loop| {
        let protocol = Recorder::new();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"a short read").unwrap();
        drop(theirs);
        Transport::socket(ours.into()).unwrap().start(event_loop, protocol.clone());
        until(event_loop, || protocol.is_lost());
        assert_eq!(
            protocol.calls(),
            [Call::Made, Call::Data(b"a short read".into()), Call::Eof, Call::Lost(None)]
        );
    });
}

#[test]
fn a_read_that_fills_the_buffer_is_followed_by_another_in_the_next_tick() {
    on_each_selector(|event_loop| {
        let protocol = Recorder::new();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let socket = socket2::Socket::from(ours);
        rustix_send_buffer(&theirs, 1 << 20);
        let sent = pattern(300 * 1024);
        theirs.set_nonblocking(true).unwrap();
        let fitted = theirs.write(&sent).unwrap();
        let transport = Transport::socket(socket).unwrap().start(event_loop, protocol.clone());
        until(event_loop, || protocol.received().len() >= fitted);
        assert_eq!(protocol.received(), sent[..fitted]);
        transport.abort();
    });
}

fn rustix_send_buffer(stream: &UnixStream, bytes: usize) {
    socket2::SockRef::from(stream).set_send_buffer_size(bytes).unwrap();
}

/// Behaviour: SEL-18.
#[test]
fn a_pause_inside_connection_made_holds_until_resume() {
    on_each_selector(|event_loop| {
        let protocol = Recorder::with_hook(|transport, call| {
            if *call == Call::Made {
                transport.pause_reading();
            }
        });
        let (transport, mut peer) = start(event_loop, &protocol);
        peer.write_all(b"early").unwrap();
        ticks(event_loop, 5);
        assert_eq!(protocol.calls(), [Call::Made]);
        assert!(!transport.is_reading());
        transport.resume_reading();
        assert_eq!(protocol.calls(), [Call::Made], "resume_reading never reads inline");
        ticks(event_loop, 2);
        assert_eq!(protocol.received(), b"early");
    });
}

#[test]
fn a_pause_inside_data_received_stops_the_next_read() {
    on_each_selector(|event_loop| {
        let protocol = Recorder::with_hook(|transport, call| {
            if matches!(call, Call::Data(_)) {
                transport.pause_reading();
            }
        });
        let (transport, mut peer) = started(event_loop, &protocol);
        peer.write_all(b"1").unwrap();
        ticks(event_loop, 3);
        peer.write_all(b"2").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        ticks(event_loop, 3);
        assert_eq!(protocol.received(), b"1");
        transport.resume_reading();
        ticks(event_loop, 3);
        assert_eq!(protocol.received(), b"12");
        assert_eq!(protocol.count(|call| *call == Call::Eof), 0, "paused again");
        transport.resume_reading();
        until(event_loop, || protocol.is_lost());
        assert_eq!(protocol.count(|call| *call == Call::Eof), 1);
    });
}

#[test]
fn pausing_and_resuming_inside_one_callback_loses_nothing() {
    on_each_selector(|event_loop| {
        let protocol = Recorder::with_hook(|transport, _| {
            transport.pause_reading();
            transport.resume_reading();
        });
        let (_transport, mut peer) = started(event_loop, &protocol);
        let sent = pattern(100_000);
        let mut rest = &sent[..];
        while !rest.is_empty() {
            if let Ok(count) = peer.write(rest) {
                rest = &rest[count..];
            }
            ticks(event_loop, 1);
        }
        drop(peer);
        until(event_loop, || protocol.is_lost());
        assert_eq!(protocol.received(), sent);
    });
}

/// Behaviour: SEL-20.
#[test]
fn a_peer_that_half_closed_still_gets_answers_when_eof_received_keeps_open() {
    on_each_selector(|event_loop| {
        let protocol = Recorder::new();
        protocol.keep_open.set(true);
        let (transport, peer) = started(event_loop, &protocol);
        peer.shutdown(Shutdown::Write).unwrap();
        until(event_loop, || protocol.count(|call| *call == Call::Eof) == 1);
        ticks(event_loop, 3);
        assert!(!transport.is_closing());
        transport.write(b"an answer");
        assert_eq!(read_available(&peer), b"an answer");
        transport.close();
        until(event_loop, || protocol.is_lost());
        assert_eq!(protocol.calls(), [Call::Made, Call::Eof, Call::Lost(None)]);
    });
}

#[test]
fn set_protocol_inside_data_received_hands_the_rest_to_the_other() {
    on_each_selector(|event_loop| {
        let second = Recorder::new();
        let first = Recorder::with_hook({
            let second = second.clone();
            move |transport, call| {
                if matches!(call, Call::Data(_)) {
                    transport.set_protocol(second.clone());
                }
            }
        });
        let (transport, mut peer) = started(event_loop, &first);
        peer.write_all(b"first").unwrap();
        ticks(event_loop, 2);
        peer.write_all(b"second").unwrap();
        ticks(event_loop, 2);
        drop(peer);
        until(event_loop, || second.is_lost());
        assert_eq!(first.calls(), [Call::Made, Call::Data(b"first".into())]);
        assert_eq!(second.calls(), [Call::Data(b"second".into()), Call::Eof, Call::Lost(None)]);
        assert!(transport.get_protocol().is_none());
        assert_eq!(Rc::strong_count(&second), 2, "the transport let it go; the hook has it");
    });
}

#[test]
fn stop_reading_is_an_eof_for_the_protocol_only_and_comes_once() {
    on_each_selector(|event_loop| {
        for keep_open in [false, true] {
            let protocol = Recorder::new();
            protocol.keep_open.set(keep_open);
            let (transport, mut peer) = started(event_loop, &protocol);
            peer.write_all(b"never read").unwrap();
            transport.stop_reading();
            transport.stop_reading();
            assert_eq!(protocol.calls(), [Call::Made], "in the next tick");
            ticks(event_loop, 3);
            assert_eq!(protocol.calls()[..2], [Call::Made, Call::Eof]);
            assert_eq!(transport.is_closing(), !keep_open);
            if keep_open {
                transport.write(b"an answer");
                assert_eq!(read_available(&peer), b"an answer");
            }
            drop(peer);
            transport.close();
            until(event_loop, || protocol.is_lost());
            assert_eq!(protocol.count(|call| *call == Call::Eof), 1);
            assert_eq!(protocol.received(), b"");
        }
    });
}
