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

/// Asks the body to unwind, unless that was done. False when there is nothing to unwind: it has not begun.
pub(super) fn begin_close<T>(slot: &Slot<T>, body: Pin<&(dyn Body + '_)>) -> bool {
    let life = slot.life.get();
    if matches!(life, Life::New | Life::Open) {
        slot.life.set(Life::Closing { is_forced: false, is_told: false });
    }
    if life == Life::Open {
        slot.end();
        body.ask(false).wake();
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
        let Life::Closing { is_forced, is_told } = slot.life.get() else {
            unreachable!("it is being closed");
        };
        let stage = body.as_mut().step(cx);
        if stage != Stage::Pending {
            return stage;
        }
        let (has_ignored_exit, is_stuck) = (slot.has_ignored_exit.take(), slot.is_stuck.take());
        if has_ignored_exit && is_told {
            // It goes on and on.
            body.abandon().into_iter().for_each(panics::discard);
            return Stage::Ended;
        }
        if !has_ignored_exit && (!is_stuck || is_forced) {
            return body.follow(cx);
        }
        if has_ignored_exit {
            let task =
                crate::current_task().map(|task| TaskLabel { id: task.id(), name: task.name() });
            hooks::report(Report::IgnoredExit { task, site: slot.site });
        }
        // Cut by a newer request, the cleanup that yields unwinds, and those around it have their turn.
        slot.life.set(Life::Closing { is_forced: true, is_told: has_ignored_exit });
        body.as_ref().ask(true).wake();
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
        if !begin_close(&this.slot, body.as_ref()) {
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
