//! The narrow interface through which a transport calls whoever is above it.

use std::io;

use crate::Transport;

/// What a transport calls.
///
/// Tier 8 gives users the `Protocol` traits, with defaults and adapters; this is what they boil
/// down to. A layer that sits between two transports (TLS, say) implements it directly.
///
/// # The rules a transport keeps
///
/// 1. Everything is called on the loop's thread. The order is `connection_made`, then any number
///    of data calls, then at most one `eof_received`, then exactly one `connection_lost`. The
///    one exception: a loop that is *closed* under a live transport drops the protocol without
///    `connection_lost`, as asyncio does.
/// 2. `pause_writing` and `resume_writing` alternate, and are the only calls that may arise
///    inside another one: `pause_writing` happens synchronously inside
///    [`Transport::write`]. So every method takes `&self`.
/// 3. The transport clones the `Rc` of its protocol out of its cell before each call, and holds
///    no borrow of its own during it: any method of the transport may be called from inside any
///    of these, [`set_protocol`](Transport::set_protocol) too.
/// 4. A panic in one of these is caught, reported to the loop's exception handler, and fatal for
///    this connection only.
pub trait ProtocolCalls: 'static {
    /// Called once, first: the connection stands.
    fn connection_made(&self, transport: &Transport);

    /// Called with bytes that arrived. The slice is the loop's read buffer itself: what is needed
    /// after the call has to be copied.
    fn data_received(&self, data: &[u8]);

    /// Asked before each read: where do the bytes go? By default into the loop's buffer.
    fn get_buffer(&self) -> ReadInto {
        ReadInto::LoopBuffer
    }

    /// Gives back the [`ReadInto::Buffer`] from [`get_buffer`](Self::get_buffer), with `nbytes`
    /// new bytes at its front.
    fn buffer_updated(&self, buffer: Vec<u8>, nbytes: usize) {
        let _ = (buffer, nbytes);
    }

    /// Called at most once: the peer will send no more. `false` lets the transport close itself,
    /// `true` keeps its writing side open.
    fn eof_received(&self) -> bool;

    /// Called once, last. `None` after a regular end (EOF, `close`, `abort`), else the error.
    fn connection_lost(&self, error: Option<io::Error>);

    /// The write buffer went over its high-water mark.
    fn pause_writing(&self);

    /// The write buffer is down to its low-water mark again.
    fn resume_writing(&self);
}

/// Where the next read of a transport goes.
#[derive(Debug)]
pub enum ReadInto {
    /// Into the loop's own buffer, of which [`data_received`](ProtocolCalls::data_received) gets
    /// the slice that was filled.
    LoopBuffer,
    /// Into this one, at most its whole length, and
    /// [`buffer_updated`](ProtocolCalls::buffer_updated) gives it back. One into which nothing
    /// was read is kept for the next read. An empty one is fatal for the connection.
    Buffer(Vec<u8>),
    /// Nowhere now: a task that this protocol has just woken reads by
    /// [`Transport::try_read`] in its next step, to where the bytes are wanted. If it has not by
    /// the end of the next tick, the transport asks again, so nothing is stuck behind a task that
    /// turned to something else.
    Later,
}
