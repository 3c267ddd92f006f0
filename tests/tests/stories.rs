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

        // A writer that is dropped closes the connection, so each is kept.
        let in_time = timeout(second, connect()).await.expect("in time");
        let as_a_task = create_task(connect()).await.unwrap();
        let gathered = gather((0..3).map(|_| connect())).await.unwrap();
        for connected in [in_time, as_a_task].into_iter().chain(gathered) {
            let (mut reader, _writer) = connected.unwrap();
            assert_eq!(reader.read_to_eof().await.unwrap(), b"hello");
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
