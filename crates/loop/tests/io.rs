//! Readiness of descriptors, on both selectors.

mod support;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use asyncio_loop::{EventLoop, IoHandler, Ready, Registration, testing};
use support::{Log, on_each_selector};

/// A connection that reads as the documentation of `IoHandler` says: until the call would block, or until a short read
/// where that is enough.
struct Reader {
    stream: RefCell<TcpStream>,
    registration: RefCell<Option<Registration>>,
    received: Log<Vec<u8>>,
    event_loop: EventLoop,
    reads: Cell<usize>,
}

impl Reader {
    fn start(event_loop: &EventLoop, stream: TcpStream) -> Rc<Self> {
        stream.set_nonblocking(true).unwrap();
        let reader = Rc::new(Self {
            stream: RefCell::new(stream),
            registration: RefCell::default(),
            received: Log::new(),
            event_loop: event_loop.clone(),
            reads: Cell::new(0),
        });
        let registration =
            event_loop.register(reader.stream.borrow().as_fd(), reader.clone()).unwrap();
        *reader.registration.borrow_mut() = Some(registration);
        reader
    }
}

impl IoHandler for Reader {
    fn on_ready(self: Rc<Self>, ready: Ready) {
        if !ready.is_readable() {
            return;
        }
        let mut buffer = [0; 4096];
        loop {
            self.reads.set(self.reads.get() + 1);
            let result = self.stream.borrow_mut().read(&mut buffer);
            match result {
                Ok(0) => {
                    self.received.push(Vec::new());
                    let registration = self.registration.take();
                    drop(registration);
                    return self.event_loop.stop();
                }
                Ok(n) => {
                    self.received.push(buffer[..n].to_vec());
                    let registration = self.registration.borrow();
                    let registration = registration.as_ref().unwrap();
                    let may_stop = n < buffer.len() && registration.reports_hang_up();
                    if may_stop && !registration.ready().is_hup() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server)
}

/// A handler that logs what it is told.
struct OnReady(Log<Ready>);

impl IoHandler for OnReady {
    fn on_ready(self: Rc<Self>, ready: Ready) {
        self.0.push(ready);
    }
}

#[test]
fn data_and_fin_before_the_first_wait_are_not_lost() {
    on_each_selector(|event_loop| {
        let (ours, mut theirs) = tcp_pair();
        theirs.write_all(&[7; 100]).unwrap();
        theirs.shutdown(Shutdown::Write).unwrap();
        let reader = Reader::start(&event_loop, ours);
        event_loop.run_forever().unwrap();
        assert_eq!(reader.received.take(), [vec![7; 100], vec![]]);
    });
}

#[test]
fn fin_that_comes_with_the_data_of_a_later_edge_is_not_lost() {
    on_each_selector(|event_loop| {
        for _ in 0..20 {
            let (ours, mut theirs) = tcp_pair();
            let reader = Reader::start(&event_loop, ours);
            testing::run_once(&event_loop).unwrap();
            theirs.write_all(b"first").unwrap();
            while reader.received.items().is_empty() {
                testing::run_once(&event_loop).unwrap();
            }
            theirs.write_all(b"last").unwrap();
            drop(theirs);
            event_loop.run_forever().unwrap();
            assert_eq!(reader.received.take().concat(), b"firstlast");
        }
    });
}

#[test]
fn a_short_read_saves_the_second_one_where_hang_ups_are_reported() {
    let event_loop = EventLoop::new().unwrap();
    let (ours, mut theirs) = tcp_pair();
    let reader = Reader::start(&event_loop, ours);
    testing::run_once(&event_loop).unwrap();
    let before = reader.reads.get();
    theirs.write_all(b"x").unwrap();
    while reader.received.items().is_empty() {
        testing::run_once(&event_loop).unwrap();
    }
    if reader.registration.borrow().as_ref().unwrap().reports_hang_up() {
        assert_eq!(reader.reads.get() - before, 1);
    }
    event_loop.close().unwrap();
}

#[test]
fn hangup_is_sticky() {
    on_each_selector(|event_loop| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let log = Log::new();
        let registration =
            event_loop.register(ours.as_fd(), Rc::new(OnReady(log.clone()))).unwrap();
        testing::run_once(&event_loop).unwrap();
        assert_eq!(registration.ready(), Ready::NONE);
        assert_eq!(log.take(), [Ready::WRITE]);
        drop(theirs);
        testing::run_once(&event_loop).unwrap();
        assert!(log.take()[0].is_hup());
        testing::run_once(&event_loop).unwrap();
        assert!(log.take().is_empty(), "an edge comes once");
        assert!(registration.ready().is_hup());
    });
}

#[test]
fn a_broken_pipe_is_an_error_for_its_writer() {
    on_each_selector(|event_loop| {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let log = Log::new();
        let registration =
            event_loop.register(writer.as_fd(), Rc::new(OnReady(log.clone()))).unwrap();
        drop(reader);
        testing::run_once(&event_loop).unwrap();
        let ready = log.take()[0];
        assert!(ready.is_writable() && (ready.is_error() || ready.is_hup()), "{ready:?}");
        drop(registration);
    });
}

#[test]
fn registering_a_descriptor_twice_is_an_error_that_names_it() {
    on_each_selector(|event_loop| {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let handler = Rc::new(OnReady(Log::new()));
        let registration = event_loop.register(ours.as_fd(), handler.clone()).unwrap();
        let error = event_loop.register(ours.as_fd(), handler.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        let number = std::os::fd::AsRawFd::as_raw_fd(&ours);
        assert!(error.to_string().contains(&format!("file descriptor {number} ")), "{error}");
        drop(registration);
        let again = event_loop.register(ours.as_fd(), handler).unwrap();
        drop(again);
    });
}

#[test]
fn a_regular_file_gives_an_error_that_says_so() {
    on_each_selector(|event_loop| {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        let error = event_loop.register(file.as_fd(), Rc::new(OnReady(Log::new()))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("regular file"), "{error}");
    });
}

/// Behaviour: EVT-17.
#[test]
fn a_closed_loop_registers_nothing() {
    on_each_selector(|event_loop| {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        event_loop.close().unwrap();
        let error = event_loop.register(ours.as_fd(), Rc::new(OnReady(Log::new()))).unwrap_err();
        assert_eq!(error.to_string(), "event loop is closed");
    });
}

#[test]
fn a_requeued_handler_is_called_once_in_the_next_tick() {
    let event_loop = EventLoop::new().unwrap();
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let log = Log::new();
    let registration = event_loop.register(ours.as_fd(), Rc::new(OnReady(log.clone()))).unwrap();
    testing::run_once(&event_loop).unwrap();
    log.take();
    registration.requeue(Ready::READ);
    registration.requeue(Ready::READ);
    assert!(log.items().is_empty());
    testing::run_once(&event_loop).unwrap();
    testing::run_once(&event_loop).unwrap();
    assert_eq!(log.take(), [Ready::READ]);
}

#[test]
fn a_deregistered_handler_is_not_called_even_if_it_was_queued() {
    on_each_selector(|event_loop| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let log = Log::new();
        let handler = Rc::new(OnReady(log.clone()));
        let registration = event_loop.register(ours.as_fd(), handler.clone()).unwrap();
        theirs.write_all(b"x").unwrap();
        // Runs before the entries of this tick's poll, which are queued behind it.
        event_loop.call_soon(move || drop(registration));
        testing::run_once(&event_loop).unwrap();
        testing::run_once(&event_loop).unwrap();
        assert!(log.items().is_empty());
        assert_eq!(Rc::strong_count(&handler), 1);
    });
}

#[test]
fn a_new_registration_does_not_get_the_events_of_the_previous_one() {
    on_each_selector(|event_loop| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (other, _other_end) = UnixStream::pair().unwrap();
        let log = Log::new();
        let first = event_loop.register(ours.as_fd(), Rc::new(OnReady(Log::new()))).unwrap();
        theirs.write_all(b"x").unwrap();
        let second = Rc::new(Cell::new(None));
        event_loop.call_soon({
            let (event_loop, log, second) = (event_loop.clone(), log.clone(), second.clone());
            move || {
                drop(first);
                let handler = Rc::new(OnReady(log));
                second.set(Some(event_loop.register(other.as_fd(), handler).unwrap()));
                std::mem::forget(other);
            }
        });
        testing::run_once(&event_loop).unwrap();
        assert!(log.take().is_empty());
        testing::run_once(&event_loop).unwrap();
        assert_eq!(log.take(), [Ready::WRITE]);
        drop(second.take());
    });
}

#[test]
fn what_a_copy_of_a_closed_descriptor_goes_on_to_report_reaches_nobody_else() {
    on_each_selector(|event_loop| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let copy = ours.try_clone().unwrap();
        let first = event_loop.register(ours.as_fd(), Rc::new(OnReady(Log::new()))).unwrap();
        drop(ours); // too early: the selector cannot be told any more
        drop(first);
        let (other, _other_end) = UnixStream::pair().unwrap();
        let log = Log::new();
        let second = event_loop.register(other.as_fd(), Rc::new(OnReady(log.clone()))).unwrap();
        testing::run_once(&event_loop).unwrap();
        assert_eq!(log.take(), [Ready::WRITE]);
        theirs.write_all(b"x").unwrap();
        testing::run_once(&event_loop).unwrap();
        assert_eq!(log.take(), []);
        drop((second, copy));
    });
}

#[test]
fn a_panicking_handler_is_reported_and_stays_registered() {
    struct Panics(Cell<usize>);
    impl IoHandler for Panics {
        fn on_ready(self: Rc<Self>, _: Ready) {
            self.0.set(self.0.get() + 1);
            panic!("on_ready");
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let log = Log::new();
    event_loop.set_exception_handler({
        let log = log.clone();
        move |_, context| log.push(context.message().to_owned())
    });
    let handler = Rc::new(Panics(Cell::new(0)));
    let _registration = event_loop.register(ours.as_fd(), handler.clone()).unwrap();
    testing::run_once(&event_loop).unwrap();
    theirs.write_all(b"x").unwrap();
    testing::run_once(&event_loop).unwrap();
    assert_eq!(handler.0.get(), 2);
    assert!(log.take()[0].starts_with("exception in the handler of file descriptor "));
}

#[test]
fn a_handler_may_deregister_itself_while_it_is_called() {
    struct Once(Log<Ready>, Cell<Option<Registration>>);
    impl IoHandler for Once {
        fn on_ready(self: Rc<Self>, ready: Ready) {
            drop(self.1.take());
            self.0.push(ready);
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let log = Log::new();
    let handler = Rc::new(Once(log.clone(), Cell::new(None)));
    handler.1.set(Some(event_loop.register(ours.as_fd(), handler.clone()).unwrap()));
    testing::run_once(&event_loop).unwrap();
    theirs.write_all(b"x").unwrap();
    testing::run_once(&event_loop).unwrap();
    assert_eq!(log.take().len(), 1);
    assert_eq!(Rc::strong_count(&handler), 1);
}

#[test]
fn more_ready_descriptors_than_one_wait_reports_are_all_served() {
    // 1 200 descriptors, against 1 024 events a wait.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    on_each_selector(|event_loop| {
        let log = Log::new();
        let pairs: Vec<_> = (0..600).map(|_| UnixStream::pair().unwrap()).collect();
        let registrations: Vec<_> = pairs
            .iter()
            .flat_map(|(one, two)| [one, two])
            .map(|end| event_loop.register(end.as_fd(), Rc::new(OnReady(log.clone()))).unwrap())
            .collect();
        for _ in 0..10 {
            testing::run_once(&event_loop).unwrap();
        }
        assert_eq!(log.take().len(), 1200);
        drop(registrations);
    });
}
