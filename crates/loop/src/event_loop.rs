//! The event loop: its API, and what it consists of.

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::mem;
use std::os::fd::BorrowedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Instant;

use asyncio_coro::task::TaskRef;

use crate::async_generators::AsyncGenerators;
use crate::clock::{Clock, TimeSource};
use crate::config::GracePeriods;
use crate::debug::Debug;
use crate::error::LoopRunning;
use crate::exception::Handler;
use crate::fork::{self, Generation};
use crate::io::{IoHandler, Registration, Sources};
use crate::loop_handle::LoopHandle;
use crate::observe::Observers;
use crate::read_buffer::ReadBuffer;
use crate::ready::ReadyQueue;
use crate::remote::{ExternalWork, Shared};
use crate::selector::{Event, PortableSelector, Selector};
use crate::shutdown::CloseHook;
use crate::signals::LoopSignals;
use crate::testing::blocked::Blocked;
use crate::timers::Timers;
use crate::unclosed;
use crate::watchdog::Watchdog;
use crate::watched::WatchedFds;

/// An event loop: a ready queue, timers and a selector, on one thread.
///
/// Cloning it makes another handle on the same loop; it stays on its thread. The door for other threads is
/// [`handle`](Self::handle). Most programs never name it: [`run`](crate::run()) makes one, runs a future and closes it.
///
/// [`close`](Self::close) it in the end. Dropping the last handle closes it too, but a task or a transport of the loop
/// that holds a handle keeps it from being dropped: then it leaks, and with it their descriptors and memory. In debug
/// mode a loop that was not closed by the end of its thread is reported.
///
/// # Examples
///
/// ```
/// use asyncio_loop::EventLoop;
///
/// let event_loop = EventLoop::new()?;
/// event_loop.call_soon({
///     let event_loop = event_loop.clone();
///     move || event_loop.stop()
/// });
/// event_loop.run_forever()?;
/// event_loop.close()?;
/// assert!(event_loop.is_closed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct EventLoop {
    inner: Rc<Inner>,
}

/// What a loop consists of. Borrows of its cells are short and never held while foreign code runs: no user future,
/// waker, callback or handler is called or dropped inside one.
pub(crate) struct Inner {
    /// The process we were made in.
    pub(crate) generation: Generation,
    /// Ourselves, for those that need to own us.
    pub(crate) this: Weak<Inner>,
    /// What other threads may see.
    pub(crate) shared: Arc<Shared>,
    pub(crate) ready: ReadyQueue,
    pub(crate) timers: RefCell<Timers>,
    pub(crate) clock: Clock,
    /// None once closed.
    pub(crate) selector: RefCell<Option<Box<dyn Selector>>>,
    pub(crate) sources: Sources,
    pub(crate) watched: WatchedFds,
    /// The memory for what a wait reports.
    pub(crate) events: Cell<Vec<Event>>,
    pub(crate) state: Cell<State>,
    /// Ends the run after the current tick.
    pub(crate) stopping: Cell<bool>,
    /// The task of the future that `run` polls, while there is one.
    pub(crate) main: RefCell<Option<TaskRef>>,
    /// What a Ctrl-C does to this run.
    pub(crate) interrupt: Cell<Interrupt>,
    pub(crate) signals: LoopSignals,
    pub(crate) ignores_ctrl_c: Cell<bool>,
    /// How long upper tiers may take for their ends.
    pub(crate) grace_periods: RefCell<GracePeriods>,
    /// While an upper tier shuts down under a virtual clock: when that ends by the system's clock.
    pub(crate) phase_end: Cell<Option<Instant>>,
    pub(crate) exception_handler: RefCell<Option<Handler>>,
    pub(crate) debug: Debug,
    pub(crate) observers: Observers,
    pub(crate) watchdog: Watchdog,
    pub(crate) generators: AsyncGenerators,
    /// Who waits until nothing can run.
    pub(crate) blocked: Blocked,
    /// How many drive the loop as a guest of another one.
    pub(crate) guests: Cell<u32>,
    /// No wait ends later than this, by the system's clock.
    pub(crate) wait_limit: Cell<Option<Instant>>,
    /// Close hooks and their tiers, in the order in which they were added.
    pub(crate) hooks: RefCell<Vec<(u8, Rc<dyn CloseHook>)>>,
    /// A handful of them, so a search beats a map.
    extensions: RefCell<Vec<(TypeId, Rc<dyn Any>)>>,
    pub(crate) read_buffer: Cell<Option<Box<[u8]>>>,
}

/// A loop's life: Idle and Running alternate, then Closing, then Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Idle,
    Running,
    /// Everything alive is being dropped. New callbacks, timers and descriptors are refused.
    Closing,
    Closed,
}

/// What a Ctrl-C does to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// Nothing that this loop knows of.
    Ignored,
    /// It cancels the main future.
    CancelsMain,
    /// It has done so.
    CancelledMain,
    /// The main future has ended; it ends the waiting for upper tiers.
    EndsShutdown,
    /// It came when the main future had ended.
    Ended,
}

impl EventLoop {
    /// Makes a loop. It is not running yet, and nothing refers to it.
    ///
    /// # Errors
    ///
    /// What the system says when it has no file descriptors left: the loop owns a few of them.
    pub fn new() -> io::Result<Self> {
        Self::with_clock(Clock::Monotonic)
    }

    /// Makes a loop that goes by a clock of the program's: its timers are due by it, [`time`](Self::time) shows it, and so
    /// do sleeps and timeouts.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{EventLoop, TimeSource};
    /// use std::time::{Duration, Instant};
    ///
    /// /// An hour is a few milliseconds.
    /// struct TimeLapse(Instant);
    ///
    /// impl TimeSource for TimeLapse {
    ///     fn now(&self) -> Instant {
    ///         self.0 + self.0.elapsed() * 1_000_000
    ///     }
    ///     fn until(&self, when: Instant) -> Option<Duration> {
    ///         Some(when.saturating_duration_since(self.now()) / 1_000_000)
    ///     }
    /// }
    ///
    /// let event_loop = EventLoop::with_time_source(TimeLapse(Instant::now()))?;
    /// let (start, stopper) = (event_loop.time(), event_loop.clone());
    /// event_loop.call_later(Duration::from_secs(3600), move || stopper.stop());
    /// event_loop.run_forever()?;
    /// assert!(event_loop.time() - start >= Duration::from_secs(3600));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_time_source(source: impl TimeSource + 'static) -> io::Result<Self> {
        Self::with_clock(Clock::Custom(Box::new(source)))
    }

    /// Makes a loop on the selector for systems that have no better one.
    pub(crate) fn new_portable() -> io::Result<Self> {
        Ok(Self::with_selector(Box::new(PortableSelector::new()?), Clock::Monotonic))
    }

    /// Makes a loop with a clock of the caller's.
    pub(crate) fn with_clock(clock: Clock) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        let selector = Box::new(crate::selector::EpollSelector::new()?);
        #[cfg(not(target_os = "linux"))]
        let selector = Box::new(PortableSelector::new()?);
        Ok(Self::with_selector(selector, clock))
    }

    fn with_selector(selector: Box<dyn Selector>, clock: Clock) -> Self {
        let generation = fork::watch();
        let inner = Rc::new_cyclic(|this| Inner {
            generation,
            this: this.clone(),
            shared: Shared::new(selector.notifier(), generation),
            ready: ReadyQueue::default(),
            timers: RefCell::new(Timers::new(clock.now())),
            clock,
            selector: RefCell::new(Some(selector)),
            sources: Sources::default(),
            watched: WatchedFds::default(),
            events: Cell::default(),
            state: Cell::new(State::Idle),
            stopping: Cell::new(false),
            main: RefCell::default(),
            interrupt: Cell::new(Interrupt::Ignored),
            signals: LoopSignals::default(),
            ignores_ctrl_c: Cell::default(),
            grace_periods: RefCell::default(),
            phase_end: Cell::default(),
            exception_handler: RefCell::default(),
            debug: Debug::default(),
            observers: Observers::default(),
            watchdog: Watchdog::default(),
            generators: AsyncGenerators::default(),
            blocked: Blocked::default(),
            guests: Cell::default(),
            wait_limit: Cell::default(),
            hooks: RefCell::default(),
            extensions: RefCell::default(),
            read_buffer: Cell::default(),
        });
        unclosed::remember(&inner);
        Self { inner }
    }

    pub(crate) fn from_inner(inner: Rc<Inner>) -> Self {
        Self { inner }
    }

    pub(crate) fn inner(&self) -> &Rc<Inner> {
        &self.inner
    }

    /// Is it inside one of its `run_` methods?
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{EventLoop, get_running_loop};
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert!(!event_loop.is_running());
    /// assert!(event_loop.run_until_complete(async { get_running_loop().unwrap().is_running() })?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_running(&self) -> bool {
        self.inner.is_running()
    }

    /// Is it closed, or being closed? Then nothing new is taken.
    ///
    /// # Examples
    ///
    /// ```
    /// let event_loop = asyncio_loop::EventLoop::new()?;
    /// event_loop.close()?;
    /// assert!(event_loop.is_closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Ends the run after the current tick: what is ready in this tick still runs, what that makes ready stays queued
    /// for the next run. Before a run it makes that run poll once, run what is ready, and return.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::EventLoop;
    /// use std::time::Duration;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let stopper = event_loop.clone();
    /// event_loop.call_later(Duration::from_millis(1), move || stopper.stop());
    /// event_loop.run_forever()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stop(&self) {
        self.inner.stopping.set(true);
    }

    /// Closes the loop: drops everything that still waits, here and now, without running it. Idempotent.
    ///
    /// Queued callbacks, timers, I/O handlers and the futures of tasks are dropped on this thread, outside any borrow
    /// of the loop; a panic in one of their destructors is reported. It does not wait for anything to end by itself:
    /// that is [`run`](crate::run())'s part.
    ///
    /// # Errors
    ///
    /// [`LoopRunning`] when it is running.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::EventLoop;
    /// use std::rc::Rc;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let captured = Rc::new(());
    /// let kept = captured.clone();
    /// event_loop.call_soon(move || drop(captured));
    /// event_loop.close()?;
    /// assert_eq!(Rc::strong_count(&kept), 1);
    /// assert!(event_loop.call_soon(|| ()).cancelled());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&self) -> Result<(), LoopRunning> {
        if self.is_running() {
            return Err(LoopRunning::new());
        }
        self.inner.close();
        Ok(())
    }

    /// The time on the loop's clock: monotonic, [one of the program's](Self::with_time_source), or
    /// [virtual](crate::testing) in a test. Timers are due by it. On Linux and macOS the monotonic clock does not count the
    /// time that the machine is suspended.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::testing::{ClockMode, virtual_loop};
    /// use std::time::Duration;
    ///
    /// let (event_loop, clock) = virtual_loop(ClockMode::Frozen)?;
    /// let start = event_loop.time();
    /// clock.advance(Duration::from_secs(5));
    /// assert_eq!(event_loop.time() - start, Duration::from_secs(5));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn time(&self) -> Instant {
        self.inner.clock.now()
    }

    /// The door for other threads.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::EventLoop;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// std::thread::spawn(move || handle.call_soon_threadsafe(|| ())).join().unwrap().unwrap();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn handle(&self) -> LoopHandle {
        LoopHandle::new(self.inner.shared.clone())
    }

    /// The loop's one value of type `T`, made at the first call: the state that an upper tier keeps per loop. It lives
    /// as long as the loop does, or until the loop is closed.
    ///
    /// It must not own an [`EventLoop`], or neither is ever dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::EventLoop;
    /// use std::cell::Cell;
    ///
    /// let event_loop = EventLoop::new()?;
    /// event_loop.extension::<Cell<u32>>().set(7);
    /// assert_eq!(event_loop.extension::<Cell<u32>>().get(), 7);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn extension<T: Default + 'static>(&self) -> Rc<T> {
        if let Some(found) = self.inner.find_extension::<T>() {
            return found;
        }
        let made = Rc::new(T::default());
        // Making it may have made it.
        if let Some(found) = self.inner.find_extension::<T>() {
            return found;
        }
        self.inner.extensions.borrow_mut().push((TypeId::of::<T>(), made.clone()));
        made
    }

    /// Adds what an upper tier does when the loop ends. The hook must not own an [`EventLoop`]. On a closed loop only its
    /// [`closed`](CloseHook::closed) is called, here and now.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{CloseHook, get_running_loop, run};
    /// use std::{cell::Cell, future::Future, pin::Pin, rc::Rc};
    ///
    /// struct Goodbye(Rc<Cell<bool>>);
    /// impl CloseHook for Goodbye {
    ///     fn tier(&self) -> u8 {
    ///         4
    ///     }
    ///     fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()>>> {
    ///         let said = self.0.clone();
    ///         Box::pin(async move { said.set(true) })
    ///     }
    /// }
    ///
    /// let said = Rc::new(Cell::new(false));
    /// run(async { get_running_loop().unwrap().add_close_hook(Rc::new(Goodbye(said.clone()))) })?;
    /// assert!(said.get());
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    pub fn add_close_hook(&self, hook: Rc<dyn CloseHook>) {
        let tier = hook.tier();
        if self.inner.state.get() == State::Closed {
            return hook.closed();
        }
        self.inner.hooks.borrow_mut().push((tier, hook));
    }

    /// Watches a descriptor, edge-triggered and for both directions, until the registration is dropped. It should be
    /// in non-blocking mode, and must stay open until then.
    ///
    /// # Errors
    ///
    /// - `AlreadyExists`: the descriptor is registered with this loop already.
    /// - `Unsupported`: a regular file or directory, which cannot be waited for.
    /// - [`LoopClosed`](crate::LoopClosed), as the inner error: the loop is closed.
    /// - What else the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{EventLoop, IoHandler, Ready, testing};
    /// use std::{cell::Cell, io::Write, os::{fd::AsFd, unix::net::UnixStream}, rc::Rc};
    ///
    /// #[derive(Default)]
    /// struct Seen(Cell<Ready>);
    /// impl IoHandler for Seen {
    ///     fn on_ready(self: Rc<Self>, ready: Ready) {
    ///         self.0.set(ready);
    ///     }
    /// }
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// let seen = Rc::new(Seen::default());
    /// let registration = event_loop.register(ours.as_fd(), seen.clone())?;
    /// theirs.write_all(b"hello")?;
    /// testing::run_once(&event_loop)?;
    /// assert!(seen.0.get().is_readable());
    /// drop(registration);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn register(
        &self,
        fd: BorrowedFd<'_>,
        handler: Rc<dyn IoHandler>,
    ) -> io::Result<Registration> {
        self.inner.register(fd, handler)
    }

    /// Lends the loop's read buffer of 256 KiB until the guard is dropped. Whoever finds it lent gets a fresh one.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::EventLoop;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let mut buffer = event_loop.lend_read_buffer();
    /// buffer[0] = 1;
    /// assert_eq!(buffer.len(), 256 * 1024);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[inline]
    pub fn lend_read_buffer(&self) -> ReadBuffer<'_> {
        ReadBuffer::lend(&self.inner)
    }

    /// Says that something outside the loop is at work until the guard is dropped, whose end will wake the loop. A
    /// virtual clock does not jump meanwhile. Drop the guard after having scheduled the result.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{get_running_loop, testing};
    /// use std::{cell::Cell, rc::Rc, thread};
    ///
    /// testing::run(async {
    ///     let event_loop = get_running_loop().unwrap();
    ///     let (work, handle) = (event_loop.external_work(), event_loop.handle());
    ///     thread::spawn(move || {
    ///         handle.call_soon_threadsafe(|| println!("done, and no virtual time has passed")).unwrap();
    ///         drop(work);
    ///     });
    /// })?;
    /// # Ok::<(), asyncio_loop::RunError>(())
    /// ```
    pub fn external_work(&self) -> ExternalWork {
        ExternalWork::new(self.inner.shared.clone())
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop").field("state", &self.inner.state.get()).finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn is_running(&self) -> bool {
        self.state.get() == State::Running
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state.get(), State::Closing | State::Closed) || self.is_parents()
    }

    pub(crate) fn forget_extensions(&self) {
        mem::forget(self.extensions.take());
    }

    fn find_extension<T: 'static>(&self) -> Option<Rc<T>> {
        let extensions = self.extensions.borrow();
        let (_, found) = extensions.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
        found.clone().downcast().ok()
    }

    /// Gives up what upper tiers and the user have put here. Foreign code runs, outside any borrow.
    pub(crate) fn drop_attachments(&self) {
        // One by one: a second panic while a vector is being dropped would end the process.
        for (_, hook) in self.hooks.take() {
            self.contain(|| drop(hook));
        }
        for extension in self.extensions.take() {
            self.contain(|| drop(extension));
        }
        self.watchdog.stop();
        self.drop_blocked();
        let buffer = self.read_buffer.take();
        drop(buffer);
        // Last, since it is told of the panics of the others.
        let handler = self.exception_handler.take();
        self.contain(|| drop(handler));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}
