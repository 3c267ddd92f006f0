//! The process's side of signals: one handler for all of them, and who listens.
//!
//! Each loop that listens has a [`Listener`]: which signals it wants, which have come, and where to write eight bytes to
//! wake it. The handler goes through the list of listeners, marks and wakes. Nothing is queued: signals of one number
//! that come before a loop has looked are one, as with the kernel.
//!
//! SIGINT has one more listener, the `run` on the main thread. It counts only while no loop listens: the first Ctrl-C
//! wakes its loop, the second one ends the process from inside the handler, since the loop may be stuck in a callback.
//!
//! Invariants:
//! - I1. The handler calls only what POSIX calls async-signal-safe (atomics, `write`, `sigaction`, `raise`), allocates
//!   nothing, takes no lock, and leaves `errno` as it found it.
//! - I2. The handler is inside [`INSIDE`] from before it reads a descriptor until after its last use of it. Whoever gives
//!   a descriptor up sets its place to -1 and then waits until nobody is inside: the descriptor that a handler writes to
//!   is open, and is a loop's.
//! - I3. What a signal did before is in [`TABLE`], touched only by who holds its lock; and in the child of a fork before
//!   any other thread can exist there.
#![expect(unsafe_code, reason = "sigaction, and what a signal handler may call")]

use std::cell::UnsafeCell;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::RawFd;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::thread;

use libc::c_int;

use super::signal::{MOST, Signal};
use crate::fork::Generation;

/// A loop that listens to signals. It has this place until it gives it up; places are used again and never freed, so
/// there are as many as loops have ever listened at one time.
#[derive(Debug)]
pub(crate) struct Listener {
    is_taken: AtomicBool,
    /// What ends a wait of the loop, or -1.
    wake_fd: AtomicI32,
    /// The set of signals it listens to.
    wanted: AtomicU64,
    /// Those that have come since it last looked.
    pending: AtomicU64,
    next: OnceLock<&'static Listener>,
}

impl Listener {
    /// A place for a loop that is woken by a write to `wake_fd`.
    pub(crate) fn take(wake_fd: RawFd) -> &'static Self {
        let _lock = TABLE.lock();
        let mut place = &FIRST;
        let listener = loop {
            let Some(listener) = place.get() else {
                let new = Box::leak(Box::new(Self {
                    is_taken: AtomicBool::new(false),
                    wake_fd: AtomicI32::new(-1),
                    wanted: AtomicU64::new(0),
                    pending: AtomicU64::new(0),
                    next: OnceLock::new(),
                }));
                break place.get_or_init(|| new);
            };
            if !listener.is_taken.load(Ordering::SeqCst) {
                break listener;
            }
            place = &listener.next;
        };
        listener.is_taken.store(true, Ordering::SeqCst);
        listener.pending.store(0, Ordering::SeqCst);
        listener.wake_fd.store(wake_fd, Ordering::SeqCst);
        listener
    }

    /// Begins to listen to a signal. For the second time it changes nothing.
    pub(crate) fn listen(&self, signal: Signal) -> io::Result<()> {
        if self.wanted.load(Ordering::SeqCst) & signal.bit() != 0 {
            return Ok(());
        }
        // First, or one that comes in between would be nobody's.
        self.wanted.fetch_or(signal.bit(), Ordering::SeqCst);
        TABLE.lock().add(signal).inspect_err(|_| {
            self.wanted.fetch_and(!signal.bit(), Ordering::SeqCst);
        })
    }

    /// Ends that, if it listened.
    pub(crate) fn ignore(&self, signal: Signal) {
        if self.wanted() & signal.bit() != 0 {
            TABLE.lock().remove(signal);
            self.wanted.fetch_and(!signal.bit(), Ordering::SeqCst);
        }
    }

    /// The set of signals it listens to.
    pub(crate) fn wanted(&self) -> u64 {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Have signals come since the last look?
    pub(crate) fn has_pending(&self) -> bool {
        self.pending.load(Ordering::Relaxed) != 0
    }

    /// The signals that came since the last call.
    pub(crate) fn take_pending(&self) -> u64 {
        if !self.has_pending() {
            return 0;
        }
        self.pending.swap(0, Ordering::SeqCst)
    }

    /// Gives the place up.
    pub(crate) fn leave(&self) {
        for signal in Signal::of_set(self.wanted()) {
            self.ignore(signal);
        }
        self.wake_fd.store(-1, Ordering::SeqCst);
        wait_until_nobody_is_inside();
        self.is_taken.store(false, Ordering::SeqCst);
    }

    fn all() -> impl Iterator<Item = &'static Self> {
        let first = FIRST.get().copied();
        std::iter::successors(first, |listener| listener.next.get().copied())
    }
}

/// `run` on the main thread listens to SIGINT until this is dropped.
#[derive(Debug)]
pub(super) struct MainListener(Generation);

impl MainListener {
    /// None where somebody else has SIGINT: the program, or a `run` inside of which a runner is closed.
    pub(super) fn take(wake_fd: impl FnOnce() -> io::Result<RawFd>) -> Option<Self> {
        let table = TABLE.lock();
        if MAIN_WAKE_FD.load(Ordering::SeqCst) >= 0 {
            return None;
        }
        if table.before(Signal::SIGINT)?.sa_sigaction != libc::SIG_DFL {
            return None;
        }
        let wake_fd = wake_fd().ok()?;
        CTRL_CS.store(0, Ordering::SeqCst);
        MAIN_WAKE_FD.store(wake_fd, Ordering::SeqCst);
        if table.add(Signal::SIGINT).is_err() {
            MAIN_WAKE_FD.store(-1, Ordering::SeqCst);
            return None;
        }
        Some(Self(Generation::now()))
    }

    /// Has Ctrl-C been pressed, and has no loop listened to it?
    pub(super) fn has_heard() -> bool {
        CTRL_CS.load(Ordering::Relaxed) > 0
    }
}

impl Drop for MainListener {
    fn drop(&mut self) {
        if self.0.is_over() {
            // A parent's: here nobody listens for it, and somebody else may.
            return;
        }
        TABLE.lock().remove(Signal::SIGINT);
        MAIN_WAKE_FD.store(-1, Ordering::SeqCst);
        wait_until_nobody_is_inside();
    }
}

extern "C" fn on_signal(number: c_int) {
    INSIDE.fetch_add(1, Ordering::SeqCst);
    // SAFETY: by I1 we only look at this thread's errno and put it back.
    let errno = unsafe { errno_location() };
    // SAFETY: the location of errno is valid as long as its thread.
    let saved = unsafe { *errno };
    let bit = 1_u64 << (number - 1);
    let mut is_heard = false;
    for listener in Listener::all() {
        if listener.wanted.load(Ordering::SeqCst) & bit != 0 {
            listener.pending.fetch_or(bit, Ordering::SeqCst);
            wake(&listener.wake_fd);
            is_heard = true;
        }
    }
    let is_run_there = MAIN_WAKE_FD.load(Ordering::SeqCst) >= 0;
    if number == libc::SIGINT && !is_heard && is_run_there {
        if CTRL_CS.fetch_add(1, Ordering::SeqCst) == 0 {
            wake(&MAIN_WAKE_FD);
        } else {
            die_by_sigint();
        }
    }
    // SAFETY: as above.
    unsafe { *errno = saved };
    INSIDE.fetch_sub(1, Ordering::SeqCst);
}

/// Wakes a loop. Called by the handler only.
fn wake(fd: &AtomicI32) {
    let fd = fd.load(Ordering::SeqCst);
    if fd >= 0 {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: by I2 the descriptor is a loop's; the eight bytes outlive the call.
        unsafe { libc::write(fd, one.as_ptr().cast(), one.len()) };
    }
}

fn wait_until_nobody_is_inside() {
    while INSIDE.load(Ordering::SeqCst) > 0 {
        thread::yield_now();
    }
}

/// Ends the process by SIGINT. In a signal handler it takes effect when the handler returns.
pub(super) fn die_by_sigint() {
    let default = action(libc::SIG_DFL, 0);
    // A failure leaves nothing to try.
    let _ = set(Signal::SIGINT, &default);
    // SAFETY: `raise` may be called anywhere, also in a signal handler.
    unsafe { libc::raise(libc::SIGINT) };
}

/// The child of a fork gives all signals back: nothing in it may be woken by them, nor wake its parent. What it listens
/// to itself later is its own.
pub(crate) fn after_fork() {
    // Threads that held it, or were in a handler, are not here.
    INSIDE.store(0, Ordering::SeqCst);
    TABLE.is_locked.store(false, Ordering::SeqCst);
    MAIN_WAKE_FD.store(-1, Ordering::SeqCst);
    for listener in Listener::all() {
        listener.wake_fd.store(-1, Ordering::SeqCst);
        listener.wanted.store(0, Ordering::SeqCst);
        listener.pending.store(0, Ordering::SeqCst);
    }
    let table = TABLE.lock();
    for signal in Signal::of_set(u64::MAX) {
        table.forget(signal);
    }
}

/// What the signals did before, and how many listen to each.
struct Table {
    is_locked: AtomicBool,
    rows: UnsafeCell<[Row; MOST as usize + 1]>,
}

struct Row {
    /// What it did before the first listener; there is one if this is there.
    previous: Option<libc::sigaction>,
    listeners: u32,
}

// SAFETY: by I3 the rows are touched by one thread at a time, and a `sigaction` may be sent to another one: it is
// integers and the addresses of functions.
unsafe impl Sync for Table {}

/// The table is locked until this is dropped. A lock of our own, since a fork may happen while another thread has it.
struct Locked(&'static Table);

impl Table {
    fn lock(&'static self) -> Locked {
        while self.is_locked.swap(true, Ordering::Acquire) {
            thread::yield_now();
        }
        Locked(self)
    }
}

impl Locked {
    /// One more listens.
    fn add(&self, signal: Signal) -> io::Result<()> {
        self.with_row(signal, |row| {
            if row.previous.is_none() {
                let handler: extern "C" fn(c_int) = on_signal;
                row.previous = Some(set(signal, &action(handler as usize, libc::SA_RESTART))?);
            }
            row.listeners += 1;
            Ok(())
        })
    }

    /// One less listens; after the last one the signal does what it did before.
    fn remove(&self, signal: Signal) {
        let is_last = self.with_row(signal, |row| {
            row.listeners = row.listeners.saturating_sub(1);
            row.listeners == 0
        });
        if is_last {
            self.forget(signal);
        }
    }

    /// Nobody listens any more.
    fn forget(&self, signal: Signal) {
        self.with_row(signal, |row| {
            row.listeners = 0;
            let Some(previous) = row.previous.take() else { return };
            // Somebody may have put a handler of their own over ours.
            let handler: extern "C" fn(c_int) = on_signal;
            if current(signal).is_some_and(|action| action.sa_sigaction == handler as usize) {
                // It worked with this very signal before.
                let _ = set(signal, &previous);
            }
        });
    }

    /// What it does when nobody listens.
    fn before(&self, signal: Signal) -> Option<libc::sigaction> {
        self.with_row(signal, |row| row.previous).or_else(|| current(signal))
    }

    fn with_row<R>(&self, signal: Signal, f: impl FnOnce(&mut Row) -> R) -> R {
        // SAFETY: by I3 we hold the lock, and none of the closures above comes here again.
        let rows = unsafe { &mut *self.0.rows.get() };
        f(&mut rows[signal.index()])
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.is_locked.store(false, Ordering::Release);
    }
}

fn action(handler: usize, flags: c_int) -> libc::sigaction {
    // SAFETY: all of it is integers and null pointers, for which zero is a value.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    action
}

/// What a signal does now.
fn current(signal: Signal) -> Option<libc::sigaction> {
    let mut current = MaybeUninit::uninit();
    // SAFETY: a null action changes nothing; the other pointer is to memory for one.
    let done = unsafe { libc::sigaction(signal.as_raw(), ptr::null(), current.as_mut_ptr()) };
    // SAFETY: the call has filled it if it says so.
    (done == 0).then(|| unsafe { current.assume_init() })
}

/// Sets what a signal does, returns what it did.
fn set(signal: Signal, action: &libc::sigaction) -> io::Result<libc::sigaction> {
    let mut previous = MaybeUninit::uninit();
    // SAFETY: both pointers are to one `sigaction` each, and the handler in `action` keeps I1.
    let done = unsafe { libc::sigaction(signal.as_raw(), action, previous.as_mut_ptr()) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has filled it.
    Ok(unsafe { previous.assume_init() })
}

#[cfg(any(target_os = "linux", target_os = "redox", target_os = "hurd"))]
use libc::__errno_location as errno_location;

#[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
use libc::__errno as errno_location;

#[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
use libc::__error as errno_location;

#[cfg(target_os = "dragonfly")]
use libc::__dfly_error as errno_location;

#[cfg(any(target_os = "illumos", target_os = "solaris"))]
use libc::___errno as errno_location;

static FIRST: OnceLock<&'static Listener> = OnceLock::new();
static TABLE: Table = Table {
    is_locked: AtomicBool::new(false),
    rows: UnsafeCell::new([const { Row { previous: None, listeners: 0 } }; MOST as usize + 1]),
};
/// Handlers that are running now.
static INSIDE: AtomicU32 = AtomicU32::new(0);
/// What ends a wait of the loop that `run` runs on the main thread, or -1.
static MAIN_WAKE_FD: AtomicI32 = AtomicI32::new(-1);
/// Ctrl-Cs that this `run` got.
static CTRL_CS: AtomicU32 = AtomicU32::new(0);
