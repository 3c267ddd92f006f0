//! From what a factory returns to what a transport calls.

use std::io;
use std::rc::Rc;

use asyncio_transport::{ProtocolCalls, ReadInto, Transport};

use crate::buffered_protocol::{Buffered, BufferedProtocol};
use crate::protocol::Protocol;

/// What a protocol factory may return: a [`Protocol`], an `Rc` of one (one protocol for several
/// connections), or a [`Buffered`] one.
pub trait IntoProtocol: 'static {
    /// The protocol itself, which [`create_connection`](crate::create_connection) hands back.
    type Protocol;

    /// The protocol, and the form in which a transport takes it (also
    /// [`Transport::set_protocol`]).
    fn into_protocol(self) -> (Rc<Self::Protocol>, Rc<dyn ProtocolCalls>);
}

impl<P: Protocol> IntoProtocol for P {
    type Protocol = P;

    fn into_protocol(self) -> (Rc<P>, Rc<dyn ProtocolCalls>) {
        Rc::new(self).into_protocol()
    }
}

impl<P: Protocol> IntoProtocol for Rc<P> {
    type Protocol = P;

    fn into_protocol(self) -> (Self, Rc<dyn ProtocolCalls>) {
        (self.clone(), Rc::new(BySlice(self)))
    }
}

impl<B: BufferedProtocol> IntoProtocol for Buffered<B> {
    type Protocol = B;

    fn into_protocol(self) -> (Rc<B>, Rc<dyn ProtocolCalls>) {
        Buffered(Rc::new(self.0)).into_protocol()
    }
}

impl<B: BufferedProtocol> IntoProtocol for Buffered<Rc<B>> {
    type Protocol = B;

    fn into_protocol(self) -> (Rc<B>, Rc<dyn ProtocolCalls>) {
        (self.0.clone(), Rc::new(ByBuffer(self.0)))
    }
}

struct BySlice<P>(Rc<P>);

impl<P: Protocol> ProtocolCalls for BySlice<P> {
    fn connection_made(&self, transport: &Transport) {
        self.0.connection_made(transport);
    }

    fn data_received(&self, data: &[u8]) {
        self.0.data_received(data);
    }

    fn eof_received(&self) -> bool {
        self.0.eof_received()
    }

    fn connection_lost(&self, error: Option<io::Error>) {
        self.0.connection_lost(error);
    }

    fn pause_writing(&self) {
        self.0.pause_writing();
    }

    fn resume_writing(&self) {
        self.0.resume_writing();
    }
}

struct ByBuffer<B>(Rc<B>);

impl<B: BufferedProtocol> ProtocolCalls for ByBuffer<B> {
    fn connection_made(&self, transport: &Transport) {
        self.0.connection_made(transport);
    }

    fn data_received(&self, _data: &[u8]) {
        unreachable!("a transport reads into the buffer that get_buffer gave");
    }

    fn get_buffer(&self) -> ReadInto {
        ReadInto::Buffer(self.0.get_buffer())
    }

    fn buffer_updated(&self, buffer: Vec<u8>, nbytes: usize) {
        self.0.buffer_updated(buffer, nbytes);
    }

    fn eof_received(&self) -> bool {
        self.0.eof_received()
    }

    fn connection_lost(&self, error: Option<io::Error>) {
        self.0.connection_lost(error);
    }

    fn pause_writing(&self) {
        self.0.pause_writing();
    }

    fn resume_writing(&self) {
        self.0.resume_writing();
    }
}
