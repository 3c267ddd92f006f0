//! What an idle connection's message costs: one wait, one `recv`, one `send`.

mod harness;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::rc::Rc;

use asyncio_coro::wait_list::WaitList;
use asyncio_loop::run;
use asyncio_protocol::create_server;
use harness::Echo;

/// Not a test by itself: the server that is counted, in a process of its own. It ends with its
/// first connection.
#[test]
fn the_server_that_is_counted() {
    if env::var_os(SERVER).is_none() {
        return;
    }
    run(async {
        let accepted = Rc::new(WaitList::new());
        let factory = {
            let accepted = accepted.clone();
            move || {
                accepted.notify_all();
                Echo::default()
            }
        };
        let server = create_server(factory, "127.0.0.1", 0).await.unwrap();
        println!("\nport {}", server.local_addrs()[0].port());
        accepted.wait().await;
        server.close();
        server.wait_closed().await;
    })
    .unwrap();
}

/// System calls of a server that echoes `messages`, one at a time. `None`: strace cannot count.
fn syscalls_of(messages: u32) -> Option<u32> {
    let summary =
        env::temp_dir().join(format!("asyncio-syscalls-{}-{messages}", std::process::id()));
    let mut server = Command::new("strace")
        .args(["-f", "-c", "-U", "calls,name", "-o"])
        .arg(&summary)
        .arg(env::current_exe().unwrap())
        .args(["--exact", "the_server_that_is_counted", "--nocapture"])
        .env(SERVER, "1")
        .env("ASAN_OPTIONS", "detect_leaks=0") // a sanitizer cannot look for leaks under strace
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port = lines.find_map(|line| line.strip_prefix("port ")?.parse::<u16>().ok());
    let Some(port) = port else {
        let _ = server.wait();
        return None; // strace may not trace here
    };
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answer = [0; 64];
    for _ in 0..messages {
        stream.write_all(&[7; 64]).unwrap();
        stream.read_exact(&mut answer).unwrap();
    }
    drop(stream);
    lines.for_each(drop);
    assert!(server.wait().unwrap().success());
    let text = fs::read_to_string(&summary).unwrap();
    fs::remove_file(&summary).unwrap();
    let total = text.lines().find(|line| line.trim_end().ends_with(" total"))?;
    total.split_whitespace().next()?.parse().ok()
}

#[test]
fn an_idle_echo_costs_three_system_calls() {
    let (Some(few), Some(many)) = (syscalls_of(1_000), syscalls_of(3_000)) else {
        eprintln!("skipped: an_idle_echo_costs_three_system_calls: strace cannot count here");
        return;
    };
    let each = f64::from(many - few) / 2_000.0;
    println!("{each} system calls a message");
    assert!(each <= 3.1, "{each} system calls a message");
}

const SERVER: &str = "ASYNCIO_TEST_IDLE_ECHO_SERVER";
