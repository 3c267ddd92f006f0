//! `Family`: the children of a group, whichever form it has, and what they leave.
//!
//! A child is polled by its family only, in place, and only when its waker has put its number on the family's
//! [ready list](crate::ready). So a poll of a group costs as much as there were children woken, however many there are.
//!
//! # Invariants
//!
//! - **F1** No future, value, error or waker of a user is polled, called or dropped inside a borrow of a cell of the
//!   family: a child is taken out of the slab to be polled, and popped to be dropped.

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use asyncio_coro::task::TaskRef;
use asyncio_loop::{EventLoop, Watching, Work, watching};
use slab::Slab;

use crate::builder::Builder;
use crate::group::child::{self, AnyChild, Born, ChildEnd, Failed};
use crate::ready::ReadyList;
use crate::registry::Registry;
use crate::report;
use crate::task::Handle;

/// The children of a group; they may borrow what lives for `'c`.
pub(crate) struct Family<'c, E> {
    /// Set when the children are cancelled, and when the group is over. It takes no new ones then.
    is_closed: Cell<bool>,
    /// Set when the children are cancelled because one of them has failed, or the group was told to end.
    is_aborting: Cell<bool>,
    /// The live children, by number.
    children: RefCell<Slab<Listed<'c>>>,
    /// The numbers of those to be polled, and that of the body.
    ready: Arc<ReadyList>,
    /// Errors of children, in the order in which they failed.
    errors: RefCell<Vec<E>>,
    /// How many there have been.
    failures: Cell<usize>,
    /// How children ended in their eager first step, until the group has its turn.
    early: RefCell<Vec<(ChildEnd, TaskRef)>>,
    /// The error of the body, which is to come last.
    last_error: Cell<Option<E>>,
    /// The first panic of a child.
    panic: Cell<Option<Box<dyn Any + Send>>>,
    /// Where children are listed, under a loop of ours.
    registry: OnceCell<Rc<Registry>>,
}

/// A child in its family.
struct Listed<'c> {
    task: TaskRef,
    /// Taken out while it is polled.
    child: Option<Pin<Box<dyn AnyChild + 'c>>>,
}

/// What a child holds of its group: where its error goes.
pub(crate) trait Parent<E> {
    /// Keeps the error of a child that has failed.
    fn take_error(&self, error: E);

    /// Cancels the group as for a failure that nobody else has seen.
    fn abort(&self);
}

impl<'c, E> Family<'c, E> {
    /// No children yet.
    pub(crate) fn new() -> Self {
        Self {
            is_closed: Cell::new(false),
            is_aborting: Cell::new(false),
            children: RefCell::default(),
            ready: ReadyList::new(),
            errors: RefCell::default(),
            failures: Cell::new(0),
            early: RefCell::default(),
            last_error: Cell::new(None),
            panic: Cell::new(None),
            registry: OnceCell::new(),
        }
    }

    /// Lists the children made from here on with that loop.
    pub(crate) fn list_in(&self, event_loop: &EventLoop) {
        self.registry.get_or_init(|| Registry::of(event_loop));
    }

    /// Makes a child of `future`, unless the family is closed: then it is dropped.
    pub(crate) fn create<F, T>(
        &self,
        site: &'static Location<'static>,
        builder: Builder,
        future: F,
    ) -> Handle<T>
    where
        F: Future<Output = Result<T, Failed>> + 'c,
        T: 'c,
    {
        let builder = match self.registry.get() {
            Some(registry) => registry.prepare(builder),
            None => builder,
        };
        let (name, context, is_eager) = builder.into_parts();
        if self.is_closed.get() {
            drop(future);
            let handle = child::stillborn(site);
            name.into_iter().for_each(|name| handle.task().set_name(name));
            return Handle::Child(handle);
        }
        let key = self.children.borrow().vacant_key();
        let index = u32::try_from(key).expect("fewer than 2^32 children fit in memory");
        let Born { child, task, handle } =
            child::create(future, site, context, &self.ready, self.registry.get(), index);
        if let Some(name) = name {
            task.set_name(name);
        }
        // Nothing above runs foreign code, so the key is still vacant.
        let inserted = self.children.borrow_mut().insert(Listed { task, child: Some(child) });
        debug_assert_eq!(key, inserted);
        if is_eager {
            self.step_eagerly(index);
        } else {
            self.ready.push(index);
        }
        Handle::Child(handle)
    }

    /// Takes a child's first step. If that is its last, the group hears of it in its next turn, as in asyncio: else an error
    /// would cancel whoever is creating the child before it has the handle.
    fn step_eagerly(&self, index: u32) {
        if let Some(end) = self.poll_one(index, None) {
            self.early.borrow_mut().push(end);
            self.ready.push(NOBODY);
        }
    }

    /// How those children ended that did so in an eager step and have not been heard of.
    pub(crate) fn take_early(&self) -> Vec<(ChildEnd, TaskRef)> {
        self.early.take()
    }

    pub(crate) fn len(&self) -> usize {
        self.children.borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.children.borrow().is_empty()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    pub(crate) fn is_aborting(&self) -> bool {
        self.is_aborting.get()
    }

    pub(crate) fn ready(&self) -> &Arc<ReadyList> {
        &self.ready
    }

    /// Takes no more children from here on.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
    }

    /// Closes the family and cancels the children, once. Says whether this was the first time.
    pub(crate) fn abort(&self) -> bool {
        let is_first = !self.is_closed.replace(true);
        if is_first {
            self.is_aborting.set(true);
            self.cancel_children();
        }
        is_first
    }

    pub(crate) fn cancel_children(&self) {
        let tasks: Vec<_> =
            self.children.borrow().iter().map(|(_, member)| member.task.clone()).collect();
        for task in tasks {
            task.cancel();
        }
    }

    /// Keeps the error of a child.
    pub(crate) fn take_error(&self, error: E) {
        self.errors.borrow_mut().push(error);
        self.failures.set(self.failures.get() + 1);
    }

    /// How many children have failed.
    pub(crate) fn failures(&self) -> usize {
        self.failures.get()
    }

    /// Keeps the error of the body, which is given last.
    pub(crate) fn take_last_error(&self, error: E) {
        self.last_error.set(Some(error));
    }

    pub(crate) fn has_errors(&self) -> bool {
        let last = self.last_error.take();
        let has_last = last.is_some();
        self.last_error.set(last);
        has_last || !self.errors.borrow().is_empty()
    }

    /// The errors so far; from then on they are the caller's.
    pub(crate) fn take_errors(&self) -> Vec<E> {
        let mut errors = self.errors.take();
        errors.extend(self.last_error.take());
        errors
    }

    /// Goes on with the first panic of a child, if there was one.
    pub(crate) fn resume_panic(&self) {
        if let Some(payload) = self.panic.take() {
            resume_unwind(payload);
        }
    }

    /// One turn of the first `ready` of those that are woken, the body perhaps among them. Says whether one has failed or
    /// panicked; the first panic is kept.
    pub(crate) fn turn(&self, ready: usize, mut poll_body: impl FnMut() -> bool) -> bool {
        let mut is_failure = false;
        let watching = watching();
        for left in (1..=ready).rev() {
            match self.pop(left, watching.as_ref()) {
                None => break,
                Some(BODY) => is_failure |= poll_body(),
                Some(index) => {
                    let end = self.poll_one(index, watching.as_ref());
                    is_failure |= end.is_some_and(|end| self.settle(end.0));
                }
            }
        }
        for (end, _) in self.take_early() {
            is_failure |= self.settle(end);
        }
        is_failure
    }

    /// Says whether a child failed or panicked; a panic is kept.
    fn settle(&self, end: ChildEnd) -> bool {
        match end {
            ChildEnd::Quietly => false,
            ChildEnd::Failed => true,
            ChildEnd::Panicked(payload) => {
                self.keep_panic(payload);
                true
            }
        }
    }

    /// Who has the next turn among the first `left` of those that are woken: the first, unless the loop is seeded.
    pub(crate) fn pop(&self, left: usize, watching: Option<&Watching>) -> Option<u32> {
        match watching {
            None => self.ready.pop(),
            Some(watching) => self.ready.pop_at(watching.pick(left)),
        }
    }

    /// Polls one child, before the eyes of those who watch, and says how it ended if it did.
    pub(crate) fn poll_one(
        &self,
        index: u32,
        watching: Option<&Watching>,
    ) -> Option<(ChildEnd, TaskRef)> {
        let key = index as usize;
        let taken = self.children.borrow_mut().get_mut(key).and_then(|listed| listed.child.take());
        // Missing: a late wake of one that has ended, or of the body.
        let mut child = taken?;
        let polled = match watching {
            None => child.as_mut().poll_child(&self.failures),
            Some(watching) => self.poll_watched(key, child.as_mut(), watching),
        };
        let Poll::Ready(end) = polled else {
            self.children.borrow_mut()[key].child = Some(child);
            return None;
        };
        let listed = self.children.borrow_mut().remove(key);
        drop(child);
        Some((end, listed.task))
    }

    #[cold]
    fn poll_watched(
        &self,
        key: usize,
        child: Pin<&mut (dyn AnyChild + 'c)>,
        watching: &Watching,
    ) -> Poll<ChildEnd> {
        let task = self.children.borrow()[key].task.clone();
        watching.step(Work::task(task.info(), task.local()), || child.poll_child(&self.failures))
    }

    /// Keeps the first panic; further ones are reported.
    fn keep_panic(&self, payload: Box<dyn Any + Send>) {
        if let Some(first) = self.panic.take() {
            self.panic.set(Some(first));
            report::lost_panic(payload);
        } else {
            self.panic.set(Some(payload));
        }
    }

    /// The end of the family: closes it and drops the children one by one.
    pub(crate) fn tear_down(&self) {
        self.close();
        loop {
            // One at a time, and outside the borrow (F1): a destructor may look at the group.
            let key = self.children.borrow().iter().next().map(|(key, _)| key);
            let Some(key) = key else { break };
            let listed = self.children.borrow_mut().remove(key);
            // All of them are to go, whatever one does.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(listed))) {
                report::unjoined_panic(payload);
            }
        }
    }

    /// Reports the panic that nobody is left to go on with.
    pub(crate) fn report_panic(&self) {
        for (end, _) in self.take_early() {
            self.settle(end);
        }
        if let Some(payload) = self.panic.take() {
            report::unjoined_panic(payload);
        }
    }
}

/// The number of a group's body among those to be polled; no child has it.
pub(crate) const BODY: u32 = u32::MAX;

/// A number that nobody has, to wake the group with.
pub(crate) const NOBODY: u32 = u32::MAX - 1;
