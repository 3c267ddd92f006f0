//! Budgets that hold on any machine: allocations, system calls and instructions, not time.
//!
//! Each is counted over two lengths of the same work, and the difference divided by the difference in length, so that
//! neither start nor end is in it. Allocations are those of the loop's thread; system calls and instructions are those
//! of a child process, which is this test again under strace or callgrind. Goals beyond these limits are those of
//! `cargo xtask bench`: a limit here is what stands today, so that no change loses it unseen.

use std::cell::{Cell, OnceCell, RefCell};
use std::env;
use std::future::{Future, poll_fn, ready};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::pin::pin;
use std::process::Command;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use asyncio::protocol::{Protocol, Transport, create_server};
use asyncio::{
    StreamReader, StreamWriter, create_task, get_running_loop, run, sleep, start_server, timeout,
    to_thread, yield_now,
};
use asyncio_counting_allocator::allocations_of;

/// One limit.
struct Budget {
    what: &'static str,
    /// The work that a child process is told to do, and how much of it.
    work: (&'static str, fn(u64)),
    counted: Counted,
    /// At most so many for each unit of work.
    limit: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Counted {
    Allocations,
    /// The server's: the client's two a message are taken off.
    SystemCalls,
    /// Of an optimised build.
    Instructions,
}

use Counted::{Allocations, Instructions, SystemCalls};

const SPAWN_JOIN: (&str, fn(u64)) = ("spawn_join", spawn_join);
const CALL_SOON: (&str, fn(u64)) = ("call_soon", call_soon);
const YIELD: (&str, fn(u64)) = ("yield", yields);
const PROTOCOL: (&str, fn(u64)) = ("protocol", echo_by_protocol);
const STREAMS: (&str, fn(u64)) = ("streams", echo_by_streams);

#[rustfmt::skip]
const BUDGETS: [Budget; 15] = [
    Budget { what: "a task", work: SPAWN_JOIN, counted: Allocations, limit: 1.0 },
    Budget { what: "a callback", work: CALL_SOON, counted: Allocations, limit: 1.0 },
    Budget { what: "a yield", work: YIELD, counted: Allocations, limit: 0.0 },
    Budget { what: "a wake of another task", work: ("wake", wakes), counted: Allocations, limit: 0.0 },
    Budget { what: "a timer, set and cancelled", work: ("timer", timers), counted: Allocations, limit: 0.0 },
    Budget { what: "a timeout in time", work: ("timeout", timeouts), counted: Allocations, limit: 0.0 },
    Budget { what: "a readiness event", work: ("events", events), counted: Allocations, limit: 0.0 },
    Budget { what: "data_received", work: PROTOCOL, counted: Allocations, limit: 0.0 },
    Budget { what: "a line of a stream", work: STREAMS, counted: Allocations, limit: 1.0 },
    Budget { what: "an idle echo by protocol", work: PROTOCOL, counted: SystemCalls, limit: 3.05 },
    Budget { what: "an idle echo by streams", work: STREAMS, counted: SystemCalls, limit: 4.05 },
    Budget { what: "spawn and join", work: SPAWN_JOIN, counted: Instructions, limit: 1_900.0 },
    Budget { what: "a callback", work: CALL_SOON, counted: Instructions, limit: 650.0 },
    Budget { what: "a yield", work: YIELD, counted: Instructions, limit: 360.0 },
    Budget { what: "a wake of another task", work: ("wake", wakes), counted: Instructions, limit: 520.0 },
];

#[test]
fn what_an_operation_costs_stays_within_its_budget() {
    if let (Ok(work), Ok(length)) = (env::var("BUDGET_WORK"), env::var("BUDGET_LENGTH")) {
        let budget = BUDGETS.iter().find(|budget| budget.work.0 == work).expect("known work");
        return (budget.work.1)(length.parse().expect("a number"));
    }
    let mut broken = Vec::new();
    for budget in &BUDGETS {
        let Budget { what, counted, limit, .. } = budget;
        match budget.measure() {
            Ok(cost) if cost <= limit + 0.005 => {
                println!("{what}: {cost:.2} {} of {limit}", counted.name())
            }
            Ok(cost) => {
                broken.push(format!("{what}: {cost:.2} {}, allowed {limit}", counted.name()))
            }
            Err(why) => println!("{what}: {} skipped, {why}", counted.name()),
        }
    }
    assert!(broken.is_empty(), "over budget: {broken:#?}");
}

impl Counted {
    fn name(self) -> &'static str {
        match self {
            Allocations => "allocations",
            SystemCalls => "system calls",
            Instructions => "instructions",
        }
    }
}

impl Budget {
    /// What one unit of the work costs, or why that cannot be said here.
    fn measure(&self) -> Result<f64, String> {
        if self.counted == Instructions && cfg!(debug_assertions) {
            return Err("since the build is not optimised".into());
        }
        let (few, many) = (1_000, 4_000);
        let cost = (self.count(many)? - self.count(few)?) / (many - few) as f64;
        Ok(if self.counted == SystemCalls { cost - 2.0 } else { cost })
    }

    fn count(&self, length: u64) -> Result<f64, String> {
        let report = Report::new(self.work.0);
        let path = report.0.display();
        match self.counted {
            Allocations => {
                let (_, work) = self.work;
                Ok(allocations_of(|| work(length)) as f64)
            }
            SystemCalls => {
                let tool = format!("strace -f -c -U name,calls -o {path}");
                let text = self.run_under(&tool, length, &report)?;
                let total = text.lines().find(|line| line.trim_start().starts_with("total"));
                number(total.and_then(|line| line.split_whitespace().nth(1)))
            }
            Instructions => {
                let tool = format!(
                    "valgrind --tool=callgrind --callgrind-out-file=/dev/null --log-file={path}"
                );
                let text = self.run_under(&tool, length, &report)?;
                let total = text.lines().find(|line| line.contains("Collected :"));
                number(total.and_then(|line| line.split_whitespace().last()))
            }
        }
    }

    /// Has a child do the work under a tool; the tool's report.
    fn run_under(&self, tool: &str, length: u64, report: &Report) -> Result<String, String> {
        let mut words = tool.split(' ');
        let program = words.next().expect("a tool has a name");
        let output = Command::new(program)
            .args(words)
            .arg(env::current_exe().expect("we are running"))
            .args(["--exact", "what_an_operation_costs_stays_within_its_budget"])
            .env("BUDGET_WORK", self.work.0)
            .env("BUDGET_LENGTH", length.to_string())
            // A sanitizer's leak check cannot run under a tracer.
            .env("ASAN_OPTIONS", "detect_leaks=0")
            .output()
            .map_err(|_| format!("{program} is missing"))?;
        if !output.status.success() {
            return Err(format!("{program} cannot run this here"));
        }
        std::fs::read_to_string(&report.0).map_err(|error| format!("{program}: {error}"))
    }
}

/// A tool's report; the file goes with it.
struct Report(PathBuf);

impl Report {
    fn new(work: &str) -> Self {
        Self(env::temp_dir().join(format!("budget-{work}-{}", std::process::id())))
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn number(word: Option<&str>) -> Result<f64, String> {
    word.and_then(|word| word.parse().ok()).ok_or_else(|| "the report has no total".into())
}

// The works.

fn spawn_join(n: u64) {
    run(async {
        for _ in 0..n / 8 {
            let tasks: [_; 8] = std::array::from_fn(|_| create_task(async {}));
            for task in tasks {
                task.await.expect("it returns");
            }
        }
    })
    .expect("it runs");
}

fn call_soon(n: u64) {
    run(async {
        let event_loop = get_running_loop().expect("a loop is running");
        let called = Rc::new(Cell::new(0));
        for _ in 0..n {
            let called = called.clone();
            event_loop.call_soon(move || called.set(called.get() + 1));
        }
        yield_now().await;
        assert_eq!(called.get(), n);
    })
    .expect("it runs");
}

fn yields(n: u64) {
    run(async {
        let each = n / 4;
        let tasks: [_; 4] = std::array::from_fn(|_| {
            create_task(async move {
                for _ in 0..each {
                    yield_now().await;
                }
            })
        });
        for task in tasks {
            task.await.expect("it returns");
        }
    })
    .expect("it runs");
}

/// Two tasks wake each other in turn.
fn wakes(n: u64) {
    #[derive(Default)]
    struct Baton {
        holder: Cell<usize>,
        wakers: [RefCell<Option<Waker>>; 2],
    }

    async fn player(baton: Rc<Baton>, me: usize, turns: u64) {
        for _ in 0..turns {
            poll_fn(|cx| {
                if baton.holder.get() == me {
                    return Poll::Ready(());
                }
                let mut waker = baton.wakers[me].borrow_mut();
                if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    *waker = Some(cx.waker().clone());
                }
                Poll::Pending
            })
            .await;
            baton.holder.set(1 - me);
            if let Some(waker) = &*baton.wakers[1 - me].borrow() {
                waker.wake_by_ref();
            }
        }
    }

    run(async {
        let baton = Rc::new(Baton::default());
        for task in [0, 1].map(|me| create_task(player(baton.clone(), me, n / 2))) {
            task.await.expect("it returns");
        }
    })
    .expect("it runs");
}

fn timers(n: u64) {
    run(async {
        for _ in 0..n {
            let mut timer = pin!(sleep(Duration::from_secs(3_600)));
            let armed = poll_fn(|cx| Poll::Ready(timer.as_mut().poll(cx).is_pending()));
            assert!(armed.await);
        }
    })
    .expect("it runs");
}

fn timeouts(n: u64) {
    run(async {
        for n in 0..n {
            assert_eq!(timeout(Duration::from_secs(1), ready(n)).await.ok(), Some(n));
        }
    })
    .expect("it runs");
}

/// A descriptor that is ready again and again, and what it has is read.
fn events(n: u64) {
    run(async {
        let event_loop = get_running_loop().expect("a loop is running");
        let (mut ours, mut theirs) = UnixStream::pair().expect("sockets");
        let watched = ours.try_clone().expect("a socket");
        let seen = Rc::new(Cell::new(0));
        let count = seen.clone();
        let read = move || {
            ours.read_exact(&mut [0]).expect("it is readable");
            count.set(count.get() + 1);
        };
        event_loop.add_reader(&watched, read).expect("it can be watched");
        for n in 1..=n {
            theirs.write_all(b"x").expect("connected");
            while seen.get() < n {
                yield_now().await;
            }
        }
        assert!(event_loop.remove_reader(&watched));
    })
    .expect("it runs");
}

fn echo_by_protocol(messages: u64) {
    #[derive(Default)]
    struct Echo(OnceCell<Transport>);

    impl Protocol for Echo {
        fn connection_made(&self, transport: &Transport) {
            let _ = self.0.set(transport.clone());
        }

        fn data_received(&self, data: &[u8]) {
            self.0.get().expect("connected").write(data);
        }
    }

    run(async move {
        let server = create_server(Echo::default, "127.0.0.1", 0).await.expect("it binds");
        let address = server.local_addrs()[0];
        to_thread(move || talk(address, messages)).await;
    })
    .expect("it runs");
}

fn echo_by_streams(messages: u64) {
    async fn echo(mut reader: StreamReader, mut writer: StreamWriter) {
        loop {
            let line = reader.readline().await.expect("a line");
            if line.is_empty() {
                return;
            }
            writer.write(&line);
            writer.drain().await.expect("connected");
        }
    }

    run(async move {
        let server = start_server(echo, "127.0.0.1", 0).await.expect("it binds");
        let address = server.local_addrs()[0];
        to_thread(move || talk(address, messages)).await;
    })
    .expect("it runs");
}

/// Sends a line, waits for it to come back, and so on: two system calls a message.
fn talk(server: SocketAddr, messages: u64) {
    let mut stream = TcpStream::connect(server).expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let mut answer = [0; 64];
    for n in 0..messages {
        let line = [b'a' + (n % 26) as u8, b'\n'];
        stream.write_all(&line).expect("connected");
        let count = stream.read(&mut answer).expect("connected");
        assert_eq!(answer[..count], line);
    }
}
