//! What a message costs in system calls, counted with strace.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::env;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::Command;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use asyncio_loop::{EventLoop, IoHandler, Ready, Registration};

/// The echo server of the child process, and its blocking client: two system calls a message for the client.
#[test]
fn an_idle_echo_is_three_system_calls_and_sets_no_timer() {
    if let Ok(messages) = env::var("ECHO_MESSAGES") {
        return echo(messages.parse().unwrap());
    }
    let (Some(few), Some(many)) = (count(1_000), count(3_000)) else {
        return eprintln!("skipped: strace is missing, or may not trace");
    };
    let a_message = |name: &str| {
        let of = |counts: &HashMap<String, f64>| counts.get(name).copied().unwrap_or(0.0);
        (of(&many) - of(&few)) / 2_000.0
    };
    let total = a_message("total") - 2.0;
    assert!((2.9..=3.1).contains(&total), "{total} system calls a message: {many:?}");
    let waits = a_message("epoll_wait") + a_message("epoll_pwait") + a_message("epoll_pwait2");
    assert!((0.9..=1.1).contains(&waits), "{waits} waits a message");
    assert!(a_message("timerfd_settime") < 0.01, "the deadline never moved closer");
}

/// Runs this test under strace; the number of calls by name, and their `total`.
fn count(messages: u32) -> Option<HashMap<String, f64>> {
    let report = env::temp_dir().join(format!("echo-{}-{messages}.strace", std::process::id()));
    let traced = Command::new("strace")
        .args(["-f", "-c", "-U", "name,calls", "-o"])
        .arg(&report)
        .arg(env::current_exe().unwrap())
        .args(["--exact", "an_idle_echo_is_three_system_calls_and_sets_no_timer"])
        .env("ECHO_MESSAGES", messages.to_string())
        // A sanitizer's leak check cannot run under a tracer.
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .output()
        .ok()?;
    let text = std::fs::read_to_string(&report).ok()?;
    let _ = std::fs::remove_file(&report);
    if !traced.status.success() {
        return None;
    }
    let counts = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    });
    let counts: HashMap<_, _> = counts.collect();
    (!counts.is_empty()).then_some(counts)
}

fn echo(messages: u32) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut buffer = [0; 64];
        for n in 0..messages {
            stream.write_all(&n.to_ne_bytes()).unwrap();
            assert_eq!(stream.read(&mut buffer).unwrap(), 4);
            assert_eq!(buffer[..4], n.to_ne_bytes());
        }
    });
    let event_loop = EventLoop::new().unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    stream.set_nodelay(true).unwrap();
    let server = Rc::new(Server {
        event_loop: event_loop.clone(),
        stream,
        registration: RefCell::default(),
        messages: Cell::new(0),
    });
    let registration = event_loop.register(server.stream.as_fd(), server.clone()).unwrap();
    *server.registration.borrow_mut() = Some(registration);
    // A timer that is always there, as a connection's idle timeout would be.
    let timer = event_loop.call_later(Duration::from_secs(600), || unreachable!());
    event_loop.run_forever().unwrap();
    timer.cancel();
    assert_eq!(server.messages.get(), messages);
    client.join().unwrap();
    event_loop.close().unwrap();
}

struct Server {
    event_loop: EventLoop,
    stream: TcpStream,
    registration: RefCell<Option<Registration>>,
    messages: Cell<u32>,
}

impl IoHandler for Server {
    fn on_ready(self: Rc<Self>, ready: Ready) {
        if !ready.is_readable() {
            return;
        }
        let mut buffer = self.event_loop.lend_read_buffer();
        loop {
            match (&self.stream).read(&mut buffer) {
                Ok(0) => {
                    let registration = self.registration.take();
                    drop(registration);
                    return self.event_loop.stop();
                }
                Ok(n) => {
                    self.messages.set(self.messages.get() + 1);
                    (&self.stream).write_all(&buffer[..n]).unwrap();
                    let registration = self.registration.borrow();
                    let registration = registration.as_ref().unwrap();
                    if registration.reports_hang_up() && !registration.ready().is_hup() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}
