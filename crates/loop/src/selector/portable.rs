//! Everywhere: `polling` as documented, with every event of a wait dispatched.
//!
//! The one difference that handlers see is [`sees_hangup`](Selector::sees_hangup): `polling` does not ask for RDHUP, so
//! a short read has to be followed by another one.
//!
//! Invariant I1: a descriptor stays open until its registration is dropped. `EventLoop::register` and `add_reader` ask
//! that of their callers. Should one break it, the kernel answers EBADF, or removes an entry of this poller and of nobody else.
#![expect(unsafe_code, reason = "`Poller::add` and a descriptor known by its number")]

use std::collections::HashSet;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use polling::{Events, PollMode, Poller};

use super::{Event, Notifier, Selector, Wait, already_registered, explain};
use crate::io::Ready;

/// See the module's documentation.
pub(crate) struct PortableSelector {
    poller: Arc<Poller>,
    /// Not every system's selector refuses a second registration.
    registered: HashSet<RawFd>,
    events: Events,
    /// What the signal handler writes to (second) to end a wait; made when first asked for.
    signal_pipe: Option<(UnixStream, UnixStream)>,
}

impl PortableSelector {
    pub(crate) fn new() -> io::Result<Self> {
        let poller = Arc::new(Poller::new()?);
        if !poller.supports_edge() {
            let why = "the selector of this system has no edge-triggered mode";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let events = Events::with_capacity(EVENTS_A_WAIT);
        Ok(Self { poller, registered: HashSet::new(), events, signal_pipe: None })
    }

    fn add(&self, fd: RawFd, key: usize) -> io::Result<()> {
        let interest = polling::Event::all(key).with_interrupt();
        // SAFETY: by I1 the descriptor is deleted from the poller before it is closed.
        unsafe { self.poller.add_with_mode(fd, interest, PollMode::Edge) }
    }
}

impl Selector for PortableSelector {
    fn register(&mut self, fd: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        let number = fd.as_raw_fd();
        if self.registered.contains(&number) {
            return Err(already_registered(number));
        }
        self.add(number, key).map_err(|error| explain(error, fd))?;
        self.registered.insert(number);
        Ok(())
    }

    fn register_level(
        &mut self,
        fd: BorrowedFd<'_>,
        key: usize,
        interest: Ready,
    ) -> io::Result<()> {
        let number = fd.as_raw_fd();
        if self.registered.contains(&number) {
            return Err(already_registered(number));
        }
        add_level(&self.poller, fd, key, interest)?;
        self.registered.insert(number);
        Ok(())
    }

    fn set_interest(&mut self, fd: RawFd, key: usize, interest: Ready) -> io::Result<()> {
        set_interest(&self.poller, fd, key, interest)
    }

    fn deregister(&mut self, fd: RawFd) {
        self.registered.remove(&fd);
        delete(&self.poller, fd);
    }

    fn wait(&mut self, wait: Wait, events: &mut Vec<Event>) -> io::Result<()> {
        let timeout = match wait {
            Wait::Poll => Some(Duration::ZERO),
            Wait::Until(deadline) => Some(deadline.saturating_duration_since(Instant::now())),
            Wait::Forever => None,
        };
        self.events.clear();
        self.poller.wait(&mut self.events, timeout)?;
        for event in self.events.iter() {
            if event.key == SIGNAL_KEY {
                if let Some((reader, _)) = &mut self.signal_pipe {
                    while reader.read(&mut [0; 64]).is_ok_and(|n| n > 0) {}
                }
                continue;
            }
            events.push(Event { key: event.key, ready: to_ready(&event) });
        }
        Ok(())
    }

    fn sees_hangup(&self) -> bool {
        false
    }

    fn wake_fd(&mut self) -> io::Result<RawFd> {
        if let Some((_, writer)) = &self.signal_pipe {
            return Ok(writer.as_raw_fd());
        }
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        self.add(reader.as_raw_fd(), SIGNAL_KEY)?;
        let fd = writer.as_raw_fd();
        self.signal_pipe = Some((reader, writer));
        Ok(fd)
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }

    fn notifier(&self) -> Notifier {
        Notifier::Poller(self.poller.clone())
    }
}

impl Drop for PortableSelector {
    fn drop(&mut self) {
        // The poller may live on in a notifier; the pipe does not.
        if let Some((reader, _)) = &self.signal_pipe {
            delete(&self.poller, reader.as_raw_fd());
        }
    }
}

/// Watches a descriptor level-triggered.
pub(super) fn add_level(
    poller: &Poller,
    fd: BorrowedFd<'_>,
    key: usize,
    interest: Ready,
) -> io::Result<()> {
    let event = polling::Event::new(key, interest.is_readable(), interest.is_writable());
    // SAFETY: by I1 the descriptor is deleted from the poller before it is closed.
    let added = unsafe { poller.add_with_mode(fd.as_raw_fd(), event, PollMode::Level) };
    added.map_err(|error| explain(error, fd))
}

/// Changes what a descriptor is watched for, level-triggered.
pub(super) fn set_interest(
    poller: &Poller,
    fd: RawFd,
    key: usize,
    interest: Ready,
) -> io::Result<()> {
    let event = polling::Event::new(key, interest.is_readable(), interest.is_writable());
    // SAFETY: by I1 the descriptor is open.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    poller.modify_with_mode(fd, event, PollMode::Level)
}

/// Takes a descriptor out of the poller's set. There is nobody to tell when that fails, and nothing left to remove.
pub(super) fn delete(poller: &Poller, fd: RawFd) {
    // SAFETY: by I1 the descriptor is open.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let _ = poller.delete(fd);
}

fn to_ready(event: &polling::Event) -> Ready {
    let mut ready = Ready::NONE;
    if event.readable {
        ready |= Ready::READ;
    }
    if event.writable {
        ready |= Ready::WRITE;
    }
    if event.is_interrupt() {
        ready |= Ready::READ | Ready::WRITE | Ready::HUP;
    }
    if event.is_err() == Some(true) {
        ready |= Ready::READ | Ready::WRITE | Ready::ERROR;
    }
    ready
}

/// Sources count up from 0 and `usize::MAX` is the `Poller`'s own.
const SIGNAL_KEY: usize = usize::MAX - 1;
/// Events taken in one wait; the others come with the next one.
const EVENTS_A_WAIT: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not zero");
