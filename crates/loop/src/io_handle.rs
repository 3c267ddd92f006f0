//! A file descriptor that can be awaited: the door for drivers.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use asyncio_coro::wait_list::WaitList;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::io::{IoHandler, Ready, Registration};
use crate::running::get_running_loop;

/// A socket, a pipe or another descriptor, registered with the running loop.
///
/// [`read_with`](Self::read_with) and [`write_with`](Self::write_with) try an operation at once and again whenever the
/// descriptor has become ready, until it does not say `WouldBlock`. [`readable`](Self::readable) and
/// [`writable`](Self::writable) are for drivers that bring their own C library. Any number of tasks may wait.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{IoHandle, run};
/// use std::{io::{Read, Write}, os::unix::net::UnixStream};
///
/// let received = run(async {
///     let (ours, mut theirs) = UnixStream::pair()?;
///     let ours = IoHandle::new(ours)?;
///     theirs.write_all(b"hello")?;
///     let mut buffer = [0; 16];
///     let n = ours.read_with(|mut stream| stream.read(&mut buffer)).await?;
///     std::io::Result::Ok(buffer[..n].to_vec())
/// })??;
/// assert_eq!(received, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct IoHandle<T: AsFd> {
    /// Before `io`: the descriptor leaves the selector before it is closed.
    registration: Registration,
    directions: Rc<Directions>,
    io: T,
}

impl<T: AsFd> IoHandle<T> {
    /// Registers `io` with the running loop and sets it to non-blocking mode. (That is a property of the open file,
    /// which others may share: a terminal's standard input, for one.)
    ///
    /// # Errors
    ///
    /// - [`NoRunningLoop`](crate::NoRunningLoop), as the inner error: no loop is running in this thread.
    /// - Those of [`EventLoop::register`](crate::EventLoop::register).
    pub fn new(io: T) -> io::Result<Self> {
        let event_loop = get_running_loop().map_err(io::Error::other)?;
        let directions = Rc::new(Directions::default());
        let registration = event_loop.register(io.as_fd(), directions.clone())?;
        rustix::io::ioctl_fionbio(&io, true)?;
        Ok(Self { registration, directions, io })
    }

    /// The thing itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{IoHandle, run};
    /// use std::{io::{Read, Write}, os::unix::net::UnixStream};
    ///
    /// run(async {
    ///     let (ours, theirs) = UnixStream::pair()?;
    ///     let handle = IoHandle::new(ours)?;
    ///     assert!(handle.get_ref().peer_addr().is_ok());
    ///     # drop(theirs);
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// Gives the thing back, deregistered. Nobody can be waiting.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{IoHandle, run};
    /// use std::{io::{Read, Write}, os::unix::net::UnixStream};
    ///
    /// run(async {
    ///     let (ours, theirs) = UnixStream::pair()?;
    ///     let handle = IoHandle::new(ours)?;
    ///     let ours: UnixStream = handle.into_inner();
    ///     IoHandle::new(ours)?; // it can be registered again
    ///     # drop(theirs);
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_inner(self) -> T {
        drop(self.registration);
        self.io
    }

    /// Calls `op` until it does not say `WouldBlock`, at once and then whenever a read may succeed.
    ///
    /// # Errors
    ///
    /// What `op` returns, except `WouldBlock` and `Interrupted`, after which it is called again.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: when this is dropped while it waits, `op` has had no effect.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{IoHandle, run};
    /// use std::{io::{Read, Write}, os::unix::net::UnixStream};
    ///
    /// run(async {
    ///     let (ours, theirs) = UnixStream::pair()?;
    ///     let ours = IoHandle::new(ours)?;
    ///     (&theirs).write_all(b"x")?;
    ///     let mut byte = [0];
    ///     assert_eq!(ours.read_with(|mut stream| stream.read(&mut byte)).await?, 1);
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn read_with<R>(&self, op: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.directions.read.when_ready(&self.io, op).await
    }

    /// Calls `op` until it does not say `WouldBlock`, at once and then whenever a write may succeed.
    ///
    /// # Errors
    ///
    /// What `op` returns, except `WouldBlock` and `Interrupted`, after which it is called again.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: when this is dropped while it waits, `op` has had no effect.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{IoHandle, run};
    /// use std::{io::{Read, Write}, os::unix::net::UnixStream};
    ///
    /// run(async {
    ///     let (ours, theirs) = UnixStream::pair()?;
    ///     let ours = IoHandle::new(ours)?;
    ///     assert_eq!(ours.write_with(|mut stream| stream.write(b"hello")).await?, 5);
    ///     # drop(theirs);
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn write_with<R>(&self, op: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.directions.write.when_ready(&self.io, op).await
    }

    /// Waits until a read will not block: there is data, or the end, or an error.
    ///
    /// # Errors
    ///
    /// What `poll(2)` says.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is consumed.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{IoHandle, run};
    /// use std::{io::{Read, Write}, os::unix::net::UnixStream};
    ///
    /// run(async {
    ///     let (ours, theirs) = UnixStream::pair()?;
    ///     let ours = IoHandle::new(ours)?;
    ///     (&theirs).write_all(b"x")?;
    ///     ours.readable().await?;
    ///     assert_eq!(ours.get_ref().read(&mut [0])?, 1);
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn readable(&self) -> io::Result<()> {
        self.directions.read.ready(self.io.as_fd(), PollFlags::IN).await
    }

    /// Waits until a write will not block: there is room, or an error.
    ///
    /// # Errors
    ///
    /// What `poll(2)` says.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is consumed.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{IoHandle, run};
    /// use std::{io::{Read, Write}, os::unix::net::UnixStream};
    ///
    /// run(async {
    ///     let (ours, theirs) = UnixStream::pair()?;
    ///     let ours = IoHandle::new(ours)?;
    ///     ours.writable().await?;
    ///     assert_eq!(ours.get_ref().write(b"x")?, 1);
    ///     # drop(theirs);
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn writable(&self) -> io::Result<()> {
        self.directions.write.ready(self.io.as_fd(), PollFlags::OUT).await
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for IoHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoHandle").field("io", &self.io).finish_non_exhaustive()
    }
}

/// Both directions of a handle: what the loop calls.
#[derive(Default)]
struct Directions {
    read: Direction,
    write: Direction,
}

impl IoHandler for Directions {
    fn on_ready(self: Rc<Self>, ready: Ready) {
        if ready.is_readable() {
            self.read.edge();
        }
        if ready.is_writable() {
            self.write.edge();
        }
    }
}

/// One direction of a handle.
struct Direction {
    /// True unless the last attempt said that it would block: then only an edge can change that.
    maybe_ready: Cell<bool>,
    waiters: WaitList,
}

impl Default for Direction {
    fn default() -> Self {
        Self { maybe_ready: Cell::new(true), waiters: WaitList::new() }
    }
}

impl Direction {
    fn edge(&self) {
        self.maybe_ready.set(true);
        self.waiters.notify_all();
    }

    async fn when_ready<T, R>(
        &self,
        io: &T,
        mut op: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            if !self.maybe_ready.get() {
                self.waiters.wait().await;
                continue;
            }
            match op(io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.maybe_ready.set(false)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Asks the system whether the direction is ready: somebody may have used up what the last edge announced without
    /// our seeing it.
    async fn ready(&self, fd: BorrowedFd<'_>, flags: PollFlags) -> io::Result<()> {
        loop {
            if !self.maybe_ready.get() {
                self.waiters.wait().await;
                continue;
            }
            let mut fds = [PollFd::from_borrowed_fd(fd, flags)];
            match poll(&mut fds, Some(&NO_WAIT)) {
                Ok(0) => self.maybe_ready.set(false),
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

const NO_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
