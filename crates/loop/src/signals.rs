//! Ctrl-C: the first one cancels the main future, the second one ends the process at once.
//!
//! The handler is installed while `run` runs, on the main thread only, and only where nobody else has taken SIGINT over
//! (asyncio's conditions). On the first signal it raises a flag and writes eight bytes to the loop's wake descriptor;
//! the loop does the rest. On the second it ends the process itself, since the loop may be stuck in a callback.
//!
//! Invariants:
//! - I1. The handler calls only what POSIX calls async-signal-safe (atomics, `write`, `sigaction`, `raise`), allocates
//!   nothing, and leaves `errno` as it found it.
//! - I2. The handler is inside [`INSIDE`] from before it reads [`WAKE_FD`] until after its last use of it, and
//!   uninstalling sets that to -1 and then waits until nobody is inside: the descriptor that a handler writes to is
//!   open, and is the loop's.
#![expect(unsafe_code, reason = "sigaction, and what a signal handler may call")]

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::mem::{self, MaybeUninit};
use std::os::fd::RawFd;
use std::process;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::thread;

use libc::c_int;

/// Ctrl-C came, and the main future has been cancelled and has unwound.
///
/// As the result of `main`, by way of [`Exit`](crate::Exit), it ends the process as the shell expects: by SIGINT.
///
/// # Examples
///
/// ```no_run
/// match asyncio_loop::run(std::future::pending::<()>()) {
///     Err(asyncio_loop::RunError::Interrupted(interrupted)) => {
///         println!("saving");
///         interrupted.exit()
///     }
///     _ => {}
/// }
/// ```
#[derive(Debug)]
pub struct Interrupted(());

impl Interrupted {
    pub(crate) fn new() -> Self {
        Self(())
    }

    /// Ends the process by SIGINT, as if nobody had caught it. Flushes standard output and error; destructors of what
    /// is still alive do not run.
    pub fn exit(self) -> ! {
        // Nobody is left to tell if that fails.
        let _ = io::stdout().flush();
        let _ = io::stderr().flush();
        die();
        // SIGINT is blocked in this thread; then say what the shell would have said of it.
        process::exit(128 + libc::SIGINT)
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl Error for Interrupted {}

/// SIGINT is ours until this is dropped.
pub(crate) struct CtrlC {
    previous: libc::sigaction,
}

impl CtrlC {
    /// Takes SIGINT over. None if this is not the main thread, or if somebody else has it; that is no error.
    pub(crate) fn install(wake_fd: impl FnOnce() -> io::Result<RawFd>) -> Option<Self> {
        if !is_main_thread() || current()?.sa_sigaction != libc::SIG_DFL {
            return None;
        }
        let wake_fd = wake_fd().ok()?;
        COUNT.store(0, Ordering::SeqCst);
        WAKE_FD.store(wake_fd, Ordering::SeqCst);
        let handler: extern "C" fn(c_int) = on_sigint;
        match set(&action(handler as usize, libc::SA_RESTART)) {
            Some(previous) => Some(Self { previous }),
            None => {
                WAKE_FD.store(-1, Ordering::SeqCst);
                None
            }
        }
    }

    /// Has Ctrl-C been pressed since this was installed?
    pub(crate) fn came() -> bool {
        COUNT.load(Ordering::Relaxed) > 0
    }
}

impl Drop for CtrlC {
    fn drop(&mut self) {
        let handler: extern "C" fn(c_int) = on_sigint;
        // Somebody may have put a handler of their own over ours.
        if current().is_some_and(|action| action.sa_sigaction == handler as usize) {
            set(&self.previous);
        }
        WAKE_FD.store(-1, Ordering::SeqCst);
        while INSIDE.load(Ordering::SeqCst) > 0 {
            thread::yield_now();
        }
    }
}

extern "C" fn on_sigint(_: c_int) {
    INSIDE.fetch_add(1, Ordering::SeqCst);
    // SAFETY: by I1 we only look at this thread's errno and put it back.
    let errno = unsafe { errno_location() };
    // SAFETY: the location of errno is valid as long as its thread.
    let saved = unsafe { *errno };
    if COUNT.fetch_add(1, Ordering::SeqCst) == 0 {
        let wake_fd = WAKE_FD.load(Ordering::SeqCst);
        if wake_fd >= 0 {
            let one = 1_u64.to_ne_bytes();
            // SAFETY: by I2 the descriptor is the loop's; the eight bytes outlive the call.
            unsafe { libc::write(wake_fd, one.as_ptr().cast(), one.len()) };
        }
    } else {
        die();
    }
    // SAFETY: as above.
    unsafe { *errno = saved };
    INSIDE.fetch_sub(1, Ordering::SeqCst);
}

/// Ends the process by SIGINT. In a signal handler it takes effect when the handler returns.
fn die() {
    set(&action(libc::SIG_DFL, 0));
    // SAFETY: `raise` may be called anywhere, also in a signal handler.
    unsafe { libc::raise(libc::SIGINT) };
}

fn action(handler: usize, flags: c_int) -> libc::sigaction {
    // SAFETY: all of it is integers and null pointers, for which zero is a value.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    action
}

/// What SIGINT does now.
fn current() -> Option<libc::sigaction> {
    let mut current = MaybeUninit::uninit();
    // SAFETY: a null action changes nothing; the other pointer is to memory for one.
    let done = unsafe { libc::sigaction(libc::SIGINT, ptr::null(), current.as_mut_ptr()) };
    // SAFETY: the call has filled it if it says so.
    (done == 0).then(|| unsafe { current.assume_init() })
}

/// Sets what SIGINT does, returns what it did.
fn set(action: &libc::sigaction) -> Option<libc::sigaction> {
    let mut previous = MaybeUninit::uninit();
    // SAFETY: both pointers are to one `sigaction` each, and the handler in `action` keeps I1.
    let done = unsafe { libc::sigaction(libc::SIGINT, action, previous.as_mut_ptr()) };
    // SAFETY: the call has filled it if it says so.
    (done == 0).then(|| unsafe { previous.assume_init() })
}

#[cfg(target_os = "linux")]
fn is_main_thread() -> bool {
    // SAFETY: neither has a precondition.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) };
    thread == libc::c_long::from(process::id() as libc::pid_t)
}

#[cfg(not(target_os = "linux"))]
fn is_main_thread() -> bool {
    // Rust's runtime names the thread that calls `main`, and a program seldom names another one so.
    thread::current().name() == Some("main")
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

/// Ctrl-Cs since the handler was installed.
static COUNT: AtomicU32 = AtomicU32::new(0);
/// What ends a wait of the loop, or -1.
static WAKE_FD: AtomicI32 = AtomicI32::new(-1);
/// Handlers that are running now.
static INSIDE: AtomicU32 = AtomicU32::new(0);
