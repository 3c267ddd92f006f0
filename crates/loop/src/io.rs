//! Readiness of file descriptors: registered once, edge-triggered, delivered through the ready queue.
//!
//! A [`Source`] is what the selector's events name. Its entry in the ready queue is a counted reference to it, so
//! nothing is allocated per event, and a source that was deregistered meanwhile is merely empty when its turn comes.
//!
//! Invariant I1: the pointer of a source's [`Entry`] is an `Rc<Source>` made raw by [`Source::entry`], and owns one
//! count; each of the vtable's functions takes that count back, and entries call one of them once, on this thread
//! (I1 and I2 of `ready.rs`).
#![expect(unsafe_code, reason = "a source's place in the ready queue is a raw reference to it")]

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::ops::{BitOr, BitOrAssign, Sub};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::rc::{Rc, Weak};

use asyncio_coro::context::Captured;
use slab::Slab;

use crate::error::LoopClosed;
use crate::event_loop::Inner;
use crate::exception::ExceptionContext;
use crate::observe::Observer;
use crate::ready::{Entry, EntryVTable};
use crate::selector::{Event, Selector};
use crate::work::Work;

/// What is called when a registered descriptor becomes ready.
pub trait IoHandler {
    /// The descriptor became ready for what `ready` says.
    ///
    /// Called from the ready queue, outside any borrow of the loop, once for each edge (edges that arrive before the
    /// call are merged). No new edge comes for what is left unread: read until the call would block, or until a short
    /// read where [`Registration::reports_hang_up`] says so, or [`requeue`](Registration::requeue) yourself.
    ///
    /// It runs in a copy of the [context](asyncio_coro::context) in which the descriptor was registered, one for all its
    /// calls. A panic is reported with the loop's exception handler; the registration stays.
    fn on_ready(self: Rc<Self>, ready: Ready);
}

/// What a descriptor is ready for: a set of bits.
///
/// # Examples
///
/// ```
/// use asyncio_loop::Ready;
///
/// let ready = Ready::READ | Ready::HUP;
/// assert!(ready.is_readable() && ready.is_hup());
/// assert!(!ready.is_writable());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready(u8);

impl Ready {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// A read will not block.
    pub const READ: Self = Self(1);
    /// A write will not block.
    pub const WRITE: Self = Self(2);
    /// The peer has finished sending, or the connection is gone. Sticky: read until 0 or an error.
    pub const HUP: Self = Self(4);
    /// The descriptor has an error pending, or a pipe's reader is gone. Sticky.
    pub const ERROR: Self = Self(8);

    /// Is any bit of `other` set?
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Are no bits set?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Will a read not block?
    pub fn is_readable(self) -> bool {
        self.intersects(Self::READ)
    }

    /// Will a write not block?
    pub fn is_writable(self) -> bool {
        self.intersects(Self::WRITE)
    }

    /// Has the peer finished sending?
    pub fn is_hup(self) -> bool {
        self.intersects(Self::HUP)
    }

    /// Is an error pending?
    pub fn is_error(self) -> bool {
        self.intersects(Self::ERROR)
    }

    /// The bits that never go away again.
    fn sticky(self) -> Self {
        Self(self.0 & (Self::HUP.0 | Self::ERROR.0))
    }
}

impl BitOr for Ready {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl Sub for Ready {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::READ, "READ"),
            (Self::WRITE, "WRITE"),
            (Self::HUP, "HUP"),
            (Self::ERROR, "ERROR"),
        ];
        let set = names.iter().filter(|(bit, _)| self.intersects(*bit)).map(|(_, name)| *name);
        f.write_str("Ready(")?;
        f.write_str(&set.collect::<Vec<_>>().join(" | "))?;
        f.write_str(")")
    }
}

/// A descriptor's place in a loop, made by [`EventLoop::register`](crate::EventLoop::register). Dropping it
/// deregisters the descriptor and releases the handler; a call that was already queued does not happen then.
///
/// The handler is kept alive by the registration, so a handler that owns its own registration lives until it drops
/// it, or until the loop is closed.
#[must_use = "dropping the registration deregisters the descriptor"]
pub struct Registration {
    source: Rc<Source>,
}

impl Registration {
    /// The bits that stay: [`Ready::HUP`] and [`Ready::ERROR`], as soon as the selector has reported them.
    pub fn ready(&self) -> Ready {
        self.source.sticky.get()
    }

    /// Calls the handler with `ready` in the next tick: a read filled its buffer, or stopped for fairness, and no new
    /// edge will come for what is left. Asked for twice in a tick, it is called once.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{EventLoop, IoHandler, Ready, testing};
    /// use std::{cell::Cell, os::{fd::AsFd, unix::net::UnixStream}, rc::Rc};
    ///
    /// #[derive(Default)]
    /// struct Calls(Cell<u32>);
    /// impl IoHandler for Calls {
    ///     fn on_ready(self: Rc<Self>, _: Ready) {
    ///         self.0.set(self.0.get() + 1);
    ///     }
    /// }
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let calls = Rc::new(Calls::default());
    /// let registration = event_loop.register(ours.as_fd(), calls.clone())?;
    /// testing::run_once(&event_loop)?; // it was writable
    /// registration.requeue(Ready::READ);
    /// testing::run_once(&event_loop)?;
    /// assert_eq!(calls.0.get(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn requeue(&self, ready: Ready) {
        // A closed loop has no handler to call, and would never run the entry.
        if let Some(inner) = self.source.inner.upgrade().filter(|inner| !inner.is_closed()) {
            self.source.queue(&inner, ready);
        }
    }

    /// Does [`Ready::HUP`] come with the event that brings the last data? Then a read from a stream socket that returned
    /// less than was asked for means that there is nothing more, as long as [`ready`](Self::ready) has no
    /// [`Ready::HUP`]. If not, only an error that says "would block" means that.
    pub fn reports_hang_up(&self) -> bool {
        self.source.sees_hangup
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("fd", &self.source.fd)
            .field("ready", &self.ready())
            .finish()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(inner) = self.source.inner.upgrade() {
            inner.deregister(&self.source);
        }
        // Outside any borrow: the handler may be the last owner of much.
        let handler = self.source.handler.take();
        drop(handler);
    }
}

/// A registered descriptor.
struct Source {
    inner: Weak<Inner>,
    fd: RawFd,
    key: usize,
    sees_hangup: bool,
    /// None once deregistered.
    handler: RefCell<Option<Rc<dyn IoHandler>>>,
    /// That of the registration, for the handler.
    context: Captured,
    /// What the next call will be told.
    pending: Cell<Ready>,
    sticky: Cell<Ready>,
    /// Is there an entry in the ready queue?
    queued: Cell<bool>,
}

impl Source {
    fn queue(self: &Rc<Self>, inner: &Inner, ready: Ready) {
        self.pending.set(self.pending.get() | ready);
        self.sticky.set(self.sticky.get() | ready.sticky());
        if !self.queued.replace(true) {
            inner.ready.push(self.clone().entry());
        }
    }

    fn entry(self: Rc<Self>) -> Entry {
        let ptr = NonNull::new(Rc::into_raw(self).cast_mut().cast()).expect("an Rc is not null");
        // SAFETY: by I1.
        unsafe { Entry::new(ptr, &SOURCE) }
    }

    /// Takes the count of an entry back.
    ///
    /// # Safety
    ///
    /// `ptr` comes from [`Source::entry`], and this is the only call for it.
    unsafe fn from_entry(ptr: NonNull<()>) -> Rc<Self> {
        // SAFETY: by I1.
        unsafe { Rc::from_raw(ptr.as_ptr().cast_const().cast()) }
    }

    fn dispatch(self: Rc<Self>) {
        self.queued.set(false);
        let ready = self.pending.replace(Ready::NONE);
        let handler = self.handler.borrow().clone();
        let Some(handler) = handler else { return };
        self.context.run(|| {
            let called = catch_unwind(AssertUnwindSafe(|| handler.on_ready(ready)));
            if let Err(panic) = called {
                self.report(panic);
            }
        });
    }

    #[cold]
    fn report(&self, panic: Box<dyn Any + Send>) {
        if let Some(inner) = self.inner.upgrade() {
            let message = format!("exception in the handler of file descriptor {}", self.fd);
            inner.report(ExceptionContext::new(message).with_panic(panic));
        }
    }
}

static SOURCE: EntryVTable =
    EntryVTable { run: run_source, drop: drop_source, describe: describe_source };

/// # Safety
///
/// As [`Source::from_entry`].
unsafe fn run_source(ptr: NonNull<()>) {
    // SAFETY: the caller keeps I1.
    unsafe { Source::from_entry(ptr) }.dispatch();
}

/// # Safety
///
/// As [`Source::from_entry`].
unsafe fn drop_source(ptr: NonNull<()>) {
    // SAFETY: the caller keeps I1.
    drop(unsafe { Source::from_entry(ptr) });
}

/// # Safety
///
/// `ptr` comes from [`Source::entry`], and the count that came with it has not been taken back.
unsafe fn describe_source(ptr: NonNull<()>) -> Work {
    // SAFETY: the caller keeps I1.
    let source = unsafe { ptr.cast::<Source>().as_ref() };
    let registration = source.key >> SLOT_BITS;
    Work::Io { fd: source.fd, registration, ready: source.pending.get() }
}

/// The registered descriptors of a loop, by the key that the selector reports.
#[derive(Default)]
pub(crate) struct Sources {
    slots: RefCell<Slab<Rc<Source>>>,
    /// Tells the tenants of a slot apart: a descriptor that was closed too early, while a copy of it lives on in
    /// another process, goes on to report events under its old key.
    tenant: Cell<usize>,
    /// By the number of a descriptor, the key of what was registered under it last. If a file was closed too early, another
    /// one may have its number by now, and what is left of the first must not touch that.
    latest: RefCell<Vec<usize>>,
}

impl Sources {
    pub(crate) fn len(&self) -> usize {
        self.slots.borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.borrow().is_empty()
    }

    pub(crate) fn fds(&self) -> Vec<RawFd> {
        self.slots.borrow().iter().map(|(_, source)| source.fd).collect()
    }

    /// Takes everything; the caller drops it outside any borrow.
    pub(crate) fn take(&self) -> Vec<Rc<dyn IoHandler>> {
        let sources: Vec<_> = self.slots.borrow_mut().drain().collect();
        sources.into_iter().filter_map(|source| source.handler.take()).collect()
    }

    /// Notes who has a number now.
    fn note(&self, fd: RawFd, key: usize) {
        let mut latest = self.latest.borrow_mut();
        // A descriptor that was registered has no negative number.
        let at = fd as usize;
        if latest.len() <= at {
            latest.resize(at + 1, usize::MAX);
        }
        latest[at] = key;
    }

    /// Is the number still that of the file which was registered under it?
    fn has_number(&self, source: &Source) -> bool {
        self.latest.borrow().get(source.fd as usize) == Some(&source.key)
    }

    fn next_key(&self, slot: usize) -> usize {
        let tenant = self.tenant.get();
        self.tenant.set(tenant.wrapping_add(1));
        // The highest bit stays clear: keys up there are the selector's own.
        (tenant << SLOT_BITS | slot) & (usize::MAX >> 1)
    }
}

impl Inner {
    pub(crate) fn register(
        &self,
        fd: BorrowedFd<'_>,
        handler: Rc<dyn IoHandler>,
    ) -> io::Result<Registration> {
        self.register_as(fd, handler, |selector, key| selector.register(fd, key))
    }

    /// As [`register`](Self::register), but level-triggered and for what `interest` says.
    pub(crate) fn register_level(
        &self,
        fd: BorrowedFd<'_>,
        handler: Rc<dyn IoHandler>,
        interest: Ready,
    ) -> io::Result<Registration> {
        self.register_as(fd, handler, |selector, key| selector.register_level(fd, key, interest))
    }

    /// Changes what was [registered level-triggered](Self::register_level). `NotFound`: the file was closed meanwhile.
    pub(crate) fn set_interest(
        &self,
        registration: &Registration,
        interest: Ready,
    ) -> io::Result<()> {
        let source = &registration.source;
        if !self.sources.has_number(source) {
            return Err(io::ErrorKind::NotFound.into());
        }
        match &mut *self.selector.borrow_mut() {
            Some(selector) => selector.set_interest(source.fd, source.key, interest),
            None => Err(io::Error::other(LoopClosed::of(&self.shared))),
        }
    }

    fn register_as(
        &self,
        fd: BorrowedFd<'_>,
        handler: Rc<dyn IoHandler>,
        register: impl FnOnce(&mut dyn Selector, usize) -> io::Result<()>,
    ) -> io::Result<Registration> {
        let closed = || io::Error::other(LoopClosed::of(&self.shared));
        if self.is_closed() {
            return Err(closed());
        }
        let mut selector = self.selector.borrow_mut();
        let selector = selector.as_mut().ok_or_else(closed)?;
        let mut slots = self.sources.slots.borrow_mut();
        let slot = slots.vacant_entry();
        let key = self.sources.next_key(slot.key());
        register(&mut **selector, key)?;
        let source = Rc::new(Source {
            inner: self.this.clone(),
            fd: fd.as_raw_fd(),
            key,
            sees_hangup: selector.sees_hangup(),
            handler: RefCell::new(Some(handler)),
            context: Captured::copy(),
            pending: Cell::default(),
            sticky: Cell::default(),
            queued: Cell::default(),
        });
        slot.insert(source.clone());
        self.sources.note(source.fd, key);
        Ok(Registration { source })
    }

    fn deregister(&self, source: &Rc<Source>) {
        let slot = source.key & SLOT_MASK;
        let mut slots = self.sources.slots.borrow_mut();
        // Not there any more once the loop was closed.
        if slots.get(slot).is_some_and(|registered| Rc::ptr_eq(registered, source)) {
            slots.remove(slot);
            if self.is_parents() || !self.sources.has_number(source) {
                // What the parent waits for is not ours to take out, nor is the file that has the number now.
                return;
            }
            if let Some(selector) = &mut *self.selector.borrow_mut() {
                selector.deregister(source.fd);
            }
        }
    }

    /// Turns what the selector reported into entries.
    pub(crate) fn queue_events(&self, events: &mut Vec<Event>) {
        let slots = self.sources.slots.borrow();
        if self.observers.has(Observer::Shuffle) {
            // The system's order is not ours to repeat.
            events.sort_by_key(|event| event.key >> SLOT_BITS);
        }
        for event in events.drain(..) {
            match slots.get(event.key & SLOT_MASK) {
                Some(source) if source.key == event.key => source.queue(self, event.ready),
                _ => {}
            }
        }
    }
}

/// Bits of a key that name the slot: four billion descriptors, sixteen million where a word has 32 bits.
const SLOT_BITS: u32 = if usize::BITS >= 64 { 32 } else { 24 };
const SLOT_MASK: usize = (1 << SLOT_BITS) - 1;
