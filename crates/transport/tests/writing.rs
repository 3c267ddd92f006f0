//! The writing half: order, flow control, half-close, and what happens after the end.

mod harness;

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use asyncio_loop::EventLoop;
use harness::{
    Call, ClosedAtLast, Recorder, on_each_selector, pattern, read_available, started, ticks, until,
};

/// Behaviour: SEL-22, SEL-23.
#[test]
fn a_write_goes_out_at_once_and_an_empty_one_does_nothing() {
    on_each_selector(|event_loop| {
        let protocol = Recorder::new();
        let (transport, peer) = started(event_loop, &protocol);
        transport.write(b"");
        transport.write(b"now");
        assert_eq!(transport.get_write_buffer_size(), 0);
        assert_eq!(read_available(&peer), b"now");
    });
}

#[test]
fn a_write_before_connection_made_goes_out_too() {
    on_each_selector(|event_loop| {
        let protocol = Recorder::new();
        let (transport, peer) = harness::start(event_loop, &protocol);
        let sent = pattern(3 << 20);
        transport.write(&sent);
        let mut received = Vec::new();
        while received.len() < sent.len() {
            received.extend(read_available(&peer));
            ticks(event_loop, 1);
        }
        assert_eq!(received, sent);
    });
}

/// Behaviour: SEL-24, SEL-29, XTR-10.
#[test]
fn what_the_kernel_does_not_take_follows_in_order_and_pausing_alternates_with_resuming() {
    on_each_selector(|event_loop| {
        let protocol = Recorder::new();
        let (transport, peer) = started(event_loop, &protocol);
        let sent = pattern(5_000_000);
        let mut received = Vec::new();
        for piece in sent.chunks(77_777) {
            transport.write(&piece[..1]);
            transport.write(&piece[1..]);
            if transport.get_write_buffer_size() > 300_000 {
                while transport.get_write_buffer_size() > 10_000 {
                    received.extend(read_available(&peer));
                    ticks(event_loop, 1);
                }
            }
        }
        transport.close();
        until(event_loop, || {
            // A closing transport flushes as long as the peer reads.
            protocol.is_lost() || {
                let mut buffer = [0; 65_536];
                if let Ok(count) = (&peer).read(&mut buffer) {
                    protocol.calls.borrow_mut().push(Call::Data(buffer[..count].to_vec()));
                }
                false
            }
        });
        received.extend(protocol.received());
        received.extend(read_available(&peer));
        assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
        let mut paused = false;
        for call in protocol.calls() {
            match call {
                Call::Pause => assert!(!std::mem::replace(&mut paused, true)),
                Call::Resume => assert!(std::mem::replace(&mut paused, false)),
                _ => {}
            }
        }
        assert!(protocol.count(|call| *call == Call::Pause) > 1);
        assert_eq!(protocol.calls().last(), Some(&Call::Lost(None)));
    });
}

#[test]
fn pause_writing_comes_inside_write_above_high_and_resume_at_low() {
    on_each_selector(|event_loop| {
        let sizes = Rc::new(Cell::new((0, 0)));
        let protocol = Recorder::with_hook({
            let sizes = sizes.clone();
            move |transport, call| {
                let size = transport.get_write_buffer_size();
                match call {
                    Call::Pause => sizes.set((size, sizes.get().1)),
                    Call::Resume => sizes.set((sizes.get().0, size)),
                    _ => {}
                }
            }
        });
        let (transport, peer) = started(event_loop, &protocol);
        fill_kernel(&transport);
        let before = transport.get_write_buffer_size();
        transport.write(&vec![0; 64 * 1024 - before]);
        assert_eq!(transport.get_write_buffer_size(), 64 * 1024);
        assert_eq!(protocol.count(|call| *call == Call::Pause), 0, "at the mark is not above it");
        transport.write(b"x");
        assert_eq!(protocol.count(|call| *call == Call::Pause), 1, "inside write");
        transport.write(b"y");
        assert_eq!(protocol.count(|call| *call == Call::Pause), 1, "once");
        assert_eq!(sizes.get().0, 64 * 1024 + 1);
        until(event_loop, || {
            read_available(&peer);
            protocol.count(|call| *call == Call::Resume) == 1
        });
        assert!(sizes.get().1 <= 16 * 1024);
    });
}

/// Writes until the kernel takes no more; a little is then buffered by us.
fn fill_kernel(transport: &asyncio_transport::Transport) {
    while transport.get_write_buffer_size() == 0 {
        transport.write(&[1; 1024]);
    }
}

/// Behaviour: TRN-04.
#[test]
fn lowering_the_limits_pauses_at_once_and_wrong_ones_are_refused() {
    on_each_selector(|event_loop| {
        let protocol = Recorder::new();
        let (transport, _peer) = started(event_loop, &protocol);
        fill_kernel(&transport);
        let buffered = transport.get_write_buffer_size();
        transport.set_write_buffer_limits(Some(buffered), Some(1)).unwrap();
        assert_eq!(protocol.count(|call| *call == Call::Pause), 0);
        let error = transport.set_write_buffer_limits(Some(1), Some(2)).unwrap_err();
        assert_eq!(error.to_string(), "high-water mark 1 is below low-water mark 2");
        assert_eq!(transport.get_write_buffer_limits().high, buffered);
        transport.set_write_buffer_limits(Some(0), None).unwrap();
        assert_eq!(protocol.count(|call| *call == Call::Pause), 1);
        let limits = transport.get_write_buffer_limits();
        assert_eq!((limits.low, limits.high), (0, 0));
    });
}

#[test]
fn a_write_inside_pause_writing_inside_a_write_is_in_order() {
    on_each_selector(|event_loop| {
        let protocol = Recorder::with_hook(|transport, call| match call {
            Call::Data(_) => {
                fill_kernel(transport);
                transport.write(&vec![2; 200_000]);
                transport.write(&[4]);
            }
            Call::Pause => transport.write(&[3]),
            _ => {}
        });
        let (transport, mut peer) = started(event_loop, &protocol);
        io::Write::write_all(&mut peer, b"go").unwrap();
        until(event_loop, || protocol.count(|call| *call == Call::Pause) == 1);
        let mut received = Vec::new();
        while transport.get_write_buffer_size() > 0 {
            received.extend(read_available(&peer));
            ticks(event_loop, 1);
        }
        received.extend(read_available(&peer));
        assert_eq!(received[received.len() - 3..], [2, 3, 4]);
        assert!(received.is_sorted());
    });
}

/// Behaviour: SEL-27.
#[test]
fn writelines_sends_all_pieces_in_order_and_pauses_once() {
    on_each_selector(|event_loop| {
        let protocol = Recorder::new();
        let (transport, peer) = started(event_loop, &protocol);
        transport.writelines(["a", "", "bc"]);
        assert_eq!(read_available(&peer), b"abc");
        let sent = pattern(2_000_000);
        for (round, size) in [1_000, 40_007, 1_999_999].into_iter().enumerate() {
            transport.writelines(sent.chunks(size));
            assert_eq!(protocol.count(|call| *call == Call::Pause), round + 1);
            let mut received = Vec::new();
            while received.len() < sent.len() {
                received.extend(read_available(&peer));
                ticks(event_loop, 1);
            }
            assert!(received == sent);
        }
    });
}

/// Behaviour: SEL-32.
#[test]
fn write_eof_half_closes_once_what_is_buffered_went_out() {
    on_each_selector(|event_loop| {
        let protocol = Recorder::new();
        let (transport, mut peer) = started(event_loop, &protocol);
        assert!(transport.can_write_eof());
        let sent = pattern(1_000_000);
        transport.write(&sent);
        assert!(transport.get_write_buffer_size() > 0);
        transport.write_eof();
        transport.write_eof();
        let mut received = Vec::new();
        let mut buffer = vec![0; 65_536];
        loop {
            match peer.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => received.extend_from_slice(&buffer[..count]),
                Err(_) => ticks(event_loop, 1),
            }
        }
        assert!(received == sent);
        io::Write::write_all(&mut peer, b"still heard").unwrap();
        until(event_loop, || protocol.received() == b"still heard");
        assert!(!transport.is_closing());
    });
}

#[test]
#[should_panic(expected = "write() after write_eof()")]
fn a_write_after_write_eof_is_a_mistake() {
    let event_loop = ClosedAtLast(EventLoop::new().unwrap());
    let (transport, _peer) = started(&event_loop.0, &Recorder::new());
    transport.write_eof();
    transport.write(b"x");
}

/// Behaviour: SEL-10, SEL-11, SEL-31.
#[test]
fn close_flushes_first_and_abort_does_not() {
    on_each_selector(|event_loop| {
        for flush in [true, false] {
            let protocol = Recorder::new();
            let (transport, peer) = started(event_loop, &protocol);
            let sent = pattern(1_000_000);
            transport.write(&sent);
            transport.close();
            transport.close();
            ticks(event_loop, 3);
            assert!(transport.is_closing() && !protocol.is_lost());
            if !flush {
                transport.abort();
                assert_eq!(transport.get_write_buffer_size(), 0);
                assert!(!protocol.is_lost(), "in the next tick");
                ticks(event_loop, 1);
                assert!(protocol.is_lost());
            }
            let mut received = Vec::new();
            while !protocol.is_lost() {
                received.extend(read_available(&peer));
                ticks(event_loop, 1);
            }
            received.extend(read_available(&peer));
            assert_eq!(received.len() == sent.len(), flush);
            assert!(sent.starts_with(&received));
        }
    });
}

/// Behaviour: SEL-34.
#[test]
fn what_resume_writing_adds_during_the_final_flush_is_still_sent() {
    on_each_selector(|event_loop| {
        let protocol = Recorder::with_hook(|transport, call| {
            if *call == Call::Resume {
                transport.write(b"the very last words");
            }
        });
        let (transport, peer) = started(event_loop, &protocol);
        fill_kernel(&transport);
        transport.write(&vec![0; 100_000]);
        transport.close();
        let mut received = Vec::new();
        while !protocol.is_lost() {
            received.extend(read_available(&peer));
            ticks(event_loop, 1);
        }
        received.extend(read_available(&peer));
        assert!(received.ends_with(b"the very last words"));
        assert_eq!(protocol.calls().last(), Some(&Call::Lost(None)));
    });
}

/// Behaviour: SEL-25, SEL-26.
#[test]
fn writes_after_the_loss_are_dropped() {
    on_each_selector(|event_loop| {
        let protocol = Recorder::new();
        let (transport, peer) = started(event_loop, &protocol);
        drop(peer);
        transport.write(b"into the void");
        assert!(transport.is_closing(), "the send failed");
        for _ in 0..10 {
            transport.write(b"dropped");
            transport.writelines(["dropped", "too"]);
        }
        assert_eq!(transport.get_write_buffer_size(), 0);
        until(event_loop, || protocol.is_lost());
        transport.write(b"still dropped");
        ticks(event_loop, 2);
        let lost = protocol.calls().last().cloned();
        assert_eq!(lost, Some(Call::Lost(Some(io::ErrorKind::BrokenPipe))));
    });
}

#[test]
fn poll_flushed_is_ready_once_the_buffer_is_empty_or_never_will_be() {
    on_each_selector(|event_loop| {
        let protocol = Recorder::new();
        let (transport, peer) = started(event_loop, &protocol);
        let mut cx = Context::from_waker(Waker::noop());
        let mut flushed = || transport.poll_flushed(&mut cx).map_err(|error| error.kind());
        assert_eq!(flushed(), Poll::Ready(Ok(())));
        transport.write(&pattern(1_000_000));
        assert_eq!(flushed(), Poll::Pending);
        while transport.get_write_buffer_size() > 0 {
            read_available(&peer);
            ticks(event_loop, 1);
        }
        assert_eq!(flushed(), Poll::Ready(Ok(())));
        transport.write(&pattern(3_000_000));
        assert_eq!(flushed(), Poll::Pending);
        transport.abort();
        assert_eq!(flushed(), Poll::Pending, "connection_lost comes first");
        ticks(event_loop, 1);
        assert!(protocol.is_lost());
        assert_eq!(flushed(), Poll::Ready(Err(io::ErrorKind::BrokenPipe)));
    });
}

#[test]
fn a_close_with_nothing_left_to_flush_is_no_error_for_who_flushes() {
    on_each_selector(|event_loop| {
        let (transport, _peer) = started(event_loop, &Recorder::new());
        let mut cx = Context::from_waker(Waker::noop());
        transport.write(b"all of it");
        transport.close();
        assert!(matches!(transport.poll_flushed(&mut cx), Poll::Ready(Ok(()))));
        ticks(event_loop, 1);
        assert!(matches!(transport.poll_flushed(&mut cx), Poll::Ready(Ok(()))));
        transport.write(b"too late");
        assert!(matches!(transport.poll_flushed(&mut cx), Poll::Ready(Err(_))));
    });
}
