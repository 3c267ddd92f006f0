//! Python's asyncio as the peer, in both roles. Skipped by name where there is no python3.

use std::process::Stdio;
use std::time::Duration;

use asyncio_loop::run;
use asyncio_stream::{Process, start_server};
use asyncio_stream::{StreamReader, StreamWriter, create_subprocess_exec, open_connection};
use asyncio_task::timeout;
use futures_lite::future::zip;
use futures_lite::io::AsyncWriteExt;

/// Runs a Python program with pipes; `None`: there is no python3.
async fn python(name: &str, program: &str, arg: &str) -> Option<Process> {
    let child = create_subprocess_exec("python3")
        .args(["-c", program, arg])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .await;
    match child {
        Ok(child) => Some(child),
        Err(_) => {
            eprintln!("skipped: {name}: there is no python3");
            None
        }
    }
}

const ECHO_SERVER: &str = r#"
import asyncio, sys
async def echo(reader, writer):
    while data := await reader.read(20000):
        writer.write(data)
        await writer.drain()
    writer.write(b"bye")
    writer.close()
    await writer.wait_closed()
    sys.stdout.write("served\n")
    sys.stdout.flush()
async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
asyncio.run(main())
"#;

#[test]
fn our_client_talks_to_a_server_of_python() {
    let name = "our_client_talks_to_a_server_of_python";
    run(async move {
        let Some(mut child) = python(name, ECHO_SERVER, "").await else { return };
        let mut stdout = child.stdout.take().unwrap();
        let port = String::from_utf8(stdout.readline().await.unwrap()).unwrap();
        let (mut reader, mut writer) =
            open_connection("127.0.0.1", port.trim().parse().unwrap()).await.unwrap();
        let sent: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
        let writing = async {
            writer.write_all(&sent).await.unwrap();
            writer.write_eof();
        };
        let ((), received) = zip(writing, reader.read_to_eof()).await;
        let received = received.unwrap();
        assert!(received[..sent.len()] == sent);
        assert_eq!(&received[sent.len()..], b"bye");
        assert_eq!(stdout.readline().await.unwrap(), b"served\n");
        drop(child.stdin.take());
        assert_eq!(timeout(Duration::from_secs(60), child.wait()).await.unwrap(), 0);
    })
    .unwrap();
}

const CLIENT: &str = r#"
import asyncio, sys
async def main():
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    for n in range(1000):
        writer.write(b"line %d\n" % n)
        assert await reader.readline() == b"LINE %d\n" % n
    big = bytes(range(256)) * 8000
    async def feed():
        writer.write(big)
        await writer.drain()
        writer.write_eof()
    answer, _ = await asyncio.gather(reader.read(), feed())
    assert answer == big.upper(), (len(answer), len(big))
    writer.close()
    await writer.wait_closed()
    print("all well")
asyncio.run(main())
"#;

async fn shout(mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    loop {
        let data = reader.read(50_000).await?;
        if data.is_empty() {
            return Ok(());
        }
        writer.write(&data.to_ascii_uppercase());
        writer.drain().await?;
    }
}

#[test]
fn a_client_of_python_talks_to_our_server() {
    let name = "a_client_of_python_talks_to_our_server";
    run(async move {
        let server = start_server(shout, "127.0.0.1", 0).await.unwrap();
        let port = server.local_addrs()[0].port().to_string();
        let Some(mut child) = python(name, CLIENT, &port).await else { return };
        let (stdout, _) = child.communicate(None).await.unwrap();
        assert_eq!(String::from_utf8(stdout.unwrap()).unwrap(), "all well\n");
        assert_eq!(child.returncode(), Some(0));
        server.close();
        server.wait_closed().await;
    })
    .unwrap();
}
