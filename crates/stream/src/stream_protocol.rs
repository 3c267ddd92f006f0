//! What sits between a transport and the two ends of a stream.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::rc::Rc;

use asyncio_protocol::{IntoProtocol, ProtocolCalls, ReadInto, Transport};

use crate::error::SharedError;
use crate::incoming::Incoming;
use crate::outgoing::Outgoing;
use crate::reader::StreamReader;
use crate::writer::StreamWriter;

/// Called with both ends once the connection stands.
type Connected = Box<dyn FnOnce(StreamReader, StreamWriter)>;

/// Both halves of a stream: shared by reader, writer and transport.
pub(crate) struct StreamState {
    pub(crate) incoming: Incoming,
    pub(crate) outgoing: Outgoing,
}

impl StreamState {
    pub(crate) fn new(limit: usize) -> Self {
        assert!(limit > 0, "a stream's limit cannot be 0");
        Self { incoming: Incoming::new(limit), outgoing: Outgoing::default() }
    }
}

/// asyncio's `StreamReaderProtocol`.
pub(crate) struct StreamProtocol {
    pub(crate) state: Rc<StreamState>,
    connected: Cell<Option<Connected>>,
}

impl StreamProtocol {
    pub(crate) fn new(limit: usize) -> Self {
        Self { state: Rc::new(StreamState::new(limit)), connected: Cell::new(None) }
    }

    /// As [`new`](Self::new), and `connected` gets both ends.
    pub(crate) fn with_handler(
        limit: usize,
        connected: impl FnOnce(StreamReader, StreamWriter) + 'static,
    ) -> Self {
        let this = Self::new(limit);
        this.connected.set(Some(Box::new(connected)));
        this
    }
}

impl IntoProtocol for StreamProtocol {
    type Protocol = Self;

    fn into_protocol(self) -> (Rc<Self>, Rc<dyn ProtocolCalls>) {
        let this = Rc::new(self);
        (this.clone(), this)
    }
}

impl ProtocolCalls for StreamProtocol {
    fn connection_made(&self, transport: &Transport) {
        self.state.incoming.set_transport(Some(transport.clone()));
        if let Some(connected) = self.connected.take() {
            let reader = StreamReader::over(self.state.clone());
            connected(reader, StreamWriter::new(transport.clone(), self.state.clone()));
        }
    }

    fn get_buffer(&self) -> ReadInto {
        // A reader that waits for the first byte reads by itself, to where it wants it.
        if self.state.incoming.leave_to_reader() { ReadInto::Later } else { ReadInto::LoopBuffer }
    }

    fn data_received(&self, data: &[u8]) {
        self.state.incoming.feed_data(data);
    }

    fn eof_received(&self) -> bool {
        self.state.incoming.feed_eof();
        true // the writer may still answer
    }

    fn connection_lost(&self, error: Option<io::Error>) {
        let error = error.map(SharedError::new);
        match &error {
            Some(error) => self.state.incoming.set_exception(error.clone()),
            None => self.state.incoming.feed_eof(),
        }
        self.state.incoming.set_transport(None);
        self.state.outgoing.connection_lost(error);
    }

    fn pause_writing(&self) {
        self.state.outgoing.pause();
    }

    fn resume_writing(&self) {
        self.state.outgoing.resume();
    }
}

impl Drop for StreamProtocol {
    /// The loop was closed under the connection: whoever still waits for it, in another loop,
    /// must not wait forever.
    fn drop(&mut self) {
        if !self.state.outgoing.is_lost() {
            self.connection_lost(Some(io::ErrorKind::ConnectionAborted.into()));
        }
    }
}

impl fmt::Debug for StreamProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamProtocol").finish_non_exhaustive()
    }
}
