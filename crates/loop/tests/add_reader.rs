//! `add_reader` and `add_writer`, on both selectors.

mod support;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use asyncio_coro::ContextVar;
use asyncio_loop::{EventLoop, IoHandle, testing};
use support::{Log, on_each_selector};

fn pair() -> (UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (ours, theirs)
}

/// Closes a stream without a word to the loop, and gives its number to another one; nobody gets it in between.
fn closed_and_replaced(dead: UnixStream, by: UnixStream) -> UnixStream {
    let mut number = OwnedFd::from(dead);
    rustix::io::dup2(&by, &mut number).unwrap();
    number.into()
}

fn ticks(event_loop: &EventLoop, count: usize) {
    for _ in 0..count {
        testing::run_once(event_loop).unwrap();
    }
}

/// Behaviour: EVT-18, SEL-07.
#[test]
fn a_reader_gets_what_arrives_and_may_remove_itself_at_the_end() {
    on_each_selector(|event_loop| {
        let (ours, mut theirs) = pair();
        let (received, removed) = (Log::new(), Rc::new(Cell::new(false)));
        let number = ours.as_raw_fd();
        let mut stream = ours.try_clone().unwrap();
        event_loop
            .add_reader(&ours, {
                let (log, removed) = (received.clone(), removed.clone());
                let event_loop = event_loop.clone();
                move || {
                    let mut buffer = [0; 100];
                    let count = stream.read(&mut buffer).unwrap();
                    log.push(buffer[..count].to_vec());
                    if count == 0 {
                        removed.set(event_loop.remove_reader(&number));
                        event_loop.stop();
                    }
                }
            })
            .unwrap();
        theirs.write_all(b"abc").unwrap();
        ticks(&event_loop, 2);
        theirs.write_all(b"def").unwrap();
        ticks(&event_loop, 2);
        drop(theirs);
        event_loop.run_forever().unwrap();
        assert_eq!(received.take(), [b"abc".to_vec(), b"def".to_vec(), Vec::new()]);
        assert!(removed.get());
        assert!(!event_loop.remove_reader(&ours), "only once");
    });
}

/// Behaviour: EVT-19.
#[test]
fn a_writer_sends_and_is_removed_once() {
    on_each_selector(|event_loop| {
        let (ours, mut theirs) = pair();
        let (mut stream, inside) = (ours.try_clone().unwrap(), event_loop.clone());
        event_loop
            .add_writer(&ours, move || {
                stream.write_all(&[7; 1024]).unwrap();
                inside.stop();
            })
            .unwrap();
        event_loop.run_forever().unwrap();
        assert!(event_loop.remove_writer(&ours));
        assert!(!event_loop.remove_writer(&ours));
        let mut received = [0; 1024];
        theirs.read_exact(&mut received).unwrap();
        assert_eq!(received, [7; 1024]);
    });
}

#[test]
fn a_reader_is_called_every_tick_for_what_it_leaves_unread() {
    on_each_selector(|event_loop| {
        let (ours, mut theirs) = pair();
        let calls = Log::new();
        let log = calls.clone();
        event_loop.add_reader(&ours, move || log.push(())).unwrap();
        ticks(&event_loop, 3);
        assert_eq!(calls.take().len(), 0, "there is nothing yet");
        theirs.write_all(b"x").unwrap();
        ticks(&event_loop, 5);
        assert_eq!(calls.take().len(), 5);
        event_loop.remove_reader(&ours);
        ticks(&event_loop, 3);
        assert_eq!(calls.take().len(), 0);
    });
}

/// Behaviour: SEL-05, SEL-06, SEL-08.
#[test]
fn a_new_reader_replaces_the_old_one_and_leaves_the_writer_and_the_other_way_round() {
    on_each_selector(|event_loop| {
        let (ours, mut theirs) = pair();
        theirs.write_all(b"x").unwrap();
        let calls = Log::new();
        let call = |name: &'static str| {
            let log = calls.clone();
            move || log.push(name)
        };
        event_loop.add_reader(&ours, call("reader 1")).unwrap();
        ticks(&event_loop, 1);
        assert_eq!(calls.take(), ["reader 1"], "nobody asked about writing");
        event_loop.add_writer(&ours, call("writer 1")).unwrap();
        event_loop.add_reader(&ours, call("reader 2")).unwrap();
        ticks(&event_loop, 1);
        assert_eq!(calls.take(), ["reader 2", "writer 1"]);
        event_loop.add_writer(&ours, call("writer 2")).unwrap();
        ticks(&event_loop, 1);
        assert_eq!(calls.take(), ["reader 2", "writer 2"]);
        assert!(event_loop.remove_reader(&ours));
        ticks(&event_loop, 1);
        assert_eq!(calls.take(), ["writer 2"]);
        assert!(event_loop.remove_writer(&ours));
        ticks(&event_loop, 1);
        assert_eq!(calls.take(), [""; 0]);
        // Nobody watches it any more, so anybody else may.
        let again = event_loop.clone();
        event_loop
            .run_until_complete(async move {
                let _handle = IoHandle::new(ours.as_fd()).unwrap();
                let error = again.add_reader(&ours, || ()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::AlreadyExists);
            })
            .unwrap();
    });
}

/// Behaviour: UNX-30.
#[test]
fn a_descriptor_that_belongs_to_an_io_handle_takes_no_callback() {
    on_each_selector(|event_loop| {
        let inside = event_loop.clone();
        event_loop
            .run_until_complete(async move {
                let (ours, _theirs) = pair();
                let number = ours.as_raw_fd();
                let handle = IoHandle::new(ours).unwrap();
                for added in [
                    inside.add_reader(handle.get_ref(), || ()),
                    inside.add_writer(handle.get_ref(), || ()),
                ] {
                    let error = added.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
                    assert!(error.to_string().contains(&number.to_string()), "{error}");
                }
                assert!(!inside.remove_reader(&number) && !inside.remove_writer(&number));
                assert_eq!(handle.write_with(|mut it| it.write(b"x")).await.unwrap(), 1);
            })
            .unwrap();
    });
}

#[test]
fn a_reader_may_replace_or_remove_itself_and_the_writer_while_it_runs() {
    on_each_selector(|event_loop| {
        let (ours, mut theirs) = pair();
        theirs.write_all(b"x").unwrap();
        let calls = Log::new();
        let ours = Rc::new(ours);
        event_loop
            .add_reader(&*ours, {
                let (log, event_loop, ours) = (calls.clone(), event_loop.clone(), ours.clone());
                move || {
                    log.push("first");
                    assert!(event_loop.remove_writer(&*ours));
                    let log = log.clone();
                    event_loop.add_reader(&*ours, move || log.push("second")).unwrap();
                }
            })
            .unwrap();
        event_loop.add_writer(&*ours, calls.clone().entry_again("writer")).unwrap();
        ticks(&event_loop, 2);
        assert_eq!(calls.take(), ["first", "second"]);
        event_loop.remove_reader(&*ours);
    });
}

#[test]
fn a_reader_that_panics_is_reported_and_stays_and_the_writer_is_called() {
    on_each_selector(|event_loop| {
        let (ours, mut theirs) = pair();
        theirs.write_all(b"x").unwrap();
        let (reports, calls) = (Log::new(), Log::new());
        let log = reports.clone();
        event_loop.set_exception_handler(move |_, context| log.push(context.message().to_owned()));
        event_loop.add_reader(&ours, || panic!("on purpose")).unwrap();
        event_loop.add_writer(&ours, calls.clone().entry_again("writer")).unwrap();
        ticks(&event_loop, 2);
        let message = format!("exception in the reader of file descriptor {}", ours.as_raw_fd());
        assert_eq!(reports.take(), [message.clone(), message]);
        assert_eq!(calls.take().len(), 2);
    });
}

#[test]
fn a_number_that_was_closed_and_given_to_another_file_can_be_watched_anew() {
    on_each_selector(|event_loop| {
        let calls = Log::new();
        let (ours, _theirs) = pair();
        let number = ours.as_raw_fd();
        event_loop.add_reader(&ours, calls.clone().entry_again("reader of the dead")).unwrap();
        event_loop.add_writer(&ours, calls.clone().entry_again("writer of the dead")).unwrap();
        let (other, mut theirs) = pair();
        let ours = closed_and_replaced(ours, other);
        assert_eq!(ours.as_raw_fd(), number);
        event_loop.add_reader(&ours, calls.clone().entry_again("reader")).unwrap();
        theirs.write_all(b"x").unwrap();
        ticks(&event_loop, 1);
        assert_eq!(calls.take(), ["reader"]);
        assert!(!event_loop.remove_writer(&ours), "it went with its file");
        assert!(event_loop.remove_reader(&ours));
    });
}

/// Runs a test with what is left of a closed descriptor's reader, and an `IoHandle` whose file has its number now.
fn after_the_reader_of_a_dead_file(test: impl Fn(&EventLoop, &IoHandle<UnixStream>)) {
    let (event_loop, clock) = testing::virtual_loop(testing::ClockMode::AutoJump).unwrap();
    clock.set_deadlock_grace(std::time::Duration::ZERO);
    let inside = event_loop.clone();
    event_loop
        .run_until_complete(async move {
            let (dead, _theirs) = pair();
            inside.add_reader(&dead, || unreachable!("it is dead")).unwrap();
            let (other, mut theirs) = pair();
            let ours = closed_and_replaced(dead, other);
            let handle = IoHandle::new(ours).unwrap();
            let mut buffer = [0; 1];
            let nothing = handle.read_with(|mut stream| stream.read(&mut buffer));
            assert!(futures_lite::future::poll_once(nothing).await.is_none());
            test(&inside, &handle);
            inside.call_soon(move || theirs.write_all(b"x").unwrap());
            handle.read_with(|mut stream| stream.read(&mut buffer)).await.unwrap();
            assert_eq!(&buffer, b"x");
        })
        .unwrap();
}

#[test]
fn removing_the_reader_of_a_dead_file_leaves_the_handle_that_has_its_number_alone() {
    after_the_reader_of_a_dead_file(|event_loop, handle| {
        assert!(event_loop.remove_reader(handle.get_ref()), "that of the dead one");
        assert!(!event_loop.remove_reader(handle.get_ref()));
    });
}

#[test]
fn a_number_that_a_handle_has_by_now_takes_no_callback_in_place_of_the_dead_files() {
    after_the_reader_of_a_dead_file(|event_loop, handle| {
        let error = event_loop.add_writer(handle.get_ref(), || ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    });
}

#[test]
fn a_regular_file_cannot_be_watched() {
    on_each_selector(|event_loop| {
        let file = File::open("Cargo.toml").unwrap();
        let error = event_loop.add_reader(&file, || ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("regular file"), "{error}");
        assert!(!event_loop.remove_reader(&file));
    });
}

/// Behaviour: EVT-17, SEL-02.
#[test]
fn closing_the_loop_drops_callbacks_and_refuses_new_ones() {
    struct Dropped(Log<&'static str>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.push("dropped");
        }
    }
    on_each_selector(|event_loop| {
        let (ours, _theirs) = pair();
        let log = Log::new();
        let (reader, writer) = (Dropped(log.clone()), Dropped(log.clone()));
        event_loop.add_reader(&ours, move || _ = &reader).unwrap();
        event_loop.add_writer(&ours, move || _ = &writer).unwrap();
        event_loop.close().unwrap();
        assert_eq!(log.take(), ["dropped", "dropped"]);
        assert!(!event_loop.remove_reader(&ours) && !event_loop.remove_writer(&ours));
        let error = event_loop.add_reader(&ours, || ()).unwrap_err();
        assert!(error.to_string().contains("closed"), "{error}");
        assert!(event_loop.add_writer(&ours, || ()).is_err());
    });
}

#[test]
fn a_callback_runs_in_the_context_of_its_registration() {
    static WHO: ContextVar<&str> = ContextVar::new("who");
    on_each_selector(|event_loop| {
        let (ours, _theirs) = pair();
        let seen = Rc::new(RefCell::new(Vec::new()));
        let former = WHO.set("then");
        let log = seen.clone();
        event_loop.add_writer(&ours, move || log.borrow_mut().push(WHO.get())).unwrap();
        WHO.set("now");
        ticks(&event_loop, 1);
        assert_eq!(*seen.borrow(), [Some("then")]);
        WHO.reset(former).unwrap();
    });
}

#[test]
fn a_descriptor_closed_while_it_is_watched_is_told_of_no_more_and_disturbs_nobody() {
    on_each_selector(|event_loop| {
        let calls = Log::new();
        let (closed, mut its_peer) = pair();
        let (open, mut other_peer) = pair();
        event_loop.add_reader(&closed, calls.clone().entry_again("closed")).unwrap();
        event_loop.add_reader(&open, calls.clone().entry_again("open")).unwrap();
        let number = closed.as_raw_fd();
        drop(closed);
        let _ = its_peer.write_all(b"x"); // nobody is there
        other_peer.write_all(b"x").unwrap();
        ticks(&event_loop, 3);
        assert_eq!(calls.take(), ["open"; 3]);
        assert!(event_loop.remove_reader(&number), "it is still listed");
        ticks(&event_loop, 1);
        assert_eq!(calls.take(), ["open"]);
    });
}

#[test]
fn a_loop_is_closed_under_the_load_of_many_callbacks() {
    on_each_selector(|event_loop| {
        let pairs: Rc<Vec<_>> = Rc::new((0..100).map(|_| pair()).collect());
        let (adding, calls) = (event_loop.clone(), Log::new());
        for (index, (ours, theirs)) in pairs.iter().enumerate() {
            (&mut &*theirs).write_all(b"x").unwrap();
            let (event_loop, pairs, calls) = (event_loop.clone(), pairs.clone(), calls.clone());
            let reader = move || {
                calls.push(index);
                let next = &pairs[(index + 1) % pairs.len()].0;
                event_loop.remove_reader(next);
                event_loop.add_writer(next, || ()).unwrap();
            };
            adding.add_reader(ours, reader).unwrap();
        }
        ticks(&event_loop, 1);
        let called = calls.take();
        assert_eq!(called.len(), 50, "each removes the one behind it before its turn");
        event_loop.close().unwrap();
        assert_eq!(Rc::strong_count(&pairs), 1, "all callbacks are gone");
    });
}
