//! The callbacks of a connection.

use std::io;

use asyncio_transport::Transport;

/// What happens on a connection, as calls. Every method does nothing unless you write it.
///
/// The order is `connection_made`, then any number of `data_received`, then at most one
/// `eof_received`, then exactly one `connection_lost`; all on the loop's thread. (A loop that is
/// *closed* under a live connection drops the protocol without a word, as asyncio does.)
///
/// Methods take `&self`, because a call can arise inside another one: `write` in `data_received`
/// may call `pause_writing` before it returns. Keep state in `Cell` and `RefCell`, or use
/// [`ByMut`](crate::ByMut), which gives `&mut self`. Any method of the transport may be called
/// from inside any of these. A panic is caught, reported to the loop's exception handler, and
/// ends this connection only.
///
/// ```
/// use asyncio_protocol::{Protocol, Transport, create_connection, create_server};
/// use std::cell::{OnceCell, RefCell};
///
/// #[derive(Default)]
/// struct Echo {
///     transport: OnceCell<Transport>,
/// }
///
/// impl Protocol for Echo {
///     fn connection_made(&self, transport: &Transport) {
///         let _ = self.transport.set(transport.clone());
///     }
///     fn data_received(&self, data: &[u8]) {
///         self.transport.get().unwrap().write(data);
///     }
/// }
///
/// #[derive(Default)]
/// struct Client {
///     transport: OnceCell<Transport>,
///     answer: RefCell<Vec<u8>>,
/// }
///
/// impl Protocol for Client {
///     fn connection_made(&self, transport: &Transport) {
///         transport.write(b"hello");
///         let _ = self.transport.set(transport.clone());
///     }
///     fn data_received(&self, data: &[u8]) {
///         self.answer.borrow_mut().extend_from_slice(data);
///         if self.answer.borrow().len() == 5 {
///             self.transport.get().unwrap().close();
///         }
///     }
/// }
///
/// asyncio_loop::run(async {
///     let server = create_server(Echo::default, "127.0.0.1", 0).await.unwrap();
///     let port = server.local_addrs()[0].port();
///     let (_, client) = create_connection(Client::default, "127.0.0.1", port).await.unwrap();
///     server.close();
///     server.wait_closed().await; // the client's connection was its last
///     assert_eq!(*client.answer.borrow(), b"hello");
/// })
/// .unwrap();
/// ```
pub trait Protocol: 'static {
    /// Called once, first: the connection stands.
    fn connection_made(&self, transport: &Transport) {
        let _ = transport;
    }

    /// Called with bytes as they arrived, cut anywhere. The slice is the loop's read buffer
    /// itself: copy what is needed later.
    fn data_received(&self, data: &[u8]) {
        let _ = data;
    }

    /// Called at most once: the peer will send no more. `false` has the transport close itself
    /// once what is buffered went out; `true` keeps our writing side open.
    fn eof_received(&self) -> bool {
        false
    }

    /// Called once, last. `None` after EOF, `close` or `abort`, else the error.
    fn connection_lost(&self, error: Option<io::Error>) {
        let _ = error;
    }

    /// The transport's buffer went over its high-water mark: stop writing. Called inside the
    /// `write` that did it.
    fn pause_writing(&self) {}

    /// The buffer is down to its low-water mark: go on.
    fn resume_writing(&self) {}
}
