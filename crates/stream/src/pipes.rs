//! Streams over one end of a pipe.

use std::io;
use std::os::fd::OwnedFd;

use asyncio_protocol::{connect_read_pipe, connect_write_pipe};

use crate::open_connection::DEFAULT_LIMIT;
use crate::reader::StreamReader;
use crate::stream_protocol::StreamProtocol;
use crate::writer::StreamWriter;

pub(crate) async fn reader_over(pipe: OwnedFd, limit: usize) -> io::Result<StreamReader> {
    let (_, protocol) = connect_read_pipe(|| StreamProtocol::new(limit), pipe).await?;
    Ok(StreamReader::over(protocol.state.clone()))
}

pub(crate) async fn writer_over(pipe: OwnedFd) -> io::Result<StreamWriter> {
    let factory = || StreamProtocol::new(DEFAULT_LIMIT);
    let (transport, protocol) = connect_write_pipe(factory, pipe).await?;
    Ok(StreamWriter::new(transport, protocol.state.clone()))
}
