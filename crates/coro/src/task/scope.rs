#![expect(unsafe_code, reason = "a task's scope is promised that the task's facts outlive it")]
//! `TaskScope`: the outermost scope of a task, and the end of every chain.
//!
//! # Invariants
//!
//! * **T1, facts.** The `TaskInfo` given to [`TaskScope::new`] outlives the scope, which is polled and dropped on one thread.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::context::{self, Captured};
use crate::hooks::{self, Report};
use crate::node::{Root, outside};
use crate::panics::{self, Payload, drop_caught};
use crate::request::may_drop;
use crate::task::{LocalInfo, TaskInfo};

pin_project! {
    /// The outermost scope of a task, around its body; 40 bytes and a mark beyond the body.
    ///
    /// It ends in one of three ways: with the body's value, cancelled, or with the panic of the body or of its destructor.
    /// It never unwinds itself, neither out of `poll` nor out of `drop`.
    #[must_use = "a task does nothing until it is polled"]
    pub struct TaskScope<F: Future> {
        #[pin]
        body: Option<F>,
        // After the body: what the body drops may still look at its task.
        #[pin]
        root: Root,
    }

    impl<F: Future> PinnedDrop for TaskScope<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let root = this.root.as_ref();
            let local = local(&root);
            if local.is_live() {
                drop_live(local, root, this.body);
            }
        }
    }
}

/// How a task ended, if not with a value.
pub enum TaskEnd {
    /// It unwound for a request to cancel it.
    Cancelled,
    /// Its body, or the body's destructor, panicked with this.
    Panicked(Payload),
}

impl<F: Future> TaskScope<F> {
    /// Puts a task's outermost scope around `body`, which runs and is dropped in `context`: a copy of the current one
    /// ([`Captured::copy`]), or a given one, shared with others.
    ///
    /// # Safety
    ///
    /// `info` must be valid until the scope has been dropped, and as long as the waker given to any of its polls or a clone
    /// of that exists. It must have been given to no other scope. The scope is polled and dropped on one thread.
    pub unsafe fn new(body: F, info: NonNull<TaskInfo>, context: Captured) -> Self {
        // SAFETY: by T1.
        let root = unsafe { Root::new(info) };
        if let Some(context) = context.into_inner() {
            // SAFETY: by T1, this is the task's thread.
            unsafe { root.info().local() }.keep(context);
        }
        TaskScope { body: Some(body), root }
    }

    /// Runs `f` in the task's context, for what is to be done in it after the task has ended: to drop or to report what the
    /// task has left. Not for a task that has yet to begin, whose context nobody has seen.
    pub fn run_in_context<R>(self: Pin<&Self>, f: impl FnOnce() -> R) -> R {
        self.project_ref().root.get_ref().context().run(f)
    }

    /// Keeps the context of a task that has ended: for [`LocalInfo::context`], and for whoever will have to report what the
    /// task has left. He must call [`LocalInfo::take_context`] or [`LocalInfo::drop_kept_context`] before the facts go.
    #[inline]
    pub fn keep_context(self: Pin<&Self>) {
        let root = self.project_ref().root;
        if let Some(context) = root.context().slot().take() {
            keep(root, context);
        }
    }
}

#[cold]
fn keep(root: Pin<&Root>, context: context::Context) {
    let local = local(&root);
    if local.is_live() {
        root.context().slot().set(Some(context));
    } else {
        local.keep(context);
    }
}

impl<F: Future> Future for TaskScope<F> {
    type Output = Result<F::Output, TaskEnd>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let root = this.root.as_ref();
        let local = local(&root);
        if !local.is_started() && local.start(root) {
            // Cancelled before its first step: the body never runs.
            return Poll::Ready(Err(drop_unstarted(local, root, this.body)));
        }
        let waker = cx.waker();
        let ended = root.step(waker, || {
            let before = root.base().request.get();
            let mut body = this.body.as_mut();
            // Wakers are called in here too: one that panics must not unwind out of the task.
            let polled = catch_unwind(AssertUnwindSafe(|| {
                let body = body.as_mut().as_pin_mut().expect("a task is not polled after its end");
                match body.poll(cx) {
                    Poll::Pending if root.is_requested() && may_drop(root.base(), cx) => {
                        Poll::Ready(Err(TaskEnd::Cancelled))
                    }
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(value) => Poll::Ready(Ok(value)),
                }
            }));
            let result = match polled {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(result)) => result,
                Err(payload) => Err(TaskEnd::Panicked(payload)),
            };
            let dropped = drop_body(body);
            // A request made during this very step counts; one from before it, undelivered, does not cost the value.
            let now = root.base().request.get();
            let is_late = now != 0 && now != before;
            Poll::Ready(settle(result, dropped, is_late))
        });
        if let Poll::Ready(result) = &ended {
            local.end(result.as_ref().err());
        }
        ended
    }
}

/// Makes the task's end of how its body ended, how the body's destructor did, and a request in its last step.
fn settle<T>(
    result: Result<T, TaskEnd>,
    dropped: Option<Payload>,
    is_late: bool,
) -> Result<T, TaskEnd> {
    match (result, dropped) {
        (Err(TaskEnd::Panicked(first)), second) => {
            second.into_iter().for_each(panics::discard);
            Err(TaskEnd::Panicked(first))
        }
        (Err(TaskEnd::Cancelled), dropped) => {
            Err(dropped.map_or(TaskEnd::Cancelled, TaskEnd::Panicked))
        }
        (Ok(value), None) if !is_late => Ok(value),
        (Ok(value), dropped) => {
            let late = outside(|| drop_caught(value));
            let panicked = match (dropped, late) {
                (Some(first), second) => {
                    second.into_iter().for_each(panics::discard);
                    Some(first)
                }
                (None, late) => late,
            };
            Err(panicked.map_or(TaskEnd::Cancelled, TaskEnd::Panicked))
        }
    }
}

/// Ends a task that is thrown away.
#[cold]
fn drop_live<F>(local: LocalInfo<'_>, root: Pin<&Root>, body: Pin<&mut Option<F>>) {
    if !local.is_started() {
        root.context().slot().set(local.take_kept());
    }
    local.end(Some(&TaskEnd::Cancelled));
    root.context().run(|| {
        if let Some(payload) = drop_body(body) {
            let message = panics::message(&payload);
            hooks::report(Report::DropPanicked { task: Some(root.info().label()), message });
            panics::discard(payload);
        }
    });
}

/// Ends a task that was cancelled before its first step.
#[cold]
fn drop_unstarted<F>(local: LocalInfo<'_>, root: Pin<&Root>, body: Pin<&mut Option<F>>) -> TaskEnd {
    let dropped = root.context().run(|| drop_body(body));
    let end = dropped.map_or(TaskEnd::Cancelled, TaskEnd::Panicked);
    local.end(Some(&end));
    end
}

fn local<'a>(root: &'a Pin<&Root>) -> LocalInfo<'a> {
    // SAFETY: by T1, this is the task's thread.
    unsafe { root.info().local() }
}

/// Drops a body, outside any scope, and gives back the panic if its destructor panics.
pub(crate) fn drop_body<F>(mut body: Pin<&mut Option<F>>) -> Option<Payload> {
    outside(|| catch_unwind(AssertUnwindSafe(|| body.set(None)))).err()
}

impl fmt::Debug for TaskEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskEnd::Cancelled => f.write_str("Cancelled"),
            TaskEnd::Panicked(payload) => {
                f.debug_tuple("Panicked").field(&panics::message(payload)).finish()
            }
        }
    }
}

impl<F: Future> fmt::Debug for TaskScope<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskScope").field("task", self.root.info()).finish_non_exhaustive()
    }
}
