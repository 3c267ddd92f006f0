//! `&mut self` for protocols.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;

use asyncio_transport::Transport;

use crate::protocol::Protocol;

/// As [`Protocol`], with `&mut self`. Wrap it in [`ByMut`].
pub trait ProtocolMut: 'static {
    /// As [`Protocol::connection_made`].
    fn connection_made(&mut self, transport: &Transport) {
        let _ = transport;
    }

    /// As [`Protocol::data_received`].
    fn data_received(&mut self, data: &[u8]) {
        let _ = data;
    }

    /// As [`Protocol::eof_received`].
    fn eof_received(&mut self) -> bool {
        false
    }

    /// As [`Protocol::connection_lost`].
    fn connection_lost(&mut self, error: Option<io::Error>) {
        let _ = error;
    }

    /// As [`Protocol::pause_writing`]; called right after the callback whose `write` did it.
    fn pause_writing(&mut self) {}

    /// As [`Protocol::resume_writing`]; called right after a callback in which it arose.
    fn resume_writing(&mut self) {}
}

/// Makes a [`Protocol`] of a [`ProtocolMut`].
///
/// `pause_writing`, `resume_writing` and `connection_lost` that arise while another of its
/// methods runs are delivered right after that method, in order.
///
/// ```
/// use asyncio_protocol::{ByMut, Protocol, ProtocolMut};
///
/// #[derive(Default)]
/// struct Count {
///     bytes: usize,
/// }
///
/// impl ProtocolMut for Count {
///     fn data_received(&mut self, data: &[u8]) {
///         self.bytes += data.len();
///     }
/// }
///
/// let protocol = ByMut::new(Count::default());
/// protocol.data_received(b"abc");
/// protocol.data_received(b"de");
/// assert_eq!(protocol.with(|count| count.bytes), 5);
/// ```
#[derive(Debug, Default)]
pub struct ByMut<P> {
    protocol: RefCell<P>,
    /// What arose while `protocol` was borrowed.
    arisen: RefCell<VecDeque<Arisen>>,
}

#[derive(Debug)]
enum Arisen {
    PauseWriting,
    ResumeWriting,
    ConnectionLost(Option<io::Error>),
}

impl<P: ProtocolMut> ByMut<P> {
    /// Wraps `protocol`.
    pub fn new(protocol: P) -> Self {
        Self { protocol: RefCell::new(protocol), arisen: RefCell::default() }
    }

    /// Lends the protocol. What arises meanwhile is delivered right after `f`.
    ///
    /// # Panics
    ///
    /// When called from inside one of the protocol's own methods, or from inside `f`.
    pub fn with<R>(&self, f: impl FnOnce(&mut P) -> R) -> R {
        let result = f(&mut self.protocol.borrow_mut());
        self.deliver();
        result
    }

    /// Ends the wrapping.
    pub fn into_inner(self) -> P {
        self.protocol.into_inner()
    }

    fn arise(&self, event: Arisen) {
        self.arisen.borrow_mut().push_back(event);
        self.deliver();
    }

    /// Delivers what arose, unless a method runs: whoever runs it delivers afterwards.
    fn deliver(&self) {
        loop {
            let Ok(mut protocol) = self.protocol.try_borrow_mut() else { return };
            let Some(event) = self.arisen.borrow_mut().pop_front() else { return };
            match event {
                Arisen::PauseWriting => protocol.pause_writing(),
                Arisen::ResumeWriting => protocol.resume_writing(),
                Arisen::ConnectionLost(error) => protocol.connection_lost(error),
            }
        }
    }
}

impl<P: ProtocolMut> Protocol for ByMut<P> {
    fn connection_made(&self, transport: &Transport) {
        self.with(|protocol| protocol.connection_made(transport));
    }

    fn data_received(&self, data: &[u8]) {
        self.with(|protocol| protocol.data_received(data));
    }

    fn eof_received(&self) -> bool {
        self.with(|protocol| protocol.eof_received())
    }

    fn connection_lost(&self, error: Option<io::Error>) {
        self.arise(Arisen::ConnectionLost(error));
    }

    fn pause_writing(&self) {
        self.arise(Arisen::PauseWriting);
    }

    fn resume_writing(&self) {
        self.arise(Arisen::ResumeWriting);
    }
}
