//! A protocol that writes down what is called, and loops to run it on.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::cell::{Cell, RefCell};
use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use asyncio_loop::{EventLoop, testing};
use asyncio_transport::{ProtocolCalls, Transport};

/// What was called, with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Made,
    Data(Vec<u8>),
    Eof,
    Pause,
    Resume,
    Lost(Option<io::ErrorKind>),
}

type Hook = Box<dyn Fn(&Transport, &Call)>;

/// Records each call, then runs the hook with it.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) calls: RefCell<Vec<Call>>,
    pub keep_open: Cell<bool>,
    pub(crate) transport: RefCell<Option<Transport>>,
    hook: RefCell<Option<Rc<Hook>>>,
}

impl Recorder {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self::default())
    }

    pub(crate) fn with_hook(hook: impl Fn(&Transport, &Call) + 'static) -> Rc<Self> {
        let this = Self::new();
        this.hook.replace(Some(Rc::new(Box::new(hook))));
        this
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.borrow().clone()
    }

    pub(crate) fn count(&self, which: impl Fn(&Call) -> bool) -> usize {
        self.calls.borrow().iter().filter(|call| which(call)).count()
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.count(|call| matches!(call, Call::Lost(_))) > 0
    }

    pub(crate) fn received(&self) -> Vec<u8> {
        let calls = self.calls.borrow();
        let data = calls.iter().filter_map(|call| match call {
            Call::Data(data) => Some(data.as_slice()),
            _ => None,
        });
        data.flatten().copied().collect()
    }

    fn record(&self, call: Call) {
        self.calls.borrow_mut().push(call.clone());
        let hook = self.hook.borrow().clone();
        let transport = self.transport.borrow().clone();
        if let (Some(hook), Some(transport)) = (hook, transport) {
            hook(&transport, &call);
        }
    }
}

impl ProtocolCalls for Recorder {
    fn connection_made(&self, transport: &Transport) {
        self.transport.replace(Some(transport.clone()));
        self.record(Call::Made);
    }

    fn data_received(&self, data: &[u8]) {
        self.record(Call::Data(data.to_vec()));
    }

    fn eof_received(&self) -> bool {
        self.record(Call::Eof);
        self.keep_open.get()
    }

    fn connection_lost(&self, error: Option<io::Error>) {
        self.record(Call::Lost(error.map(|error| error.kind())));
        self.transport.replace(None);
    }

    fn pause_writing(&self) {
        self.record(Call::Pause);
    }

    fn resume_writing(&self) {
        self.record(Call::Resume);
    }
}

/// Runs `test` on a loop with the system's best selector, and on one with the portable one.
pub(crate) fn on_each_selector(test: impl Fn(&EventLoop)) {
    for event_loop in [EventLoop::new().unwrap(), testing::portable_loop().unwrap()] {
        test(&event_loop);
        event_loop.close().unwrap();
    }
}

/// A loop that is closed also when the test panics, as it should.
pub(crate) struct ClosedAtLast(pub(crate) EventLoop);

impl Drop for ClosedAtLast {
    fn drop(&mut self) {
        self.0.close().unwrap();
    }
}

/// A transport over one end of a socket pair, and the other end, non-blocking.
pub(crate) fn start(event_loop: &EventLoop, protocol: &Rc<Recorder>) -> (Transport, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let builder = Transport::socket(ours.into()).unwrap();
    (builder.start(event_loop, protocol.clone()), theirs)
}

/// As [`start`], after the start-up.
pub(crate) fn started(event_loop: &EventLoop, protocol: &Rc<Recorder>) -> (Transport, UnixStream) {
    let (transport, peer) = start(event_loop, protocol);
    ticks(event_loop, 2);
    (transport, peer)
}

pub(crate) fn ticks(event_loop: &EventLoop, count: usize) {
    for _ in 0..count {
        testing::run_once(event_loop).unwrap();
    }
}

/// Runs ticks until `condition` holds.
#[track_caller]
pub(crate) fn until(event_loop: &EventLoop, mut condition: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if condition() {
            return;
        }
        testing::run_once(event_loop).unwrap();
    }
    panic!("it does not come about");
}

/// Bytes that show where they are missing or doubled.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

/// Everything that can be read from a non-blocking reader now.
pub(crate) fn read_available(mut reader: impl io::Read) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 1 << 20]);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return all,
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return all,
            // A Unix socket says so when its peer went with unread data.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Collects the messages that go to the loop's exception handler.
pub(crate) fn reports(event_loop: &EventLoop) -> Rc<RefCell<Vec<String>>> {
    let reports = Rc::new(RefCell::new(Vec::new()));
    event_loop.set_exception_handler({
        let reports = reports.clone();
        move |_, context| reports.borrow_mut().push(context.message().to_owned())
    });
    reports
}
