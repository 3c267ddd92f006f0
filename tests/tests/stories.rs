//! Several tiers at once, as programs use them.

use std::time::Duration;

use asyncio::{
    StreamReader, StreamWriter, TaskGroup, create_subprocess_exec, create_task, gather,
    open_connection, run, start_server, timeout,
};

/// Sends one word and hangs up.
async fn greet(_reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    writer.write(b"hello");
    writer.drain().await
}

#[test]
fn a_builder_can_be_given_to_whatever_takes_a_future() {
    run(async {
        let second = Duration::from_secs(20);
        let server = timeout(second, start_server(greet, "127.0.0.1", 0)).await.unwrap().unwrap();
        let port = server.local_addrs()[0].port();
        let connect = || open_connection("127.0.0.1", port).limit(100);

        let (mut reader, _) = timeout(second, connect()).await.expect("in time").unwrap();
        assert_eq!(reader.read_to_eof().await.unwrap(), b"hello");
        let (mut reader, _) = create_task(connect()).await.unwrap().unwrap();
        assert_eq!(reader.read_to_eof().await.unwrap(), b"hello");
        for connected in gather((0..3).map(|_| connect())).await.unwrap() {
            assert_eq!(connected.unwrap().0.read_to_eof().await.unwrap(), b"hello");
        }
        let returncode = TaskGroup::scope(async |group| {
            let child = group.create_task(create_subprocess_exec("true")).await?;
            Ok::<_, std::io::Error>(child.wait().await)
        });
        assert_eq!(returncode.await.unwrap(), 0);
        server.graceful(second).await;
    })
    .unwrap();
}
