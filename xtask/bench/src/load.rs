//! The load: connections that keep a number of messages in flight, and check every byte that comes back.
//!
//! What a connection sends is a circle of messages that differ, entered at a place of its own: bytes lost, doubled or
//! mixed up between connections do not go unnoticed.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use crate::serve::epoll::check;

/// `load PORT PID blocks|lines CONNECTIONS SIZE for MILLISECONDS`, `… messages COUNT`, or `… idle`.
pub fn load(args: &[&str]) -> Result<(), String> {
    let &[port, pid, kind, connections, size, ref until @ ..] = args else {
        return Err("load PORT PID blocks|lines CONNECTIONS SIZE for MS | messages N | idle".into());
    };
    let number = |word: &str| word.parse::<u64>().map_err(|_| format!("{word:?} is no number"));
    let circle = Circle::new(kind == "lines", number(size)? as usize);
    let window = if kind == "lines" { 16 } else { 1 };
    let port = number(port)? as u16;
    let pid = number(pid)?;
    let resident_before = resident(pid);
    let mut load = Load::new(port, &circle, number(connections)? as usize, window)
        .map_err(|error| format!("cannot connect: {error}"))?;
    let result = match until {
        ["for", time] => load.run_for(pid, Duration::from_millis(number(time)?)),
        ["messages", count] => load.run_messages(number(count)?),
        ["idle"] => load.run_messages(load.connections.len() as u64).map(|()| {
            thread::sleep(Duration::from_millis(300));
            let bytes = resident(pid) - resident_before;
            println!("resident_bytes {}", bytes / load.connections.len() as f64);
        }),
        _ => return Err(format!("load until what? {until:?}")),
    };
    result.map_err(|error| format!("under load: {error}"))
}

/// The messages, twice, so that as many as a circle has can be sent from any place as one slice.
struct Circle {
    bytes: Vec<u8>,
    size: usize,
    messages: usize,
}

impl Circle {
    fn new(is_lines: bool, size: usize) -> Self {
        let messages = 17;
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut bytes = Vec::with_capacity(2 * messages * size);
        for _ in 0..messages * size {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.push(if is_lines { b'a' + (state % 26) as u8 } else { state as u8 });
        }
        if is_lines {
            bytes.iter_mut().skip(size - 1).step_by(size).for_each(|last| *last = b'\n');
        }
        bytes.extend_from_within(..);
        Self { bytes, size, messages }
    }

    fn len(&self) -> u64 {
        (self.messages * self.size) as u64
    }

    /// `count` bytes, at most a circle, from where `place` bytes have gone before.
    fn slice(&self, place: u64, count: usize) -> &[u8] {
        let start = (place % self.len()) as usize;
        &self.bytes[start..start + count.min(self.len() as usize)]
    }
}

struct Connection {
    stream: TcpStream,
    /// Where in the circle it began.
    start: u64,
    sent: u64,
    received: u64,
    /// Messages it may have sent in all.
    allowed: u64,
    /// When the messages in flight were sent, by number modulo the window.
    times: Vec<Instant>,
    waits_to_write: bool,
}

struct Load<'a> {
    circle: &'a Circle,
    connections: Vec<Connection>,
    window: u64,
    epoll: i32,
    buffer: Vec<u8>,
    /// Messages that came back.
    done: u64,
    latencies: Histogram,
}

impl<'a> Load<'a> {
    fn new(port: u16, circle: &'a Circle, count: usize, window: u64) -> io::Result<Self> {
        // SAFETY: no memory is passed.
        let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        let now = Instant::now();
        let mut connections = Vec::with_capacity(count);
        for number in 0..count {
            if number % 64 == 63 {
                // No faster than a peer with a short backlog accepts: each that is refused costs a second.
                thread::sleep(Duration::from_millis(2));
            }
            let stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            // Named by number, not by descriptor.
            let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: number as u64 };
            let fd = stream.as_raw_fd();
            // SAFETY: the event lives through the call.
            check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event) })?;
            connections.push(Connection {
                stream,
                start: (number % circle.messages * circle.size) as u64,
                sent: 0,
                received: 0,
                allowed: 0,
                times: vec![now; window as usize],
                waits_to_write: false,
            });
        }
        let (buffer, latencies) = (vec![0; 256 * 1024], Histogram::new());
        Ok(Self { circle, connections, window, epoll, buffer, done: 0, latencies })
    }

    /// A quarter of the time to warm up, then `time` that counts.
    fn run_for(&mut self, pid: u64, time: Duration) -> io::Result<()> {
        self.open(u64::MAX)?;
        self.until(u64::MAX, Some(Instant::now() + time / 4))?;
        self.latencies = Histogram::new();
        let (before, processor) = (self.done, processor_time(pid));
        let start = Instant::now();
        self.until(u64::MAX, Some(start + time))?;
        let seconds = start.elapsed().as_secs_f64();
        let processor = processor_time(pid) - processor;
        let count = (self.done - before) as f64;
        println!("requests_per_s {}", count / seconds);
        println!("server_us {}", processor / count * 1e6);
        for (name, part) in [("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)] {
            println!("{name} {}", self.latencies.at(part) * 1e6);
        }
        Ok(())
    }

    fn run_messages(&mut self, count: u64) -> io::Result<()> {
        self.open(count)?;
        self.until(count, None)?;
        println!("messages {}", self.done);
        Ok(())
    }

    /// Lets every connection fill its window, up to `limit` messages in all.
    fn open(&mut self, limit: u64) -> io::Result<()> {
        let mut left = limit;
        for number in 0..self.connections.len() {
            let grant = self.window.min(left);
            left -= grant;
            self.connections[number].allowed = grant;
            self.send(number)?;
        }
        Ok(())
    }

    /// Runs until so many messages came back, or the time is up.
    fn until(&mut self, count: u64, end: Option<Instant>) -> io::Result<()> {
        let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; 1024];
        while self.done < count && end.is_none_or(|end| Instant::now() < end) {
            let room = events.len() as i32;
            // SAFETY: the buffer has room for as many events.
            let ready =
                check(unsafe { libc::epoll_wait(self.epoll, events.as_mut_ptr(), room, 10_000) })?;
            if ready == 0 {
                return Err(io::Error::other("nothing came for ten seconds"));
            }
            for event in &events[..ready as usize] {
                let number = event.u64 as usize;
                if event.events & libc::EPOLLOUT as u32 != 0 {
                    self.send(number)?;
                }
                if event.events & !(libc::EPOLLOUT as u32) != 0 {
                    self.receive(number, count)?;
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, number: usize, limit: u64) -> io::Result<()> {
        let connection = &mut self.connections[number];
        let count = match connection.stream.read(&mut self.buffer) {
            Ok(0) => return Err(io::Error::other("the server hung up")),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let now = Instant::now();
        let before = connection.received / self.circle.size as u64;
        let mut seen = 0;
        while seen < count {
            let place = connection.start + connection.received;
            let expected = self.circle.slice(place, count - seen);
            if self.buffer[seen..seen + expected.len()] != *expected {
                return Err(io::Error::other(format!(
                    "other bytes came back, connection {number}"
                )));
            }
            seen += expected.len();
            connection.received += expected.len() as u64;
        }
        if connection.received > connection.sent {
            return Err(io::Error::other("more came back than was sent"));
        }
        let after = connection.received / self.circle.size as u64;
        for message in before..after {
            let sent = connection.times[(message % self.window) as usize];
            self.latencies.add(now - sent);
        }
        self.done += after - before;
        if after > before {
            // As many as came back, unless enough are under way.
            let grant = match limit {
                u64::MAX => after - before,
                limit => (after - before).min(limit.saturating_sub(self.granted())),
            };
            self.connections[number].allowed += grant;
            self.send(number)?;
        }
        Ok(())
    }

    fn granted(&self) -> u64 {
        match self.connections.len() {
            1 => self.connections[0].allowed,
            _ => self.connections.iter().map(|connection| connection.allowed).sum(),
        }
    }

    fn send(&mut self, number: usize) -> io::Result<()> {
        let size = self.circle.size as u64;
        let connection = &mut self.connections[number];
        let end = connection.allowed * size;
        let now = Instant::now();
        for message in connection.sent.div_ceil(size)..connection.allowed {
            connection.times[(message % self.window) as usize] = now;
        }
        while connection.sent < end {
            let place = connection.start + connection.sent;
            let bytes = self.circle.slice(place, (end - connection.sent) as usize);
            match connection.stream.write(bytes) {
                Ok(count) => connection.sent += count as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let waits = connection.sent < end;
        if waits != connection.waits_to_write {
            connection.waits_to_write = waits;
            let interest = if waits { libc::EPOLLIN | libc::EPOLLOUT } else { libc::EPOLLIN };
            let fd = connection.stream.as_raw_fd();
            let mut event = libc::epoll_event { events: interest as u32, u64: number as u64 };
            // SAFETY: the event lives through the call.
            check(unsafe { libc::epoll_ctl(self.epoll, libc::EPOLL_CTL_MOD, fd, &mut event) })?;
        }
        Ok(())
    }
}

/// Latencies in buckets, each 1/64 wider than the one before.
struct Histogram {
    counts: Vec<u64>,
}

impl Histogram {
    fn new() -> Self {
        Self { counts: vec![0; 64 * 64] }
    }

    fn add(&mut self, latency: Duration) {
        let ns = (latency.as_nanos() as u64).max(64);
        let exponent = ns.ilog2() as usize;
        let mantissa = (ns >> (exponent - 6)) as usize & 63;
        self.counts[exponent * 64 + mantissa] += 1;
    }

    /// The latency in seconds below which this part of all are.
    fn at(&self, part: f64) -> f64 {
        let total: u64 = self.counts.iter().sum();
        let mut left = (total as f64 * part) as u64;
        for (bucket, count) in self.counts.iter().enumerate() {
            if left < *count {
                let (exponent, mantissa) = (bucket / 64, bucket % 64);
                return (64 + mantissa) as f64 * 2_f64.powi(exponent as i32 - 6) * 1e-9;
            }
            left -= count;
        }
        0.0
    }
}

/// The processor's time that all threads of a process have had, in seconds.
fn processor_time(pid: u64) -> f64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0.0 };
    let of_thread = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    };
    threads.flatten().filter_map(of_thread).sum::<f64>() * 1e-9
}

/// Bytes of a process in memory.
fn resident(pid: u64) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0
}
