//! Loops that nobody closed: something of a loop that owns the loop keeps both alive for ever.
//!
//! The circle (loop, registration, transport, loop) is made of counted references on purpose: a transport that held its
//! loop weakly would look it up at each write. `run` and `Runner` break it by closing. Who makes a loop by hand and
//! forgets to close it is told when the thread ends, in debug mode, as asyncio's `ResourceWarning` does; what leaked is
//! not dropped then, since the values of the thread are half gone.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};

use crate::debug::log_warning;
use crate::event_loop::{Inner, State};
use crate::observe::Observer;

thread_local! {
    static LOOPS: Loops = const { Loops(RefCell::new(Vec::new())) };
}

/// The loops of a thread that are still there.
struct Loops(RefCell<Vec<Weak<Inner>>>);

/// Remembers a loop that was made.
pub(crate) fn remember(inner: &Rc<Inner>) {
    // One that is made while the thread ends is not looked after.
    let _ = LOOPS.try_with(|loops| {
        let mut loops = loops.0.borrow_mut();
        loops.retain(|known| known.strong_count() > 0);
        loops.push(Rc::downgrade(inner));
    });
}

impl Drop for Loops {
    fn drop(&mut self) {
        for known in self.0.take() {
            let Some(inner) = known.upgrade() else { continue };
            if inner.state.get() == State::Idle
                && inner.observers.has(Observer::Debug)
                && !inner.is_parents()
            {
                // A logger may want what the thread no longer has.
                let what = inner.what_waits();
                let warn = || log_warning(format_args!("an event loop was not closed: {what}"));
                drop(catch_unwind(AssertUnwindSafe(warn)));
            }
        }
    }
}

impl Inner {
    fn what_waits(&self) -> String {
        let descriptors = self.sources.len();
        let timers = self.timers.borrow().len();
        let entries = self.ready.len();
        format!("{descriptors} descriptors, {timers} timers, {entries} ready entries are left")
    }
}
