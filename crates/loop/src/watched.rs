//! Descriptors watched level-triggered: told of in every tick for as long as they are ready, by callbacks and waits.
//!
//! This is asyncio's way to watch a descriptor, which [`add_reader`](crate::EventLoop::add_reader) and the `sock_`
//! functions share: one entry a descriptor, by its number, that asks the selector for the directions which somebody
//! wants, and leaves it when nobody does. What is registered edge-triggered ([`register`](crate::EventLoop::register))
//! has nothing to do with it; one descriptor is in one of the two or in none.
//!
//! A descriptor that was closed while it was watched has left the selector without a word. Its number may belong to
//! another file when it comes here the next time; the selector then does not know it, and whoever watched the dead file
//! is dropped or woken.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};

use asyncio_coro::context::Captured;
use asyncio_coro::wait_list::WaitList;

use crate::event_loop::Inner;
use crate::exception::ExceptionContext;
use crate::io::{IoHandler, Ready, Registration};

/// The watched descriptors of a loop.
#[derive(Default)]
pub(crate) struct WatchedFds {
    by_number: RefCell<HashMap<RawFd, Rc<Watched>>>,
}

impl WatchedFds {
    fn get(&self, fd: RawFd) -> Option<Rc<Watched>> {
        self.by_number.borrow().get(&fd).cloned()
    }

    /// Takes everything; the caller drops it outside any borrow.
    pub(crate) fn take(&self) -> Vec<Rc<Watched>> {
        self.by_number.take().into_values().collect()
    }
}

/// A direction of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Direction {
    fn ready(self) -> Ready {
        match self {
            Self::Read => Ready::READ,
            Self::Write => Ready::WRITE,
        }
    }
}

/// One watched descriptor.
pub(crate) struct Watched {
    inner: Weak<Inner>,
    fd: RawFd,
    /// None before it is registered and after it was given up.
    registration: RefCell<Option<Registration>>,
    /// What the selector is asked for.
    interest: Cell<Ready>,
    read: Side,
    write: Side,
}

/// Who wants to know of one direction.
#[derive(Default)]
struct Side {
    /// Out of its place while it runs.
    callback: RefCell<Option<Callback>>,
    /// Is there one, in its place or running?
    has_callback: Cell<bool>,
    /// Counts callbacks, so that one that runs is not put back after it was replaced.
    generation: Cell<u64>,
    waiters: WaitList,
    /// How many [`Watch`]es there are.
    watches: Cell<usize>,
}

struct Callback {
    function: Box<dyn FnMut()>,
    /// What was current when it was added.
    context: Captured,
}

impl Watched {
    fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        }
    }

    /// What somebody wants to know of.
    fn wanted(&self) -> Ready {
        let mut wanted = Ready::NONE;
        for direction in [Direction::Read, Direction::Write] {
            let side = self.side(direction);
            if side.has_callback.get() || side.watches.get() > 0 {
                wanted |= direction.ready();
            }
        }
        wanted
    }

    /// Asks the selector for no more than is wanted; leaves it when that is nothing.
    fn settle(self: &Rc<Self>) {
        let Some(inner) = self.inner.upgrade() else { return };
        let wanted = self.wanted();
        if wanted.is_empty() {
            inner.forget(self);
        } else if wanted != self.interest.get() {
            // When it fails, the descriptor was closed behind our back: it reports nothing any more anyway.
            let _ = inner.ask_for(self, wanted);
        }
    }

    /// Nobody will be told anything of this descriptor any more: wakes who waits, to find out why.
    pub(crate) fn give_up(&self) {
        let registration = self.registration.take();
        drop(registration);
        for direction in [Direction::Read, Direction::Write] {
            let side = self.side(direction);
            let callback = side.replace(None);
            drop(callback);
            side.waiters.notify_all();
        }
    }

    fn tell(&self, direction: Direction) {
        let side = self.side(direction);
        side.waiters.notify_all();
        let callback = side.callback.take();
        let Some(mut callback) = callback else { return };
        let generation = side.generation.get();
        let called = catch_unwind(AssertUnwindSafe(|| {
            let Callback { function, context } = &mut callback;
            context.run(function);
        }));
        if side.generation.get() == generation {
            side.callback.replace(Some(callback));
        } else {
            drop(callback);
        }
        if let (Err(panic), Some(inner)) = (called, self.inner.upgrade()) {
            let which = match direction {
                Direction::Read => "reader",
                Direction::Write => "writer",
            };
            let message = format!("exception in the {which} of file descriptor {}", self.fd);
            inner.report(ExceptionContext::new(message).with_panic(panic));
        }
    }
}

impl IoHandler for Watched {
    fn on_ready(self: Rc<Self>, ready: Ready) {
        if ready.is_readable() {
            self.tell(Direction::Read);
        }
        if ready.is_writable() {
            self.tell(Direction::Write);
        }
    }
}

impl Side {
    /// Puts a callback in the place of another, which the caller drops outside any borrow.
    fn replace(&self, callback: Option<Callback>) -> Option<Callback> {
        self.generation.set(self.generation.get() + 1);
        self.has_callback.set(callback.is_some());
        self.callback.replace(callback)
    }
}

/// Keeps a direction of a descriptor watched, for whoever waits for it.
pub(crate) struct Watch {
    watched: Rc<Watched>,
    direction: Direction,
}

impl Watch {
    /// Waits for the next report that the direction is ready, or that nobody will report anything any more.
    pub(crate) async fn ready(&self) {
        self.watched.side(self.direction).waiters.wait().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let watches = &self.watched.side(self.direction).watches;
        watches.set(watches.get() - 1);
        self.watched.settle();
    }
}

impl Inner {
    /// Watches a direction of `fd` while the result lives.
    pub(crate) fn watch(&self, fd: BorrowedFd<'_>, direction: Direction) -> io::Result<Watch> {
        let watched = self.watched_for(fd, direction)?;
        let watches = &watched.side(direction).watches;
        watches.set(watches.get() + 1);
        Ok(Watch { watched, direction })
    }

    pub(crate) fn add_callback(
        &self,
        fd: BorrowedFd<'_>,
        direction: Direction,
        function: Box<dyn FnMut()>,
    ) -> io::Result<()> {
        let watched = self.watched_for(fd, direction)?;
        let callback = Callback { function, context: Captured::copy() };
        let former = watched.side(direction).replace(Some(callback));
        drop(former);
        Ok(())
    }

    pub(crate) fn remove_callback(&self, fd: RawFd, direction: Direction) -> bool {
        let Some(watched) = self.watched.get(fd) else { return false };
        let side = watched.side(direction);
        let had_one = side.has_callback.get();
        let former = side.replace(None);
        watched.settle();
        drop(former);
        had_one
    }

    /// What watches `fd`, and asks the selector for `direction` and what it was asked for before.
    fn watched_for(&self, fd: BorrowedFd<'_>, direction: Direction) -> io::Result<Rc<Watched>> {
        let number = fd.as_raw_fd();
        if let Some(watched) = self.watched.get(number) {
            // Also when it was asked for that before: the number may be another file's by now.
            match self.ask_for(&watched, watched.interest.get() | direction.ready()) {
                Ok(()) => return Ok(watched),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.forget(&watched);
                    watched.give_up();
                }
                Err(error) => return Err(error),
            }
        }
        let watched = Rc::new(Watched {
            inner: self.this.clone(),
            fd: number,
            registration: RefCell::default(),
            interest: Cell::new(direction.ready()),
            read: Side::default(),
            write: Side::default(),
        });
        let registration = self.register_level(fd, watched.clone(), direction.ready())?;
        *watched.registration.borrow_mut() = Some(registration);
        self.watched.by_number.borrow_mut().insert(number, watched.clone());
        Ok(watched)
    }

    fn ask_for(&self, watched: &Watched, interest: Ready) -> io::Result<()> {
        if let Some(registration) = &*watched.registration.borrow() {
            self.set_interest(registration, interest)?;
        }
        watched.interest.set(interest);
        Ok(())
    }

    /// Takes a descriptor off the list, and out of the selector.
    fn forget(&self, watched: &Rc<Watched>) {
        let mut by_number = self.watched.by_number.borrow_mut();
        let is_listed =
            by_number.get(&watched.fd).is_some_and(|listed| Rc::ptr_eq(listed, watched));
        let listed = if is_listed { by_number.remove(&watched.fd) } else { None };
        drop(by_number);
        let registration = watched.registration.take();
        drop((registration, listed));
    }
}
