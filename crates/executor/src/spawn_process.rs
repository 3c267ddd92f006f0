//! Starting child processes on raw pipes: what the process streams of upper tiers are made of.

use std::borrow::BorrowMut;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::Arc;

use asyncio_loop::{IoHandle, get_running_loop};
use rustix::process::Signal;

use crate::process::{Hold, Process};
use crate::watch::watch;

/// Starts `command` as a child of the running loop.
///
/// Its standard streams are as `command` says: inherited, unless asked otherwise. Ends of pipes that
/// are ours come as raw, non-blocking handles. Takes the command by value or by `&mut`.
///
/// The call blocks until the child has executed the program, as asyncio's does: with a file system
/// that answers that is a millisecond.
///
/// # Errors
///
/// - What [`Command::spawn`] says, as when there is no such program.
/// - No loop runs on this thread.
/// - The system has no descriptor or thread left to watch the child with. The child has been killed
///   then, and reaped.
///
/// # Examples
///
/// ```
/// use std::process::{Command, Stdio};
/// use asyncio_executor::spawn_process;
///
/// asyncio_loop::run(async {
///     let mut child = spawn_process(Command::new("echo").arg("spam").stdout(Stdio::piped()))?;
///     let stdout = child.take_stdout().unwrap();
///     let mut line = [0; 16];
///     let n = stdout.read_with(|pipe| Ok(rustix::io::read(pipe, &mut line)?)).await?;
///     assert_eq!(&line[..n], b"spam\n");
///     assert_eq!(child.wait().await, 0);
///     std::io::Result::Ok(())
/// }).unwrap().unwrap();
/// ```
pub fn spawn_process(command: impl BorrowMut<Command>) -> io::Result<Child> {
    spawn(command, Hold::Best)
}

fn spawn(mut command: impl BorrowMut<Command>, hold: Hold) -> io::Result<Child> {
    let event_loop = get_running_loop().map_err(io::Error::other)?;
    let mut spawned = command.borrow_mut().spawn()?;
    // The library's child only holds pipes and a number: it neither waits nor kills when dropped.
    let process = Arc::new(Process::new(spawned.id(), hold));

    if let Err(error) = watch(&event_loop, &process) {
        // Nobody will see its end, so it ends here; after SIGKILL that takes no time.
        let _ = process.signal(Signal::KILL);
        process.wait_and_reap();
        return Err(error);
    }
    let stdin = raw(spawned.stdin.take());
    let stdout = raw(spawned.stdout.take());
    let stderr = raw(spawned.stderr.take());
    match (stdin, stdout, stderr) {
        (Ok(stdin), Ok(stdout), Ok(stderr)) => Ok(Child { process, stdin, stdout, stderr }),
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => {
            let _ = process.signal(Signal::KILL);
            Err(error)
        }
    }
}

/// Our end of a pipe, non-blocking and on the loop. (The child's end is an open file of its own, and
/// stays as it is.)
fn raw<P: Into<OwnedFd>>(pipe: Option<P>) -> io::Result<Option<IoHandle<OwnedFd>>> {
    pipe.map(|pipe| IoHandle::new(pipe.into())).transpose()
}

/// A child process of the loop.
///
/// It is always reaped, also when this handle is dropped or the loop closed before it ends: then it
/// runs on. Dropping it does not kill it.
#[must_use = "dropping it lets the process run by itself"]
pub struct Child {
    process: Arc<Process>,
    stdin: Option<IoHandle<OwnedFd>>,
    stdout: Option<IoHandle<OwnedFd>>,
    stderr: Option<IoHandle<OwnedFd>>,
}

impl Child {
    /// The number of the process. Once it has been reaped, another process may get it.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// How it ended, if it has been noticed: its exit code, or minus the number of the signal that
    /// killed it; 255 if somebody else has reaped it.
    pub fn returncode(&self) -> Option<i32> {
        self.process.returncode()
    }

    /// Waits until the process has ended, and gives its [`returncode`](Self::returncode).
    ///
    /// Any number of tasks may wait. The future does not borrow the child. A child that is blocked
    /// on a full pipe which nobody reads does not end.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; the process is not touched.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::process::Command;
    /// let returncode = asyncio_loop::run(async {
    ///     let child = asyncio_executor::spawn_process(Command::new("sh").args(["-c", "exit 7"])).unwrap();
    ///     child.wait().await
    /// });
    /// assert_eq!(returncode.unwrap(), 7);
    /// ```
    pub fn wait(&self) -> impl Future<Output = i32> + use<> {
        let process = Arc::clone(&self.process);
        async move {
            // While somebody waits for it, it is work that a virtual clock has to wait for.
            let _working = match process.returncode() {
                None => get_running_loop().ok().map(|event_loop| event_loop.external_work()),
                Some(_) => None,
            };
            process.exited().await
        }
    }

    /// Sends SIGKILL. Errors as [`send_signal`](Self::send_signal).
    pub fn kill(&self) -> io::Result<()> {
        self.process.signal(Signal::KILL)
    }

    /// Sends SIGTERM. Errors as [`send_signal`](Self::send_signal).
    pub fn terminate(&self) -> io::Result<()> {
        self.process.signal(Signal::TERM)
    }

    /// Sends the signal with this number; never to another process that has got the same pid.
    ///
    /// # Errors
    ///
    /// - `ESRCH`, Python's `ProcessLookupError`: its [`returncode`](Self::returncode) is known. (A
    ///   process that has ended unnoticed is no error.)
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput): no named signal has this number.
    /// - What the system says, as when the child has become another user.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::process::Command;
    /// const SIGHUP: i32 = 1;
    /// asyncio_loop::run(async {
    ///     let child = asyncio_executor::spawn_process(Command::new("sleep").arg("60")).unwrap();
    ///     child.send_signal(SIGHUP).unwrap();
    ///     assert_eq!(child.wait().await, -SIGHUP);
    /// }).unwrap();
    /// ```
    pub fn send_signal(&self, signal: i32) -> io::Result<()> {
        let Some(signal) = Signal::from_named_raw(signal) else {
            let message = format!("no signal has the number {signal}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        self.process.signal(signal)
    }

    /// Our end of its standard input, if that is a pipe; once. Dropping it is the end of input.
    pub fn take_stdin(&mut self) -> Option<IoHandle<OwnedFd>> {
        self.stdin.take()
    }

    /// Our end of its standard output, if that is a pipe; once.
    pub fn take_stdout(&mut self) -> Option<IoHandle<OwnedFd>> {
        self.stdout.take()
    }

    /// Our end of its standard error, if that is a pipe; once.
    pub fn take_stderr(&mut self) -> Option<IoHandle<OwnedFd>> {
        self.stderr.take()
    }
}

/// As asyncio's: `<Child pid=7 running>`, `<Child pid=7 returncode=0>`.
impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.returncode() {
            None => write!(f, "<Child pid={} running>", self.pid()),
            Some(returncode) => write!(f, "<Child pid={} returncode={returncode}>", self.pid()),
        }
    }
}

/// Where there is no pidfd. (Everything else is in tests/process.rs.)
#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::process::Stdio;

    use asyncio_loop::run;
    use futures_lite::future::poll_once;
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

    use super::*;

    fn sh(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::piped());
        spawn(command, Hold::Number).unwrap()
    }

    #[test]
    fn a_thread_waits_for_a_child_that_has_no_pidfd() {
        run(async {
            let mut child = sh("read line; exit 7");
            #[cfg(target_os = "linux")]
            assert!(child.process.pidfd().is_none());
            let mut waiting = pin!(child.wait());
            assert!(poll_once(waiting.as_mut()).await.is_none());
            drop(child.take_stdin());
            assert_eq!(waiting.await, 7);
        })
        .unwrap();
    }

    #[test]
    fn signals_by_number_stop_once_it_is_reaped() {
        run(async {
            let child = sh("exec sleep 60");
            child.terminate().unwrap();
            assert_eq!(child.wait().await, -15);
            assert_eq!(child.kill().unwrap_err().raw_os_error(), Some(3), "ESRCH");
        })
        .unwrap();
    }

    #[test]
    fn a_child_without_pidfd_is_reaped_when_its_handle_is_gone() {
        run(async {
            let mut child = sh("read line; exit 2");
            let (process, stdin) = (Arc::clone(&child.process), child.take_stdin());
            drop(child);
            drop(stdin);
            assert_eq!(process.exited().await, 2);
            let pid = Pid::from_raw(process.pid().try_into().unwrap()).unwrap();
            let gone = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
            assert_eq!(gone.unwrap_err(), rustix::io::Errno::CHILD);
        })
        .unwrap();
    }
}
