#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod reader;

mod read_buffer;

mod incoming;

mod separator;

mod async_read;

mod lines;

mod writer;

mod async_write;

mod outgoing;

mod stream_protocol;

mod open_connection;

mod start_server;

mod subprocess;

mod pipes;

mod error;

pub use asyncio_protocol::{ConnectError, Graceful, Hosts, ServeForeverError, Server};

pub use error::{
    IncompleteReadError, LimitOverrunError, ReadExactlyError, ReadUntilError, ReadlineError,
};
pub use lines::Lines;
pub use open_connection::{OpenConnection, open_connection};
pub use reader::{Feeder, StreamReader};
pub use start_server::{HandlerOutput, StartServer, start_server};
pub use subprocess::{CreateSubprocess, Process, create_subprocess_exec};
pub use writer::StreamWriter;
