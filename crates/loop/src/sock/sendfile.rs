//! Sending a file without copying it through the program.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use asyncio_coro::yield_now;
use rustix::io::retry_on_intr;
use rustix::net::SendFlags;
use socket2::{Socket, Type};

use super::Waiting;
use super::send::AT_ONCE;
use crate::watched::Direction;

/// Sends a file, or `count` bytes of it, from `offset` on, and returns how many bytes that were: fewer than `count` where
/// the file ends.
///
/// The system copies from the file to the socket, by sendfile(2), which never waits for the socket here, but may for the
/// disk. Where it cannot (another system than Linux, a file that has no pages to send), blocks of 256 KiB are read and
/// sent instead if `fallback` says so.
///
/// The socket is set to non-blocking mode, since sendfile(2) has no flag for it.
///
/// The file's position is moved behind what was sent, also on an error and when this is cancelled.
///
/// # Errors
///
/// - [`SendfileError::InvalidInput`]: a `count` of 0, or a socket that is no stream.
/// - [`SendfileError::NotAvailable`]: without `fallback`, when the system cannot send this file; nothing was sent.
/// - [`SendfileError::Io`]: what the system says, and how much was sent before.
///
/// # Cancel safety
///
/// What was sent is sent, and the file's position tells how much.
///
/// # Examples
///
/// ```
/// use asyncio_loop::{run, sock_recv, sock_sendfile};
/// use socket2::Socket;
/// use std::{fs::File, os::unix::net::UnixStream};
///
/// run(async {
///     let (ours, theirs) = UnixStream::pair()?;
///     let file = File::open("Cargo.toml")?;
///     let sent = sock_sendfile(&Socket::from(ours), &file, 0, Some(9), true).await?;
///     assert_eq!(sent, 9);
///     assert_eq!(sock_recv(&Socket::from(theirs), 100).await?, b"[package]");
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn sock_sendfile(
    socket: &Socket,
    file: &File,
    offset: u64,
    count: Option<u64>,
    fallback: bool,
) -> Result<u64, SendfileError> {
    let invalid = |why: &str| Err(SendfileError::InvalidInput(why.into()));
    if count == Some(0) {
        return invalid("count is 0: it must be a positive number, or `None` for the whole file");
    }
    match socket.r#type() {
        Ok(Type::STREAM) => {}
        Ok(_) => return invalid("only stream sockets send files"),
        Err(error) => return Err(SendfileError::Io { error, sent: 0 }),
    }
    let first = native_block(socket, file, offset, most(count, AT_ONCE));
    let first = match first {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
            if !fallback {
                return Err(SendfileError::NotAvailable(error));
            }
            None
        }
        first => Some(first),
    };
    let mut waiting = Waiting::new(socket, Direction::Write);
    let mut transfer = Transfer { file, offset, sent: 0, left: count };
    match first {
        Some(first) => natively(&mut waiting, &mut transfer, first).await?,
        None => by_blocks(&mut waiting, &mut transfer).await?,
    }
    Ok(transfer.sent)
}

async fn natively(
    waiting: &mut Waiting<'_>,
    transfer: &mut Transfer<'_>,
    first: io::Result<usize>,
) -> Result<(), SendfileError> {
    let mut result = first;
    loop {
        match result {
            Ok(0) => return Ok(()),
            Ok(sent) => transfer.advance(sent),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                waiting.ready().await.map_err(|error| transfer.failed(error))?;
            }
            Err(error) => return Err(transfer.failed(error)),
        }
        if transfer.left == Some(0) {
            return Ok(());
        }
        // A peer that reads as fast as we send must not keep the loop to itself.
        yield_now().await;
        let block = most(transfer.left, AT_ONCE);
        result = native_block(waiting.socket, transfer.file, transfer.position(), block);
    }
}

/// A transfer under way. Its drop moves the file's position.
struct Transfer<'a> {
    file: &'a File,
    offset: u64,
    sent: u64,
    /// `None`: up to the end of the file.
    left: Option<u64>,
}

impl Transfer<'_> {
    fn position(&self) -> u64 {
        self.offset + self.sent
    }

    fn advance(&mut self, sent: usize) {
        self.sent += sent as u64;
        if let Some(left) = &mut self.left {
            *left -= sent as u64;
        }
    }

    fn failed(&self, error: io::Error) -> SendfileError {
        SendfileError::Io { error, sent: self.sent }
    }
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        let mut file = self.file;
        // What cannot seek has no position either.
        let _ = file.seek(SeekFrom::Start(self.position()));
    }
}

/// Sends a block by the system's own means. 0: the file is at its end.
#[cfg(target_os = "linux")]
fn native_block(socket: &Socket, file: &File, position: u64, count: usize) -> io::Result<usize> {
    // The one call here that has no flag for it.
    if !socket.nonblocking()? {
        socket.set_nonblocking(true)?;
    }
    let mut position = position;
    let sent = retry_on_intr(|| rustix::fs::sendfile(socket, file, Some(&mut position), count));
    Ok(sent?)
}

#[cfg(not(target_os = "linux"))]
fn native_block(_: &Socket, _: &File, _: u64, _: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// What is left, but no more than `limit`.
fn most(left: Option<u64>, limit: usize) -> usize {
    left.map_or(limit, |left| usize::try_from(left).unwrap_or(usize::MAX).min(limit))
}

async fn by_blocks(
    waiting: &mut Waiting<'_>,
    transfer: &mut Transfer<'_>,
) -> Result<(), SendfileError> {
    let mut buffer = vec![0; most(transfer.left, FALLBACK_BLOCK)];
    loop {
        let room = most(transfer.left, buffer.len());
        let read = match transfer.file.read_at(&mut buffer[..room], transfer.position()) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(transfer.failed(error)),
        };
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            let socket = waiting.socket;
            let sent = waiting
                .until_done(|| {
                    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                    Ok(retry_on_intr(|| rustix::net::send(socket, rest, flags))?)
                })
                .await
                .map_err(|error| transfer.failed(error))?;
            transfer.advance(sent);
            rest = &rest[sent..];
        }
        if read == 0 || transfer.left == Some(0) {
            return Ok(());
        }
        yield_now().await;
    }
}

/// Why [`sock_sendfile`] failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendfileError {
    /// The arguments do not fit; has what to do.
    InvalidInput(String),
    /// The system cannot send this file; nothing was sent. asyncio's `SendfileNotAvailableError`.
    NotAvailable(io::Error),
    /// Sending failed half-way.
    #[non_exhaustive]
    Io {
        /// What the system says.
        error: io::Error,
        /// Bytes that were sent before.
        sent: u64,
    },
}

impl fmt::Display for SendfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidInput(why) => f.write_str(why),
            Self::NotAvailable(_) => {
                f.write_str("the system cannot send this file by itself; allow the fallback")
            }
            Self::Io { sent, .. } => write!(f, "sending a file failed after {sent} bytes"),
        }
    }
}

impl Error for SendfileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::InvalidInput(_) => None,
            Self::NotAvailable(error) | Self::Io { error, .. } => Some(error),
        }
    }
}

/// What the fallback reads at once, in bytes, as asyncio does.
const FALLBACK_BLOCK: usize = 256 * 1024;
