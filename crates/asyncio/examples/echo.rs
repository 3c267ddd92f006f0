//! The echo server of the README: every connection is a task, and gets back what it sends.

use asyncio::{Exit, StreamReader, StreamWriter, run, start_server};

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    loop {
        let data = reader.read(64 * 1024).await?;
        if data.is_empty() {
            return Ok(());
        }
        writer.write(&data);
        writer.drain().await?;
    }
}

fn main() -> Exit {
    run(async {
        let server = start_server(echo, "127.0.0.1", 0).await.expect("cannot listen");
        println!("echoing on {}", server.local_addrs()[0]);
        server.serve_forever().await.expect("the server was closed by somebody else");
    })
    .into()
}
