//! Linux: the `Poller`'s epoll descriptor with our own registration, wait, wake and timer.
//!
//! An idle loop that gets one readable event makes one `epoll_wait` a tick and nothing else. The eventfd is registered
//! once, edge-triggered, and never read: every write is a new edge, so there is nothing to drain. The timerfd likewise;
//! it is set only when the earliest deadline moves *closer*. When the timer it was set for has been cancelled it ends
//! one wait too early and is then set anew, which is cheaper than a system call for each timeout that is not reached.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use polling::Poller;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, clock_gettime,
    timerfd_create, timerfd_settime,
};

use super::{Event, Notifier, Selector, Wait, explain};
use crate::io::Ready;

/// See the module's documentation.
pub(crate) struct EpollSelector {
    /// Owns the epoll descriptor. Its own `wait` and `notify` are never called.
    poller: Poller,
    /// Wakes the wait from other threads and from the signal handler.
    wake: Arc<OwnedFd>,
    timer: OwnedFd,
    /// What the timer is set to, None if it is not running.
    armed: Option<Instant>,
    /// One instant on both clocks, to turn an `Instant` into the kernel's time.
    anchor: Anchor,
    events: Vec<epoll::Event>,
}

/// `kernel` was read after `instant`, so a deadline computed from the pair is never early.
struct Anchor {
    instant: Instant,
    kernel: Duration,
}

impl EpollSelector {
    pub(crate) fn new() -> io::Result<Self> {
        let poller = Poller::new()?;
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        let edge = EventFlags::IN | EventFlags::ET;
        epoll::add(&poller, &wake, EventData::new_u64(WAKE_KEY), edge)?;
        epoll::add(&poller, &timer, EventData::new_u64(TIMER_KEY), edge)?;
        let events = Vec::with_capacity(EVENTS_A_WAIT);
        Ok(Self { poller, wake, timer, armed: None, anchor: Anchor::now(), events })
    }

    /// Makes the timer end the wait at `deadline` or earlier.
    fn arm(&mut self, deadline: Instant) -> io::Result<()> {
        if self.armed.is_some_and(|armed| armed <= deadline) {
            return Ok(());
        }
        let setting = Itimerspec { it_interval: ZERO, it_value: self.anchor.to_kernel(deadline) };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &setting)?;
        self.armed = Some(deadline);
        Ok(())
    }
}

impl Selector for EpollSelector {
    fn register(&mut self, fd: BorrowedFd<'_>, key: usize) -> io::Result<()> {
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.poller, fd, EventData::new_u64(key as u64), interest)
            .map_err(|error| explain(error.into(), fd))
    }

    fn register_level(
        &mut self,
        fd: BorrowedFd<'_>,
        key: usize,
        interest: Ready,
    ) -> io::Result<()> {
        super::portable::add_level(&self.poller, fd, key, interest)
    }

    fn set_interest(&mut self, fd: RawFd, key: usize, interest: Ready) -> io::Result<()> {
        super::portable::set_interest(&self.poller, fd, key, interest)
    }

    fn deregister(&mut self, fd: RawFd) {
        super::portable::delete(&self.poller, fd);
    }

    fn wait(&mut self, wait: Wait, events: &mut Vec<Event>) -> io::Result<()> {
        if let Wait::Until(deadline) = wait {
            self.arm(deadline)?;
        }
        let timeout = if wait == Wait::Poll { Some(&ZERO) } else { None };
        self.events.clear();
        match epoll::wait(&self.poller, spare_capacity(&mut self.events), timeout) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &self.events {
            match event.data.u64() {
                WAKE_KEY => {}
                TIMER_KEY => self.armed = None,
                key => events.push(Event { key: key as usize, ready: to_ready(event.flags) }),
            }
        }
        Ok(())
    }

    fn sees_hangup(&self) -> bool {
        true
    }

    fn wake_fd(&mut self) -> io::Result<RawFd> {
        Ok(self.wake.as_raw_fd())
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }

    fn notifier(&self) -> Notifier {
        Notifier::EventFd(self.wake.clone())
    }
}

impl Anchor {
    fn now() -> Self {
        let instant = Instant::now();
        let kernel = clock_gettime(ClockId::Monotonic);
        Self { instant, kernel: Duration::new(kernel.tv_sec as u64, kernel.tv_nsec as u32) }
    }

    /// Never zero, which would stop the timer.
    fn to_kernel(&self, when: Instant) -> Timespec {
        let time = self.kernel + when.saturating_duration_since(self.instant);
        let tv_sec = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Timespec { tv_sec, tv_nsec: i64::from(time.subsec_nanos().max(1)) as _ }
    }
}

fn to_ready(flags: EventFlags) -> Ready {
    let mut ready = Ready::NONE;
    // A hangup or an error makes both directions ready: the next read or write says which it is.
    let ended = EventFlags::HUP | EventFlags::ERR;
    if flags.intersects(EventFlags::IN | EventFlags::PRI | EventFlags::RDHUP | ended) {
        ready |= Ready::READ;
    }
    if flags.intersects(EventFlags::OUT | ended) {
        ready |= Ready::WRITE;
    }
    if flags.intersects(EventFlags::RDHUP | EventFlags::HUP) {
        ready |= Ready::HUP;
    }
    if flags.contains(EventFlags::ERR) {
        ready |= Ready::ERROR;
    }
    ready
}

const ZERO: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// Sources count up from 0 and `u64::MAX` is the `Poller`'s own.
const WAKE_KEY: u64 = u64::MAX - 1;
const TIMER_KEY: u64 = u64::MAX - 2;
/// Events taken in one wait; the others come with the next one. 12 KiB.
const EVENTS_A_WAIT: usize = 1024;
