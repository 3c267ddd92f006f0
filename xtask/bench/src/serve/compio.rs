//! compio's server, on io_uring.

use std::io;

use ::compio::io::{AsyncRead, AsyncWriteExt};
use ::compio::net::{TcpListener, TcpStream};
use ::compio::runtime::{Runtime, spawn};

use super::{BLOCK, announce};

pub fn echo() -> io::Result<()> {
    Runtime::new()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?.port());
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            spawn(answer(stream)).detach();
        }
    })
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(BLOCK);
    loop {
        let (count, filled) = stream.read(buffer).await.into();
        if count? == 0 {
            return Ok(());
        }
        let (written, emptied) = stream.write_all(filled).await.into();
        written?;
        buffer = emptied;
        buffer.clear();
    }
}
