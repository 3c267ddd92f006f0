//! The reader under futures-io's traits.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::io::{AsyncBufRead, AsyncRead};

use crate::reader::StreamReader;

impl AsyncRead for StreamReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let incoming = &self.state.incoming;
        if buf.len() >= DIRECT && self.front.is_empty() && incoming.len() == 0 {
            incoming.check()?;
            if let Some(count) = incoming.pull_into(buf) {
                return Poll::Ready(Ok(count));
            }
        }
        let available = ready!(self.as_mut().poll_fill_buf(cx))?;
        let count = available.len().min(buf.len());
        buf[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Poll::Ready(Ok(count))
    }
}

impl AsyncBufRead for StreamReader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        let incoming = &this.state.incoming;
        incoming.check()?;
        if this.front.is_empty() {
            incoming.fill();
            let seen = incoming.news();
            if incoming.len() == 0 {
                ready!(incoming.poll_news(cx, seen))?;
            }
            this.front = incoming.lend();
        }
        Poll::Ready(Ok(this.front.as_slice()))
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        let this = self.get_mut();
        this.front.consume(count);
        let incoming = &this.state.incoming;
        incoming.consumed_lent(count);
        if this.front.is_empty() {
            // Its memory goes back for what arrives next, if nothing did meanwhile.
            let spent = mem::take(&mut this.front);
            incoming.with_buffer(|buffer| buffer.reuse(spent));
        }
    }
}

/// A read of this many bytes or more goes straight into the caller's buffer; for a smaller one, one
/// system call and a copy serve many.
const DIRECT: usize = 4 * 1024;
