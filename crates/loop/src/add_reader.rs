//! `add_reader` and `add_writer`: callbacks for descriptors, as asyncio has them.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use crate::event_loop::EventLoop;
use crate::watched::Direction;

impl EventLoop {
    /// Calls `callback` in every tick in which `fd` is readable: there is data, or the end, or an error. It is
    /// level-triggered: what a call leaves unread is told of again.
    ///
    /// A reader that `fd` has already is replaced; its writer stays. The callback runs in a copy of the context that is
    /// current now. If it panics, that is reported, and it stays.
    ///
    /// Remove it before you close the descriptor. If you do not, it is never called again, and it is dropped when another
    /// file gets the descriptor's number and comes here.
    ///
    /// # Errors
    ///
    /// - `AlreadyExists`: a transport or an [`IoHandle`](crate::IoHandle) of this loop has the descriptor.
    /// - `Unsupported`: a regular file or directory, which cannot be waited for.
    /// - [`LoopClosed`](crate::LoopClosed), as the inner error: the loop is closed.
    /// - What else the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::EventLoop;
    /// use std::{io::{Read, Write}, os::unix::net::UnixStream};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// let (mut reader, stopper) = (ours.try_clone()?, event_loop.clone());
    /// event_loop.add_reader(&ours, move || {
    ///     let mut buffer = [0; 16];
    ///     assert_eq!(reader.read(&mut buffer).unwrap(), 5);
    ///     stopper.stop();
    /// })?;
    /// theirs.write_all(b"hello")?;
    /// event_loop.run_forever()?;
    /// assert!(event_loop.remove_reader(&ours));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_reader(&self, fd: &impl AsFd, callback: impl FnMut() + 'static) -> io::Result<()> {
        self.inner().add_callback(fd.as_fd(), Direction::Read, Box::new(callback))
    }

    /// Takes the reader of `fd` away and drops it. False if there is none, or the loop is closed.
    ///
    /// The descriptor may be given by its number, for one that is closed already.
    ///
    /// # Examples
    ///
    /// ```
    /// # use asyncio_loop::EventLoop;
    /// # use std::os::{fd::AsRawFd, unix::net::UnixStream};
    /// let event_loop = EventLoop::new()?;
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// event_loop.add_reader(&ours, || ())?;
    /// let number = ours.as_raw_fd();
    /// drop(ours);
    /// assert!(event_loop.remove_reader(&number));
    /// assert!(!event_loop.remove_reader(&number));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn remove_reader(&self, fd: &impl AsRawFd) -> bool {
        self.inner().remove_callback(fd.as_raw_fd(), Direction::Read)
    }

    /// Calls `callback` in every tick in which `fd` is writable: there is room, or an error. What
    /// [`add_reader`](Self::add_reader) says holds here too.
    ///
    /// # Errors
    ///
    /// As [`add_reader`](Self::add_reader).
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::EventLoop;
    /// use std::{io::{Read, Write}, os::unix::net::UnixStream};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// let (mut writer, stopper) = (ours.try_clone()?, event_loop.clone());
    /// event_loop.add_writer(&ours, move || {
    ///     writer.write_all(b"there is room").unwrap();
    ///     stopper.stop();
    /// })?;
    /// event_loop.run_forever()?;
    /// assert!(event_loop.remove_writer(&ours));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_writer(&self, fd: &impl AsFd, callback: impl FnMut() + 'static) -> io::Result<()> {
        self.inner().add_callback(fd.as_fd(), Direction::Write, Box::new(callback))
    }

    /// As [`remove_reader`](Self::remove_reader), of the writer.
    pub fn remove_writer(&self, fd: &impl AsRawFd) -> bool {
        self.inner().remove_callback(fd.as_raw_fd(), Direction::Write)
    }
}
