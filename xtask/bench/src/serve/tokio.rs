//! tokio's servers, on a `LocalRuntime`.

use std::io;

use ::tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use ::tokio::net::{TcpListener, TcpStream};
use ::tokio::runtime::{Builder, LocalOptions};
use ::tokio::task::spawn_local;

use super::{BLOCK, announce};

fn serve<F: Future<Output = io::Result<()>> + 'static>(
    handle: fn(TcpStream) -> F,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?.port());
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            spawn_local(handle(stream));
        }
    })
}

pub fn echo() -> io::Result<()> {
    serve(|mut stream| async move {
        let mut buffer = Vec::with_capacity(BLOCK);
        loop {
            buffer.clear();
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            stream.write_all(&buffer).await?;
        }
    })
}

pub fn lines() -> io::Result<()> {
    serve(|stream| async move {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            if stream.read_until(b'\n', &mut line).await? == 0 {
                return Ok(());
            }
            stream.write_all(&line).await?;
        }
    })
}
