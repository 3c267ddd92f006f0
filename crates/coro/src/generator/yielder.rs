//! `Yielder`: how a body hands out an item, and the slot through which it does.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use super::body::BoxBody;
use crate::hooks::{self, GeneratorHooks, LiveGenerator};
use crate::request::is_current_requested;

/// What a generator and its body share.
pub(super) struct Slot<T> {
    pub(super) site: &'static Location<'static>,
    /// The body, unless it borrows, is being polled, or has ended.
    pub(super) body: Cell<Option<BoxBody<'static>>>,
    /// Who looks after the generator since it was first iterated.
    pub(super) hooks: Cell<Option<Weak<dyn GeneratorHooks>>>,
    pub(super) life: Cell<Life>,
    /// The body has yielded where the request to end did not reach it.
    pub(super) has_ignored_exit: Cell<bool>,
    /// The body waits for the next item to be asked for where the request to end does not reach it.
    pub(super) is_stuck: Cell<bool>,
    turn: Cell<Turn>,
    item: Cell<Option<T>>,
    /// The number of the last item.
    count: Cell<u64>,
    /// Wakes the body's part that waits for its item to be taken, and for the next one to be asked for.
    yielding: Cell<Option<Waker>>,
    /// Wake the parts of the body that have an item too, and wait for their turn.
    waiting: RefCell<Vec<Waker>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// Never polled.
    New,
    Open,
    /// To be closed, or closed.
    Closing {
        /// The body has been asked in a way that cuts cleanups.
        is_forced: bool,
        /// That the body has yielded all the same has been reported.
        is_told: bool,
    },
}

/// Whose item the slot is for; items are counted from 1.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Free,
    /// The item is there.
    Offered(u64),
    /// It has been taken, and no further one has been asked for.
    Taken(u64),
}

impl<T> Slot<T> {
    pub(super) fn new(site: &'static Location<'static>) -> Self {
        Slot {
            site,
            body: Cell::new(None),
            hooks: Cell::new(None),
            life: Cell::new(Life::New),
            has_ignored_exit: Cell::new(false),
            is_stuck: Cell::new(false),
            turn: Cell::new(Turn::Free),
            item: Cell::new(None),
            count: Cell::new(0),
            yielding: Cell::new(None),
            waiting: RefCell::new(Vec::new()),
        }
    }

    /// The generator is first iterated: whoever finishes generators on this thread is told.
    pub(super) fn watch(self: &Rc<Self>)
    where
        T: 'static,
    {
        if let Some(hooks) = hooks::generator_hooks() {
            self.hooks.set(Some(Rc::downgrade(&hooks)));
            let weak: Weak<Self> = Rc::downgrade(self);
            hooks.first_iter(LiveGenerator::new(weak));
        }
    }

    /// Another item is asked for: the body goes on behind its last `yield_`.
    pub(super) fn resume(&self, cx: &Context<'_>) {
        if !matches!(self.turn.get(), Turn::Taken(_)) {
            return;
        }
        self.turn.set(Turn::Free);
        if let Some(waker) = self.yielding.take() {
            // If the body is polled with the waker that it was given then, it polls its `yield_` now by itself.
            if waker.will_wake(cx.waker()) {
                self.yielding.set(Some(waker));
            } else {
                waker.wake();
            }
        }
        self.wake_waiting();
    }

    pub(super) fn take_item(&self) -> Option<T> {
        if let Turn::Offered(number) = self.turn.get() {
            self.turn.set(Turn::Taken(number));
        }
        self.item.take()
    }

    pub(super) fn is_closing(&self) -> bool {
        matches!(self.life.get(), Life::Closing { .. })
    }

    /// No further item will be asked for.
    pub(super) fn end(&self) {
        // One that was yielded by somebody else than the body.
        drop(self.take_item());
        if let Some(waker) = self.yielding.take() {
            waker.wake();
        }
        self.wake_waiting();
    }

    fn wake_waiting(&self) {
        let waiting = self.waiting.take();
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Hands out the items of a generator, to which its body was given it.
///
/// An item yielded outside the body comes out once the generator is asked for one.
pub struct Yielder<T> {
    slot: Rc<Slot<T>>,
}

impl<T> Yielder<T> {
    pub(super) fn new(slot: Rc<Slot<T>>) -> Self {
        Yielder { slot }
    }

    pub(super) fn split(self) -> (Self, Self) {
        (Yielder { slot: self.slot.clone() }, self)
    }

    /// Hands `item` to whoever iterates, and waits until the next one is asked for.
    ///
    /// Several parts of a body may do so at a time; one item comes out after the other.
    ///
    /// # Cancel safety
    ///
    /// When this is dropped before the item came out, the item is dropped and never comes out.
    ///
    /// For an example, see [`generator`](crate::generator).
    #[doc(alias = "yield")]
    pub fn yield_(&self, item: T) -> impl Future<Output = ()> + use<'_, T> {
        Yield { slot: &self.slot, item: Some(item), number: 0 }
    }
}

impl<T> fmt::Debug for Yielder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yielder").field("site", &self.slot.site).finish_non_exhaustive()
    }
}

/// Hands out the values of a [`try_generator`](crate::try_generator).
#[derive(Debug)]
pub struct TryYielder<T, E> {
    yielder: Yielder<Result<T, E>>,
}

impl<T, E> TryYielder<T, E> {
    pub(super) fn new(yielder: Yielder<Result<T, E>>) -> Self {
        TryYielder { yielder }
    }

    /// Hands out `Ok(item)`; see [`Yielder::yield_`].
    ///
    /// # Cancel safety
    ///
    /// As [`Yielder::yield_`].
    ///
    /// For an example, see [`try_generator`](crate::try_generator).
    pub fn yield_(&self, item: T) -> impl Future<Output = ()> + use<'_, T, E> {
        self.yielder.yield_(Ok(item))
    }
}

struct Yield<'a, T> {
    slot: &'a Slot<T>,
    item: Option<T>,
    /// The number of its item; 0 as long as its turn has not come.
    number: u64,
}

/// In place of the number of an item that came after the end.
const AFTER_THE_END: u64 = u64::MAX;

impl<T> Unpin for Yield<'_, T> {}

impl<T> Future for Yield<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let slot = this.slot;
        if this.number == 0 {
            if slot.is_closing() {
                // Nobody will take it, and whoever closes the generator drops us: at once if the request has reached us.
                this.number = AFTER_THE_END;
                if !is_current_requested() {
                    slot.has_ignored_exit.set(true);
                }
                drop(this.item.take());
                return Poll::Pending;
            }
            if slot.turn.get() != Turn::Free {
                slot.waiting.borrow_mut().push(cx.waker().clone());
                return Poll::Pending;
            }
            this.number = slot.count.get() + 1;
            slot.count.set(this.number);
            slot.turn.set(Turn::Offered(this.number));
            slot.item.set(this.item.take());
        } else if this.number == AFTER_THE_END {
            return Poll::Pending;
        } else if ![Turn::Offered(this.number), Turn::Taken(this.number)].contains(&slot.turn.get())
        {
            return Poll::Ready(());
        } else if slot.is_closing() && !is_current_requested() {
            slot.is_stuck.set(true);
        }
        let old = slot.yielding.take();
        if old.as_ref().is_some_and(|old| old.will_wake(cx.waker())) {
            slot.yielding.set(old);
        } else {
            drop(old);
            slot.yielding.set(Some(cx.waker().clone()));
        }
        Poll::Pending
    }
}

impl<T> Drop for Yield<'_, T> {
    fn drop(&mut self) {
        let slot = self.slot;
        match slot.turn.get() {
            Turn::Offered(number) if number == self.number => {
                slot.turn.set(Turn::Free);
                let item = slot.item.take();
                slot.wake_waiting();
                drop(item);
            }
            Turn::Taken(number) if number == self.number => {
                slot.turn.set(Turn::Free);
                slot.wake_waiting();
            }
            _ => {}
        }
    }
}
