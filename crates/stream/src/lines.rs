//! The lines of a stream, one after the other.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::Stream;

use crate::error::{LimitOverrunError, ReadlineError};
use crate::reader::StreamReader;
use crate::separator::Search;

/// A stream of lines, each with its `\n`; see [`StreamReader::readlines`].
///
/// A line over the limit is an error and is dropped; the lines behind it still come. Once the
/// connection broke, the error comes once and the stream ends.
#[must_use = "streams do nothing unless polled"]
pub struct Lines<'a> {
    reader: &'a mut StreamReader,
    /// Goes on where the last poll stopped, so that a long line is searched once.
    search: Search<'static>,
    ended: bool,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(reader: &'a mut StreamReader) -> Self {
        Self { reader, search: Search::new(NEWLINE), ended: false }
    }
}

impl Stream for Lines<'_> {
    type Item = Result<Vec<u8>, ReadlineError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        if let Err(error) = this.reader.settle() {
            this.ended = true;
            return Poll::Ready(Some(Err(ReadlineError::Io(error))));
        }
        loop {
            let incoming = &this.reader.state.incoming;
            incoming.fill();
            let (limit, seen) = (incoming.limit.get(), incoming.news());
            let found = incoming.with_buffer(|buffer| this.search.find(buffer.as_slice()));
            let too_long = match found {
                Ok(found) if found.start <= limit => {
                    this.search = Search::new(NEWLINE);
                    return Poll::Ready(Some(Ok(this.reader.take(found.end))));
                }
                Ok(found) => LimitOverrunError { consumed: found.start, found: true },
                Err(consumed) if consumed > limit => LimitOverrunError { consumed, found: false },
                Err(_) if incoming.is_eof() => {
                    this.ended = true;
                    let rest = this.reader.take(usize::MAX);
                    return Poll::Ready((!rest.is_empty()).then_some(Ok(rest)));
                }
                Err(_) => {
                    if let Err(error) = ready!(incoming.poll_news(cx, seen)) {
                        this.ended = true;
                        return Poll::Ready(Some(Err(ReadlineError::Io(error))));
                    }
                    continue;
                }
            };
            this.search = Search::new(NEWLINE);
            return Poll::Ready(Some(Err(this.reader.drop_line(too_long))));
        }
    }
}

impl fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("reader", &self.reader).finish_non_exhaustive()
    }
}

const NEWLINE: &[&[u8]] = &[b"\n"];
