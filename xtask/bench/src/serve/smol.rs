//! smol's servers, on a `LocalExecutor`.

use std::io;

use ::smol::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use ::smol::net::{TcpListener, TcpStream};

use super::{BLOCK, announce};
use crate::rows::smol::executor;

fn serve<F: Future<Output = io::Result<()>> + 'static>(
    handle: fn(TcpStream) -> F,
) -> io::Result<()> {
    ::smol::block_on(executor().run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?.port());
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            executor().spawn(handle(stream)).detach();
        }
    }))
}

pub fn echo() -> io::Result<()> {
    serve(|mut stream| async move {
        let mut buffer = vec![0; BLOCK];
        loop {
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            stream.write_all(&buffer[..count]).await?;
        }
    })
}

pub fn lines() -> io::Result<()> {
    serve(|stream| async move {
        let mut writer = stream.clone();
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line).await? == 0 {
                return Ok(());
            }
            writer.write_all(&line).await?;
        }
    })
}
