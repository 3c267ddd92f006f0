//! The writer under futures-io's trait.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::io::AsyncWrite;

use crate::writer::StreamWriter;

/// Waits above the high-water mark, so that a loop of writes needs no `drain`.
///
/// `poll_flush` waits until the kernel took everything, and is an error when it never will.
/// `poll_close` is [`write_eof`](StreamWriter::write_eof) and a flush: the peer may still answer,
/// the connection itself ends by [`close`](StreamWriter::close) or by dropping the writer.
impl AsyncWrite for StreamWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_writable(cx))?;
        let taken = buf.len().min(MOST_AT_ONCE);
        self.transport.write(&buf[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_writable(cx))?;
        let mut taken = 0;
        let pieces = bufs.iter().map_while(|buf| {
            let piece = &buf[..buf.len().min(MOST_AT_ONCE - taken)];
            taken += piece.len();
            (taken < MOST_AT_ONCE || !piece.is_empty()).then_some(piece)
        });
        let pieces: Vec<&[u8]> = pieces.collect();
        self.transport.writelines(&pieces);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(self.transport.poll_flushed(cx));
        Poll::Ready(match self.state.outgoing.error() {
            Some(error) => Err(error.to_io()),
            None => flushed,
        })
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.transport.can_write_eof() {
            self.transport.write_eof();
            self.state.outgoing.end();
        }
        self.poll_flush(cx)
    }
}

impl StreamWriter {
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outgoing = &self.state.outgoing;
        if let Some(error) = outgoing.error() {
            return Poll::Ready(Err(error.to_io()));
        }
        if self.transport.is_closing() || outgoing.is_ended() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        outgoing.poll_ready(cx)
    }
}

/// Bytes taken by one call, so that a huge slice does not end up in the buffer as a whole.
const MOST_AT_ONCE: usize = 256 * 1024;
