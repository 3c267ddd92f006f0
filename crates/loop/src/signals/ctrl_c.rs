//! Ctrl-C for `run`: the first one cancels the main future, the second one ends the process at once.
//!
//! It is looked after while `run` runs, on the main thread only, and only where nobody else has taken SIGINT over:
//! asyncio's conditions. A loop that listens to SIGINT itself takes it over for as long as it listens.
#![expect(unsafe_code, reason = "which thread is the main one")]

use std::io;
use std::os::fd::RawFd;

use super::process::MainListener;

/// Ctrl-C is looked after until this is dropped.
#[derive(Debug)]
pub(crate) struct LookAfterCtrlC {
    _listener: MainListener,
}

impl LookAfterCtrlC {
    /// None if this is not the main thread, or if somebody else has SIGINT; that is no error.
    pub(crate) fn begin(wake_fd: impl FnOnce() -> io::Result<RawFd>) -> Option<Self> {
        if !is_main_thread() {
            return None;
        }
        MainListener::take(wake_fd).map(|listener| Self { _listener: listener })
    }

    /// Has Ctrl-C been pressed since this began?
    #[inline]
    pub(crate) fn has_come() -> bool {
        MainListener::has_heard()
    }
}

#[cfg(target_os = "linux")]
fn is_main_thread() -> bool {
    // SAFETY: neither has a precondition.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) };
    thread == libc::c_long::from(std::process::id() as libc::pid_t)
}

#[cfg(not(target_os = "linux"))]
fn is_main_thread() -> bool {
    // Rust's runtime names the thread that calls `main`, and a program seldom names another one so.
    std::thread::current().name() == Some("main")
}
