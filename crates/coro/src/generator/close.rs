//! The end of a generator before its time: asked for by `aclose`, or by the loop that finishes what was dropped.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::body::{Body, BoxBody, Stage};
use super::yielder::{Life, Slot};
use crate::hooks::{self, Report, TaskLabel};
use crate::node::outside;
use crate::panics;

/// From now on there are no more items. False when there is nothing to unwind: the body has not begun.
pub(super) fn begin_close<T>(slot: &Slot<T>) -> bool {
    let life = slot.life.get();
    if matches!(life, Life::New | Life::Open) {
        slot.life.set(Life::Closing { is_asked: false, is_told: false });
    }
    if life == Life::Open && !slot.is_yielding() {
        // One that was yielded by somebody else than the body.
        drop(slot.take_item());
    }
    life != Life::New
}

/// Goes on closing. With [`Stage::Unwound`] the body is gone too, and whoever polls it must unwind.
pub(super) fn poll_close<T>(
    slot: &Slot<T>,
    mut body: Pin<&mut (dyn Body + '_)>,
    cx: &mut Context<'_>,
) -> Stage {
    loop {
        let Life::Closing { is_asked, is_told } = slot.life.get() else {
            unreachable!("it is being closed");
        };
        // A body that unwinds already, for its consumer, is not disturbed, unless it waits for the next item to be asked for.
        let is_asked = is_asked || !body.as_ref().is_unwinding() || slot.is_yielding();
        if is_asked && !matches!(slot.life.get(), Life::Closing { is_asked: true, .. }) {
            slot.life.set(Life::Closing { is_asked, is_told });
            body.as_ref().ask().wake();
        }
        let mut stage = body.as_mut().step(cx);
        if stage == Stage::Pending && slot.has_ignored_exit.take() {
            if is_told {
                // It goes on and on.
                body.abandon().into_iter().for_each(panics::discard);
                return Stage::Ended;
            }
            let task =
                crate::current_task().map(|task| TaskLabel { id: task.id(), name: task.name() });
            hooks::report(Report::IgnoredExit { task, site: slot.site });
            // Cut by a newer request, the cleanup that yields unwinds, and those around it have their turn.
            slot.life.set(Life::Closing { is_asked: true, is_told: true });
            body.as_ref().ask().wake();
            continue;
        }
        if stage == Stage::Pending {
            stage = body.as_mut().follow(cx);
        }
        let is_going_on = !is_asked && !body.as_ref().is_unwinding();
        if stage != Stage::Pending || !is_going_on {
            return stage;
        }
    }
}

/// Has whoever looks after the generators of this thread close one that was dropped.
pub(super) fn finish<T: 'static>(slot: &Rc<Slot<T>>, body: BoxBody<'static>) {
    let closing = Close { slot: slot.clone(), body: Some(body) };
    let watching = slot.hooks.take().and_then(|hooks| hooks.upgrade());
    match watching.or_else(hooks::generator_hooks) {
        Some(hooks) => hooks.finalize(slot.site, Box::pin(closing)),
        None => drop(closing),
    }
}

/// Closes a generator that its owner has no more use for.
struct Close<T> {
    slot: Rc<Slot<T>>,
    body: Option<BoxBody<'static>>,
}

impl<T> Unpin for Close<T> {}

impl<T> Future for Close<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // Out of our hands while it is polled: when it panics it is gone.
        let Some(mut body) = this.body.take() else { return Poll::Ready(()) };
        if !begin_close(&this.slot) {
            outside(|| drop(body));
            return Poll::Ready(());
        }
        match poll_close(&this.slot, body.as_mut(), cx) {
            Stage::Ended => Poll::Ready(()),
            Stage::Pending | Stage::Unwound => {
                this.body = Some(body);
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Close<T> {
    fn drop(&mut self) {
        let body = self.body.take();
        outside(|| drop(body));
    }
}

/// A generator that somebody else than its owner can close.
pub(crate) trait Closable {
    fn site(&self) -> &'static Location<'static>;

    /// Takes the body away from its owner; `None` when there is none, or it is being awaited.
    fn close(self: Rc<Self>) -> Option<Pin<Box<dyn Future<Output = ()>>>>;
}

impl<T: 'static> Closable for Slot<T> {
    fn site(&self) -> &'static Location<'static> {
        self.site
    }

    fn close(self: Rc<Self>) -> Option<Pin<Box<dyn Future<Output = ()>>>> {
        let body = self.body.take()?;
        if body.as_ref().is_awaited() {
            self.body.set(Some(body));
            return None;
        }
        Some(Box::pin(Close { slot: self, body: Some(body) }))
    }
}
