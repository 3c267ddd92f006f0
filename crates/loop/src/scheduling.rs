//! Scheduling: callbacks, entries and timers, and how they get into the queues.

use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use asyncio_coro::context::Captured;

use crate::clock::{Clock, saturating_add};
use crate::event_loop::{EventLoop, Inner, State};
use crate::handle::{self, Handle, TimerHandle};
use crate::ready::Entry;
use crate::timers::{Action, TimerKey};

impl EventLoop {
    /// Calls `callback` in the next tick. Callbacks and task steps run in the order in which they were queued.
    ///
    /// It runs in a copy of the current [context](asyncio_coro::context); [`call_soon_in`](Self::call_soon_in) is for
    /// another. A panic in it goes to the exception handler with the place of this call, and the loop goes on. On a closed
    /// loop the callback is dropped, and the handle is cancelled from the start.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{EventLoop, testing};
    /// use std::{cell::RefCell, rc::Rc};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let log = Rc::new(RefCell::new(Vec::new()));
    /// for n in 0..3 {
    ///     let log = log.clone();
    ///     event_loop.call_soon(move || log.borrow_mut().push(n));
    /// }
    /// assert!(log.borrow().is_empty(), "never inline");
    /// testing::run_once(&event_loop)?;
    /// assert_eq!(*log.borrow(), [0, 1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn call_soon(&self, callback: impl FnOnce() + 'static) -> Handle {
        self.call_soon_in(Captured::copy(), callback)
    }

    /// As [`call_soon`](Self::call_soon), but calls `callback` in `context` itself instead of a copy of the current one.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_coro::{Context, ContextVar};
    /// use asyncio_loop::{EventLoop, testing};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// let event_loop = EventLoop::new()?;
    /// let context = Context::new();
    /// event_loop.call_soon_in(&context, || drop(USER.set("ada")));
    /// testing::run_once(&event_loop)?;
    /// assert_eq!(context.get(&USER), Some("ada"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn call_soon_in(
        &self,
        context: impl Into<Captured>,
        callback: impl FnOnce() + 'static,
    ) -> Handle {
        let (handle, entry) = handle::callback(context.into(), callback);
        if self.is_closed() {
            entry.discard();
        } else {
            self.inner().push(entry);
        }
        handle
    }

    /// Calls `callback` after `delay`, measured on the loop's clock from now; no earlier, and up to a tick later.
    ///
    /// It runs in a copy of the current context. A delay beyond what the clock can show means never. On a closed loop the callback is dropped, and the handle is
    /// cancelled from the start.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{EventLoop, testing::{self, ClockMode}};
    /// use std::{cell::Cell, rc::Rc, time::Duration};
    ///
    /// let (event_loop, clock) = testing::virtual_loop(ClockMode::Frozen)?;
    /// let ran = Rc::new(Cell::new(false));
    /// event_loop.call_later(Duration::from_secs(1), { let ran = ran.clone(); move || ran.set(true) });
    /// clock.advance(Duration::from_secs(1));
    /// testing::run_once(&event_loop)?;
    /// assert!(ran.get());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn call_later(&self, delay: Duration, callback: impl FnOnce() + 'static) -> TimerHandle {
        self.call_at(saturating_add(self.time(), delay), callback)
    }

    /// As [`call_later`](Self::call_later), but calls `callback` in `context` itself instead of a copy of the current one.
    #[track_caller]
    pub fn call_later_in(
        &self,
        context: impl Into<Captured>,
        delay: Duration,
        callback: impl FnOnce() + 'static,
    ) -> TimerHandle {
        self.call_at_in(context, saturating_add(self.time(), delay), callback)
    }

    /// Calls `callback` when the loop's clock shows `when`; no earlier, and up to a tick later.
    ///
    /// It runs in a copy of the current context. Timers run in the order of their deadlines, those of equal deadlines in the order in which they were added. One
    /// whose time has passed runs in the next tick. On a closed loop the callback is dropped, and the handle is
    /// cancelled from the start.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{EventLoop, testing};
    /// use std::{cell::RefCell, rc::Rc, time::Duration};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let log = Rc::new(RefCell::new(Vec::new()));
    /// let now = event_loop.time();
    /// for (name, when) in [("late", now), ("early", now - Duration::from_secs(1))] {
    ///     let log = log.clone();
    ///     event_loop.call_at(when, move || log.borrow_mut().push(name));
    /// }
    /// testing::run_once(&event_loop)?;
    /// assert_eq!(*log.borrow(), ["early", "late"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn call_at(&self, when: Instant, callback: impl FnOnce() + 'static) -> TimerHandle {
        self.call_at_in(Captured::copy(), when, callback)
    }

    /// As [`call_at`](Self::call_at), but calls `callback` in `context` itself instead of a copy of the current one.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_coro::Context;
    /// use asyncio_loop::{EventLoop, testing};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let context = Context::new();
    /// event_loop.call_at_in(&context, event_loop.time(), {
    ///     let context = context.clone();
    ///     move || assert!(Context::current().ptr_eq(&context))
    /// });
    /// testing::run_once(&event_loop)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn call_at_in(
        &self,
        context: impl Into<Captured>,
        when: Instant,
        callback: impl FnOnce() + 'static,
    ) -> TimerHandle {
        let (handle, entry) = handle::callback(context.into(), callback);
        let key = if self.is_closed() {
            entry.discard();
            None
        } else {
            Some(self.inner().insert_timer(when, Action::Run(entry)))
        };
        TimerHandle::new(handle, when, key, Rc::downgrade(self.inner()))
    }

    /// Appends an entry to the ready queue. For upper tiers, which wake their tasks by it.
    ///
    /// While the loop is being closed the entry is dropped instead of run; once it is closed the entry is forgotten.
    ///
    /// # Examples
    ///
    /// See [`Entry::new`].
    pub fn schedule(&self, entry: Entry) {
        // An entry has no destructor, so the one of a closed loop is forgotten here, see `LoopHandle::schedule`.
        if self.inner().state.get() != State::Closed {
            self.inner().push(entry);
        }
    }

    /// Wakes `waker` when the loop's clock shows `when`. Steady state allocates nothing; O(log n).
    ///
    /// The fired timer is a ready-queue entry of its own, as a timer handle is in asyncio: it wakes the waker, and the
    /// task then runs a tick later. On a closed loop nothing happens, ever.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::{EventLoop, testing};
    /// use std::task::Waker;
    ///
    /// let event_loop = EventLoop::new()?;
    /// let key = event_loop.add_timer(event_loop.time(), Waker::noop());
    /// event_loop.cancel_timer(key);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn add_timer(&self, when: Instant, waker: &Waker) -> TimerKey {
        self.inner().add_timer(when, waker)
    }

    /// Takes a timer out, if it has not woken its waker yet. O(log n).
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_loop::EventLoop;
    /// use std::{task::Waker, time::Duration};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let key = event_loop.add_timer(event_loop.time() + Duration::from_secs(1), Waker::noop());
    /// event_loop.cancel_timer(key);
    /// event_loop.cancel_timer(key); // stale by now, and so ignored
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn cancel_timer(&self, key: TimerKey) {
        self.inner().cancel_timer(key);
    }
}

impl Inner {
    /// Queues an entry, after what other threads queued before a run.
    pub(crate) fn push(&self, entry: Entry) {
        if !self.is_running() {
            self.drain_remote();
            self.tell_host();
        }
        self.ready.push(entry);
    }

    pub(crate) fn add_timer(&self, when: Instant, waker: &Waker) -> TimerKey {
        // Cloning and dropping a waker is foreign code.
        let waker = waker.clone();
        if self.is_closed() {
            return TimerKey::never();
        }
        self.insert_timer(when, Action::Wake(waker))
    }

    fn insert_timer(&self, when: Instant, action: Action) -> TimerKey {
        if let Clock::Virtual(time) = &self.clock {
            time.note_timer(when);
        }
        self.tell_host();
        self.timers.borrow_mut().insert(when, action)
    }

    pub(crate) fn cancel_timer(&self, key: TimerKey) {
        let removed = self.timers.borrow_mut().remove(key);
        match removed {
            Some(Action::Run(entry)) => entry.discard(),
            Some(Action::Wake(waker)) => drop(waker),
            None => {}
        }
    }
}
