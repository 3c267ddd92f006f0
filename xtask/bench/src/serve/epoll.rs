//! The limit: an epoll loop that can do nothing but echo. Level-triggered, one buffer for all connections, what the
//! kernel does not take at once is kept for the connection.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use super::announce;

struct Connection {
    stream: TcpStream,
    unsent: VecDeque<u8>,
}

pub fn echo() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    announce(listener.local_addr()?.port());
    // SAFETY: no memory is passed.
    let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
    control(epoll, libc::EPOLL_CTL_ADD, listener.as_raw_fd(), libc::EPOLLIN)?;
    // By descriptor, which the kernel keeps small.
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; 1024];
    loop {
        let room = events.len() as i32;
        // SAFETY: the buffer has room for as many events.
        let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), room, -1) };
        let count = match check(count) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            count => count? as usize,
        };
        for event in &events[..count] {
            let fd = event.u64 as usize;
            if fd == listener.as_raw_fd() as usize {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let fd = stream.as_raw_fd();
                    control(epoll, libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN)?;
                    if connections.len() <= fd as usize {
                        connections.resize_with(fd as usize + 1, || None);
                    }
                    connections[fd as usize] = Some(Connection { stream, unsent: VecDeque::new() });
                }
                continue;
            }
            let Some(connection) = &mut connections[fd] else { continue };
            if connection.ready(epoll, &mut buffer).is_err() {
                connections[fd] = None;
            }
        }
    }
}

impl Connection {
    fn ready(&mut self, epoll: RawFd, buffer: &mut [u8]) -> io::Result<()> {
        let fd = self.stream.as_raw_fd();
        if !self.unsent.is_empty() {
            let sent = self.send_unsent()?;
            if sent {
                control(epoll, libc::EPOLL_CTL_MOD, fd, libc::EPOLLIN)?;
            }
            return Ok(());
        }
        let count = match self.stream.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let sent = match self.stream.write(&buffer[..count]) {
            Ok(sent) => sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        if sent < count {
            self.unsent.extend(&buffer[sent..count]);
            control(epoll, libc::EPOLL_CTL_MOD, fd, libc::EPOLLOUT)?;
        }
        Ok(())
    }

    fn send_unsent(&mut self) -> io::Result<bool> {
        while !self.unsent.is_empty() {
            match self.stream.write(self.unsent.as_slices().0) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

fn control(epoll: RawFd, operation: i32, fd: RawFd, interest: i32) -> io::Result<()> {
    let mut event = libc::epoll_event { events: interest as u32, u64: fd as u64 };
    // SAFETY: the event lives through the call.
    check(unsafe { libc::epoll_ctl(epoll, operation, fd, &mut event) }).map(drop)
}

pub fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
