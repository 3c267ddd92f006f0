//! The handle's side of a child: where its value waits.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use asyncio_coro::task::TaskRef;

use crate::join_error::{Identity, JoinError};
use crate::report;
use crate::task::peek;

/// What a child and its handle share. The value of a child may borrow from outside the group, so no waker refers to it.
pub(crate) struct Slot<T> {
    task: TaskRef,
    /// How the child ended, until somebody takes it.
    result: Cell<Option<Result<T, JoinError>>>,
    ended: Cell<bool>,
    /// Whether it ended cancelled.
    cancelled: Cell<bool>,
    /// Whether the handle is still there.
    held: Cell<bool>,
    /// Whether a failure has been held back once; see [`ChildHandle::give_way`].
    gave_way: Cell<bool>,
    awaiter: Cell<Option<Waker>>,
}

impl<T> Slot<T> {
    pub(crate) fn new(task: TaskRef) -> Rc<Self> {
        Rc::new(Self {
            task,
            result: Cell::new(None),
            ended: Cell::new(false),
            cancelled: Cell::new(false),
            held: Cell::new(true),
            gave_way: Cell::new(false),
            awaiter: Cell::new(None),
        })
    }

    pub(crate) fn task(&self) -> &TaskRef {
        &self.task
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Keeps the result for the handle, or gives it back if there is none, to be dropped where a panic is caught.
    pub(crate) fn end(&self, result: Result<T, JoinError>) -> Option<Result<T, JoinError>> {
        self.ended.set(true);
        self.cancelled.set(result.as_ref().is_err_and(JoinError::is_cancelled));
        let unwanted = if self.held.get() {
            self.result.set(Some(result));
            None
        } else {
            Some(result)
        };
        if let Some(awaiter) = self.awaiter.take() {
            // The child is to leave its group, whatever somebody's waker does.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| awaiter.wake())) {
                report::waker(Identity::from(&self.task), payload);
            }
        }
        unwanted
    }
}

/// What a [`Task`](crate::Task) of a group holds.
pub(crate) struct ChildHandle<T> {
    slot: Rc<Slot<T>>,
}

impl<T> ChildHandle<T> {
    pub(crate) fn new(slot: Rc<Slot<T>>) -> Self {
        Self { slot }
    }

    pub(crate) fn task(&self) -> &TaskRef {
        &self.slot.task
    }

    pub(crate) fn cancel(&self, message: Option<Arc<str>>) -> bool {
        !self.slot.ended.get() && self.slot.task.__cancel(message)
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.slot.ended.get()
    }

    pub(crate) fn poll_done(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.slot.ended.get() {
            return Poll::Ready(());
        }
        let kept = self.slot.awaiter.take();
        let waker = match kept {
            Some(kept) if kept.will_wake(cx.waker()) => kept,
            _ => cx.waker().clone(),
        };
        let stale = self.slot.awaiter.replace(Some(waker));
        drop(stale);
        Poll::Pending
    }

    pub(crate) fn was_cancelled(&self) -> bool {
        self.slot.cancelled.get()
    }

    /// Where how the child ended is kept, until it is taken.
    pub(crate) fn result(&self) -> &Cell<Option<Result<T, JoinError>>> {
        &self.slot.result
    }

    /// True once, if the child has failed: the awaiter should look for a request to cancel it before it gets the news.
    pub(crate) fn give_way(&self) -> bool {
        peek(&self.slot.result, |result| result.as_ref().is_err_and(JoinError::is_failed))
            .unwrap_or(false)
            && !self.slot.gave_way.replace(true)
    }
}

impl<T> Drop for ChildHandle<T> {
    fn drop(&mut self) {
        self.slot.held.set(false);
        let awaiter = self.slot.awaiter.take();
        // A panic in there goes on out of the group, so the one in an unseen result need not be reported.
        let unseen = self.slot.result.take();
        drop((awaiter, unseen));
    }
}
