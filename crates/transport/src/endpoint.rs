//! The thing that bytes go into and come out of: a connected socket, or one end of a pipe.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use socket2::Socket;

/// A non-blocking file descriptor with the system calls that fit it.
#[derive(Debug)]
pub(crate) enum Endpoint {
    Socket(Socket),
    ReadPipe(OwnedFd),
    WritePipe(OwnedFd),
}

/// What a read found.
#[derive(Debug)]
pub(crate) enum Received {
    Bytes(usize),
    Nothing,
    Eof,
}

impl Endpoint {
    pub(crate) fn recv(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let result = match self {
            Self::Socket(socket) => {
                retry_on_intr(|| rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()))
                    .map(|(received, _)| received)
            }
            Self::ReadPipe(fd) | Self::WritePipe(fd) => {
                retry_on_intr(|| rustix::io::read(fd, &mut *buffer))
            }
        };
        match result {
            Ok(0) => Ok(Received::Eof),
            Ok(received) => Ok(Received::Bytes(received)),
            Err(Errno::WOULDBLOCK) => Ok(Received::Nothing),
            // A pseudo-terminal whose other side was closed says so by EIO.
            Err(Errno::IO) if self.is_pipe() => Ok(Received::Eof),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The number of bytes that the kernel took; 0 when it has no room.
    pub(crate) fn send(&self, data: &[u8]) -> io::Result<usize> {
        taken(match self {
            Self::Socket(socket) => {
                retry_on_intr(|| rustix::net::send(socket, data, SendFlags::NOSIGNAL))
            }
            Self::ReadPipe(fd) | Self::WritePipe(fd) => {
                retry_on_intr(|| rustix::io::write(fd, data))
            }
        })
    }

    /// As [`send`](Self::send), from several slices in one system call.
    pub(crate) fn send_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if let [only] = slices {
            return self.send(only);
        }
        taken(match self {
            Self::Socket(socket) => retry_on_intr(|| {
                let mut no_control = SendAncillaryBuffer::default();
                rustix::net::sendmsg(socket, slices, &mut no_control, SendFlags::NOSIGNAL)
            }),
            Self::ReadPipe(fd) | Self::WritePipe(fd) => {
                retry_on_intr(|| rustix::io::writev(fd, slices))
            }
        })
    }

    /// Ends the writing side and leaves the reading side open.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Socket(socket) => socket.shutdown(Shutdown::Write),
            Self::ReadPipe(_) | Self::WritePipe(_) => Ok(()),
        }
    }

    pub(crate) fn socket(&self) -> Option<&Socket> {
        match self {
            Self::Socket(socket) => Some(socket),
            Self::ReadPipe(_) | Self::WritePipe(_) => None,
        }
    }

    pub(crate) fn is_pipe(&self) -> bool {
        !matches!(self, Self::Socket(_))
    }

    pub(crate) fn can_read(&self) -> bool {
        !matches!(self, Self::WritePipe(_))
    }

    pub(crate) fn can_write(&self) -> bool {
        !matches!(self, Self::ReadPipe(_))
    }
}

impl AsFd for Endpoint {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Socket(socket) => socket.as_fd(),
            Self::ReadPipe(fd) | Self::WritePipe(fd) => fd.as_fd(),
        }
    }
}

fn taken(result: Result<usize, Errno>) -> io::Result<usize> {
    match result {
        Err(Errno::WOULDBLOCK) => Ok(0),
        other => Ok(other?),
    }
}
