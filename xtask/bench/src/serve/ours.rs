//! Our servers.

use std::cell::OnceCell;
use std::io;

use asyncio::protocol::{Protocol, Transport, create_server};
use asyncio::{StreamReader, StreamWriter, start_server};

use super::{BLOCK, announce};

#[derive(Default)]
struct Echo {
    transport: OnceCell<Transport>,
}

impl Echo {
    fn transport(&self) -> &Transport {
        self.transport.get().expect("connection_made comes first")
    }
}

impl Protocol for Echo {
    fn connection_made(&self, transport: &Transport) {
        let _ = self.transport.set(transport.clone());
    }

    fn data_received(&self, data: &[u8]) {
        self.transport().write(data);
    }

    fn pause_writing(&self) {
        self.transport().pause_reading();
    }

    fn resume_writing(&self) {
        self.transport().resume_reading();
    }
}

pub fn protocol() -> io::Result<()> {
    asyncio::run(async {
        let server =
            create_server(Echo::default, "127.0.0.1", 0).backlog(4096).await.expect("binds");
        announce(server.local_addrs()[0].port());
        server.serve_forever().await.expect("nobody closes it");
    })
    .map_err(io::Error::other)
}

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    loop {
        let data = reader.read(BLOCK).await?;
        if data.is_empty() {
            return Ok(());
        }
        writer.write(&data);
        writer.drain().await?;
    }
}

pub fn streams() -> io::Result<()> {
    asyncio::run(async {
        let server = start_server(echo, "127.0.0.1", 0).backlog(4096).await.expect("binds");
        announce(server.local_addrs()[0].port());
        server.serve_forever().await.expect("nobody closes it");
    })
    .map_err(io::Error::other)
}

async fn echo_lines(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    loop {
        let line = reader.readline().await.map_err(io::Error::other)?;
        if line.is_empty() {
            return Ok(());
        }
        writer.write(&line);
        writer.drain().await?;
    }
}

pub fn lines() -> io::Result<()> {
    asyncio::run(async {
        let server = start_server(echo_lines, "127.0.0.1", 0).backlog(4096).await.expect("binds");
        announce(server.local_addrs()[0].port());
        server.serve_forever().await.expect("nobody closes it");
    })
    .map_err(io::Error::other)
}
