//! Who notices that a child has ended: the loop, by the child's pidfd; where that cannot be, a
//! thread of its own.
//!
//! The watch belongs to the loop, not to the [`Child`](crate::Child): a child whose handle was
//! dropped is reaped all the same. When the loop closes first, a thread takes over.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::thread;

use asyncio_loop::{CloseHook, EventLoop, IoHandler, Ready, Registration};

use crate::process::Process;

/// Sees to it that the process is reaped.
///
/// # Errors
///
/// Neither the loop nor a thread can be had.
pub(crate) fn watch(event_loop: &EventLoop, process: &Arc<Process>) -> io::Result<()> {
    match watch_on_loop(event_loop, process) {
        Ok(()) => Ok(()),
        Err(_) => watch_in_thread(process),
    }
}

#[cfg(target_os = "linux")]
fn watch_on_loop(event_loop: &EventLoop, process: &Arc<Process>) -> io::Result<()> {
    let pidfd = process.pidfd().ok_or(io::ErrorKind::Unsupported)?;
    let reaper = Reaper::of(event_loop);
    let id = reaper.next.get();
    reaper.next.set(id + 1);
    let watch = Rc::new(Watch {
        registration: RefCell::new(None),
        process: Arc::clone(process),
        reaper: Rc::downgrade(&reaper),
        id,
    });
    let handler: Rc<dyn IoHandler> = watch.clone();
    let registration = event_loop.register(pidfd, handler)?;
    watch.registration.replace(Some(registration));
    reaper.live.borrow_mut().insert(id, watch);
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn watch_on_loop(_: &EventLoop, _: &Arc<Process>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A detached thread that waits for the child, named as asyncio's.
fn watch_in_thread(process: &Arc<Process>) -> io::Result<()> {
    let thread = thread::Builder::new().name(format!("asyncio-waitpid-{}", process.pid()));
    let process = Arc::clone(process);
    thread.spawn(move || process.wait_and_reap()).map(drop)
}

/// The children of one loop that have not been reaped.
#[derive(Default)]
struct Reaper {
    live: RefCell<HashMap<u64, Rc<Watch>>>,
    next: Cell<u64>,
    hooked: Cell<bool>,
}

impl Reaper {
    fn of(event_loop: &EventLoop) -> Rc<Self> {
        let this = event_loop.extension::<Self>();
        if !this.hooked.replace(true) {
            event_loop.add_close_hook(Rc::new(HandOver(Rc::clone(&this))));
        }
        this
    }
}

/// One child on the loop.
struct Watch {
    /// Dropped before `process`, whose pidfd it names.
    registration: RefCell<Option<Registration>>,
    process: Arc<Process>,
    reaper: Weak<Reaper>,
    id: u64,
}

impl Watch {
    fn deregister(&self) {
        let registration = self.registration.take();
        drop(registration);
    }
}

impl IoHandler for Watch {
    fn on_ready(self: Rc<Self>, _: Ready) {
        if !self.process.reap() {
            return;
        }
        self.deregister();
        if let Some(reaper) = self.reaper.upgrade() {
            reaper.live.borrow_mut().remove(&self.id);
        }
    }
}

/// At the end of a loop its children go on, and threads reap them.
struct HandOver(Rc<Reaper>);

impl CloseHook for HandOver {
    fn tier(&self) -> u8 {
        5
    }

    fn closed(&self) {
        let live = self.0.live.take();
        for watch in live.into_values() {
            watch.deregister();
            if watch.process.reap() {
                continue;
            }
            if let Err(error) = watch_in_thread(&watch.process) {
                let pid = watch.process.pid();
                log::error!("no thread to wait for child process {pid}, it is not reaped: {error}");
            }
        }
    }
}
