#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod transport;

mod protocol_calls;

mod builder;

mod endpoint;

mod selector_transport;

mod reading;

mod writing;

mod write_buffer;

mod flow_control;

mod report;

mod live;

pub use builder::TransportBuilder;
pub use flow_control::{InvalidLimits, WriteBufferLimits};
pub use protocol_calls::{ProtocolCalls, ReadInto};
pub use transport::Transport;
