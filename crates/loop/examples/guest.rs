//! A host drives the loop from a poll loop of its own, as a GUI or another runtime would.
//!
//! The host has its own source of events, a socket on which a "user" types; for each key it asks the loop, in which a
//! clock ticks meanwhile, for something. It waits in one place, for both.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use asyncio_loop::{EventLoop, Guest};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Runs the host until the user has typed `q` and the clock has ticked three times; what happened, in order.
pub(crate) fn host() -> Result<Vec<String>, Box<dyn Error>> {
    let (keyboard, mut user) = UnixStream::pair()?;
    let typing = thread::spawn(move || user.write_all(b"abq"));

    let event_loop = EventLoop::new()?;
    let guest = Guest::new(&event_loop)?;
    let log = Rc::new(RefCell::new(Vec::new()));
    let ticks = Rc::new(Cell::new(0));
    tick_later(&event_loop, &log, &ticks);

    let mut is_typing = true;
    let mut timeout = Some(Duration::ZERO);
    while is_typing || ticks.get() < 3 {
        // The one place where the program waits.
        let wait = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs() as _,
            tv_nsec: timeout.subsec_nanos() as _,
        });
        let watch_keys = if is_typing { PollFlags::IN } else { PollFlags::empty() };
        let mut fds = [PollFd::new(&guest, PollFlags::IN), PollFd::new(&keyboard, watch_keys)];
        poll(&mut fds, wait.as_ref())?;

        // The host's own events.
        if fds[1].revents().contains(PollFlags::IN) {
            let mut key = [0];
            (&keyboard).read_exact(&mut key)?;
            let log = log.clone();
            event_loop.call_soon(move || log.borrow_mut().push(format!("key {}", key[0] as char)));
            is_typing = key[0] != b'q';
        }

        // The guest's turn. A tick that is not due does no harm.
        timeout = guest.tick(Some(Duration::ZERO))?.timeout();
    }
    drop(guest);
    event_loop.close()?;
    typing.join().expect("the user types and goes")?;
    Ok(log.take())
}

fn tick_later(event_loop: &EventLoop, log: &Rc<RefCell<Vec<String>>>, ticks: &Rc<Cell<u32>>) {
    let (this, log, ticks) = (event_loop.clone(), log.clone(), ticks.clone());
    event_loop.call_later(Duration::from_millis(10), move || {
        ticks.set(ticks.get() + 1);
        log.borrow_mut().push(format!("tick {}", ticks.get()));
        tick_later(&this, &log, &ticks);
    });
}

fn main() -> Result<(), Box<dyn Error>> {
    for line in host()? {
        println!("{line}");
    }
    Ok(())
}
