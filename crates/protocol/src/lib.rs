#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod protocol;

mod buffered_protocol;

mod by_mut;

mod into_protocol;

mod create_connection;

mod connect_error;

mod happy_eyeballs;

mod create_server;

mod hosts;

mod server;

mod listener;

mod open_servers;

pub use asyncio_transport::{
    InvalidLimits, ProtocolCalls, ReadInto, Transport, TransportBuilder, WriteBufferLimits,
};

pub use buffered_protocol::{Buffered, BufferedProtocol};
pub use by_mut::{ByMut, ProtocolMut};
pub use connect_error::ConnectError;
pub use create_connection::{
    CreateConnection, connect_accepted_socket, connect_read_pipe, connect_write_pipe,
    create_connection,
};
pub use create_server::{BindError, CreateServer, create_server};
pub use hosts::Hosts;
pub use into_protocol::IntoProtocol;
pub use protocol::Protocol;
pub use server::{Graceful, ServeForeverError, Server, ServerStatistics};
