//! monoio's servers.

use std::io;

use ::monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use ::monoio::net::{TcpListener, TcpStream};
use ::monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

use super::{BLOCK, announce};

pub fn on_uring() -> io::Result<()> {
    RuntimeBuilder::<IoUringDriver>::new().with_entries(4096).build()?.block_on(echo())
}

pub fn on_epoll() -> io::Result<()> {
    RuntimeBuilder::<LegacyDriver>::new().build()?.block_on(echo())
}

async fn echo() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    announce(listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        ::monoio::spawn(answer(stream));
    }
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(BLOCK);
    loop {
        let (count, filled) = stream.read(buffer).await;
        if count? == 0 {
            return Ok(());
        }
        let (written, emptied) = stream.write_all(filled).await;
        written?;
        buffer = emptied;
        buffer.clear();
    }
}
