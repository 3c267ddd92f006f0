//! What `gather` and `wait` share: polling many tasks, each only when it was woken.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use asyncio_coro::task::TaskRef;

use crate::join_error::JoinError;
use crate::ready::{Member, ReadyList};

/// A task, whatever it gives.
pub trait AnyTask {
    /// Says whether it has ended.
    fn is_finished(&self) -> bool;

    /// Ready once the task has ended. The result stays.
    fn poll_done(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// The task itself, if it has not ended. Calls no foreign code.
    fn live(&self) -> Option<TaskRef>;

    /// The error of who waits for this task, and is told that it was cancelled.
    fn cancelled(&self) -> JoinError;
}

/// The tasks that one future waits for, by number.
pub(crate) struct Members {
    list: Arc<ReadyList>,
    /// Which of them have not ended; empty before the first poll.
    pending: Vec<bool>,
    started: bool,
}

impl Members {
    pub(crate) fn new() -> Self {
        Self { list: ReadyList::new(), pending: Vec::new(), started: false }
    }

    /// Whether it has been polled.
    pub(crate) fn is_started(&self) -> bool {
        self.started
    }

    /// One poll: looks at every task the first time, later at those that were woken since, and calls `ended` with each
    /// one's number when it has ended, once.
    pub(crate) fn poll<'a>(
        &mut self,
        cx: &mut Context<'_>,
        count: usize,
        task: impl Fn(usize) -> &'a dyn AnyTask,
        mut ended: impl FnMut(usize),
    ) {
        let ready = self.list.begin(cx.waker());
        if !self.started {
            self.started = true;
            self.pending.resize(count, true);
            for index in 0..count {
                self.look(index, task(index), &mut ended);
            }
        }
        for _ in 0..ready {
            let Some(index) = self.list.pop() else { break };
            let index = index as usize;
            if self.pending[index] {
                self.look(index, task(index), &mut ended);
            }
        }
    }

    fn look(&mut self, index: usize, task: &dyn AnyTask, ended: &mut impl FnMut(usize)) {
        if self.has_ended(index, task) {
            self.pending[index] = false;
            ended(index);
        }
    }

    fn has_ended(&self, index: usize, task: &dyn AnyTask) -> bool {
        if task.is_finished() && task.poll_done(&mut Context::from_waker(Waker::noop())).is_ready()
        {
            return true;
        }
        let index = u32::try_from(index).expect("fewer than 2^32 tasks fit in memory");
        let waker = Member::waker(&self.list, index);
        task.poll_done(&mut Context::from_waker(&waker)).is_ready()
    }
}
