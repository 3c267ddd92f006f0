//! A child process: how it is signalled, and how it is reaped, once.
//!
//! On Linux the process is held by a pidfd, opened before anybody can have reaped it, so neither a
//! signal nor a wait can ever meet another process that got the number later. Without one
//! (an old kernel, a sandbox, another system) signals and the reaping exclude each other by a
//! mutex: a process that was not reaped keeps its number.

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::BorrowedFd;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, OnceLock, PoisonError};

use event_listener::Event;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, waitid};
#[cfg(target_os = "linux")]
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

/// What the handle, the loop and a thread that waits share of a child. `Send + Sync`: after the
/// loop has closed, a thread reaps.
pub(crate) struct Process {
    pid: Pid,
    #[cfg(target_os = "linux")]
    pidfd: Option<OwnedFd>,
    /// asyncio's: the exit code, or minus the signal. Set by who reaps it.
    returncode: OnceLock<i32>,
    /// Held while it is reaped, and while a signal is sent by number.
    reaping: Mutex<()>,
    /// Notified once it has been reaped.
    exited: Event,
}

/// How a process is held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// By a pidfd if that can be had.
    Best,
    /// By its number; for the tests of what happens where there is no pidfd.
    #[cfg(test)]
    Number,
}

impl Process {
    /// A child of ours that nobody has waited for.
    pub(crate) fn new(pid: u32, hold: Hold) -> Self {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pid = pid.expect("the number of a process is positive");
        #[cfg(not(target_os = "linux"))]
        let _ = hold;
        Self {
            pid,
            #[cfg(target_os = "linux")]
            pidfd: match hold {
                Hold::Best => pidfd_open(pid, PidfdFlags::empty()).ok().filter(is_our_child),
                #[cfg(test)]
                Hold::Number => None,
            },
            returncode: OnceLock::new(),
            reaping: Mutex::new(()),
            exited: Event::new(),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Becomes readable when the process has ended.
    #[cfg(target_os = "linux")]
    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(OwnedFd::as_fd)
    }

    pub(crate) fn returncode(&self) -> Option<i32> {
        self.returncode.get().copied()
    }

    /// Completes when it has been reaped.
    pub(crate) async fn exited(&self) -> i32 {
        loop {
            if let Some(returncode) = self.returncode() {
                return returncode;
            }
            let exited = self.exited.listen();
            // Set before it is notified: now it is there, or the listener will hear of it.
            if self.returncode().is_none() {
                exited.await;
            }
        }
    }

    /// Reaps it if it has ended, and says whether it has been reaped.
    pub(crate) fn reap(&self) -> bool {
        let reaping = self.reaping.lock().unwrap_or_else(PoisonError::into_inner);
        if self.returncode().is_some() {
            return true;
        }
        let waited = self.waitid(WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        let returncode = match &waited {
            Ok(None) => return false,
            Ok(Some(status)) => returncode(status),
            Err(_) => UNKNOWN,
        };
        self.returncode.set(returncode).expect("only set under the lock");
        // A logger is foreign code, and may ask for this very child.
        drop(reaping);
        if let Err(error) = waited {
            let pid = self.pid();
            log::warn!("child process {pid} was reaped elsewhere, taking 255 ({error})");
        }
        self.exited.notify(usize::MAX);
        true
    }

    /// Blocks until it has ended, then reaps it.
    pub(crate) fn wait_and_reap(&self) {
        while !self.reap() {
            // Ended, but still there: signals can be sent until `reap` holds the lock. An error is
            // for `reap` to find.
            let _ = self.waitid(WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        }
    }

    /// Sends a signal. A process that has ended and was not noticed yet is no error.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        let reaping = self.reaping.lock().unwrap_or_else(PoisonError::into_inner);
        if self.returncode().is_some() {
            return Err(Errno::SRCH.into());
        }
        let sent = self.send(signal);
        drop(reaping);
        match sent {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(target_os = "linux")]
    fn send(&self, signal: Signal) -> Result<(), Errno> {
        match &self.pidfd {
            Some(pidfd) => pidfd_send_signal(pidfd, signal),
            None => kill_process(self.pid, signal),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn send(&self, signal: Signal) -> Result<(), Errno> {
        kill_process(self.pid, signal)
    }

    fn waitid(&self, options: WaitIdOptions) -> Result<Option<WaitIdStatus>, Errno> {
        loop {
            #[cfg(target_os = "linux")]
            let id = self.pidfd().map_or(WaitId::Pid(self.pid), WaitId::PidFd);
            #[cfg(not(target_os = "linux"))]
            let id = WaitId::Pid(self.pid);
            match waitid(id, options) {
                Err(Errno::INTR) => {}
                done => return done,
            }
        }
    }
}

/// Linux 5.3 has pidfds and cannot wait for them. And where SIGCHLD is ignored the kernel may have reaped the child
/// before we came; then the number is nobody's, or a stranger's.
#[cfg(target_os = "linux")]
fn is_our_child(pidfd: &OwnedFd) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::PidFd(pidfd.as_fd()), look).is_ok()
}

fn returncode(status: &WaitIdStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => -signal,
        (None, None) => UNKNOWN,
    }
}

/// asyncio's return code where somebody else has reaped the child.
const UNKNOWN: i32 = 255;
