//! What a message costs in system calls, counted with strace.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::env;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::Command;
use std::rc::Rc;
use std::task::Waker;
use std::thread;
use std::time::Duration;

use asyncio_loop::{EventLoop, IoHandler, Ready, Registration};

/// The echo server of the child process, and its blocking client: two system calls a message for the client.
#[test]
fn an_idle_echo_is_three_system_calls_and_sets_no_timer() {
    if let Ok(messages) = env::var("TRACED_OPERATIONS") {
        return echo(messages.parse().unwrap());
    }
    let test = "an_idle_echo_is_three_system_calls_and_sets_no_timer";
    let (Some(few), Some(many)) = (count(test, 1_000), count(test, 3_000)) else {
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

#[test]
fn timers_are_added_and_cancelled_without_a_system_call() {
    if let Ok(timers) = env::var("TRACED_OPERATIONS") {
        return timers_come_and_go(timers.parse().unwrap());
    }
    let test = "timers_are_added_and_cancelled_without_a_system_call";
    let (Some(few), Some(many)) = (count(test, 1_000), count(test, 101_000)) else {
        return eprintln!("skipped: strace is missing, or may not trace");
    };
    let more = many["total"] - few["total"];
    assert!(more < 100.0, "{more} more system calls for 100 000 timers: {many:?}");
}

/// Among 50 000 others, so that no memory is asked for but at the beginning.
fn timers_come_and_go(count: u32) {
    let event_loop = EventLoop::new().unwrap();
    let start = event_loop.time() + Duration::from_secs(600);
    let add = |n: u32| event_loop.add_timer(start + Duration::from_millis(n.into()), Waker::noop());
    let others: Vec<_> = (0..50_000).map(add).collect();
    for n in 0..count {
        event_loop.cancel_timer(add(n));
    }
    drop(others);
    event_loop.close().unwrap();
}

/// Runs this test under strace; the number of calls by name, and their `total`.
fn count(test: &str, operations: u32) -> Option<HashMap<String, f64>> {
    let report = env::temp_dir().join(format!("{test}-{}-{operations}.strace", std::process::id()));
    let traced = Command::new("strace")
        .args(["-f", "-c", "-U", "name,calls", "-o"])
        .arg(&report)
        .arg(env::current_exe().unwrap())
        .args(["--exact", test])
        .env("TRACED_OPERATIONS", operations.to_string())
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
